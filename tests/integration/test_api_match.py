"""What the rules would make of an event, asked of the service, and by the verb also of the home's files."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.app import Running
from sensorflow.cli.common import ExitCode
from tests.serving import client_of, serving

SALES = """\
name: sales
partition: daily
datasets:
  pushed: {partition: none}
  orders: {complete: {parts: [eu, us]}}
sensors:
  orders_posted:
    type: events
    match: {type: [orders.exported], source: [{prefix: /erp/}], data: {rows: [{numeric: [">", 0]}]}}
    partition: data.day
    part: data.region
    dataset: orders
  returns_posted: {type: events, match: {type: [returns.exported]}, partition: data.day, dataset: returns}
  orders_filed: {type: file, path: "landing/orders/{partition}/{part}.csv", dataset: orders}
  marked: {type: file, path: "landing/marked/{partition}", marker: _SUCCESS, dataset: returns}
  shop:
    type: webhook
    auth: none
    match: {data: {shop: [A]}}
    id: data.number
    time: data.at
    dataset: pushed
  rooms:
    type: mqtt
    url: mqtt://127.0.0.1:9
    topic: $share/g/rooms/+/temperature
    partition: data.at
    part: topic[1]
    dataset: rooms
  clicks: {type: openlineage, match: {dataset: [wh/raw.clicks]}, dataset: clicks}
tasks:
  load: {inputs: [orders, returns, rooms, clicks, {dataset: pushed, partitions: latest}], run: ["true"]}
"""
DAY = "2026-03-08"
AT = f"{DAY}T05:00:00Z"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "pipelines").mkdir(parents=True)
    (tmp_path / "home" / "pipelines" / "sales.yaml").write_text(SALES)
    return tmp_path / "home"


@pytest.fixture
async def service(home: Path) -> AsyncIterator[Running]:
    async with serving(home) as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


def order(**data: Any) -> dict[str, Any]:
    data = {"day": DAY, "region": "eu", "rows": 7, **data}
    return {"specversion": "1.0", "id": "1", "source": "/erp/eu", "type": "orders.exported", "data": data}


def lineage(kind: str = "COMPLETE") -> dict[str, Any]:
    return {
        "eventTime": AT,
        "eventType": kind,
        "run": {"runId": "r", "facets": {"nominalTime": {"nominalStartTime": AT}}},
        "job": {"namespace": "spark", "name": "clicks"},
        "outputs": [{"namespace": "wh", "name": "raw.clicks"}, {"namespace": "wh", "name": "other"}],
    }


async def match(client: aiohttp.ClientSession, body: Any = None, **query: Any) -> tuple[int, Any]:
    async with client.post("/api/v1/match", json=body, params=query) as response:
        return response.status, await response.json(content_type=None)


async def told(client: aiohttp.ClientSession, body: Any = None, **query: Any) -> list[tuple[str, ...]]:
    """Return of each rule its sensor, its state and what it reads or why not."""
    status, answer = await match(client, body, **query)
    assert status == 200, answer
    return [
        (
            rule["sensor"],
            rule["state"],
            rule.get("reason") or " ".join(rule.get(name, "-") for name in ("dataset", "partition", "part")),
        )
        for rule in answer["rules"]
    ]


RETURNS_DIFFER = (
    "sales/returns_posted",
    "unmatched",
    'type: expected "returns.exported", found "orders.exported"',
)


async def test_a_posted_event_is_asked_of_every_rule_for_what_is_posted(
    client: aiohttp.ClientSession,
) -> None:
    assert await told(client, order()) == [
        ("sales/orders_posted", "accepted", f"orders {DAY} eu"),
        RETURNS_DIFFER,
    ]
    assert await told(client, order(rows=0)) == [
        ("sales/orders_posted", "unmatched", "data.rows: expected > 0, found 0"),
        RETURNS_DIFFER,
    ]
    status, answer = await match(client, order(region="ap"))
    assert (status, answer["state"], answer["more"]) == (200, "rejected", 0)
    assert answer["rules"][0] == {
        "sensor": "sales/orders_posted",
        "type": "events",
        "dataset": "orders",
        "state": "rejected",
        "reason": 'expected a part of orders (eu, us), found "ap"',
    }


async def test_nothing_of_what_is_asked_is_kept(client: aiohttp.ClientSession, service: Running) -> None:
    assert (await match(client, order()))[1]["state"] == "accepted"
    assert service.store.reader.last_seq() == 0


async def test_much_of_an_event_may_be_left_out(client: aiohttp.ClientSession) -> None:
    assert await told(
        client, {"type": "returns.exported", "data": {"day": DAY}}, sensor="sales/returns_posted"
    ) == [("sales/returns_posted", "accepted", f"returns {DAY} -")]
    assert await told(client, {}, sensor="sales/returns_posted") == [
        (
            "sales/returns_posted",
            "unmatched",
            'type: expected "returns.exported", found "dev.sensorflow.observed"',
        )
    ]


async def test_the_nearest_of_many_rules_come_first(home: Path) -> None:
    pattern = "{type: [t], data: {a: [1], b: [1]}}"
    others = "".join(
        f"  far{n}: {{type: events, match: {{type: [x{n}], data: {{a: [{n}], b: [2]}}}}, "
        "partition: data.day, dataset: returns}\n"
        for n in range(2, 32)
    )
    near = f"  near: {{type: events, match: {pattern}, partition: data.day, dataset: returns}}\n"
    file = home / "pipelines" / "sales.yaml"
    file.write_text(SALES.replace("sensors:\n", f"sensors:\n{others}{near}"))
    async with serving(home) as service, client_of(service) as client:
        status, answer = await match(client, {"type": "t", "data": {"a": 1, "b": 0}})
        assert (status, answer["state"], len(answer["rules"]), answer["more"]) == (200, "unmatched", 20, 13)
        assert (answer["rules"][0]["sensor"], answer["rules"][0]["reason"]) == (
            "sales/near",
            "data.b: expected 1, found 0",
        )


async def test_a_files_path_is_asked_of_the_file_sensors(client: aiohttp.ClientSession) -> None:
    found = await told(client, path=f"landing/orders/{DAY}/eu.csv")
    assert found == [
        ("sales/orders_filed", "accepted", f"orders {DAY} eu"),
        (
            "sales/marked",
            "unmatched",
            f'path: expected landing/marked/{{partition}}, found "landing/orders/{DAY}/eu.csv"',
        ),
    ]
    marked = ("sales/marked", "accepted", f"returns {DAY} -")
    for path in (f"landing/marked/{DAY}", f"landing/marked/{DAY}/_SUCCESS"):
        assert (await told(client, path=path, sensor="sales/marked")) == [marked]
    assert (await told(client, path="landing/marked/monday", sensor="sales/marked"))[0][1] == "rejected"


async def test_a_message_is_asked_of_the_sensors_of_its_topic(client: aiohttp.ClientSession) -> None:
    assert await told(client, {"at": AT}, topic="rooms/4/temperature") == [
        ("sales/rooms", "accepted", f"rooms {DAY} 4")
    ]
    assert await told(client, {"at": AT}, topic="rooms/4") == [
        ("sales/rooms", "unmatched", 'topic: expected $share/g/rooms/+/temperature, found "rooms/4"')
    ]


async def test_a_webhooks_body_is_asked_of_its_sensor(client: aiohttp.ClientSession) -> None:
    body = {"shop": "A", "number": 17, "at": AT}
    status, answer = await match(client, body, sensor="sales/shop")
    assert (status, answer["rules"]) == (
        200,
        [
            {
                "sensor": "sales/shop",
                "type": "webhook",
                "dataset": "pushed",
                "state": "accepted",
                "id": "17",
                "time": AT,
            }
        ],
    )
    assert await told(client, {**body, "at": "soon"}, sensor="sales/shop") == [
        (
            "sales/shop",
            "rejected",
            'data.at: expected a date or an instant as 2013-03-10T05:00:00Z, found "soon"',
        )
    ]


async def test_an_event_that_names_its_sensor_by_its_source_is_asked_of_it(
    client: aiohttp.ClientSession,
) -> None:
    event = {"source": "/hooks/sales/shop", "data": {"shop": "B"}}
    assert await told(client, event) == [("sales/shop", "unmatched", 'data.shop: expected "A", found "B"')]


async def test_an_openlineage_event_is_asked_for_each_output(client: aiohttp.ClientSession) -> None:
    assert await told(client, lineage()) == [
        ("sales/clicks", "accepted", f"clicks {DAY} -"),
        ("sales/clicks", "unmatched", 'dataset: expected "wh/raw.clicks", found "wh/other"'),
    ]
    assert await match(client, lineage("START")) == (200, {"state": "unmatched", "rules": [], "more": 0})


async def test_a_stored_event_is_asked_by_its_number(client: aiohttp.ClientSession) -> None:
    async with client.post("/hooks/sales/shop", json={"shop": "B"}) as response:
        (receipt,) = (await response.json())["events"]
    assert await told(client, seq=receipt["seq"]) == [
        ("sales/shop", "unmatched", 'data.shop: expected "A", found "B"')
    ]
    status, problem = await match(client, seq=99)
    assert (status, problem["detail"]) == (404, "there is no event 99")


@pytest.mark.parametrize(
    ("body", "query", "status", "words"),
    [
        ([], {}, 422, "expected"),
        ({"id": 5}, {}, 422, "/id: expected text"),
        ({"specversion": "1.0", "id": "1"}, {}, 400, "/source: expected a text, found nothing"),
        ({"eventTime": "now"}, {}, 422, "/eventTime"),
        ({}, {"sensor": "sales/shp"}, 404, 'there is no sensor "sales/shp"'),
        (
            {},
            {"topic": "a", "sensor": "sales/shop"},
            422,
            "sales/shop: a sensor of type webhook sees no topic",
        ),
        ({}, {"path": "a", "sensor": "sales/shop"}, 422, "sales/shop: a sensor of type webhook sees no path"),
        ({}, {"seq": "x"}, 400, "seq: expected a whole number"),
        ({}, {"frob": "x"}, 400, "frob"),
    ],
)
async def test_what_is_no_event_or_asks_for_nothing_there_is_refused(
    client: aiohttp.ClientSession, body: Any, query: dict[str, Any], status: int, words: str
) -> None:
    found, problem = await match(client, body, **query)
    assert found == status
    assert words in problem["detail"]


async def cli(home: Path, *arguments: str, stdin: bytes = b"", **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sensorflow", "--home", str(home), *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), 30)
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.slow
async def test_the_verb_says_the_same_of_the_service_and_of_the_files(service: Running, home: Path) -> None:
    asked: list[tuple[Any, tuple[str, ...], str]] = [
        (order(), ("-",), f"sales/orders_posted takes it: orders {DAY} part eu\n"),
        (order(rows=0), ("-",), "sales/orders_posted does not take it: data.rows: expected > 0, found 0\n"),
        (order(day="x"), ("-",), "sales/orders_posted takes it and cannot read it: data.day: expected a day"),
        (None, ("--path", f"landing/marked/{DAY}"), f"sales/marked takes it: returns {DAY}\n"),
        (None, ("--path", f"{home}/landing/marked/{DAY}"), f"sales/marked takes it: returns {DAY}\n"),
        ({"at": AT}, ("-", "--topic", "rooms/4/temperature"), f"sales/rooms takes it: rooms {DAY} part 4\n"),
        ({"shop": "B"}, ("-", "--sensor", "sales/shop"), 'data.shop: expected "A", found "B"\n'),
        (lineage("FAIL"), ("-",), "no sensor of this home would see it\n"),
    ]
    for body, arguments, words in asked:
        stdin = b"" if body is None else json.dumps(body).encode()
        code, out, _ = await cli(home, "match", *arguments, stdin=stdin, SENSORFLOW_URL=service.url)
        assert (code, words in out) == (0, True), out
        offline = await cli(home, "match", "--offline", *arguments, stdin=stdin)
        assert offline[:2] == (0, out)


async def test_the_verb_takes_several_events_and_prints_json(service: Running, home: Path) -> None:
    lines = "\n".join(json.dumps(order(rows=rows)) for rows in (1, 0)).encode()
    code, out, _ = await cli(home, "match", "-", "--offline", stdin=lines)
    assert code == 0
    assert (
        out.startswith("event 1:\n  sales/orders_posted takes it")
        and "event 2:\n  sales/orders_posted does" in out
    )
    array = json.dumps([order(), order(rows=0)]).encode()
    code, out, _ = await cli(home, "match", "-", "--json", stdin=array, SENSORFLOW_URL=service.url)
    assert [each["state"] for each in json.loads(out)["items"]] == ["accepted", "unmatched"]
    code, out, _ = await cli(home, "match", "-", "--json", "--offline", stdin=json.dumps(order()).encode())
    assert (code, json.loads(out)["rules"][0]["partition"]) == (0, DAY)


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "words"),
    [
        ((), b"", ExitCode.USAGE, "expected one of FILE"),
        (("-", "--path", "a"), b"", ExitCode.USAGE, "expected one of FILE"),
        (("-", "--topic", "a", "--seq", "1"), b"", ExitCode.USAGE, "expected one of FILE"),
        (("--seq", "1"), b"", ExitCode.USAGE, "expected no --offline with --seq"),
        (("--path", "/elsewhere/a.csv"), b"", ExitCode.USAGE, "--path: expected a path below"),
        (("nothing-such.json",), b"", ExitCode.NOT_FOUND, "there is no file nothing-such.json"),
        (("-",), b"\n", ExitCode.FAILED, "expected an event, found nothing"),
        (("-",), b"hello", ExitCode.FAILED, "expected a JSON document"),
        (("-",), b"5", ExitCode.FAILED, "expected"),
        (("-",), b'{"data": 1}\nhello\n', ExitCode.FAILED, "event 2: expected a JSON document"),
        (("-",), b'[{"data": 1}, {"id": 3}]', ExitCode.FAILED, "event 2: /id: expected"),
        (("-", "--sensor", "sales/x"), b"{}", ExitCode.NOT_FOUND, 'there is no sensor "sales/x"'),
        (("-", "--sensor", "sales/shop"), b"{", ExitCode.FAILED, "expected a JSON document"),
    ],
)
async def test_what_the_verb_cannot_ask_is_said(
    home: Path, arguments: tuple[str, ...], stdin: bytes, code: ExitCode, words: str
) -> None:
    found, out, err = await cli(home, "match", "--offline", *arguments, stdin=stdin)
    assert (found, out) == (code, "")
    assert words in err
