"""The doors for events from outside: what is taken, what is refused, and that 2xx means stored."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from sensorflow.app import Running
from sensorflow.ports import StoreError
from tests.serving import SECRETS, client_of, make_home, serving, until

STRUCTURED = {"Content-Type": "application/cloudevents+json"}
LINES = {"Content-Type": "application/x-ndjson"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
DAY = "2026-03-08"


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    async with serving(make_home(tmp_path / "home"), body_limit=20_000, batch_limit=200_000) as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


def order(event_id: str, day: str = DAY, region: str = "eu", **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/erp",
        "type": "orders.exported",
        "data": {"day": day, "region": region},
        **changes,
    }


async def post(client: aiohttp.ClientSession, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    async with client.post(path, json=body, headers=headers or None) as response:
        return response.status, await response.json(content_type=None)


async def get(client: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
    async with client.get(path) as response:
        return response.status, await response.json(content_type=None)


def event_count(service: Running) -> int:
    return len(service.store.listing.events(after=0, dataset=None, state=None, limit=500))


async def test_ready_answers_202_with_what_it_made(client: aiohttp.ClientSession) -> None:
    body = {"dataset": "orders", "partition": DAY, "part": "eu", "id": "one", "data": {"rows": 3}}
    status, answer = await post(client, "/api/v1/ready", body)
    assert status == 202
    assert answer == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": 0,
        "invalid": 0,
        "events": [
            {
                "seq": 1,
                "id": "one",
                "source": "/ready/orders",
                "state": "accepted",
                "arrivals": [{"dataset": "orders", "partition": DAY, "part": "eu", "version": 1}],
                "reason": None,
            }
        ],
    }


async def test_ready_with_the_same_id_again_is_a_duplicate_of_the_first(
    client: aiohttp.ClientSession,
) -> None:
    body = {"dataset": "orders", "partition": DAY, "id": "one"}
    await post(client, "/api/v1/ready", body)
    status, answer = await post(client, "/api/v1/ready", body)
    assert (status, answer["accepted"], answer["duplicates"]) == (202, 0, 1)
    assert answer["events"][0]["seq"] == 1
    assert answer["events"][0]["state"] == "duplicate"


async def test_ready_without_an_id_is_a_new_event_each_time(client: aiohttp.ClientSession) -> None:
    for version in (1, 2):
        _, answer = await post(client, "/api/v1/ready", {"dataset": "orders", "partition": DAY})
        assert answer["events"][0]["arrivals"][0]["version"] == version


async def test_ready_makes_an_event_of_the_dataset_with_what_the_body_says(
    client: aiohttp.ClientSession,
) -> None:
    body = {"dataset": "orders", "partition": DAY, "time": "2026-03-09T01:00:00Z", "data": {"rows": 3}}
    await post(client, "/api/v1/ready", body)
    await post(client, "/api/v1/ready", {**body, "source": "/erp", "id": "one"})
    (_, given), (_, own) = [await get(client, f"/api/v1/events/{seq}") for seq in (1, 2)]
    assert (given["source"], UUID(given["id"]).version) == ("/ready/orders", 7)
    assert (own["source"], own["id"]) == ("/erp", "one")
    for event in (given, own):
        assert (event["subject"], event["time"], event["data"]) == ("orders", body["time"], {"rows": 3})


async def test_ready_of_a_dataset_without_partitions_has_no_partition_in_its_answer(
    client: aiohttp.ClientSession,
) -> None:
    _, answer = await post(client, "/api/v1/ready", {"dataset": "pushed"})
    assert answer["events"][0]["arrivals"] == [{"dataset": "pushed", "part": None, "version": 1}]


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({"dataset": "nobody", "partition": DAY}, 404, None),
        ({"dataset": "orders"}, 422, None),
        ({"dataset": "orders", "partition": "yesterday"}, 422, None),
        ({"dataset": "orders", "partition": "2026-02-30"}, 422, None),
        ({"dataset": "orders", "partition": DAY, "part": "asia"}, 422, None),
        ({"dataset": "pushed", "partition": DAY}, 422, None),
        ({"partition": DAY}, 422, "/dataset"),
        ({"dataset": "orders", "partition": 20260308}, 422, "/partition"),
        ({"dataset": "orders", "partition": DAY, "colour": "red"}, 422, "/colour"),
        ({"dataset": "orders", "partition": DAY, "time": "noon"}, 422, "/time"),
        ({"dataset": "orders", "partition": DAY, "id": ""}, 422, "/id"),
        ({"dataset": "orders", "partition": DAY, "id": "a\u0000b"}, 422, "/id"),
        ([1, 2], 422, ""),
    ],
)
async def test_a_wrong_readiness_is_refused_with_its_place_and_nothing_is_stored(
    client: aiohttp.ClientSession, service: Running, body: Any, status: int, where: str | None
) -> None:
    found, problem = await post(client, "/api/v1/ready", body)
    assert (found, problem["status"]) == (status, status)
    assert problem["type"] and problem["title"] and problem["detail"]
    if where is not None:
        assert [error["where"] for error in problem["errors"]] == [where]
        assert all(error["expected"] and error["found"] for error in problem["errors"])
    assert event_count(service) == 0


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"dataset=orders", b'{"dataset": NaN}', b'{"data": 1e999}', b'"\xff"', b'"\\ud800"'),
        *(b'{"data": ' + b"[" * 64 + b"]" * 64 + b"}", b"[" * 5000),
    ],
)
async def test_what_is_no_json_or_nested_too_deep_is_400(client: aiohttp.ClientSession, body: bytes) -> None:
    async with client.post(
        "/api/v1/ready", data=body, headers={"Content-Type": "application/json"}
    ) as response:
        assert response.status == 400
        assert response.content_type == "application/problem+json"


async def test_json_of_just_the_allowed_depth_is_taken(client: aiohttp.ClientSession) -> None:
    data: Any = "core"
    for _ in range(63):
        data = [data]
    status, _ = await post(client, "/api/v1/ready", {"dataset": "orders", "partition": DAY, "data": data})
    assert status == 202


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_another_content_type_is_415(client: aiohttp.ClientSession, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    for path in ("/api/v1/ready", "/api/v1/events"):
        async with client.post(
            path, data=b"{}", headers=headers, skip_auto_headers=["Content-Type"]
        ) as response:
            assert response.status == 415
            assert response.content_type == "application/problem+json"


async def test_a_body_over_the_limit_is_413_before_it_is_parsed(client: aiohttp.ClientSession) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"[" * 1000

    json_type = {"Content-Type": "application/json"}
    async with client.post("/api/v1/ready", data=b"[" * 20_001, headers=json_type) as response:
        assert response.status == 413
    async with client.post("/api/v1/ready", data=endless(), headers=json_type) as response:
        assert response.status == 413
    async with client.post("/hooks/sales/open", data=b"[" * 20_001) as response:
        assert response.status == 413
    async with client.post("/api/v1/events", data=b"\n" * 200_001, headers=LINES) as response:
        assert (response.status, response.content_type) == (413, "application/problem+json")


async def test_a_body_that_unpacks_to_more_than_the_limit_is_413(client: aiohttp.ClientSession) -> None:
    packed = zlib.compress(b" " * 10_000_000)
    assert len(packed) < 20_000
    headers = {"Content-Type": "application/json", "Content-Encoding": "deflate"}
    async with client.post("/api/v1/ready", data=packed, headers=headers) as response:
        assert response.status == 413


def sdk_event(**attributes: Any) -> CloudEvent:
    given = {
        "id": "sdk-1",
        "source": "/erp",
        "type": "orders.exported",
        "specversion": "1.0",
        "time": datetime(2026, 3, 8, 5, tzinfo=UTC),
        "datacontenttype": "application/json",
        "subject": "orders",
        "region": "eu",
    }
    return CloudEvent(attributes={**given, **attributes}, data={"day": DAY, "region": "eu"})


@pytest.mark.parametrize("make", [to_structured_event, to_binary_event])
async def test_an_event_of_the_cloudevents_sdk_is_read_as_the_sdk_wrote_it(
    client: aiohttp.ClientSession, make: Any
) -> None:
    message = make(sdk_event())
    async with client.post("/api/v1/events", data=message.body, headers=message.headers) as response:
        assert response.status == 202
        answer = await response.json()
    assert answer["events"][0]["arrivals"] == [
        {"dataset": "orders", "partition": DAY, "part": "eu", "version": 1}
    ]
    _, stored = await get(client, "/api/v1/events/1")
    assert (stored["id"], stored["source"], stored["type"]) == ("sdk-1", "/erp", "orders.exported")
    assert (stored["subject"], stored["data"]) == ("orders", {"day": DAY, "region": "eu"})
    assert datetime.fromisoformat(stored["time"]) == datetime(2026, 3, 8, 5, tzinfo=UTC)
    assert stored["extensions"]["region"] == "eu"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"specversion": None}, "/specversion"),
        ({"id": None}, "/id"),
        ({"id": ""}, "/id"),
        ({"id": 7}, "/id"),
        ({"source": None}, "/source"),
        ({"type": ""}, "/type"),
        ({"type": "a\nb"}, "/type"),
        ({"time": "yesterday"}, "/time"),
        ({"time": "2026-03-08T05:00:00"}, "/time"),
        ({"Region": "eu"}, "/Region"),
        ({"zone": ["eu"]}, "/zone"),
        ({"data": None, "data_base64": "not base64!"}, "/data_base64"),
        ({"data_base64": "e30="}, "/data_base64"),
    ],
)
async def test_what_is_no_cloudevent_is_400_with_its_place_and_not_stored(
    client: aiohttp.ClientSession, service: Running, changes: dict[str, Any], where: str
) -> None:
    body = json.dumps(order("x", **changes)).encode()
    async with client.post("/api/v1/events", data=body, headers=STRUCTURED) as response:
        problem = await response.json(content_type=None)
    assert (response.status, [error["where"] for error in problem["errors"]]) == (400, [where])
    assert event_count(service) == 0


@pytest.mark.parametrize(
    "time", ["2026-03-08t05:00:00z", "2016-12-31T23:59:60Z", "2026-03-08T05:00:00.123456789+05:30"]
)
async def test_times_may_be_written_in_every_way_of_rfc_3339(
    client: aiohttp.ClientSession, time: str
) -> None:
    body = json.dumps(order("x", time=time)).encode()
    async with client.post("/api/v1/events", data=body, headers=STRUCTURED) as response:
        assert response.status == 202
    assert (await post(client, "/api/v1/ready", {"dataset": "orders", "partition": DAY, "time": time}))[
        0
    ] == 202


async def test_base64_data_of_json_is_read_as_json(client: aiohttp.ClientSession) -> None:
    event = order("packed", data_base64="eyJkYXkiOiAiMjAyNi0wMy0wOCIsICJyZWdpb24iOiAiZXUifQ==")
    del event["data"]
    _, answer = await post(client, "/api/v1/events", event, **STRUCTURED)
    assert answer["events"][0]["arrivals"][0]["partition"] == DAY


@pytest.mark.parametrize("source", ["/hooks/sales/open", "/pipelines/sales", "/file/sales/orders"])
async def test_nobody_posts_under_a_source_that_the_service_gives_by_itself(
    client: aiohttp.ClientSession, service: Running, source: str
) -> None:
    event = order("1", source=source)
    status, problem = await post(client, "/api/v1/events", event, **STRUCTURED)
    assert (status, [error["where"] for error in problem["errors"]]) == (400, ["/source"])
    status, answer = await post(client, "/api/v1/events", [event, order("2")], **BATCH)
    assert (status, [each["state"] for each in answer["events"]]) == (202, ["invalid", "accepted"])
    body = {"dataset": "orders", "partition": DAY, "source": source}
    assert (await post(client, "/api/v1/ready", body))[0] == 422
    namespace, _, name = source.rpartition("/")
    run = {
        "eventType": "COMPLETE",
        "eventTime": "2026-03-08T01:00:00Z",
        "run": {"runId": "3f5e83fa-3480-44ff-99c5-ff943904e5e8"},
        "job": {"namespace": namespace, "name": name},
        "producer": "https://example.com/",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json",
    }
    assert (await post(client, "/api/v1/lineage", run))[0] == 422
    assert event_count(service) == 1


async def test_an_event_that_no_rule_takes_is_unmatched_and_kept(client: aiohttp.ClientSession) -> None:
    status, answer = await post(client, "/api/v1/events", order("u", type="other"), **STRUCTURED)
    assert (status, answer["accepted"], answer["events"][0]["state"]) == (202, 1, "unmatched")


async def test_an_event_whose_partition_cannot_be_read_is_rejected_with_the_reason(
    client: aiohttp.ClientSession,
) -> None:
    status, answer = await post(client, "/api/v1/events", order("r", day="tomorrow"), **STRUCTURED)
    assert (status, answer["rejected"], answer["events"][0]["state"]) == (202, 1, "rejected")
    assert "data.day" in answer["events"][0]["reason"]
    _, page = await get(client, "/api/v1/events?state=rejected")
    assert [event["reason"] for event in page["items"]] == [answer["events"][0]["reason"]]


@pytest.mark.parametrize("kind", ["lines", "batch"])
async def test_of_many_events_the_good_are_stored_and_the_bad_told_by_their_place(
    client: aiohttp.ClientSession, service: Running, kind: str
) -> None:
    members: list[Any] = [order("a"), {"id": "no event"}, order("b", region="us"), order("a")]
    body = ("\n".join(map(json.dumps, members)) + "\n\n" if kind == "lines" else json.dumps(members)).encode()
    headers = LINES if kind == "lines" else BATCH
    async with client.post("/api/v1/events", data=body, headers=headers) as response:
        answer = await response.json()
    assert response.status == 202
    counts = [answer[name] for name in ("accepted", "duplicates", "rejected", "invalid")]
    assert counts == [2, 1, 0, 1]
    assert [event["state"] for event in answer["events"]] == ["accepted", "invalid", "accepted", "duplicate"]
    assert answer["events"][1]["index"] == 1
    assert event_count(service) == 2


@pytest.mark.parametrize(
    ("members", "query"), [([order("a"), {}], "?atomic=1"), ([{}, 1], ""), (["x"], "?atomic=0")]
)
async def test_a_batch_without_any_event_or_with_a_bad_one_where_all_must_be_good_stores_nothing(
    client: aiohttp.ClientSession, service: Running, members: list[Any], query: str
) -> None:
    status, problem = await post(client, f"/api/v1/events{query}", members, **BATCH)
    assert status == 400 and problem["errors"]
    assert event_count(service) == 0


async def test_an_overloaded_service_answers_503_with_retry_after_and_stores_nothing_of_it(
    client: aiohttp.ClientSession, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, entered, disk = service.store.commit, asyncio.Event(), asyncio.Event()

    async def slow_commit(*, busy: bool = False) -> None:
        entered.set()
        await disk.wait()
        await commit(busy=busy)

    async def send(event_id: str) -> tuple[int, str | None]:
        async with client.post("/api/v1/events", json=order(event_id), headers=STRUCTURED) as response:
            return response.status, response.headers.get("Retry-After")

    monkeypatch.setattr(service.store, "commit", slow_commit)
    monkeypatch.setattr("sensorflow.service.INBOX", 1)
    first = asyncio.create_task(send("in the commit"))
    await entered.wait()
    others = [asyncio.create_task(send(event_id)) for event_id in ("in the inbox", "refused")]
    (refused,), (waiting,) = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
    assert await refused == (503, "1")
    disk.set()
    assert [await first, await waiting] == [(202, None), (202, None)]
    assert event_count(service) == 2


async def test_a_store_that_cannot_write_answers_503_and_takes_the_event_when_it_can(
    client: aiohttp.ClientSession, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*, busy: bool = False) -> None:
        service.store.rollback()
        raise StoreError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(service.store, "commit", full)
        async with client.post("/api/v1/events", json=order("a"), headers=STRUCTURED) as response:
            assert (response.status, response.content_type) == (503, "application/problem+json")
            assert response.headers["Retry-After"]
        status, document = await get(client, "/readyz")
        assert (status, list(document["problems"])) == (503, ["store"])
    assert event_count(service) == 0
    await until(service, lambda: service.service.trouble is None)
    assert (await post(client, "/api/v1/events", order("a"), **STRUCTURED))[0] == 202
