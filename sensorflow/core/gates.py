"""What holds a whole run back, whatever its inputs: its time, and the partition before it."""

from collections.abc import Iterator

from sensorflow.core.errors import PartitionError
from sensorflow.core.lateness import schedule_at
from sensorflow.core.partitions import bounds, calendar_of, shifted
from sensorflow.core.state import State
from sensorflow.core.states import RunState
from sensorflow.core.vocabulary import Grain, PipelineDefinition

#: What closes a gate: `time` with the moment that opens it, or `previous` with the partition before.
Closed = tuple[str, float | str]


def closed(
    state: State, pipeline: PipelineDefinition, partition: str, now: float, *, forced: bool
) -> Iterator[Closed]:
    """Yield what holds the run of a partition back at the moment; force waits for no time."""
    time = None if forced else begins_at(pipeline, partition)
    if time is not None and time > now:
        yield ("time", time)
    previous = unfinished_before(state, pipeline, partition)
    if previous is not None:
        yield ("previous", previous)


def is_closed(
    state: State, pipeline: PipelineDefinition, partition: str, now: float, *, forced: bool
) -> bool:
    """Tell whether anything holds the run of a partition back."""
    if pipeline.schedule is None and not pipeline.sequential:
        return False
    return any(closed(state, pipeline, partition, now, forced=forced))


def unfinished_before(state: State, pipeline: PipelineDefinition, partition: str) -> str | None:
    """Return the partition before, whose success the run waits for, where it has not succeeded."""
    previous = preceding(pipeline, partition)
    if previous is None:
        return None
    before = state.run_of(pipeline.name, previous) or state.past_run(pipeline.name, previous)
    return None if before is not None and before.state is RunState.SUCCEEDED else previous


def begins_at(pipeline: PipelineDefinition, partition: str) -> float | None:
    """Return the schedule time of a partition."""
    if pipeline.schedule is None or pipeline.partitioning.grain is Grain.NONE:
        return None
    return schedule_at(pipeline, partition)


def preceding(pipeline: PipelineDefinition, partition: str) -> str | None:
    """Return the partition whose success a sequential pipeline's run waits for."""
    if not pipeline.sequential or pipeline.start is None or partition == pipeline.start:
        return None
    own, calendar = bounds(pipeline.partitioning, partition), calendar_of(pipeline.partitioning)
    first = bounds(calendar, pipeline.start) if calendar else None
    if own is None or first is None or own.start <= first.start:
        return None
    return shifted(pipeline.partitioning, partition, -1)


def following(pipeline: PipelineDefinition, partition: str) -> str | None:
    """Return the partition whose run may wait for this one's success."""
    if not pipeline.sequential or bounds(pipeline.partitioning, partition) is None:
        return None
    try:
        return shifted(pipeline.partitioning, partition, 1)
    except PartitionError:  # The calendar ends here.
        return None
