"""The REST API from outside: a real service at a real port, answered by bytes."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.app import Running
from tests.serving import SECRETS, client_of, make_home, serving, task_state, until

STRUCTURED = {"Content-Type": "application/cloudevents+json"}
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


async def make_run(client: aiohttp.ClientSession, service: Running, day: str = DAY) -> dict[str, Any]:
    """Make both parts of a day ready and return its run once `check` has failed for good."""
    for part in ("eu", "us"):
        await post(client, "/api/v1/ready", {"dataset": "orders", "partition": day, "part": part})
    await until(service, lambda: task_state(service, day, "check") == "failed")
    _, page = await get(client, f"/api/v1/runs?pipeline=sales&partition={day}")
    run: dict[str, Any] = page["items"][0]
    return run


def event_count(service: Running) -> int:
    return len(service.store.listing.events(after=0, dataset=None, state=None, limit=500))


async def test_a_run_has_the_shape_of_the_contract(client: aiohttp.ClientSession, service: Running) -> None:
    run = await make_run(client, service)
    assert list(run) == [
        *("id", "pipeline", "partition", "partition_start", "partition_end", "generation", "state", "stale"),
        *("trigger", "created_at", "started_at", "ended_at", "tasks"),
    ]
    assert (run["pipeline"], run["partition"], run["state"], run["generation"]) == ("sales", DAY, "failed", 1)
    assert (run["partition_start"], run["partition_end"]) == ("2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z")
    tasks = {task["name"]: task for task in run["tasks"]}
    assert {name: task["state"] for name, task in tasks.items()} == {
        "load": "succeeded",
        "check": "failed",
        "publish": "blocked",
        "deliver": "waiting",
        "refresh": "waiting",
    }
    (attempt,) = tasks["check"]["attempts"]
    assert (attempt["number"], attempt["state"], attempt["exit_code"]) == (1, "failed", 1)
    assert attempt["ended_at"] >= attempt["started_at"] and attempt["ended_at"].endswith("Z")
    assert tasks["load"]["attempts"][0]["consumed"] == {"orders": {DAY: 1}}
    (wait,) = tasks["publish"]["waiting_for"]
    assert (wait["kind"], wait["task"], wait["state"]) == ("task", "check", "failed")
    assert "parts_missing" not in wait and "dataset" not in wait
    assert await get(client, f"/api/v1/runs/{run['id']}") == (200, {**run, "operations": []})


async def test_why_names_the_missing_part_in_words_and_as_data(client: aiohttp.ClientSession) -> None:
    await post(client, "/api/v1/ready", {"dataset": "orders", "partition": DAY, "part": "eu"})
    _, page = await get(client, "/api/v1/runs")
    for path in (
        f"/api/v1/runs/{page['items'][0]['id']}/why",
        f"/api/v1/pipelines/sales/why?partition={DAY}&task=load",
    ):
        status, why = await get(client, path)
        assert (status, why["run"], why["partition"]) == (200, page["items"][0]["id"], DAY)
        load = next(task for task in why["tasks"] if task["name"] == "load")
        (wait,) = load["waiting_for"]
        assert (wait["kind"], wait["dataset"], wait["partition"]) == ("dataset", "orders", DAY)
        assert wait["parts_missing"] == ["us"]
        assert "orders" in wait["text"] and "us" in wait["text"]


async def test_why_answers_where_there_is_no_run_yet(client: aiohttp.ClientSession) -> None:
    status, why = await get(client, "/api/v1/pipelines/sales/why?partition=2026-05-05")
    assert (status, why["run"], why["pipeline"]) == (200, None, "sales")
    assert why["tasks"][0]["state"] == "waiting"
    assert why["tasks"][0]["waiting_for"]


async def test_a_retry_takes_the_failed_task_and_what_is_blocked_below(
    client: aiohttp.ClientSession, service: Running
) -> None:
    run = await make_run(client, service)
    (service.home.path / "checked.ok").touch()
    status, answer = await post(client, f"/api/v1/runs/{run['id']}/retry", {"reason": "mended"})
    assert (status, answer["id"]) == (200, run["id"])
    await until(service, lambda: task_state(service, DAY, "publish") == "succeeded")
    _, after = await get(client, f"/api/v1/runs/{run['id']}")
    attempts = {task["name"]: [attempt["number"] for attempt in task["attempts"]] for task in after["tasks"]}
    assert (attempts["check"], attempts["publish"], after["generation"]) == ([1, 2], [1], 1)
    assert [(each["kind"], each["reason"]) for each in after["operations"]] == [("retry", "mended")]


async def test_a_retry_of_what_does_not_exist_or_did_not_fail_is_refused(
    client: aiohttp.ClientSession, service: Running
) -> None:
    run = await make_run(client, service)
    assert (await post(client, "/api/v1/runs/none/retry", {}))[0] == 404
    assert (await post(client, f"/api/v1/runs/{run['id']}/retry", {"tasks": ["nobody"]}))[0] == 404
    assert (await post(client, f"/api/v1/runs/{run['id']}/retry", {"tasks": "check"}))[0] == 422
    assert (await post(client, f"/api/v1/runs/{run['id']}/retry", {"tasks": ["deliver"]}))[0] in {409, 422}


async def test_a_log_is_plain_text_of_one_attempt(client: aiohttp.ClientSession, service: Running) -> None:
    run = await make_run(client, service)
    async with client.get(f"/api/v1/runs/{run['id']}/tasks/load/log?attempt=1") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        assert f"orders of {DAY}" in await response.text()
    for path in ("load/log?attempt=2", "publish/log", "nobody/log"):
        assert (await get(client, f"/api/v1/runs/{run['id']}/tasks/{path}"))[0] == 404
    assert (await get(client, f"/api/v1/runs/{run['id']}/tasks/load/log?attempt=0"))[0] == 400


async def test_lists_are_paged_by_cursor_without_gap_or_repeat(client: aiohttp.ClientSession) -> None:
    days = [f"2026-04-{day:02}" for day in range(1, 8)]
    for day in days:
        await post(client, "/api/v1/ready", {"dataset": "delivered", "partition": day})

    async def walk(path: str, limit: int) -> list[Any]:
        found: list[Any] = []
        cursor = ""
        while True:
            status, page = await get(client, f"{path}?limit={limit}{cursor}")
            assert status == 200 and len(page["items"]) <= limit
            found += page["items"]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    assert [run["partition"] for run in await walk("/api/v1/runs", 3)] == days[::-1]
    seqs = [event["seq"] for event in await walk("/api/v1/events", 2)]
    assert seqs == sorted(set(seqs)) and len(seqs) >= len(days)
    partitions = await walk("/api/v1/datasets/delivered/partitions", 7)
    assert [partition["partition"] for partition in partitions] == days[::-1]
    assert len(await walk("/api/v1/sensors", 2)) == 7
    assert [item["name"] for item in await walk("/api/v1/datasets", 1)] == sorted(
        ["delivered", "orders", "pushed", "sales_daily"]
    )


@pytest.mark.parametrize(
    "path",
    [
        "runs?limit=0",
        "runs?limit=501",
        "runs?limit=ten",
        "runs?cursor=%FF%00",
        "runs?cursor=cnVucw==",
        "events?cursor=cnVuczoxMjM=",
        "events?after=-1",
        "events?after=9223372036854775808",
        "events?state=duplicate",
        "events?state=odd",
        "events?dataset=nobody",
        "runs?state=odd",
        "runs?pipeline=nobody",
        "runs?colour=red",
        "runs?limit=1&limit=2",
        "pipelines/sales/why",
        "pipelines/sales/why?partition=someday",
        "pipelines/sales/why?partition=2026-03-08&task=nobody",
        "pipelines?name=sales",
        "alerts?state=closed",
        "backfills?state=running",
    ],
)
async def test_a_query_of_no_use_is_400_and_names_the_parameter(
    client: aiohttp.ClientSession, path: str
) -> None:
    status, problem = await get(client, f"/api/v1/{path}")
    assert status == 400
    assert problem["errors"][0]["where"] in path or problem["errors"][0]["where"] == "partition"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/runs/none",
        "/api/v1/runs/none/why",
        "/api/v1/runs/none/tasks/load/log",
        "/api/v1/events/99",
        "/api/v1/events/99999999999999999999999",
        "/api/v1/events/x",
        "/api/v1/pipelines/none",
        "/api/v1/pipelines/none/why?partition=2026-03-08",
        "/api/v1/datasets/none",
        "/api/v1/datasets/none/partitions",
        "/api/v1/sensors/sales/none",
        "/api/v1/backfills/none",
        "/api/v2/runs",
        "/api/v1/runs/%FF",
        "/nothing",
    ],
)
async def test_what_does_not_exist_is_404_as_a_problem_document(
    client: aiohttp.ClientSession, path: str
) -> None:
    async with client.get(path) as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")
        assert (await response.json(content_type=None))["status"] == 404


async def test_a_wrong_method_is_405_with_those_allowed(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/v1/ready") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert response.content_type == "application/problem+json"


async def test_a_pipeline_shows_its_definition_graph_and_counts(
    client: aiohttp.ClientSession, service: Running
) -> None:
    await make_run(client, service)
    _, page = await get(client, "/api/v1/pipelines")
    (summary,) = page["items"]
    assert (summary["name"], summary["grain"], summary["runs"]["failed"]) == ("sales", "daily", 1)
    _, sales = await get(client, "/api/v1/pipelines/sales")
    assert {(edge["source"], edge["target"]) for edge in sales["edges"]} == {
        ("load", "check"),
        ("check", "publish"),
        ("deliver", "refresh"),
    }
    tasks = {task["name"]: task for task in sales["tasks"]}
    assert tasks["publish"]["outputs"] == ["sales_daily"]
    assert tasks["load"]["inputs"][0]["dataset"] == "orders"
    assert sales["task_counts"]["failed"] == 1
    assert sales["start"] == "2026-01-01"


async def test_a_dataset_shows_what_is_ready_and_which_parts_are_missing(
    client: aiohttp.ClientSession,
) -> None:
    await post(client, "/api/v1/ready", {"dataset": "orders", "partition": DAY, "part": "eu"})
    await post(client, "/api/v1/ready", {"dataset": "orders", "partition": "2026-03-09"})
    _, page = await get(client, "/api/v1/datasets/orders/partitions")
    _, one = await get(client, f"/api/v1/datasets/orders/partitions?partition={DAY}")
    _, none = await get(client, "/api/v1/datasets/orders/partitions?partition=2026-03-07")
    assert (one["items"], none["items"]) == ([page["items"][1]], [])
    assert (await get(client, "/api/v1/datasets/orders/partitions?partition=odd"))[0] == 400
    found = {item["partition"]: item for item in page["items"]}
    assert (found[DAY]["state"], found[DAY]["parts"], found[DAY]["parts_missing"]) == (
        "partial",
        ["eu"],
        ["us"],
    )
    assert (found["2026-03-09"]["state"], found["2026-03-09"]["version"]) == ("ready", 1)
    _, orders = await get(client, "/api/v1/datasets/orders")
    assert (orders["ready"], orders["partial"], orders["newest"]["partition"]) == (1, 1, "2026-03-09")
    assert (orders["sensors"], orders["consumers"]) == (["sales/orders_posted"], ["sales/load"])
    _, output = await get(client, "/api/v1/datasets/sales_daily")
    assert output["producer"] == "sales/publish"


async def test_a_sensor_shows_its_counts_and_its_last_event(client: aiohttp.ClientSession) -> None:
    for _ in range(2):
        await post(client, "/hooks/sales/open", {"n": 1})
    status, sensor = await get(client, "/api/v1/sensors/sales/open")
    assert (status, sensor["state"], sensor["type"], sensor["error"]) == (200, "up", "webhook", None)
    assert (sensor["accepted"], sensor["duplicates"], sensor["last_seq"]) == (1, 1, 1)
    assert sensor["last_event_at"].endswith("Z")
    _, shared = await get(client, "/api/v1/sensors/-/anybody")
    assert (shared["accepted"], shared["last_event_at"]) == (0, None)


async def test_a_sensor_is_starting_until_it_has_been_up_once(tmp_path: Path) -> None:
    connected, hang_up = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await hang_up.wait()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    host, port = silent.sockets[0].getsockname()
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "p.yaml").write_text(
        f"""
partition: none
sensors: {{broker: {{type: mqtt, url: "mqtt://{host}:{port}", topic: t, dataset: a}}}}
tasks: {{load: {{inputs: [a], run: ["true"]}}}}
"""
    )
    async with silent, serving(tmp_path) as running, client_of(running) as client:
        await connected.wait()
        _, broker = await get(client, "/api/v1/sensors/p/broker")
        assert (broker["state"], broker["error"]) == ("starting", None)
        async with client.get("/metrics") as response:
            assert 'sensorflow_sensor_up{pipeline="p",sensor="broker"} 0.0' in await response.text()
        hang_up.set()
        async with asyncio.timeout(20):
            while broker["error"] is None:
                _, broker = await get(client, "/api/v1/sensors/p/broker")
        assert broker["state"] == "down"


async def test_an_event_shows_what_it_made_and_the_runs_of_that(client: aiohttp.ClientSession) -> None:
    await post(client, "/api/v1/events", order("a"), **STRUCTURED)
    _, event = await get(client, "/api/v1/events/1")
    assert event["arrivals"] == [
        {
            "dataset": "orders",
            "partition": DAY,
            "part": "eu",
            "version": 1,
            "ready": False,
            "sensor": "sales/orders_posted",
        }
    ]
    assert [(run["pipeline"], run["partition"]) for run in event["runs"]] == [("sales", DAY)]
    _, page = await get(client, "/api/v1/events?dataset=orders&after=1")
    assert page["items"] == []


async def test_the_probes_answer(client: aiohttp.ClientSession) -> None:
    assert await get(client, "/healthz") == (200, {"status": "ok"})
    assert await get(client, "/readyz") == (200, {"status": "ready"})


async def test_a_host_that_is_not_ours_is_421_but_for_probes_and_hooks(client: aiohttp.ClientSession) -> None:
    for host, status in (
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("localhost:8484", 200),
        ("[::1]:8484", 200),
        ("127.0.0.1", 200),
    ):
        async with client.get("/api/v1/runs", headers={"Host": host}) as response:
            assert response.status == status, host
    async with client.get("/healthz", headers={"Host": "evil.example"}) as response:
        assert response.status == 200
    async with client.post("/hooks/sales/open", json=1, headers={"Host": "evil.example"}) as response:
        assert response.status == 202


async def test_a_foreign_page_cannot_write(client: aiohttp.ClientSession, service: Running) -> None:
    body = {"dataset": "orders", "partition": DAY}
    status, _ = await post(client, "/api/v1/ready", body, Origin="https://evil.example")
    assert (status, event_count(service)) == (403, 0)
    assert (await post(client, "/api/v1/ready", body, Origin=service.url))[0] == 202


async def test_a_fault_of_the_service_is_500_and_keeps_its_reason_to_itself(
    client: aiohttp.ClientSession,
    service: Running,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(type(service.store.listing), "last_run", broken)
    async with client.get("/api/v1/pipelines") as response:
        text = await response.text()
    assert (response.status, response.content_type) == (500, "application/problem+json")
    assert "canary" not in text
    assert "canary" in "".join(capsys.readouterr())


def make_gated_home(home: Path, *, before: str = "", env: str = "") -> Path:
    """Write a home whose only task waits for a line in `gate`, and puts something out before."""
    (home / "pipelines").mkdir(parents=True)
    (home / "pipelines" / "gated.yaml").write_text(
        f"name: gated\ntasks: {{wait: {{inputs: [go], env: {{{env}}}, "
        f"run: 'echo begun; printf \"{before}\"; cat gate; echo done'}}}}\n"
    )
    os.mkfifo(home / "gate")
    return home


async def follow(session: aiohttp.ClientSession, service: Running) -> aiohttp.ClientResponse:
    """Let the gated task run and return its log, as it is followed."""
    body = {"dataset": "go", "partition": DAY}
    async with session.post(f"{service.url}/api/v1/ready", json=body) as answer:
        assert answer.status == 202
    await until(service, lambda: service.store.reader.running_count(None))
    run = service.store.reader.run_of("gated", DAY)
    assert run is not None
    response = await session.get(f"{service.url}/api/v1/runs/{run.id}/tasks/wait/log?follow=1")
    assert await response.content.readline() == b"begun\n"
    return response


async def test_a_followed_log_comes_as_it_is_written_and_ends_with_the_attempt(tmp_path: Path) -> None:
    async with serving(make_gated_home(tmp_path / "home")) as service, aiohttp.ClientSession() as session:
        response = await follow(session, service)
        await asyncio.to_thread((service.home.path / "gate").write_bytes, b"opened \xff\n")
        assert await response.content.read() == "opened \ufffd\ndone\n".encode()


async def test_a_log_that_is_followed_before_its_task_starts_comes_when_it_does(tmp_path: Path) -> None:
    async with serving(make_gated_home(tmp_path / "home")) as service, client_of(service) as client:
        _, run = await post(client, "/api/v1/runs", {"pipeline": "gated", "partition": DAY})
        log = f"/api/v1/runs/{run['id']}/tasks/wait/log"
        assert (await get(client, log))[0] == (await get(client, f"{log}?follow=1&attempt=2"))[0] == 404
        async with client.get(f"{log}?follow=1") as response:
            assert (response.status, response.headers["X-Attempt"]) == (200, "1")
            await post(client, "/api/v1/ready", {"dataset": "go", "partition": DAY})
            assert await response.content.readline() == b"begun\n"
            await asyncio.to_thread((service.home.path / "gate").write_bytes, b"opened\n")
            assert await response.content.read() == b"opened\ndone\n"


async def test_a_log_of_a_task_that_cannot_start_any_more_is_not_waited_for(tmp_path: Path) -> None:
    async with serving(make_gated_home(tmp_path / "home")) as service, client_of(service) as client:
        _, run = await post(client, "/api/v1/runs", {"pipeline": "gated", "partition": DAY})
        log = f"/api/v1/runs/{run['id']}/tasks/wait/log?follow=1"
        async with client.get(log) as response:
            await post(client, f"/api/v1/runs/{run['id']}/cancel", {})
            assert await response.content.read() == b""
        status, problem = await get(client, log)
        assert (status, problem["detail"]) == (404, "wait has not run; `why` says why not")


async def test_a_secret_that_comes_in_two_pieces_is_masked_in_a_followed_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERP_PASSWORD", "hunter2hunter2")
    home = make_gated_home(tmp_path / "home", before="it is hunter2", env='PASSWORD: "${ERP_PASSWORD}"')
    async with serving(home) as service, aiohttp.ClientSession() as session:
        response = await follow(session, service)
        assert await response.content.readexactly(6) == b"it is "
        await asyncio.to_thread((service.home.path / "gate").write_bytes, b"hunter2, hunt\n")
        assert await response.content.read() == b"**************, hunt\ndone\n"


async def test_who_follows_a_log_does_not_hold_up_the_stop_of_the_service(tmp_path: Path) -> None:
    async with asyncio.timeout(15), aiohttp.ClientSession() as session:
        async with serving(make_gated_home(tmp_path / "home"), stop_grace="1s") as service:
            response = await follow(session, service)
        assert await response.content.read() == b""
