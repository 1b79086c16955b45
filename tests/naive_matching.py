"""Event patterns in a few lines: what the real ones are measured against."""

import operator
from collections.abc import Iterator
from typing import Any

NOTHING = object()
SIGNS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def fits(pattern: dict[str, Any], event: Any) -> bool:
    """Tell whether an event, or one of the objects of an array, fits a pattern."""
    return any(
        all(
            any(fits(each, candidate) for each in below)
            if name == "$or"
            else fits(below, candidate.get(name, {}))
            if isinstance(below, dict)
            else any(takes(form, value) for form in below for value in values(candidate.get(name, [])))
            for name, below in pattern.items()
        )
        for candidate in ([each if isinstance(each, dict) else {} for each in flat(event)] or [{}])
    )


def flat(value: Any) -> Iterator[Any]:
    """Yield what an array holds, however nested."""
    if isinstance(value, list):
        for each in value:
            yield from flat(each)
    else:
        yield value


def values(value: Any) -> list[Any]:
    return [each for each in flat(value) if not isinstance(each, dict)] or [NOTHING]


def takes(form: Any, value: Any) -> bool:
    """Tell whether one alternative takes one value."""
    if not isinstance(form, dict):
        return value == form and isinstance(value, bool) == isinstance(form, bool)
    [(name, wanted)] = form.items()
    if name == "exists":
        return (value is not NOTHING) is wanted
    if name == "anything-but":
        but = (
            [{n: w} for n, ws in wanted.items() for w in listed(ws)]
            if isinstance(wanted, dict)
            else listed(wanted)
        )
        return value is not NOTHING and not any(takes(each, value) for each in but)
    if name == "numeric":
        pairs = zip(wanted[::2], wanted[1::2], strict=True)
        return is_number(value) and all(SIGNS[sign](value, limit) for sign, limit in pairs)
    if not isinstance(value, str):
        return False
    if isinstance(wanted, dict):
        [wanted] = wanted.values()
        return takes({name: wanted.casefold()}, value.casefold())
    return {
        "prefix": value.startswith(wanted),
        "suffix": value.endswith(wanted),
        "equals-ignore-case": value.casefold() == wanted.casefold(),
        "wildcard": like(wanted, value),
    }[name]


def like(wildcard: str, text: str) -> bool:
    """Tell whether a text fits a wildcard, by trying everything."""
    if not wildcard:
        return not text
    if wildcard[0] == "*":
        return any(like(wildcard[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and text[0] == wildcard[0] and like(wildcard[1:], text[1:])


def listed(wanted: Any) -> list[Any]:
    return wanted if isinstance(wanted, list) else [wanted]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
