"""Partitions: their one spelling, their bounds, and how the grains lie in each other.

Inside, a partition of the calendar is a number on the line of its grain: the hour since the epoch,
the day and the week since the year 1, the month since the year 0. A day begins when its date comes for
good, so that days are whole intervals also where a clock goes back over midnight (St. John's until 2011).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import product
from math import floor
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sensorflow.core.clocks import EARLIEST, EPOCH, EPOCH_DAY, LATEST, day_start, local
from sensorflow.core.errors import PartitionError, shown
from sensorflow.core.iso8601 import read_iso_8601
from sensorflow.core.vocabulary import Grain, JsonValue, Partitioning

_HOUR_S = 3600
_HOUR = timedelta(hours=1)
#: Stands between the keys of several dimensions, and in none of them.
_JOINT = "|"

#: Grains of the calendar, finer ones first.
_CALENDAR = (Grain.HOURLY, Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)
_SPELLINGS = {
    Grain.HOURLY: re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3])Z"),
    Grain.DAILY: re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})"),
    Grain.WEEKLY: re.compile(r"([0-9]{4})-W([0-9]{2})"),
    Grain.MONTHLY: re.compile(r"([0-9]{4}-[0-9]{2})"),
}
_EXAMPLES = {
    Grain.HOURLY: "an hour such as 2013-01-01T05Z",
    Grain.DAILY: "a day such as 2013-01-01",
    Grain.WEEKLY: "a week such as 2013-W05",
    Grain.MONTHLY: "a month such as 2013-02",
}
_FREE_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=+-]{0,199}")
#: No instant needs more; what is longer is neither tried nor remembered.
_LONGEST_INSTANT = 64


class Bounds(NamedTuple):
    """Where a partition begins and ends, in seconds since the epoch; the end is excluded."""

    start: float
    end: float


def is_finer(a: Grain, b: Grain) -> bool:
    """Tell whether partitions of grain `a` lie inside those of grain `b`: hourly, daily, weekly, monthly."""
    return comparable(a, b) and _CALENDAR.index(a) < _CALENDAR.index(b)


def comparable(a: Grain, b: Grain) -> bool:
    """Tell whether both grains are of the calendar, so that their partitions have places in time."""
    return a in _CALENDAR and b in _CALENDAR


def read_partition(partitioning: Partitioning, value: JsonValue) -> str:
    """Return the one spelling of the partition that a value out of an event means.

    A date is that day. An instant with an offset is put into the zone of the partitioning; one
    without is local there (hourly: UTC). A whole number is taken as its text where keys are free or listed.
    Several dimensions are read each on its own, from a text as `2013-01-01|eu` or from an object of them all.

    Raises:
        PartitionError: the value is no partition; says what was expected and found.
    """
    grain = partitioning.grain
    if grain is Grain.NONE:
        if value is None or value == "":
            return ""
        raise PartitionError(f"expected no partition, found {shown(value)}")
    if grain in _CALENDAR:
        if isinstance(value, str) and len(value) <= _LONGEST_INSTANT:
            return _read_calendar(partitioning, value)
        raise _unreadable(grain, value)
    if grain is Grain.SEVERAL:
        return _read_several(partitioning, value)
    return _read_key(partitioning, value)


def dimension_keys(partitioning: Partitioning, key: str) -> dict[str, str]:
    """Return the key of each dimension by its name; nothing for a single grain.

    Raises:
        PartitionError: the key has more or fewer dimensions.
    """
    if partitioning.grain is not Grain.SEVERAL:
        return {}
    keys = key.split(_JOINT)
    names = [name for name, _ in partitioning.dimensions]
    if len(keys) != len(names):
        raise PartitionError(f"expected {_JOINT.join(names)}, found {shown(key)}")
    return dict(zip(names, keys, strict=True))


def join_key(partitioning: Partitioning, keys: Mapping[str, str]) -> str:
    """Return the key of the partition whose dimensions have these keys, each in its one spelling."""
    return _JOINT.join(keys[name] for name, _ in partitioning.dimensions)


def beside_calendar(partitioning: Partitioning, key: str) -> str:
    """Return the keys of all dimensions that are not of the calendar, joined; empty for a single grain."""
    if not partitioning.dimensions:
        return ""
    keys = dimension_keys(partitioning, key)
    return _JOINT.join(keys[name] for name, each in partitioning.dimensions if each.grain not in _CALENDAR)


def calendar_of(partitioning: Partitioning) -> Partitioning | None:
    """Return the grain of the calendar itself, or that of several dimensions; None where there is none."""
    if partitioning.grain in _CALENDAR:
        return partitioning
    found = _calendar_dimension(partitioning)
    return found[1] if found else None


def partitions_of(partitioning: Partitioning, calendar_key: str) -> tuple[str, ...] | None:
    """Return the partitions with this key in the calendar: itself, or one for all keys of other dimensions.

    None where a dimension of free keys keeps them from being listed.
    """
    if partitioning.grain is not Grain.SEVERAL:
        return (calendar_key,)
    axes = [(calendar_key,) if each.grain in _CALENDAR else each.keys for _, each in partitioning.dimensions]
    return tuple(_JOINT.join(keys) for keys in product(*axes)) if all(axes) else None


@lru_cache(maxsize=8192)
def bounds(partitioning: Partitioning, key: str) -> Bounds | None:
    """Return where a partition begins and ends; None where nothing of it is of the calendar.

    Raises:
        PartitionError: the key is not the one spelling of a partition of this grain.
    """
    if partitioning.grain in _CALENDAR:
        return _bounds(partitioning, _number(partitioning, key))
    found = _calendar_dimension(partitioning)
    if found is None:
        return None
    name, calendar = found
    return bounds(calendar, dimension_keys(partitioning, key)[name])


def start_of(partitioning: Partitioning, key: str) -> float | None:
    """Return where a partition begins, in seconds since the epoch; as `bounds` says it."""
    limits = bounds(partitioning, key)
    return limits.start if limits is not None else None


def containing(fine: Partitioning, key: str, coarse: Partitioning) -> str:
    """Return the coarse partition that contains the start of a fine one (a week in months: its Thursday's).

    Equal grains of different zones go by the start too.

    Raises:
        PartitionError: `key` is no partition, or the grains are not of the calendar or the wrong way round.
    """
    _check_order(fine, coarse)
    return _containing(fine, key, coarse)


def inside(coarse: Partitioning, key: str, fine: Partitioning) -> tuple[str, ...]:
    """Return the fine partitions of which `containing` is `key`, in order.

    Raises:
        PartitionError: `key` is no partition, or the grains are not of the calendar or the wrong way round.
    """
    _check_order(fine, coarse)
    return _inside(coarse, key, fine)


def shifted(partitioning: Partitioning, key: str, by: int) -> str:
    """Return the partition so many places later in the calendar, or earlier where `by` is negative.

    Dates that the zone skipped are not counted. Other dimensions stay.

    Raises:
        PartitionError: `key` is no partition, nothing is of the calendar, or the calendar ends before.
    """
    if partitioning.grain is Grain.SEVERAL:
        name, calendar = _needed_calendar(partitioning)
        keys = dimension_keys(partitioning, key)
        return join_key(partitioning, {**keys, name: shifted(calendar, keys[name], by)})
    number = _number(partitioning, key)
    if partitioning.grain is not Grain.DAILY:
        return _key(partitioning, number + by)
    _bounds(partitioning, number + by)  # A walk that leads out of the calendar is not begun.
    step = 1 if by > 0 else -1
    for _ in range(abs(by)):
        number += step
        while _is_skipped(partitioning, number):
            number += step
    return _key(partitioning, number)


def between(partitioning: Partitioning, first: str, last: str) -> Iterator[str]:
    """Return the partitions from `first` to `last`, both included; none where `last` is earlier.

    Raises:
        PartitionError: one of them is no partition, they differ in another dimension, or nothing is of
            the calendar.
    """
    if partitioning.grain is Grain.SEVERAL:
        return _several_between(partitioning, first, last)
    numbers = range(_number(partitioning, first), _number(partitioning, last) + 1)
    return (_spelled(partitioning.grain, n) for n in numbers if not _is_skipped(partitioning, n))


def partition_at(partitioning: Partitioning, instant: float) -> str:
    """Return the partition that contains an instant; "" for grain `none`.

    Raises:
        PartitionError: the grain is one of keys, or the instant lies outside of the calendar.
    """
    if partitioning.grain is Grain.NONE:
        return ""
    _check_calendar(partitioning)
    return _key(partitioning, _number_at(partitioning, instant))


def iso(instant: float, timezone: str) -> str:
    """Return an instant as ISO 8601 with the offset of a zone; microseconds only where there are some.

    Raises:
        PartitionError: the instant lies outside of the calendar.
    """
    zone = ZoneInfo(timezone)
    try:
        return local(instant, zone).isoformat()
    except (ValueError, OverflowError):
        raise _outside(f"the instant {instant}") from None


# Several dimensions


def _read_several(partitioning: Partitioning, value: JsonValue) -> str:
    values = dimension_keys(partitioning, value) if isinstance(value, str) else value
    dimensions = dict(partitioning.dimensions)
    if not isinstance(values, Mapping):
        names = _JOINT.join(dimensions)
        raise PartitionError(f"expected {names}, or an object with these fields, found {shown(value)}")
    for name in values:
        if name not in dimensions:
            raise PartitionError(f"expected no dimensions but {', '.join(dimensions)}, found {shown(name)}")
    keys = {}
    for name, dimension in dimensions.items():
        if name not in values:
            raise PartitionError(f"{name}: expected the key of this dimension, found none")
        try:
            keys[name] = read_partition(dimension, values[name])
        except PartitionError as error:
            raise PartitionError(f"{name}: {error}") from None
        if _JOINT in keys[name]:
            raise PartitionError(f"{name}: expected a key without {_JOINT}, found {shown(keys[name])}")
    return join_key(partitioning, keys)


def _several_between(partitioning: Partitioning, first: str, last: str) -> Iterator[str]:
    name, calendar = _needed_calendar(partitioning)
    keys, last_keys = dimension_keys(partitioning, first), dimension_keys(partitioning, last)
    for other, key in keys.items():
        if other != name and last_keys[other] != key:
            raise PartitionError(
                f"{other}: expected one key, found {shown(key)} and {shown(last_keys[other])}"
            )
    moved = between(calendar, keys[name], last_keys[name])
    return (join_key(partitioning, {**keys, name: key}) for key in moved)


def _calendar_dimension(partitioning: Partitioning) -> tuple[str, Partitioning] | None:
    for name, dimension in partitioning.dimensions:
        if dimension.grain in _CALENDAR:
            return name, dimension
    return None


def _needed_calendar(partitioning: Partitioning) -> tuple[str, Partitioning]:
    found = _calendar_dimension(partitioning)
    if found is None:
        raise PartitionError("expected a dimension that is hourly, daily, weekly or monthly, found none")
    return found


# Reading


def _read_key(partitioning: Partitioning, value: JsonValue) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if partitioning.grain is Grain.KEYS:
        if isinstance(text, str) and text in partitioning.keys:
            return text
        raise PartitionError(f"expected one of {', '.join(partitioning.keys)}, found {shown(value)}")
    if isinstance(text, str) and _FREE_KEY.fullmatch(text) and ".." not in text:
        return text
    raise PartitionError(
        "expected a key of 1 to 200 of A-Za-z0-9._:/=+- that starts with a letter or digit "
        f"and holds no .., found {shown(value)}"
    )


@lru_cache(maxsize=8192)
def _read_calendar(partitioning: Partitioning, text: str) -> str:
    grain = partitioning.grain
    if _SPELLINGS[grain].fullmatch(text):
        _number(partitioning, text)
        return text
    try:
        return _key(partitioning, _read_number(partitioning, text))
    except (ValueError, OverflowError):
        raise _unreadable(grain, text) from None


def _read_number(partitioning: Partitioning, text: str) -> int:
    """Return the number of the partition that a date or instant belongs to."""
    grain, timezone = partitioning.grain, partitioning.timezone
    day, time_of_day, offset = read_iso_8601(text)
    if time_of_day is None:
        if grain is Grain.HOURLY:
            raise PartitionError(f'expected {_EXAMPLES[grain]}, found a date without an hour: "{text}"')
        _check_not_skipped(day.toordinal(), timezone)
        return _number_of_day(grain, day.toordinal())
    written = datetime.combine(day, time(), tzinfo=UTC) + time_of_day
    if grain is Grain.HOURLY:
        return (written - (offset or timedelta()) - EPOCH) // _HOUR
    zone = ZoneInfo(timezone)
    if offset is not None:
        there = (written - offset).astimezone(zone)
    else:
        there = written.replace(tzinfo=zone)
        if there.utcoffset() != (there.astimezone(UTC).astimezone(zone)).utcoffset():
            raise PartitionError(f'expected a time that the clock of {timezone} shows, found "{text}"')
    ordinal = there.toordinal()
    # A clock that goes back over midnight shows a date for a while before its day begins.
    if timezone != "UTC" and there.timestamp() < day_start(ordinal, timezone):
        ordinal -= 1
    return _number_of_day(grain, ordinal)


# Numbers on the line of a grain


@lru_cache(maxsize=8192)
def _number(partitioning: Partitioning, key: str) -> int:
    """Return the number of a partition that exists."""
    _check_calendar(partitioning)
    grain = partitioning.grain
    found = _SPELLINGS[grain].fullmatch(key)
    if found is None:
        raise PartitionError(f"expected {_EXAMPLES[grain]}, spelled as that, found {shown(key)}")
    try:
        number = _number_of_spelling(grain, found)
    except ValueError:
        raise PartitionError(f"expected {_EXAMPLES[grain]}, found {shown(key)}") from None
    start, end = _bounds(partitioning, number)
    if start == end:
        raise _skipped(number, partitioning.timezone)
    return number


def _number_of_spelling(grain: Grain, found: re.Match[str]) -> int:
    if grain is Grain.HOURLY:
        return (date.fromisoformat(found[1]).toordinal() - EPOCH_DAY) * 24 + int(found[2])
    if grain is Grain.DAILY:
        day = date.fromisoformat(found[1])
    elif grain is Grain.WEEKLY:
        day = date.fromisocalendar(int(found[1]), int(found[2]), 1)
    else:
        day = date.fromisoformat(f"{found[1]}-01")
    return _number_of_day(grain, day.toordinal())


def _number_of_day(grain: Grain, day: int) -> int:
    """Return the number of the day, week or month that holds a day (its ordinal)."""
    if grain is Grain.WEEKLY:
        return (day - 1) // 7
    if grain is Grain.MONTHLY:
        first = date.fromordinal(day)
        return first.year * 12 + first.month - 1
    return day


def _first_day(grain: Grain, number: int) -> int:
    if grain is Grain.WEEKLY:
        return number * 7 + 1
    if grain is Grain.MONTHLY:
        return date(number // 12, number % 12 + 1, 1).toordinal()
    return number


def _number_at(partitioning: Partitioning, instant: float) -> int:
    grain, timezone = partitioning.grain, partitioning.timezone
    try:
        if grain is Grain.HOURLY:
            return floor(instant / _HOUR_S)
        day = local(instant, ZoneInfo(timezone)).toordinal()
        while instant < day_start(day, timezone):
            day -= 1  # The date has come, but the clock will go back over this midnight.
    except (ValueError, OverflowError):
        raise _outside(f"the instant {instant}") from None
    return _number_of_day(grain, day)


def _key(partitioning: Partitioning, number: int) -> str:
    _bounds(partitioning, number)
    return _spelled(partitioning.grain, number)


def _spelled(grain: Grain, number: int) -> str:
    if grain is Grain.HOURLY:
        days, hour = divmod(number, 24)
        return f"{date.fromordinal(EPOCH_DAY + days)}T{hour:02d}Z"
    first = date.fromordinal(_first_day(grain, number))
    if grain is Grain.WEEKLY:
        year, week, _ = first.isocalendar()
        return f"{year:04d}-W{week:02d}"
    return first.isoformat()[:7] if grain is Grain.MONTHLY else first.isoformat()


# Where partitions lie in time


@lru_cache(maxsize=8192)
def _bounds(partitioning: Partitioning, number: int) -> Bounds:
    """Return the bounds; start and end of a date that the zone skipped are the same."""
    limits = Bounds(_start(partitioning, number), _start(partitioning, number + 1))
    if limits.start < EARLIEST or limits.end > LATEST:
        raise _outside("the partition")
    return limits


def _start(partitioning: Partitioning, number: int) -> float:
    try:
        if partitioning.grain is Grain.HOURLY:
            return float(number * _HOUR_S)
        return day_start(_first_day(partitioning.grain, number), partitioning.timezone)
    except (ValueError, OverflowError):
        raise _outside("the partition") from None


def _is_skipped(partitioning: Partitioning, number: int) -> bool:
    if partitioning.grain is not Grain.DAILY:
        return False
    start, end = _bounds(partitioning, number)
    return start == end


@lru_cache(maxsize=8192)
def _containing(fine: Partitioning, key: str, coarse: Partitioning) -> str:
    return partition_at(coarse, _belongs_by(fine, _number(fine, key), coarse))


@lru_cache(maxsize=256)
def _inside(coarse: Partitioning, key: str, fine: Partitioning) -> tuple[str, ...]:
    start, end = _bounds(coarse, _number(coarse, key))
    number = _number_at(fine, start)
    found = []
    while (instant := _belongs_by(fine, number, coarse)) < end:
        if instant >= start and not _is_skipped(fine, number):
            found.append(_key(fine, number))
        number += 1
    return tuple(found)


def _belongs_by(fine: Partitioning, number: int, coarse: Partitioning) -> float:
    """Return the instant whose place says to which coarse partition a fine one belongs."""
    if fine.grain is Grain.WEEKLY and coarse.grain is Grain.MONTHLY:
        thursday = _first_day(Grain.WEEKLY, number) + 3
        return _start(Partitioning(Grain.DAILY, fine.timezone), thursday)
    return _start(fine, number)


# What is wrong


def _check_calendar(partitioning: Partitioning) -> None:
    if partitioning.grain not in _CALENDAR:
        raise PartitionError(
            f"expected an hourly, daily, weekly or monthly partition, found one of grain {partitioning.grain}"
        )


def _check_order(fine: Partitioning, coarse: Partitioning) -> None:
    _check_calendar(fine)
    _check_calendar(coarse)
    if is_finer(coarse.grain, fine.grain):
        raise PartitionError(f"expected a grain that lies inside {coarse.grain}, found {fine.grain}")


def _check_not_skipped(day: int, timezone: str) -> None:
    if _is_skipped(Partitioning(Grain.DAILY, timezone), day):
        raise _skipped(day, timezone)


def _skipped(day: int, timezone: str) -> PartitionError:
    return PartitionError(f"expected a date of {timezone}, found {date.fromordinal(day)}, which it skipped")


def _unreadable(grain: Grain, value: JsonValue) -> PartitionError:
    return PartitionError(f"expected {_EXAMPLES[grain]} or an ISO 8601 instant, found {shown(value)}")


def _outside(what: str) -> PartitionError:
    return PartitionError(f"expected a time between the years 1 and 9999, found {what} outside of them")
