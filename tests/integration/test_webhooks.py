"""Webhooks from outside: who is believed, what is kept, and that nothing else is stored."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook

from sensorflow.app import Running
from sensorflow.clock import SystemClock
from tests.serving import SECRETS, client_of, make_home, serving

BODY = b'{"day": "2026-03-08", "rows": 3}'


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


async def send(
    client: aiohttp.ClientSession, sensor: str, body: bytes, headers: dict[str, str]
) -> tuple[int, Any]:
    async with client.post(f"/hooks/sales/{sensor}", data=body, headers=headers) as response:
        return response.status, await response.json(content_type=None)


def signed(
    named: str = "STANDARD_SECRET", message_id: str = "msg_1", body: bytes = BODY, ago_s: float = 0
) -> dict[str, str]:
    """Sign as a sender does that uses the package of the specification."""
    at = datetime.fromtimestamp(SystemClock().now(), UTC) - timedelta(seconds=ago_s)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SECRETS[named]).sign(message_id, at, body.decode()),
    }


def github(body: bytes = BODY, secret: str = SECRETS["GITHUB_SECRET"]) -> dict[str, str]:
    return {"X-Hub-Signature-256": f"sha256={digest(secret, body).hex()}"}


def digest(secret: str, body: bytes) -> bytes:
    return hmac.new(secret.encode(), body, hashlib.sha256).digest()


def events(service: Running) -> list[Any]:
    return service.store.listing.events(after=0, dataset=None, state=None, limit=500)


@pytest.mark.parametrize("secret", ["STANDARD_SECRET", "STANDARD_SECRET_OLD"])
async def test_a_standard_webhook_is_believed_by_any_of_the_secrets(
    client: aiohttp.ClientSession, service: Running, secret: str
) -> None:
    status, answer = await send(client, "standard", BODY, signed(secret))
    assert status == 202
    assert answer["events"][0]["id"] == "msg_1"
    assert answer["events"][0]["source"] == "/hooks/sales/standard"
    assert answer["events"][0]["arrivals"][0]["partition"] == "2026-03-08"


async def test_one_good_signature_among_several_is_enough(client: aiohttp.ClientSession) -> None:
    headers = signed()
    headers["webhook-signature"] = f"v1a,abc v1,AAAA {headers['webhook-signature']}"
    assert (await send(client, "standard", BODY, headers))[0] == 202


async def test_a_repeated_standard_webhook_is_one_event(
    client: aiohttp.ClientSession, service: Running
) -> None:
    states = [
        (await send(client, "standard", BODY, signed(ago_s=n)))[1]["events"][0]["state"] for n in range(3)
    ]
    assert states == ["accepted", "duplicate", "duplicate"]
    assert len(events(service)) == 1


@pytest.mark.parametrize(("ago_s", "status"), [(290, 202), (-290, 202), (310, 401), (-310, 401)])
async def test_a_signed_time_counts_for_five_minutes(
    client: aiohttp.ClientSession, ago_s: float, status: int
) -> None:
    assert (await send(client, "standard", BODY, signed(ago_s=ago_s)))[0] == status


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "x", "v1,", "1e9", "9" * 40, "\u00fc", "v1,AAAA v1,AAAA"])
async def test_a_standard_webhook_with_a_header_missing_or_wrong_is_401_and_not_stored(
    client: aiohttp.ClientSession, service: Running, name: str, value: str | None
) -> None:
    headers = signed()
    del headers[name]
    if value is not None:
        headers[name] = value
    status, problem = await send(client, "standard", BODY, headers)
    assert (status, problem["status"]) == (401, 401)
    assert events(service) == []


async def test_every_byte_of_body_and_signature_counts(
    client: aiohttp.ClientSession, service: Running
) -> None:
    standard = signed()
    for place in range(len(BODY)):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert (await send(client, "standard", changed, standard))[0] == 401
        assert (await send(client, "github", changed, github()))[0] == 401
    for sensor, headers, name in (
        ("standard", standard, "webhook-signature"),
        ("github", github(), "X-Hub-Signature-256"),
    ):
        for place, char in enumerate(headers[name]):
            other = "A" if char != "A" else "B"
            changed_header = {**headers, name: headers[name][:place] + other + headers[name][place + 1 :]}
            assert (await send(client, sensor, BODY, changed_header))[0] == 401, (sensor, place)
    assert events(service) == []


async def test_github_is_believed_by_the_vector_that_github_publishes(client: aiohttp.ClientSession) -> None:
    published = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert github(b"Hello, World!")["X-Hub-Signature-256"] == published
    status, problem = await send(client, "github", b"Hello, World!", {"X-Hub-Signature-256": published})
    assert (status, "JSON" in problem["detail"]) == (400, True)  # Believed, and then read.
    status, answer = await send(client, "github", BODY, {**github(), "X-GitHub-Delivery": "72d3162e"})
    assert (status, answer["events"][0]["id"]) == (202, "72d3162e")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer bearer-secret-of-the-test"}, 202),
        ({"Authorization": "bearer bearer-secret-of-the-test"}, 202),
        ({"Authorization": "Bearer bearer-secret-of-the-tesT"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Basic bearer-secret-of-the-test"}, 401),
        ({}, 401),
    ],
)
async def test_a_bearer_is_believed_by_its_secret_alone(
    client: aiohttp.ClientSession, headers: dict[str, str], status: int
) -> None:
    assert (await send(client, "bearer", BODY, headers))[0] == status


@pytest.mark.parametrize(
    ("signature", "status"),
    [
        (digest(SECRETS["HMAC_SECRET"], BODY).hex(), 202),
        ("sha256=" + digest(SECRETS["HMAC_SECRET"], BODY).hex(), 202),
        (base64.b64encode(digest(SECRETS["HMAC_SECRET"], BODY)).decode(), 202),
        (digest("another", BODY).hex(), 401),
        (digest("", BODY).hex(), 401),
        ("", 401),
    ],
)
async def test_a_plain_hmac_is_read_from_its_header_as_hex_or_base64(
    client: aiohttp.ClientSession, signature: str, status: int
) -> None:
    assert (await send(client, "hmac", BODY, {"X-Signature": signature}))[0] == status


async def test_a_refused_webhook_says_nothing_of_the_secret(client: aiohttp.ClientSession) -> None:
    for sensor in ("standard", "github", "bearer", "hmac"):
        async with client.post(f"/hooks/sales/{sensor}", data=BODY) as response:
            text = await response.text() + str(response.headers)
        assert response.status == 401 and response.headers["WWW-Authenticate"]
        assert not any(secret in text for secret in SECRETS.values())


async def test_the_event_keeps_the_headers_but_those_with_secrets(
    client: aiohttp.ClientSession, service: Running
) -> None:
    headers = {"X-Vendor": "acme", "Cookie": "session=canary"}
    await send(client, "bearer", BODY, {**headers, "Authorization": f"Bearer {SECRETS['BEARER_SECRET']}"})
    signature = digest(SECRETS["HMAC_SECRET"], BODY).hex()
    await send(client, "hmac", BODY, {**headers, "X-Signature": signature})
    await send(client, "github", BODY, {**headers, **github()})
    await send(client, "standard", BODY, {**headers, **signed()})
    found = [row.event for row in events(service)]
    assert len(found) == 4
    for event in found:
        assert event.extensions["headers"]["x-vendor"] == "acme"
        kept = json.dumps(event.extensions)
        for secret in (SECRETS["BEARER_SECRET"], signature, "canary", "sha256=", "v1,"):
            assert secret not in kept
    assert found[0].data == json.loads(BODY)


async def test_a_header_that_is_no_utf8_does_no_harm(service: Running) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    request = (
        b"POST /hooks/sales/open HTTP/1.1\r\nHost: localhost\r\nX-Odd: \xff\xfe\r\nIdempotency-Key: \xfc\r\n"
    )
    writer.write(request + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 202")
    assert events(service)[0].event.extensions["headers"]["x-odd"] == "\ufffd\ufffd"


async def test_the_same_bytes_without_an_id_are_one_event(
    client: aiohttp.ClientSession, service: Running
) -> None:
    states = [
        (await send(client, "open", body, {}))[1]["events"][0]["state"]
        for body in (b'{"n": 1}', b'{"n": 1}', b'{"n": 2}')
    ]
    assert states == ["accepted", "duplicate", "accepted"]
    status, answer = await send(client, "open", b'{"n": 1}', {"Idempotency-Key": "k1"})
    assert (status, answer["events"][0]["id"], answer["events"][0]["state"]) == (202, "k1", "accepted")


async def test_a_shared_webhook_is_posted_to_by_its_name_alone(client: aiohttp.ClientSession) -> None:
    async with client.post("/hooks/anybody", data=b"[1]") as response:
        answer = await response.json()
    assert (response.status, answer["events"][0]["source"]) == (202, "/hooks/-/anybody")


@pytest.mark.parametrize(
    "path", ["/hooks/sales/nobody", "/hooks/nobody/open", "/hooks/nobody", "/hooks/sales/orders_posted"]
)
async def test_a_hook_that_no_webhook_sensor_has_is_404(
    client: aiohttp.ClientSession, service: Running, path: str
) -> None:
    async with client.post(path, data=b"{}") as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")
    assert events(service) == []


async def test_a_webhook_whose_partition_cannot_be_read_is_kept_as_rejected(
    client: aiohttp.ClientSession,
) -> None:
    body = b'{"rows": 3}'
    status, answer = await send(client, "standard", body, signed(body=body))
    assert (status, answer["rejected"], answer["events"][0]["state"]) == (202, 1, "rejected")
    assert "data.day" in answer["events"][0]["reason"]


@pytest.mark.parametrize("body", [b"", b"a=b", b"{", b'{"a": Infinity}', b"[" * 65 + b"]" * 65])
async def test_a_body_that_is_no_json_is_400_and_not_stored(
    client: aiohttp.ClientSession, service: Running, body: bytes
) -> None:
    assert (await send(client, "open", body, {}))[0] == 400
    assert events(service) == []
