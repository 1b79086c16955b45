"""Reads query parameters: what is unknown is said, never passed over."""

import base64
import binascii
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, TypeAlias, TypeVar

from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator

from sensorflow.web.problems import ProblemError, bad_request, expected_words, shown
from sensorflow.web.schemas import ErrorPlace, Schema, printable

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
#: The largest number a store can hold.
_MAX_NUMBER = 2**63 - 1

State = TypeVar("State", bound=StrEnum)
Model = TypeVar("Model", bound="Query")


def _whole(lowest: int, highest: int = _MAX_NUMBER) -> BeforeValidator:
    """Return the reading of a whole number within bounds, both included."""
    words = f"a whole number from {lowest}" + (f" to {highest}" if highest < _MAX_NUMBER else "")

    def read(found: object) -> int:
        text = str(found)
        if not (text.isascii() and text.isdigit() and len(text) <= 19 and lowest <= int(text) <= highest):
            raise ValueError(f"expected {words}")
        return int(text)

    return BeforeValidator(read)


def one_of(*words: str) -> BeforeValidator:
    """Return the check of a parameter that is one of some words."""

    def read(found: object) -> object:
        if found not in words:
            raise ValueError(f"expected one of {', '.join(words)}")
        return found

    return BeforeValidator(read)


def choice(kind: type[State], *allowed: State) -> BeforeValidator:
    """Return the reading of a member of an enum."""
    members = allowed or tuple(kind)

    def read(found: object) -> State:
        for member in members:
            if member == found:
                return member
        raise ValueError(f"expected one of {', '.join(members)}")

    return BeforeValidator(read)


def _none_if_empty(found: str) -> str | None:
    return found or None


#: A text; an empty one counts as absent.
TextParameter: TypeAlias = Annotated[str, AfterValidator(printable), AfterValidator(_none_if_empty)] | None
#: 1 or 0.
Flag: TypeAlias = Annotated[Literal[0, 1], _whole(0, 1)]
NumberFromZero: TypeAlias = Annotated[int, Field(ge=0, le=_MAX_NUMBER), _whole(0)]
NumberFromOne: TypeAlias = Annotated[int, Field(ge=1, le=_MAX_NUMBER), _whole(1)]


class Query(Schema):
    """Base of the parameters of a route: what is not among them is refused."""


class PageQuery(Query):
    """The parameters of every list."""

    #: Which list a cursor is of.
    LIST: ClassVar[str]
    #: How many items a page has at most.
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT), _whole(1, MAX_LIMIT)] = DEFAULT_LIMIT
    #: The `next` of the page before.
    cursor: Annotated[str, Field(min_length=1)] | None = None

    @field_validator("cursor", mode="before")
    @classmethod
    def _of_this_list(cls, found: object) -> object:
        return found if found is None else _key_of(str(found), cls.LIST)

    @classmethod
    def next(cls, key: object) -> str:
        """Return the cursor of the page behind a key."""
        return make_cursor(cls.LIST, key)


def read_query(request: web.Request, model: type[Model]) -> Model:
    """Return the query parameters as a model.

    Raises:
        ProblemError: 400.
    """
    only(request, *model.model_fields)
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise wrong_parameter(str(first["loc"][0]), expected_words(first), first["input"]) from None


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
    try:
        return found and _key_of(found, kind)
    except ValueError as error:
        raise wrong_parameter("cursor", str(error).removeprefix("expected "), found) from None


def _key_of(cursor: str, kind: str) -> str:
    try:
        given, _, key = (
            base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode().partition(":")
        )
    except (binascii.Error, UnicodeError):
        given = key = ""
    if given != kind or not key:
        raise ValueError("expected the `next` of an earlier page of this list")
    return key


def make_cursor(kind: str, key: object) -> str:
    """Return the cursor of the page behind a key."""
    return base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode()
