"""What a browser that is led to any answer of the service may make of it: a content security policy."""

import asyncio
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sensorflow.app import Running
from sensorflow.web.app import all_routes
from tests.operating import failed_run, make_operators_home
from tests.serving import SECRETS, client_of, serving

PAGES = {"/", "/page/{version}/{file:.+}", "/docs", "/docs/{file}"}
STRICT = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
UNSAFE = re.compile(r"unsafe|https?:|\*")


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)


async def test_every_answer_has_a_policy_and_only_pages_may_run_scripts_their_own(tmp_path: Path) -> None:
    async with serving(make_operators_home(tmp_path)) as service, client_of(service) as client:
        run = await failed_run(client, service)
        for route in all_routes():
            path = re.sub(
                r"\{(\w+)[^}]*\}", lambda name: {"id": run, "task": "check"}.get(name[1], "x"), route.path
            )
            if route.path == "/page/{version}/{file:.+}":
                path = "/page/today/app.js"
            async with client.request(route.method, path) as response:
                policy = response.headers["Content-Security-Policy"]
                assert response.headers["X-Content-Type-Options"] == "nosniff", path
                if route.path in PAGES and response.status == 200:
                    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';"), path
                    assert not UNSAFE.search(policy), path
                else:
                    assert policy == STRICT, path


async def test_what_is_refused_before_a_route_is_asked_has_a_policy_too(tmp_path: Path) -> None:
    async with serving(make_operators_home(tmp_path)) as service, client_of(service) as client:
        async with client.get("/", headers={"Host": "elsewhere.example"}) as response:
            assert (response.status, response.headers["Content-Security-Policy"]) == (421, STRICT)
        async with client.get("/no/such/path") as response:
            assert (response.status, response.headers["Content-Security-Policy"]) == (404, STRICT)
        assert f"Content-Security-Policy: {STRICT}\r\n" in await sent(service, b"no request\r\n\r\n")


async def test_an_answer_to_one_connection_too_many_has_a_policy_too(tmp_path: Path) -> None:
    async with (
        serving(make_operators_home(tmp_path), connections=1) as service,
        client_of(service) as client,
        client.get("/api/v1/stream"),
    ):
        assert f"Content-Security-Policy: {STRICT}\r\n" in await sent(service, b"")


async def sent(service: Running, request: bytes) -> str:
    """Send bytes as a request and return all that is answered."""
    address = urlsplit(service.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer.decode()
