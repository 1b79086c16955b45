"""The API's document and what the service does come from one place, so they cannot differ."""

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openapi_spec_validator import validate

from sensorflow.app import Running
from sensorflow.web.app import all_routes
from sensorflow.web.notices import NOTICES
from sensorflow.web.openapi import Document, problems_of
from sensorflow.web.routes import NoQuery
from tests.operating import make_operators_home
from tests.serving import SECRETS, client_of, serving

DOCUMENT: dict[str, Any] = json.loads(Document(all_routes()).text)
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
ROUTES = {f"{route.method} {route.path}": route for route in all_routes() if route.documented}


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    async with serving(make_operators_home(tmp_path / "home")) as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


def test_it_is_a_document_of_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    validate(DOCUMENT)


def test_every_route_stands_in_it_and_no_other() -> None:
    assert set(OPERATIONS) == set(ROUTES)


def test_no_two_operations_have_one_name() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_an_operation_tells_what_its_route_takes_and_answers(name: str) -> None:
    route, operation = ROUTES[name], OPERATIONS[name]
    told = {each["name"]: each for each in operation["parameters"]}
    taken = set(re.findall(r"\{(\w+)\}", route.path)) | set(route.headers)
    if route.query not in (None, NoQuery):
        assert route.query is not None
        taken |= set(route.query.model_fields)
    assert set(told) == taken
    assert all(each["description"] for each in told.values() if each["in"] == "path")
    assert ("requestBody" in operation) == (route.body is not None or bool(route.accepts))
    assert set(operation["responses"]) == {str(int(each)) for each in (*route.answers, *problems_of(route))}
    assert operation["summary"].endswith(".")
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert (operation["security"] == []) == (route.scope is None)


def test_every_schema_is_used_and_has_a_name_of_its_own() -> None:
    text = json.dumps(DOCUMENT)
    for name in DOCUMENT["components"]["schemas"]:
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name), name
        assert f'"#/components/schemas/{name}"' in text, name


def test_what_the_stream_sends_stands_in_it() -> None:
    answered = OPERATIONS["GET /api/v1/stream"]["responses"]["200"]["content"]["text/event-stream"]
    told = {each["properties"]["event"]["const"] for each in answered["schema"]["oneOf"]}
    assert told == set(NOTICES)


def test_keys_that_may_be_absent_are_never_told_to_be_null() -> None:
    run = DOCUMENT["components"]["schemas"]["Run"]
    assert run["properties"]["partition"] == {
        "description": "Absent for pipelines without partitions.",
        "type": "string",
    }
    assert "partition" not in run["required"]


async def test_the_service_and_the_command_line_tell_the_same(client: aiohttp.ClientSession) -> None:
    async with client.get("/openapi.json") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        assert await response.json() == DOCUMENT
    command = [sys.executable, "-m", "sensorflow", "openapi"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == DOCUMENT


async def test_the_page_of_the_document_asks_no_other_host(client: aiohttp.ClientSession) -> None:
    async with client.get("/docs") as response:
        page = await response.text()
        policy = response.headers["Content-Security-Policy"]
    assert (response.status, response.content_type) == (200, "text/html")
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert not re.search(r"https?:|<script>|style=|\son\w+=", page)
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) > 3
    for link in links:
        if not link.startswith("data:"):
            async with client.get(f"/{link}") as response:
                assert response.status == 200
                assert not link.startswith("docs/") or response.headers["X-Content-Type-Options"] == "nosniff"
    async with client.get("/docs/start.js") as response:
        script = await response.text()
    assert "validatorUrl: null" in script and 'url: "openapi.json"' in script
