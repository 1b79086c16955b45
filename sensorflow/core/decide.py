"""Every message's consequences. Synchronous, and a function of the state, the message and the moment."""

from collections.abc import Callable
from typing import Any

from sensorflow.core import alerts, backfills, operations, retention, timekeeping, tokens
from sensorflow.core.attempts import Attempts
from sensorflow.core.ingest import Reached, Reading, fall_quiet, read, redrive, take
from sensorflow.core.messages import (
    Answer,
    AttemptEnded,
    AttemptStarted,
    CalledBack,
    CancelBackfill,
    CancelRun,
    ClockSet,
    CreateToken,
    DeclaredReady,
    MakeRun,
    MarkTask,
    Message,
    Observed,
    PausePipeline,
    Receipt,
    Redrive,
    RetryTasks,
    Reviewed,
    RevokeToken,
    SensorReported,
    StartBackfill,
    TimersDue,
    WithdrawPartition,
)
from sensorflow.core.runs import WALK, Runs
from sensorflow.core.state import PipelineRow, TimerRow
from sensorflow.core.turn import Turn


def decide(turn: Turn, message: Message | Reading) -> Answer:
    """Write into the state what follows from a message, and return its answer.

    Args:
        message: An event may have been read already, as `foresee` returns it.

    Raises:
        SensorflowError: the message cannot be followed; nothing is written for it.
    """
    return _CONSEQUENCES[type(message)](turn, message)


def dispatch(turn: Turn, workers: int) -> None:
    """Start what is queued as far as the limits allow; called once a group has been decided."""
    Attempts(turn).dispatch(workers)


def _reach(turn: Turn, taken: tuple[Receipt, list[Reached]]) -> Receipt:
    receipt, changes = taken
    for reached in changes:
        Runs(turn).reach(reached)
    return receipt


def _timers(turn: Turn, message: TimersDue) -> None:
    for timer in turn.state.due_timers(turn.now, WALK):
        turn.state.drop_timer(timer.key)
        _TIMERS[timer.kind](turn, timer)


def _look_again(turn: Turn, timer: TimerRow) -> None:
    """Look again at a run for which a time has come: an input is optional now, or it may begin."""
    run = turn.state.run(timer.run_id)
    pipeline = turn.definitions.pipelines.get(run.pipeline) if run else None
    if run is None or pipeline is None:
        return
    runs = Runs(turn)
    runs.arm(pipeline, run)
    runs.advance(pipeline, run, None)


def _quiet(turn: Turn, timer: TimerRow) -> None:
    if timer.dataset in turn.definitions.datasets:
        for reached in fall_quiet(turn, timer.dataset, timer.partition):
            Runs(turn).reach(reached)


def _walk(turn: Turn, timer: TimerRow) -> None:
    pipeline = turn.definitions.pipelines.get(timer.pipeline)
    if pipeline is not None:
        Runs(turn).walk(pipeline, timer.after)


def _reach_on(turn: Turn, timer: TimerRow) -> None:
    """Go on with the runs that an arrival concerns, behind those that were looked at."""
    row = turn.state.partition(timer.dataset, timer.partition)
    assert row is not None, "a partition that something arrived for is kept"
    for reader in turn.definitions.readers.get(timer.dataset, ()):
        if reader.pipeline.name == timer.pipeline and timer.task in reader.tasks:
            Runs(turn).reach_by(reader, Reached(row=row, became_ready=row.ready), timer.after)
    Runs(turn).reopen()


def _review(turn: Turn, message: Reviewed) -> None:
    """Take up what the definitions say now: pauses, schedules, expectations, and all open runs."""
    for pipeline in turn.definitions.pipelines.values():
        row = turn.state.pipeline(pipeline.name)
        if row is None or row.paused_in_file != pipeline.paused:
            turn.state.put_pipeline(
                PipelineRow(name=pipeline.name, paused=pipeline.paused, paused_in_file=pipeline.paused)
            )
        turn.state.put_timer(
            TimerRow(key=f"walk/{pipeline.name}", due_at=turn.now, kind="walk", pipeline=pipeline.name)
        )
    timekeeping.set_up(turn)
    retention.set_up(turn)
    timekeeping.shorten_spans(turn)  # The clock may have been set back while no service ran.


def _sensor_reported(turn: Turn, message: SensorReported) -> None:
    alerts.sensor_reported(turn, message.pipeline, message.sensor, message.error)


_CONSEQUENCES: dict[type, Callable[[Turn, Any], Answer]] = {
    Reading: lambda turn, reading: _reach(turn, take(turn, reading)),
    Observed: lambda turn, message: _reach(turn, take(turn, read(turn.definitions, message))),
    DeclaredReady: lambda turn, message: _reach(turn, take(turn, read(turn.definitions, message))),
    Redrive: lambda turn, message: _reach(turn, redrive(turn, message)),
    AttemptStarted: lambda turn, message: Attempts(turn).started(message),
    AttemptEnded: lambda turn, message: Attempts(turn).ended(message),
    CalledBack: lambda turn, message: Attempts(turn).called_back(message),
    TimersDue: _timers,
    ClockSet: lambda turn, message: timekeeping.clock_set(turn, message.by_s),
    Reviewed: _review,
    RetryTasks: operations.retry,
    PausePipeline: operations.pause,
    MakeRun: operations.make_run,
    CancelRun: operations.cancel,
    MarkTask: operations.mark,
    WithdrawPartition: operations.withdraw,
    StartBackfill: backfills.start,
    CancelBackfill: backfills.cancel,
    SensorReported: _sensor_reported,
    CreateToken: tokens.create,
    RevokeToken: tokens.revoke,
}

_TIMERS: dict[str, Callable[[Turn, TimerRow], None]] = {
    "retry": lambda turn, timer: Attempts(turn).delay_over(timer),
    "lease": lambda turn, timer: Attempts(turn).lapsed(timer),
    "lapse": lambda turn, timer: Attempts(turn).look_for_age(timer),
    "optional": _look_again,
    "begin": _look_again,
    "expire": timekeeping.expire,
    "quiet": _quiet,
    "walk": _walk,
    "reach": _reach_on,
    "schedule": timekeeping.schedule_due,
    "expect": timekeeping.expectation_due,
    "retention": retention.due,
}
