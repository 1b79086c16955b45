"""Hours, days and weeks of UTC, and which of them an input reads: the calendar of the naive model."""

from datetime import UTC, datetime

from sensorflow.core.vocabulary import DatasetInput, Grain, PipelineDefinition, Selection

_FORMATS = {Grain.HOURLY: "%Y-%m-%dT%HZ", Grain.DAILY: "%Y-%m-%d", Grain.WEEKLY: "%G-W%V"}
LENGTHS_S = {Grain.HOURLY: 3_600, Grain.DAILY: 86_400, Grain.WEEKLY: 7 * 86_400}


def start_of(grain: Grain, key: str) -> float:
    """Return when a partition begins; UTC is the only zone of this model."""
    text, form = (key + "-1", "%G-W%V-%u") if grain is Grain.WEEKLY else (key, _FORMATS[grain])
    return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()


def end_of(grain: Grain, key: str) -> float:
    return start_of(grain, key) + LENGTHS_S[grain]


def key_at(grain: Grain, instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime(_FORMATS[grain])


def shifted(grain: Grain, key: str, by: int) -> str:
    return key_at(grain, start_of(grain, key) + by * LENGTHS_S[grain])


def inside(coarse: Grain, key: str, fine: Grain) -> list[str]:
    start, end, length = start_of(coarse, key), end_of(coarse, key), LENGTHS_S[fine]
    return [key_at(fine, start + n * length) for n in range(int(end - start) // length)]


def selected(own: Grain, key: str, item: DatasetInput, theirs: Grain) -> list[str]:
    """Return what a run reads of a dataset; not for `latest`."""
    if item.selection is Selection.SAME:
        return [key]
    if item.selection is Selection.ALL:
        return inside(own, key, theirs)
    finer = LENGTHS_S[theirs] < LENGTHS_S[own]
    base = inside(own, key, theirs)[-1] if finer else key_at(theirs, start_of(own, key))
    if item.selection is Selection.LAST:
        return [shifted(theirs, base, -back) for back in range(item.count)]
    return [shifted(theirs, base, item.count)]  # `containing` counts from it by 0.


def previous_partition(pipeline: PipelineDefinition, key: str) -> str | None:
    """Return the partition that a sequential pipeline's run waits for."""
    grain = pipeline.partitioning.grain
    if not pipeline.sequential or pipeline.start is None or grain not in LENGTHS_S:
        return None
    return shifted(grain, key, -1) if start_of(grain, key) > start_of(grain, pipeline.start) else None
