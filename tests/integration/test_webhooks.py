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
from sensorflow.config.kinds import WebhookAuth
from sensorflow.web.signatures import SignatureError, verify
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


async def test_of_several_headers_that_name_a_delivery_the_standard_one_counts(
    client: aiohttp.ClientSession,
) -> None:
    named = {"Idempotency-Key": "k1", "X-GitHub-Delivery": "g1", "webhook-id": "w1"}
    for expected in ("w1", "g1", "k1"):
        _, answer = await send(client, "open", BODY, named)
        assert answer["events"][0]["id"] == expected
        named.popitem()


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


# Published vectors, and every byte


def test_standard_webhooks_are_believed_by_the_vector_that_the_specification_publishes() -> None:
    """The secret, message and signature of the reference libraries' own tests."""
    auth = WebhookAuth.model_validate(
        {"scheme": "standard-webhooks", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    )
    body = b'{"test": 2432232314}'
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    verify(auth, headers, body, now=1614265330.0)
    for later in (-301, 301):
        with pytest.raises(SignatureError, match="300 s"):
            verify(auth, headers, body, now=1614265330.0 + later)
    with pytest.raises(SignatureError):
        verify(auth, {**headers, "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJeK"}, body, now=1614265330.0)


@pytest.mark.parametrize(
    ("key", "body", "digest"),
    [
        (
            "Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            "\x0b" * 20,
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
    ],
)
def test_a_plain_hmac_is_believed_by_the_vectors_of_rfc_4231(key: str, body: bytes, digest: str) -> None:
    auth = WebhookAuth.model_validate({"scheme": "hmac-sha256", "header": "X-Sig", "secret": ["other", key]})
    for spelling in (digest, f"sha256={digest}", base64.b64encode(bytes.fromhex(digest)).decode()):
        verify(auth, {"X-Sig": spelling}, body, now=0.0)
    for place in range(len(body)):
        changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        with pytest.raises(SignatureError):
            verify(auth, {"X-Sig": digest}, changed, now=0.0)


@pytest.mark.parametrize("scheme", ["standard-webhooks", "github", "hmac-sha256", "bearer"])
def test_secrets_are_compared_in_constant_time_and_all_of_them(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which secret fits, and how far a wrong one fits, is not told by the time it takes."""
    compared: list[tuple[Any, Any]] = []
    compare = hmac.compare_digest

    def watched(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr("sensorflow.web.signatures.hmac.compare_digest", watched)
    header = {"header": "X-Sig"} if scheme == "hmac-sha256" else {}
    secrets = ["c2VjcmV0LW9uZS1vbmU=", "c2VjcmV0LXR3by10d28=", "c2VjcmV0LXRocmVlLTM="]
    auth = WebhookAuth.model_validate({"scheme": scheme, "secret": secrets, **header})
    right = {
        "github": {"X-Hub-Signature-256": f"sha256={digest(secrets[0], BODY).hex()}"},
        "hmac-sha256": {"X-Sig": digest(secrets[0], BODY).hex()},
        "bearer": {"Authorization": f"Bearer {secrets[0]}"},
        "standard-webhooks": {
            "webhook-id": "m",
            "webhook-timestamp": "1000",
            "webhook-signature": Webhook(secrets[0]).sign(
                "m", datetime.fromtimestamp(1000, UTC), BODY.decode()
            ),
        },
    }[scheme]
    verify(auth, right, BODY, now=1000.0)
    spellings = 2 if scheme == "hmac-sha256" else 1
    assert len(compared) == len(secrets) * spellings


async def test_every_byte_of_a_plain_hmac_and_of_a_bearer_counts(
    client: aiohttp.ClientSession, service: Running
) -> None:
    signature = digest(SECRETS["HMAC_SECRET"], BODY).hex()
    for place in range(len(BODY)):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert (await send(client, "hmac", changed, {"X-Signature": signature}))[0] == 401
    for place, char in enumerate(signature):
        other = signature[:place] + ("1" if char != "1" else "2") + signature[place + 1 :]
        assert (await send(client, "hmac", BODY, {"X-Signature": other}))[0] == 401
    secret = SECRETS["BEARER_SECRET"]
    for place, char in enumerate(secret):
        other = secret[:place] + ("x" if char != "x" else "y") + secret[place + 1 :]
        assert (await send(client, "bearer", BODY, {"Authorization": f"Bearer {other}"}))[0] == 401
    assert events(service) == []


async def test_bytes_are_believed_not_what_they_mean(client: aiohttp.ClientSession, service: Running) -> None:
    """The same JSON with other spaces is another message."""
    spaced = BODY.replace(b": ", b" : ")
    assert json.loads(spaced) == json.loads(BODY)
    assert (await send(client, "github", spaced, github()))[0] == 401
    assert events(service) == []


@pytest.mark.parametrize("sensor", ["standard", "github", "bearer", "hmac"])
async def test_a_message_that_is_replayed_a_thousand_times_is_one_event(
    client: aiohttp.ClientSession, service: Running, sensor: str
) -> None:
    headers = {
        "standard": signed(),
        "github": {**github(), "X-GitHub-Delivery": "72d3162e"},
        "bearer": {"Authorization": f"Bearer {SECRETS['BEARER_SECRET']}"},
        "hmac": {"X-Signature": digest(SECRETS["HMAC_SECRET"], BODY).hex()},
    }[sensor]
    for _ in range(20):
        told = await asyncio.gather(*(send(client, sensor, BODY, headers) for _ in range(50)))
        assert {status for status, _ in told} == {202}
    assert len(events(service)) == 1
    row = service.store.reader.sensor("sales", sensor)
    assert row is not None and (row.accepted, row.duplicates) == (1, 999)
