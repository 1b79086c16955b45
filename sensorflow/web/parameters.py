"""Reads query parameters: what is unknown is said, never passed over."""

import base64
import binascii
from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from aiohttp import web

from sensorflow.web.problems import ProblemError, bad_request, shown
from sensorflow.web.schemas import ErrorPlace

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
#: The largest number a store can hold.
_MAX_NUMBER = 2**63 - 1

State = TypeVar("State", bound=StrEnum)


def wrong_parameter(name: str, expected: str, found: object) -> ProblemError:
    """Return the answer to a query parameter whose value is of no use."""
    text = found if isinstance(found, str) and not found.startswith('"') else shown(found)
    return bad_request(
        f'{name}: expected {expected}, found "{text}"',
        ErrorPlace(where=name, expected=expected, found=text),
    )


def only(request: web.Request, *names: str) -> None:
    """Refuse query parameters that are not among `names`, and those that are given twice.

    Raises:
        ProblemError: 400.
    """
    expected = f"one of {', '.join(names)}" if names else "no parameters"
    for name in request.query:
        if name not in names:
            raise bad_request(
                f'the query: expected {expected}, found "{name}"',
                ErrorPlace(where=name, expected=expected, found=name),
            )
        if len(request.query.getall(name)) > 1:
            raise wrong_parameter(name, "one value", ", ".join(request.query.getall(name)))


def text(request: web.Request, name: str) -> str | None:
    """Return a parameter's text; None where it is absent or empty."""
    return request.query.get(name) or None


def state(request: web.Request, states: type[State], allowed: Iterable[State] | None = None) -> State | None:
    """Return the parameter `state`.

    Raises:
        ProblemError: 400, it is none of the states.
    """
    found = text(request, "state")
    if found is None:
        return None
    for member in allowed or states:
        if member == found:
            return member
    raise wrong_parameter("state", f"one of {', '.join(allowed or states)}", found)


def number(request: web.Request, name: str, lowest: int, highest: int = _MAX_NUMBER) -> int | None:
    """Return a whole number within bounds, both included.

    Raises:
        ProblemError: 400, it is none.
    """
    found = request.query.get(name)
    if found is None:
        return None
    if not (found.isascii() and found.isdigit() and len(found) <= 19 and lowest <= int(found) <= highest):
        bounds = f"a whole number from {lowest}" + (f" to {highest}" if highest < _MAX_NUMBER else "")
        raise wrong_parameter(name, bounds, found)
    return int(found)


def limit(request: web.Request) -> int:
    """Return how many items a page is to have.

    Raises:
        ProblemError: 400, it lies outside 1..500.
    """
    return number(request, "limit", 1, MAX_LIMIT) or DEFAULT_LIMIT


def flag(request: web.Request, name: str) -> bool:
    """Return a parameter that is 1 or 0.

    Raises:
        ProblemError: 400, it is neither.
    """
    return bool(number(request, name, 0, 1))


def cursor(request: web.Request, kind: str) -> str | None:
    """Return the key behind which a page begins.

    Raises:
        ProblemError: 400, no list of this kind gave this cursor.
    """
    found = text(request, "cursor")
    if found is None:
        return None
    try:
        given, _, key = (
            base64.b64decode(found.encode(), altchars=b"-_", validate=True).decode().partition(":")
        )
    except (binascii.Error, UnicodeError):
        given = key = ""
    if given != kind or not key:
        raise wrong_parameter("cursor", "the `next` of an earlier page of this list", found)
    return key


def make_cursor(kind: str, key: object) -> str:
    """Return the cursor of the page behind a key."""
    return base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode()
