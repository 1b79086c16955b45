"""When a partition should be there, and from when on its run may start."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorflow.core.clocks import LATEST
from sensorflow.core.errors import PartitionError
from sensorflow.core.lateness import expected_at, first_expected_after, newest_ended, schedule_at
from sensorflow.core.partitions import bounds, iso, partition_at, shifted
from sensorflow.core.schedules import first_from
from sensorflow.core.vocabulary import (
    DatasetDefinition,
    Expectation,
    Grain,
    Partitioning,
    PipelineDefinition,
)

NEW_YORK = "America/New_York"
HOUR_S = 3600
HOURLY = Partitioning(Grain.HOURLY)
DAILY = Partitioning(Grain.DAILY, NEW_YORK)
REGIONS = Partitioning(Grain.KEYS, keys=("eu", "us"))
DAY_REGION = Partitioning(Grain.SEVERAL, NEW_YORK, dimensions=(("day", DAILY), ("region", REGIONS)))


def dataset(
    partitioning: Partitioning, *, clock_s: int | None = None, after_s: float | None = None
) -> DatasetDefinition:
    expect = Expectation(clock_s=clock_s, after_s=after_s)
    if clock_s is None and after_s is None:
        return DatasetDefinition(name="orders", partitioning=partitioning)
    return DatasetDefinition(name="orders", partitioning=partitioning, expect=expect)


def pipeline(partitioning: Partitioning, schedule: str | None) -> PipelineDefinition:
    return PipelineDefinition(name="sales", partitioning=partitioning, tasks={}, schedule=schedule)


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def end_of(partitioning: Partitioning, key: str) -> float:
    limits = bounds(partitioning, key)
    assert limits is not None
    return limits.end


# Expected


@pytest.mark.parametrize(
    ("partitioning", "key", "clock_s", "expected"),
    [
        (DAILY, "2013-01-01", 2 * HOUR_S, "2013-01-02T02:00:00-05:00"),
        (DAILY, "2013-01-01", 0, "2013-01-02T00:00:00-05:00"),
        (DAILY, "2013-01-01", 86_399, "2013-01-02T23:59:59-05:00"),
        (DAY_REGION, "2013-01-01|eu", 2 * HOUR_S, "2013-01-02T02:00:00-05:00"),
        (Partitioning(Grain.WEEKLY, NEW_YORK), "2013-W01", 6 * HOUR_S, "2013-01-07T06:00:00-05:00"),
        (Partitioning(Grain.MONTHLY, NEW_YORK), "2013-06", 6 * HOUR_S, "2013-07-01T06:00:00-04:00"),
        (HOURLY, "2013-01-01T01Z", 2 * HOUR_S, "2013-01-01T02:00:00+00:00"),
        (HOURLY, "2013-01-01T02Z", 2 * HOUR_S, "2013-01-02T02:00:00+00:00"),
        # Leapt over: the first instant after the leap, also where that is just when the partition ends.
        (DAILY, "2013-03-09", 2 * HOUR_S + 1800, "2013-03-10T03:00:00-04:00"),
        (Partitioning(Grain.HOURLY, NEW_YORK), "2013-03-10T06Z", 9000, "2013-03-10T03:00:00-04:00"),
        (Partitioning(Grain.HOURLY, NEW_YORK), "2013-03-10T07Z", 9000, "2013-03-11T02:30:00-04:00"),
        (Partitioning(Grain.DAILY, "America/Toronto"), "1919-03-30", 85_500, "1919-03-31T00:30:00-04:00"),
        # Shown twice: the first.
        (DAILY, "2013-11-02", HOUR_S + 1800, "2013-11-03T01:30:00-04:00"),
        (Partitioning(Grain.HOURLY, NEW_YORK), "2013-11-03T05Z", 5400, "2013-11-04T01:30:00-05:00"),
        # A day that is not there.
        (Partitioning(Grain.DAILY, "Pacific/Apia"), "2011-12-29", 7200, "2011-12-31T02:00:00+14:00"),
    ],
)
def test_a_partition_is_expected_at_the_first_such_clock_time_at_or_after_its_end(
    partitioning: Partitioning, key: str, clock_s: int, expected: str
) -> None:
    assert expected_at(dataset(partitioning, clock_s=clock_s), key) == instant(expected)


def test_or_so_long_after_its_end() -> None:
    assert expected_at(dataset(DAILY, after_s=5400), "2013-01-01") == instant("2013-01-02T01:30-05:00")
    assert expected_at(dataset(DAY_REGION, after_s=0), "2013-01-01|us") == instant("2013-01-02T00:00-05:00")


def test_without_an_expectation_or_an_end_nothing_is_expected() -> None:
    assert expected_at(dataset(DAILY), "2013-01-01") is None
    assert expected_at(dataset(REGIONS, after_s=60), "eu") is None
    assert expected_at(dataset(Partitioning(Grain.NONE), clock_s=0), "") is None


def test_what_is_no_partition_is_not_expected_but_refused() -> None:
    for each in (dataset(DAILY), dataset(DAILY, after_s=60), dataset(DAILY, clock_s=0)):
        with pytest.raises(PartitionError, match="expected a day such as 2013-01-01"):
            expected_at(each, "2013-02-30")


@pytest.mark.parametrize("timezone", ["UTC", "Etc/GMT+12", "Etc/GMT-14"])
def test_beyond_the_calendar_is_its_end(timezone: str) -> None:
    partitioning = Partitioning(Grain.DAILY, timezone)
    key = partition_at(partitioning, LATEST - 86_400)
    for each in (dataset(partitioning, after_s=1e12), dataset(partitioning, clock_s=86_399)):
        at = expected_at(each, shifted(partitioning, key, -1))
        assert at is not None and at <= LATEST
        assert expected_at(dataset(partitioning, after_s=1e300), key) == LATEST
    assert expected_at(dataset(HOURLY, clock_s=1), "9999-12-30T23Z") == LATEST
    assert schedule_at(pipeline(HOURLY, "0 0 29 2 *"), "9999-12-30T23Z") == LATEST
    east = Partitioning(Grain.HOURLY, "Etc/GMT-14")
    assert expected_at(dataset(east, clock_s=1), "9999-12-30T23Z") == LATEST


# Scheduled


def test_a_partitions_time_is_the_first_schedule_time_at_or_after_its_end() -> None:
    assert schedule_at(pipeline(DAILY, "0 2 * * *"), "2013-01-01") == instant("2013-01-02T02:00-05:00")
    assert schedule_at(pipeline(DAILY, "@daily"), "2013-01-01") == instant("2013-01-02T00:00-05:00")
    assert schedule_at(pipeline(DAILY, "0 6 * * 1"), "2013-01-01") == instant("2013-01-07T06:00-05:00")
    assert schedule_at(pipeline(DAY_REGION, "0 2 * * *"), "2013-01-01|eu") == instant(
        "2013-01-02T02:00-05:00"
    )
    hours_of_new_york = Partitioning(Grain.HOURLY, NEW_YORK)
    assert schedule_at(pipeline(hours_of_new_york, "0 2 * * *"), "2013-01-01T05Z") == instant(
        "2013-01-01T02:00-05:00"
    )


def test_without_a_schedule_or_an_end_there_is_no_time() -> None:
    assert schedule_at(pipeline(DAILY, None), "2013-01-01") is None
    assert schedule_at(pipeline(Partitioning(Grain.NONE), "0 2 * * *"), "") is None


# Which partitions


def test_the_newest_ended_partition_is_the_one_before_that_of_now() -> None:
    assert newest_ended(DAILY, instant("2013-01-02T04:59:59Z")) == "2012-12-31"
    assert newest_ended(DAILY, instant("2013-01-02T05:00:00Z")) == "2013-01-01"
    assert newest_ended(DAY_REGION, instant("2013-01-02T05:00:00Z")) == "2013-01-01"
    assert newest_ended(HOURLY, instant("2013-01-02T05:30:00Z")) == "2013-01-02T04Z"
    apia = Partitioning(Grain.DAILY, "Pacific/Apia")
    assert newest_ended(apia, instant("2011-12-31T00:00+14:00")) == "2011-12-29"


@pytest.mark.parametrize("partitioning", [Partitioning(Grain.NONE), REGIONS])
def test_keys_do_not_end_and_are_not_expected(partitioning: Partitioning) -> None:
    with pytest.raises(PartitionError, match="expected an hourly, daily, weekly or monthly partition"):
        newest_ended(partitioning, 0)
    with pytest.raises(PartitionError, match="expected an hourly, daily, weekly or monthly partition"):
        first_expected_after(dataset(partitioning, after_s=0), 0)


def test_the_first_partition_that_is_still_expected() -> None:
    at_two = dataset(DAILY, clock_s=2 * HOUR_S)
    assert first_expected_after(at_two, instant("2013-01-02T01:59:59-05:00")) == "2013-01-01"
    assert first_expected_after(at_two, instant("2013-01-02T02:00:00-05:00")) == "2013-01-02"
    assert first_expected_after(dataset(DAY_REGION, clock_s=0), instant("2013-01-02T02:00-05:00")) == (
        "2013-01-02"
    )
    hours = dataset(HOURLY, clock_s=2 * HOUR_S)
    assert first_expected_after(hours, instant("2013-01-02T01:59:59Z")) == "2013-01-01T02Z"
    month_later = dataset(DAILY, after_s=30 * 86_400)
    assert first_expected_after(month_later, instant("2013-01-31T00:00-05:00")) == "2013-01-01"
    assert first_expected_after(month_later, instant("2013-01-30T23:59-05:00")) == "2012-12-31"


# Properties, over zones and the years 1970 to 2037

ZONES = st.sampled_from([
    "UTC", NEW_YORK, "Pacific/Apia", "America/St_Johns", "America/Havana", "America/Sao_Paulo",
    "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Monrovia", "Pacific/Kwajalein", "Antarctica/Troll",
])  # fmt: skip
PARTITIONINGS = st.builds(
    Partitioning, st.sampled_from([Grain.HOURLY, Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY]), ZONES
)
FIRST, LAST = (int(datetime(year, 1, 10, tzinfo=UTC).timestamp()) for year in (1970, 2037))
INSTANTS = st.integers(FIRST, LAST)
EXPECTATIONS = st.builds(Expectation, clock_s=st.integers(0, 86_399)) | st.builds(
    Expectation, after_s=st.integers(0, 40 * 86_400) | st.sampled_from([0.5, 90.25])
)


@given(PARTITIONINGS, INSTANTS, st.integers(0, 1439))
@settings(deadline=None)
def test_a_clock_time_is_that_of_the_cron_that_names_it(
    partitioning: Partitioning, at: int, minute: int
) -> None:
    key = partition_at(partitioning, at)
    cron = f"{minute % 60} {minute // 60} * * *"
    expected = first_from(cron, partitioning.timezone, end_of(partitioning, key))
    assert expected_at(dataset(partitioning, clock_s=60 * minute), key) == expected
    assert schedule_at(pipeline(partitioning, cron), key) == expected
    assert iso(expected, partitioning.timezone)


@given(PARTITIONINGS, INSTANTS, EXPECTATIONS)
@settings(deadline=None)
def test_partitions_are_expected_in_their_order_and_the_first_to_come_is_found(
    partitioning: Partitioning, after: int, expect: Expectation
) -> None:
    definition = DatasetDefinition(name="orders", partitioning=partitioning, expect=expect)
    key = first_expected_after(definition, after)
    earlier, first = expected_at(definition, shifted(partitioning, key, -1)), expected_at(definition, key)
    assert earlier is not None and first is not None
    assert earlier <= after < first
    for at in (earlier, first):
        following = expected_at(definition, first_expected_after(definition, at))
        assert following is not None and following > at


@given(PARTITIONINGS, INSTANTS)
@settings(deadline=None)
def test_the_newest_ended_has_ended_and_the_next_has_not(partitioning: Partitioning, at: int) -> None:
    key = newest_ended(partitioning, at)
    assert end_of(partitioning, key) <= at < end_of(partitioning, shifted(partitioning, key, 1))
