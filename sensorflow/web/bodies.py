"""Reads what was sent: limited in size, in depth and in type, before anything else looks at it."""

import asyncio
import math
from collections.abc import Iterable
from http import HTTPStatus
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from sensorflow.core.vocabulary import JsonValue
from sensorflow.web.api import API
from sensorflow.web.problems import RETRY_AFTER_S, ProblemError, bad_request, places, unprocessable
from sensorflow.web.schemas import ErrorPlace

#: How deep arrays and objects may be nested.
MAX_DEPTH = 64

#: Bytes a second that a body must come with once it has had its time to begin.
_SLOWEST = 16 * 1024

#: What is unpacked already, or refused by aiohttp where what it takes for that is not installed.
_UNPACKED = ("gzip", "deflate", "br", "zstd", "identity", "")

#: Bytes of a body that are not counted: so much every connection may have.
_SMALL = 64 * 1024

Body = TypeVar("Body", bound=BaseModel)


class Room:
    """What large bodies may take together, from their first bytes until they are answered."""

    def __init__(self, size: int) -> None:
        """Prepare room for one body of this size, or several smaller ones."""
        self._left = size
        #: By the identity of the request.
        self._taken: dict[int, int] = {}

    def take(self, request: web.Request, size: int) -> None:
        """Take room for what has come of a body.

        Raises:
            ProblemError: 503, others have it.
        """
        more = size - self._taken.get(id(request), 0)
        if size <= _SMALL or more <= 0:
            return
        if more > self._left:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too many large bodies come at once; send it again later",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self._left -= more
        self._taken[id(request)] = size

    def give_back(self, request: web.Request) -> None:
        """Give back what an answered request has taken."""
        if self._taken:
            self._left += self._taken.pop(id(request), 0)


ROOM = web.AppKey("room", Room)


def too_large(limit: int) -> ProblemError:
    """Return the answer to a body that has more bytes than `limit`."""
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of at most {limit} bytes, found a larger one"
    )


def packed_otherwise() -> ProblemError:
    """Return the answer to a body that is packed as nobody here unpacks."""
    return ProblemError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "expected a body that is packed by gzip or deflate, or not at all; "
        "found one that is packed otherwise",
        headers={"Accept-Encoding": "gzip, deflate"},
    )


def require_packing(request: web.Request) -> None:
    """See that a body is unpacked: aiohttp leaves it as it is where it does not know the packing.

    Raises:
        ProblemError: 415.
    """
    named = ",".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    if named not in _UNPACKED:
        raise packed_otherwise()


async def read_body(request: web.Request, limit: int) -> bytes:
    """Return the body, unpacked.

    Raises:
        ProblemError: 413, it has more bytes than `limit`; 400, it is not packed as it says; 408, it
            comes too slowly; 503, others that are as large have taken all the room.
        ConnectionError: its sender has hung up.
    """
    if request.transport is None:  # aiohttp would take it for a fault of ours.
        raise ConnectionResetError("its sender has hung up")
    there = body_there(request, limit)
    if there is not None:
        return there
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    allowed_s, room = request.app[API].body_timeout_s, request.app[ROOM]
    try:
        body = bytearray()
        begun = asyncio.get_running_loop().time()
        async with asyncio.timeout_at(begun + allowed_s) as clock:
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit:
                    raise too_large(limit)
                room.take(request, len(body))
                clock.reschedule(begun + allowed_s + len(body) / _SLOWEST)
    except TimeoutError:
        detail = f"expected the body within {allowed_s:g} s and {_SLOWEST} bytes a second"
        raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, detail) from None
    except web.RequestPayloadError as error:
        expected, found = "a body as its headers announce it", " ".join(str(error).split())
        place = ErrorPlace(where="", expected=expected, found=found)
        raise bad_request(f"expected {expected}, found: {found}", place) from None
    return bytes(body)


def body_there(request: web.Request, limit: int) -> bytes | None:
    """Return the body, unpacked, if the whole of it is there already; else nothing of it, as None.

    Raises:
        ProblemError: 413, it has more bytes than `limit`.
    """
    content = request.content
    if not content.is_eof() or content.exception() is not None:
        return None
    body = content.read_nowait()
    if len(body) > limit:
        raise too_large(limit)
    return body


def parse_json(body: bytes) -> JsonValue:
    """Return the JSON document.

    Raises:
        ValueError: it is none, nests too deep, or holds a number that is not finite.
    """
    document = from_json(body, allow_inf_nan=False, cache_strings="all")
    if isinstance(document, dict):
        _check(document.values(), MAX_DEPTH - 1)
    else:
        _check((document,), MAX_DEPTH)
    return document


def json_of(body: bytes) -> JsonValue:
    """As `parse_json`, for a whole body.

    Raises:
        ProblemError: 400, it is no such document.
    """
    try:
        return parse_json(body)
    except ValueError as error:
        place = ErrorPlace(where="", expected="a JSON document", found=f"a mistake: {error}")
        raise bad_request(f"expected a JSON document, found a mistake: {error}", place) from None


async def read_model(request: web.Request, model: type[Body], limit: int) -> Body:
    """Return the JSON body as a model.

    Raises:
        ProblemError: 415, 413, 400 where it cannot be parsed, 422 where it is wrong.
    """
    require_type(request, "application/json")
    document = json_of(await read_body(request, limit))
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = places(error)
        first = found[0]
        detail = f"{first.where or 'the body'}: expected {first.expected}, found {first.found}"
        raise unprocessable(detail, *found) from None


def require_type(request: web.Request, *allowed: str) -> str:
    """Return the content type without its parameters.

    Raises:
        ProblemError: 415, it is none of `allowed`.
    """
    found = request.headers.get("Content-Type", "none")
    if found not in allowed and found != "none":
        found = request.content_type
    if found not in allowed:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"expected the content type {' or '.join(allowed)}, found {found}",
            headers={"Accept-Post": ", ".join(allowed)},
        )
    return found


def sent_text(header: str) -> str:
    """Return a header's value as text that can be stored; bytes that are no UTF-8 are replaced."""
    return header.encode(errors="surrogateescape").decode(errors="replace")


def _check(values: Iterable[JsonValue], deeper: int) -> None:
    """Look for what was read all the same: a number too large for a float is infinite then.

    Args:
        deeper: How deep what is in the values may still be nested.
    """
    for value in values:
        kind = type(value)
        if kind is str or kind is int:
            continue
        if kind is dict or kind is list:
            if not deeper:
                raise ValueError(f"arrays and objects are nested deeper than {MAX_DEPTH}")
            _check(value.values() if isinstance(value, dict) else value, deeper - 1)
        elif kind is float and not math.isfinite(value):
            raise ValueError("a number is too large")
