"""The clocks of time zones: which instant a date or a time of the clock is, also where a clock is set."""

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_S = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY = EPOCH.toordinal()
#: A day away from both ends of Python's calendar, so that every instant between can be shown in every zone.
EARLIEST = float((date.min.toordinal() + 1 - EPOCH_DAY) * DAY_S)
LATEST = float((date.max.toordinal() - EPOCH_DAY) * DAY_S)


def local(instant: float, zone: ZoneInfo) -> datetime:
    """Return what the clock of a zone shows.

    Raises:
        ValueError, OverflowError: the instant lies outside of Python's calendar.
    """
    return (EPOCH + timedelta(seconds=instant)).astimezone(zone)


def first_instant(shown: datetime, timezone: str) -> float:
    """Return when a clock first shows a time; where it leaps over that, the first instant after the leap.

    Args:
        shown: In whole seconds; its own zone is not looked at.
    """
    zone = ZoneInfo(timezone)
    first, second = _both_instants(shown, zone)
    return first if first <= second else _leap(shown, zone, first, second)


@lru_cache(maxsize=16_384)
def day_start(day: int, timezone: str) -> float:
    """Return the instant from which on the clock of a zone shows this date (its ordinal) or later ones."""
    if timezone == "UTC":
        return float((day - EPOCH_DAY) * DAY_S)
    zone = ZoneInfo(timezone)
    midnight = datetime.combine(date.fromordinal(day), time(), tzinfo=UTC)
    first, second = _both_instants(midnight, zone)
    if first == second:
        return first
    if first < second:  # This midnight is on the clock twice; is it the day before in between?
        return second if local(second - 1, zone).toordinal() < day else first
    return _leap(midnight, zone, first, second)


def is_skipped(day: int, timezone: str) -> bool:
    """Tell whether the clock of a zone never shows a date (its ordinal)."""
    return day_start(day, timezone) == day_start(day + 1, timezone)


def _both_instants(shown: datetime, zone: ZoneInfo) -> tuple[float, float]:
    """Return when a clock shows a time: once, twice, or, the later instant first, never for a leap."""
    there = shown.replace(tzinfo=zone, fold=0)
    return (there - EPOCH).total_seconds(), (there.replace(fold=1) - EPOCH).total_seconds()


def _leap(shown: datetime, zone: ZoneInfo, first: float, second: float) -> float:
    """Return when a clock leaps over a time."""
    around = range(int(second), int(first))
    wanted = shown.replace(tzinfo=UTC)
    leap = bisect_left(around, wanted, key=lambda instant: local(instant, zone).replace(tzinfo=UTC))
    return float(around.start + leap)
