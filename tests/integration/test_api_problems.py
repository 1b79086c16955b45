"""Every error is a problem document, whoever finds it, and names the request as the log does."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from http.client import HTTPResponse
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import BaseModel, ValidationError

from sensorflow.app import Running
from sensorflow.web.app import all_routes
from sensorflow.web.problems import places
from tests.operating import make_operators_home
from tests.serving import SECRETS, client_of, serving

PROBLEM = "application/problem+json"


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    async with serving(make_operators_home(tmp_path / "home"), body_limit=20_000) as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


async def asked(client: aiohttp.ClientSession, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
    method = more.pop("method", "GET")
    async with client.request(method, path, **more) as response:
        assert response.content_type == PROBLEM
        document = await response.json(content_type=None)
        assert document["request_id"] == response.headers["X-Request-Id"]
        assert (document["status"], document["type"]) == (response.status, "about:blank")
        return response.status, document


class Received:
    """The bytes of an answer as the standard library's client wants them."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, *_: object) -> BytesIO:
        return BytesIO(self._received)


async def sent(service: Running, request: bytes) -> HTTPResponse:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
    writer.write(request)
    async with asyncio.timeout(20):
        received = await reader.read()
    writer.close()
    response = HTTPResponse(Received(received))  # type: ignore[arg-type]
    response.begin()
    return response


@pytest.mark.parametrize(
    "request_",
    [
        b"no http at all\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nBroken\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"POST /api/v1/ready HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nce-id: \x01\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_what_is_no_request_is_answered_with_a_problem(service: Running, request_: bytes) -> None:
    response = await sent(service, request_)
    document = json.loads(response.read())
    assert (response.status, response.getheader("Content-Type")) == (400, PROBLEM)
    assert document["request_id"] == response.getheader("X-Request-Id")
    assert document["detail"].startswith("expected a request of HTTP/1.1, found: ")


@pytest.mark.parametrize("path", ["/api/v1/ready", "/nothing"])
async def test_who_expects_what_nobody_knows_is_told_so(service: Running, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: magic\r\nContent-Length: 2\r\n\r\n"
    response = await sent(service, head.encode())
    document = json.loads(response.read())
    assert (response.status, response.getheader("Content-Type")) == (417, PROBLEM)
    assert document["request_id"] == response.getheader("X-Request-Id")
    assert document["detail"] == 'expected no Expect, or 100-continue, found "magic"'


@pytest.mark.parametrize(
    "packing", ["br", "zstd", "compress", "x-gzip", "gzip, gzip", "aes128gcm", "gzip ,br"]
)
async def test_a_body_that_is_packed_as_nobody_here_unpacks_is_415(service: Running, packing: str) -> None:
    head = b"POST /api/v1/ready HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Connection: close\r\n"
    response = await sent(
        service, head + f"Content-Encoding: {packing}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    )
    document = json.loads(response.read())
    assert (response.status, response.getheader("Content-Type")) == (415, PROBLEM)
    assert response.getheader("Accept-Encoding") == "gzip, deflate"
    assert "packed by gzip or deflate" in document["detail"]


async def test_a_body_that_is_not_packed_as_it_says_is_400_with_its_place(
    client: aiohttp.ClientSession,
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with client.post("/api/v1/ready", data=b"no gzip", headers=headers) as response:
        document = await response.json(content_type=PROBLEM)
    assert (response.status, len(document["errors"]), document["errors"][0]["where"]) == (400, 1, "")
    assert "\n" not in document["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("DELETE", "/api/v1/runs", 405),
        ("POST", "/healthz", 405),
        ("GET", "/docs/nothing.js", 404),
    ],
)
async def test_what_no_route_answers_is_a_problem_too(
    client: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    assert (await asked(client, path, method=method))[0] == status


async def test_what_answers_get_answers_head(client: aiohttp.ClientSession) -> None:
    for path in ("/healthz", "/api/v1/runs", "/api/v1/pipelines/sales", "/docs", "/openapi.json"):
        async with client.head(path) as response:
            assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize("given", ["abc-123", "0191b0c0-0000-7000-8000-000000000000", "a/b:c+d=e._"])
async def test_the_id_that_a_client_gives_its_request_comes_back(
    client: aiohttp.ClientSession, given: str
) -> None:
    for path in ("/healthz", "/api/v1/runs", "/nothing"):
        async with client.get(path, headers={"X-Request-Id": given}) as response:
            assert response.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "a b", "é", "x" * 200, '{"a": 1}'])
async def test_an_id_that_could_not_be_shown_is_replaced(client: aiohttp.ClientSession, given: str) -> None:
    async with client.get("/healthz", headers={"X-Request-Id": given}) as response:
        assert re.fullmatch(r"[0-9a-f-]{36}", response.headers["X-Request-Id"])


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("runs?limit=0", 'limit: expected a whole number from 1 to 500, found "0"'),
        ("runs?limit=banana", 'limit: expected a whole number from 1 to 500, found "banana"'),
        ("runs?cursor=banana", 'cursor: expected the `next` of an earlier page of this list, found "banana"'),
        (
            "runs?state=banana",
            'state: expected one of waiting, running, succeeded, failed, cancelled, found "banana"',
        ),
        ("runs?limit=1&limit=2", 'limit: expected one value, found "1, 2"'),
        ("runs/x/why?a=b", 'the query: expected no parameters, found "a"'),
        ("events?after=-1", 'after: expected a whole number from 0, found "-1"'),
        (
            "runs?pipeline=sales&partition=banana",
            'partition: expected a day such as 2013-01-01 or an ISO 8601 instant, found "banana"',
        ),
        (
            "pipelines/sales/why?partition=banana",
            'partition: expected a day such as 2013-01-01 or an ISO 8601 instant, found "banana"',
        ),
        (
            "pipelines/sales/why",
            "partition: expected a day such as 2013-01-01 or an ISO 8601 instant, found nothing",
        ),
    ],
)
async def test_a_parameter_of_no_use_is_told_in_words(
    client: aiohttp.ClientSession, query: str, detail: str
) -> None:
    status, document = await asked(client, f"/api/v1/{query}")
    assert (status, document["detail"]) == (400, detail)


async def test_a_partition_that_is_none_is_named_once(client: aiohttp.ClientSession) -> None:
    for path, body in (
        ("ready", {"dataset": "orders", "partition": "banana"}),
        ("runs", {"pipeline": "sales", "partition": "banana"}),
        ("backfills", {"pipeline": "sales", "from": "banana", "to": "banana"}),
        ("datasets/orders/withdraw", {"partition": "banana", "reason": "wrong"}),
    ):
        status, document = await asked(client, f"/api/v1/{path}", method="POST", json=body)
        assert (status, document["detail"].count("banana")) == (422, 1), document


@pytest.mark.parametrize(
    ("path", "body", "status", "wrong"),
    [
        ("ready", b'{"dataset": ', 400, ("", "a JSON document")),
        ("ready", b'{"dataset": "orders", "partition": "banana"}', 422, ("/partition", "a day such as")),
        ("ready", b'{"dataset": "orders"}', 422, ("/partition", "a partition: orders is daily")),
        ("datasets/orders/withdraw", b'{"reason": "x"}', 422, ("/partition", "a partition: orders is daily")),
        ("runs", b'{"pipeline": "sales"}', 422, ("/partition", "a day such as")),
    ],
)
async def test_what_is_wrong_in_a_body_is_told_by_its_place(
    client: aiohttp.ClientSession, path: str, body: bytes, status: int, wrong: tuple[str, str]
) -> None:
    headers = {"Content-Type": "application/json"}
    found, document = await asked(client, f"/api/v1/{path}", method="POST", data=body, headers=headers)
    (place,) = document["errors"]
    assert (found, place["where"]) == (status, wrong[0])
    assert place["expected"].startswith(wrong[1]), place


async def test_a_batch_that_is_none_is_told_in_the_words_of_json(client: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    status, document = await asked(client, "/api/v1/events", method="POST", data=b"{}", headers=headers)
    assert (status, document["detail"]) == (400, "expected a JSON array of CloudEvents, found {}")


async def test_rejected_events_are_found_by_the_dataset_that_they_were_for(
    client: aiohttp.ClientSession,
) -> None:
    async def event(event_id: str, kind: str, day: str) -> None:
        body = {"specversion": "1.0", "id": event_id, "source": "/erp", "type": kind}
        body["data"] = {"day": day, "region": "eu"}  # type: ignore[assignment]
        headers = {"Content-Type": "application/cloudevents+json"}
        async with client.post("/api/v1/events", data=json.dumps(body), headers=headers) as response:
            assert response.status == 202

    async def ids(query: str) -> list[str]:
        async with client.get(f"/api/v1/events?{query}") as response:
            return [item["id"] for item in (await response.json())["items"]]

    await event("1", "orders.exported", "2026-03-08")
    await event("2", "orders.exported", "no day")
    await event("3", "something.else", "no day")
    await event("4", "orders.exported", "2026-03-09")
    await event("5", "orders.exported", "banana")
    assert await ids("dataset=orders&state=rejected") == ["2", "5"]
    assert await ids("dataset=orders") == ["1", "2", "4", "5"]
    assert await ids("dataset=orders&order=newest&limit=3") == ["5", "4", "2"]
    assert await ids("dataset=orders&state=accepted") == ["1", "4"]
    assert await ids("dataset=pushed&state=rejected") == []


def sent_models() -> Iterator[type[BaseModel]]:
    for route in all_routes():
        yield from (model for model in (route.body, route.query) if model is not None)


#: Values of every kind that JSON has, each of them wrong somewhere.
ODD: list[Any] = [None, True, 0, -1, 10**30, 1.5, "", "x", "x" * 20_000, "\x00", [], [1], {}, {"x": 1}]


@pytest.mark.parametrize("model", sorted(set(sent_models()), key=lambda model: model.__name__))
def test_no_error_is_in_the_words_of_a_library(model: type[BaseModel]) -> None:
    names = [found.alias or name for name, found in model.model_fields.items()]
    bodies: list[Any] = [*ODD, {"misspelled": 1}, *({name: odd} for name in names for odd in ODD)]
    for body in bodies:
        try:
            model.model_validate(body)
        except ValidationError as error:
            for place in places(error):
                assert not re.search(
                    r"[Ii]nput should|[Vv]alid |should have|should be|[Ff]ield required|Extra inputs",
                    place.expected,
                ), (body, place)
