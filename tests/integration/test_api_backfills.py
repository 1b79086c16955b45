"""Backfills over the REST API: planned, made, watched, taken back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.app import Running
from tests.operating import DAY, failed_run, get, make_operators_home, post, ready, run_state
from tests.serving import SECRETS, client_of, serving, until


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


async def test_a_backfill_makes_a_run_for_every_partition_and_shows_how_far_it_is(
    client: aiohttp.ClientSession, service: Running
) -> None:
    body = {"pipeline": "gated", "from": "2026-02-27", "to": "2026-03-02", "reason": "new logic"}
    async with client.post("/api/v1/backfills", json=body) as response:
        backfill = await response.json()
        assert (response.status, response.headers["Location"]) == (
            201,
            f"/api/v1/backfills/{backfill['id']}",
        )
    assert (backfill["from"], backfill["to"], backfill["only"], backfill["order"]) == (
        "2026-02-27",
        "2026-03-02",
        "missing",
        "oldest",
    )
    assert (backfill["max_active"], backfill["total"], backfill["state"], backfill["reason"]) == (
        2,
        4,
        "waiting",
        "new logic",
    )
    _, page = await get(client, f"runs?backfill={backfill['id']}")
    assert sorted(run["partition"] for run in page["items"]) == [
        "2026-02-27",
        "2026-02-28",
        "2026-03-01",
        "2026-03-02",
    ]
    assert {(run["backfill"], run["trigger"], run["state"]) for run in page["items"]} == {
        (backfill["id"], "backfill", "waiting")
    }
    (service.home.path / "open").touch()
    for run in page["items"]:
        await ready(client, "go", run["partition"])
    for run in page["items"]:
        partition = run["partition"]
        await until(service, lambda day=partition: run_state(service, "gated", day) == "succeeded")
    _, done = await get(client, f"backfills/{backfill['id']}")
    assert (done["state"], done["runs"]["succeeded"], done["runs"]["waiting"]) == ("succeeded", 4, 0)
    _, page = await get(client, "backfills")
    assert [item["id"] for item in page["items"]] == [backfill["id"]]
    assert (await get(client, "backfills/none"))[0] == 404


async def test_a_dry_run_says_what_would_be_made_and_wait_and_makes_nothing(
    client: aiohttp.ClientSession, service: Running
) -> None:
    await failed_run(client, service)
    before = len((await get(client, "runs"))[1]["items"])
    body = {"pipeline": "sales", "from": "2026-03-07", "to": "2026-03-09", "dry_run": True}
    status, plan = await post(client, "backfills", body)
    assert (status, plan["total"]) == (200, 2)
    assert [(step["partition"], step["action"], step["state"]) for step in plan["items"]] == [
        ("2026-03-07", "make", None),
        (DAY, "skip", "failed"),
        ("2026-03-09", "make", None),
    ]
    waits = plan["items"][0]["waiting_for"]
    assert "orders" in {wait["dataset"] for wait in waits} and plan["items"][1]["waiting_for"] == []
    status, plan = await post(client, "backfills", {**body, "only": "failed"})
    assert (plan["total"], plan["items"][1]["action"]) == (1, "retry")
    status, plan = await post(client, "backfills", {**body, "only": "all", "order": "newest", "force": True})
    assert [(step["partition"], step["action"]) for step in plan["items"]] == [
        ("2026-03-09", "make"),
        (DAY, "rerun"),
        ("2026-03-07", "make"),
    ]
    assert plan["items"][0]["waiting_for"] == []
    assert len((await get(client, "runs"))[1]["items"]) == before
    assert (await get(client, "backfills"))[1]["items"] == []


async def test_keys_are_listed_and_several_dimensions_taken_whole_or_by_key(
    client: aiohttp.ClientSession,
) -> None:
    async def planned(**body: Any) -> list[str]:
        status, plan = await post(client, "backfills", {**body, "dry_run": True})
        assert status == 200, plan
        return [step["partition"] for step in plan["items"]]

    assert await planned(pipeline="keyed", partitions=["b", "a", "b"]) == ["b", "a"]
    assert await planned(pipeline="gated", partitions=["2026-02-02", "2026-02-01"]) == [
        "2026-02-01",
        "2026-02-02",
    ]
    assert await planned(**{"pipeline": "regions", "from": "2026-02-01", "to": "2026-02-02"}) == [
        "2026-02-01|eu",
        "2026-02-01|us",
        "2026-02-02|eu",
        "2026-02-02|us",
    ]
    assert await planned(**{"pipeline": "regions", "from": "2026-02-01|eu", "to": "2026-02-02|eu"}) == [
        "2026-02-01|eu",
        "2026-02-02|eu",
    ]


RANGE = {"pipeline": "gated", "from": "2026-02-01", "to": "2026-02-02"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**RANGE, "pipeline": "nobody"}, 404),
        ({"pipeline": "gated"}, 422),
        ({"pipeline": "gated", "from": "2026-02-01"}, 422),
        ({**RANGE, "partitions": ["2026-02-01"]}, 422),
        ({"pipeline": "gated", "partitions": []}, 422),
        ({"pipeline": "gated", "partitions": ["2026-02-01", "odd"]}, 422),
        ({**RANGE, "to": "2026-01-31"}, 422),
        ({**RANGE, "from": "2025-12-31"}, 422),
        ({**RANGE, "to": "2027-01-01"}, 422),
        ({**RANGE, "from": "someday"}, 422),
        ({**RANGE, "only": "some"}, 422),
        ({**RANGE, "order": "random"}, 422),
        ({**RANGE, "max_active": 0}, 422),
        ({**RANGE, "max_active": True}, 422),
        ({**RANGE, "pipeline": "chain", "order": "newest"}, 422),
        ({"pipeline": "sales", "from": "2026-01-01", "to": "2099-01-01"}, 422),
        ({**RANGE, "pipeline": "keyed"}, 422),
        ({**RANGE, "pipeline": "whole"}, 422),
        ({"pipeline": "regions", "from": "2026-02-01|eu", "to": "2026-02-02|us"}, 422),
    ],
)
async def test_a_backfill_that_cannot_be_is_refused_dry_or_not(
    client: aiohttp.ClientSession, body: dict[str, Any], status: int
) -> None:
    for dry_run in (True, False):
        found, problem = await post(client, "backfills", {**body, "dry_run": dry_run})
        assert (found, bool(problem["detail"]), "errors" in problem) == (status, True, status == 422)
    assert (await get(client, "runs"))[1]["items"] == []


async def test_a_cancelled_backfill_takes_back_what_has_not_started(
    client: aiohttp.ClientSession, service: Running
) -> None:
    await ready(client, "go", "2026-02-01")
    await until(service, lambda: service.store.reader.running_count(None))
    _, adopted = await post(client, "runs", {"pipeline": "gated", "partition": "2026-02-02"})
    _, backfill = await post(client, "backfills", {**RANGE, "to": "2026-02-04"})
    assert backfill["total"] == 3
    status, cancelled = await post(client, f"backfills/{backfill['id']}/cancel", {"reason": "enough"})
    assert (status, cancelled["state"]) == (200, "cancelled")
    assert (cancelled["runs"]["cancelled"], cancelled["cancelled_at"] is None) == (2, False)
    assert (await get(client, f"runs/{adopted['id']}"))[1]["state"] == "waiting"
    assert run_state(service, "gated", "2026-02-01") == "running"
    assert (await post(client, f"backfills/{backfill['id']}/cancel"))[0] == 409


async def test_who_lists_many_partitions_of_a_dry_run_does_not_hold_up_others(
    client: aiohttp.ClientSession,
) -> None:
    body = {"pipeline": "sales", "from": "2026-01-01", "to": "2027-12-31", "dry_run": True}
    planning = asyncio.create_task(post(client, "backfills", body))
    await get(client, "sensors")
    answered_meanwhile = not planning.done()
    status, plan = await planning
    assert (status, plan["total"], answered_meanwhile) == (200, 730, True)
