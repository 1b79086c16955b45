"""Schedules: when a cron comes, by the clock of a time zone.

cronsim says which times of the clock a cron names; which instants those are is said here. A cron that
gives minute and hour (neither begins with `*`) comes once for each of its times: one that the clock leaps
over is the first instant after the leap, one that it shows twice is the first. Any other cron comes
whenever the clock shows one of its times.
"""

from bisect import bisect_left
from copy import copy
from datetime import UTC, timedelta
from functools import lru_cache
from math import ceil, floor
from typing import NoReturn
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from sensorflow.core.clocks import DAY_S, EPOCH, LATEST, first_instant, is_skipped, local
from sensorflow.core.errors import shown

_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
#: By cronsim's name of a field: its place, and what stands there.
_FIELDS = {
    "minute": (0, "a minute of 0-59"),
    "hour": (1, "an hour of 0-23"),
    "day-of-month": (2, "a day of 1-31, L or LW, that one of the months has"),
    "month": (3, "a month of 1-12 or JAN-DEC"),
    "day-of-week": (4, "a weekday of 0-7 or SUN-SAT, as 5L and 1#2 too"),
}
#: Nobody's cron is longer; what is longer is not tried.
_LONGEST = 500
#: No two offsets of one zone differ by more, so a clock that is set shows nothing new beyond that.
_REACH_S = 2 * DAY_S


def check_cron(text: str) -> None:
    """Find out what is wrong with a cron.

    Raises:
        ValueError: it cannot be read, or never comes; says what was expected and found.
    """
    _compiled(text)


def next_time(cron: str, timezone: str, after: float) -> float:
    """Return the first time after an instant; beyond the calendar its end.

    Raises:
        ValueError: as `check_cron`.
    """
    return _first(cron, timezone, floor(after) + 1)


def first_from(cron: str, timezone: str, at: float) -> float:
    """Return the first time at or after an instant; beyond the calendar its end.

    Raises:
        ValueError: as `check_cron`.
    """
    return _first(cron, timezone, ceil(at))


def times_between(cron: str, timezone: str, after: float, until: float, limit: int) -> list[float]:
    """Return the first times with `after < time <= until`, at most so many.

    Raises:
        ValueError: as `check_cron`.
    """
    times: list[float] = []
    while len(times) < limit and after < LATEST and (after := next_time(cron, timezone, after)) <= until:
        times.append(after)
    return times


@lru_cache(maxsize=1024)
def _compiled(text: str) -> CronSim:
    """Return what is copied before it is used."""
    cron = _ALIASES.get(text, text)
    fields = cron.split()
    if len(fields) != 5 or len(text) > _LONGEST:
        names = ", ".join(_ALIASES)
        raise ValueError(
            f"expected minute, hour, day, month and weekday, or one of {names}; found {shown(text)}"
        )
    try:
        compiled = CronSim(cron, EPOCH)
        next(copy(compiled))
    except CronSimError as error:
        _refuse(str(error), fields, text)
    except StopIteration:
        raise ValueError(f"expected a time that comes, found one that never does: {shown(text)}") from None
    return compiled


def _refuse(error: str, fields: list[str], text: str) -> NoReturn:
    place, expected = _FIELDS[error.removeprefix("Bad ")]
    raise ValueError(f"expected {expected}, found {shown(fields[place])} in {shown(text)}") from None


@lru_cache(maxsize=8192)
def _first(cron: str, timezone: str, at: int) -> float:
    times = copy(_compiled(cron))
    fixed = not any(field.startswith("*") for field in times.parts[1:3])
    try:
        found = _first_fixed(times, timezone, at) if fixed else _first_shown(times, timezone, at)
    except (OverflowError, ValueError):
        return LATEST
    return min(found, LATEST)


def _first_fixed(times: CronSim, timezone: str, at: int) -> float:
    times.dt = local(at - 1, ZoneInfo(timezone)).replace(tzinfo=UTC)
    while True:
        clock_time = next(times)
        if is_skipped(clock_time.toordinal(), timezone):
            continue  # A day that is not there leaps over no time.
        instant = first_instant(clock_time, timezone)
        if instant >= at:
            return instant


def _first_shown(times: CronSim, timezone: str, at: int) -> float:
    zone = ZoneInfo(timezone)
    while True:
        here = local(at, zone)
        times.dt = here.replace(tzinfo=UTC) - timedelta(seconds=1)
        found = at + int((next(times) - here.replace(tzinfo=UTC)).total_seconds())
        changed_at = _offset_change(zone, at, min(found, at + _REACH_S))
        if changed_at is not None:
            at = changed_at
        elif found <= at + _REACH_S:
            return float(found)
        else:
            at = found - _REACH_S


def _offset_change(zone: ZoneInfo, after: int, until: int) -> int | None:
    """Return the first instant in `after < instant <= until` at which a clock is set."""
    offset = local(after, zone).utcoffset()
    for day in range(after, until, DAY_S):
        instants = range(day + 1, min(day + DAY_S, until) + 1)
        if local(instants[-1], zone).utcoffset() != offset:
            place = bisect_left(instants, True, key=lambda at: local(at, zone).utcoffset() != offset)
            return instants[place]
    return None
