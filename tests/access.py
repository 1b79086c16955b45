"""Tokens for tests that come from outside: made as an owner makes them, by the socket in the home."""

from pathlib import Path
from typing import Any

import aiohttp

WEATHER = """\
name: weather_report
start: 2026-01-01
sensors:
  gauge: {type: webhook, auth: none, dataset: weather, partition: data.day}
  posted: {type: events, match: {type: [weather.observed]}, partition: data.day, dataset: weather}
tasks:
  report: {inputs: [weather], run: [echo, "canary of the weather"], outputs: [forecast]}
"""


def add_weather(home: Path) -> Path:
    """Give a home a second pipeline, which others should see nothing of."""
    (home / "pipelines" / "weather.yaml").write_text(WEATHER)
    return home


async def control(home: Path, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Ask the service that serves a home by the socket in it."""
    connector = aiohttp.UnixConnector(str(home / ".sensorflow" / "control.sock"))
    async with (
        aiohttp.ClientSession("http://localhost", connector=connector) as session,
        session.request(method, path, json=body) as response,
    ):
        return response.status, await response.json(content_type=None)


async def new_token(home: Path, scope: str, *pipelines: str) -> str:
    """Return a token of a scope, limited to pipelines where any are named."""
    limits = {"pipelines": list(pipelines)} if pipelines else {}
    status, made = await control(home, "POST", "/api/v1/tokens", {"scope": scope, **limits})
    assert status == 201, made
    return str(made["token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
