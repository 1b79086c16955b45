"""The stream of changes: what comes, in which order, and that who comes back misses nothing or is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.app import Running
from sensorflow.core.changes import Changes
from sensorflow.core.state import PipelineRow
from sensorflow.web.feed import Feed
from tests.operating import make_operators_home
from tests.serving import SECRETS, client_of, serving, task_state, until

DAY = "2026-03-08"
PATIENCE_S = 20


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


class Follower:
    """Reads a stream as the HTML standard says."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""
        self.pings = 0

    async def next(self) -> tuple[str, Any]:
        """Return name and data of the next event."""
        name, data = "message", ""
        async with asyncio.timeout(PATIENCE_S):
            while line := (await self.response.content.readline()).decode():
                field, _, value = line.rstrip("\n").partition(": ")
                if field == "id":
                    self.last_id = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data = value
                elif line.startswith(":"):
                    self.pings += 1
                elif line == "\n" and data:
                    return name, json.loads(data)
        raise EOFError

    async def until(self, wanted: str, **fields: Any) -> Any:
        """Return the data of the next event of a name that has these fields; others are passed over."""
        while True:
            name, data = await self.next()
            if name == wanted and fields.items() <= data.items():
                return data


async def ready(client: aiohttp.ClientSession, dataset: str, partition: str, **more: Any) -> int:
    body = {"dataset": dataset, "partition": partition, **more}
    async with client.post("/api/v1/ready", json=body) as response:
        assert response.status == 202
        seq: int = (await response.json())["events"][0]["seq"]
        return seq


def follow(client: aiohttp.ClientSession, query: str = "", **headers: str) -> Any:
    return client.get(f"/api/v1/stream{query}", headers=headers)


async def test_an_arrival_and_what_follows_from_it_come_in_order(
    client: aiohttp.ClientSession, service: Running
) -> None:
    async with follow(client) as response:
        assert response.content_type == "text/event-stream"
        assert response.headers["X-Accel-Buffering"] == "no"
        follower = Follower(response)
        assert await follower.next() == ("reset", {"reason": "start"})
        seq = await ready(client, "orders", DAY)
        name, event = await follower.next()
        assert (name, event["seq"], event["state"], event["datasets"]) == (
            "event",
            seq,
            "accepted",
            ["orders"],
        )
        assert await follower.next() == (
            "partition",
            {"dataset": "orders", "partition": DAY, "ready": True, "version": 1},
        )
        name, run = await follower.next()
        assert (name, run["pipeline"], run["partition"]) == ("run", "sales", DAY)
        failed = await follower.until("run", state="failed")
        assert failed["tasks"] == {"check": "failed", "publish": "blocked"}
        alert = await follower.until("alert", state="open")
        assert (alert["kind"], alert["run"]) == ("failed", failed["id"])


async def test_who_comes_back_gets_what_was_missed_and_nothing_twice(
    client: aiohttp.ClientSession, service: Running
) -> None:
    async with follow(client) as response:
        follower = Follower(response)
        await follower.next()
        first = await ready(client, "orders", DAY, part="eu")
        assert (await follower.until("event"))["seq"] == first
        last_id = follower.last_id
    missed = await ready(client, "orders", "2026-03-09", part="eu")
    async with follow(client, **{"Last-Event-ID": last_id}) as response:
        names = []
        follower = Follower(response)
        while not names or names[-1] != "event":
            name, data = await follower.next()
            names.append(name)
        assert (data["seq"], "reset" in names) == (missed, False)


@pytest.mark.parametrize("last_id", ["", "nonsense", "00000000-1", "é"])
async def test_an_id_that_is_not_known_is_told(client: aiohttp.ClientSession, last_id: str) -> None:
    async with follow(client, **{"Last-Event-ID": last_id}) as response:
        assert await Follower(response).next() == ("reset", {"reason": "unknown"})


async def test_only_what_is_of_the_pipeline_that_is_asked_for_comes(client: aiohttp.ClientSession) -> None:
    async with follow(client, "?pipeline=gated") as response:
        follower = Follower(response)
        await follower.next()
        await ready(client, "orders", DAY, part="eu")
        seq = await ready(client, "go", DAY)
        name, event = await follower.next()
        assert (name, event["seq"]) == ("event", seq)


async def test_a_pause_a_backfill_and_a_reload_are_told(client: aiohttp.ClientSession) -> None:
    async with follow(client) as response:
        follower = Follower(response)
        await follower.next()
        await client.post("/api/v1/pipelines/gated/pause")
        assert await follower.until("pipeline") == {"name": "gated", "paused": True}
        await client.post("/api/v1/backfills", json={"pipeline": "gated", "from": DAY, "to": DAY})
        assert (await follower.until("backfill"))["pipeline"] == "gated"
        await client.post("/api/v1/reload")
        assert (await follower.until("definitions"))["pipelines"] > 1


async def test_what_an_unknown_pipeline_does_is_400(client: aiohttp.ClientSession) -> None:
    async with follow(client, "?pipeline=nothing") as response:
        assert (response.status, response.content_type) == (400, "application/problem+json")


async def test_a_silent_stream_is_kept_alive(
    client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorflow.web.stream.PING_S", 0.01)
    async with follow(client) as response:
        follower = Follower(response)
        await follower.next()
        line = b""
        async with asyncio.timeout(PATIENCE_S):
            while not line.startswith(b": ping"):
                line = await response.content.readline()


async def test_nothing_is_noted_while_nobody_follows(client: aiohttp.ClientSession, service: Running) -> None:
    assert service.service.watch is None
    async with follow(client) as response:
        await Follower(response).next()
        assert service.service.watch is not None


async def test_a_stop_of_the_service_ends_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    async with aiohttp.ClientSession() as session:
        async with serving(make_operators_home(tmp_path / "home")) as service:
            response = await session.get(f"{service.url}/api/v1/stream")
            await Follower(response).next()
        with pytest.raises(EOFError):
            await Follower(response).next()


def paused(name: str) -> Changes:
    return Changes(pipelines={name: PipelineRow(name=name, paused=True, paused_in_file=False)})


class WatchedService:
    """As much of the service as a feed asks for."""

    def __init__(self) -> None:
        self.told: Any = None
        self.left = asyncio.Event()

    def watch(self, told: Any) -> None:
        self.told = told
        if told is None:
            self.left.set()

    def definitions(self) -> None:
        return None


async def test_who_is_too_slow_falls_off_the_end_and_no_more_is_kept() -> None:
    service = WatchedService()
    feed: Any = Feed(service, kept=3)  # type: ignore[arg-type]
    with feed.followed():
        start = feed.last
        for name in ("a", "b", "c"):
            service.told(paused(name))
        assert feed.knows(start)
        assert [json.loads(notice.data)["name"] for notice in feed.behind(start)] == ["a", "b", "c"]
        service.told(paused("d"))
        assert not feed.knows(start)
        assert feed.number_of(feed.id_of(start)) is None
        assert [json.loads(notice.data)["name"] for notice in feed.behind(start + 1)] == ["b", "c", "d"]


async def test_what_came_while_nobody_was_listening_is_never_taken_for_nothing() -> None:
    service = WatchedService()
    feed: Any = Feed(service, linger_s=0)  # type: ignore[arg-type]
    with feed.followed():
        service.told(paused("a"))
        seen = feed.id_of(feed.last)
        assert feed.number_of(seen) == feed.last
    await service.left.wait()
    with feed.followed():
        assert feed.number_of(seen) is None
        assert feed.knows(feed.last)


async def test_a_run_of_many_tasks_ends_with_the_states_that_the_api_tells(
    client: aiohttp.ClientSession, service: Running
) -> None:
    told: dict[str, str] = {}
    async with follow(client) as response:
        follower = Follower(response)
        await follower.next()
        await ready(client, "orders", DAY)
        await until(service, lambda: task_state(service, DAY, "check") == "failed")
        while "check" not in told or told["check"] != "failed":
            told.update((await follower.until("run", pipeline="sales"))["tasks"])
    async with client.get(f"/api/v1/runs?pipeline=sales&partition={DAY}") as response:
        (run,) = (await response.json())["items"]
    states = {task["name"]: task["state"] for task in run["tasks"]}
    assert told == {name: state for name, state in states.items() if name in told}
    assert {"load", "check", "publish"} <= told.keys()
