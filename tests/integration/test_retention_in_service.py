"""What is old goes from the store and disk of a real service while it serves, and what is answered then."""

from pathlib import Path

import aiohttp
import pytest

from sensorflow.app import Running
from tests.serving import client_of, serving, until

KEEP = """\
name: keep
tasks:
  load:
    inputs: [a]
    run: [echo, "{partition}"]
  join:
    inputs: [a, b]
    run: ["true"]
"""
DONE = """\
name: done
tasks:
  load:
    inputs: [c]
    run: [echo, "{partition}"]
"""
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "pipelines").mkdir()
    for name, text in (("keep", KEEP), ("done", DONE)):
        (tmp_path / "pipelines" / f"{name}.yaml").write_text(text)
    return tmp_path


async def ready(client: aiohttp.ClientSession, dataset: str, day: str) -> int:
    body = {"dataset": dataset, "partition": day, "id": f"{dataset}-{day}"}
    async with client.post("/api/v1/ready", json=body) as response:
        assert response.status == 202
        return int((await response.json())["events"][0]["seq"])


async def refused(client: aiohttp.ClientSession, path: str) -> str:
    async with client.get(path) as response:
        assert response.status == 404
        return str((await response.json())["detail"])


def ended(service: Running, partition: str) -> bool:
    run = service.store.reader.run_of("done", partition)
    return run is not None and not run.open


async def test_what_is_old_goes_while_the_service_serves_and_what_waits_keeps_what_it_needs(
    home: Path,
) -> None:
    kept = {f"retention_{what}": "1s" for what in ("events", "runs", "logs")}
    async with serving(home, **kept) as service, client_of(service) as client:
        seqs = {(name, day): await ready(client, name, day) for name in "ac" for day in DAYS}
        runs = [service.store.reader.run_of("done", day) for day in DAYS]
        logs = [home / ".sensorflow" / "logs" / run.id for run in runs if run is not None]
        assert len(logs) == 3
        gone = ("c", DAYS[0])
        reader = service.store.reader
        await until(service, lambda: reader.event(seqs[gone]) is None)
        await until(service, lambda: all(reader.past_run("done", day) for day in DAYS))
        await until(service, lambda: not any(log.exists() for log in logs))
        assert [reader.event(seqs["a", day]) is not None for day in DAYS] == [True] * 3
        assert all(reader.run_of("keep", day) is not None for day in DAYS)

        number = seqs[gone]
        told = await refused(client, f"/api/v1/events/{number}")
        assert told == f"event {number} is not kept any more (retention_events); its identity is"
        assert await refused(client, "/api/v1/events/999") == 'there is no event "999"'
        assert await ready(client, *gone) == number
        run = runs[0]
        assert run is not None
        assert await refused(client, f"/api/v1/runs/{run.id}") == f'there is no run "{run.id}"'
        async with client.get(f"/api/v1/pipelines/done/why?partition={DAYS[0]}") as response:
            (task,) = (await response.json())["tasks"]
            assert "is not kept any more" in task["waiting_for"][0]["text"]


async def test_the_log_of_a_run_that_is_kept_may_be_gone(home: Path) -> None:
    async with serving(home, retention_logs="1s") as service, client_of(service) as client:
        await ready(client, "c", DAYS[0])
        await until(service, lambda: ended(service, DAYS[0]))
        run = service.store.reader.run_of("done", DAYS[0])
        assert run is not None
        log = f"/api/v1/runs/{run.id}/tasks/load/log"
        await until(service, lambda: not (home / ".sensorflow" / "logs" / run.id).exists())
        assert (
            await refused(client, log) == f"the logs of run {run.id} are not kept any more (retention_logs)"
        )
        async with client.get(f"/api/v1/runs/{run.id}") as response:
            assert (await response.json())["state"] == "succeeded"
