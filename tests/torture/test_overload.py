"""R17: ten times the events that the service can take, from a greedy address and from another one."""

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.torture.amounts import amount
from tests.torture.kept import Kept
from tests.torture.process import ServiceProcess, served

pytestmark = pytest.mark.slow

OVERLOAD_S = amount("OVERLOAD_S", 5, 60)
LARGE_BODIES = amount("LARGE_BODIES", 20, 100)
MEASURED_S = 3.0
#: Events of a batch: of many senders, and of a few who send much at once.
BATCH, LARGE_BATCH = 200, 10_000
#: Requests that are under way at once, at most: those that wait in the sockets load nothing.
UNDER_WAY = 400
RSS_BYTES = 300_000_000
SOURCE = "/flood"

HOME = """\
name: flooded
partition: key
late: ignore
sensors:
  posted: {type: events, match: {type: [drop]}, partition: data.key, dataset: drops}
tasks:
  count: {inputs: [drops], run: ["true"]}
"""


class Flood:
    """Batches that are sent whether or not those before them are answered."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service
        self.acknowledged = 0
        self.answers: Counter[int | str] = Counter()
        self.offered = 0
        self._acknowledged_batches: list[tuple[int, int]] = []
        self._next = 0

    async def send(self, client: aiohttp.ClientSession, size: int, padding: int = 0) -> bool:
        """Send one batch, and see that it is taken whole or refused in words that a client understands."""
        first, self._next = self._next, self._next + size
        self.offered += size
        headers, body = {"Content-Type": "application/x-ndjson"}, _lines(first, size, b"x" * padding)
        try:
            async with client.post("/api/v1/events", data=io.BytesIO(body), headers=headers) as response:
                self.answers[response.status] += 1
                if response.status == 202:
                    self._acknowledged_batches.append((first, size))
                    self.acknowledged += size
                else:
                    assert response.status in (429, 503), await response.text()
                    assert int(response.headers["Retry-After"]) >= 1
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            self.answers[type(error).__name__] += 1
            return False
        return response.status == 202

    def see_all_kept(self) -> None:
        kept = Kept(self.service.home).numbers(SOURCE)
        assert set(kept.values()) == {1}
        for first, size in self._acknowledged_batches:
            assert all(number in kept for number in range(first, first + size)), (
                f"of {first} on some are lost"
            )


def _lines(first: int, size: int, padding: bytes) -> bytes:
    return b"\n".join(
        b'{"specversion":"1.0","id":"%d","source":"%s","type":"drop","data":{"n":%d,"key":"k%d","x":"%s"}}'
        % (number, SOURCE.encode(), number, number % 28, padding)
        for number in range(first, first + size)
    )


@asynccontextmanager
async def client_from(service: ServiceProcess, address: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a client that comes from an address of this machine's own."""
    connector = aiohttp.TCPConnector(limit=0, local_addr=(address, 0))
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(service.url, connector=connector, timeout=timeout) as client:
        yield client


async def capacity_per_s(flood: Flood, client: aiohttp.ClientSession) -> float:
    """Return how many events the service takes in a second from senders that wait for their answers."""
    loop = asyncio.get_running_loop()
    began_at = loop.time()

    async def send() -> None:
        while loop.time() < began_at + MEASURED_S:
            await flood.send(client, BATCH)

    await asyncio.gather(*(send() for _ in range(8)))
    return flood.acknowledged / (loop.time() - began_at)


@pytest.mark.parametrize("size", [BATCH, LARGE_BATCH])
async def test_ten_times_the_load_is_refused_in_time_and_loses_nothing(
    home: Path, size: int, figure: Callable[[str], None]
) -> None:
    (home / "pipelines" / "flooded.yaml").write_text(HOME)
    loop = asyncio.get_running_loop()
    async with served(home) as service:
        flood = Flood(service)
        async with client_from(service, "127.0.0.1") as greedy, client_from(service, "127.0.0.2") as other:
            capacity = await capacity_per_s(flood, greedy)
            before, began_at = flood.offered, loop.time()
            under_way: set[asyncio.Task[bool]] = set()
            while (passed_s := loop.time() - began_at) < OVERLOAD_S:
                due = before + 10 * capacity * passed_s
                while flood.offered < due and len(under_way) < UNDER_WAY:
                    client = greedy if flood.offered // size % 2 else other
                    sent = asyncio.create_task(flood.send(client, size))
                    under_way.add(sent)
                    sent.add_done_callback(under_way.discard)
                    await asyncio.sleep(0)
                await service.moment(0.01)
            offered_per_s = (flood.offered - before) / (loop.time() - began_at)
            await asyncio.gather(*under_way)
            async with other.get("/readyz") as response:
                assert response.status == 200
        peak = service.peak_rss_bytes()
        flood.see_all_kept()
    answers = json.dumps({str(status): count for status, count in sorted(flood.answers.items(), key=str)})
    figure(
        f"{offered_per_s / capacity:.1f} times {capacity:.0f} events/s for {OVERLOAD_S} s: {answers}, "
        f"{flood.acknowledged} events acknowledged, 0 lost, {peak / 1e6:.0f} MB at most"
    )
    assert flood.answers[503] + flood.answers[429]
    assert peak < RSS_BYTES


async def test_many_large_bodies_at_once_take_little_memory_and_each_comes_in_its_turn(
    home: Path, figure: Callable[[str], None]
) -> None:
    (home / "pipelines" / "flooded.yaml").write_text(HOME)
    async with served(home) as service, client_from(service, "127.0.0.1") as client:
        flood = Flood(service)

        async def send_until_taken() -> None:
            while not await flood.send(client, BATCH, 50_000):
                await service.moment(1.0)

        first = [asyncio.create_task(flood.send(client, BATCH, 50_000)) for _ in range(LARGE_BODIES)]
        await asyncio.gather(*first)
        await asyncio.gather(*(send_until_taken() for _ in range(3)))
        peak = service.peak_rss_bytes()
        flood.see_all_kept()
    assert flood.answers[503]
    figure(f"{LARGE_BODIES} bodies of 10 MB at once: {dict(flood.answers)}, {peak / 1e6:.0f} MB at most")
    assert peak < RSS_BYTES
