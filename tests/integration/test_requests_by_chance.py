"""Requests of all kinds, cut anywhere, some of whose senders leave: each is answered in its order."""

import asyncio
import gc
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.raw_requests import EVENTS, READY, Line, event, line_to, request
from tests.serving import SECRETS, make_home, serving

ROUNDS, CONNECTIONS = 5, 20
SIZES = (1, 3, 17, 200, 1000, 5000, 100_000)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def chunked(chance: Random, document: Any) -> bytes:
    head, _, body = request(EVENTS, document).partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    pieces = []
    while body:
        size = chance.randint(1, 50)
        pieces.append(b"%x\r\n%b\r\n" % (len(body[:size]), body[:size]))
        body = body[size:]
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked\r\n\r\n"]) + b"".join(pieces) + b"0\r\n\r\n"


def lines(chance: Random) -> bytes:
    members = (json.dumps(event(chance.randrange(10**9))).encode() for _ in range(chance.randint(1, 300)))
    return request(EVENTS, b"\n".join(members)).replace(
        b"application/cloudevents+json", b"application/x-ndjson"
    )


def packed(chance: Random) -> bytes:
    body = zlib.compress(json.dumps(event(chance.randrange(10**9))).encode())
    return request(EVENTS, body, "Content-Encoding: deflate")


#: With the status of their answers.
KINDS: list[tuple[Callable[[Random], bytes], int]] = [
    *[(lambda chance: request(EVENTS, event(chance.randrange(10**9))), 202)] * 4,
    (lambda chance: chunked(chance, event(chance.randrange(10**9))), 202),
    (lines, 202),
    (packed, 202),
    (lambda chance: request(READY, {"dataset": "orders", "partition": "2026-03-08"}), 202),
    (lambda chance: request(READY, {}), 422),
    (lambda chance: request(EVENTS, b"{bad"), 400),
    (lambda chance: request(EVENTS, b"{}").replace(b"application/cloudevents+json", b"text/plain"), 415),
    (lambda chance: get("/api/v1/pipelines"), 200),
    (lambda chance: get("/nowhere"), 404),
]


async def send(line: Line, data: bytes, chance: Random) -> None:
    while data:
        size = chance.choice(SIZES)
        line.writer.write(data[:size])
        await line.writer.drain()
        data = data[size:]
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)


async def ask_and_read(line: Line, chance: Random) -> None:
    asked = [chance.choice(KINDS) for _ in range(chance.randint(1, 25))]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send(line, b"".join(kind(chance) for kind, _ in asked), chance))
        for number, (_, status) in enumerate(asked):
            first, headers, _ = await line.answer()
            assert int(first.split()[1]) == status, f"request {number} of {len(asked)}"
            assert "X-Request-Id" in headers
    line.writer.close()


async def ask_and_leave(line: Line, chance: Random) -> None:
    data = b"".join(chance.choice(KINDS)[0](chance) for _ in range(5))
    await send(line, data[: chance.randrange(len(data))], chance)
    leave = chance.choice([line.writer.transport.abort, line.writer.close])
    leave()


@pytest.mark.parametrize("seed", range(3))
async def test_requests_that_come_in_any_pieces_are_answered_in_their_order(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    chance, complaints = Random(seed), list[Any]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with serving(make_home(tmp_path / "home")) as service:
        for _ in range(ROUNDS):
            opened = [await line_to(service) for _ in range(CONNECTIONS)]
            doing = [ask_and_read if chance.random() < 0.8 else ask_and_leave for _ in opened]
            await asyncio.gather(*(do(line, chance) for do, line in zip(doing, opened, strict=True)))
    gc.collect()
    assert complaints == []
    assert "a request failed" not in "".join(capfd.readouterr())
