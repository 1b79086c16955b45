"""Sensors under the supervisor: what they bring is stored, what breaks is started again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import BaseModel

from sensorflow.clock import SystemClock
from sensorflow.core.errors import SensorflowError
from sensorflow.core.messages import EventState, Observed, Receipt
from sensorflow.core.vocabulary import Event, Rule, SensorDefinition
from sensorflow.ports import Batch, Sensor, SensorContext
from sensorflow.sensors.supervision import SensorSupervisor

PATIENCE_S = 10.0


class Turns:
    """Time that passes only when the supervisor sleeps or a test says so."""

    def __init__(self) -> None:
        self.at = 1_000.0
        self.slept: list[float] = []
        self.changed = asyncio.Condition()

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds
        await self.tell()
        await asyncio.sleep(0)

    async def tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self.changed:
            await self.changed.wait_for(holds)


@dataclass
class Inbox:
    """Stands where the service stands: takes messages, or refuses them as told."""

    turns: Turns
    refusals: list[SensorflowError] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)
    sensors: set[tuple[str, str] | None] = field(default_factory=set)
    submissions: int = 0
    bad: frozenset[str] = frozenset()

    async def submit(self, messages: Sequence[Observed]) -> Sequence[Receipt | SensorflowError | None]:
        self.submissions += 1
        if self.refusals:
            raise self.refusals.pop(0)
        self.ids += [message.event.id for message in messages]
        self.sensors |= {message.sensor for message in messages}
        await self.turns.tell()
        return [self._answer(message.event) for message in messages]

    def _answer(self, event: Event) -> Receipt | SensorflowError:
        if event.id in self.bad:
            return SensorflowError(f"event {event.id} cannot be stored")
        return Receipt(seq=1, source=event.source, id=event.id or "", state=EventState.ACCEPTED)


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def inbox(turns: Turns) -> Inbox:
    return Inbox(turns)


@pytest.fixture
async def supervisor(turns: Turns, inbox: Inbox) -> AsyncIterator[SensorSupervisor]:
    supervisor = SensorSupervisor(inbox.submit, turns, turns.sleep)
    yield supervisor
    await supervisor.stop()


def event(name: str) -> Event:
    return Event(source="/test", id=name)


Script = Callable[[SensorContext], AsyncIterator[Event | Batch]]


def sensor_that(script: Script) -> type[Sensor]:
    class Scripted:
        Options: type[BaseModel] = BaseModel

        def __init__(self, options: object, context: SensorContext) -> None:
            self._context = context

        def events(self) -> AsyncIterator[Event | Batch]:
            return script(self._context)

    return Scripted


def start(supervisor: SensorSupervisor, name: str, script: Script, home: Path = Path()) -> None:
    definition = SensorDefinition(pipeline="p", name=name, kind="scripted", rule=Rule(dataset="d"))
    supervisor.start(definition, sensor_that(script), home=home, instance="test")


async def for_ever() -> None:
    await asyncio.Event().wait()


def endless(first: Iterable[str] = ()) -> Script:
    async def script(context: SensorContext) -> AsyncIterator[Event | Batch]:
        for name in first:
            yield event(name)
        await for_ever()

    return script


async def test_events_and_batches_are_submitted_with_the_sensor_that_saw_them(
    supervisor: SensorSupervisor, inbox: Inbox, turns: Turns
) -> None:
    async def script(context: SensorContext) -> AsyncIterator[Event | Batch]:
        yield event("1")
        yield Batch([])
        yield Batch([event("2"), event("3")])
        await for_ever()

    start(supervisor, "s", script)
    await turns.until(lambda: len(inbox.ids) == 3)
    assert inbox.ids == ["1", "2", "3"] and inbox.submissions == 2 and inbox.sensors == {("p", "s")}


async def test_a_sensor_is_resumed_only_after_its_event_is_stored(
    supervisor: SensorSupervisor, inbox: Inbox, turns: Turns
) -> None:
    resumed: list[list[str | None]] = []
    inbox.refusals += [SensorflowError("the inbox is full")] * 3

    async def script(context: SensorContext) -> AsyncIterator[Event | Batch]:
        yield event("1")
        resumed.append(list(inbox.ids))
        await turns.tell()
        await for_ever()

    start(supervisor, "s", script)
    await turns.until(lambda: bool(resumed))
    assert resumed == [["1"]] and inbox.submissions == 4


async def test_what_the_service_refuses_is_submitted_again_ever_more_slowly_and_says_so(
    supervisor: SensorSupervisor, inbox: Inbox, turns: Turns
) -> None:
    inbox.refusals += [SensorflowError("the inbox is full")] * 12
    start(supervisor, "s", endless(["1", "2"]))
    await turns.until(lambda: len(turns.slept) == 6)
    status = supervisor.status("p", "s")
    assert (
        status.state == "failing" and status.error == "waits until 1 events can be stored: the inbox is full"
    )
    await turns.until(lambda: inbox.ids == ["1", "2"])
    assert turns.slept[0] < turns.slept[3] < turns.slept[5] and max(turns.slept) <= 5
    assert supervisor.status("p", "s").state == "running"


async def test_a_broken_sensor_says_why_and_is_started_again_ever_more_slowly(
    supervisor: SensorSupervisor, turns: Turns
) -> None:
    async def script(context: SensorContext) -> AsyncIterator[Event | Batch]:
        raise ValueError("no such shelf")
        yield

    start(supervisor, "s", script)
    await turns.until(lambda: len(turns.slept) == 12)
    assert 0.4 <= turns.slept[0] <= 0.5 and 24 <= turns.slept[-1] <= 30
    assert all(earlier < later for earlier, later in zip(turns.slept[:6], turns.slept[1:6], strict=False))
    status = supervisor.status("p", "s")
    assert status.state in ("failing", "starting") and status.error == "ValueError: no such shelf"


async def test_a_sensor_that_ran_well_is_soon_started_again(
    supervisor: SensorSupervisor, turns: Turns
) -> None:
    starts = 0

    async def script(context: SensorContext) -> AsyncIterator[Event | Batch]:
        nonlocal starts
        starts += 1
        if starts == 6:
            turns.at += 31
        raise OSError("gone")
        yield

    start(supervisor, "s", script)
    await turns.until(lambda: len(turns.slept) == 6)
    assert turns.slept[4] > 5 and turns.slept[5] <= 0.5


async def test_a_sensor_that_broke_goes_on_where_it_had_acknowledged(
    supervisor: SensorSupervisor, inbox: Inbox, turns: Turns
) -> None:
    acknowledged: list[str] = []

    async def script(context: SensorContext) -> AsyncIterator[Event | Batch]:
        for name in ("1", "2", "3"):
            if name in acknowledged:
                continue
            yield event(name)
            if inbox.ids == ["1", "2"]:
                raise ConnectionError("the line is dead")
            acknowledged.append(name)
        await for_ever()

    start(supervisor, "s", script)
    await turns.until(lambda: len(inbox.ids) == 4)
    assert inbox.ids == ["1", "2", "2", "3"]


async def test_one_broken_sensor_disturbs_no_other(
    supervisor: SensorSupervisor, inbox: Inbox, turns: Turns
) -> None:
    async def broken(context: SensorContext) -> AsyncIterator[Event | Batch]:
        raise RuntimeError("broken")
        yield

    def cannot_be_made(options: object, context: SensorContext) -> Sensor:
        raise TypeError("cannot be made")

    definition = SensorDefinition(pipeline="p", name="unmade", kind="k", rule=Rule(dataset="d"))
    supervisor.start(definition, cannot_be_made, home=Path(), instance="test")  # type: ignore[arg-type]
    start(supervisor, "broken", broken)
    start(supervisor, "well", endless(["1"]))
    await turns.until(lambda: inbox.ids == ["1"] and len(turns.slept) > 10)
    assert supervisor.status("p", "well").state == "running"
    assert supervisor.status("p", "broken").error == "RuntimeError: broken"
    assert supervisor.status("p", "unmade").error == "TypeError: cannot be made"


async def test_a_sensor_reports_what_is_wrong_while_it_runs(
    supervisor: SensorSupervisor, turns: Turns
) -> None:
    contexts: list[SensorContext] = []

    async def script(context: SensorContext) -> AsyncIterator[Event | Batch]:
        contexts.append(context)
        await turns.tell()
        await for_ever()
        yield

    start(supervisor, "s", script, Path("home"))
    assert supervisor.status("p", "s").state == "starting"
    await turns.until(lambda: bool(contexts))
    (context,) = contexts
    assert (context.pipeline, context.name, context.home, context.instance) == (
        "p",
        "s",
        Path("home"),
        "test",
    )
    context.report(None)
    assert supervisor.status("p", "s").state == "running"
    turns.at = 2_000
    context.report("cannot reach the broker")
    turns.at = 3_000
    context.report("still cannot reach the broker")
    status = supervisor.status("p", "s")
    assert (status.state, status.error, status.since) == ("failing", "still cannot reach the broker", 2_000)
    context.report(None)
    assert supervisor.status("p", "s").state == "running" and supervisor.status("p", "s").error is None


async def test_a_sensor_that_says_nothing_counts_as_running_after_a_while(
    supervisor: SensorSupervisor, turns: Turns
) -> None:
    start(supervisor, "s", endless())
    assert supervisor.status("p", "s").state == "starting"
    turns.at += 2
    assert supervisor.status("p", "s").state == "running"


async def test_a_sensor_that_says_nothing_is_told_to_be_well_though_nobody_asks(
    inbox: Inbox, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorflow.sensors.supervision.STARTED_AFTER_S", 0.01)
    told: asyncio.Queue[tuple[str, str, str | None]] = asyncio.Queue()
    supervisor = SensorSupervisor(
        inbox.submit, turns, turns.sleep, changed=lambda *what: told.put_nowait(what)
    )
    start(supervisor, "s", endless())
    await asyncio.sleep(0)
    turns.at += 1
    async with asyncio.timeout(PATIENCE_S):
        assert await told.get() == ("p", "s", None)
    await supervisor.stop()


async def test_an_event_that_can_never_be_stored_is_said_and_holds_up_nothing(
    supervisor: SensorSupervisor, inbox: Inbox, turns: Turns
) -> None:
    inbox.bad = frozenset({"2"})
    go_on = asyncio.Event()

    async def script(context: SensorContext) -> AsyncIterator[Event | Batch]:
        yield Batch([event("1"), event("2")])
        await go_on.wait()
        yield event("3")
        await turns.tell()
        await for_ever()

    start(supervisor, "s", script)
    await turns.until(lambda: inbox.ids == ["1", "2"])
    await asyncio.sleep(0)
    assert supervisor.status("p", "s").error == "event 2 cannot be stored"
    go_on.set()
    await turns.until(lambda: len(inbox.ids) == 3)
    await turns.until(lambda: supervisor.status("p", "s").error is None)


async def test_stopping_lets_every_sensor_close_what_it_holds(
    supervisor: SensorSupervisor, inbox: Inbox, turns: Turns
) -> None:
    closed: list[str] = []

    def script(name: str) -> Script:
        async def holding(context: SensorContext) -> AsyncIterator[Event | Batch]:
            try:
                yield event(name)
                await for_ever()
            finally:
                await asyncio.sleep(0)
                closed.append(name)

        return holding

    start(supervisor, "a", script("a"))
    start(supervisor, "b", script("b"))
    inbox.refusals += [SensorflowError("full")]
    await turns.until(lambda: len(inbox.ids) == 2)
    await supervisor.stop()
    assert sorted(closed) == ["a", "b"]
    assert supervisor.status("p", "a").state == supervisor.status("p", "b").state == "stopped"


async def test_a_cancellation_that_slips_out_of_a_sensor_is_a_fault_of_that_sensor(
    supervisor: SensorSupervisor, turns: Turns
) -> None:
    async def script(context: SensorContext) -> AsyncIterator[Event | Batch]:
        inner = asyncio.create_task(for_ever())
        inner.cancel()
        await inner
        yield

    start(supervisor, "s", script)
    await turns.until(lambda: len(turns.slept) >= 2)
    assert supervisor.status("p", "s").error == "CancelledError"


async def test_a_sensor_whose_events_end_is_stopped(
    supervisor: SensorSupervisor, inbox: Inbox, turns: Turns
) -> None:
    async def script(context: SensorContext) -> AsyncIterator[Event | Batch]:
        yield event("1")

    start(supervisor, "s", script)
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "sensor p/s")
    await task
    assert supervisor.status("p", "s").state == "stopped" and inbox.ids == ["1"] and turns.slept == []


async def test_a_sensor_is_started_once(supervisor: SensorSupervisor) -> None:
    start(supervisor, "s", endless())
    with pytest.raises(ValueError, match="runs already"):
        start(supervisor, "s", endless())
    assert supervisor.status("p", "unknown").state == "stopped"


def test_the_system_clock_is_a_clock_for_it() -> None:
    async def submit(messages: Sequence[Observed]) -> Sequence[Receipt | SensorflowError | None]:
        return []

    assert SensorSupervisor(submit, SystemClock()).status("p", "s").since > 0
