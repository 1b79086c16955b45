"""Senders of CloudEvents that keep to its specifications: the handshake, and headers beside the body."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from sensorflow.app import Running
from tests.access import new_token
from tests.serving import SECRETS, client_of, make_home, serving

DAY = "2026-03-08"
ASKING = {"WebHook-Request-Origin": "eventemitter.example.com", "WebHook-Request-Rate": "120"}
GRANTED = {"WebHook-Allowed-Origin": "eventemitter.example.com", "WebHook-Allowed-Rate": "*"}


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    async with serving(make_home(tmp_path / "home")) as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


async def ask(client: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    async with client.options(path, headers=headers) as response:
        told = {name: value for name, value in response.headers.items() if name in GRANTED}
        return response.status, told, response.headers.get("Allow", "")


@pytest.mark.parametrize(
    "path", ["/api/v1/events", "/hooks/sales/github", "/hooks/sales/open", "/hooks/anybody"]
)
async def test_a_sender_that_asks_may_send_at_any_rate(client: aiohttp.ClientSession, path: str) -> None:
    status, told, allowed = await ask(client, path, **ASKING)
    assert (status, told) == (200, GRANTED)
    assert "POST" in allowed


async def test_a_sender_may_ask_without_a_token_but_not_send(
    service: Running, client: aiohttp.ClientSession
) -> None:
    await new_token(service.home.path, "emit")
    status, told, _ = await ask(client, "/api/v1/events", **ASKING)
    assert (status, told) == (200, GRANTED)
    message = to_structured_event(sdk_event("1"))
    async with client.post("/api/v1/events", data=message.body, headers=message.headers) as response:
        assert response.status == 401


async def test_who_does_not_say_who_asks_is_granted_nothing(client: aiohttp.ClientSession) -> None:
    status, told, allowed = await ask(client, "/api/v1/events")
    assert (status, told) == (200, {})
    assert "POST" in allowed


@pytest.mark.parametrize(
    ("path", "status"),
    [("/hooks/sales/nobody", 404), ("/hooks/sales/orders_posted", 404), ("/hooks/none", 404)],
)
async def test_where_no_webhook_is_nothing_is_granted(
    client: aiohttp.ClientSession, path: str, status: int
) -> None:
    assert (await ask(client, path, **ASKING))[:2] == (status, {})


async def test_an_origin_that_is_no_name_is_400(client: aiohttp.ClientSession) -> None:
    assert (await ask(client, "/hooks/sales/open", **{"WebHook-Request-Origin": "a b"}))[:2] == (400, {})


def sdk_event(event_id: str) -> CloudEvent:
    attributes = {"id": event_id, "source": "/erp", "type": "orders.exported", "specversion": "1.0"}
    return CloudEvent({**attributes, "datacontenttype": "application/json"}, {"day": DAY, "region": "eu"})


async def post(client: aiohttp.ClientSession, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    async with client.post("/api/v1/events", data=body, headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def test_headers_beside_a_structured_event_do_not_make_it_binary(client: aiohttp.ClientSession) -> None:
    structured = to_structured_event(sdk_event("1"))
    headers = {**to_binary_event(sdk_event("other")).headers, **structured.headers}
    status, answer = await post(client, structured.body, headers)
    assert (status, answer["events"][0]["id"]) == (202, "1")
    assert answer["events"][0]["arrivals"][0]["partition"] == DAY
    batch = json.dumps([json.loads(structured.body), json.loads(to_structured_event(sdk_event("2")).body)])
    headers["content-type"] = "application/cloudevents-batch+json; charset=UTF-8"
    status, answer = await post(client, batch.encode(), headers)
    assert [event["state"] for event in answer["events"]] == ["duplicate", "accepted"]


async def test_an_empty_batch_is_taken(client: aiohttp.ClientSession) -> None:
    status, answer = await post(client, b"[]", {"Content-Type": "application/cloudevents-batch+json"})
    assert (status, answer["accepted"], answer["events"]) == (202, 0, [])


async def test_a_binary_header_that_is_no_text_is_400_with_its_place(client: aiohttp.ClientSession) -> None:
    message = to_binary_event(sdk_event("1"))
    status, problem = await post(client, message.body, {**message.headers, "ce-source": "%C0%A0"})
    assert (status, [error["where"] for error in problem["errors"]]) == (400, ["/source"])


async def test_a_binary_header_that_comes_twice_is_400_with_its_place(client: aiohttp.ClientSession) -> None:
    message = to_binary_event(sdk_event("1"))
    headers = [*message.headers.items(), ("ce-id", "2")]
    async with client.post("/api/v1/events", data=message.body, headers=headers) as response:
        problem = await response.json(content_type=None)
    assert (response.status, [error["where"] for error in problem["errors"]]) == (400, ["/id"])
    assert problem["errors"][0]["found"] == '"1, 2"'
