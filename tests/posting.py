"""Clients that post to the real service, and note when it told them what, by the calls of its disk."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import aiohttp

from sensorflow.app import Running
from sensorflow.core.commands import StartAttempt
from sensorflow.ports import AttemptKey
from sensorflow.store.sqlite import SqliteStore
from tests.serving import client_of

#: A join that fires for each key as soon as both parts are there, and what comes after it.
HOME = """\
name: joined
partition: key
datasets: {orders: {complete: {parts: [eu, us]}}}
tasks:
  join: {inputs: [orders], run: ["true"], outputs: [sums]}
"""
_CLIENTS = 16


@dataclass(slots=True)
class Told:
    """What the service said or did, and how many calls of the disk there were before."""

    #: By event.
    acknowledged: dict[str, int] = field(default_factory=dict)
    #: By attempt that was started.
    started: dict[AttemptKey, int] = field(default_factory=dict)
    refused: int = 0


def make_posting_home(home: Path) -> Path:
    """Write the home that these clients post to."""
    (home / "pipelines").mkdir(parents=True)
    (home / "pipelines" / "joined.yaml").write_text(HOME)
    return home


def watch_starts(service: Running, told: Told, at: Callable[[], int]) -> None:
    """Note each attempt at the moment at which it starts."""
    start = service.executor.start

    def noted(order: StartAttempt) -> None:
        told.started[order.run_id, order.task, order.number] = at()
        start(order)

    service.executor.start = noted  # type: ignore[method-assign]


async def post_all(service: Running, told: Told, events: int, at: Callable[[], int]) -> None:
    """Post so many events from several clients, each until it is acknowledged."""
    left = iter(range(events))
    async with client_of(service) as client:
        await asyncio.gather(*(_post(client, told, left, at) for _ in range(_CLIENTS)))


async def _post(
    client: aiohttp.ClientSession, told: Told, left: Iterator[int], at: Callable[[], int]
) -> None:
    for number in left:
        part = ("eu", "us")[number % 2]
        body = {"dataset": "orders", "partition": f"k{number // 4}", "part": part, "id": f"e{number}"}
        while f"e{number}" not in told.acknowledged:
            async with client.post("/api/v1/ready", json=body) as response:
                if response.status == 202:
                    told.acknowledged[f"e{number}"] = at()
                else:
                    assert response.status == 503, await response.text()
                    told.refused += 1


@contextmanager
def stored(path: Path) -> Iterator[SqliteStore]:
    """Open a store as a service does that starts on it."""
    store = SqliteStore(path)
    try:
        yield store
    finally:
        store.close()


def lost(path: Path, told: Told, before: float = inf) -> list[str]:
    """Return what was told before a point and is not there, or is there twice; and all that is corrupt.

    Args:
        before: How many calls of the disk there had been; without it all that was ever told counts.
    """
    with stored(path) as store:
        events = store.listing.events(after=0, dataset=None, state=None, limit=1_000_000)
        ids = [event.event.id for event in events]
        missing = [name for name, at in told.acknowledged.items() if at <= before and name not in set(ids)]
        missing += [
            f"attempt {key}"
            for key, at in told.started.items()
            if at <= before and store.reader.attempt(*key) is None
        ]
        missing += [f"{name} twice" for name in set(ids) if name and ids.count(name) > 1]
        missing += [
            f"event {event.seq} without its arrival"
            for event in events
            if not store.listing.arrivals(event.seq)
        ]
    return missing


def corrupt(path: Path) -> list[str]:
    """Return what SQLite finds wrong with a file."""
    connection = sqlite3.connect(path)
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    finally:
        connection.close()
    return [] if found == ["ok"] else found
