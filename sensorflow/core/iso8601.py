"""Reads dates and instants as ISO 8601 writes them, in all the ways that are clear."""

import re
from datetime import date, timedelta
from typing import NamedTuple

_ISO_8601 = re.compile(
    r"(?P<year>[0-9]{4})(?P<dash>-?)"
    r"(?:(?P<month>[0-9]{2})(?P=dash)(?P<day>[0-9]{2})"
    r"|W(?P<week>[0-9]{2})(?P=dash)(?P<weekday>[1-7])"
    r"|(?P<day_of_year>[0-9]{3}))"
    r"(?:[Tt ](?P<hour>[01][0-9]|2[0-4])"
    r"(?::?(?P<minute>[0-5][0-9])(?::?(?P<second>[0-5][0-9]|60))?)?"
    r"(?:[.,](?P<fraction>[0-9]+))?"
    r"(?P<offset>[Zz]|(?P<sign>[+-])(?P<offset_hour>[01][0-9]|2[0-3])(?::?(?P<offset_minute>[0-5][0-9]))?)?)?"
)


class Written(NamedTuple):
    """What a text says, before any zone is thought of."""

    day: date
    #: Since midnight, at most a whole day; None where the text is a date.
    time: timedelta | None
    #: None where the text gives none.
    offset: timedelta | None


def read_iso_8601(text: str) -> Written:
    """Return what a date or an instant says.

    Raises:
        ValueError: the text is neither, or there is no such day or time.
    """
    found = _ISO_8601.fullmatch(text)
    if found is None:
        raise ValueError("neither a date nor an instant")
    time = _written_time(found) if found["hour"] else None
    return Written(_written_day(found), time, _written_offset(found) if found["offset"] else None)


def _written_day(found: re.Match[str]) -> date:
    year = int(found["year"])
    if found["month"]:
        return date(year, int(found["month"]), int(found["day"]))
    if found["week"]:
        return date.fromisocalendar(year, int(found["week"]), int(found["weekday"]))
    day = date(year, 1, 1) + timedelta(days=int(found["day_of_year"]) - 1)
    if day.year != year:
        raise ValueError("the year has no such day")
    return day


def _written_time(found: re.Match[str]) -> timedelta:
    """Return the time of day; a leap second is in the minute that it ends, 24:00 is the day's end."""
    hour, minute, second = int(found["hour"]), int(found["minute"] or 0), min(int(found["second"] or 0), 59)
    unit = timedelta(hours=1)
    if found["second"]:
        unit = timedelta(seconds=1)
    elif found["minute"]:
        unit = timedelta(minutes=1)
    # In whole numbers and cut off, or the last moment of a day would be rounded into the next one.
    billionths = int((found["fraction"] or "")[:9].ljust(9, "0"))
    part = unit * billionths // 1_000_000_000
    written = timedelta(hours=hour, minutes=minute, seconds=second) + part
    if written > timedelta(days=1):
        raise ValueError("no day is that long")
    return written


def _written_offset(found: re.Match[str]) -> timedelta:
    if not found["sign"]:
        return timedelta()
    offset = timedelta(hours=int(found["offset_hour"]), minutes=int(found["offset_minute"] or 0))
    return -offset if found["sign"] == "-" else offset
