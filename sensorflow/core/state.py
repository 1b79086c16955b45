"""The rows that decisions read and write, and the protocol by which they do.

A `State` is one consistent view. A store hands one out for the length of a transaction; what is
put is seen by what is read after it, and nothing is kept unless the store commits.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

from sensorflow.core.messages import EventState
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import Event, Scope


class EventRow(NamedTuple):
    """An event as it was stored."""

    seq: int
    event: Event
    #: The identity's id; differs from `event.id` where the content identifies it.
    id: str
    received_at: float
    #: (pipeline, sensor) that saw it; None for what was posted.
    sensor: tuple[str, str] | None
    state: EventState
    reason: str | None


class EventMark(NamedTuple):
    """As much of a stored event as is needed to say whether it is still kept."""

    seq: int
    source: str
    #: The key of its content, where that tells it from others; else empty.
    content_key: str
    received_at: float
    state: EventState


class ArrivalRow(NamedTuple):
    """What an event made of a dataset's partition."""

    seq: int
    dataset: str
    partition: str
    #: Empty where the whole arrives at once.
    part: str
    version: int
    #: True where the partition was all there after it.
    ready: bool
    #: The sensor whose rule read it.
    sensor: tuple[str, str] | None


class PartitionRow(NamedTuple):
    """What is there of a dataset's partition."""

    dataset: str
    partition: str
    #: Seconds since the epoch; None where the grain has no bounds.
    start: float | None
    #: 0 while not all is there, 1 when complete, +1 with every arrival after that.
    version: int
    #: Events so far.
    arrivals: int
    first_at: float
    last_at: float
    ready_at: float | None = None
    #: Taken back by an operator, until the next arrival.
    withdrawn: bool = False
    #: Of several dimensions, the keys of those that are not of the calendar, joined; else empty.
    beside: str = ""
    #: How often the whole has arrived at once, and the event that brought it last; 0: not, or taken back.
    whole: int = 0
    whole_seq: int = 0

    @property
    def ready(self) -> bool:
        """Tell whether all of it is there."""
        return self.version > 0 and not self.withdrawn


class PartRow(NamedTuple):
    """The newest arrival of one part of a partition."""

    dataset: str
    partition: str
    part: str
    version: int
    #: The event that made it.
    seq: int


class RunRow(NamedTuple):
    """One pipeline for one partition."""

    id: str
    pipeline: str
    partition: str
    partition_start: float | None
    generation: int
    state: RunState
    #: A task is running or retrying: it counts against `max_active_runs`.
    active: bool
    stale: bool
    #: What made it: `event`, `backfill`, ...
    trigger: str
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    #: It fires without inputs and times.
    forced: bool = False
    #: The tasks with which the next generation begins, once this one has ended.
    pending: tuple[str, ...] = ()
    #: The backfill whose limits hold for it; empty for none.
    backfill: str = ""

    @property
    def open(self) -> bool:
        """Tell whether a task of it may still start by itself."""
        return self.state not in (RunState.SUCCEEDED, RunState.CANCELLED)


class PastRunRow(NamedTuple):
    """What is kept of a run that was removed, so that no arrival fires its partition a second time."""

    pipeline: str
    partition: str
    #: The last one it had; a run that follows goes on from here.
    generation: int
    state: RunState


class TaskRow(NamedTuple):
    """A task of a run that has left `waiting` at least once."""

    run_id: str
    task: str
    pipeline: str
    state: TaskState
    generation: int
    #: Attempts so far, over all retries and generations.
    attempts: int = 0
    #: Failed attempts since the budget of retries was last given.
    failures: int = 0
    #: Attempts of this firing that a crash of the service ended.
    crashes: int = 0
    priority: int = 0
    #: A newer version of what the running attempt consumes has arrived.
    outdated: bool = False
    #: It is being cancelled: however the attempt that runs ends, no other follows.
    stopping: bool = False
    #: The line that it stands in: its run's backfill, or empty.
    lane: str = ""
    #: When it became queued, and the order among those of one moment.
    queued_at: float | None = None
    next_attempt_at: float | None = None


class AttemptRow(NamedTuple):
    """One try of a task."""

    run_id: str
    task: str
    number: int
    pipeline: str
    generation: int
    state: AttemptState
    started_at: float
    #: What it consumed: dataset -> partition -> version.
    consumed: Mapping[str, Mapping[str, int]]
    ended_at: float | None = None
    exit_code: int | None = None
    error: str | None = None
    pid: int | None = None
    pid_started: str | None = None
    #: Names this attempt to whoever is to call back; None where nobody is.
    token: str | None = None


class FiringRow(NamedTuple):
    """A task was told to run, once for each generation of its run."""

    run_id: str
    generation: int
    task: str
    fired_at: float


class TimerRow(NamedTuple):
    """Something to look at again at a time. A later row of the same key replaces it."""

    key: str
    due_at: float
    #: What is looked at, as `decide` knows it: `retry`, `optional`, `walk`, ...
    kind: str
    run_id: str = ""
    task: str = ""
    pipeline: str = ""
    dataset: str = ""
    partition: str = ""
    #: Runs up to this id have been looked at.
    after: str = ""


class ContentRow(NamedTuple):
    """Content without an id that was seen; counts as the same event until `expires_at`."""

    source: str
    key: str
    digest: str
    seq: int
    expires_at: float


class SensorRow(NamedTuple):
    """What a sensor has brought so far."""

    pipeline: str
    name: str
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    unmatched: int = 0
    last_event_at: float | None = None
    last_seq: int | None = None
    #: The newest event that its rule took and could not read.
    last_rejected_seq: int | None = None


class PipelineRow(NamedTuple):
    """What operators and the file have said of a pipeline."""

    name: str
    paused: bool
    #: What the file said when it was last looked at; the API's word stands until this changes.
    paused_in_file: bool


class WatermarkRow(NamedTuple):
    """Up to which event a task of a pipeline without partitions has consumed a dataset."""

    pipeline: str
    task: str
    dataset: str
    seq: int


class BackfillRow(NamedTuple):
    """Runs for a range of partitions, made on request."""

    id: str
    pipeline: str
    #: As they were asked for; empty where partitions were listed.
    first: str
    last: str
    only: str
    order: str
    max_active: int
    force: bool
    #: How many runs belong to it.
    runs: int
    created_at: float
    cancelled_at: float | None = None
    reason: str | None = None


class AlertRow(NamedTuple):
    """Something that somebody should know; one row a cause, resolved when it ends."""

    #: `failed/{run}`, `late/{dataset}`, `sensor/{pipeline}/{name}` and when it was opened.
    id: str
    cause: str
    #: `failed`, `late` or `sensor_down`.
    kind: str
    text: str
    opened_at: float
    pipeline: str = ""
    dataset: str = ""
    partitions: tuple[str, ...] = ()
    run_id: str = ""
    resolved_at: float | None = None


class OperationRow(NamedTuple):
    """What an operator did, and why."""

    id: str
    at: float
    #: `retry`, `cancel`, `mark`, `withdraw`, `pause`, ...
    kind: str
    pipeline: str = ""
    run_id: str = ""
    task: str = ""
    dataset: str = ""
    partition: str = ""
    reason: str | None = None


class TokenRow(NamedTuple):
    """Who may ask the service for what. The token itself is kept nowhere."""

    id: str
    #: SHA-256 of the token, in hex.
    digest: str
    scope: Scope
    #: Empty: not limited.
    pipelines: tuple[str, ...]
    created_at: float


class State(Protocol):
    """One consistent view of all rows."""

    def foresee(
        self,
        identities: Collection[tuple[str, str]],
        partitions: Collection[tuple[str, str]],
        runs: Collection[tuple[str, str]],
    ) -> None:
        """Take note of what will be asked for, so that it can be read at once; it changes no answer.

        Args:
            identities: Source and id of events.
            partitions: Dataset and partition.
            runs: Pipeline and partition; not the empty one.
        """

    def identity(self, source: str, event_id: str) -> int | None:
        """Return the `seq` of the event of this identity."""

    def content(self, source: str, key: str) -> ContentRow | None: ...
    def put_content(self, row: ContentRow) -> None: ...

    def next_seq(self) -> int:
        """Return the number of the next event; each call returns the next one."""

    def last_seq(self) -> int:
        """Return the number of the newest event; 0 where there is none."""

    def add_event(self, row: EventRow) -> None: ...

    def replace_event(self, row: EventRow) -> None:
        """Change state and reason of a stored event, as a redrive does."""

    def event(self, seq: int) -> EventRow | None: ...
    def add_arrival(self, row: ArrivalRow) -> None: ...
    def arrivals(self, seq: int) -> list[ArrivalRow]:
        """Return what an event made of partitions."""

    def ready_arrivals_since(self, dataset: str, seq: int, limit: int) -> int:
        """Count arrivals of the dataset, of events above `seq`, after which their partition was all there.

        Those of a partition that is withdrawn do not count.
        """

    def partition(self, dataset: str, partition: str) -> PartitionRow | None: ...
    def put_partition(self, row: PartitionRow) -> None: ...

    def partitions(self, dataset: str, keys: Iterable[str]) -> Mapping[str, PartitionRow]:
        """Return those of `keys` that have had an arrival."""

    def newest_ready(
        self, dataset: str, not_after: float | None, beside: str | None = None
    ) -> PartitionRow | None:
        """Return the ready partition with the latest start, not after `not_after` where given.

        Of partitions without bounds it is the one that became ready last. With `beside` only those
        count whose other dimensions have these keys.
        """

    def newest_arrival(self, dataset: str) -> PartitionRow | None:
        """Return the partition that an arrival was added for last."""

    def parts(self, dataset: str, partition: str) -> Mapping[str, PartRow]:
        """Return the parts that arrived by themselves; of the whole its partition's row tells."""

    def put_part(self, row: PartRow) -> None: ...
    def drop_parts(self, dataset: str, partition: str, part: str | None) -> None:
        """Forget the newest arrival of one part of a partition, or of all of them."""

    def run(self, run_id: str) -> RunRow | None: ...
    def run_of(self, pipeline: str, partition: str) -> RunRow | None:
        """Return the run of a partition; of the empty one, which may have many, the newest."""

    def put_run(self, row: RunRow) -> None: ...

    def open_runs(
        self, pipeline: str, *, since: float | None, before: float | None, after: str, limit: int
    ) -> list[RunRow]:
        """Return open runs with `since <= partition_start < before`, by id, ids above `after`."""

    def runs_between(
        self, pipeline: str, *, since: float | None, before: float | None, after: str, limit: int
    ) -> list[RunRow]:
        """Return runs in any state with `since <= partition_start < before`, by id, ids above `after`."""

    def backfill_runs(self, backfill: str, *, after: str, limit: int) -> list[RunRow]:
        """Return the runs of a backfill, by id, ids above `after`."""

    def active_runs(self, pipeline: str) -> list[RunRow]: ...

    def tasks(self, run_id: str) -> Mapping[str, TaskRow]:
        """Return the rows of a run's tasks; one without a row is waiting.

        For the few questions that concern all of them: it costs the more the wider the run is.
        """

    def tasks_by_state(self, run_id: str) -> Mapping[TaskState, Collection[str]]:
        """Return the names of a run's tasks that have a row, by their state, where one is in it.

        Valid until the next row of a task is put.
        """

    def task(self, run_id: str, task: str) -> TaskRow | None: ...
    def put_task(self, row: TaskRow) -> None: ...

    def queued_lanes(self) -> list[tuple[str, str]]:
        """Return the pipelines that have a queued task, each with the lane it stands in."""

    def next_queued(self, pipeline: str, lane: str, run_id: str | None) -> TaskRow | None:
        """Return the queued task that is first in line, of a pipeline's lane or of one run in it.

        The line is by priority, highest first, then by `queued_at`, then by run and task.
        """

    def running(self) -> list[AttemptRow]:
        """Return all attempts that are running."""

    def running_count(self, pipeline: str | None) -> int:
        """Count the running attempts, of all pipelines or of one."""

    def attempt(self, run_id: str, task: str, number: int) -> AttemptRow | None: ...
    def attempts(self, run_id: str) -> list[AttemptRow]:
        """Return the attempts of a run, by task and number."""

    def put_attempt(self, row: AttemptRow) -> None: ...
    def attempt_of(self, token: str) -> AttemptRow | None:
        """Return the attempt that this token names."""

    def firing(self, run_id: str, generation: int, task: str) -> FiringRow | None: ...
    def add_firing(self, row: FiringRow) -> None:
        """Record a firing.

        Raises:
            DoubleFiringError: this generation's firing of the task is recorded already.
        """

    def pipeline(self, name: str) -> PipelineRow | None: ...
    def put_pipeline(self, row: PipelineRow) -> None: ...

    def watermark(self, pipeline: str, task: str, dataset: str) -> int:
        """Return the event up to which the task has consumed the dataset; 0 before the first time."""

    def put_watermark(self, row: WatermarkRow) -> None: ...

    def backfill(self, backfill: str) -> BackfillRow | None: ...
    def put_backfill(self, row: BackfillRow) -> None: ...

    def open_alert(self, cause: str) -> AlertRow | None:
        """Return the alert of a cause that is not resolved."""

    def put_alert(self, row: AlertRow) -> None: ...
    def add_operation(self, row: OperationRow) -> None: ...
    def add_token(self, row: TokenRow) -> None: ...
    def drop_token(self, token: str) -> bool:
        """Forget a token by its id; False where there is none."""

    # What is over, and is kept no longer.

    def event_marks(self, after: int, limit: int) -> list[EventMark]:
        """Return the events with numbers above `after`, by number."""

    def drop_event(self, seq: int) -> int:
        """Forget an event and what it made of partitions; its identity stays.

        Returns:
            How much room that leaves free, in pages of some kilobytes.
        """

    def drop_content(self, source: str, key: str) -> None: ...

    def runs_ended(self, after: tuple[float, str], before: float, limit: int) -> list[RunRow]:
        """Return succeeded and cancelled runs that ended before a time, by end and id, behind `after`."""

    def drop_run(self, run_id: str) -> None:
        """Forget a run with its tasks, attempts, firings and operations."""

    def past_run(self, pipeline: str, partition: str) -> PastRunRow | None: ...
    def put_past_run(self, row: PastRunRow) -> None: ...

    def drop_resolved_alerts(self, before: float, limit: int) -> int:
        """Forget alerts that were opened and resolved before a time, the oldest first; return how many."""

    def timer(self, key: str) -> TimerRow | None: ...
    def put_timer(self, row: TimerRow) -> None: ...
    def drop_timer(self, key: str) -> None: ...
    def due_timers(self, now: float, limit: int) -> list[TimerRow]: ...
    def timers_of(self, kind: str) -> list[TimerRow]:
        """Return the timers of a kind, by key; their keys begin with it and a slash."""

    def next_timer_at(self) -> float | None: ...

    def sensor(self, pipeline: str, name: str) -> SensorRow | None: ...
    def put_sensor(self, row: SensorRow) -> None: ...


class DoubleFiringError(Exception):
    """A task was about to fire twice in one generation: a fault of sensorflow."""
