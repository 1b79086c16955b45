"""Requests as they go over the wire, and the connections that carry them."""

import asyncio
import json
from typing import Any

from sensorflow.app import Running

PATIENCE_S = 20.0
EVENTS, READY = "/api/v1/events", "/api/v1/ready"


def request(path: str, document: Any, *headers: str, version: str = "1.1") -> bytes:
    """Return a POST as it goes over the wire; of an event, or of JSON."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    kind = "cloudevents+json" if path.endswith(EVENTS) else "json"
    lines = [
        f"POST {path} HTTP/{version}",
        "Host: localhost",
        f"Content-Type: application/{kind}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def event(number: int) -> dict[str, Any]:
    order = {"specversion": "1.0", "id": str(number), "source": "/erp", "type": "orders.exported"}
    return {**order, "data": {"day": "2026-03-08", "region": "eu"}}


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def asked(self, sent: bytes) -> tuple[str, dict[str, str], Any]:
        self.writer.write(sent)
        return await self.answer()

    async def answer(self) -> tuple[str, dict[str, str], Any]:
        """Return the next answer: its first line, its headers by name, its document."""
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers.get("Content-Length", "0")))
        return first, headers, json.loads(body) if body else None

    async def is_closed(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), PATIENCE_S) == b""


async def line_to(service: Running) -> Line:
    """Return a new connection to a service."""
    host, port = service.url.removeprefix("http://").split(":")
    return Line(*await asyncio.open_connection(host, int(port)))
