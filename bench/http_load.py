"""A small HTTP client for load: so many connections, one request at a time on each, and nothing else."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Load:
    """What came of a load."""

    seconds: float = 0.0
    #: How often each status was answered.
    statuses: Counter[int] = field(default_factory=Counter)
    #: Seconds from each request to its answer.
    waits_s: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.waits_s) / self.seconds


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered; ends when there is none left."""

    def __init__(self, requests: Iterator[bytes], load: Load, ended: asyncio.Future[None]) -> None:
        self._requests = requests
        self._load = load
        self._ended = ended
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        place = head.lower().find(b"content-length:")
        length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(body) < length:
            return
        self._load.waits_s.append(time.perf_counter() - self._sent_at)
        self._load.statuses[int(head[9:12])] += 1
        self._received = b""
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_exception(error or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is None:
            if not self._ended.done():
                self._ended.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def post(path: str, body: bytes, *, content_type: str) -> bytes:
    """Return a POST as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def send_all(port: int, requests: Iterator[bytes], *, connections: int) -> Load:
    """Send all requests to a server on 127.0.0.1 and return when each is answered.

    Raises:
        OSError: the server cannot be reached, or closed a connection.
    """
    load, loop = Load(), asyncio.get_running_loop()
    ends = [loop.create_future() for _ in range(connections)]
    started = time.perf_counter()
    for ended in ends:
        await loop.create_connection(
            lambda ended=ended: _Connection(requests, load, ended), "127.0.0.1", port
        )
    await asyncio.gather(*ends)
    load.seconds = time.perf_counter() - started
    return load
