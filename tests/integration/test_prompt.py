"""What is answered at once is answered as by the router: in its order, at a stop, when its sender is gone."""

import asyncio
import gc
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sensorflow.app import Running
from sensorflow.web.server import _Server
from tests.raw_requests import EVENTS, READY, Line, event, line_to, request
from tests.serving import SECRETS, HeldDisk, make_home, serving


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    return make_home(tmp_path / "home")


@pytest.fixture
async def service(home: Path) -> AsyncIterator[Running]:
    async with serving(home) as started:
        yield started


@pytest.fixture
async def line(service: Running) -> AsyncIterator[Line]:
    connected = await line_to(service)
    yield connected
    connected.writer.close()


@contextmanager
def no_router(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let what is asked of the router fail."""
    with monkeypatch.context() as broken:
        broken.setattr("aiohttp.web.UrlDispatcher.resolve", None)
        yield


#: Paths and documents, with the status of their answers.
ASKED: list[tuple[str, Any, int]] = [
    (EVENTS, event(1), 202),
    (EVENTS, {**event(2), "type": "ünheard.of"}, 202),
    (EVENTS, {**event(3), "data": {"day": 'no "day"\n'}}, 202),
    (EVENTS, {"specversion": "1.0"}, 400),
    (EVENTS, b"{", 400),
    (EVENTS, b"", 400),
    (READY, b"", 400),
    (EVENTS, {**event(4), "source": "/hooks/sales/open"}, 400),
    (READY, {"dataset": "orders", "partition": "2026-03-08", "id": "5"}, 202),
    (READY, {"dataset": "nothing"}, 404),
    (READY, {"dataset": "orders", "partition": "banana"}, 422),
]


async def test_what_is_answered_at_once_is_answered_as_by_the_router(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, document, status in ASKED:
        with no_router(monkeypatch):
            first, headers, found = await line.asked(request(path, document))
        assert first.split()[1] == str(status)
        # An absolute address is for the router.
        again, headers_again, found_again = await line.asked(request(f"http://localhost{path}", document))
        assert (first, headers.keys()) == (again, headers_again.keys())
        constant = headers.keys() - {"Date", "Content-Length", "X-Request-Id"}
        assert {name: headers[name] for name in constant} == {name: headers_again[name] for name in constant}
        if status != 202:
            assert {**found, "request_id": ""} == {**found_again, "request_id": ""}
        else:
            assert found["events"][0].keys() == found_again["events"][0].keys()


async def test_what_is_refused_at_the_door_is_refused_at_once_too(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = request(EVENTS, event(1), "X-Request-Id: mine", "Origin: http://elsewhere.example")
    foreign = request(EVENTS, event(1)).replace(b"Host: localhost", b"Host: elsewhere.example")
    plain = request(EVENTS, event(1)).replace(b"application/cloudevents+json", b"text/plain")
    with no_router(monkeypatch):
        first, headers, found = await line.asked(named)
        assert (found["status"], found["request_id"], headers["X-Request-Id"]) == (403, "mine", "mine")
        assert first == "HTTP/1.1 403 Forbidden"
        assert (await line.asked(foreign))[2]["status"] == 421
        _, headers, found = await line.asked(plain)
        assert (found["status"], headers["Accept-Post"].count("cloudevents")) == (415, 2)


async def test_requests_that_come_together_are_answered_in_their_order(line: Line, service: Running) -> None:
    """Also where more of them wait than aiohttp keeps, and some are for the router."""
    asked = [request(EVENTS, event(number)) for number in range(200)]
    asked[50] = asked[90] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    asked[60] = request(EVENTS, b"{")
    line.writer.write(b"".join(asked))
    answers = [await line.answer() for _ in asked]
    assert [place for place, (first, *_) in enumerate(answers) if "202" not in first] == [50, 60, 90]
    ids = [found["events"][0]["id"] for first, _, found in answers if "202" in first]
    assert ids == [str(number) for number in range(200) if number not in (50, 60, 90)]


async def test_others_have_their_turn_while_a_batch_is_read(
    line: Line, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorflow.web.ingest._PIECE", 1)
    other = await line_to(service)
    lines = request(EVENTS, b"\n".join(json.dumps(event(number)).encode() for number in range(50)))
    line.writer.write(lines.replace(b"application/cloudevents+json", b"application/x-ndjson"))
    other.writer.write(request(EVENTS, event(50)))
    _, _, told = await other.answer()
    assert [each["seq"] for each in told["events"]] == [1]
    _, _, told = await line.answer()
    assert [each["seq"] for each in told["events"]] == list(range(2, 52))
    other.writer.close()


async def test_a_connection_ends_when_its_client_says_so(line: Line) -> None:
    _, headers, _ = await line.asked(request(EVENTS, event(1), "Connection: close"))
    assert headers["Connection"] == "close" and await line.is_closed()


@pytest.mark.parametrize("more", [("Expect: 100-continue",), ("Upgrade: h2c", "Connection: Upgrade")])
async def test_what_asks_for_more_than_an_answer_is_left_to_the_router(
    line: Line, more: tuple[str, ...]
) -> None:
    first, _, found = await line.asked(request(EVENTS, event(1), *more))
    if "100 Continue" in first:
        first, _, found = await line.answer()
    assert (first, found["accepted"]) == ("HTTP/1.1 202 Accepted", 1)


async def test_an_old_client_is_answered_in_its_way(line: Line) -> None:
    first, _, _ = await line.asked(request(EVENTS, event(1), version="1.0"))
    assert first.startswith("HTTP/1.0 202 ") and await line.is_closed()


async def test_a_stop_waits_for_what_is_being_answered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(home) as service:
        line = await line_to(service)
        await line.asked(request(EVENTS, event(1)))
        disk = HeldDisk(service, monkeypatch)
        line.writer.write(request(EVENTS, event(2)))
        await disk.entered.wait()
        asyncio.get_running_loop().call_soon(disk.free.set)
    assert (await line.answer())[2]["events"][0]["id"] == "2"
    assert await line.is_closed()
    line.writer.close()


async def test_a_fault_of_ours_while_an_answer_is_sent_ends_the_connection(
    line: Line, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorflow.web.server.head_of", None)
    line.writer.write(request(EVENTS, event(1)) + request(EVENTS, event(2)))
    assert await line.is_closed()
    assert service.store.reader.identity("/erp", "1") == 1


async def test_who_hangs_up_meanwhile_harms_nobody(
    line: Line, service: Running, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    disk = HeldDisk(service, monkeypatch)
    line.writer.write(request(EVENTS, event(1)) + request(EVENTS, event(2)))
    await disk.entered.wait()
    line.writer.transport.abort()
    other = await line_to(service)
    other.writer.write(request(EVENTS, event(3)))
    disk.free.set()
    assert (await other.answer())[0] == "HTTP/1.1 202 Accepted"
    other.writer.close()
    events = service.store.listing.events(after=0, dataset=None, state=None, limit=500)
    assert {row.event.id for row in events} >= {"1", "3"}
    assert not re.search("Traceback|exception", "".join(capfd.readouterr()))


@pytest.mark.parametrize("turns", [0, 1])
async def test_who_hangs_up_before_anybody_reads_the_body_is_no_fault_of_ours(
    service: Running, turns: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made: list[Any] = []
    make = _Server.__call__
    monkeypatch.setattr(_Server, "__call__", lambda server: made.append(make(server)) or made[-1])
    gone, other = [await line_to(service) for _ in range(2)]
    assert (await gone.asked(request(EVENTS, event(1))))[0] == "HTTP/1.1 202 Accepted"
    protocol, transport = made[0], made[0].transport
    protocol.data_received(request(EVENTS, event(2))[:-10])
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    for _ in range(turns):  # After one the task of the request is made, and has not begun.
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    transport.abort()
    assert (await other.asked(request(EVENTS, event(3))))[0] == "HTTP/1.1 202 Accepted"
    for line in (gone, other):
        line.writer.close()
    assert "a request failed" not in "".join(capfd.readouterr())
    gc.collect()
    assert complaints == []


async def test_a_connection_is_not_idle_while_its_answer_waits_for_the_disk(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorflow.web.server._KEEPALIVE_S", 0.1)
    async with serving(home) as service:
        line = await line_to(service)
        disk = HeldDisk(service, monkeypatch)
        line.writer.write(request(EVENTS, event(1)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.reader.read(), 0.5)
        disk.free.set()
        assert (await line.answer())[0] == "HTTP/1.1 202 Accepted"
        assert await line.is_closed()
        line.writer.close()
