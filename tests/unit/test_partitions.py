import math
import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorflow.core.errors import PartitionError
from sensorflow.core.partitions import (
    Bounds,
    between,
    bounds,
    comparable,
    containing,
    inside,
    is_finer,
    iso,
    partition_at,
    read_partition,
    shifted,
)
from sensorflow.core.vocabulary import Grain, JsonValue, Partitioning

NEW_YORK = "America/New_York"
NONE = Partitioning(Grain.NONE)
KEY = Partitioning(Grain.KEY)
REGIONS = Partitioning(Grain.KEYS, keys=("eu", "us", "7"))
HOURLY = Partitioning(Grain.HOURLY)
CALENDAR = (Grain.HOURLY, Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)


def daily(timezone: str = "UTC") -> Partitioning:
    return Partitioning(Grain.DAILY, timezone)


def weekly(timezone: str = "UTC") -> Partitioning:
    return Partitioning(Grain.WEEKLY, timezone)


def monthly(timezone: str = "UTC") -> Partitioning:
    return Partitioning(Grain.MONTHLY, timezone)


def limits(partitioning: Partitioning, key: str) -> Bounds:
    found = bounds(partitioning, key)
    assert found is not None
    return found


def hours_of(partitioning: Partitioning, key: str) -> float:
    return (limits(partitioning, key).end - limits(partitioning, key).start) / 3600


# Grains


def test_grains_of_the_calendar_are_ordered_and_no_others() -> None:
    finer = {(a, b) for a in Grain for b in Grain if is_finer(a, b)}
    assert finer == {(CALENDAR[i], CALENDAR[j]) for i in range(4) for j in range(i + 1, 4)}
    assert {(a, b) for a in Grain for b in Grain if comparable(a, b)} == {
        (a, b) for a in CALENDAR for b in CALENDAR
    }


# Reading


@pytest.mark.parametrize(
    ("partitioning", "value", "key"),
    [
        # Own spellings.
        (HOURLY, "2013-01-01T05Z", "2013-01-01T05Z"),
        (HOURLY, "2013-01-01T00Z", "2013-01-01T00Z"),
        (HOURLY, "2013-01-01T23Z", "2013-01-01T23Z"),
        (daily(), "2013-01-01", "2013-01-01"),
        (weekly(), "2013-W05", "2013-W05"),
        (weekly(), "2009-W53", "2009-W53"),
        (monthly(), "2013-02", "2013-02"),
        # Dates are that day, whatever the zone.
        (daily("Asia/Tokyo"), "2013-01-01", "2013-01-01"),
        (daily(NEW_YORK), "20130101", "2013-01-01"),
        (daily(), "2013-032", "2013-02-01"),
        (daily(), "2013032", "2013-02-01"),
        (daily(), "2012-366", "2012-12-31"),
        (daily(), "2013-W01-1", "2012-12-31"),
        (daily(), "2013W017", "2013-01-06"),
        (weekly(), "2012-12-31", "2013-W01"),
        (weekly(), "2013-01-06", "2013-W01"),
        (weekly(), "2013-W05-7", "2013-W05"),
        (monthly(), "2013-02-28", "2013-02"),
        # Instants with an offset are put into the zone.
        (HOURLY, "2013-01-01T00:30:00-05:00", "2013-01-01T05Z"),
        (HOURLY, "2013-01-01T05:59:59.999999999999Z", "2013-01-01T05Z"),
        (HOURLY, "1969-12-31T23:59:59Z", "1969-12-31T23Z"),
        (HOURLY, "20130101T0530+0030", "2013-01-01T05Z"),
        (HOURLY, "2013-01-01T05+05", "2013-01-01T00Z"),
        (HOURLY, "2013-01-01 05:00:00+00:00", "2013-01-01T05Z"),
        (HOURLY, "2013-01-01t05:00:00z", "2013-01-01T05Z"),
        (HOURLY, "2013-01-01T23:59:60Z", "2013-01-01T23Z"),
        (HOURLY, "2013-01-01T24:00:00Z", "2013-01-02T00Z"),
        (HOURLY, "2013-01-01T24Z", "2013-01-02T00Z"),
        (daily(NEW_YORK), "2013-01-01T04:59:59Z", "2012-12-31"),
        (daily(NEW_YORK), "2013-01-01T05Z", "2013-01-01"),
        (daily(NEW_YORK), "2013-07-01T03:59:59.999999999999+00:00", "2013-06-30"),
        (daily(), "2013-01-01T23:30:00-05:00", "2013-01-02"),
        (daily(), "2013-01-01T23.9999999999Z", "2013-01-01"),
        (daily(), "2013-01-01T23:59,9999999999Z", "2013-01-01"),
        (daily(), "2013-01-01T23:59:59,9999999999Z", "2013-01-01"),
        (daily("Etc/GMT-1"), "2013-01-01T22.5Z", "2013-01-01"),
        (daily("Etc/GMT-1"), "2013-01-01T22:59.5Z", "2013-01-01"),
        (daily("Pacific/Apia"), "2011-12-30T09:59:59Z", "2011-12-29"),
        (daily("Pacific/Apia"), "2011-12-30T10:00:00Z", "2011-12-31"),
        (weekly(NEW_YORK), "2013-01-07T04:59Z", "2013-W01"),
        (weekly(NEW_YORK), "2013-01-07T05:00Z", "2013-W02"),
        (monthly(NEW_YORK), "2013-02-01T04:59Z", "2013-01"),
        # Without one they are local, for hours UTC.
        (HOURLY, "2013-01-01T05:30", "2013-01-01T05Z"),
        (Partitioning(Grain.HOURLY, NEW_YORK), "2013-01-01T05:30", "2013-01-01T05Z"),
        (daily(NEW_YORK), "2013-01-01T23:59:59", "2013-01-01"),
        (daily(NEW_YORK), "2013-11-03T01:30:00", "2013-11-03"),
        (daily(NEW_YORK), "2013-01-01T24:00", "2013-01-02"),
        (daily("America/St_Johns"), "2010-11-07T02:30:30Z", "2010-11-06"),
        (daily("America/St_Johns"), "2010-11-07T03:30:30Z", "2010-11-07"),
        # Twice on the clock, which goes back from 00:01 to 23:01: the first is still of the day before.
        (daily("America/St_Johns"), "2010-11-07T00:00:30", "2010-11-06"),
        (monthly("Asia/Tokyo"), "2013-02-01T00:00:00", "2013-02"),
        # Keys.
        (KEY, "order-1:2013/a=b+c.d_E", "order-1:2013/a=b+c.d_E"),
        (KEY, "7", "7"),
        (KEY, 7, "7"),
        (KEY, "x" * 200, "x" * 200),
        (REGIONS, "us", "us"),
        (REGIONS, 7, "7"),
        (NONE, None, ""),
        (NONE, "", ""),
    ],
)
def test_a_value_is_read_into_the_one_spelling(
    partitioning: Partitioning, value: JsonValue, key: str
) -> None:
    assert read_partition(partitioning, value) == key


HOUR_OR_INSTANT = "expected an hour such as 2013-01-01T05Z or an ISO 8601 instant, found "
DAY_OR_INSTANT = "expected a day such as 2013-01-01 or an ISO 8601 instant, found "
FREE_KEY = (
    "expected a key of 1 to 200 of A-Za-z0-9._:/=+- that starts with a letter or digit "
    "and holds no .., found "
)
OUTSIDE = "expected a time between the years 1 and 9999, found the partition outside of them"


@pytest.mark.parametrize(
    ("partitioning", "value", "message"),
    [
        *((daily(), value, f"{DAY_OR_INSTANT}{found}") for value, found in [
            (None, "null"), (True, "true"), (20130101, "20130101"), (1.5, "1.5"), ([], "an array of 0"),
            ({}, "an object"), ("", '""'), ("eu", '"eu"'), ("2013-02", '"2013-02"'),
            ("2013-W05", '"2013-W05"'), ("20130229", '"20130229"'),
            ("2013-01-01T24:01", '"2013-01-01T24:01"'),
            ("2013-366", '"2013-366"'), ("2013-000", '"2013-000"'), ("2013-W53-1", '"2013-W53-1"'),
            ("2013-W01-8", '"2013-W01-8"'), ("2013-0101", '"2013-0101"'), ("201301-01", '"201301-01"'),
            ("2013-1-1", '"2013-1-1"'), ("2013-01-01T", '"2013-01-01T"'),
            ("2013-01-01x05", '"2013-01-01x05"'),
            ("2013-01-01T25", '"2013-01-01T25"'), ("2013-01-01T24:00:01Z", '"2013-01-01T24:00:01Z"'),
            ("2013-01-01T05:60Z", '"2013-01-01T05:60Z"'), ("2013-01-01T05:00:61Z", '"2013-01-01T05:00:61Z"'),
            ("2013-01-01T05+24", '"2013-01-01T05+24"'), ("2013-01-01T05+01:60", '"2013-01-01T05+01:60"'),
            (" 2013-01-01", '" 2013-01-01"'), ("2013-01-01\n", r'"2013-01-01\n"'),
            ("+02013-01-01", '"+02013-01-01"'),
            ("\u0662013-01-01", '"\u0662013-01-01"'), ("0001-000", '"0001-000"'), ("9999-366", '"9999-366"'),
            ("9999-12-31T24:00", '"9999-12-31T24:00"'),
            ("2013-01-01T05:00:00." + "0" * 45, f'"2013-01-01T05:00:00.{"0" * 45}"'),
        ]),
        *((daily(), value, f'expected a day such as 2013-01-01, found "{value}"') for value in [
            "2013-02-29", "2013-13-01", "0000-01-01",
        ]),
        (HOURLY, "2013-02-30T05Z", 'expected an hour such as 2013-01-01T05Z, found "2013-02-30T05Z"'),
        (HOURLY, 5, f"{HOUR_OR_INSTANT}5"),
        (HOURLY, "05", f'{HOUR_OR_INSTANT}"05"'),
        (
            HOURLY,
            "2013-01-01",
            'expected an hour such as 2013-01-01T05Z, found a date without an hour: "2013-01-01"',
        ),
        (weekly(), "2013-W53", 'expected a week such as 2013-W05, found "2013-W53"'),
        (weekly(), "2013-W00", 'expected a week such as 2013-W05, found "2013-W00"'),
        (weekly(), "2013-02", 'expected a week such as 2013-W05 or an ISO 8601 instant, found "2013-02"'),
        (monthly(), "2013-13", 'expected a month such as 2013-02, found "2013-13"'),
        (monthly(), "2013-W05", 'expected a month such as 2013-02 or an ISO 8601 instant, found "2013-W05"'),
        (
            daily(NEW_YORK),
            "2013-03-10T02:30:00",
            f'expected a time that the clock of {NEW_YORK} shows, found "2013-03-10T02:30:00"',
        ),
        (
            monthly("Pacific/Apia"),
            "2011-12-30T12:00",
            'expected a time that the clock of Pacific/Apia shows, found "2011-12-30T12:00"',
        ),
        *(
            (each, "2011-12-30", "expected a date of Pacific/Apia, found 2011-12-30, which it skipped")
            for each in (daily("Pacific/Apia"), weekly("Pacific/Apia"), monthly("Pacific/Apia"))
        ),
        (NONE, "2013-01-01", 'expected no partition, found "2013-01-01"'),
        (NONE, 0, "expected no partition, found 0"),
        (NONE, False, "expected no partition, found false"),
        (NONE, [], "expected no partition, found an array of 0"),
        (REGIONS, "apac", 'expected one of eu, us, 7, found "apac"'),
        (REGIONS, 8, "expected one of eu, us, 7, found 8"),
        (REGIONS, True, "expected one of eu, us, 7, found true"),
        (REGIONS, None, "expected one of eu, us, 7, found null"),
        *((KEY, value, f"{FREE_KEY}{found}") for value, found in [
            ("", '""'), ("-a", '"-a"'), (".a", '".a"'), ("a..b", '"a..b"'), ("a b", '"a b"'),
            ("a|b", '"a|b"'),
            ("\u00e4", '"\u00e4"'), ("a\n", r'"a\n"'), ("x" * 201, '"' + "x" * 80 + '..."'), (None, "null"),
            (True, "true"), (1.0, "1.0"), (-1, "-1"), (["a"], "an array of 1"), ({}, "an object"),
        ]),
        (daily(), "0001-01-01", OUTSIDE),
        (daily(), "9999-12-31", OUTSIDE),
        (daily("Asia/Tokyo"), "0001-01-02", OUTSIDE),
        (daily("Etc/GMT+5"), "9999-12-30", OUTSIDE),
        (HOURLY, "0001-01-01T23Z", OUTSIDE),
        (HOURLY, "9999-12-31T00Z", OUTSIDE),
        (weekly(), "0001-W01", OUTSIDE),
        (weekly(), "9999-W52", OUTSIDE),
        (monthly(), "0001-01", OUTSIDE),
        (monthly(), "9999-12", OUTSIDE),
        (daily("Asia/Tokyo"), "9999-12-31T23:00Z", f'{DAY_OR_INSTANT}"9999-12-31T23:00Z"'),
        (daily(NEW_YORK), "0001-01-01T00:00Z", f'{DAY_OR_INSTANT}"0001-01-01T00:00Z"'),
        (daily("Asia/Tokyo"), "0001-01-01T00:00", f'{DAY_OR_INSTANT}"0001-01-01T00:00"'),
    ],
)  # fmt: skip
def test_what_is_no_partition_is_refused_with_what_was_expected_and_found(
    partitioning: Partitioning, value: JsonValue, message: str
) -> None:
    with pytest.raises(PartitionError) as refused:
        read_partition(partitioning, value)
    assert str(refused.value) == message


def test_the_first_and_last_partitions_of_the_calendar_are_read() -> None:
    for partitioning, first, last in [
        (HOURLY, "0001-01-02T00Z", "9999-12-30T23Z"),
        (daily(), "0001-01-02", "9999-12-30"),
        (weekly(), "0001-W02", "9999-W51"),
        (monthly(), "0001-02", "9999-11"),
    ]:
        assert read_partition(partitioning, first) == first
        assert read_partition(partitioning, last) == last
        with pytest.raises(PartitionError, match="between the years 1 and 9999"):
            shifted(partitioning, first, -1)
        with pytest.raises(PartitionError, match="between the years 1 and 9999"):
            shifted(partitioning, last, 1)


@settings(deadline=None)
@given(
    st.text(max_size=30)
    | st.integers()
    | st.floats()
    | st.from_regex(r"[0-9]{4}-?[0-9W]{2,3}-?[0-9]{0,2}T?[0-9:]*")
)
def test_whatever_is_read_it_is_a_partition_or_a_partition_error(value: JsonValue) -> None:
    for partitioning in (
        NONE,
        KEY,
        REGIONS,
        HOURLY,
        daily(NEW_YORK),
        weekly("Asia/Kolkata"),
        monthly("Pacific/Apia"),
    ):
        try:
            key = read_partition(partitioning, value)
        except PartitionError:
            continue
        assert read_partition(partitioning, key) == key


# Bounds


def test_bounds_are_those_of_the_zone() -> None:
    assert bounds(HOURLY, "1970-01-01T01Z") == Bounds(3600, 7200)
    assert bounds(daily(), "1970-01-02") == Bounds(86_400, 172_800)
    assert bounds(daily("Asia/Tokyo"), "1970-01-02") == Bounds(54_000, 140_400)
    assert bounds(weekly(), "1970-W02") == Bounds(4 * 86_400, 11 * 86_400)
    assert bounds(monthly(), "1970-02") == Bounds(31 * 86_400, 59 * 86_400)
    assert bounds(monthly(), "1969-12") == Bounds(-31 * 86_400, 0)


@pytest.mark.parametrize("partitioning", [NONE, KEY, REGIONS])
def test_keys_and_the_whole_have_no_bounds(partitioning: Partitioning) -> None:
    assert bounds(partitioning, "") is None


@pytest.mark.parametrize(
    ("timezone", "day", "hours"),
    [
        (NEW_YORK, "2013-03-10", 23),
        (NEW_YORK, "2013-11-03", 25),
        (NEW_YORK, "2013-11-04", 24),
        ("America/Sao_Paulo", "2013-10-20", 23),  # Its clock leaps over midnight itself.
        ("America/Havana", "2013-11-03", 25),  # Its clock shows this midnight twice.
        ("Australia/Lord_Howe", "2013-10-06", 23.5),
        ("Pacific/Apia", "2011-12-29", 24),
        ("Pacific/Apia", "2011-12-31", 24),
        ("America/St_Johns", "2010-11-06", 25),  # Back from 00:01 to 23:01 the day before.
        ("America/St_Johns", "2010-11-07", 24),
        ("America/Toronto", "1919-03-31", 23.5),  # From 23:30 to 00:30.
        ("America/Toronto", "1919-03-30", 23.5),
    ],
)
def test_days_are_as_long_as_the_clock_makes_them(timezone: str, day: str, hours: float) -> None:
    assert hours_of(daily(timezone), day) == hours


def test_weeks_and_months_are_as_long_as_their_days() -> None:
    assert hours_of(weekly(NEW_YORK), "2013-W10") == 7 * 24 - 1
    assert hours_of(monthly(NEW_YORK), "2013-11") == 30 * 24 + 1
    assert hours_of(weekly("Pacific/Apia"), "2011-W52") == 6 * 24
    assert hours_of(monthly("Pacific/Kiritimati"), "1994-12") == 30 * 24


@pytest.mark.parametrize(
    ("partitioning", "key"),
    [
        (HOURLY, "2013-01-01T5Z"),
        (HOURLY, "2013-01-01T24Z"),
        (HOURLY, "2013-01-01T05:00Z"),
        (HOURLY, "2013-01-01"),
        (HOURLY, "2013-02-29T05Z"),
        (daily(), "20130101"),
        (daily(), "2013-01-01T05Z"),
        (daily(), "2013-02-29"),
        (daily(), ""),
        (daily("Pacific/Apia"), "2011-12-30"),
        (daily(), "9999-12-31"),
        (weekly(), "2013W05"),
        (weekly(), "2013-W53"),
        (weekly(), "2013-W05-1"),
        (monthly(), "2013-2"),
        (monthly(), "2013-00"),
        (monthly(), "2013-02-01"),
    ],
)
def test_a_key_that_is_not_the_one_spelling_of_a_partition_is_refused(
    partitioning: Partitioning, key: str
) -> None:
    operations: list[Callable[[], object]] = [
        lambda: bounds(partitioning, key),
        lambda: shifted(partitioning, key, 0),
        lambda: between(partitioning, key, key),
        lambda: containing(partitioning, key, monthly()),
        lambda: inside(partitioning, key, HOURLY),
    ]
    for operation in operations:
        with pytest.raises(PartitionError, match=r"^expected "):
            operation()


def test_a_wrong_spelling_is_told_apart_from_a_wrong_date() -> None:
    with pytest.raises(PartitionError) as spelling:
        bounds(daily(), "20130101")
    assert str(spelling.value) == 'expected a day such as 2013-01-01, spelled as that, found "20130101"'
    with pytest.raises(PartitionError) as wrong:
        bounds(daily(), "2013-02-29")
    assert str(wrong.value) == 'expected a day such as 2013-01-01, found "2013-02-29"'


# Where grains lie in each other


@pytest.mark.parametrize(
    ("fine", "key", "coarse", "expected"),
    [
        (HOURLY, "2013-01-01T04Z", daily(NEW_YORK), "2012-12-31"),
        (HOURLY, "2013-01-01T05Z", daily(NEW_YORK), "2013-01-01"),
        (HOURLY, "2013-01-01T18Z", daily("Asia/Kolkata"), "2013-01-01"),  # It starts 23:30 there.
        (HOURLY, "2013-01-01T19Z", daily("Asia/Kolkata"), "2013-01-02"),
        (HOURLY, "2010-11-07T03Z", daily("America/St_Johns"), "2010-11-06"),  # 23:30 again.
        (HOURLY, "2013-01-06T23Z", weekly(), "2013-W01"),
        (HOURLY, "2013-01-31T23Z", monthly(), "2013-01"),
        (HOURLY, "2013-01-01T05Z", HOURLY, "2013-01-01T05Z"),
        (daily(), "2013-01-06", weekly(), "2013-W01"),
        (daily(), "2013-02-28", monthly(), "2013-02"),
        (daily("Asia/Tokyo"), "2013-02-01", monthly(), "2013-01"),
        (weekly(), "2013-W05", monthly(), "2013-01"),  # Its Thursday is January's last day.
        (weekly(), "2013-W09", monthly(), "2013-02"),
        (weekly(), "2013-W18", monthly(), "2013-05"),  # Monday in April, Thursday in May.
        (weekly("Asia/Tokyo"), "2013-W31", monthly(), "2013-07"),  # Thursday begins on July 31st, 15:00 UTC.
        (weekly("Asia/Tokyo"), "2013-W31", monthly("Asia/Tokyo"), "2013-08"),
        (daily("Asia/Tokyo"), "2013-01-02", daily(), "2013-01-01"),
        (daily(), "2013-01-02", daily("Asia/Tokyo"), "2013-01-02"),
        (daily(), "2013-01-02", daily(), "2013-01-02"),
        (weekly("Asia/Tokyo"), "2013-W02", weekly(), "2013-W01"),
        (monthly("Asia/Tokyo"), "2013-02", monthly(), "2013-01"),
    ],
)
def test_a_finer_partition_belongs_to_the_coarser_one_that_contains_its_start(
    fine: Partitioning, key: str, coarse: Partitioning, expected: str
) -> None:
    assert containing(fine, key, coarse) == expected
    assert key in inside(coarse, expected, fine)


def test_a_day_holds_exactly_the_hours_that_it_has() -> None:
    spring = inside(daily(NEW_YORK), "2013-03-10", HOURLY)
    assert (len(spring), spring[0], spring[-1]) == (23, "2013-03-10T05Z", "2013-03-11T03Z")
    autumn = inside(daily(NEW_YORK), "2013-11-03", HOURLY)
    assert (len(autumn), autumn[0], autumn[-1]) == (25, "2013-11-03T04Z", "2013-11-04T04Z")
    assert len(inside(daily(NEW_YORK), "2013-11-04", HOURLY)) == 24
    half = inside(daily("Asia/Kolkata"), "2013-01-02", HOURLY)
    assert (len(half), half[0], half[-1]) == (24, "2013-01-01T19Z", "2013-01-02T18Z")


def test_a_month_holds_the_weeks_whose_thursday_is_in_it() -> None:
    assert inside(monthly(), "2013-01", weekly()) == (
        "2013-W01",
        "2013-W02",
        "2013-W03",
        "2013-W04",
        "2013-W05",
    )
    assert inside(monthly(), "2013-02", weekly()) == ("2013-W06", "2013-W07", "2013-W08", "2013-W09")


def test_a_date_that_the_zone_skipped_is_in_nothing() -> None:
    assert inside(weekly("Pacific/Apia"), "2011-W52", daily("Pacific/Apia")) == (
        *(f"2011-12-{day}" for day in (26, 27, 28, 29, 31)),
        "2012-01-01",
    )


@pytest.mark.parametrize(
    ("fine", "key", "coarse", "coarse_key"),
    [
        (daily(), "2013-01-01", HOURLY, "2013-01-01T00Z"),
        (monthly(), "2013-01", weekly(), "2013-W01"),
        (KEY, "a", daily(), "2013-01-01"),
        (daily(), "2013-01-01", REGIONS, "eu"),
        (daily(), "2013-01-01", NONE, ""),
        (NONE, "", NONE, ""),
    ],
)
def test_grains_that_do_not_lie_in_each_other_are_refused(
    fine: Partitioning, key: str, coarse: Partitioning, coarse_key: str
) -> None:
    with pytest.raises(PartitionError, match=r"^expected "):
        containing(fine, key, coarse)
    with pytest.raises(PartitionError, match=r"^expected "):
        inside(coarse, coarse_key, fine)


def test_at_the_edge_of_the_calendar_there_is_an_error_and_no_overflow() -> None:
    with pytest.raises(PartitionError, match="between the years 1 and 9999"):
        inside(daily(), "9999-12-30", daily("Etc/GMT-14"))
    with pytest.raises(PartitionError, match="between the years 1 and 9999"):
        containing(HOURLY, "0001-01-02T00Z", daily(NEW_YORK))
    with pytest.raises(PartitionError, match="between the years 1 and 9999"):
        shifted(HOURLY, "2013-01-01T00Z", 10**400)
    for partitioning in (daily(), weekly(), monthly()):
        for by in (-(10**9), 10**9, 10**400):
            with pytest.raises(PartitionError, match="between the years 1 and 9999"):
                shifted(partitioning, read_partition(partitioning, "2013-01-01"), by)


# Neighbours


@pytest.mark.parametrize(
    ("partitioning", "key", "by", "expected"),
    [
        (HOURLY, "2013-01-01T23Z", 1, "2013-01-02T00Z"),
        (daily(), "2013-03-01", -1, "2013-02-28"),
        (daily(), "2013-03-01", 0, "2013-03-01"),
        (daily(), "2013-01-01", 365, "2014-01-01"),
        (weekly(), "2009-W53", 1, "2010-W01"),
        (weekly(), "2013-W01", -1, "2012-W52"),
        (monthly(), "2013-12", 1, "2014-01"),
        (monthly(), "2013-01", -13, "2011-12"),
        (daily("Pacific/Apia"), "2011-12-29", 1, "2011-12-31"),
        (daily("Pacific/Apia"), "2011-12-31", -1, "2011-12-29"),
        (daily("Pacific/Apia"), "2011-12-28", 3, "2012-01-01"),
    ],
)
def test_a_shift_counts_the_partitions_that_exist(
    partitioning: Partitioning, key: str, by: int, expected: str
) -> None:
    assert shifted(partitioning, key, by) == expected


def test_a_range_holds_both_its_ends() -> None:
    assert list(between(daily(), "2013-02-27", "2013-03-01")) == ["2013-02-27", "2013-02-28", "2013-03-01"]
    assert list(between(daily(), "2013-02-27", "2013-02-27")) == ["2013-02-27"]
    assert list(between(daily(), "2013-02-27", "2013-02-26")) == []
    assert list(between(HOURLY, "2013-01-01T23Z", "2013-01-02T00Z")) == ["2013-01-01T23Z", "2013-01-02T00Z"]
    assert list(between(weekly(), "2012-W52", "2013-W02")) == ["2012-W52", "2013-W01", "2013-W02"]
    assert list(between(monthly(), "2012-12", "2013-01")) == ["2012-12", "2013-01"]
    assert list(between(daily("Pacific/Apia"), "2011-12-29", "2011-12-31")) == ["2011-12-29", "2011-12-31"]


@pytest.mark.parametrize(("partitioning", "key"), [(NONE, ""), (KEY, "a"), (REGIONS, "eu")])
def test_keys_have_no_neighbours(partitioning: Partitioning, key: str) -> None:
    expected = (
        f"expected an hourly, daily, weekly or monthly partition, found one of grain {partitioning.grain}"
    )
    for operation in (
        lambda: shifted(partitioning, key, 1),
        lambda: between(partitioning, key, key),
    ):
        with pytest.raises(PartitionError) as refused:
            operation()
        assert str(refused.value) == expected


# Instants


def test_an_instant_is_in_the_partition_whose_bounds_hold_it() -> None:
    assert partition_at(NONE, 0) == ""
    assert partition_at(HOURLY, 3600) == "1970-01-01T01Z"
    assert partition_at(HOURLY, -0.001) == "1969-12-31T23Z"
    assert partition_at(daily(NEW_YORK), 0) == "1969-12-31"
    assert partition_at(weekly(), 0) == "1970-W01"
    assert partition_at(monthly(), 31 * 86_400) == "1970-02"
    assert partition_at(monthly(), 31 * 86_400 - 0.001) == "1970-01"


def test_a_day_begins_when_its_date_comes_for_good() -> None:
    half_a_minute_past = datetime(
        2010, 11, 7, 2, 30, 30, tzinfo=UTC
    ).timestamp()  # 00:00:30, soon 23:01 again.
    assert iso(half_a_minute_past, "America/St_Johns") == "2010-11-07T00:00:30-02:30"
    assert partition_at(daily("America/St_Johns"), half_a_minute_past) == "2010-11-06"
    assert partition_at(daily("America/St_Johns"), half_a_minute_past + 3600) == "2010-11-07"


@pytest.mark.parametrize("partitioning", [KEY, REGIONS])
def test_an_instant_is_in_no_key(partitioning: Partitioning) -> None:
    with pytest.raises(PartitionError, match="expected an hourly, daily, weekly or monthly partition"):
        partition_at(partitioning, 0)


@pytest.mark.parametrize("instant", [math.nan, math.inf, -math.inf, 1e12, -1e12, 1e300])
def test_an_instant_outside_of_the_calendar_is_refused(instant: float) -> None:
    for partitioning in (HOURLY, daily(), weekly(NEW_YORK), monthly()):
        with pytest.raises(PartitionError, match="expected a time between the years 1 and 9999"):
            partition_at(partitioning, instant)
    with pytest.raises(PartitionError, match=re.escape(f"found the instant {instant} outside of them")):
        iso(instant, NEW_YORK)


def test_an_instant_is_written_with_the_offset_of_the_zone() -> None:
    assert iso(0, "UTC") == "1970-01-01T00:00:00+00:00"
    assert iso(1.5, NEW_YORK) == "1969-12-31T19:00:01.500000-05:00"
    assert iso(limits(daily(NEW_YORK), "2013-07-01").start, NEW_YORK) == "2013-07-01T00:00:00-04:00"
    assert iso(1e9, "Asia/Kolkata") == "2001-09-09T07:16:40+05:30"


# Properties, over all zones and the years 1970 to 2037

ZONES = st.sampled_from(sorted(zoneinfo.available_timezones()))
ODD_ZONES = st.sampled_from([
    NEW_YORK, "America/Sao_Paulo", "America/Havana", "America/St_Johns", "America/Goose_Bay",
    "Antarctica/Casey",
    "Antarctica/Troll", "Asia/Beirut", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Pyongyang", "Africa/Monrovia",
    "Australia/Lord_Howe", "Europe/Dublin", "Pacific/Apia", "Pacific/Chatham", "Pacific/Fakaofo",
    "Pacific/Kiritimati", "Pacific/Kwajalein",
])  # fmt: skip
ANY_ZONE = ZONES | ODD_ZONES
DAYS = st.dates(date(1970, 1, 1), date(2037, 12, 30))
INSTANTS = st.integers(0, int(datetime(2037, 12, 31, tzinfo=UTC).timestamp()))


def partitionings(grains: tuple[Grain, ...] = CALENDAR) -> st.SearchStrategy[Partitioning]:
    return st.builds(Partitioning, st.sampled_from(grains), ANY_ZONE)


@settings(deadline=None)
@given(ANY_ZONE, DAYS)
def test_a_day_begins_where_no_earlier_date_follows(timezone: str, day: date) -> None:
    zone = ZoneInfo(timezone)
    step_s = 30
    around = range(
        int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) - 26 * 3600, 2**40, step_s
    )
    earlier = [
        instant
        for instant in around[: 52 * 3600 // step_s]
        if datetime.fromtimestamp(instant, zone).date() < day
    ]
    partitioning = daily(timezone)
    key = partition_at(partitioning, earlier[-1] + step_s)
    assert limits(partitioning, key).start == earlier[-1] + step_s
    if key == day.isoformat():
        assert read_partition(partitioning, day.isoformat()) == key
    else:  # The zone skipped it.
        assert key == (day + timedelta(days=1)).isoformat()
        with pytest.raises(PartitionError, match="which it skipped"):
            read_partition(partitioning, day.isoformat())


@settings(deadline=None)
@given(ANY_ZONE, INSTANTS)
def test_every_hour_belongs_to_exactly_one_day(timezone: str, instant: int) -> None:
    hour, partitioning = partition_at(HOURLY, instant), daily(timezone)
    day = containing(HOURLY, hour, partitioning)
    around = [shifted(partitioning, day, by) for by in (-2, -1, 0, 1, 2)]
    assert [key for key in around if hour in inside(partitioning, key, HOURLY)] == [day]
    start, end = limits(partitioning, day)
    assert start <= limits(HOURLY, hour).start < end


@settings(deadline=None)
@given(ANY_ZONE, INSTANTS)
def test_where_offsets_are_whole_hours_the_hours_cover_the_day_exactly(timezone: str, instant: int) -> None:
    partitioning = daily(timezone)
    day = partition_at(partitioning, instant)
    start, end = limits(partitioning, day)
    hours = inside(partitioning, day, HOURLY)
    assert all(limits(HOURLY, one).end == limits(HOURLY, two).start for one, two in pairwise(hours))
    if start % 3600 == end % 3600 == 0:
        assert (limits(HOURLY, hours[0]).start, limits(HOURLY, hours[-1]).end) == (start, end)


@settings(deadline=None)
@given(partitionings(), INSTANTS)
def test_an_instant_lies_within_the_bounds_of_its_partition(partitioning: Partitioning, instant: int) -> None:
    key = partition_at(partitioning, instant)
    start, end = limits(partitioning, key)
    assert start <= instant < end
    assert partition_at(partitioning, start) == partition_at(partitioning, end - 0.001) == key
    assert partition_at(partitioning, end) == shifted(partitioning, key, 1)
    assert partition_at(partitioning, start - 0.001) == shifted(partitioning, key, -1)


@settings(deadline=None)
@given(partitionings(), partitionings(), INSTANTS)
def test_containing_and_inside_are_inverse(one: Partitioning, two: Partitioning, instant: int) -> None:
    fine, coarse = (one, two) if not is_finer(two.grain, one.grain) else (two, one)
    key = partition_at(fine, instant)
    assert key in inside(coarse, containing(fine, key, coarse), fine)
    members = inside(coarse, partition_at(coarse, instant), fine)
    assert {containing(fine, member, coarse) for member in members} <= {partition_at(coarse, instant)}
    assert [*members] == sorted(set(members), key=lambda member: limits(fine, member).start)


@settings(deadline=None)
@given(partitionings(), INSTANTS, st.integers(-40, 40))
def test_shifts_and_ranges_agree(partitioning: Partitioning, instant: int, by: int) -> None:
    key = partition_at(partitioning, instant)
    other = shifted(partitioning, key, by)
    assert shifted(partitioning, other, -by) == key
    first, last = (key, other) if by >= 0 else (other, key)
    keys = list(between(partitioning, first, last))
    assert (keys[0], keys[-1], len(keys)) == (first, last, abs(by) + 1)
    assert all(limits(partitioning, a).end == limits(partitioning, b).start for a, b in pairwise(keys))


@settings(deadline=None)
@given(partitionings(), INSTANTS, ANY_ZONE)
def test_an_instant_is_read_into_its_partition_whatever_its_offset(
    partitioning: Partitioning, instant: int, timezone: str
) -> None:
    zone = ZoneInfo(partitioning.timezone)
    local = datetime.fromtimestamp(instant, UTC if partitioning.grain is Grain.HOURLY else zone)
    written = datetime.fromtimestamp(instant, ZoneInfo(timezone))
    if written.utcoffset() != timedelta(minutes=written.utcoffset() // timedelta(minutes=1)):  # type: ignore[operator]
        written = local.astimezone(UTC)  # ISO 8601 has no seconds in offsets.
    key = read_partition(partitioning, written.isoformat())
    if partitioning.grain is Grain.HOURLY:
        assert key == f"{local:%Y-%m-%dT%HZ}"
    else:
        assert key == read_partition(partitioning, local.date().isoformat())
        assert key == read_partition(partitioning, local.replace(tzinfo=None).isoformat())
