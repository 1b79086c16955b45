"""A home with pipelines of every kind, and what tests of operations over the REST API share."""

import os
from pathlib import Path
from typing import Any

import aiohttp

from sensorflow.app import Running
from tests.serving import make_home, task_state, until

DAY = "2026-03-08"

#: A task that runs until somebody writes to `gate`; inside of its bounds there are no other inputs.
GATED = """\
name: gated
start: 2026-01-01
end: 2026-12-31
max_active_runs: 4
tasks:
  wait: {inputs: [go], run: 'test -e open || cat gate'}
  report: {after: [wait], inputs: [go], run: ["true"], outputs: [reported]}
"""

KEYED = """\
name: keyed
partition: key
tasks: {load: {inputs: [batch], run: ["true"]}}
"""

CHAIN = """\
name: chain
start: 2026-01-01
sequential: true
tasks: {load: {inputs: [links], run: ["true"]}}
"""

WHOLE = """\
name: whole
partition: none
tasks: {load: {inputs: [{dataset: table, partitions: latest}], run: ["true"]}}
"""

REGIONS = """\
name: regions
partition: {several: {day: daily, region: {keys: [eu, us]}}}
start: 2026-01-01
tasks: {load: {inputs: [regional], run: ["true"]}}
"""


def make_operators_home(home: Path) -> Path:
    """Write the home of these tests: that of the others, and pipelines of every kind."""
    make_home(home)
    os.mkfifo(home / "gate")
    for name, text in {
        "gated": GATED,
        "keyed": KEYED,
        "chain": CHAIN,
        "whole": WHOLE,
        "regions": REGIONS,
    }.items():
        (home / "pipelines" / f"{name}.yaml").write_text(text)
    return home


async def post(client: aiohttp.ClientSession, path: str, body: Any = None) -> tuple[int, Any]:
    async with client.post(f"/api/v1/{path}", json=body) as response:
        return response.status, await response.json(content_type=None)


async def get(client: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
    async with client.get(f"/api/v1/{path}") as response:
        return response.status, await response.json(content_type=None)


async def ready(client: aiohttp.ClientSession, dataset: str, partition: str, **more: Any) -> None:
    status, _ = await post(client, "ready", {"dataset": dataset, "partition": partition, **more})
    assert status == 202


def states(run: dict[str, Any]) -> dict[str, str]:
    return {task["name"]: task["state"] for task in run["tasks"]}


def run_state(service: Running, pipeline: str, partition: str) -> str | None:
    run = service.store.reader.run_of(pipeline, partition)
    return run.state.value if run else None


async def failed_run(client: aiohttp.ClientSession, service: Running) -> str:
    """Let `check` of `sales` fail for good and return the run's id."""
    await ready(client, "orders", DAY)
    await until(service, lambda: task_state(service, DAY, "check") == "failed")
    run = service.store.reader.run_of("sales", DAY)
    assert run is not None
    return run.id
