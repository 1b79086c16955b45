"""All that can enter the inbox, and what is answered."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from sensorflow.core.states import AttemptState, TaskState
from sensorflow.core.vocabulary import Event, Scope


class Observed(NamedTuple):
    """A sensor saw an event, or somebody posted one."""

    event: Event
    #: (pipeline, sensor) whose rule reads it; None: it was posted, all `events` sensors may read it.
    sensor: tuple[str, str] | None = None
    #: The datasets that its sender may make ready; None: all.
    datasets: frozenset[str] | None = None
    #: Why no rule is asked: it could not be handled once. It is kept as rejected.
    quarantined: str | None = None


class DeclaredReady(NamedTuple):
    """Somebody says that a dataset's partition, or a part of it, is ready; no rule is asked."""

    event: Event
    dataset: str
    partition: str
    part: str | None = None


class AttemptStarted(NamedTuple):
    """What runs the attempt is this process."""

    run_id: str
    task: str
    number: int
    pid: int
    #: The process's start time as the kernel tells it, so that a reused pid is never mistaken.
    pid_started: str


class AttemptEnded(NamedTuple):
    """An attempt came to its end."""

    run_id: str
    task: str
    number: int
    #: SUCCEEDED, FAILED, SKIPPED, CANCELLED or INTERRUPTED.
    state: AttemptState
    exit_code: int | None = None
    error: str | None = None
    #: True where the service that ran it died; such ends are counted.
    crashed: bool = False


class LostAttempt(NamedTuple):
    """An attempt that the store holds as running while nothing of this service runs it."""

    run_id: str
    task: str
    number: int
    pid: int | None
    pid_started: str | None


@dataclass(frozen=True, slots=True)
class TimersDue:
    """The clock has reached the earliest timer. Timers are rows, so this carries nothing."""


@dataclass(frozen=True, slots=True)
class ClockSet:
    """The wall clock was set while the service ran; the moment has its new time."""

    #: By so much it is ahead of where it would be; below 0 it was set back.
    by_s: float


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The definitions are new to this process: what waits is looked at again in their light."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTasks:
    """An operator wants failed tasks tried again, in the same generation."""

    run_id: str
    #: Empty: every failed or cancelled task. A succeeded or skipped one opens the next generation.
    tasks: tuple[str, ...] = ()
    #: Put what is blocked below back to waiting.
    downstream: bool = True
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PausePipeline:
    """An operator wants no attempt of a pipeline to start, or wants them to start again."""

    pipeline: str
    paused: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeRun:
    """An operator wants a pipeline's run for a partition; one that has ended runs again as a whole."""

    pipeline: str
    #: In its one spelling; `declared_partition` reads what people write.
    partition: str
    #: Fire without inputs and times.
    force: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRun:
    """An operator wants nothing more of a run to happen; its attempts are stopped."""

    run_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkTask:
    """An operator says that a task that does not run counts as done."""

    run_id: str
    task: str
    #: SUCCEEDED (its outputs become ready) or SKIPPED.
    state: TaskState
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawPartition:
    """An operator takes back a partition, or a part of it: it is missing until its next arrival."""

    dataset: str
    partition: str
    part: str | None = None
    reason: str | None = None


class Only(StrEnum):
    """Which partitions of its range a backfill makes runs for."""

    #: No run yet, or one that has not started.
    MISSING = "missing"
    FAILED = "failed"
    #: Every one again, as its next generation.
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartBackfill:
    """An operator wants runs for many partitions."""

    pipeline: str
    #: In the order in which they are to fire.
    partitions: tuple[str, ...]
    #: As they were asked for; empty where partitions were listed.
    first: str = ""
    last: str = ""
    only: Only = Only.MISSING
    order: str = "oldest"
    max_active: int = 1
    force: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelBackfill:
    """An operator takes back what a backfill made and has not started."""

    backfill: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledBack:
    """Whoever works on an `http` task with a callback says how it stands."""

    token: str
    #: SUCCEEDED, FAILED, SKIPPED, or RUNNING, which renews the lease.
    state: AttemptState
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrive:
    """An operator wants a stored event read again by the rules of now."""

    seq: int
    #: The datasets that the operator may make ready; None: all.
    datasets: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorReported:
    """A sensor is down, in words, or well again: None."""

    pipeline: str
    sensor: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateToken:
    """An administrator gives somebody access; whoever sends this made the token and keeps it."""

    id: str
    digest: str
    scope: Scope
    pipelines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeToken:
    """An administrator takes access back."""

    id: str


Message: TypeAlias = (
    Observed
    | DeclaredReady
    | AttemptStarted
    | AttemptEnded
    | TimersDue
    | ClockSet
    | Reviewed
    | RetryTasks
    | PausePipeline
    | MakeRun
    | CancelRun
    | MarkTask
    | WithdrawPartition
    | StartBackfill
    | CancelBackfill
    | CalledBack
    | Redrive
    | SensorReported
    | CreateToken
    | RevokeToken
)


class EventState(StrEnum):
    """What became of an event at the door."""

    ACCEPTED = "accepted"
    UNMATCHED = "unmatched"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"


class Arrival(NamedTuple):
    """One dataset partition, or a part of it, has arrived."""

    dataset: str
    partition: str
    #: Which part of the partition; None when the whole arrives at once.
    part: str | None
    #: Counts up with every arrival of the same partition and part, from 1.
    version: int


class Receipt(NamedTuple):
    """The answer to an event; given only when it is on disk."""

    seq: int
    source: str
    id: str
    state: EventState
    arrivals: tuple[Arrival, ...] = ()
    #: Why it was rejected, or which rules could not read it.
    reason: str | None = None


class Made(NamedTuple):
    """The answer to an operation that makes or names something."""

    #: Of the run or of the backfill.
    id: str
    #: False where the run was there already.
    created: bool = True


Answer: TypeAlias = Receipt | Made | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a decision may not find out by itself: the time and what chance gives."""

    #: Seconds since the epoch.
    now: float
    #: Makes run ids: unique, and later ones sort behind earlier ones.
    new_id: Callable[[], str]
    #: Makes a secret that nobody guesses, for callbacks.
    new_token: Callable[[], str]
    #: Draws a number in [0, 1).
    draw: Callable[[], float]
