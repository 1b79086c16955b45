"""When a partition should be there, and when its run may start at the earliest."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sensorflow.core.clocks import LATEST, first_instant, is_skipped, local
from sensorflow.core.partitions import bounds, calendar_of, partition_at, shifted
from sensorflow.core.schedules import first_from
from sensorflow.core.vocabulary import DatasetDefinition, Expectation, Partitioning, PipelineDefinition


def expected_at(dataset: DatasetDefinition, key: str) -> float | None:
    """Return when a partition should be there, beyond the calendar its end; None where nothing says so.

    Raises:
        PartitionError: `key` is no partition of the dataset.
    """
    limits = bounds(dataset.partitioning, key)
    calendar = calendar_of(dataset.partitioning)
    if dataset.expect is None or limits is None or calendar is None:
        return None
    return _expected(dataset.expect, limits.end, calendar.timezone)


def schedule_at(pipeline: PipelineDefinition, key: str) -> float | None:
    """Return the first time of the pipeline's schedule at or after a partition's end; None without either.

    Raises:
        PartitionError: `key` is no partition of the pipeline.
        ValueError: the schedule is no cron.
    """
    limits = bounds(pipeline.partitioning, key)
    if pipeline.schedule is None or limits is None:
        return None
    return first_from(pipeline.schedule, pipeline.partitioning.timezone, limits.end)


def newest_ended(partitioning: Partitioning, at: float) -> str:
    """Return the newest partition that has ended by an instant; of several dimensions the calendar's key.

    Raises:
        PartitionError: nothing is of the calendar, or the instant lies outside of it.
    """
    calendar = calendar_of(partitioning) or partitioning
    return shifted(calendar, partition_at(calendar, at), -1)


def first_expected_after(dataset: DatasetDefinition, after: float) -> str:
    """Return the first partition that is expected after an instant; of several dimensions the calendar's key.

    Raises:
        PartitionError: nothing is of the calendar, or the instant lies outside of it.
    """
    expect = dataset.expect
    assert expect is not None
    calendar = calendar_of(dataset.partitioning) or dataset.partitioning
    # What ends later is expected later; a clock time comes about once a day, so the way back is short.
    key = partition_at(calendar, after - (expect.after_s or 0))
    while True:
        earlier = shifted(calendar, key, -1)
        limits = bounds(calendar, earlier)
        if limits is None or _expected(expect, limits.end, calendar.timezone) <= after:
            return key
        key = earlier


def _expected(expect: Expectation, end: float, timezone: str) -> float:
    if expect.after_s is not None:
        return min(end + expect.after_s, LATEST)
    assert expect.clock_s is not None
    try:
        return min(_first_clock_time(expect.clock_s, timezone, end), LATEST)
    except (OverflowError, ValueError):
        return LATEST


def _first_clock_time(clock_s: int, timezone: str, at: float) -> float:
    """Return the first time of the clock at or after an instant.

    One that a day leaps over is the first instant after the leap, one that it shows twice is the first.
    """
    # A time that was leapt over just now belongs to what the clock showed a second ago.
    day = local(at - 1, ZoneInfo(timezone)).toordinal()
    while True:
        clock_time = datetime.combine(date.fromordinal(day), time(), tzinfo=UTC) + timedelta(seconds=clock_s)
        if not is_skipped(day, timezone) and (instant := first_instant(clock_time, timezone)) >= at:
            return instant
        day += 1
