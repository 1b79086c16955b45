"""Durations: read from `500ms 30s 10m 2h 1d`, and said in sentences."""

import re

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `500ms`, `30s`, `10m`, `2h` or `1d`.

    Raises:
        ValueError: the text is not one whole number and one unit.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a duration such as 500ms, 30s, 10m, 2h or 1d, found {text!r}")
    return int(found[1]) * _UNIT_S[found[2]]


def describe_duration(seconds: float) -> str:
    """Return a duration for a sentence: `45 s`, `13 min`, `2 h 5 min`, `3 days`.

    It has two units at most, and never says more than has passed: what is smaller is cut off.

    Raises:
        ValueError: seconds is negative or not a finite number.
    """
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"expected a duration of 0 s or more, found {seconds}")
    if 0 < seconds < 1:
        return f"{int(seconds * 1000)} ms"
    minutes, rest_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return _joined(days, "day" if days == 1 else "days", hours, "h")
    if hours:
        return _joined(hours, "h", minutes, "min")
    if minutes >= 10:
        return f"{minutes} min"
    if minutes:
        return _joined(minutes, "min", rest_s, "s")
    return f"{rest_s} s"


def _joined(count: int, unit: str, rest: int, rest_unit: str) -> str:
    return f"{count} {unit} {rest} {rest_unit}" if rest else f"{count} {unit}"
