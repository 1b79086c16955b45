"""A real HTTP server on 127.0.0.1 that keeps what it is sent, and names that lead where a test wants."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

Answer: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    method: str
    #: Path and query as they were sent.
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What was sent to a server."""

    port: int = 0
    requests: list[Received] = field(default_factory=list)
    #: Set when a request has come, and when one was broken off before it was answered.
    came: asyncio.Event = field(default_factory=asyncio.Event)
    broken_off: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def receiving(answer: Answer) -> AsyncIterator[Receiver]:
    """Serve every method and path with `answer`."""
    receiver = Receiver()

    async def keep(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        received = Received(request.method, request.raw_path, dict(request.headers), body)
        receiver.requests.append(received)
        receiver.came.set()
        try:
            return await answer(request)
        except asyncio.CancelledError:
            receiver.broken_off.set()
            raise

    app = web.Application()
    app.router.add_route("*", r"/{path:[\s\S]*}", keep)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=0)  # A handler is cancelled when its client is gone.
    assert server.port is not None
    receiver.port = server.port
    try:
        yield receiver
    finally:
        await server.close()


def answering(status: int = 200, text: str = "", **headers: str) -> Answer:
    """Answer always the same."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return answer


async def silent(request: web.Request) -> web.Response:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


class NamesLeadTo(AbstractResolver):
    """Resolves every name to the same addresses."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def header(request: Received, name: str) -> Any:
    """Return a header, whatever the case of its name."""
    return {key.lower(): value for key, value in request.headers.items()}.get(name.lower())
