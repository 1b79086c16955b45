"""The schedule sensor in the service: its events make partitions ready, a restart goes on where it was."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sensorflow.app import Running
from sensorflow.clock import SystemClock
from sensorflow.core.lateness import newest_ended
from sensorflow.core.states import RunState
from sensorflow.core.vocabulary import Grain, Partitioning
from tests.serving import serving, until

TICKS = """\
name: ticks
partition: {partition}
sensors:
  clock: {{type: schedule, every: 1s, dataset: tick}}
tasks:
  load: {{inputs: [tick], run: ["true"]}}
"""


@asynccontextmanager
async def ticking(home: Path, partition: str) -> AsyncIterator[Running]:
    (home / "pipelines").mkdir(exist_ok=True)
    (home / "pipelines" / "ticks.yaml").write_text(TICKS.format(partition=partition))
    async with serving(home) as service:
        yield service


def ids(service: Running) -> list[str]:
    return [row.id for row in service.store.listing.events(after=0, dataset=None, state=None, limit=100)]


async def test_an_interval_fires_the_newest_partition_that_has_ended(tmp_path: Path) -> None:
    async with ticking(tmp_path, "daily") as service:
        await until(service, lambda: service.store.listing.run_counts("ticks").get(RunState.SUCCEEDED))
        run = service.store.listing.last_run("ticks")
        yesterday = newest_ended(Partitioning(Grain.DAILY), SystemClock().now())
        assert run is not None and run.partition == yesterday


async def test_a_restart_adds_to_the_times_of_before_and_repeats_none(tmp_path: Path) -> None:
    async with ticking(tmp_path, "none") as service:
        await until(service, lambda: len(ids(service)) >= 2)
        before = ids(service)
    async with ticking(tmp_path, "none") as service:
        assert ids(service)[: len(before)] == before
        await until(service, lambda: len(ids(service)) > len(before) + 1)
        clock = service.store.reader.sensor("ticks", "clock")
        assert clock is not None and clock.duplicates == 0 and clock.accepted == len(set(ids(service)))
