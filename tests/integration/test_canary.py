"""Secrets in every place where one may stand, and a look at everything that leaves the service or stays."""

import asyncio
import base64
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import aiohttp.web
import pytest

from sensorflow.web.app import all_routes
from tests.access import bearer, control, new_token
from tests.apart import Apart, apart
from tests.integration.receiver import receiving

pytestmark = pytest.mark.slow

DAY = "2026-03-08"
#: One for each place, so that a leak tells where it came from.
PLACES = ("HOOK", "HMAC", "STANDARD", "MQTT", "HTTP", "HEADER", "ALERT", "TASK", "CALL", "CALL_HEADER")
CANARIES = {f"CANARY_{place}": f"canary{place.replace('_', '').lower()}0123456789" for place in PLACES}
CANARIES["CANARY_STANDARD"] = "whsec_" + base64.b64encode(b"canarystandard0123456789").decode()

SECRETIVE = """\
name: secretive
start: 2026-01-01
sensors:
  hook:
    type: webhook
    auth: {scheme: bearer, secret: "${CANARY_HOOK}"}
    dataset: told
    partition: data.day
  signed:
    type: webhook
    auth: {scheme: hmac-sha256, header: X-Sig, secret: "${CANARY_HMAC}"}
    dataset: signed
    partition: data.day
  standard:
    type: webhook
    auth: {scheme: standard-webhooks, secret: "${CANARY_STANDARD}"}
    dataset: standard
    partition: data.day
  broker:
    type: mqtt
    url: "mqtt://me:${CANARY_MQTT}@127.0.0.1:1"
    topic: t
    dataset: observed
    partition: data.day
  poll:
    type: http
    url: "http://127.0.0.1:1/{partition}?key=${CANARY_HTTP}"
    headers: {X-Key: "${CANARY_HEADER}"}
    dataset: polled
tasks:
  show:
    inputs: [told]
    env: {SHOWN: "${CANARY_TASK}"}
    run: 'echo "it is $SHOWN"; echo "$SHOWN" >&2; exit 1'
  fall:
    inputs: [told]
    env: {SHOWN: "${CANARY_TASK}"}
    python: jobs:fall
  call:
    inputs: [told]
    http:
      url: "http://me:${CANARY_CALL}@127.0.0.1:1/${CANARY_CALL}?key=${CANARY_CALL}"
      headers: {Authorization: "Bearer ${CANARY_CALL_HEADER}"}
  wait: {inputs: [signed, standard, observed, polled], run: ["true"]}
"""
#: What is wrong with a secret in it, and what stood there.
MISTAKES = {
    'url: "nonsense://${CANARY_MQTT}"': 'url: "mqtt://me:${CANARY_MQTT}@127.0.0.1:1"',
    "scheme: ${CANARY_HOOK}": "scheme: bearer",
    "url: ${CANARY_CALL}": 'url: "http://me:${CANARY_CALL}@127.0.0.1:1/${CANARY_CALL}?key=${CANARY_CALL}"',
}
JOBS = """\
import os

def fall(context):
    raise ValueError(f"it fell over {os.environ['SHOWN']}")
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, canary in CANARIES.items():
        monkeypatch.setenv(name, canary)
    folder = tmp_path / "home"
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pipelines" / "secretive.yaml").write_text(SECRETIVE)
    (folder / "jobs.py").write_text(JOBS)
    return folder


def spellings(secret: str) -> Iterator[bytes]:
    """Yield what a secret may look like where somebody has packed it."""
    plain = secret.removeprefix("whsec_").removeprefix("sf_")
    yield plain.encode()
    yield quote(plain).encode()
    yield base64.b64encode(plain.encode()).rstrip(b"=")[:-2]
    yield plain.encode().hex().encode()


def leaks(found: dict[str, bytes], secrets: dict[str, str]) -> list[str]:
    return [
        f"{name} in {where}"
        for where, content in found.items()
        for name, secret in secrets.items()
        if any(spelling in content for spelling in spellings(secret))
    ]


async def cli(home: Path, *arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sensorflow", "--home", str(home), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return out


async def everything_answered(client: aiohttp.ClientSession, run: str, admin: str) -> dict[str, bytes]:
    """Ask every route that reads, of what there is and of what there is not, and keep what is answered."""
    found = {}
    named = {"id": run, "name": "secretive", "seq": "1", "pipeline": "secretive", "task": "show"}
    for named["sensor"] in ("hook", "broker", "poll"):
        for route in all_routes():
            if route.method != "GET" or route.path.endswith(("/stream", "/docs/{file}")):
                continue
            path = re.sub(r"{(\w+)}", lambda name: named.get(name[1], "-"), route.path)
            async with client.get(path, headers=bearer(admin)) as response:
                found[f"GET {path}"] = await response.read() + str(response.headers).encode()
    for task in ("show", "fall", "call"):
        path = f"/api/v1/runs/{run}/tasks/{task}/log?follow=1"
        async with client.get(path, headers=bearer(admin)) as response:
            found[path] = await response.read()
    return found


async def wrong_answers(client: aiohttp.ClientSession, service: Apart, admin: str) -> dict[str, bytes]:
    """Put secrets where they do not belong, and keep what is answered to that."""
    found = {}
    hook = CANARIES["CANARY_HOOK"]
    for path, headers, body in (
        ("/hooks/secretive/hook", {"Authorization": f"Basic {hook}"}, b"{}"),
        ("/hooks/secretive/hook", {"Authorization": f"Bearer {hook}"}, b"{"),
        ("/hooks/secretive/signed", {"X-Sig": "0" * 64}, b"{}"),
        ("/hooks/secretive/standard", {"webhook-id": "1"}, b"{}"),
        ("/api/v1/ready", {"Authorization": f"Bearer {admin}x"}, b"{}"),
        ("/api/v1/runs", {"Authorization": f"Bearer {admin}"}, b"{"),
    ):
        async with client.post(path, data=body, headers=headers) as response:
            found[f"POST {path} {body!r}"] = await response.read() + str(response.headers).encode()
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {admin}\0\r\n\r\n".encode())
    found["a header with a zero"] = await reader.read()
    writer.close()
    return found


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_no_secret_leaks_from_any_place(home: Path, log_format: str) -> None:
    async def thanks(request: Any) -> Any:
        return aiohttp.web.Response()

    async with receiving(thanks) as receiver:
        (home / "sensorflow.toml").write_text(
            f'[[alerts]]\ntype = "webhook"\nurl = "{receiver.url}/${{CANARY_ALERT}}"\n'
            '[[alerts]]\ntype = "log"\n'
        )
        async with apart(home, log_level="debug", log_format=log_format) as service:
            admin = await new_token(home, "admin")
            secrets = {**CANARIES, "the token": admin}
            async with aiohttp.ClientSession(service.url) as client:
                headers = {"Authorization": f"Bearer {CANARIES['CANARY_HOOK']}"}
                body = {"day": DAY, "rows": 3}
                async with client.post("/hooks/secretive/hook", json=body, headers=headers) as response:
                    assert response.status == 202
                await service.line("failed", DAY)
                async with client.get("/api/v1/runs", headers=bearer(admin)) as response:
                    (run,) = (await response.json())["items"]
                found = await everything_answered(client, run["id"], admin)
                found |= await wrong_answers(client, service, admin)
            await service.line("poll")
            await service.line("broker")
            found["POST /reload"] = json.dumps(await control(home, "POST", "/api/v1/reload")).encode()
        found["the log"] = service.log.encode()
        told = [request.target for request in receiver.requests]
        assert told and all("canaryalert" in target for target in told), "the alert was sent where it belongs"
        found["what is sent with an alert"] = b"".join(request.body for request in receiver.requests)
    assert b"it is ***" in found[f"/api/v1/runs/{run['id']}/tasks/show/log?follow=1"]
    for file in home.rglob("*"):
        if file.is_file():
            found[str(file.relative_to(home))] = file.read_bytes()
    assert any(name.endswith("state.db") for name in found)
    assert leaks(found, secrets) == []


async def test_no_secret_is_shown_by_the_verbs_that_work_on_the_home(home: Path) -> None:
    (home / "sensorflow.toml").write_text('[[alerts]]\ntype = "webhook"\nurl = "http://h/${CANARY_ALERT}"\n')
    calls = [
        *(("validate",), ("doctor",), ("graph", "secretive"), ("graph", "secretive", "--format", "dot")),
    ]
    found = {" ".join(call): await cli(home, *call) for call in calls}
    pipeline = home / "pipelines" / "secretive.yaml"
    for wrong, right in MISTAKES.items():
        text = SECRETIVE.replace(right, wrong)
        assert text != SECRETIVE
        pipeline.write_text(text)
        found[wrong] = await cli(home, "validate")
        assert b"secretive.yaml:" in found[wrong], found[wrong]
    pipeline.write_text(SECRETIVE)
    (home / "sensorflow.toml").write_text('[[alerts]]\ntype = "webhook"\nurl = "${CANARY_ALERT}"\n')
    found["settings"] = await cli(home, "serve", "--port", "0")
    assert b"sensorflow.toml" in found["settings"]
    assert leaks(found, CANARIES) == []
