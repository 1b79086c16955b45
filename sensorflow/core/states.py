"""The states of tasks, attempts and runs, and the one table by which tasks change theirs."""

from collections.abc import Iterable
from enum import StrEnum


class TaskState(StrEnum):
    """Where a task of a run stands."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    #: An upstream task failed for good; this one can run as soon as that one is repaired.
    BLOCKED = "blocked"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class AttemptState(StrEnum):
    """Where one try of a task stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    #: The service stopped under it; not a failure.
    INTERRUPTED = "interrupted"


class RunState(StrEnum):
    """Where a run stands, as its tasks make it."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskEvent(StrEnum):
    """What can happen to a task."""

    INPUTS_READY = "inputs_ready"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    #: Failed with tries left.
    FAILED = "failed"
    #: Failed, and no try is left.
    EXHAUSTED = "exhausted"
    INTERRUPTED = "interrupted"
    DELAY_OVER = "delay_over"
    #: What is above can no longer let it run.
    UPSTREAM_FAILED = "upstream_failed"
    #: Its `when` can no longer hold, and that is no failure.
    NOT_NEEDED = "not_needed"
    #: What it waited for is not there any more when its turn comes.
    INPUTS_GONE = "inputs_gone"
    #: It is not to run any more.
    CANCELLED = "cancelled"
    #: An operator wants it run again.
    RETRIED = "retried"
    #: What blocked it is being repaired.
    UNBLOCKED = "unblocked"
    #: It belongs to the next generation of its run.
    REOPENED = "reopened"
    #: An operator says that it counts as done.
    MARKED_SUCCEEDED = "marked_succeeded"
    MARKED_SKIPPED = "marked_skipped"


_S, _E = TaskState, TaskEvent

_MARKABLE = (_S.WAITING, _S.QUEUED, _S.RETRYING, _S.FAILED, _S.BLOCKED, _S.CANCELLED)

TRANSITIONS: dict[tuple[TaskState, TaskEvent], TaskState] = {
    (_S.WAITING, _E.INPUTS_READY): _S.QUEUED,
    (_S.WAITING, _E.UPSTREAM_FAILED): _S.BLOCKED,
    (_S.WAITING, _E.NOT_NEEDED): _S.SKIPPED,
    (_S.QUEUED, _E.STARTED): _S.RUNNING,
    (_S.QUEUED, _E.INPUTS_GONE): _S.WAITING,
    (_S.RUNNING, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.RUNNING, _E.SKIPPED): _S.SKIPPED,
    (_S.RUNNING, _E.FAILED): _S.RETRYING,
    (_S.RUNNING, _E.EXHAUSTED): _S.FAILED,
    (_S.RUNNING, _E.INTERRUPTED): _S.QUEUED,  # A stop is not a failure.
    (_S.RETRYING, _E.DELAY_OVER): _S.QUEUED,
    (_S.WAITING, _E.CANCELLED): _S.CANCELLED,
    (_S.QUEUED, _E.CANCELLED): _S.CANCELLED,
    (_S.RETRYING, _E.CANCELLED): _S.CANCELLED,
    (_S.RUNNING, _E.CANCELLED): _S.CANCELLED,
    (_S.FAILED, _E.RETRIED): _S.QUEUED,
    (_S.BLOCKED, _E.UNBLOCKED): _S.WAITING,
    (_S.CANCELLED, _E.RETRIED): _S.WAITING,
    (_S.SUCCEEDED, _E.REOPENED): _S.WAITING,
    (_S.SKIPPED, _E.REOPENED): _S.WAITING,
    (_S.FAILED, _E.REOPENED): _S.WAITING,
    (_S.BLOCKED, _E.REOPENED): _S.WAITING,
    (_S.CANCELLED, _E.REOPENED): _S.WAITING,
    **{(state, _E.MARKED_SUCCEEDED): _S.SUCCEEDED for state in _MARKABLE},
    **{(state, _E.MARKED_SKIPPED): _S.SKIPPED for state in _MARKABLE},
}

#: States in which a task has something going on.
GOING = frozenset({_S.QUEUED, _S.RUNNING, _S.RETRYING})
#: States that a task leaves only by an operator's word or a repair above it.
ENDED = frozenset({_S.SUCCEEDED, _S.FAILED, _S.BLOCKED, _S.SKIPPED, _S.CANCELLED})


class TransitionError(Exception):
    """The table has no such change: a fault of sensorflow, never of its user."""


def next_state(state: TaskState, event: TaskEvent) -> TaskState:
    """Return the state that follows.

    Raises:
        TransitionError: the event cannot happen in this state.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise TransitionError(f"a {state} task cannot take {event}") from None


def run_state(tasks: Iterable[TaskState]) -> RunState:
    """Return the state of a run whose tasks stand so: the first that fits."""
    states = set(tasks)
    if states & GOING:
        return RunState.RUNNING
    if states & {_S.FAILED, _S.BLOCKED}:
        return RunState.FAILED
    if _S.WAITING in states:
        return RunState.WAITING
    if _S.CANCELLED in states:
        return RunState.CANCELLED
    return RunState.SUCCEEDED
