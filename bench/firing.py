"""How long it takes from a POST to the first line of the task that it fires, in an idle service (P3).

`python -m bench.firing [--events 100] [--repeat 5]`: a warm Python task against one synced commit and one
call of a warm ProcessPoolExecutor; a command (`sh -c`) against one synced commit and one spawn of the same.
In turn, medians of each turn.
"""

import json
import os
import socket
import sqlite3
import statistics
import subprocess
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Self

from bench.comparison import Finding, in_turn, median_and_spread, parser, ratios, tell
from bench.http_load import post
from bench.services import home_of, sensorflow

PIPELINE = """\
name: firing
partition: key
sensors:
  called: {type: events, match: {type: [called]}, partition: data.key, dataset: called}
  spawned: {type: events, match: {type: [spawned]}, partition: data.key, dataset: spawned}
tasks:
  warm: {inputs: [called], python: "pipelines.jobs.first:line"}
  command: {inputs: [spawned], run: "echo 1 > told"}
"""
JOB = """\
import time

def line(context):
    now = time.monotonic()
    with open("told", "w") as told:
        told.write(f"{now}\\n")
"""
#: Between two firings; the end of the last one is on disk by then.
REST_S = 0.03


class Commits:
    """The least that makes an event durable: one row, one synced commit."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE events (id TEXT PRIMARY KEY, data TEXT)")

    def commit(self, data: bytes) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO events VALUES (?, ?)", (uuid.uuid4().hex, data.decode()))
        self._connection.execute("COMMIT")


class Told:
    """The FIFO `told` of a folder: where what was fired says so."""

    def __init__(self, home: Path) -> None:
        os.mkfifo(home / "told")
        self._descriptor = os.open(home / "told", os.O_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)

    def line(self) -> str:
        """Wait for a line."""
        return os.read(self._descriptor, 4096).decode().strip()


def now() -> float:
    """Return the time of the clock that all processes share."""
    return time.monotonic()


class Sender:
    """One connection that stays."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, kind: str) -> None:
        """Send an event with a key of its own."""
        event = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/erp", "type": kind}
        body = json.dumps({**event, "data": {"key": event["id"]}}).encode()
        self._socket.sendall(post("/api/v1/events", body, content_type="application/cloudevents+json"))

    def accepted(self) -> None:
        """Read the answer to what was sent."""
        answer = self._socket.recv(65536)
        if b" 202 " not in answer[:20]:
            raise RuntimeError(f"expected 202, found {answer!r}")


def median_of(events: int, fire: Callable[[], float]) -> Callable[[], float]:
    """Return a measure: the median of so many firings, in seconds."""

    def measure() -> float:
        waits = []
        for _ in range(events):
            waits.append(fire())
            time.sleep(REST_S)
        return statistics.median(waits)

    return measure


def compared(events: int, repeat: int) -> list[Finding]:
    """Measure both kinds of task."""
    with (
        home_of({"pipelines/firing.yaml": PIPELINE, "pipelines/jobs/first.py": JOB}) as home,
        Told(home) as told,
        sensorflow(home) as (port, _),
        ProcessPoolExecutor(1) as pool,
    ):
        sender, commits = Sender(port), Commits(home / "ceiling.db")

        def warm() -> float:
            began = now()
            sender.send("called")
            waited = float(told.line()) - began
            sender.accepted()
            return waited

        def command() -> float:
            began = now()
            sender.send("spawned")
            told.line()
            waited = now() - began
            sender.accepted()
            return waited

        def call() -> float:
            began = now()
            commits.commit(b"{}")
            pool.submit(now).result()
            return now() - began

        def spawn() -> float:
            began = now()
            commits.commit(b"{}")
            spawned = subprocess.Popen(["sh", "-c", "echo 1 > told"], cwd=home)  # noqa: S607 - as the task
            told.line()
            waited = now() - began
            spawned.wait()
            return waited

        for first in (warm, command, call, spawn):  # What is started once is not counted.
            first()
        measures = {each.__name__: median_of(events, each) for each in (call, warm, spawn, command)}
        taken = in_turn(repeat, **measures)
    return [
        finding("warm Python task", taken["warm"], taken["call"], 2.0, "one commit and one warm call"),
        finding("command", taken["command"], taken["spawn"], 1.5, "one commit and one spawn"),
    ]


def finding(what: str, ours_s: list[float], ceiling_s: list[float], bar: float, beside: str) -> Finding:
    ours_ms, ceiling_ms = (statistics.median(values) * 1e3 for values in (ours_s, ceiling_s))
    return Finding(
        row="P3",
        what=f"POST to the first line of a {what}",
        **median_and_spread(ratios(ours_s, ceiling_s)),
        bar=bar,
        at_most=True,
        figures=f"p50 {ours_ms:.2f} ms; {beside} {ceiling_ms:.2f} ms",
    )


def main() -> None:
    words = parser(__doc__)
    words.add_argument("--events", type=int, default=100)
    given = words.parse_args()
    tell(compared(given.events, given.repeat), as_json=given.json)


if __name__ == "__main__":
    main()
