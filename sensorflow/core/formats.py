"""Formats of dates and times, as `%d.%m.%Y`: which of them say enough, and texts in them as ISO 8601."""

import re
from datetime import datetime

#: What each directive looks like in a text.
DIRECTIVES = {
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "m": "[0-9]{1,2}",
    "d": "[0-9]{1,2}",
    "b": "[A-Za-z]{3}",
    "j": "[0-9]{1,3}",
    "G": "[0-9]{4}",
    "V": "[0-9]{2}",
    "u": "[1-7]",
    "H": "[0-9]{1,2}",
    "M": "[0-9]{1,2}",
    "S": "[0-9]{1,2}",
    "z": "(?:Z|[+-][0-9]{2}:?[0-9]{2})",
    "%": "%",
}
_KINDS = {
    "Y": "year",
    "y": "year",
    "m": "month",
    "b": "month",
    "d": "day",
    "j": "day of the year",
    "G": "year of the week",
    "V": "week",
    "u": "weekday",
    "H": "hour",
    "M": "minute",
    "S": "second",
    "z": "offset",
}
#: Of what a format can make a date, and in this order a time beside it.
_DATES = (
    {"year"},
    {"year", "month"},
    {"year", "month", "day"},
    {"year", "day of the year"},
    {"year of the week", "week"},
    {"year of the week", "week", "weekday"},
)
_TIME = ("hour", "minute", "second")


def check_format(layout: str, shown: str) -> None:
    """Find out whether a format names a date once, and with it a time or none.

    Args:
        shown: The format as the user wrote it, for the message.

    Raises:
        ValueError: it does not.
    """
    directives = re.findall(r"%(.?)", layout.replace("%%", ""), re.DOTALL)
    if unknown := [each for each in directives if each not in DIRECTIVES]:
        known = " ".join(f"%{each}" for each in DIRECTIVES)
        raise ValueError(f"expected directives of {known}, found %{unknown[0]} in {shown}")
    kinds = [_KINDS[each] for each in directives]
    time = [kind for kind in _TIME if kind in kinds]
    date = set(kinds) - {*_TIME, "offset"}
    time_fits = time == list(_TIME[: len(time)]) and (not time or date & {"day", "day of the year"})
    offset_fits = "offset" not in kinds or time
    if date not in _DATES or not time_fits or not offset_fits or len(kinds) > len(set(kinds)):
        raise ValueError(f"expected a format that names a date once, as %Y/%m/%d, found {shown}")


def format_regex(layout: str) -> str:
    """Return the regular expression of what a format writes."""
    return re.sub(
        r"%(.)|([^%]+)", lambda found: DIRECTIVES[found[1]] if found[1] else re.escape(found[2]), layout
    )


def as_iso(text: str, layout: str) -> str:
    """Return the date or the instant that a text says, as ISO 8601 writes it with no more than was said.

    Raises:
        ValueError: the text is not written so, or there is no such day or time.
    """
    if "%V" in layout and "%u" not in layout:
        text, layout = f"{text} 1", f"{layout} %u"
    instant = datetime.strptime(text, layout)  # noqa: DTZ007 - where the text has no offset, there is none
    if "%S" in layout or "%M" in layout:
        return instant.isoformat(timespec="seconds")
    return instant.isoformat(timespec="hours") if "%H" in layout else instant.date().isoformat()
