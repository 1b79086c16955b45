"""For tests of your own: a sensor without a service; the service's decisions under a clock that you hold."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path

from sensorflow.core.commands import RemoveLogs, SendAlert, StartAttempt, StopAttempt
from sensorflow.core.definitions import Definitions
from sensorflow.core.explain import Why, explain
from sensorflow.core.messages import (
    Answer,
    AttemptEnded,
    DeclaredReady,
    Message,
    Moment,
    Receipt,
    TimersDue,
)
from sensorflow.core.reading import declared_partition
from sensorflow.core.state import RunRow
from sensorflow.core.states import AttemptState, TaskState
from sensorflow.core.vocabulary import Event, JsonValue, Retention
from sensorflow.ports import Batch, Sensor, SensorContext, Store
from sensorflow.rehearsal.virtual import take_turn
from sensorflow.store.memory import MemoryStore


class FakeClock:
    """A clock that moves when it is told to."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Return the same; this clock never jumps back."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on."""
        if seconds < 0:
            raise ValueError(f"expected a number of seconds >= 0, found {seconds}")
        self._now += seconds


async def collect(
    sensor: type[Sensor],
    options: Mapping[str, object],
    count: int,
    *,
    home: Path,
    report: Callable[[str | None], None] = lambda problem: None,
    timeout_s: float = 10.0,
) -> list[Event]:
    """Run a sensor alone and return the first events that it brings; then it is stopped.

    It is resumed behind each `yield` as if what it yielded were stored, but for the last one.

    Args:
        options: What would stand in its section, checked by its `Options`.
        count: How many events to wait for; what it yields together comes together, so there may be more.
        home: The folder that relative paths are relative to.
        report: Told what the sensor reports of itself.

    Raises:
        pydantic.ValidationError: the options are not as `Options` wants them.
        TimeoutError: so many did not come in time.
        RuntimeError: the sensor ended before, which one of a service never does.
    """
    context = SensorContext(pipeline="tests", name="sensor", home=home, instance="tests", report=report)
    found: list[Event] = []
    observed = sensor(sensor.Options.model_validate(options), context).events()
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            async for seen in observed:
                found += seen.events if isinstance(seen, Batch) else [seen]
                if len(found) >= count:
                    return found
    except TimeoutError:
        if not limit.expired():
            raise  # It is the sensor's own.
        raise TimeoutError(f"expected {count} events within {timeout_s:g} s, found {len(found)}") from None
    finally:
        if isinstance(observed, AsyncGenerator):
            await observed.aclose()
    raise RuntimeError(f"expected {count} events, found {len(found)} and the sensor's end")


class VirtualService:
    """The production decisions over an in-memory store; attempts end when the test says so.

    Every call is one transaction, as a group of one is in the service.
    """

    def __init__(
        self, definitions: Definitions, *, clock: FakeClock | None = None, workers: int = 1_000
    ) -> None:
        self.definitions = definitions
        self.clock = clock or FakeClock()
        self.store: Store = MemoryStore()
        self.workers = workers
        #: How long what is over is kept; a `Reviewed` takes up what is put here.
        self.retention = Retention()
        #: Every attempt that was started, in order.
        self.started: list[StartAttempt] = []
        #: Every attempt that was told to stop, and every alert that was told.
        self.stopped: list[StopAttempt] = []
        self.alerts: list[SendAlert] = []
        #: The runs whose logs were removed.
        self.logs_removed: list[str] = []
        self._ids = 0
        self._events = 0

    def send(self, message: Message) -> Answer:
        """Decide a message and start what may start.

        Raises:
            SensorflowError: what is wrong with the message; nothing is changed.
        """
        moment = Moment(now=self.clock.now(), new_id=self._new_id, new_token=self._new_id, draw=lambda: 0.0)
        answer, orders = take_turn(
            self.store, self.definitions, moment, message, self.workers, retention=self.retention
        )
        self.started += [order for order in orders if isinstance(order, StartAttempt)]
        self.stopped += [order for order in orders if isinstance(order, StopAttempt)]
        self.alerts += [order for order in orders if isinstance(order, SendAlert)]
        self.logs_removed += [
            run_id for order in orders if isinstance(order, RemoveLogs) for run_id in order.run_ids
        ]
        return answer

    def ready(
        self,
        dataset: str,
        partition: JsonValue = None,
        *,
        part: str | None = None,
        event_id: str | None = None,
    ) -> Receipt:
        """Say that a dataset's partition, or a part of it, is ready, as `POST /api/v1/ready` does."""
        definition = self.definitions.datasets[dataset]
        self._events += 1
        event = Event(source=f"/ready/{dataset}", id=event_id or f"event-{self._events}")
        key = declared_partition(definition, partition)
        receipt = self.send(DeclaredReady(event=event, dataset=dataset, partition=key, part=part))
        if not isinstance(receipt, Receipt):
            raise TypeError("an event is always answered with a receipt")
        return receipt

    def end(
        self, order: StartAttempt, state: AttemptState = AttemptState.SUCCEEDED, error: str | None = None
    ) -> None:
        """Let an attempt end."""
        self.send(
            AttemptEnded(run_id=order.run_id, task=order.task, number=order.number, state=state, error=error)
        )

    def end_all(self) -> None:
        """Let every attempt that runs succeed, and those that this starts, until none runs."""
        while running := self.running():
            for order in running:
                self.end(order)

    def running(self) -> list[StartAttempt]:
        """Return the attempts that have started and not ended."""
        keys = {(row.run_id, row.task, row.number) for row in self.store.reader.running()}
        return [order for order in self.started if (order.run_id, order.task, order.number) in keys]

    def pass_time(self, seconds: float) -> None:
        """Move the clock on, stopping at every timer on the way."""
        until = self.clock.now() + seconds
        while (due_at := self.store.reader.next_timer_at()) is not None and due_at <= until:
            self.clock.advance(max(0.0, due_at - self.clock.now()))
            self.send(TimersDue())
        self.clock.advance(until - self.clock.now())

    def run_of(self, pipeline: str, partition: str) -> RunRow | None:
        """Return the run of a pipeline for a partition."""
        return self.store.reader.run_of(pipeline, partition)

    def task_states(self, pipeline: str, partition: str) -> dict[str, TaskState]:
        """Return where each task of a partition stands."""
        why = self.why(pipeline, partition)
        return {task.name: task.state for task in why.tasks}

    def why(self, pipeline: str, partition: str) -> Why:
        """Return why the tasks of a partition have not run."""
        return explain(
            self.definitions, self.store.reader, pipeline, partition, self.workers, self.clock.now()
        )

    def _new_id(self) -> str:
        self._ids += 1
        return f"run-{self._ids:08}"
