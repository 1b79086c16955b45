"""What the page's first look is made of: newest runs, partitions with their tasks, events of each minute."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.app import Running
from sensorflow.clock import SystemClock
from sensorflow.core.lateness import newest_ended
from sensorflow.core.vocabulary import Grain, Partitioning
from tests.access import bearer, new_token
from tests.operating import get, post, ready
from tests.serving import client_of, serving, until

PIPELINES = {
    "dated": "start: 2026-03-01\nend: 2026-03-05\ntasks: {load: {inputs: [go], run: [sh, -c, 'exit 1']}, "
    "after: {after: [load], run: ['true']}}",
    "endless": "tasks: {load: {inputs: [come], run: ['true']}}",
    "regions": "partition: {keys: [eu, us, jp]}\ntasks: {load: {inputs: [sold], run: ['true']}}",
    "orders": "partition: key\ntasks: {load: {inputs: [ordered], run: ['true']}}",
    "whole": "partition: none\ntasks: {load: {inputs: [news], run: ['true']}}",
}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    (tmp_path / "home" / "pipelines").mkdir(parents=True)
    for name, text in PIPELINES.items():
        (tmp_path / "home" / "pipelines" / f"{name}.yaml").write_text(f"name: {name}\n{text}\n")
    async with serving(tmp_path / "home") as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


async def partitions(client: aiohttp.ClientSession, pipeline: str, limit: int = 50) -> list[dict[str, Any]]:
    """Return a pipeline's partitions, page by page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        after = f"&cursor={cursor}" if cursor else ""
        status, page = await get(client, f"pipelines/{pipeline}/partitions?limit={limit}{after}")
        assert status == 200 and len(page["items"]) <= limit, page
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = page["next"]


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 50])
async def test_dated_partitions_go_back_to_the_start_with_and_without_a_run(
    client: aiohttp.ClientSession, service: Running, limit: int
) -> None:
    await ready(client, "go", "2026-03-03")

    def state() -> str:
        run = service.store.reader.run_of("dated", "2026-03-03")
        return run.state.value if run else ""

    await until(service, lambda: state() == "failed")
    found = await partitions(client, "dated", limit)
    assert [item["partition"] for item in found] == [f"2026-03-0{day}" for day in (5, 4, 3, 2, 1)]
    runs = [item["run"] for item in found]
    assert (runs[0], runs[4]) == (None, None)
    assert (runs[2]["state"], runs[2]["generation"], runs[2]["stale"]) == ("failed", 1, False)
    assert runs[2]["tasks"] == {"load": "failed", "after": "blocked"}
    _, page = await get(client, "pipelines/dated/partitions?begin=run&limit=2")
    assert [item["partition"] for item in page["items"]] == ["2026-03-03", "2026-03-02"]
    assert (found[2]["start"], found[2]["end"]) == ("2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z")


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_partitions_without_a_start_go_back_to_the_oldest_with_a_run(
    client: aiohttp.ClientSession, limit: int
) -> None:
    newest = newest_ended(Partitioning(Grain.DAILY), SystemClock().now())
    assert [item["partition"] for item in await partitions(client, "endless", limit)] == [newest]
    await ready(client, "come", "2126-01-03")
    await ready(client, "come", "2125-12-31")
    found = await partitions(client, "endless", limit)
    days = ["2126-01-03", "2126-01-02", "2126-01-01", "2125-12-31"]
    assert [item["partition"] for item in found] == days
    assert [item["run"] is not None for item in found] == [True, False, False, True]


async def test_listed_keys_are_all_there_and_others_are_those_that_have_a_run(
    client: aiohttp.ClientSession,
) -> None:
    await ready(client, "sold", "us")
    await ready(client, "ordered", "b-7")
    await ready(client, "ordered", "a-9")
    await post(client, "ready", {"dataset": "news"})
    listed = await partitions(client, "regions", 2)
    assert [(item["partition"], item["run"] is not None) for item in listed] == [
        ("eu", False),
        ("us", True),
        ("jp", False),
    ]
    assert [item["partition"] for item in await partitions(client, "orders", 1)] == ["a-9", "b-7"]
    (whole,) = await partitions(client, "whole")
    assert "partition" not in whole and whole["start"] is None and set(whole["run"]["tasks"]) == {"load"}


async def test_the_newest_runs_of_each_pipeline_come_with_the_list_where_they_are_asked_for(
    client: aiohttp.ClientSession,
) -> None:
    for day in ("2026-03-04", "2026-03-02", "2026-03-03"):
        await ready(client, "go", day)
    for key in ("z", "a"):
        await ready(client, "ordered", key)
    _, page = await get(client, "pipelines?recent=2")
    recent = {item["name"]: [run["partition"] for run in item["recent"]] for item in page["items"]}
    assert recent == {
        "dated": ["2026-03-04", "2026-03-03"],
        "endless": [],
        "orders": ["a", "z"],
        "regions": [],
        "whole": [],
    }
    assert set(page["items"][0]["recent"][0]) == {"id", "partition", "state", "stale"}
    _, page = await get(client, "pipelines")
    assert all("recent" not in item for item in page["items"])
    assert (await get(client, "pipelines?recent=101"))[0] == 400


async def test_events_are_counted_by_minute(client: aiohttp.ClientSession) -> None:
    _, before = await get(client, "events/rates")
    assert len(before["items"]) == 60 and sum(item["events"] for item in before["items"]) == 0
    for number in range(3):
        await ready(client, "ordered", f"k{number}")
    status, rates = await get(client, "events/rates?minutes=2")
    assert status == 200 and len(rates["items"]) == 2
    # The outputs of tasks would be events too; these have none.
    assert sum(item["events"] for item in rates["items"]) == 3
    assert all(set(item) == {"at", "events", "rejected"} for item in rates["items"])
    assert (await get(client, "events/rates?minutes=181"))[0] == 400


async def test_a_token_that_is_limited_sees_its_own_grid_and_no_rates(
    client: aiohttp.ClientSession, service: Running
) -> None:
    headers = bearer(await new_token(service.home.path, "read", "dated"))

    async def status(path: str) -> int:
        async with client.get(f"/api/v1/{path}", headers=headers) as response:
            return response.status

    assert await status("pipelines/dated/partitions") == 200
    assert await status("pipelines/orders/partitions") == 404
    assert await status("events/rates") == 403


async def test_a_cursor_of_another_pipeline_is_refused(client: aiohttp.ClientSession) -> None:
    await post(client, "runs", {"pipeline": "regions", "partition": "eu"})
    _, page = await get(client, "pipelines/regions/partitions?limit=1")
    assert (await get(client, f"pipelines/dated/partitions?cursor={page['next']}"))[0] == 400
    _, page = await get(client, "pipelines/dated/partitions?limit=1")
    assert (await get(client, f"pipelines/regions/partitions?cursor={page['next']}"))[0] == 400
