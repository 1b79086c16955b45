"""What time itself sets off: schedules, expectations, expiry. Every timer is a row."""

from sensorflow.core import alerts
from sensorflow.core.attempts import leased
from sensorflow.core.errors import PartitionError
from sensorflow.core.lateness import expected_at, first_expected_after, newest_ended
from sensorflow.core.partitions import bounds, calendar_of, partitions_of, shifted
from sensorflow.core.readiness import Readiness
from sensorflow.core.retries import longest_delay_s
from sensorflow.core.runs import Runs, within
from sensorflow.core.schedules import first_from, next_time, times_between
from sensorflow.core.state import OperationRow, TimerRow
from sensorflow.core.states import RunState
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import Catchup, DatasetDefinition, Grain, PipelineDefinition

#: A schedule time that is noticed so late was missed; sooner, it is on time.
ON_TIME_S = 60.0
#: A clock that is set ahead by more counts as a stop, for schedule sensors too.
_SET_S = 86_400.0
#: Timers that measure a span. The others stand for a time of day, which a clock that is set moves.
_SPANS = ("retry", "quiet", "lease", "walk", "reach", "retention")
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


def shorten_spans(turn: Turn) -> None:
    """Let nothing wait longer than its own span because the clock was set back meanwhile."""
    for kind in _SPANS:
        for timer in turn.state.timers_of(kind):
            latest = turn.now + _span_s(turn, timer)
            if timer.due_at <= latest:
                continue
            turn.state.put_timer(timer._replace(due_at=latest))
            task = turn.state.task(timer.run_id, timer.task) if kind == "retry" else None
            if task is not None and task.next_attempt_at is not None:
                turn.state.put_task(task._replace(next_attempt_at=latest))


def _span_s(turn: Turn, timer: TimerRow) -> float:
    """Return how long a timer can have been set for at most; 0 where no file says so any more."""
    if timer.kind == "lease":
        return leased(timer)[1]
    if timer.kind == "quiet":
        dataset = turn.definitions.datasets.get(timer.dataset)
        return (dataset.complete.quiet_s or 0.0) if dataset else 0.0
    row = turn.state.task(timer.run_id, timer.task) if timer.kind == "retry" else None
    pipeline = turn.definitions.pipelines.get(row.pipeline) if row else None
    definition = pipeline.tasks.get(row.task) if row and pipeline else None
    if row is None or definition is None:
        return 0.0
    return longest_delay_s(definition.retries, max(1, row.failures))


def clock_set(turn: Turn, by_s: float) -> None:
    """Let no span take longer, and no time be missed, because the clock was set."""
    shorten_spans(turn)
    if by_s < 0:
        _wait_again(turn)
    if not 0 < by_s <= _SET_S:
        return
    for name in turn.definitions.pipelines:
        timer = turn.state.timer(f"schedule/{name}")
        if timer is not None and timer.due_at <= turn.now:
            schedule_due(turn, timer, on_time_s=ON_TIME_S + by_s)


def _wait_again(turn: Turn) -> None:
    """Look at the runs that wait for a time of day: it may have passed already, and come once more."""
    for pipeline in turn.definitions.pipelines.values():
        if pipeline.schedule is not None or turn.definitions.graphs[pipeline.name].optional:
            turn.state.put_timer(
                TimerRow(key=f"walk/{pipeline.name}", due_at=turn.now, kind="walk", pipeline=pipeline.name)
            )


def schedule_due(turn: Turn, timer: TimerRow, on_time_s: float = ON_TIME_S) -> None:
    """Make the runs of a pipeline's schedule times that have come, and wait for the next.

    Args:
        on_time_s: A time that is noticed later than that was missed.
    """
    pipeline = turn.definitions.pipelines.get(timer.pipeline)
    if pipeline is None or pipeline.schedule is None or timer.after != _spelled(pipeline):
        return
    zone = pipeline.partitioning.timezone
    times = times_between(pipeline.schedule, zone, timer.due_at - 1, turn.now, _TIMES)
    following = next_time(pipeline.schedule, zone, times[-1] if times else turn.now)
    on_time = [at for at in times if turn.now - at <= on_time_s]
    missed = times[: len(times) - len(on_time)]
    # Where more were missed than one transaction looks at, the newest is yet to come.
    newest = missed[-1:] if not on_time and following > turn.now else []
    made_up_for = {Catchup.ALL: missed, Catchup.LAST: newest, Catchup.NONE: []}
    for at in [*made_up_for[pipeline.catchup], *on_time]:
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
        there = turn.state.run_of(pipeline.name, partition) or turn.state.past_run(pipeline.name, partition)
        if within(pipeline, partition) and there is None:
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
    assert own is not None, "only what has a place in time is expected"
    return (first is None or own.end > first.start) and (last is None or own.start < last.end)
