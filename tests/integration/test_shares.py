"""One that sends more than its share is told 429, and those beside it are served."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.app import Running
from tests.access import bearer, control, new_token
from tests.serving import SECRETS, HeldDisk, client_of, make_home, serving

DAY = "2026-03-08"
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    monkeypatch.setattr("sensorflow.app.INBOX", 4)  # So that two are one sender's share.
    return make_home(tmp_path / "home")


@pytest.fixture
async def service(home: Path) -> AsyncIterator[Running]:
    async with serving(home) as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


def orders(*ids: str) -> list[dict[str, Any]]:
    event = {"specversion": "1.0", "source": "/erp", "type": "orders.exported"}
    return [{**event, "id": each, "data": {"day": DAY, "region": "eu"}} for each in ids]


async def send(client: aiohttp.ClientSession, token: str | None, *ids: str) -> tuple[int, Any, str | None]:
    headers = {**BATCH, **(bearer(token) if token else {})}
    async with client.post("/api/v1/events", json=orders(*ids), headers=headers) as response:
        return response.status, await response.json(content_type=None), response.headers.get("Retry-After")


async def test_a_token_that_sends_too_much_is_told_429_and_another_is_served(
    home: Path, client: aiohttp.ClientSession, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy, modest = await new_token(home, "emit"), await new_token(home, "emit")
    disk = HeldDisk(service, monkeypatch)
    first = asyncio.create_task(send(client, greedy, "1", "2"))
    await disk.entered.wait()
    status, problem, retry_after = await send(client, greedy, "3")
    assert (status, retry_after) == (429, "1")
    assert problem["detail"].startswith("expected at most 2 events of one token or address to wait, found 2")
    second = asyncio.create_task(send(client, modest, "4"))
    disk.free.set()
    assert [(await first)[0], (await second)[0]] == [202, 202]
    assert (await send(client, greedy, "3"))[0] == 202
    events = service.store.listing.events(after=0, dataset=None, state=None, limit=500)
    assert sorted(row.event.id or "" for row in events) == ["1", "2", "3", "4"]


async def test_without_tokens_it_is_the_address_that_counts_for_every_door(
    home: Path, client: aiohttp.ClientSession, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = HeldDisk(service, monkeypatch)
    first = asyncio.create_task(send(client, None, "1", "2"))
    await disk.entered.wait()
    posts: list[tuple[str, Any]] = [
        ("/api/v1/ready", {"dataset": "orders", "partition": DAY}),
        ("/api/v1/lineage", {"eventTime": f"{DAY}T00:00:00Z", "job": {"namespace": "n", "name": "j"}}),
        ("/hooks/sales/open", {"a": 1}),
    ]
    for path, body in posts:
        made_up = {"Authorization": f"Bearer {path}"}
        async with client.post(path, json=body, headers=made_up) as response:
            assert response.status == 429
    elsewhere = asyncio.create_task(control(home, "POST", *posts[0]))
    disk.free.set()
    assert ((await first)[0], (await elsewhere)[0]) == (202, 202)


async def test_a_batch_larger_than_a_share_is_taken_where_nothing_of_its_sender_waits(
    client: aiohttp.ClientSession,
) -> None:
    status, answer, _ = await send(client, None, *(str(number) for number in range(9)))
    assert (status, answer["accepted"]) == (202, 9)
