"""Slow, huge and nested input from sockets of our own: what keeps the service waiting is sent away."""

import asyncio
import functools
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from sensorflow.app import Running
from sensorflow.config.settings import load_settings
from sensorflow.core.errors import DefinitionsError
from tests.access import control
from tests.apart import apart
from tests.serving import SECRETS, client_of, make_home, serving

pytestmark = pytest.mark.slow

MEBIBYTE = 1024 * 1024
POST = b"POST /api/v1/ready HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
#: How far a client may come before it falls silent.
HALF_OPEN = {
    "nothing": b"",
    "half a line": b"GET /heal",
    "half of the headers": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n",
    "no body": POST + b"Content-Length: 100\r\n\r\n",
    "half of a body": POST + b"Content-Length: 100\r\n\r\n{",
    "half of a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n50\r\n{",
    "a body that nobody reads": b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    "half of a second request": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HT",
}
SHORT = {"header_timeout": "200ms", "body_timeout": "200ms"}
PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """Return what is sent until the service hangs up, be it by a reset."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE_S)
    except ConnectionError:
        return b""


async def is_well(url: str) -> bool:
    async with aiohttp.ClientSession(url) as client, client.get("/healthz") as response:
        return response.status == 200


async def test_a_client_that_falls_silent_is_left(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "home"), **SHORT) as service:
        for name, sent in HALF_OPEN.items():
            async with connected(service.url) as (reader, writer):
                writer.write(sent)
                if name == "half of a second request":
                    # What came with a whole request is looked at again when something more comes.
                    assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b'"ok"}'), PATIENCE_S)
                    writer.write(b"T")
                answer = await all_of(reader)
                assert answer == b"" or b"408 " in answer or b"404 " in answer, (name, answer)


async def test_a_client_that_sends_a_byte_now_and_then_is_left(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "home"), **SHORT) as service:
        for begun in (b"GET /healthz HTTP/1.1\r\nX-A: ", POST + b"Content-Length: 100000\r\n\r\n"):
            async with connected(service.url) as (reader, writer):
                writer.write(begun)
                left = asyncio.create_task(all_of(reader))
                for _ in range(1000):
                    writer.write(b"1")
                    done, _ = await asyncio.wait({left}, timeout=0.02)
                    if done:
                        break
                assert left.done(), "it still listens"


async def test_a_body_that_comes_in_time_may_take_its_time(tmp_path: Path) -> None:
    """A large body over a slow line: each piece gives it another moment."""
    home = make_home(tmp_path / "home")
    async with serving(home, header_timeout="200ms", body_timeout="300ms") as service:
        line = json.dumps({"specversion": "1.0", "id": "1", "source": "/a", "type": "t"}).encode()
        body = line + b" " * (64 * 1024) + b"\n"
        head = b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        async with connected(service.url) as (reader, writer):
            writer.write(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
            answer = asyncio.create_task(all_of(reader))
            for place in range(0, len(body), 8 * 1024):
                writer.write(body[place : place + 8 * 1024])
                await asyncio.wait({answer}, timeout=0.1)
            assert b"202 Accepted" in await answer


async def test_a_connection_between_two_requests_is_kept(tmp_path: Path) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(make_home(tmp_path / "home"), **SHORT) as service, connected(service.url) as (r, w):
        for _ in range(2):
            w.write(request)
            assert b"200 OK" in await asyncio.wait_for(r.readuntil(b'"ok"}'), PATIENCE_S)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(r.read(1), 0.5)  # Longer than headers may take: nothing ends.


async def test_silent_clients_do_not_hold_up_others(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "home")) as service:
        opened = [connected(service.url) for _ in range(20)]
        for each, sent in zip(opened, [*HALF_OPEN.values()] * 3, strict=False):
            _, writer = await each.__aenter__()
            writer.write(sent)
        assert await asyncio.wait_for(is_well(service.url), PATIENCE_S)
        for each in opened:
            await each.__aexit__(None, None, None)


@pytest.mark.slow
async def test_twenty_silent_clients_are_left_within_15_s(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "home")) as service:
        opened = [connected(service.url) for _ in range(20)]
        readers = []
        for each, sent in zip(opened, [*HALF_OPEN.values()][:-1] * 3, strict=False):
            reader, writer = await each.__aenter__()
            writer.write(sent)
            readers.append(reader)
        async with asyncio.timeout(15):
            await asyncio.gather(*map(all_of, readers))
        for each in opened:
            await each.__aexit__(None, None, None)


async def test_more_connections_than_are_allowed_are_sent_away_but_never_the_owner(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    async with (
        serving(home, connections=2) as service,
        connected(service.url),
        connected(service.url) as (_, second),
    ):
        async with connected(service.url) as (reader, _):
            answer = await all_of(reader)
        assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 1" in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 503
        assert (await control(home, "GET", "/api/v1/tokens"))[0] == 200
        second.close()
        await second.wait_closed()
        async with asyncio.timeout(PATIENCE_S):
            assert any([await has_room(service) for _ in range(3)])


async def has_room(service: Running) -> bool:
    async with connected(service.url) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b"200 OK" in await all_of(reader)


@functools.cache
def bomb(packing: str) -> bytes:
    """Return an eighth of a gibibyte, packed into less than the limit of a body."""
    if packing == "gzip":
        return gzip.compress(bytes(128 * MEBIBYTE), compresslevel=6)
    return zlib.compress(bytes(128 * MEBIBYTE), level=6)


async def test_what_is_too_large_when_unpacked_is_413(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "home")) as service, client_of(service) as client:
        for path in ("/api/v1/ready", "/api/v1/events", "/hooks/sales/github", "/hooks/anybody"):
            kind = "application/x-ndjson" if path.endswith("events") else "application/json"
            for packing in ("gzip", "deflate"):
                headers = {"Content-Encoding": packing, "Content-Type": kind}
                async with client.post(path, data=bomb(packing), headers=headers) as response:
                    assert (response.status, response.content_type) == (413, "application/problem+json")
        assert service.store.reader.last_seq() == 0


async def test_what_is_not_packed_as_it_says_is_400(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with serving(make_home(tmp_path / "home")) as service, client_of(service) as client:
        for packing in ("gzip", "deflate"):
            headers = {"Content-Encoding": packing, "Content-Type": "application/json"}
            async with client.post("/api/v1/ready", data=b"{} no such thing", headers=headers) as response:
                assert response.status == 400
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())


async def test_what_nests_too_deep_or_counts_too_far_is_refused(tmp_path: Path) -> None:
    bodies = (
        b"[" * 100_000,
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b'{"a":' * 150_000,
        b"1" * 900_000,
        b"1e" + b"9" * 900_000,
        b'"' + b"\\u0000" * 100_000,
    )
    async with serving(make_home(tmp_path / "home")) as service, client_of(service) as client:
        for path in ("/api/v1/ready", "/api/v1/events", "/hooks/anybody", "/api/v1/callbacks/x"):
            kind = "application/cloudevents+json" if path.endswith("events") else "application/json"
            for body in bodies:
                async with client.post(path, data=body, headers={"Content-Type": kind}) as response:
                    assert response.status in (400, 422), (path, body[:20])
        assert service.store.reader.last_seq() == 0


@pytest.mark.parametrize("name", ["header_timeout", "body_timeout", "connections"])
def test_the_limits_are_settings(name: str, tmp_path: Path) -> None:
    assert getattr(load_settings(tmp_path, {}), name) in (10.0, 1000)
    with pytest.raises(DefinitionsError, match=name.upper()):
        load_settings(tmp_path, {f"SENSORFLOW_{name.upper()}": "soon"})


# Memory, of a process of its own


def resident_mebibytes(pid: int) -> int:
    """Return the most memory that a process has had so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    raise AssertionError("needs /proc")


async def test_memory_does_not_grow_with_what_is_refused(tmp_path: Path) -> None:
    """Bombs, nests and silent clients together take less than 50 MB, at their worst moment."""
    async with apart(make_home(tmp_path / "home")) as service, aiohttp.ClientSession(service.url) as client:
        pid, url = service.pid, service.url
        assert await is_well(url)
        before = resident_mebibytes(pid)
        silent = [connected(url) for _ in range(20)]
        for each in silent:
            _, writer = await each.__aenter__()
            writer.write(POST + b"Content-Length: 1000000\r\n\r\n" + b" " * 1000)
        bodies = [(bomb("gzip"), "gzip"), (bomb("deflate"), "deflate"), (b"[" * MEBIBYTE, "identity")]
        for body, packing in bodies * 3:
            headers = {"Content-Encoding": packing, "Content-Type": "application/json"}
            async with client.post("/hooks/anybody", data=body, headers=headers) as response:
                assert response.status in (400, 413)
        grown = resident_mebibytes(pid) - before
        for each in silent:
            await each.__aexit__(None, None, None)
        assert grown < 50, f"{grown} MiB more"
    assert "Traceback" not in service.log
