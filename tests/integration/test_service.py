"""The loop over a real SQLite store: what is answered, what is kept, what is started again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from sensorflow import service as service_module
from sensorflow.clock import SystemClock
from sensorflow.core import ingest
from sensorflow.core.commands import SendAlert, StartAttempt
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import NotFoundError, OverloadedError, UnavailableError
from sensorflow.core.messages import (
    AttemptEnded,
    AttemptStarted,
    DeclaredReady,
    EventState,
    LostAttempt,
    Observed,
    Receipt,
    RetryTasks,
)
from sensorflow.core.states import AttemptState, TaskState
from sensorflow.core.vocabulary import (
    Command,
    DatasetDefinition,
    DatasetInput,
    Event,
    Grain,
    HttpCall,
    Partitioning,
    PipelineDefinition,
    RetryPolicy,
    Rule,
    Selection,
    SensorDefinition,
    TaskDefinition,
)
from sensorflow.ports import AttemptKey, StoreError
from sensorflow.service import GROUP, Service
from sensorflow.store.sqlite import SqliteStore

DAILY = Partitioning(Grain.DAILY)
DEFINITIONS = Definitions(
    pipelines={
        "p": PipelineDefinition(
            name="p",
            partitioning=DAILY,
            tasks={
                "load": TaskDefinition(
                    name="load",
                    action=Command(argv=("true",)),
                    inputs=(DatasetInput(dataset="a", selection=Selection.SAME),),
                    retries=RetryPolicy(max=1, delay_s=0.01, jitter=0),
                )
            },
        )
    },
    datasets={"a": DatasetDefinition(name="a", partitioning=DAILY)},
    sensors={},
)


class Recorder:
    """An executor that starts nothing and says when it was told to."""

    def __init__(self) -> None:
        self.orders: asyncio.Queue[StartAttempt] = asyncio.Queue()
        self.rescued: list[LostAttempt] = []
        self.removed_logs: list[str] = []
        self.alerts: list[SendAlert] = []

    def start(self, order: StartAttempt) -> None:
        self.orders.put_nowait(order)

    def stop(self, key: AttemptKey, reason: str) -> None:
        raise AssertionError(f"nothing is to be stopped: {key}, {reason}")

    def remove_logs(self, run_ids: Sequence[str]) -> None:
        self.removed_logs.extend(run_ids)

    async def rescue(self, lost: Sequence[LostAttempt]) -> None:
        self.rescued.extend(lost)

    async def close(self) -> None:
        return


@asynccontextmanager
async def serving(
    path: Path, definitions: Definitions = DEFINITIONS
) -> AsyncIterator[tuple[Service, Recorder, SqliteStore]]:
    store = SqliteStore(path)
    recorder = Recorder()
    service = Service(definitions, store, recorder, SystemClock(), workers=4, tell=recorder.alerts.append)
    loop = asyncio.create_task(service.run())
    await service.started.wait()
    try:
        yield service, recorder, store
    finally:
        service.hold()
        service.finish()
        await loop
        store.close()


def ready(partition: str, event_id: str | None = None) -> DeclaredReady:
    event = Event(source="/ready/a", id=event_id or partition)
    return DeclaredReady(event=event, dataset="a", partition=partition)


def ended(order: StartAttempt, state: AttemptState) -> AttemptEnded:
    return AttemptEnded(run_id=order.run_id, task=order.task, number=order.number, state=state)


def began(order: StartAttempt) -> AttemptStarted:
    return AttemptStarted(
        run_id=order.run_id, task=order.task, number=order.number, pid=7, pid_started="then"
    )


def pid_of(store: SqliteStore, order: StartAttempt) -> int | None:
    attempt = store.reader.attempt(order.run_id, order.task, order.number)
    assert attempt is not None
    return attempt.pid


async def test_an_answer_comes_after_the_commit_and_the_attempt_starts(tmp_path: Path) -> None:
    async with serving(tmp_path / "state.db") as (service, recorder, store):
        receipt = await service.submit(ready("2026-06-01"))
        assert receipt is not None
        assert store.reader.event(receipt.seq) is not None
        assert (await recorder.orders.get()).partition == "2026-06-01"


async def test_that_an_attempt_has_started_is_stored_with_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "_START_WAITS_S", 1000.0)
    async with serving(tmp_path / "state.db") as (service, recorder, store):
        await service.submit(ready("2026-06-01"))
        first = await recorder.orders.get()
        service.post(began(first))
        await service.submit(ready("2026-06-02"))
        assert pid_of(store, first) == 7
        second = await recorder.orders.get()
        service.post(began(second))
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        assert pid_of(store, second) == 7


async def test_that_an_attempt_has_started_is_stored_soon_where_nothing_else_comes(tmp_path: Path) -> None:
    async with serving(tmp_path / "state.db") as (service, recorder, store):
        await service.submit(ready("2026-06-01"))
        order = await recorder.orders.get()
        service.post(began(order))
        async with asyncio.timeout(10):
            while pid_of(store, order) is None:
                await service.next_commit()


async def test_a_failed_attempt_is_started_again_by_its_timer(tmp_path: Path) -> None:
    async with serving(tmp_path / "state.db") as (service, recorder, _):
        await service.submit(ready("2026-06-01"))
        service.post(ended(await recorder.orders.get(), AttemptState.FAILED))
        async with asyncio.timeout(10):
            assert (await recorder.orders.get()).number == 2


async def test_a_restart_puts_interrupted_attempts_back_and_fires_nothing_else(tmp_path: Path) -> None:
    async with serving(tmp_path / "state.db") as (service, recorder, _):
        await service.submit(ready("2026-06-01"))
        await service.submit(ready("2026-06-02"))
        first = await recorder.orders.get()
        second = await recorder.orders.get()
        service.post(ended(first, AttemptState.SUCCEEDED))
    async with serving(tmp_path / "state.db") as (service, recorder, store):
        async with asyncio.timeout(10):
            again = await recorder.orders.get()
        assert (again.partition, again.number) == (second.partition, 2)
        assert [lost.run_id for lost in recorder.rescued] == [second.run_id]
        assert recorder.orders.empty()
        assert (await service.submit(ready("2026-06-01"))).state is EventState.DUPLICATE  # type: ignore[union-attr]
        attempt = store.reader.attempt(second.run_id, "load", 1)
        assert attempt is not None
        assert attempt.state is AttemptState.INTERRUPTED


async def test_a_restart_leaves_alone_what_waits_for_a_callback_by_a_token_that_is_on_disk(
    tmp_path: Path,
) -> None:
    pipeline = DEFINITIONS.pipelines["p"]
    call = replace(pipeline.tasks["load"], action=HttpCall(url="http://127.0.0.1:9/", callback=True))
    calling = replace(DEFINITIONS, pipelines={"p": replace(pipeline, tasks={"load": call})})
    async with serving(tmp_path / "state.db", calling) as (service, recorder, store):
        await service.submit(ready("2026-06-01"))
        first = await recorder.orders.get()
        assert first.token is not None
        assert store.reader.attempt_of(first.token) is not None
    async with serving(tmp_path / "state.db", calling) as (service, recorder, store):
        await service.submit(ready("2026-06-02"))
        assert (await recorder.orders.get()).partition == "2026-06-02"
        assert (recorder.rescued, recorder.orders.empty()) == ([], True)
        attempt = store.reader.attempt_of(first.token)
        assert attempt is not None
        assert attempt.state is AttemptState.RUNNING


async def test_what_is_wrong_with_a_message_is_its_senders_answer(tmp_path: Path) -> None:
    async with serving(tmp_path / "state.db") as (service, _, _):
        with pytest.raises(NotFoundError, match="no run x"):
            await service.submit(RetryTasks(run_id="x"))


async def test_a_batch_is_one_commit_with_an_answer_each(tmp_path: Path) -> None:
    async with serving(tmp_path / "state.db") as (service, _, _):
        answers = await service.submit_all([ready("2026-06-01"), RetryTasks(run_id="x"), ready("2026-06-01")])
        assert isinstance(answers[0], Receipt)
        assert isinstance(answers[1], NotFoundError)
        assert isinstance(answers[2], Receipt)
        assert answers[2].state is EventState.DUPLICATE


async def test_many_that_need_not_be_in_one_commit_let_others_in_between(tmp_path: Path) -> None:
    days = [(date(2000, 1, 1) + timedelta(days=number)).isoformat() for number in range(2 * GROUP + 1)]
    async with serving(tmp_path / "state.db") as (service, _, store):
        many = asyncio.create_task(service.submit_each([ready(day) for day in days]))
        await asyncio.sleep(0)
        assert isinstance(await service.submit(ready("2026-06-01")), Receipt)
        assert not many.done()
        answers = await many
        assert [each.arrivals[0].partition for each in answers] == days  # type: ignore[union-attr]
        assert store.reader.last_seq() == len(days) + 1


async def test_a_message_that_cannot_be_decided_harms_no_other(tmp_path: Path) -> None:
    async with serving(tmp_path / "state.db") as (service, _, store):
        poison = DeclaredReady(event=Event(source="/x", id="1"), dataset="unheard_of", partition="2026-06-01")
        asked: list[Awaitable[Receipt | None]] = [
            asyncio.ensure_future(service.submit(message))
            for message in (ready("2026-06-01"), poison, ready("2026-06-02"))
        ]
        first, failed, third = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(first, Receipt)
        assert isinstance(failed, KeyError)
        assert isinstance(third, Receipt)
        batch = await service.submit_all([ready("2026-06-03"), poison])
        assert isinstance(batch[0], Receipt)
        assert str(batch[1]) == "this event could not be handled: KeyError"
        assert store.reader.identity("/x", "1") is None


@pytest.mark.parametrize("together", [1, 30])
@pytest.mark.parametrize("fault", ["rule", "index"])
async def test_an_event_that_breaks_something_is_kept_as_rejected_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int, fault: str
) -> None:
    owner, name = {"rule": (ingest, "read_rule"), "index": (Definitions, "take")}[fault]
    real = getattr(owner, name)

    def breaks(*arguments: Any) -> Any:
        if arguments[-1 if fault == "rule" else 1]["id"] == "poison":
            raise RecursionError("too deep")
        return real(*arguments)

    monkeypatch.setattr(owner, name, breaks)
    rule = Rule(dataset="a", partition="data")
    seen = SensorDefinition(pipeline="p", name="seen", kind="mqtt", rule=rule)
    definitions = replace(DEFINITIONS, sensors={("p", "seen"): seen})
    async with serving(tmp_path / "state.db", definitions) as (service, _, store):
        events = [Event(source="/x", id="poison", data="2026-06-01")]
        events += [
            Event(source="/x", id=f"{day}", data=f"2026-06-{day:02}") for day in range(1, together + 1)
        ]
        answers = await service.submit_all([Observed(event=each, sensor=("p", "seen")) for each in events])
        receipts = [answer for answer in answers if isinstance(answer, Receipt)]
        assert [each.state for each in receipts] == [EventState.REJECTED, *[EventState.ACCEPTED] * together]
        row = store.reader.event(receipts[0].seq)
        assert row is not None and row.reason is not None
        assert "it could not be handled (RecursionError: too deep)" in row.reason


async def test_a_store_that_takes_no_writes_refuses_and_forgets_no_end_of_an_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "_STORE_RETRY_S", 0.01)
    async with serving(tmp_path / "state.db") as (service, recorder, store):
        await service.submit(ready("2026-06-01"))
        order = await recorder.orders.get()
        real, refused = store.commit, asyncio.Event()
        monkeypatch.setattr(store, "commit", _failing(store, refused))
        with pytest.raises(UnavailableError, match="disk is full"):
            await service.submit(ready("2026-06-02"))
        assert service.trouble == "disk is full"
        refused.clear()
        service.post(ended(order, AttemptState.SUCCEEDED))
        await refused.wait()
        monkeypatch.setattr(store, "commit", real)
        async with asyncio.timeout(10):
            while (row := store.reader.task(order.run_id, "load")) is None or row.state is TaskState.RUNNING:
                await service.next_commit()
        assert row.state is TaskState.SUCCEEDED and service.trouble is None
        assert store.reader.identity("/ready/a", "2026-06-02") is None


def _failing(store: SqliteStore, refused: asyncio.Event) -> Callable[..., Awaitable[None]]:
    async def commit(*, busy: bool = False) -> None:
        store.rollback()
        refused.set()
        raise StoreError("disk is full")

    return commit


async def test_a_read_that_fails_behind_a_commit_ends_nothing_and_delays_no_timer_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "_STORE_RETRY_S", 0.01)
    async with serving(tmp_path / "state.db") as (service, recorder, store):
        await service.submit(ready("2026-06-01"))
        order = await recorder.orders.get()
        failed: list[bool] = []
        next_timer_at = store.reader.next_timer_at

        def unreadable() -> float | None:
            if not failed:
                failed.append(True)
                raise StoreError("the store cannot be read: disk I/O error")
            return next_timer_at()

        monkeypatch.setattr(store.reader, "next_timer_at", unreadable)
        service.post(ended(order, AttemptState.FAILED))
        async with asyncio.timeout(10):
            assert (await recorder.orders.get()).number == 2
        assert failed


async def test_a_start_that_waits_for_the_next_group_fills_no_inbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "INBOX", 2)
    async with serving(tmp_path / "state.db") as (service, _, _):
        await service.submit(ready("2026-06-09"))
        service.post(AttemptStarted(run_id="x", task="load", number=1, pid=1, pid_started="1"))
        assert service.waiting == 1
        answers = await service.submit_all([ready(f"2026-06-0{day}") for day in range(1, 4)])
        assert [type(answer) for answer in answers] == [Receipt] * 3


async def test_a_full_inbox_refuses_and_stores_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "INBOX", 2)
    async with serving(tmp_path / "state.db") as (service, _, store):
        days = [f"2026-06-0{day}" for day in range(1, 9)]
        asked = [asyncio.create_task(service.submit(ready(day))) for day in days]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = {
            day for day, answer in zip(days, answers, strict=True) if isinstance(answer, OverloadedError)
        }
        assert len(refused) >= 6
        stored = {day for day in days if store.reader.identity("/ready/a", day) is not None}
        assert stored == set(days) - refused
