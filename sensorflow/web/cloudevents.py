"""Reads CloudEvents 1.0 from what was posted: structured and binary."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import unquote

from sensorflow.core.iso8601 import read_iso_8601
from sensorflow.core.vocabulary import Event, JsonValue
from sensorflow.web.bodies import parse_json, sent_text
from sensorflow.web.problems import shown
from sensorflow.web.schemas import ErrorPlace, printable

_NAME = re.compile(r"[a-z0-9]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_REQUIRED = ("specversion", "id", "source", "type")
#: Attributes with fields of their own in `Event`; the others are its extensions.
_OWN = frozenset({*_REQUIRED, "subject", "time", "data", "data_base64"})
#: Any text that is not empty and has no control characters will do.
_PLAIN = frozenset({"id", "source", "type", "subject", "datacontenttype", "dataschema"})
_TEXTS = _PLAIN | {"specversion", "time"}


class NoEventError(Exception):
    """What was sent is no CloudEvent; `errors` says all that is wrong with it."""

    def __init__(self, errors: list[ErrorPlace]) -> None:
        super().__init__(
            "; ".join(f"{e.where or 'the event'}: expected {e.expected}, found {e.found}" for e in errors)
        )
        self.errors = errors


def read_structured(document: JsonValue) -> Event:
    """Return the event that a JSON document holds.

    Raises:
        NoEventError: it holds none.
    """
    if not isinstance(document, dict):
        raise NoEventError(
            [ErrorPlace(where="", expected="a CloudEvent, a JSON object", found=shown(document))]
        )
    errors = []
    for name, value in document.items():
        # Most are plainly well, and need no closer look.
        if name in _PLAIN:
            if type(value) is str and value and value.isascii() and value.isprintable():
                continue
        elif name == "data" or (name == "specversion" and value == "1.0"):
            continue
        if error := _wrong(name, value):
            errors.append(error)
    if None in map(document.get, _REQUIRED):
        errors += [
            ErrorPlace(where=f"/{name}", expected="a text", found="nothing")
            for name in _REQUIRED
            if document.get(name) is None
        ]
    if document.get("data") is not None and document.get("data_base64") is not None:
        errors.append(ErrorPlace(where="/data_base64", expected="data or data_base64", found="both"))
    if errors:
        raise NoEventError(errors)
    return _event(document)


def read_binary(headers: Mapping[str, str], content_type: str, body: bytes) -> Event:
    """Return the event whose attributes are `ce-` headers and whose data is the body.

    Raises:
        NoEventError: they make none.
    """
    sent = [
        (name.lower().removeprefix("ce-"), _header_text(name, value))
        for name, value in headers.items()
        if name.lower().startswith("ce-")
    ]
    document: dict[str, JsonValue] = dict(sent)
    if len(document) < len(sent):
        raise NoEventError([_sent_twice(sent)])
    if "Content-Type" in headers:
        document["datacontenttype"] = sent_text(headers["Content-Type"])
    if body:
        if _is_json(content_type):
            try:
                document["data"] = parse_json(body)
            except ValueError as error:
                raise NoEventError(
                    [ErrorPlace(where="", expected="data of JSON", found=str(error))]
                ) from None
        else:
            document["data_base64"] = base64.b64encode(body).decode()
    return read_structured(document)


def _sent_twice(sent: Sequence[tuple[str, str]]) -> ErrorPlace:
    names = [name for name, _ in sent]
    twice = next(name for name in names if names.count(name) > 1)
    values = ", ".join(value for name, value in sent if name == twice)
    return ErrorPlace(where=f"/{twice}", expected=f"one header ce-{twice}", found=shown(values))


def _header_text(name: str, value: str) -> str:
    """Return what a header says: first out of its quotes, as older senders write it, then percent-decoded."""
    if quoted := _QUOTED.fullmatch(value):
        value = _ESCAPED.sub(r"\1", quoted[1])
    try:
        return unquote(sent_text(value), errors="strict")
    except UnicodeDecodeError:
        place = f"/{name.lower().removeprefix('ce-')}"
        expected = "a text of UTF-8, percent-encoded"
        raise NoEventError([ErrorPlace(where=place, expected=expected, found=shown(value))]) from None


def _event(document: Mapping[str, JsonValue]) -> Event:
    extensions: dict[str, JsonValue] = {}
    if not _OWN.issuperset(document):
        extensions = {n: value for n, value in document.items() if n not in _OWN and value is not None}
    data = document.get("data")
    packed = document.get("data_base64")
    if packed is not None:
        raw = base64.b64decode(packed)
        content_type = str(document.get("datacontenttype", "application/json"))
        if _is_json(content_type):
            data = _parsed(raw)
        elif content_type.startswith("text/"):
            data = raw.decode(errors="replace")
        else:
            extensions["data_base64"] = packed
    return Event(
        source=document["source"],
        id=document["id"],
        type=document["type"],
        subject=document.get("subject"),
        time=document.get("time"),
        data=data,
        extensions=extensions,
    )


def _parsed(raw: bytes) -> JsonValue:
    try:
        return parse_json(raw)
    except ValueError as error:
        raise NoEventError([ErrorPlace(where="/data_base64", expected="JSON", found=str(error))]) from None


def _is_json(content_type: str) -> bool:
    name = content_type.partition(";")[0].strip().lower()
    return name.endswith(("/json", "+json"))


def _wrong(name: str, value: JsonValue) -> ErrorPlace | None:
    """Return what is wrong with one member of the event."""
    if name == "data" or value is None:
        return None
    if name in _TEXTS:
        return _wrong_text(name, value)
    where = f"/{name}"
    if name == "data_base64":
        return None if _is_base64(value) else ErrorPlace(where=where, expected="base64", found=shown(value))
    if not _NAME.fullmatch(name):
        return ErrorPlace(where=where, expected="a name of lower-case letters and digits", found=shown(name))
    if isinstance(value, dict | list):
        return ErrorPlace(where=where, expected="a text, a number, true or false", found=shown(value))
    return None


def _wrong_text(name: str, value: JsonValue) -> ErrorPlace | None:
    if name == "specversion":
        expected = '"1.0"'
        fits = value == "1.0"
    elif not isinstance(value, str) or not value:
        expected = "a text that is not empty"
        fits = False
    elif name == "time":
        expected = "a time as 2013-03-08T05:00:00Z"
        fits = _is_timestamp(value)
    else:
        expected = "a text without control characters"
        fits = _is_printable(value)
    return None if fits else ErrorPlace(where=f"/{name}", expected=expected, found=shown(value))


def _is_timestamp(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:  # Small letters and leap seconds are rare, and a slower way reads them.
        return _is_rare_timestamp(value)


def _is_rare_timestamp(value: str) -> bool:
    try:
        return read_iso_8601(value).offset is not None
    except ValueError:
        return False


def _is_printable(value: str) -> bool:
    try:
        printable(value)
    except ValueError:
        return False
    return True


def _is_base64(value: JsonValue) -> bool:
    try:
        return isinstance(value, str) and bool(base64.b64decode(value, validate=True) or True)
    except (binascii.Error, ValueError):
        return False
