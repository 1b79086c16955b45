"""A home of a few lines and the real service that serves it, for tests that come from outside."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.app import Running, running
from sensorflow.config.settings import load_settings

SECRETS = {
    "STANDARD_SECRET": "whsec_c2Vuc29yZmxvdy10ZXN0LXNlY3JldC1vbmU=",
    "STANDARD_SECRET_OLD": "whsec_c2Vuc29yZmxvdy10ZXN0LXNlY3JldC10d28=",
    "GITHUB_SECRET": "It's a Secret to Everybody",
    "BEARER_SECRET": "bearer-secret-of-the-test",
    "HMAC_SECRET": "hmac-secret-of-the-test",
}

SALES = """\
name: sales
description: Orders of a day, checked and published
partition: daily
start: 2026-01-01
datasets:
  orders: {complete: {parts: [eu, us]}}
sensors:
  orders_posted:
    type: events
    match: {type: [orders.exported]}
    partition: data.day
    part: data.region
    dataset: orders
  standard:
    type: webhook
    auth: {scheme: standard-webhooks, secret: ["${STANDARD_SECRET}", "${STANDARD_SECRET_OLD}"]}
    partition: data.day
    dataset: delivered
  github: {type: webhook, auth: {scheme: github, secret: "${GITHUB_SECRET}"}, dataset: pushed}
  bearer: {type: webhook, auth: {scheme: bearer, secret: "${BEARER_SECRET}"}, dataset: pushed}
  hmac:
    type: webhook
    auth: {scheme: hmac-sha256, header: X-Signature, secret: "${HMAC_SECRET}"}
    dataset: pushed
  open: {type: webhook, auth: none, dataset: pushed}
tasks:
  load:
    inputs: [orders]
    run: [echo, "orders of {partition}"]
  check:
    after: [load]
    run: test -e checked.ok || { echo "no checked.ok"; exit 1; }
  publish:
    after: [check]
    run: ["true"]
    outputs: [sales_daily]
  deliver:
    inputs: [delivered]
    run: ["true"]
  refresh:
    inputs: [{dataset: pushed, partitions: latest}]
    after: [deliver]
    run: ["true"]
"""

SHARED_SENSORS = """\
datasets:
  pushed: {partition: none}
sensors:
  anybody: {type: webhook, auth: none, dataset: pushed}
"""


def make_home(folder: Path) -> Path:
    """Write the home of these tests into a folder."""
    (folder / "pipelines").mkdir(parents=True)
    (folder / "sensors").mkdir()
    (folder / "pipelines" / "sales.yaml").write_text(SALES)
    (folder / "sensors" / "shared.yaml").write_text(SHARED_SENSORS)
    return folder


@asynccontextmanager
async def serving(home: Path, **settings: Any) -> AsyncIterator[Running]:
    """Serve a home at a free port of 127.0.0.1."""
    environment = {f"SENSORFLOW_{name.upper()}": str(value) for name, value in settings.items()}
    async with running(home, load_settings(home, environment), port=0) as service:
        yield service


@asynccontextmanager
async def client_of(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a client of a service that knows its address."""
    async with aiohttp.ClientSession(service.url) as session:
        yield session


async def until(service: Running, holds: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Return as soon as a condition of the service in this process holds."""
    async with asyncio.timeout(timeout_s):
        while not holds():
            await service.service.next_commit()


def task_state(service: Running, partition: str, task: str) -> str | None:
    """Return where a task of the pipeline `sales` stands; None before its first step."""
    run = service.store.reader.run_of("sales", partition)
    row = service.store.reader.task(run.id, task) if run else None
    return row.state.value if row else None


class HeldDisk:
    """Holds commits until it is let go."""

    def __init__(self, service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self._commit = service.store.commit
        self.entered, self.free = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(service.store, "commit", self.commit)

    async def commit(self, *, busy: bool = False) -> None:
        self.entered.set()
        await self.free.wait()
        await self._commit(busy=busy)
