"""CloudEvents are read as the SDK of the specification reads and writes them."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_binary_event,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from sensorflow.core.vocabulary import Event
from sensorflow.web.bodies import parse_json
from sensorflow.web.cloudevents import NoEventError, read_binary, read_structured

TEXTS = st.text(alphabet=st.characters(blacklist_categories=("Cc", "Cs")), min_size=1, max_size=20).filter(
    lambda text: text == text.strip()
)
TIMES = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - the zone is drawn beside it
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))]),
)
OWN = {"id", "source", "type", "specversion", "subject", "time", "datacontenttype", "dataschema", "data"}
NAMES = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True).filter(lambda name: name not in OWN)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8).filter(str.isprintable),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
DATA = st.one_of(
    st.tuples(st.just("application/json"), st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3)),
    st.tuples(st.just("application/vnd.orders+json"), st.dictionaries(st.just("day"), JSON, max_size=1)),
    st.tuples(st.just("text/plain"), st.text(min_size=1, max_size=20).filter(str.isprintable)),
    st.tuples(st.just("application/octet-stream"), st.binary(min_size=1, max_size=20)),
    st.tuples(st.just("application/json"), st.none()),
)


@st.composite
def sdk_events(draw: st.DrawFn) -> CloudEvent:
    content_type, data = draw(DATA)
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        **{name: draw(TEXTS) for name in ("id", "source", "type")},
        "datacontenttype": content_type,
    }
    for name, values in (("subject", TEXTS), ("time", TIMES)):
        if draw(st.booleans()):
            attributes[name] = draw(values)
    extensions = draw(st.dictionaries(NAMES, TEXTS, max_size=3))
    return CloudEvent({**extensions, **attributes}, data)


def ours(message: HTTPMessage) -> Event:
    """Read a message as the route does."""
    headers = CIMultiDict(message.headers)
    content_type = headers.get("content-type", "")
    if content_type == "application/cloudevents+json":
        return read_structured(parse_json(message.body))
    return read_binary(headers, content_type, message.body)


def assert_same(event: Event, oracle: Any) -> None:
    attributes = oracle.get_attributes()
    assert (event.id, event.source, event.type) == tuple(
        attributes[name] for name in ("id", "source", "type")
    )
    assert event.subject == attributes.get("subject")
    time = attributes.get("time")
    assert (datetime.fromisoformat(event.time) if event.time else None) == time
    extensions = {name: value for name, value in attributes.items() if name not in OWN}
    kept = dict(event.extensions)
    packed = kept.pop("data_base64", None)
    assert kept.pop("datacontenttype", None) == attributes.get("datacontenttype")
    assert kept == extensions
    data = oracle.get_data()
    if packed is not None:
        assert isinstance(packed, str)
        raw = base64.b64decode(packed)
        assert raw == (data.encode() if isinstance(data, str) else data)
    else:
        assert event.data == data


@settings(deadline=None)
@given(sdk_events())
def test_what_the_sdk_writes_structured_is_read_as_it_was(written: CloudEvent) -> None:
    assert_same(ours(to_structured_event(written)), written)


@settings(deadline=None)
@given(sdk_events())
def test_what_the_sdk_writes_binary_is_read_as_it_was(written: CloudEvent) -> None:
    assert_same(ours(to_binary_event(written)), written)


@settings(deadline=None)
@given(sdk_events())
def test_what_we_keep_of_an_event_is_an_event_that_the_sdk_reads_as_the_same(written: CloudEvent) -> None:
    event = ours(to_structured_event(written))
    document = {name: value for name, value in event.document().items() if value is not None}
    body = json.dumps({"specversion": "1.0", **document}).encode()
    message = HTTPMessage({"content-type": "application/cloudevents+json"}, body)
    assert_same(event, from_structured_event(message))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \u20ac \U0001f600"),
        ('"in quotes"', "in quotes"),
        (r'"a \"quoted\" word and \\"', r'a "quoted" word and ' + "\\"),
        ('"100%25"', "100%"),
        ('one "word"', 'one "word"'),
        ('"', '"'),
        ("%e2%82%ac", "\u20ac"),
    ],
)
def test_a_header_is_taken_out_of_its_quotes_and_then_percent_decoded_once(value: str, text: str) -> None:
    event = read_binary(binary(value), "application/json", b"{}")
    assert event.subject == text


def binary(subject: str) -> CIMultiDict[str]:
    return CIMultiDict(
        {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-subject": subject}
    )


@pytest.mark.parametrize("value", ["%C0%A0", "%ff", "a%ED%A0%80", "%00"])
def test_a_header_that_is_no_text_of_utf_8_makes_no_event(value: str) -> None:
    with pytest.raises(NoEventError) as refused:
        read_binary(binary(value), "application/json", b"{}")
    assert [error.where for error in refused.value.errors] == ["/subject"]


def test_binary_headers_are_read_as_the_sdk_reads_them() -> None:
    own = {"ce-Zone": "x", "ce-time": "2026-03-08T05:00:00+01:00", "Content-Type": "application/json"}
    headers = {**binary("a%20b"), **own}
    message = HTTPMessage(headers, b'{"day": "2026-03-08"}')
    assert_same(ours(message), from_binary_event(message))
