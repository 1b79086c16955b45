"""What the tasks above let a task do: the rules of `when`, as one function."""

from collections.abc import Mapping
from enum import StrEnum

from sensorflow.core.states import ENDED, TaskState
from sensorflow.core.vocabulary import TaskDefinition, When

_BAD = frozenset({TaskState.FAILED, TaskState.BLOCKED})
_GOOD = frozenset({TaskState.SUCCEEDED, TaskState.SKIPPED})


class Standing(StrEnum):
    """What follows for a waiting task from the states above it."""

    WAIT = "wait"
    GO = "go"
    BLOCK = "block"
    SKIP = "skip"
    CANCEL = "cancel"


def standing(task: TaskDefinition, states: Mapping[str, TaskState]) -> Standing:
    """Return what the states of the tasks in `after` let this one do.

    A rule decides as soon as no further end can change its word.
    """
    if not task.after and task.when in (When.ALL_SUCCEEDED, When.ALL_ENDED):
        return Standing.GO
    above = {states[name] for name in task.after}
    if task.skipped_blocks and TaskState.SKIPPED in above:
        above = (above - {TaskState.SKIPPED}) | {TaskState.FAILED}
    all_ended = above <= ENDED
    if task.when is When.ALL_ENDED:
        return Standing.GO if all_ended else Standing.WAIT
    if TaskState.CANCELLED in above:
        return Standing.CANCEL
    if task.when is When.ALL_SUCCEEDED:
        if above & _BAD:
            return Standing.BLOCK
        return Standing.GO if above <= _GOOD else Standing.WAIT
    hoped_for, otherwise = (_BAD, Standing.SKIP) if task.when is When.ANY_FAILED else (_GOOD, Standing.BLOCK)
    if above & hoped_for:
        return Standing.GO
    return otherwise if all_ended else Standing.WAIT
