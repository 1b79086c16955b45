"""Senders that do what a sender should: repeat with the same id until it is acknowledged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.torture.process import ServiceProcess, client_of

SOURCE = "/shop"
#: Events of one partition.
BATCH = 20
#: Events that wait at most because the service is away.
_WAITING = 1000
_CONNECTIONS = 32
_TICK_S = 0.02
#: After so long without an answer it is sent again.
_ANSWER_S = 10.0


def numbered(number: int) -> dict[str, object]:
    """Return what an event says: it is one part of its batch."""
    return {"n": number, "batch": f"batch-{number // BATCH}", "part": f"{number % BATCH}"}


class Sender:
    """Posts numbered events."""

    def __init__(self, service: ServiceProcess, *, per_s: int) -> None:
        self.service = service
        #: The numbers of those that were answered with 202.
        self.acknowledged: set[int] = set()
        #: How often one was answered as a repetition: its first answer was lost.
        self.repeated = 0
        self.sent = 0
        #: How long each took from its first try to its acknowledgement.
        self.took_s: list[float] = []
        self._per_s = per_s
        self._queue: asyncio.Queue[int] = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None
        self._began_at = 0.0
        self._paced = 0

    def begin(self) -> None:
        """Send from now on."""
        self._began_at = asyncio.get_running_loop().time()
        self._tick()

    async def end(self) -> None:
        """Send what its last batch lacks, and return when all is acknowledged."""
        assert self._timer is not None
        self._timer.cancel()
        while self.sent % BATCH:
            self._put()
        await self._queue.join()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = int((loop.time() - self._began_at) * self._per_s)
        while self._paced < due:
            self._paced += 1
            if self._queue.qsize() < _WAITING:
                self._put()
        self._timer = loop.call_later(_TICK_S, self._tick)

    def _put(self) -> None:
        self._queue.put_nowait(self.sent)
        self.sent += 1

    async def work(self, client: aiohttp.ClientSession) -> None:
        """Send one after the other."""
        while True:
            number = await self._queue.get()
            began_at = asyncio.get_running_loop().time()
            while not await self.is_acknowledged(client, number):
                await self.service.serves.wait()
            self.acknowledged.add(number)
            self.took_s.append(asyncio.get_running_loop().time() - began_at)
            self._queue.task_done()

    async def is_acknowledged(self, client: aiohttp.ClientSession, number: int) -> bool:
        """Send an event once, and tell whether it was answered with 202."""
        event = {
            "specversion": "1.0",
            "id": f"order-{number}",
            "source": SOURCE,
            "type": "order",
            "data": numbered(number),
        }
        headers = {"Content-Type": "application/cloudevents+json"}
        try:
            async with client.post("/api/v1/events", json=event, headers=headers) as response:
                if response.status == 503:
                    return False
                assert response.status == 202, await response.text()
                answer = await response.json()
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError):
            return False
        self.repeated += answer["duplicates"]
        assert answer["accepted"] + answer["duplicates"] == 1, answer
        return True


@asynccontextmanager
async def sending(service: ServiceProcess, *, per_s: int) -> AsyncIterator[Sender]:
    """Give a sender that sends already; leaving it waits until all that it sent is acknowledged."""
    sender = Sender(service, per_s=per_s)
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    async with client_of(service, timeout=timeout) as client, asyncio.TaskGroup() as group:
        workers = [group.create_task(sender.work(client)) for _ in range(_CONNECTIONS)]
        sender.begin()
        yield sender
        await sender.end()
        for worker in workers:
            worker.cancel()
