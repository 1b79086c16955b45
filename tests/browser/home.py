"""A home with something in every state that the page can show, and the way to bring it there."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from sensorflow.app import Running
from sensorflow.clock import SystemClock
from tests.operating import post, run_state
from tests.serving import client_of, serving, until

DAY = "2026-03-08"

SALES = """\
name: sales
description: Orders of a day with their customers, checked and published
timezone: Europe/Berlin
start: 2026-03-01
end: 2026-03-31
datasets:
  orders: {complete: {parts: [eu, us]}}
sensors:
  orders_posted:
    type: events
    match: {type: [orders.exported]}
    partition: data.day
    part: data.region
    dataset: orders
  customers_posted:
    type: events
    match: {type: [customers.exported]}
    partition: data.day
    dataset: customers
tasks:
  load: {inputs: [orders], run: [echo, "orders of {partition}"]}
  tell: {after: [load], run: exit 99}
  enrich: {after: [load], inputs: [customers], run: ["true"]}
  check: {after: [enrich], run: 'test -e checked.ok || { echo "no checked.ok"; exit 1; }'}
  publish: {after: [check], run: ["true"], outputs: [sales_daily]}
"""

#: It runs, and its log grows, as long as somebody writes to `gate`.
EXPORT = """\
name: export
description: Copies what was published
start: 2026-03-01
end: 2026-03-31
tasks:
  copy: {inputs: [files], run: 'echo copying; cat gate; echo done'}
  confirm: {after: [copy], run: ["true"], outputs: [exported]}
"""

FLAKY = """\
name: flaky
start: 2026-03-01
end: 2026-03-31
tasks:
  fetch: {inputs: [rates], run: 'echo "the bank does not answer"; exit 7', retries: {max: 3, delay: 1h}}
"""

KEYED = """\
name: partners
description: One delivery of a partner
partition: key
paused: true
tasks: {load: {inputs: [delivery], run: ["true"]}}
"""

WHOLE = """\
name: catalogue
partition: none
tasks: {index: {inputs: [{dataset: articles, partitions: latest}], run: ["true"]}}
"""

REGIONS = """\
name: regions
partition: {several: {day: daily, region: {keys: [eu, us]}}}
start: 2026-03-01
end: 2026-03-31
tasks: {load: {inputs: [regional], run: ["true"]}}
"""

#: What is not there so many seconds after its hour is late. A past hour is: once the service has seen it.
COSTS = """\
name: costs
partition: hourly
datasets:
  costs: {expect: EXPECTED}
tasks: {sum: {inputs: [costs], run: ["true"]}}
"""

SHARED = """\
datasets:
  articles: {partition: none}
  readings: {partition: daily}
sensors:
  meter: {type: mqtt, url: "mqtt://127.0.0.1:1", topic: meter/+, partition: "topic[1]", dataset: readings}
"""

PIPELINES = {
    "sales": SALES,
    "export": EXPORT,
    "flaky": FLAKY,
    "partners": KEYED,
    "catalogue": WHOLE,
    "regions": REGIONS,
}


def make_home(home: Path) -> Path:
    """Write the pipelines into a folder."""
    (home / "pipelines").mkdir(parents=True)
    for name, text in PIPELINES.items():
        (home / "pipelines" / f"{name}.yaml").write_text(text)
    os.mkfifo(home / "gate")
    return home


def add_troubles(home: Path) -> Path:
    """Let a home have data that is late as soon as it is served, and a sensor that is down."""
    (home / "sensors").mkdir()
    (home / "sensors" / "shared.yaml").write_text(SHARED)
    hour_s = datetime.fromtimestamp(SystemClock().now(), UTC)
    expected_s = hour_s.minute * 60 + hour_s.second + 2
    (home / "pipelines" / "costs.yaml").write_text(COSTS.replace("EXPECTED", f"{expected_s}s"))
    return home


async def emit(client: aiohttp.ClientSession, kind: str, data: Any, **more: Any) -> dict[str, Any]:
    """Post a CloudEvent and return its receipt."""
    event = {
        "specversion": "1.0",
        "id": json.dumps(data),
        "source": "/shop",
        "type": kind,
        "data": data,
        **more,
    }
    headers = {"Content-Type": "application/cloudevents+json"}
    async with client.post("/api/v1/events", data=json.dumps(event), headers=headers) as response:
        answer = await response.json()
        assert response.status in (200, 202), answer
        return dict(answer["events"][0])


async def orders(client: aiohttp.ClientSession, day: str, *regions: str) -> None:
    for region in regions or ("eu", "us"):
        await emit(client, "orders.exported", {"day": day, "region": region, "rows": 1200})


async def customers(client: aiohttp.ClientSession, day: str) -> None:
    await emit(client, "customers.exported", {"day": day})


async def ready(client: aiohttp.ClientSession, dataset: str, partition: str | None = None) -> None:
    body = {"dataset": dataset, **({"partition": partition} if partition else {})}
    status, answer = await post(client, "ready", body)
    assert status == 202, answer


def run_id(service: Running, pipeline: str, partition: str) -> str:
    run = service.store.reader.run_of(pipeline, partition)
    assert run is not None
    return run.id


async def run_is(service: Running, pipeline: str, partition: str, state: str) -> str:
    """Wait until a run is in a state, and return its id."""
    await until(service, lambda: run_state(service, pipeline, partition) == state)
    return run_id(service, pipeline, partition)


async def failed_run(client: aiohttp.ClientSession, service: Running, day: str = DAY) -> str:
    """Let `check` of `sales` fail for good and return the run's id."""
    await orders(client, day)
    await customers(client, day)
    return await run_is(service, "sales", day, "failed")


async def fill(client: aiohttp.ClientSession, service: Running) -> None:
    """Bring a home with troubles to where the page has something to show in every place and state."""
    for day in ("2026-03-02", "2026-03-03", "2026-03-04"):
        await orders(client, day)
        await customers(client, day)
    for day in ("2026-03-02", "2026-03-03", "2026-03-04"):
        run = await run_is(service, "sales", day, "failed")
        if day != "2026-03-04":
            await post(
                client, f"runs/{run}/tasks/check/mark", {"state": "succeeded", "reason": "looked at it"}
            )
            await run_is(service, "sales", day, "succeeded")
    await failed_run(client, service)
    await orders(client, "2026-03-09", "eu")
    await orders(client, "2026-03-10")
    await ready(client, "files", "2026-03-02")
    await ready(client, "rates", "2026-03-02")
    await ready(client, "articles")
    await ready(client, "delivery", "acme")
    await ready(client, "regional", "2026-03-02|eu")
    await emit(client, "orders.exported", {"day": "yesterday", "region": "eu"})
    await emit(client, "orders.exported", {"day": DAY, "region": "mars"})
    await emit(client, "nobody.listens", {"a": [1, {"b": None}]})
    await post(
        client,
        "backfills",
        {"pipeline": "regions", "from": "2026-03-05", "to": "2026-03-06", "reason": "new rates"},
    )
    status, made = await post(client, "runs", {"pipeline": "sales", "partition": "2026-03-20"})
    assert status == 201
    await post(client, f"runs/{made['id']}/cancel", {"reason": "not needed"})
    await run_is(service, "export", "2026-03-02", "running")
    await run_is(service, "flaky", "2026-03-02", "running")


def late_told(service: Running) -> bool:
    alerts = service.store.listing.alerts(open_only=True, before=None, limit=100)
    return any(alert.kind == "late" for alert in alerts)


@asynccontextmanager
async def busy(folder: Path) -> AsyncIterator[tuple[Running, aiohttp.ClientSession]]:
    """Serve a home with something in every state."""
    async with serving(add_troubles(make_home(folder))) as service, client_of(service) as client:
        await fill(client, service)
        await until(service, lambda: late_told(service))
        yield service, client
