"""What Prometheus reads: a service that did something tells so, in a form that its own parser takes."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sensorflow.app import Running
from sensorflow.core.measures import Histogram
from tests.serving import SECRETS, client_of, make_home, serving, task_state, until

DAY = "2026-03-08"


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    async with serving(make_home(tmp_path / "home")) as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


async def scraped(client: aiohttp.ClientSession) -> dict[str, float]:
    """Return every sample as `name{label=value}`, without those of the process."""
    async with client.get("/metrics") as response:
        assert (response.status, response.content_type) == (200, "text/plain")
        families = list(text_string_to_metric_families(await response.text()))
    assert all(family.documentation for family in families)
    return {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sample.labels.items()): sample.value
        for family in families
        for sample in family.samples
    }


async def test_what_the_service_did_is_counted(client: aiohttp.ClientSession, service: Running) -> None:
    before = await scraped(client)
    assert before["sensorflow_events_total{state=accepted}"] == 0
    assert "sensorflow_sensor_lag_seconds{pipeline=sales}{sensor=open}" not in before
    await client.post("/hooks/sales/open", json={"n": 1}, headers={"webhook-id": "1"})
    await client.post("/hooks/sales/open", json={"n": 1}, headers={"webhook-id": "1"})
    await client.post("/api/v1/ready", json={"dataset": "orders", "partition": DAY})
    await until(service, lambda: task_state(service, DAY, "check") == "failed")
    found = await scraped(client)
    assert found["sensorflow_events_total{state=accepted}"] == 2
    assert found["sensorflow_events_total{state=duplicate}"] == 1
    assert found["sensorflow_arrivals_total{dataset=orders}"] == 1
    assert found["sensorflow_attempts_total{state=succeeded}"] == 1
    assert found["sensorflow_attempts_total{state=failed}"] == 1
    assert found["sensorflow_firing_seconds_count"] == 2
    assert found["sensorflow_commit_seconds_count"] > before["sensorflow_commit_seconds_count"]
    assert found["sensorflow_runs{pipeline=sales}{state=failed}"] == 1
    assert found["sensorflow_alerts_open{kind=failed}"] == 1
    assert found["sensorflow_sensor_up{pipeline=sales}{sensor=open}"] == 1
    assert 0 <= found["sensorflow_sensor_lag_seconds{pipeline=sales}{sensor=open}"] < 60
    assert found["sensorflow_sensor_up{pipeline=-}{sensor=anybody}"] == 1
    assert (found["sensorflow_tasks_queued"], found["sensorflow_attempts_running"]) == (0, 0)
    assert (found["sensorflow_ready"], found["sensorflow_inbox_messages"]) == (1, 0)
    assert found["process_resident_memory_bytes"] > 0


def test_a_time_on_a_bound_of_a_histogram_belongs_below_it() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds)
    assert (histogram.counts, histogram.total_s) == ([2, 1, 1], 7.65)


def test_a_service_that_nobody_scrapes_starts_without_the_library() -> None:
    code = "import sensorflow.app, sys; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_every_metric_is_told_in_the_reference_and_no_other(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics") as response:
        names = re.findall(r"^# TYPE (sensorflow_\w+) (\w+)", await response.text(), flags=re.MULTILINE)
    reference = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
    told = re.findall(r"^\| `(sensorflow_\w+)` \| (\w+) \|", reference, flags=re.MULTILINE)
    assert sorted(told) == sorted(names)
