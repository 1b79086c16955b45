"""What operators do over the REST API: runs, pauses, marks, withdrawals, reloads, callbacks."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.app import Running
from tests.integration.receiver import answering, receiving
from tests.operating import (
    DAY,
    GATED,
    failed_run,
    get,
    make_operators_home,
    post,
    ready,
    run_state,
    states,
)
from tests.serving import SECRETS, client_of, serving, task_state, until


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    async with serving(make_operators_home(tmp_path / "home"), stop_grace="1s") as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


# Runs


async def test_a_run_asked_for_is_201_when_new_and_200_while_it_waits(client: aiohttp.ClientSession) -> None:
    body = {"pipeline": "gated", "partition": DAY, "reason": "a look"}
    async with client.post("/api/v1/runs", json=body) as response:
        run = await response.json()
        assert (response.status, response.headers["Location"]) == (201, f"/api/v1/runs/{run['id']}")
    assert (run["partition"], run["state"], run["trigger"], run["generation"]) == (
        DAY,
        "waiting",
        "manual",
        1,
    )
    assert run["tasks"][0]["waiting_for"][0]["dataset"] == "go"
    assert [(each["kind"], each["reason"]) for each in run["operations"]] == [("run", "a look")]
    status, again = await post(client, "runs", {"pipeline": "gated", "partition": f"{DAY}T12:00:00"})
    assert (status, again["id"]) == (200, run["id"])


async def test_a_forced_run_fires_without_inputs_and_is_409_while_it_runs(
    client: aiohttp.ClientSession, service: Running
) -> None:
    body = {"pipeline": "gated", "partition": DAY, "force": True}
    assert (await post(client, "runs", body))[0] == 201
    await until(service, lambda: service.store.reader.running_count(None))
    status, problem = await post(client, "runs", body)
    assert (status, "running" in problem["detail"]) == (409, True)


async def test_a_run_that_has_ended_runs_again_as_its_next_generation(
    client: aiohttp.ClientSession, service: Running
) -> None:
    run_id = await failed_run(client, service)
    (service.home.path / "checked.ok").touch()
    await ready(client, "delivered", DAY)
    await post(client, "ready", {"dataset": "pushed"})
    await post(client, f"runs/{run_id}/retry")
    await until(service, lambda: run_state(service, "sales", DAY) == "succeeded")
    status, run = await post(client, "runs", {"pipeline": "sales", "partition": DAY})
    assert (status, run["id"], run["generation"]) == (200, run_id, 2)
    await until(service, lambda: run_state(service, "sales", DAY) == "succeeded")


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({"pipeline": "nobody"}, 404, None),
        ({"pipeline": "gated"}, 422, "/partition"),
        ({"pipeline": "gated", "partition": "someday"}, 422, "/partition"),
        ({"pipeline": "gated", "partition": "2025-12-31"}, 422, "/partition"),
        ({"pipeline": "whole", "partition": DAY}, 422, "/partition"),
        ({"pipeline": "gated", "partition": DAY, "forced": True}, 422, "/forced"),
        ({"pipeline": "gated", "partition": DAY, "force": "yes"}, 422, "/force"),
    ],
)
async def test_a_run_that_cannot_be_is_refused_with_what_is_wrong(
    client: aiohttp.ClientSession, body: dict[str, Any], status: int, where: str | None
) -> None:
    found, problem = await post(client, "runs", body)
    assert (found, problem["detail"] != "") == (status, True)
    if where is not None:
        assert problem["errors"][0]["where"] == where
    assert (await get(client, "runs"))[1]["items"] == []


async def test_a_pipeline_without_partitions_gets_a_new_run_each_time(
    client: aiohttp.ClientSession, service: Running
) -> None:
    found = []
    for _ in range(2):
        status, run = await post(client, "runs", {"pipeline": "whole", "force": True})
        assert (status, "partition" in run) == (201, False)
        found.append(run["id"])
        await until(service, lambda: run_state(service, "whole", "") == "succeeded")
    assert found[0] != found[1]


async def test_a_cancelled_run_stops_its_attempts_and_keeps_the_reason(
    client: aiohttp.ClientSession, service: Running
) -> None:
    await ready(client, "go", DAY)
    await until(service, lambda: service.store.reader.running_count(None))
    _, page = await get(client, "runs?pipeline=gated")
    path = f"runs/{page['items'][0]['id']}"
    status, run = await post(client, f"{path}/cancel", {"reason": "by mistake"})
    assert (status, run["operations"][0]["kind"], run["operations"][0]["reason"]) == (
        200,
        "cancel",
        "by mistake",
    )
    await until(service, lambda: run_state(service, "gated", DAY) == "cancelled")
    _, run = await get(client, path)
    assert states(run) == {"wait": "cancelled", "report": "cancelled"}
    assert run["tasks"][0]["attempts"][0]["state"] == "cancelled"
    assert (await post(client, f"{path}/cancel"))[0] == 409


async def test_a_marked_task_counts_as_done_and_lets_what_is_below_run(
    client: aiohttp.ClientSession, service: Running
) -> None:
    path = f"runs/{await failed_run(client, service)}"
    status, run = await post(client, f"{path}/tasks/check/mark", {"state": "skipped", "reason": "seen"})
    assert (status, states(run)["check"]) == (200, "skipped")
    assert (run["operations"][0]["kind"], run["operations"][0]["task"]) == ("mark", "check")
    await until(service, lambda: task_state(service, DAY, "publish") == "succeeded")
    assert (await post(client, f"{path}/tasks/check/mark", {"state": "succeeded"}))[0] == 409
    assert (await post(client, f"{path}/tasks/nobody/mark", {"state": "succeeded"}))[0] == 404
    status, problem = await post(client, f"{path}/tasks/deliver/mark", {"state": "failed"})
    assert (status, problem["errors"][0]["where"]) == (422, "/state")


async def test_a_task_marked_as_succeeded_makes_its_outputs_ready(
    client: aiohttp.ClientSession, service: Running
) -> None:
    _, run = await post(client, "runs", {"pipeline": "gated", "partition": DAY})
    for task in ("wait", "report"):
        status, _ = await post(client, f"runs/{run['id']}/tasks/{task}/mark", {"state": "succeeded"})
        assert status == 200
    _, page = await get(client, "datasets/reported/partitions")
    assert [(item["partition"], item["state"]) for item in page["items"]] == [(DAY, "ready")]
    assert run_state(service, "gated", DAY) == "succeeded"


async def test_operations_on_what_does_not_exist_are_404(client: aiohttp.ClientSession) -> None:
    for path in (
        "runs/none/cancel",
        "pipelines/none/pause",
        "backfills/none/cancel",
        "events/99/redrive",
        "events/x/redrive",
    ):
        assert (await post(client, path))[0] == 404, path
    mark = await post(client, "runs/none/tasks/load/mark", {"state": "skipped"})
    withdrawal = await post(client, "datasets/none/withdraw", {"reason": "x"})
    assert (mark[0], withdrawal[0]) == (404, 404)


async def test_a_long_list_of_runs_explains_the_newest_fifty(client: aiohttp.ClientSession) -> None:
    lines = "\n".join(
        f'{{"specversion":"1.0","id":"{n}","source":"/erp","type":"orders.exported",'
        f'"data":{{"day":"2026-{1 + n // 28:02}-{1 + n % 28:02}","region":"eu"}}}}'
        for n in range(60)
    )
    headers = {"Content-Type": "application/x-ndjson"}
    async with client.post("/api/v1/events", data=lines, headers=headers) as response:
        assert response.status == 202
    _, page = await get(client, "runs?limit=60")
    explained = [any(task["waiting_for"] for task in run["tasks"]) for run in page["items"]]
    assert explained == [True] * 50 + [False] * 10


# Pipelines, datasets, events


async def test_a_paused_pipeline_records_what_arrives_and_fires_it_on_resume(
    client: aiohttp.ClientSession, service: Running
) -> None:
    status, pipeline = await post(client, "pipelines/sales/pause", {"reason": "maintenance"})
    assert (status, pipeline["paused"]) == (200, True)
    await ready(client, "orders", DAY)
    _, page = await get(client, "runs?pipeline=sales")
    (run,) = page["items"]
    load = next(task for task in run["tasks"] if task["name"] == "load")
    assert "paused" in {wait["kind"] for wait in load["waiting_for"]}
    assert load["attempts"] == []
    status, pipeline = await post(client, "pipelines/sales/resume")
    assert (status, pipeline["paused"]) == (200, False)
    await until(service, lambda: task_state(service, DAY, "load") == "succeeded")


async def test_a_pipeline_shows_what_its_file_says_of_time_and_order(client: aiohttp.ClientSession) -> None:
    _, chain = await get(client, "pipelines/chain")
    assert (chain["paused"], chain["schedule"], chain["catchup"], chain["sequential"], chain["late"]) == (
        False,
        None,
        "none",
        True,
        "stale",
    )
    _, regions = await get(client, "pipelines/regions")
    assert regions["dimensions"] == {
        "day": {"grain": "daily", "timezone": "UTC", "keys": []},
        "region": {"grain": "keys", "timezone": "UTC", "keys": ["eu", "us"]},
    }


async def test_a_withdrawn_partition_is_missing_until_its_next_arrival(
    client: aiohttp.ClientSession, service: Running
) -> None:
    await failed_run(client, service)
    body = {"partition": DAY, "reason": "the wrong file"}
    status, partition = await post(client, "datasets/orders/withdraw", body)
    assert (status, partition["state"], partition["withdrawn"]) == (200, "withdrawn", True)
    _, page = await get(client, "runs?pipeline=sales")
    assert page["items"][0]["stale"] is True
    await ready(client, "orders", DAY)
    _, page = await get(client, "datasets/orders/partitions")
    assert [(item["state"], item["withdrawn"]) for item in page["items"]] == [("ready", False)]


async def test_a_withdrawal_needs_a_reason_and_something_that_is_there(
    client: aiohttp.ClientSession,
) -> None:
    async def withdraw(**body: Any) -> int:
        status, _ = await post(client, "datasets/orders/withdraw", body)
        return status

    assert await withdraw(partition=DAY, reason="gone") == 404
    await ready(client, "orders", DAY, part="eu")
    assert await withdraw(partition=DAY) == 422
    assert await withdraw(partition=DAY, reason="") == 422
    assert await withdraw(reason="gone") == 422
    assert await withdraw(partition=DAY, part="asia", reason="gone") == 422
    assert await withdraw(partition=DAY, part="eu", reason="gone") == 200


async def test_a_rejected_event_is_read_again_after_its_rule_is_mended(
    client: aiohttp.ClientSession, service: Running
) -> None:
    event = {
        "specversion": "1.0",
        "id": "e",
        "source": "/erp",
        "type": "orders.exported",
        "data": {"date": DAY, "region": "eu"},
    }
    headers = {"Content-Type": "application/cloudevents+json"}
    async with client.post("/api/v1/events", json=event, headers=headers) as response:
        assert (await response.json())["rejected"] == 1
    status, receipt = await post(client, "events/1/redrive")
    assert (status, receipt["state"]) == (200, "rejected")
    file = service.home.path / "pipelines" / "sales.yaml"
    file.write_text(
        file.read_text().replace("partition: data.day\n    part", "partition: data.date\n    part")
    )
    assert (await post(client, "reload"))[0] == 200
    status, receipt = await post(client, "events/1/redrive")
    assert (status, receipt["state"]) == (200, "accepted")
    assert [(each["dataset"], each["part"]) for each in receipt["arrivals"]] == [("orders", "eu")]
    _, stored = await get(client, "events/1")
    assert (stored["state"], len(stored["arrivals"])) == ("accepted", 1)
    status, receipt = await post(client, "events/1/redrive")
    assert (status, receipt["arrivals"]) == (200, [])


async def test_a_reload_of_wrong_files_says_where_and_changes_nothing(
    client: aiohttp.ClientSession, service: Running
) -> None:
    file = service.home.path / "pipelines" / "gated.yaml"
    file.write_text(GATED.replace("max_active_runs: 4", "max_active_runs: many"))
    async with client.post("/api/v1/reload") as response:
        problem = await response.json(content_type=None)
        assert (response.status, response.content_type) == (422, "application/problem+json")
    (error,) = problem["errors"]
    assert (error["file"], error["line"], error["path"]) == ("pipelines/gated.yaml", 4, "max_active_runs")
    assert "many" in error["message"] and error["column"] > 0
    assert (await get(client, "pipelines/gated"))[1]["max_active_runs"] == 4
    file.write_text(GATED.replace("max_active_runs: 4", "max_active_runs: 5"))
    assert (await post(client, "reload"))[0] == 200
    assert (await get(client, "pipelines/gated"))[1]["max_active_runs"] == 5


# Alerts and callbacks


async def test_an_alert_is_listed_while_it_is_open_and_with_all_when_it_is_over(
    client: aiohttp.ClientSession, service: Running
) -> None:
    run_id = await failed_run(client, service)
    _, page = await get(client, "alerts")
    (alert,) = page["items"]
    assert (alert["kind"], alert["state"], alert["pipeline"], alert["run"]) == (
        "failed",
        "open",
        "sales",
        run_id,
    )
    assert "check" in alert["text"] and alert["resolved_at"] is None
    (service.home.path / "checked.ok").touch()
    await ready(client, "delivered", DAY)
    await post(client, "ready", {"dataset": "pushed"})
    await post(client, f"runs/{run_id}/retry")
    await until(service, lambda: run_state(service, "sales", DAY) == "succeeded")
    assert (await get(client, "alerts?state=open"))[1]["items"] == []
    _, page = await get(client, "alerts?state=all")
    assert [(each["id"], each["state"]) for each in page["items"]] == [(alert["id"], "resolved")]
    assert (await get(client, "alerts?state=closed"))[0] == 400


async def test_a_late_partition_shows_when_it_was_expected(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "pipelines").mkdir(parents=True)
    (home / "pipelines" / "p.yaml").write_text(
        "name: p\nstart: 2026-01-01\n"
        "datasets: {feed: {expect: '02:00', complete: {parts: [a, b]}}}\n"
        "tasks: {load: {inputs: [feed], run: ['true']}}\n"
    )
    async with serving(home) as service, client_of(service) as client:
        await ready(client, "feed", "2026-01-05", part="a")
        _, page = await get(client, "datasets/feed/partitions")
        (partition,) = page["items"]
        assert (partition["expected_at"], partition["late"]) == ("2026-01-06T02:00:00Z", True)
        await ready(client, "feed", "2026-01-05", part="b")
        _, page = await get(client, "datasets/feed/partitions")
        assert page["items"][0]["late"] is False
        _, feed = await get(client, "datasets/feed")
        assert (feed["expect"], feed["late"]) == ({"clock": "02:00"}, [])


async def test_a_callback_ends_its_attempt_once_and_only_with_its_token(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "pipelines").mkdir(parents=True)
    async with receiving(answering(202)) as receiver:
        (home / "pipelines" / "p.yaml").write_text(
            "name: p\ntasks: {call: {inputs: [go], "
            f"http: {{url: '{receiver.url}/work?key=canary', wait: callback}}, retries: {{max: 0}}}}}}\n"
        )
        async with serving(home) as service, client_of(service) as client:
            await ready(client, "go", DAY)
            await asyncio.wait_for(receiver.came.wait(), 20)
            context = json.loads(receiver.requests[0].body)
            path = context["callback"].removeprefix(f"{service.url}/api/v1/")
            assert await post(client, path, {"state": "running"}) == (200, {"state": "running"})
            assert (await post(client, path, {"state": "done"}))[0] == 422
            assert (await post(client, "callbacks/nobody", {"state": "succeeded"}))[0] == 404
            failed = {"state": "failed", "error": "no room"}
            assert (await post(client, path, failed))[0] == 200
            assert (await post(client, path, failed))[0] == 200
            assert (await post(client, path, {"state": "succeeded"}))[0] == 409
            await until(service, lambda: run_state(service, "p", DAY) == "failed")
            _, page = await get(client, "runs")
            assert page["items"][0]["tasks"][0]["attempts"][0]["error"] == "no room"
            async with client.get("/api/v1/pipelines/p") as response:
                text = await response.text()
            assert "canary" not in text and '"wait":"callback"' in text
