"""Writes `docs/states.md` from the table of transitions: `python -m tests.states_page`."""

from pathlib import Path

from sensorflow.core.states import ENDED, GOING, TRANSITIONS, TaskEvent, TaskState

PAGE = Path(__file__).parents[1] / "docs" / "states.md"

_HEAD = """\
# States of tasks and runs

Written by `python -m tests.states_page` from `sensorflow/core/states.py`; a test holds the two together.

A task that has no row yet is `waiting`. What is not in the table cannot happen: the core refuses it.

| state | event | next state |
|---|---|---|
"""

_EVENTS = """
## Events

| event | what happens |
|---|---|
"""

#: In words what the comments in the code say, for readers who do not read it.
MEANINGS = {
    TaskEvent.INPUTS_READY: "`after` and all inputs let it start: it fires",
    TaskEvent.STARTED: "an attempt starts",
    TaskEvent.SUCCEEDED: "the attempt succeeded (exit status 0)",
    TaskEvent.SKIPPED: "the attempt ended as skipped (exit status 99)",
    TaskEvent.FAILED: "the attempt failed, and tries are left",
    TaskEvent.EXHAUSTED: "the attempt failed, and no try is left",
    TaskEvent.INTERRUPTED: "the service stopped under the attempt: no failure, no try spent",
    TaskEvent.DELAY_OVER: "the delay before the next try is over",
    TaskEvent.UPSTREAM_FAILED: "what is above can no longer let it run",
    TaskEvent.NOT_NEEDED: "its `when` can no longer hold, and that is no failure",
    TaskEvent.INPUTS_GONE: "what it was to read is not there any more when its turn comes",
    TaskEvent.CANCELLED: "it is not to run any more",
    TaskEvent.RETRIED: "an operator wants it run again",
    TaskEvent.UNBLOCKED: "what blocked it is being repaired",
    TaskEvent.REOPENED: "it belongs to the next generation of its run",
    TaskEvent.MARKED_SUCCEEDED: "an operator says that it counts as succeeded",
    TaskEvent.MARKED_SKIPPED: "an operator says that it counts as skipped",
}


def page() -> str:
    """Return the page as it should be."""
    states, events = list(TaskState), list(TaskEvent)
    rows = sorted(TRANSITIONS.items(), key=lambda row: (states.index(row[0][0]), events.index(row[0][1])))
    changes = "".join(f"| {state} | {event} | {after} |\n" for (state, event), after in rows)
    meanings = "".join(f"| {event} | {MEANINGS[event]} |\n" for event in events)
    return f"{_HEAD}{changes}{_EVENTS}{meanings}{_runs()}"


def _runs() -> str:
    going = ", ".join(state for state in TaskState if state in GOING)
    ended = ", ".join(state for state in TaskState if state in ENDED)
    return f"""
## Runs

The state of a run is the first of these that fits its tasks:

| state | when |
|---|---|
| running | a task is {going} |
| failed | a task is failed or blocked, though others may still wait |
| waiting | a task is waiting |
| cancelled | a task is cancelled |
| succeeded | all else |

A task that is {ended} has ended: only an operator's word, a repair above it or the next generation moves it.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
