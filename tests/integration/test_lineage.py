"""OpenLineage from outside: its own client, pointed at the service, tells of runs; outputs are ready."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import (
    DatasetEvent,
    Job,
    JobEvent,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    StaticDataset,
)
from openlineage.client.generated.base_subset_dataset import (
    LocationSubsetCondition,
    OutputSubsetOutputDatasetFacet,
    Partition,
    PartitionSubsetCondition,
)
from openlineage.client.generated.nominal_time_run import NominalTimeRunFacet
from openlineage.client.transport.async_http import AsyncHttpConfig, AsyncHttpTransport
from openlineage.client.transport.http import HttpConfig, HttpTransport

from sensorflow.app import Running
from tests.serving import client_of, serving, until

RUN = "0191f0e8-1d9c-7c3e-8f5a-4c1f3a5b7d90"
AT = "2026-03-09T04:00:00.000Z"
#: A day of New York, as a scheduler in UTC spells its midnight there.
NOMINAL = "2026-03-08T00:00:00.000Z"

LAKE = """\
name: lake
timezone: America/New_York
start: 2026-01-01
datasets:
  hours: {partition: hourly}
  regional: {partition: {several: {day: daily, region: {keys: [eu, us]}}}}
  files: {partition: daily}
sensors:
  clicks_from_spark: {type: openlineage, match: {dataset: ["warehouse/raw.clicks"]}, dataset: clicks}
  hours: {type: openlineage, match: {dataset: ["warehouse/raw.hours"]}, dataset: hours}
  regional: {type: openlineage, match: {dataset: ["warehouse/raw.regional"]}, dataset: regional}
  files:
    type: openlineage
    match: {dataset: [{prefix: "s3://lake/"}]}
    partition: {path: "output.outputFacets.subset.outputCondition.locations[0]", regex: "dt=([0-9-]+)"}
    dataset: files
  posted: {type: events, partition: data.day, dataset: posted}
tasks:
  count: {inputs: [clicks], run: [echo, "{partition}"]}
  other: {inputs: [{dataset: hours, partitions: all}, posted, files], run: ["true"]}
  each: {inputs: [{dataset: regional, partitions: {region: [eu]}}], run: ["true"]}
"""


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "lake.yaml").write_text(LAKE)
    (tmp_path / "pipelines" / "other.yaml").write_text("tasks: {t: {inputs: [another], run: x}}\n")
    async with serving(tmp_path, body_limit=20_000) as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


def output(name: str, *subset: dict[str, Any], namespace: str = "warehouse") -> OutputDataset:
    condition = PartitionSubsetCondition([Partition(dimensions) for dimensions in subset])
    facets = {"subset": OutputSubsetOutputDatasetFacet(condition)} if subset else {}
    return OutputDataset(namespace, name, outputFacets=facets)


def told(state: RunState, *outputs: OutputDataset, nominal: str | None = NOMINAL, at: str = AT) -> RunEvent:
    facets = {"nominalTime": NominalTimeRunFacet(nominal)} if nominal else {}
    return RunEvent(
        eventType=state,
        eventTime=at,
        run=Run(RUN, facets=facets),
        job=Job("spark", "clicks.daily"),
        outputs=list(outputs),
    )


async def emit(service: Running, *events: Any, **config: Any) -> None:
    """Send as somebody does who has set no more than the address."""

    def send() -> None:
        sender = OpenLineageClient(
            transport=HttpTransport(HttpConfig.from_dict({"url": service.url} | config))
        )
        for event in events:
            sender.emit(event)
        sender.close()

    await asyncio.to_thread(send)


async def post(client: aiohttp.ClientSession, body: Any) -> tuple[int, Any]:
    async with client.post("/api/v1/lineage", json=body) as response:
        return response.status, await response.json(content_type=None)


async def get(client: aiohttp.ClientSession, path: str) -> Any:
    async with client.get(f"/api/v1/{path}") as response:
        return await response.json()


def ready(service: Running, dataset: str) -> list[str]:
    rows = service.store.listing.partitions(dataset, after=None, limit=100)
    return sorted(row.partition for row in rows if row.ready)


async def test_only_complete_makes_an_output_ready_and_fires_its_task(
    service: Running, client: aiohttp.ClientSession
) -> None:
    clicks = output("raw.clicks")
    await emit(
        service, *(told(state, clicks) for state in (RunState.START, RunState.RUNNING, RunState.OTHER))
    )
    await emit(service, told(RunState.FAIL, clicks), told(RunState.ABORT, clicks))
    assert ready(service, "clicks") == []
    await emit(service, told(RunState.COMPLETE, clicks))
    assert ready(service, "clicks") == ["2026-03-08"]
    run = service.store.reader.run_of("lake", "2026-03-08")
    assert run is not None
    await until(service, lambda: service.store.reader.task(run.id, "count") is not None)
    events = (await get(client, "events"))["items"]
    assert [event["state"] for event in events] == ["unmatched"] * 5 + ["accepted"]
    assert events[-1]["source"] == "spark/clicks.daily"
    assert events[-1]["id"] == f"{RUN}/COMPLETE/{AT}"
    assert events[-1]["time"] == AT
    whole = await get(client, "events/6")
    assert whole["data"]["eventType"] == "COMPLETE"
    assert whole["extensions"] == {"outputs": ["warehouse/raw.clicks"]}
    sensor = await get(client, "sensors/lake/clicks_from_spark")
    assert (sensor["type"], sensor["accepted"], sensor["unmatched"]) == ("openlineage", 1, 0)


@pytest.mark.parametrize("config", [{"compression": "gzip"}, {"auth": {"type": "api_key", "apiKey": "k"}}])
async def test_the_options_of_the_client_are_understood(service: Running, config: dict[str, Any]) -> None:
    await emit(service, told(RunState.COMPLETE, output("raw.clicks")), **config)
    assert ready(service, "clicks") == ["2026-03-08"]


@pytest.mark.parametrize("compression", [None, "gzip"])
async def test_the_clients_asynchronous_transport_is_understood(
    service: Running, compression: str | None
) -> None:
    def send() -> None:
        config = {"url": service.url} | ({"compression": compression} if compression else {})
        transport = AsyncHttpTransport(AsyncHttpConfig.from_dict(config))
        sender = OpenLineageClient(transport=transport)
        sender.emit(told(RunState.START, output("raw.clicks")))
        sender.emit(told(RunState.COMPLETE, output("raw.clicks")))
        assert transport.wait_for_completion(20)
        assert transport.get_stats()["failed"] == 0
        sender.close()

    await asyncio.to_thread(send)
    assert ready(service, "clicks") == ["2026-03-08"]


async def test_a_nominal_time_is_the_date_that_it_is_written_as_and_an_hour_is_an_instant(
    service: Running,
) -> None:
    await emit(
        service,
        told(
            RunState.COMPLETE, output("raw.clicks"), output("raw.hours"), nominal="2026-03-08T01:30:00+02:00"
        ),
    )
    assert ready(service, "clicks") == ["2026-03-08"]
    assert ready(service, "hours") == ["2026-03-07T23Z"]


async def test_each_partition_of_the_subset_facet_is_ready_and_goes_before_the_nominal_time(
    service: Running,
) -> None:
    days = output("raw.clicks", {"dt": "2026-03-01"}, {"dt": "2026-03-02"}, {"dt": "2026-03-02T05:00:00"})
    regional = output("raw.regional", {"day": "2026-03-03", "region": "us"}, {"region": "eu"})
    await emit(service, told(RunState.COMPLETE, days, regional, output("raw.other")))
    assert ready(service, "clicks") == ["2026-03-01", "2026-03-02"]
    assert ready(service, "regional") == ["2026-03-03|us", "2026-03-08|eu"]
    (event,) = service.store.listing.events(after=0, dataset=None, state=None, limit=9)
    assert len(service.store.listing.arrivals(event.seq)) == 4


async def test_a_subset_of_more_dimensions_than_the_dataset_has_is_rejected_and_names_where(
    service: Running, client: aiohttp.ClientSession
) -> None:
    await emit(service, told(RunState.COMPLETE, output("raw.clicks", {"dt": "2026-03-01", "region": "eu"})))
    (event,) = (await get(client, "events?state=rejected"))["items"]
    assert event["reason"] == (
        "sensor lake/clicks_from_spark could not read it: "
        "partition: expected a day such as 2013-01-01 or an ISO 8601 instant, found an object"
    )


async def test_an_output_without_any_time_is_rejected_and_read_again_when_the_rule_is_mended(
    service: Running, client: aiohttp.ClientSession
) -> None:
    await emit(service, told(RunState.COMPLETE, output("raw.clicks"), nominal=None))
    (event,) = (await get(client, "events?state=rejected"))["items"]
    assert "data.run.facets.nominalTime.nominalStartTime: expected a field nominalTime" in event["reason"]
    file = service.home.path / "pipelines" / "lake.yaml"
    mended = file.read_text().replace(
        '["warehouse/raw.clicks"]}, dataset', '["warehouse/raw.clicks"]}, partition: data.eventTime, dataset'
    )
    file.write_text(mended)
    async with client.post("/api/v1/reload") as response:
        assert response.status == 200
    async with client.post(f"/api/v1/events/{event['seq']}/redrive") as response:
        again = await response.json()
    assert (again["state"], again["arrivals"][0]["partition"]) == ("accepted", "2026-03-09")
    assert ready(service, "clicks") == ["2026-03-09"]


async def test_of_many_partitions_that_cannot_be_read_some_reasons_are_kept(
    service: Running, client: aiohttp.ClientSession
) -> None:
    clicks = output("raw.clicks", *({"dt": f"day {number}"} for number in range(150)))
    await emit(service, told(RunState.COMPLETE, clicks))
    (event,) = (await get(client, "events?state=rejected"))["items"]
    assert len(event["reason"].split("; ")) == 100
    assert '"day 0"' in event["reason"] and '"day 99"' in event["reason"]


async def test_a_token_to_emit_is_the_clients_api_key(
    service: Running, client: aiohttp.ClientSession
) -> None:
    async def token(bearer: str | None, **body: Any) -> str:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else None
        async with client.post("/api/v1/tokens", json=body, headers=headers) as response:
            assert response.status == 201, await response.text()
            return str((await response.json())["token"])

    admin = await token(None, scope="admin")
    keys = [await token(admin, scope="emit", pipelines=[name]) for name in ("other", "lake")]
    keys.append(await token(admin, scope="emit"))
    made = told(RunState.COMPLETE, output("raw.clicks"))

    async def status_with(key: str | None) -> int:
        config = {"auth": {"type": "api_key", "apiKey": key}} if key else {}
        try:
            await emit(service, made, **config)
        except requests.HTTPError as error:
            return error.response.status_code
        return 202

    assert [await status_with(key) for key in (None, "wrong", keys[0])] == [401, 401, 403]
    assert ready(service, "clicks") == []
    assert [await status_with(key) for key in keys[1:]] == [202, 202]
    assert ready(service, "clicks") == ["2026-03-08"]


async def test_a_location_is_read_by_a_path_into_the_output(service: Running) -> None:
    condition = LocationSubsetCondition(["s3://lake/clicks/dt=2026-02-01/"])
    facets = {"subset": OutputSubsetOutputDatasetFacet(condition)}
    await emit(service, told(RunState.COMPLETE, OutputDataset("s3://lake", "clicks", outputFacets=facets)))
    assert ready(service, "files") == ["2026-02-01"]


async def test_events_of_jobs_and_datasets_are_kept_and_make_nothing_ready(
    service: Running, client: aiohttp.ClientSession
) -> None:
    job = JobEvent(eventTime=AT, job=Job("spark", "clicks.daily"), outputs=[output("raw.clicks")])
    await emit(service, job, DatasetEvent(eventTime=AT, dataset=StaticDataset("warehouse", "raw.clicks")))
    events = (await get(client, "events"))["items"]
    assert [(event["source"], event["id"], event["state"]) for event in events] == [
        ("spark/clicks.daily", f"job/{AT}", "unmatched"),
        ("warehouse/raw.clicks", f"dataset/{AT}", "unmatched"),
    ]
    assert ready(service, "clicks") == []


async def test_the_same_event_again_is_a_duplicate_and_a_later_one_a_new_version(
    service: Running, client: aiohttp.ClientSession
) -> None:
    first = told(RunState.COMPLETE, output("raw.clicks"))
    await emit(
        service, first, first, told(RunState.COMPLETE, output("raw.clicks"), at="2026-03-10T04:00:00Z")
    )
    events = (await get(client, "events"))["items"]
    assert [event["arrivals"][0]["version"] for event in events] == [1, 2]


async def test_lineage_is_for_openlineage_sensors_and_posted_events_are_not(
    service: Running, client: aiohttp.ClientSession
) -> None:
    body = {
        "specversion": "1.0", "id": "1", "source": "/x", "type": "t", "outputs": "warehouse/raw.clicks",
        "data": {"eventType": "COMPLETE", "outputs": [{"namespace": "warehouse", "name": "raw.clicks"}]},
    }  # fmt: skip
    headers = {"Content-Type": "application/cloudevents+json"}
    async with client.post("/api/v1/events", json=body, headers=headers) as response:
        (answer,) = (await response.json())["events"]
    assert (answer["state"], answer["arrivals"]) == ("rejected", [])
    async with client.post("/api/v1/events", json=body | {"outputs": []}, headers=headers) as response:
        assert response.status == 400
    await emit(service, told(RunState.COMPLETE, output("raw.nobody")))
    events = (await get(client, "events"))["items"]
    assert events[-1]["state"] == "unmatched"


def complete(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "eventType": "COMPLETE",
        "eventTime": AT,
        "run": {"runId": RUN},
        "job": {"namespace": "spark", "name": "clicks.daily"},
        "outputs": [{"namespace": "warehouse", "name": "raw.clicks"}],
        "producer": "https://example.com",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }
    return {name: value for name, value in (body | changes).items() if value is not ...}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ([complete()], ""),
        ({}, "/eventTime"),
        ({"eventTime": AT}, "/run"),
        (complete(run=...), "/run"),
        (complete(job=...), "/job"),
        (complete(run={}), "/run/runId"),
        (complete(run={"runId": 7}), "/run/runId"),
        (complete(job={"namespace": "spark"}), "/job/name"),
        (complete(job={"namespace": "spark", "name": "a\u0000b"}), "/job/name"),
        (complete(eventTime="today"), "/eventTime"),
        (complete(eventType="DONE"), "/eventType"),
        (complete(outputs={}), "/outputs"),
        (complete(outputs=[{"name": "raw.clicks"}]), "/outputs/0/namespace"),
        (complete(outputs=["warehouse/raw.clicks"]), "/outputs/0"),
        ({"eventTime": AT, "dataset": {"namespace": "warehouse"}}, "/dataset/name"),
    ],
)
async def test_what_is_no_lineage_event_is_422_with_its_place_and_not_stored(
    service: Running, client: aiohttp.ClientSession, body: Any, where: str
) -> None:
    status, problem = await post(client, body)
    assert (status, problem["status"]) == (422, 422)
    assert where in [error["where"] for error in problem["errors"]]
    assert service.store.listing.events(after=0, dataset=None, state=None, limit=9) == []


async def test_what_cannot_be_parsed_is_400_too_large_413_and_another_type_415(
    service: Running, client: aiohttp.ClientSession
) -> None:
    found = []
    for body, content_type in (
        (b"{", "application/json"),
        (json.dumps(complete(note="x" * 20_000)).encode(), "application/json"),
        (json.dumps(complete()).encode(), "text/plain"),
    ):
        headers = {"Content-Type": content_type}
        async with client.post("/api/v1/lineage", data=body, headers=headers) as response:
            found.append((response.status, response.content_type))
    assert found == [(status, "application/problem+json") for status in (400, 413, 415)]
    assert service.store.listing.events(after=0, dataset=None, state=None, limit=9) == []


@pytest.mark.parametrize(
    "facets",
    [
        {"subset": None},
        {"subset": {"outputCondition": "all"}},
        {"subset": {"outputCondition": {"partitions": [None, {"dimensions": []}, {"dimensions": {}}]}}},
        [],
    ],
)
async def test_a_facet_of_another_form_is_as_none(
    service: Running, client: aiohttp.ClientSession, facets: Any
) -> None:
    nominal = {"runId": RUN, "facets": {"nominalTime": {"nominalStartTime": NOMINAL}}}
    outputs = [{"namespace": "warehouse", "name": "raw.clicks", "outputFacets": facets}]
    status, answer = await post(client, complete(run=nominal, outputs=outputs))
    assert (status, answer["events"][0]["arrivals"][0]["partition"]) == (202, "2026-03-08")
