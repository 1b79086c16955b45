"""Asks a server to do the work: one request, the context as its body."""

import json
import os
from collections.abc import Callable, Coroutine
from typing import IO, Any
from urllib.parse import quote

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from sensorflow.core.commands import StartAttempt
from sensorflow.core.vocabulary import HttpCall
from sensorflow.http_client import checked_connector, filled_url, in_words, staying
from sensorflow.ports import AttemptPlace, Outcome
from sensorflow.tasks.files import open_log, write_context
from sensorflow.tasks.placeholders import PLACEHOLDER, filled

#: So much of an answer is kept in the log.
BODY_KEPT_BYTES = 1 << 20
#: So much of an answer is looked through for its first line, and so much of the line is told.
_HEAD_BYTES, _LINE_LETTERS = 2048, 300
#: How long an answer may take is said by the task's own timeout.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30)
_SUCCEEDED, _FAILED = 0, 1
#: Methods whose requests have no body; many servers refuse one.
_BODYLESS = frozenset({"GET", "HEAD"})

_HANDED_OVER = "handed over (HTTP {}): it ends by a call of the callback URL; a stop is not passed on\n"


class HttpKind:
    """Implements `ports.TaskKind` for `HttpCall`.

    Each attempt has a connection of its own, so none fails for one that the server has given up.

    Args:
        callback_url: Makes the URL that ends an attempt, of its token.
        resolver: Finds the addresses of names; None is the machine's own.
    """

    def __init__(
        self, callback_url: Callable[[str], str], *, resolver: AbstractResolver | None = None
    ) -> None:
        self._callback_url = callback_url
        self._resolver = resolver

    def start(self, order: StartAttempt, place: AttemptPlace) -> Coroutine[Any, Any, Outcome | None]:
        """Return what sends the request and keeps the answer in the log as it comes."""
        write_context(place)
        return self._call(order, place)

    async def _call(self, order: StartAttempt, place: AttemptPlace) -> Outcome | None:
        action = order.action
        assert isinstance(action, HttpCall)
        url = request_url(action.url, order)
        body = None if action.method in _BODYLESS else self._body(order, place)
        connector = checked_connector(allow_private=action.allow_private, resolver=self._resolver)
        # The log first: what cannot be told of is not begun.
        with _opened(place) as log:
            try:
                async with (
                    aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session,
                    session.request(
                        action.method,
                        url,
                        data=body,
                        headers=_headers(order, action),
                        middlewares=(staying(action.method, url),),
                    ) as response,
                ):
                    return await _outcome(response, action, log)
            except (aiohttp.ClientError, TimeoutError) as error:
                return Outcome(_FAILED, f"{url.origin()}: {in_words(error)}")

    async def close(self) -> None:
        """Nothing is kept between attempts."""

    def _body(self, order: StartAttempt, place: AttemptPlace) -> bytes:
        assert isinstance(order.action, HttpCall)
        if not order.action.callback:
            return place.context
        assert order.token is not None, "an attempt that ends by a callback needs a token"
        return json.dumps({**json.loads(place.context), "callback": self._callback_url(order.token)}).encode()


def request_url(template: str, order: StartAttempt) -> URL:
    """Return the URL of an attempt's request. Values stand behind the host only, percent-encoded.

    Raises:
        ValueError: the template is no http or https URL, or has a placeholder in scheme, host or port.
    """
    return filled_url(
        template, PLACEHOLDER, lambda text: filled(text, order, lambda value: quote(value, safe=""))
    )


def _headers(order: StartAttempt, action: HttpCall) -> CIMultiDict[str]:
    headers = CIMultiDict(action.headers)
    if action.method not in _BODYLESS:
        headers.setdefault("Content-Type", "application/json")
    headers["Idempotency-Key"] = order.idempotency_key
    return headers


async def _outcome(response: aiohttp.ClientResponse, action: HttpCall, log: IO[bytes]) -> Outcome | None:
    succeeded = 200 <= response.status < 300
    if succeeded and action.callback:
        log.write(_HANDED_OVER.format(response.status).encode())
    head = await _keep(response, log)
    if not succeeded:
        line = _first_line(head) or _printable(response.reason or "")
        return Outcome(_FAILED, f"HTTP {response.status}: {line}" if line else f"HTTP {response.status}")
    return None if action.callback else Outcome(_SUCCEEDED)


async def _keep(response: aiohttp.ClientResponse, log: IO[bytes]) -> bytes:
    """Write an answer's body to the log as it comes, up to the limit, and return its beginning."""
    head, size = b"", 0
    async for chunk in response.content.iter_any():
        kept = chunk[: max(0, BODY_KEPT_BYTES - size)]
        log.write(kept)
        if len(kept) < len(chunk) and size <= BODY_KEPT_BYTES:
            log.write(f"\n... what comes after {BODY_KEPT_BYTES} bytes is not kept\n".encode())
        log.flush()
        size += len(chunk)
        head += kept[: _HEAD_BYTES - len(head)]
    return head


def _first_line(text: bytes) -> str:
    """Return the first line that says something, short and printable."""
    lines = text.decode(errors="replace").split("\n")
    return _printable(next((line.strip() for line in lines if line.strip()), ""))


def _printable(line: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in line)[:_LINE_LETTERS]


def _opened(place: AttemptPlace) -> IO[bytes]:
    return os.fdopen(open_log(place), "ab")
