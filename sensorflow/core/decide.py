"""Every message's consequences. Synchronous, and a function of the state, the message and the moment."""

from dataclasses import replace

from sensorflow.core.attempts import Attempts
from sensorflow.core.commands import StartAttempt
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import ConflictError, NotFoundError
from sensorflow.core.ingest import Reached, declare, observe
from sensorflow.core.messages import (
    AttemptEnded,
    AttemptStarted,
    DeclaredReady,
    Message,
    Moment,
    Observed,
    Receipt,
    RetryTasks,
    Reviewed,
    TimersDue,
)
from sensorflow.core.runs import WALK, Runs
from sensorflow.core.state import State, TimerRow
from sensorflow.core.states import TaskEvent, TaskState, next_state


def decide(definitions: Definitions, state: State, message: Message, moment: Moment) -> Receipt | None:
    """Write into the state what follows from a message, and return the answer to an event.

    Raises:
        SensorflowError: the message cannot be followed; nothing is written for it.
    """
    match message:
        case Observed():
            return _reach(definitions, state, moment, observe(definitions, state, message, moment.now))
        case DeclaredReady():
            return _reach(definitions, state, moment, declare(definitions, state, message, moment.now))
        case AttemptStarted():
            Attempts(definitions, state, moment).started(message)
        case AttemptEnded():
            Attempts(definitions, state, moment).ended(message)
        case TimersDue():
            _timers(definitions, state, moment)
        case Reviewed():
            _review(definitions, state, moment)
        case RetryTasks():
            _retry(definitions, state, message, moment)
    return None


def _reach(
    definitions: Definitions, state: State, moment: Moment, taken: tuple[Receipt, list[Reached]]
) -> Receipt:
    receipt, changes = taken
    runs = Runs(definitions, state, moment)
    for reached in changes:
        runs.reach(reached)
    return receipt


def dispatch(definitions: Definitions, state: State, workers: int, moment: Moment) -> list[StartAttempt]:
    """Start what is queued as far as the limits allow; called once a group has been decided."""
    return Attempts(definitions, state, moment).dispatch(workers)


def _timers(definitions: Definitions, state: State, moment: Moment) -> None:
    for timer in state.due_timers(moment.now, WALK):
        state.drop_timer(timer.key)
        if timer.kind == "retry":
            Attempts(definitions, state, moment).delay_over(timer)
        elif timer.kind == "walk" and timer.pipeline in definitions.pipelines:
            Runs(definitions, state, moment).walk(definitions.pipelines[timer.pipeline], timer.after)
        elif timer.kind == "optional":
            _let_go(definitions, state, timer, moment)


def _let_go(definitions: Definitions, state: State, timer: TimerRow, moment: Moment) -> None:
    """Look again at a run that may go without an input from now on."""
    run = state.run(timer.run_id)
    if run is None or run.pipeline not in definitions.pipelines:
        return
    runs = Runs(definitions, state, moment)
    runs.arm(definitions.pipelines[run.pipeline], run)
    runs.advance(definitions.pipelines[run.pipeline], run, None)


def _review(definitions: Definitions, state: State, moment: Moment) -> None:
    """Have all open runs looked at in the light of the definitions that hold now."""
    for name in definitions.pipelines:
        state.put_timer(TimerRow(key=f"walk/{name}", due_at=moment.now, kind="walk", pipeline=name))


def _retry(definitions: Definitions, state: State, message: RetryTasks, moment: Moment) -> None:
    run = state.run(message.run_id)
    if run is None:
        raise NotFoundError(f"there is no run {message.run_id}")
    pipeline = definitions.pipelines.get(run.pipeline)
    if pipeline is None:
        raise ConflictError(f"no file defines the pipeline {run.pipeline} any more")
    rows = state.tasks(run.id)
    again = {TaskState.FAILED, TaskState.CANCELLED}
    names = message.tasks or tuple(
        name for name in pipeline.tasks if name in rows and rows[name].state in again
    )
    for name in names:
        if name not in pipeline.tasks:
            raise NotFoundError(f"pipeline {pipeline.name} has no task {name}")
        found = rows[name].state if name in rows else TaskState.WAITING
        if found not in again:
            raise ConflictError(f"task {name} is {found}; only a failed or cancelled task can be retried")
    if not names:
        raise ConflictError(f"nothing to retry: no task of run {run.id} has failed, the run is {run.state}")
    for name in names:
        row = rows[name]
        state.put_task(
            replace(
                row,
                state=next_state(row.state, TaskEvent.RETRIED),
                failures=0,
                crashes=0,
                queued_at=moment.now,
            )
        )
    if message.downstream:
        _unblock(definitions, state, run.id, run.pipeline, names)
    runs = Runs(definitions, state, moment)
    run = runs.settle(pipeline, run)
    runs.advance(pipeline, run, None)


def _unblock(
    definitions: Definitions, state: State, run_id: str, pipeline: str, names: tuple[str, ...]
) -> None:
    """Put what is blocked below the tasks back to waiting."""
    rows = state.tasks(run_id)
    below = definitions.graphs[pipeline].below
    todo = [downstream for name in names for downstream in below[name]]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        row = rows.get(name)
        if row is not None and row.state is TaskState.BLOCKED:
            state.put_task(replace(row, state=next_state(row.state, TaskEvent.UNBLOCKED)))
        todo.extend(below[name])
