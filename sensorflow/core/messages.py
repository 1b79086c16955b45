"""All that can enter the inbox, and what is answered."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from sensorflow.core.states import AttemptState
from sensorflow.core.vocabulary import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A sensor saw an event, or somebody posted one."""

    event: Event
    #: (pipeline, sensor) whose rule reads it; None: it was posted, all `events` sensors may read it.
    sensor: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredReady:
    """Somebody says that a dataset's partition, or a part of it, is ready; no rule is asked."""

    event: Event
    dataset: str
    partition: str
    part: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted:
    """What runs the attempt is this process."""

    run_id: str
    task: str
    number: int
    pid: int
    #: The process's start time as the kernel tells it, so that a reused pid is never mistaken.
    pid_started: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LostAttempt:
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
class Reviewed:
    """The definitions are new to this process: what waits is looked at again in their light."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTasks:
    """An operator wants failed tasks tried again, in the same generation."""

    run_id: str
    #: Empty: every failed or cancelled task.
    tasks: tuple[str, ...] = ()
    #: Put what is blocked below back to waiting.
    downstream: bool = True
    reason: str | None = None


Message: TypeAlias = (
    Observed | DeclaredReady | AttemptStarted | AttemptEnded | TimersDue | Reviewed | RetryTasks
)


class EventState(StrEnum):
    """What became of an event at the door."""

    ACCEPTED = "accepted"
    UNMATCHED = "unmatched"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One dataset partition, or a part of it, has arrived."""

    dataset: str
    partition: str
    #: Which part of the partition; None when the whole arrives at once.
    part: str | None
    #: Counts up with every arrival of the same partition and part, from 1.
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The answer to an event; given only when it is on disk."""

    seq: int
    source: str
    id: str
    state: EventState
    arrivals: tuple[Arrival, ...] = ()
    #: Why it was rejected, or which rules could not read it.
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a decision may not find out by itself: the time and what chance gives."""

    #: Seconds since the epoch.
    now: float
    #: Makes run ids: unique, and later ones sort behind earlier ones.
    new_id: Callable[[], str]
    #: Draws a number in [0, 1).
    draw: Callable[[], float]
