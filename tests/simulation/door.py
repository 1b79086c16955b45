"""The service's HTTP server on simulated connections: bytes in, bytes out, and both may be lost."""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sensorflow.core.messages import CalledBack, DeclaredReady
from sensorflow.service import INBOX, Service
from sensorflow.store.memory import MemoryStore
from sensorflow.web.api import Api, SensorHealth
from sensorflow.web.app import build_app
from sensorflow.web.server import Limits, Runner
from tests.simulation.world import World


class Door:
    """Where requests come in, for one life of the service."""

    def __init__(self, world: World, service: Service) -> None:
        self._world = world
        self._runner = Runner(
            build_app(_api(world, service)), Limits(header_timeout_s=10.0, connections=1_000)
        )

    async def open(self) -> None:
        await self._runner.setup()

    def post(self, message: DeclaredReady | CalledBack, answered: Callable[[int], None]) -> None:
        """Let somebody send a request on a connection of its own, which may break at any moment."""
        assert self._runner.server is not None
        connection = Connection(self._runner.server(), answered)
        head, body = _request(message)
        connection.protocol.connection_made(connection)
        if self._world.chance(0.5):
            self._world.after(0, connection.send, head + body)
        else:
            connection.send(head)
            delay_s = self._world.random.uniform(0, 0.5) if self._world.chance(0.2) else 0
            self._world.after(delay_s, connection.send, body)
        if self._world.chance(0.05):
            self._world.after(self._world.random.uniform(0, 0.05), connection.lose)


class Connection(asyncio.Transport):
    """The server's end of a connection."""

    def __init__(self, protocol: asyncio.Protocol, answered: Callable[[int], None]) -> None:
        super().__init__({"socket": _SOCKET, "peername": ("127.0.0.1", 50_000)})
        self.protocol = protocol
        self._answered = answered
        self._loop = asyncio.get_running_loop()
        self._is_closing = False
        self._is_lost = False

    def send(self, content: bytes) -> None:
        """Let the server receive something, if it still listens."""
        if not self._is_closing and not self._loop.is_closed():
            self.protocol.data_received(content)

    def lose(self) -> None:
        """Let the other end be gone."""
        self._is_closing = True
        if not self._is_lost and not self._loop.is_closed():
            self._is_lost = True
            self.protocol.connection_lost(None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        line = bytes(data).split(b"\r\n", 1)[0]
        if line.startswith(b"HTTP/1.1 ") and not self._is_closing:
            self._answered(int(line.split()[1]))

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing and not self._loop.is_closed():
            self._is_closing = True
            self._loop.call_soon(self.lose)

    abort = close

    def pause_reading(self) -> None:
        """What is sent is never so much."""

    def resume_reading(self) -> None:
        """It was never paused."""

    def get_write_buffer_size(self) -> int:
        return 0


#: Has what the server asks of a socket.
_SOCKET = SimpleNamespace(family=socket.AF_INET, type=socket.SOCK_STREAM, setsockopt=lambda *_: None)


def _request(message: DeclaredReady | CalledBack) -> tuple[bytes, bytes]:
    """Return head and body of the request that says something."""
    body: dict[str, Any]
    if isinstance(message, CalledBack):
        path, body = f"/api/v1/callbacks/{message.token}", {"state": message.state.value}
    else:
        path, body = "/api/v1/ready", {"dataset": message.dataset, "id": message.event.id}
        body |= {"partition": message.partition} if message.partition else {}
        body |= {"part": message.part} if message.part else {}
        body |= {"data": message.event.data}
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode(), content


def _api(world: World, service: Service) -> Api:
    """Return what the routes need, wired as `app` does it, as far as these requests ask for it."""

    async def reload() -> dict[str, object]:
        raise AssertionError("files are edited beside the API here")

    return Api(
        definitions=lambda: service.definitions,
        submit=service.submit,
        submit_all=service.submit_all,
        submit_each=service.submit_each,
        reload=reload,
        with_texts=lambda texts: service.definitions,
        would_see=lambda *_: None,  # type: ignore[arg-type, return-value]
        scratch=MemoryStore,
        store=service.store,
        clock=world,
        sensor_health=lambda pipeline, name: SensorHealth("up", None),
        log_path=lambda run_id, task, number: Path(),
        masked_piece=lambda content: (content, b""),
        not_ready=dict,
        measures=service.measures,
        inbox=lambda: service.waiting,
        share=INBOX // 2,
        workers=service.workers,
        watch=lambda told: None,
    )
