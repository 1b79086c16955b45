"""How many events that are posted one by one are on disk in a second (P1).

`python -m bench.posts [--events 6000] [--repeat 5] [--connections 64]`: CloudEvents to the real service,
matched and committed (WAL, synchronous=FULL), against the same aiohttp that answers 202 without doing
anything; in turn, from a client in a process of its own. Prints medians and the ratio of three mixes:
re-arrivals of 28 partitions, a new partition each, and thirds of a three-input join that queues its task.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TypeAlias

from bench.http_load import Load, post, send_all

#: Paused, so that what is ready is queued and no process takes the cores.
PIPELINE = """\
name: sales
paused: true
sensors:
  orders: {type: events, match: {type: [orders.exported]}, partition: data.day, dataset: orders}
  fares: {type: events, match: {type: [fares.exported]}, partition: data.day, dataset: fares}
  customers: {type: events, match: {type: [customers.exported]}, partition: data.day, dataset: customers}
  alone: {type: events, match: {type: [alone.exported]}, partition: data.day, dataset: alone}
tasks:
  join: {inputs: [orders, fares, customers], run: ["true"]}
  alone: {inputs: [alone], run: ["true"]}
"""
FIRST = date(1000, 1, 1)
#: Yields type and day of so many events.
Mix: TypeAlias = Callable[[int], Iterator[tuple[str, date]]]


def rearrivals(number: int) -> Iterator[tuple[str, date]]:
    """Yield type and day of events for 28 partitions, again and again."""
    for index in range(number):
        yield "alone", FIRST + timedelta(days=index % 28)


def new_partitions(number: int) -> Iterator[tuple[str, date]]:
    """Yield type and day of events for a new partition each."""
    for index in range(number):
        yield "alone", FIRST + timedelta(days=100 + index)


def joins(number: int) -> Iterator[tuple[str, date]]:
    """Yield type and day of events of which three complete the inputs of a task."""
    for index in range(number):
        yield ("orders", "fares", "customers")[index % 3], FIRST + timedelta(days=100 + index // 3)


MIXES: dict[str, Mix] = {
    "re-arrivals": rearrivals,
    "new partitions": new_partitions,
    "thirds of a join": joins,
}


def requests(events: Iterator[tuple[str, date]], offset_days: int) -> list[bytes]:
    """Return the events as they go over the wire, each with an id of its own."""
    return [
        post(
            "/api/v1/events",
            json.dumps(
                {
                    "specversion": "1.0",
                    "id": str(uuid.uuid4()),
                    "source": "/erp/export",
                    "type": f"{kind}.exported",
                    "data": {"day": (day + timedelta(days=offset_days)).isoformat(), "rows": 1200},
                }
            ).encode(),
            content_type="application/cloudevents+json",
        )
        for kind, day in events
    ]


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def serving(*command: str, port: int) -> Iterator[None]:
    """Run a server and wait until it answers.

    Raises:
        RuntimeError: it ended, or did not answer within 30 s.
    """
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 30
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1).close()
                    break
                except OSError:
                    if server.poll() is not None or time.monotonic() > until:
                        raise RuntimeError(f"{command[-1]} does not answer on port {port}") from None
                    time.sleep(0.05)
            yield
        finally:
            server.terminate()
            server.wait()


def measure(port: int, bodies: list[bytes], connections: int) -> Load:
    """Send all and return what came of it; every answer must be 202."""
    load = asyncio.run(send_all(port, iter(bodies), connections=connections))
    if set(load.statuses) != {202}:
        raise RuntimeError(f"expected 202 only, found {dict(load.statuses)}")
    return load


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=6_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "pipelines").mkdir()
        (home / "pipelines" / "sales.yaml").write_text(PIPELINE)
        ours, bare = free_port(), free_port()
        serve = (sys.executable, "-m", "sensorflow", "serve", "--home", folder, "--port", str(ours))
        with (
            serving(*serve, port=ours),
            serving(sys.executable, "-m", "bench.bare_server", str(bare), port=bare),
        ):
            for number, (name, mix) in enumerate(MIXES.items()):
                compare(name, mix, ours, bare, number, words)


def compare(name: str, mix: Mix, ours: int, bare: int, number: int, words: argparse.Namespace) -> None:
    """Measure one mix against the ceiling, in turn, and print it."""
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    waits: list[float] = []
    for turn in range(words.repeat):
        days = (number * words.repeat + turn) * 2 * words.events if mix is not rearrivals else 0
        bodies = requests(mix(words.events), days)
        rates["bare"].append(measure(bare, bodies, words.connections).rate)
        load = measure(ours, bodies, words.connections)
        rates["ours"].append(load.rate)
        waits += load.waits_s
    own, ceiling = statistics.median(rates["ours"]), statistics.median(rates["bare"])
    ratio = statistics.median(a / b for a, b in zip(rates["ours"], rates["bare"], strict=True))
    waits.sort()
    p50, p99 = waits[len(waits) // 2] * 1e3, waits[len(waits) * 99 // 100] * 1e3
    print(
        f"{name}: {own:,.0f} events/s on disk, bare aiohttp {ceiling:,.0f}, ratio {ratio:.2f}; "
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )


if __name__ == "__main__":
    main()
