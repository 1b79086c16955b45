"""When a cron comes by the clock of a zone, also on the days on which that clock is set."""

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorflow.core.clocks import LATEST, first_instant, is_skipped
from sensorflow.core.partitions import iso
from sensorflow.core.schedules import check_cron, first_from, next_time, times_between

NEW_YORK = "America/New_York"
APIA = "Pacific/Apia"
MONROVIA = "Africa/Monrovia"
LORD_HOWE = "Australia/Lord_Howe"


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def told(cron: str, timezone: str, first: str, last: str) -> list[str]:
    """Return the times from the first to the last, both included, without the seconds."""
    after = first_from(cron, timezone, instant(first))
    times = [after, *times_between(cron, timezone, after, instant(last), 1000)]
    return [
        iso(at, timezone).replace(":00-", "-").replace(":00+", "+") for at in times if at <= instant(last)
    ]


# What a cron is


@pytest.mark.parametrize(
    "cron",
    ["0 2 * * *", "*/15 0-6,22 1,15 JAN-mar mon#1", "0 0 L * *", "0 0 LW * 5L", "0 0 29 2 *", "0 0 30 2 1",
     "  5   4 * * 7 ", "@daily", "@hourly", "@weekly", "@monthly", "@yearly", "@annually", "@midnight"],
)  # fmt: skip
def test_a_cron_is_five_fields_or_a_name(cron: str) -> None:
    check_cron(cron)
    assert next_time(cron, "UTC", 0) > 0


NAMES = "@hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually"


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        *((cron, f"expected minute, hour, day, month and weekday, or one of {NAMES}; found {found}")
          for cron, found in [
              ("", '""'), ("0 2 * *", '"0 2 * *"'), ("0 0 2 * * *", '"0 0 2 * * *"'),
              ("@reboot", '"@reboot"'), ("@DAILY", '"@DAILY"'), ("daily", '"daily"'),
              ("1," * 300 + "1 * * * *", '"' + "1," * 40 + '..."'),
          ]),
        ("60 2 * * *", 'expected a minute of 0-59, found "60" in "60 2 * * *"'),
        ("*/0 2 * * *", 'expected a minute of 0-59, found "*/0" in "*/0 2 * * *"'),
        ("0 24 * * *", 'expected an hour of 0-23, found "24" in "0 24 * * *"'),
        ("0 5-3 * * *", 'expected an hour of 0-23, found "5-3" in "0 5-3 * * *"'),
        ("0 0 0 * *",
         'expected a day of 1-31, L or LW, that one of the months has, found "0" in "0 0 0 * *"'),
        ("0 0 31 2,4 *",
         'expected a day of 1-31, L or LW, that one of the months has, found "31" in "0 0 31 2,4 *"'),
        ("0 0 * 13 *", 'expected a month of 1-12 or JAN-DEC, found "13" in "0 0 * 13 *"'),
        ("0 0 * * MONDAY",
         'expected a weekday of 0-7 or SUN-SAT, as 5L and 1#2 too, found "MONDAY" in "0 0 * * MONDAY"'),
        ("0 0 */20 * 1#2", 'expected a time that comes, found one that never does: "0 0 */20 * 1#2"'),
    ],
)  # fmt: skip
def test_what_is_no_cron_is_refused_with_what_was_expected_and_found(cron: str, message: str) -> None:
    for operation in (
        lambda: check_cron(cron),
        lambda: next_time(cron, "UTC", 0),
        lambda: first_from(cron, "UTC", 0),
    ):
        with pytest.raises(ValueError, match=r"^expected ") as refused:
            operation()
        assert str(refused.value) == message


@given(st.text(max_size=20) | st.from_regex(r"([0-9*,/#L-]{1,6} ){4}[0-9*,/#LW-]{1,6}", fullmatch=True))
def test_whatever_is_read_it_comes_or_is_refused_in_words(cron: str) -> None:
    try:
        check_cron(cron)
    except ValueError:
        with pytest.raises(ValueError, match=r"^expected "):
            check_cron(cron)
    else:
        assert next_time(cron, "UTC", 0) > 0


# When it comes


def test_the_next_time_is_later_and_the_first_may_be_now() -> None:
    two = instant("2013-01-01T02:00Z")
    assert next_time("0 2 * * *", "UTC", two) == two + 86_400
    assert first_from("0 2 * * *", "UTC", two) == two
    for at in (two - 0.001, two - 1, two - 86_399):
        assert next_time("0 2 * * *", "UTC", at) == first_from("0 2 * * *", "UTC", at) == two
    assert first_from("0 2 * * *", "UTC", two + 0.001) == two + 86_400
    assert first_from("* * * * *", "UTC", two + 0.5) == next_time("* * * * *", "UTC", two) == two + 60


def test_the_names_are_the_crons_that_they_stand_for() -> None:
    tuesday = instant("2013-01-01T00:30Z")
    assert {name: iso(next_time(f"@{name}", "UTC", tuesday), "UTC")[:16] for name in (
        "hourly", "daily", "midnight", "weekly", "monthly", "yearly", "annually",
    )} == {
        "hourly": "2013-01-01T01:00", "daily": "2013-01-02T00:00", "midnight": "2013-01-02T00:00",
        "weekly": "2013-01-06T00:00", "monthly": "2013-02-01T00:00", "yearly": "2014-01-01T00:00",
        "annually": "2014-01-01T00:00",
    }  # fmt: skip


def test_times_between_leave_out_the_first_end_and_keep_the_last_up_to_the_limit() -> None:
    times = [instant(f"2013-01-0{day}T02:00Z") for day in (1, 2, 3, 4)]
    assert times_between("0 2 * * *", "UTC", times[0], times[3], 10) == times[1:]
    assert times_between("0 2 * * *", "UTC", times[0] - 1, times[3] - 1, 10) == times[:3]
    assert times_between("0 2 * * *", "UTC", times[0], times[3], 2) == times[1:3]
    assert times_between("0 2 * * *", "UTC", times[0], times[3], 0) == []
    assert times_between("0 2 * * *", "UTC", times[0], times[0] + 5, 10) == []


def test_at_the_end_of_the_calendar_is_the_last_time() -> None:
    assert next_time("0 0 29 2 *", NEW_YORK, instant("9997-01-01T00:00Z")) == LATEST
    assert first_from("* 1 * * *", "Asia/Tokyo", LATEST) == LATEST
    assert first_from("0 5 * * *", "UTC", LATEST - 60) == LATEST
    assert first_from("* 5 * * *", "UTC", LATEST - 60) == LATEST
    assert times_between("0 0 1 1 *", "UTC", instant("9998-06-01T00:00Z"), LATEST, 10) == [
        instant("9999-01-01T00:00Z"),
        LATEST,
    ]


# On the days on which a clock is set


@pytest.mark.parametrize(
    ("cron", "timezone", "first", "last", "expected"),
    [
        # From 02:00 to 03:00: what is leapt over comes right after, together with what is due then.
        ("30 2 * * *", NEW_YORK, "2013-03-09T12:00Z", "2013-03-12T00:00Z",
         ["2013-03-10T03:00-04:00", "2013-03-11T02:30-04:00"]),
        ("0,30 2,3 * * *", NEW_YORK, "2013-03-10T05:00Z", "2013-03-10T12:00Z",
         ["2013-03-10T03:00-04:00", "2013-03-10T03:30-04:00"]),
        ("*/30 1-3 * * *", NEW_YORK, "2013-03-10T05:00Z", "2013-03-10T12:00Z",
         ["2013-03-10T01:00-05:00", "2013-03-10T01:30-05:00", "2013-03-10T03:00-04:00",
          "2013-03-10T03:30-04:00"]),
        # From 02:00 back to 01:00: a given time comes once, one by the star each time.
        ("30 1 * * *", NEW_YORK, "2013-11-03T04:00Z", "2013-11-04T12:00Z",
         ["2013-11-03T01:30-04:00", "2013-11-04T01:30-05:00"]),
        ("30 1 * * *", NEW_YORK, "2013-11-03T05:31Z", "2013-11-04T12:00Z", ["2013-11-04T01:30-05:00"]),
        ("30 1 * * *", NEW_YORK, "2013-11-03T06:15Z", "2013-11-04T12:00Z", ["2013-11-04T01:30-05:00"]),
        ("30 * * * *", NEW_YORK, "2013-11-03T05:00Z", "2013-11-03T08:00Z",
         ["2013-11-03T01:30-04:00", "2013-11-03T01:30-05:00", "2013-11-03T02:30-05:00"]),
        ("*/30 1 3 11 *", NEW_YORK, "2013-11-03T05:45Z", "2013-12-03T08:00Z",
         ["2013-11-03T01:00-05:00", "2013-11-03T01:30-05:00"]),
        # By half an hour, where the next hour is not sixty minutes on.
        ("*/30 3 * * *", LORD_HOWE, "2013-04-06T14:45Z", "2013-04-07T00:00Z",
         ["2013-04-07T03:00+10:30", "2013-04-07T03:30+10:30"]),
        ("15 2 * * *", LORD_HOWE, "2013-10-05T12:00Z", "2013-10-06T00:00Z", ["2013-10-06T02:30+11:00"]),
        # Over midnight itself, and by minutes and seconds.
        ("0 0 * * *", "America/Sao_Paulo", "2013-10-19T12:00Z", "2013-10-20T12:00Z",
         ["2013-10-20T01:00-02:00"]),
        ("0 0 7 1 *", MONROVIA, "1972-01-06T00:00Z", "1972-01-08T00:00Z", ["1972-01-07T00:44:30+00:00"]),
        ("0 0 * * *", "America/Havana", "2013-11-02T12:00Z", "2013-11-04T12:00Z",
         ["2013-11-03T00:00-04:00", "2013-11-04T00:00-05:00"]),
        # A day that is not there leaps over nothing.
        ("0 2 * * *", APIA, "2011-12-29T00:00-10:00", "2012-01-01T00:00+14:00",
         ["2011-12-29T02:00-10:00", "2011-12-31T02:00+14:00"]),
        ("0 * 30 12 *", APIA, "2011-12-01T00:00Z", "2012-12-29T09:30Z", []),
        ("0 */12 31 12 *", APIA, "2011-12-20T00:00Z", "2012-12-30T00:00Z",
         ["2011-12-31T00:00+14:00", "2011-12-31T12:00+14:00"]),
        # Far away.
        ("* 0 29 2 */7", NEW_YORK, "2033-01-01T00:00Z", "2060-02-29T05:01Z",
         ["2060-02-29T00:00-05:00", "2060-02-29T00:01-05:00"]),
    ],
)  # fmt: skip
def test_a_cron_comes_by_the_clock_of_its_zone(
    cron: str, timezone: str, first: str, last: str, expected: list[str]
) -> None:
    assert told(cron, timezone, first, last) == expected


# Against a naive reading of zoneinfo, over the years 1970 to 2037

ALL_ZONES = sorted(zoneinfo.available_timezones())
ODD_ZONES = [
    NEW_YORK, APIA, MONROVIA, LORD_HOWE, "America/Sao_Paulo", "America/Havana", "America/St_Johns",
    "America/Goose_Bay", "Antarctica/Casey", "Antarctica/Troll", "Asia/Beirut", "Asia/Pyongyang",
    "Europe/Dublin", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Kwajalein", "Africa/Casablanca",
]  # fmt: skip
DAYS = st.dates(date(1970, 1, 4), date(2037, 12, 20))
#: How long after what the clock showed the naive reading looks.
SPAN = timedelta(days=2)


def changes(timezone: str) -> list[int]:
    """Return the midnights, of UTC, up to a day after the clock of a zone was set."""
    zone = ZoneInfo(timezone)
    midnights = range(0, int(instant("2037-12-20T00:00Z")), 86_400)
    offsets = [datetime.fromtimestamp(midnight, zone).utcoffset() for midnight in midnights]
    return [midnights[place + 1] for place, (one, two) in enumerate(pairwise(offsets)) if one != two]


CHANGES = {timezone: changes(timezone) for timezone in ODD_ZONES}


@st.composite
def places(draw: st.DrawFn) -> tuple[str, int]:
    """Draw a zone and an instant, most often close to where its clock is set."""
    if draw(st.integers(0, 3)) == 0:
        day = draw(DAYS)
        start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        return draw(st.sampled_from(ALL_ZONES)), start + draw(st.integers(0, 86_399))
    timezone = draw(st.sampled_from([zone for zone in ODD_ZONES if CHANGES[zone]]))
    return timezone, draw(st.sampled_from(CHANGES[timezone])) + draw(st.integers(-32 * 3600, 2 * 3600))


FIXED_MINUTES = {"0": {0}, "30": {30}, "15,45": {15, 45}, "59": {59}}
ANY_MINUTES = {"*/20": {0, 20, 40}, "*": set(range(60))}
FIXED_HOURS = {"0": {0}, "1": {1}, "2": {2}, "1-3": {1, 2, 3}, "23": {23}, "0,12": {0, 12}}
ANY_HOURS = {"*": set(range(24)), "*/2": set(range(0, 24, 2))}
WEEKDAYS = {"*": set(range(7)), "1-5": set(range(5)), "0,6": {5, 6}}


def shown_at(clock_time: datetime, timezone: str) -> list[float]:
    """Return when a clock shows a time: never, once or twice."""
    zone = ZoneInfo(timezone)
    both = {clock_time.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)}
    return sorted(at for at in both if datetime.fromtimestamp(at, zone).replace(tzinfo=UTC) == clock_time)


def leapt_over_at(clock_time: datetime, timezone: str) -> float:
    zone = ZoneInfo(timezone)
    around = int(clock_time.timestamp())
    step_s = 30  # The finest that a clock was set by since 1970.
    before = [
        at
        for at in range(around - 90_000, around + 90_000, step_s)
        if datetime.fromtimestamp(at, zone).replace(tzinfo=UTC) < clock_time
    ]
    return before[-1] + step_s


@given(
    places(),
    st.sampled_from(sorted(FIXED_MINUTES | ANY_MINUTES)),
    st.sampled_from(sorted(FIXED_HOURS | ANY_HOURS)),
    st.sampled_from(sorted(WEEKDAYS)),
)
@settings(max_examples=250, deadline=None)
def test_all_times_are_those_of_a_naive_reading(
    place: tuple[str, int], minute: str, hour: str, weekday: str
) -> None:
    timezone, start = place
    minutes, hours = (FIXED_MINUTES | ANY_MINUTES)[minute], (FIXED_HOURS | ANY_HOURS)[hour]
    here = datetime.fromtimestamp(start, ZoneInfo(timezone)).replace(tzinfo=UTC, minute=0, second=0)
    clock_times = [
        day + timedelta(hours=h, minutes=m)
        for day in (here.replace(hour=0) + timedelta(days=n) for n in range(-1, SPAN.days + 3))
        if day.weekday() in WEEKDAYS[weekday]
        for h in sorted(hours)
        for m in sorted(minutes)
    ]
    expected: set[float] = set()
    for clock_time in clock_times:
        instants = shown_at(clock_time, timezone)
        if "*" in minute or "*" in hour:
            expected.update(instants)
        elif instants:
            expected.add(instants[0])
        elif not is_skipped(clock_time.toordinal(), timezone):
            expected.add(leapt_over_at(clock_time, timezone))
    until = start + SPAN.total_seconds()
    cron = f"{minute} {hour} * * {weekday}"
    found = times_between(cron, timezone, start, until, 10_000)
    assert found == sorted(at for at in expected if start < at <= until)
    for at in found[:3]:
        assert first_from(cron, timezone, at) == at


@given(places(), st.integers(0, 86_399))
@settings(deadline=None)
def test_the_first_instant_of_a_time_is_where_the_clock_shows_it_first_or_leaps_over_it(
    place: tuple[str, int], second: int
) -> None:
    timezone, start = place
    zone = ZoneInfo(timezone)
    day = datetime.fromtimestamp(start, zone)
    clock_time = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
    instants = shown_at(clock_time, timezone)
    found = first_instant(clock_time, timezone)
    if instants:
        assert found == instants[0]
    else:
        after = datetime.fromtimestamp(found, zone).replace(tzinfo=UTC)
        before = datetime.fromtimestamp(found - 1, zone).replace(tzinfo=UTC)
        assert before < clock_time < after
