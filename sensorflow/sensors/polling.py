"""Asks a URL whether there is something new: one conditional request, and what its answer means."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from yarl import URL

from sensorflow.core.errors import ReadingError
from sensorflow.core.reading import value_at
from sensorflow.core.vocabulary import JsonValue
from sensorflow.http_client import RedirectRefusedError, in_words, staying
from sensorflow.sensors.payload import json_of

#: So much of an answer is read; what is longer is known by its validators alone.
BODY_LIMIT = 16 * 1024 * 1024
#: JSON up to this size is the event's data.
DATA_LIMIT = 1024 * 1024
_LONGEST_MARK = 200
#: Nobody is obeyed who wants to be left alone for longer.
LONGEST_PAUSE_S = 86_400.0
#: There will be something, or there may.
_NOT_YET = frozenset({HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
#: Said of the whole server, not of one URL.
_OVERLOADED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
#: Headers that are no part of an event: they may be secrets.
_SECRET_HEADERS = frozenset({"set-cookie", "authorization", "www-authenticate", "proxy-authenticate"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was last seen at a URL, as it is kept with the event that told of it."""

    #: The number of the change, from 1.
    n: int
    etag: str | None = None
    modified: str | None = None
    sha256: str | None = None
    #: What stood at the `version` path, as JSON.
    version: str | None = None

    @classmethod
    def read(cls, text: str) -> "Seen":
        """Return what `text` wrote."""
        return cls(**json.loads(text))

    def text(self) -> str:
        """Return it as text."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})

    def conditions(self) -> dict[str, str]:
        """Return the headers that ask for an answer only if it is another one."""
        known = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in known.items() if value is not None}

    def is_same_as(self, other: "Seen") -> bool:
        """Tell whether nothing has changed: by version, else validator, else content."""
        pairs = (
            (self.version, other.version),
            (_weak(self.etag), _weak(other.etag)),
            (self.modified, other.modified),
            (self.sha256, other.sha256),
        )
        return next((mine == theirs for mine, theirs in pairs if mine and theirs), False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """There is something at the URL."""

    seen: Seen
    data: JsonValue
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing at the URL yet, or nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """The URL could not be asked."""

    words: str
    #: It concerns the whole server.
    of_server: bool = False
    #: The server asks to be left alone for so long.
    retry_after_s: float = 0.0


async def ask(
    session: aiohttp.ClientSession, url: URL, seen: Seen | None, *, version: str | None
) -> Found | Nothing | Trouble:
    """Ask a URL. `Found` may be the same as before: `Seen.is_same_as` tells.

    Args:
        version: A path into the JSON body whose value tells versions apart.
    """
    try:
        async with session.get(
            url, headers=seen.conditions() if seen else None, middlewares=(staying("GET", url),)
        ) as response:
            if response.status == HTTPStatus.OK:
                return await _read(response, seen.n if seen else 0, version)
            if response.status in _NOT_YET or response.status == HTTPStatus.NOT_MODIFIED:
                return Nothing()
            return Trouble(
                words=f"it answered {response.status} {_printable(response.reason or '')}".rstrip(),
                of_server=response.status in _OVERLOADED,
                retry_after_s=retry_after_s(response.headers),
            )
    except (aiohttp.ClientError, TimeoutError) as error:
        return Trouble(words=in_words(error), of_server=not isinstance(error, RedirectRefusedError))


async def _read(response: aiohttp.ClientResponse, n: int, version: str | None) -> Found | Trouble:
    body = await _body(response)
    etag, modified = (_sendable(response.headers.get(name)) for name in ("ETag", "Last-Modified"))
    if body is None and (version is not None or (etag is None and modified is None)):
        lacks = "a version cannot be looked for" if version is not None else "it has no validator"
        return Trouble(words=f"its answer has more than {BODY_LIMIT >> 20} MiB and {lacks}")
    data: JsonValue = {
        "sha256": hashlib.sha256(body).hexdigest() if body is not None else None,
        "size": response.content_length if body is None else len(body),
    }
    seen = Seen(n=n + 1, etag=etag, modified=modified, sha256=data["sha256"])
    if body is not None and (version is not None or len(body) <= DATA_LIMIT):
        try:
            document = json_of(body)
        except ValueError:
            if version is not None:
                return Trouble(words="its answer is no JSON, in which a version could be looked for")
        else:
            data = document if len(body) <= DATA_LIMIT else data
            if version is not None:
                try:
                    seen = replace(seen, version=_mark(value_at(document, version)))
                except ReadingError as error:
                    return Trouble(words=f"its answer has no version: {error}")
    return Found(seen=seen, data=data, headers=_shown(response.headers))


async def _body(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, None where it is too long."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BODY_LIMIT:
            return None
    return bytes(body)


def _mark(value: JsonValue) -> str:
    """Return a value as a text of moderate length that equal values share."""
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST_MARK else hashlib.sha256(text.encode()).hexdigest()


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Return the seconds for which a server wants to be left alone; 0 where it does not say so.

    A date is taken against the date of the answer, so that no clock but the server's counts.
    """
    wanted = headers.get("Retry-After", "").strip()
    if wanted.isascii() and wanted.isdigit():
        return min(float(wanted[:9]), LONGEST_PAUSE_S)
    try:
        until, now = (parsedate_to_datetime(text) for text in (wanted, headers.get("Date", "")))
        return max(0.0, min((until - now).total_seconds(), LONGEST_PAUSE_S))
    except (ValueError, TypeError):
        return 0.0


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name.lower(): _printable(value)
        for name, value in headers.items()
        if name.lower() not in _SECRET_HEADERS
    }


def _sendable(value: str | None) -> str | None:
    """Return a validator, unless it holds what cannot be sent back as it came."""
    return value if value and value.isascii() and value.isprintable() else None


def _printable(value: str) -> str:
    """Return text that is Unicode, whatever bytes stood in a header."""
    return value.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _weak(etag: str | None) -> str | None:
    return etag.removeprefix("W/") if etag else None
