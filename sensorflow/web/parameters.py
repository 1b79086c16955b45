"""Reads query parameters: what is unknown is said, never passed over."""

import base64
import binascii
from enum import StrEnum
from functools import cache
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

    return BeforeValidator(read, json_schema_input_type=Literal[members] if allowed else kind)


def _none_if_empty(found: str) -> str | None:
    return found or None


#: A text; an empty one counts as absent.
TextParameter: TypeAlias = Annotated[str, AfterValidator(printable), AfterValidator(_none_if_empty)] | None
#: 1 or 0.
Flag: TypeAlias = Annotated[Literal[0, 1], _whole(0, 1)]
NumberFromZero: TypeAlias = Annotated[int, Field(ge=0, le=_MAX_NUMBER), _whole(0)]
NumberFromOne: TypeAlias = Annotated[int, Field(ge=1, le=_MAX_NUMBER), _whole(1)]
#: How many of the newest runs are told with each pipeline.
Recent: TypeAlias = Annotated[int, Field(ge=0, le=100), _whole(0, 100)]
#: How far back something is counted.
Minutes: TypeAlias = Annotated[int, Field(ge=1, le=180), _whole(1, 180)]


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
        return _cursor_of(cls.LIST, key)


def read_query(request: web.Request, model: type[Model]) -> Model:
    """Return the query parameters as a model.

    Raises:
        ProblemError: 400.
    """
    unasked: Model | None = None if request.query_string else _unasked(model)
    if unasked is not None:
        return unasked
    _only(request, *model.model_fields)
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise wrong_parameter(str(first["loc"][0]), expected_words(first), first["input"]) from None


@cache
def _unasked(model: type[Model]) -> Model | None:
    """Return a model of which nothing was asked; None where something must be."""
    return None if any(field.is_required() for field in model.model_fields.values()) else model()


def wrong_parameter(name: str, expected: str, found: object) -> ProblemError:
    """Return the answer to a query parameter whose value is of no use."""
    text = found if isinstance(found, str) and not found.startswith('"') else shown(found)
    return bad_request(
        f'{name}: expected {expected}, found "{text}"',
        ErrorPlace(where=name, expected=expected, found=text),
    )


def _only(request: web.Request, *names: str) -> None:
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


def _cursor_of(kind: str, key: object) -> str:
    return base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode()
