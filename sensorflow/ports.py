"""What the service asks of the world around it. Implementations live in folders of these names."""

from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from pydantic import BaseModel

from sensorflow.core.commands import SendAlert, StartAttempt
from sensorflow.core.errors import SensorflowError
from sensorflow.core.messages import AttemptEnded, AttemptStarted, EventState, LostAttempt
from sensorflow.core.state import (
    AlertRow,
    ArrivalRow,
    BackfillRow,
    EventRow,
    OperationRow,
    PartitionRow,
    PipelineRow,
    RunRow,
    SensorRow,
    State,
    TokenRow,
)
from sensorflow.core.states import RunState, TaskState
from sensorflow.core.vocabulary import DatasetDefinition, Event, SensorDefinition

#: Run id, task, attempt number.
AttemptKey: TypeAlias = tuple[str, str, int]


class Clock(Protocol):
    """Reads time. Wall time decides, monotonic time measures."""

    def now(self) -> float:
        """Return seconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds that never jump."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that a sensor saw together; they are stored in one commit."""

    events: Sequence[Event]


class SensorService(Protocol):
    """What a sensor may ask the service that runs it. What is told is committed."""

    @property
    def clock(self) -> Clock:
        """Reads time."""

    @property
    def allow_private(self) -> bool:
        """Tell whether requests may go to link-local addresses and to those where clouds keep secrets."""

    def dataset(self) -> DatasetDefinition:
        """Return the dataset that the sensor feeds, as it is defined now."""

    def timezone(self) -> str:
        """Return the zone of clock times in the sensor's file."""

    def asked(self) -> Iterator[Sequence[str]]:
        """Yield the partitions of the dataset that are asked for and not ready, the newest first.

        They come in pages, each of which reads the store; other work may be done in between.
        """

    def kept(self, source: str, place: str) -> str | None:
        """Return the `content` of the newest event of this source that `replaces` this place."""

    def masked(self, text: str) -> str:
        """Return a text without the secrets that came into the home's files from the environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorContext:
    """What a sensor knows of the place it runs in."""

    pipeline: str
    name: str
    #: Relative paths of options are relative to this folder.
    home: Path
    #: Differs between homes, stays the same over restarts.
    instance: str
    #: Tells the service, and so its users, how the sensor is: `None` is well, a text is what is wrong.
    report: Callable[[str | None], None]
    #: None where the sensor runs alone, as in a test.
    service: SensorService | None = None


class Sensor(Protocol):
    """Observes events outside.

    `events` yields an `Event` or a `Batch`. The iterator is resumed only after what it yielded
    is committed, so what stands behind a `yield` may acknowledge. A class with a true
    `tells_when_well` counts as starting until it reports None. It runs until it is cancelled;
    an exception is shown as the sensor's state and the sensor is started again after a while.
    """

    #: The pydantic model of the options that stand in the sensor's section.
    Options: type[BaseModel]

    def __init__(self, options: Any, context: SensorContext) -> None: ...

    def events(self) -> AsyncIterator[Event | Batch]:
        """Yield what is observed."""


class WouldSee(Protocol):
    """Says what sensors would see if a file, a message or a body came."""

    def __call__(
        self, sensors: Iterable[SensorDefinition], *, path: str | None, topic: str | None, body: bytes
    ) -> list[tuple[SensorDefinition, Event | str]]:
        """Return the event of each sensor, or in words why one of such a kind would not see it.

        Raises:
            ValueError: a body is no JSON.
        """


class Executor(Protocol):
    """Runs attempts somewhere and says how they ended."""

    def start(self, order: StartAttempt) -> None:
        """Start an attempt; returns at once. `report` is told of its process and of its end.

        The end of an attempt that was handed over, as `TaskKind.run` says, is not reported.
        """

    def stop(self, key: AttemptKey, reason: str) -> None:
        """Stop an attempt: SIGTERM, and after the grace time SIGKILL.

        One that does not run here, as it was handed over or is over, is reported as cancelled at once.
        """

    def remove_logs(self, run_ids: Sequence[str]) -> None:
        """Remove what attempts of these runs have put out, if anything; returns at once."""

    async def rescue(self, lost: Sequence[LostAttempt]) -> None:
        """Make sure that nothing of these attempts of a dead service still runs."""

    async def close(self) -> None:
        """Stop all attempts, each reported as interrupted, and return when none is left."""


Report: TypeAlias = Callable[[AttemptStarted | AttemptEnded], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptPlace:
    """Where one attempt works."""

    home: Path
    #: The path of its log: the folder is there, the file is not.
    log: str
    #: The path of its context: whoever runs the attempt writes it; the folder is there.
    context_file: str
    #: What belongs into that file: JSON, in one line.
    context: bytes
    #: The whole environment of the attempt.
    env: Mapping[str, str]
    #: To be called once with the process that runs the attempt: its id, and when it started as
    #: `processes.process_started` has it.
    started: Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How what an attempt ran came to its end: 0 succeeded, 99 skipped, all else failed."""

    exit_code: int
    #: Why it failed, in words; None takes the words from the exit code.
    error: str | None = None


class TaskKind(Protocol):
    """Knows how one kind of action is run."""

    def start(self, order: StartAttempt, place: AttemptPlace) -> Coroutine[Any, Any, Outcome | None]:
        """Start the attempt before this returns, and return what waits for its end.

        It gives None where the attempt goes on elsewhere and ends by a callback. Cancelling it, once it
        waits, stops the attempt and all it started (SIGTERM to the process group, after the grace time
        SIGKILL), and returns only when nothing of it is left.
        """

    async def close(self) -> None:
        """Release what is kept between attempts."""


class AlertError(SensorflowError):
    """An alert could not be delivered; says why, and no secret of where to."""


class Alerter(Protocol):
    """Tells somebody of alerts."""

    async def send(self, alert: SendAlert) -> None:
        """Deliver an alert, once.

        Raises:
            AlertError: it was not delivered, as far as is known here.
        """


class StoreError(SensorflowError):
    """The store could not read or keep something; what was not committed is not kept."""


class Listing(Protocol):
    """Reads the committed rows for people: lists in pages, and counts."""

    def runs(
        self,
        *,
        pipeline: str | None,
        partition: str | None,
        state: RunState | None,
        before: str | None,
        limit: int,
        backfill: str | None = None,
    ) -> list[RunRow]:
        """Return runs, the newest id first, ids below `before` where given."""

    def runs_by_partition(self, pipeline: str, *, before: str | None, limit: int) -> list[RunRow]:
        """Return the runs of partitions by key, the highest first, keys below `before` where given.

        Of calendar grains, whose keys sort as their starts do, that is the newest partition first.
        """

    def last_run(self, pipeline: str) -> RunRow | None:
        """Return the pipeline's newest run."""

    def run_counts(self, pipeline: str) -> dict[RunState, int]:
        """Count the pipeline's runs by state; states without a run are absent."""

    def backfill_counts(self, backfill: str) -> dict[RunState, int]:
        """Count a backfill's runs by state; states without a run are absent."""

    def task_counts(self, pipeline: str) -> dict[TaskState, int]:
        """Count the pipeline's tasks that have a row by state; states without one are absent."""

    def queued_count(self) -> int:
        """Count the queued tasks of all pipelines."""

    def running_count(self) -> int:
        """Count the running attempts of all pipelines."""

    def events(
        self,
        *,
        after: int,
        dataset: str | None,
        state: EventState | None,
        limit: int,
        before: int | None = None,
    ) -> list[EventRow]:
        """Return events by `seq`, those above `after`; `dataset`: those that brought it an arrival.

        Args:
            before: Only those below it, and the highest first.
        """

    def event_counts(self, instants: Sequence[float]) -> list[tuple[int, int]]:
        """Count the events received between each instant and the next, and those of them that were rejected.

        Args:
            instants: In order; each counts in, the last does not.
        """

    def arrivals(self, seq: int) -> list[ArrivalRow]:
        """Return what an event made, by dataset, partition and part."""

    def partitions(self, dataset: str, *, after: str | None, limit: int) -> list[PartitionRow]:
        """Return partitions by key, the highest first, keys below `after` where given.

        Of calendar grains, whose keys sort as their starts do, that is the newest first.
        """

    def partition_counts(self, dataset: str) -> tuple[int, int]:
        """Count the partitions that are ready, and those of which only a part is there.

        Of a partition that was withdrawn as a whole nothing is there.
        """

    def newest(self, dataset: str) -> PartitionRow | None:
        """Return the newest ready partition, as `State.newest_ready` without a bound."""

    def sensors(self) -> list[SensorRow]:
        """Return all sensors that have brought an event, by pipeline and name."""

    def pipelines(self) -> list[PipelineRow]:
        """Return what was said of pipelines, by name."""

    def backfills(
        self, *, before: str | None, limit: int, pipelines: Collection[str] | None = None
    ) -> list[BackfillRow]:
        """Return backfills, the newest id first, ids below `before` where given.

        Args:
            pipelines: Only those of these.
        """

    def alerts(
        self,
        *,
        open_only: bool,
        before: str | None,
        limit: int,
        pipelines: Collection[str] | None = None,
        datasets: Collection[str] = (),
    ) -> list[AlertRow]:
        """Return alerts, the one opened last first, those after the alert `before` where given.

        Args:
            pipelines: Only those of these, and those of no pipeline that are of one of `datasets`.
        """

    def operations(self, run_id: str) -> list[OperationRow]:
        """Return what operators did to a run, the oldest first."""

    def odd_events_of(
        self, pipeline: str, *, after: int, before: int | None, state: EventState | None, limit: int
    ) -> list[EventRow]:
        """Return what a pipeline's own sensors saw and was not accepted; the order is that of `events`."""

    def tokens(self) -> list[TokenRow]:
        """Return all tokens, the oldest first."""


class Store(Protocol):
    """Keeps rows. One writer; a transaction is one group of decisions.

    An event, a part, an identity or a content whose text is no Unicode (half of a surrogate pair)
    is refused with a ValueError where it is put or asked for: what is wrong is the text, not the store.
    """

    def begin(self) -> State:
        """Open the transaction of a group. Nothing else may touch it before its end.

        Raises:
            StoreError: the store cannot be written now.
            RuntimeError: a transaction is open: a fault of the caller.
        """

    async def commit(self, *, busy: bool = False) -> None:
        """Make the open transaction durable; after this line a crash loses nothing of it.

        A commit that is cancelled is carried through first; whether it is stored is not told then.

        Args:
            busy: More is waiting, so the wait for the disk is better spent elsewhere.

        Raises:
            StoreError: it is not stored; the transaction is undone and the store can be used on.
        """

    def rollback(self) -> None:
        """Undo the open transaction; without one nothing happens."""

    def make_room(self) -> None:
        """Give up the room on the disk that is kept for when it is full."""

    def recover(self) -> None:
        """See that writes are taken, and keep some room on the disk for when they are not.

        Raises:
            StoreError: they are not, or there is no such room.
        """

    @property
    def reader(self) -> State:
        """The committed state, for reading only."""

    @property
    def listing(self) -> Listing:
        """The committed rows as people want to see them."""

    @property
    def instance(self) -> str:
        """What tells this store from all others, for as long as it lives."""

    def close(self) -> None:
        """Release what is held; an open transaction is undone."""
