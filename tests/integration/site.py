"""A server with pages that can change, for tests of what polls them."""

import asyncio
import json
from dataclasses import dataclass, field

from aiohttp import web

from tests.integration.receiver import Receiver


@dataclass
class Site:
    """What a server has at its paths; it answers as RFC 9110 wants it."""

    pages: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    #: An answer for a path that is no page.
    status: int = 404

    def put(self, path: str, content: object, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.pages[path] = (body, {name.replace("_", "-"): value for name, value in headers.items()})

    async def answer(self, request: web.Request) -> web.Response:
        if request.path not in self.pages:
            return web.Response(status=self.status)
        body, headers = self.pages[request.path]
        etag, modified = headers.get("ETag"), headers.get("Last-Modified")
        wanted = request.headers.get("If-None-Match")
        if etag is not None and wanted is not None:
            is_same = etag.removeprefix("W/") == wanted.removeprefix("W/")
        else:
            is_same = modified is not None and request.headers.get("If-Modified-Since") == modified
        return web.Response(status=304 if is_same else 200, body=b"" if is_same else body, headers=headers)


async def asked(server: Receiver, count: int) -> None:
    """Wait until a server was asked so often."""
    async with asyncio.timeout(20):
        while len(server.requests) < count:
            server.came.clear()
            await server.came.wait()


async def asked_again(server: Receiver) -> None:
    """Wait until a server was asked a question that begins after this, and has been answered."""
    await asked(server, len(server.requests) + 2)
