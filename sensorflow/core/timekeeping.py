"""What time itself sets off: schedules, expectations, expiry. Every timer is a row."""

from sensorflow.core import alerts
from sensorflow.core.errors import PartitionError
from sensorflow.core.lateness import expected_at, first_expected_after, newest_ended
from sensorflow.core.partitions import bounds, calendar_of, partitions_of, shifted
from sensorflow.core.readiness import Readiness
from sensorflow.core.runs import Runs, within
from sensorflow.core.schedules import first_from, next_time, times_between
from sensorflow.core.state import OperationRow, TimerRow
from sensorflow.core.states import RunState
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import Catchup, DatasetDefinition, Grain, PipelineDefinition

#: A schedule time that is noticed so late was missed; sooner, it is on time.
ON_TIME_S = 60.0
#: So many missed times are made up for in one transaction.
_TIMES = 500


def set_up(turn: Turn) -> None:
    """Set the timers of schedules and expectations that the definitions of now want."""
    for pipeline in turn.definitions.pipelines.values():
        if pipeline.schedule is not None:
            _set_schedule(turn, pipeline, pipeline.schedule)
    for dataset in turn.definitions.datasets.values():
        if dataset.expect is not None:
            _set_expectation(turn, dataset)


def schedule_due(turn: Turn, timer: TimerRow) -> None:
    """Make the runs of a pipeline's schedule times that have come, and wait for the next."""
    pipeline = turn.definitions.pipelines.get(timer.pipeline)
    if pipeline is None or pipeline.schedule is None or timer.after != _spelled(pipeline):
        return
    zone = pipeline.partitioning.timezone
    times = times_between(pipeline.schedule, zone, timer.due_at - 1, turn.now, _TIMES)
    following = next_time(pipeline.schedule, zone, times[-1] if times else turn.now)
    for at in _made_up_for(pipeline.catchup, times, following, turn.now):
        _make_scheduled(turn, pipeline, at)
    _put_schedule(turn, pipeline, following)


def expectation_due(turn: Turn, timer: TimerRow) -> None:
    """See whether an expected partition is there, and wait for the next."""
    dataset = turn.definitions.datasets.get(timer.dataset)
    if dataset is None or dataset.expect is None or timer.after != repr(dataset.expect):
        return
    for key in partitions_of(dataset.partitioning, timer.partition) or ():
        row = turn.state.partition(dataset.name, key)
        if (row is None or not row.ready) and _is_asked_for(turn, dataset, key):
            alerts.missed(turn, dataset.name, key)
    try:
        calendar = calendar_of(dataset.partitioning) or dataset.partitioning
        _put_expectation(turn, dataset, shifted(calendar, timer.partition, 1))
    except PartitionError:  # The calendar ends here.
        return


def expire(turn: Turn, timer: TimerRow) -> None:
    """Cancel a run that has waited as long as its pipeline lets it, and name what it waited for."""
    run = turn.state.run(timer.run_id)
    pipeline = turn.definitions.pipelines.get(run.pipeline) if run else None
    if run is None or pipeline is None or pipeline.expire_s is None or run.state is not RunState.WAITING:
        return
    readiness = Readiness(turn.definitions, turn.state, pipeline, run.partition, run.created_at, turn.now)
    missing = [
        f"{leaf.leaf.dataset} {key}".strip() if key else leaf.leaf.dataset
        for task in pipeline.tasks.values()
        for item in task.inputs
        for leaf in readiness.condition(task, item).leaves()
        if leaf.leaf is not None and not leaf.holds
        for key in leaf.missing
    ]
    reason = f"expired: it waited for {', '.join(dict.fromkeys(missing)) or 'its tasks'}"
    turn.state.add_operation(
        OperationRow(
            id=turn.moment.new_id(),
            at=turn.now,
            kind="expire",
            pipeline=pipeline.name,
            run_id=run.id,
            partition=run.partition,
            reason=reason,
        )
    )
    Runs(turn).cancel(pipeline, run, reason)


def _made_up_for(catchup: Catchup, times: list[float], following: float, now: float) -> list[float]:
    """Return the schedule times for which runs are made: those on time, and missed ones as it says.

    Args:
        following: The next time; it is past where more were missed than one transaction looks at.
    """
    if catchup is Catchup.ALL:
        return times
    if catchup is Catchup.LAST:
        return times[-1:] if following > now else []
    return [at for at in times if now - at <= ON_TIME_S]


def _make_scheduled(turn: Turn, pipeline: PipelineDefinition, at: float) -> None:
    runs = Runs(turn)
    if pipeline.partitioning.grain is Grain.NONE:
        newest = turn.state.run_of(pipeline.name, "")
        if newest is None or not newest.open or newest.state is RunState.FAILED:
            runs.advance(pipeline, runs.make(pipeline, "", trigger="schedule"), None)
        return
    try:
        ended = newest_ended(pipeline.partitioning, at)
    except PartitionError:  # None has ended yet.
        return
    for partition in partitions_of(pipeline.partitioning, ended) or ():
        if within(pipeline, partition) and turn.state.run_of(pipeline.name, partition) is None:
            runs.advance(pipeline, runs.make(pipeline, partition, trigger="schedule"), None)


def _set_schedule(turn: Turn, pipeline: PipelineDefinition, cron: str) -> None:
    there = turn.state.timer(f"schedule/{pipeline.name}")
    if there is None or there.after != _spelled(pipeline):
        _put_schedule(turn, pipeline, first_from(cron, pipeline.partitioning.timezone, turn.now))


def _put_schedule(turn: Turn, pipeline: PipelineDefinition, due_at: float) -> None:
    turn.state.put_timer(
        TimerRow(
            key=f"schedule/{pipeline.name}",
            due_at=due_at,
            kind="schedule",
            pipeline=pipeline.name,
            after=_spelled(pipeline),
        )
    )


def _spelled(pipeline: PipelineDefinition) -> str:
    return f"{pipeline.schedule} {pipeline.partitioning.timezone}"


def _set_expectation(turn: Turn, dataset: DatasetDefinition) -> None:
    there = turn.state.timer(f"expect/{dataset.name}")
    if there is None or there.after != repr(dataset.expect):
        _put_expectation(turn, dataset, first_expected_after(dataset, turn.now))


def _put_expectation(turn: Turn, dataset: DatasetDefinition, partition: str) -> None:
    """Wait for the time of a partition, of several dimensions for that of the calendar's key."""
    keys = partitions_of(dataset.partitioning, partition)
    due_at = expected_at(dataset, keys[0]) if keys else None
    if due_at is not None:
        turn.state.put_timer(
            TimerRow(
                key=f"expect/{dataset.name}",
                due_at=due_at,
                kind="expect",
                dataset=dataset.name,
                partition=partition,
                after=repr(dataset.expect),
            )
        )


def _is_asked_for(turn: Turn, dataset: DatasetDefinition, partition: str) -> bool:
    """Tell whether a pipeline that reads the dataset has partitions at that time."""
    for reader in turn.definitions.readers.get(dataset.name, ()):
        if reader.pipeline.start is None and reader.pipeline.end is None:
            return True
        if _overlaps(dataset, partition, reader.pipeline):
            return True
    return False


def _overlaps(dataset: DatasetDefinition, partition: str, pipeline: PipelineDefinition) -> bool:
    own, calendar = bounds(dataset.partitioning, partition), calendar_of(pipeline.partitioning)
    first = bounds(calendar, pipeline.start) if calendar and pipeline.start else None
    last = bounds(calendar, pipeline.end) if calendar and pipeline.end else None
    if own is None:
        return False
    return (first is None or own.end > first.start) and (last is None or own.start < last.end)
