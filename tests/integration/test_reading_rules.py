"""Rules that read more than a path, from outside: what is read, rejected, and redriven after mending."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.app import Running
from tests.serving import client_of, serving

LANDED = """\
name: lake
partition: daily
timezone: America/New_York
datasets:
  files: {complete: {parts: [eu, us]}}
sensors:
  landed:
    type: webhook
    auth: none
    partition: {path: data.file, regex: "dt=([0-9.]+)/", format: "%Y.%m.%d"}
    part: {path: data.region, default: eu}
    id: {path: data.file, regex: "([^/]+)$"}
    time: {path: headers.x-sent, format: "%d/%b/%Y:%H:%M:%S %z"}
    dataset: files
tasks:
  load: {inputs: [files], run: ["true"]}
"""
SENT = {"X-Sent": "02/Mar/2026:05:06:07 +0100"}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "lake.yaml").write_text(LANDED)
    async with serving(tmp_path) as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


async def land(client: aiohttp.ClientSession, file: str, **more: Any) -> Any:
    async with client.post("/hooks/lake/landed", json={"file": file, **more}, headers=SENT) as response:
        assert response.status == 202
        (event,) = (await response.json())["events"]
    return event


async def test_partition_part_id_and_time_are_read_as_the_rule_says(client: aiohttp.ClientSession) -> None:
    event = await land(client, "s3://lake/dt=2026.03.01/a.csv", region="us")
    assert (event["id"], event["arrivals"]) == (
        "a.csv",
        [{"dataset": "files", "partition": "2026-03-01", "part": "us", "version": 1}],
    )
    event = await land(client, "s3://lake/dt=2026.03.01/b.csv")
    assert event["arrivals"][0]["part"] == "eu"
    assert (await land(client, "s3://lake/dt=2026.03.02/b.csv"))["state"] == "duplicate"
    async with client.get("/api/v1/events/1") as response:
        assert (await response.json())["time"] == "2026-03-02T05:06:07+01:00"


async def test_what_is_rejected_is_redriven_after_the_rule_is_mended(
    service: Running, client: aiohttp.ClientSession
) -> None:
    event = await land(client, "s3://lake/dt=02-03-2026/a.csv")
    assert (event["state"], event["arrivals"]) == ("rejected", [])
    assert event["reason"] == (
        "sensor lake/landed could not read it: data.file: expected a text that fits dt=([0-9.]+)/, "
        'found "s3://lake/dt=02-03-2026/a.csv"'
    )
    file = service.home.path / "pipelines" / "lake.yaml"
    file.write_text(
        LANDED.replace('"dt=([0-9.]+)/", format: "%Y.%m.%d"', '"dt=([0-9-]+)/", format: "%d-%m-%Y"')
    )
    async with client.post("/api/v1/reload") as response:
        assert response.status == 200
    async with client.post(f"/api/v1/events/{event['seq']}/redrive") as response:
        again = await response.json()
    assert (again["state"], again["reason"]) == ("accepted", None)
    assert [arrival["partition"] for arrival in again["arrivals"]] == ["2026-03-02"]


async def test_a_reload_with_a_rule_that_cannot_be_is_refused_with_file_line_and_column(
    service: Running, client: aiohttp.ClientSession
) -> None:
    file = service.home.path / "pipelines" / "lake.yaml"
    file.write_text(LANDED.replace("dt=([0-9.]+)/", "(dt)=([0-9.]+)/"))
    async with client.post("/api/v1/reload") as response:
        problem = await response.json(content_type=None)
    assert response.status == 422
    (error,) = problem["errors"]
    assert (error["file"], error["line"], error["column"]) == ("pipelines/lake.yaml", 10, 41)
    assert error["path"] == "sensors.landed.partition.regex"
    assert "one group in round brackets" in error["message"]
    assert (await land(client, "s3://lake/dt=2026.03.01/a.csv"))["state"] == "accepted"
