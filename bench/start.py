"""How long a start takes: process start to a service that takes events, with nothing and with a long history.

`python -m bench.start [--events 1000000] [--runs 100000] [--repeat 3] [--home DIR]`: makes a home whose store
has so many events and, of them, so many runs that wait for a second input, then starts `sensorflow serve` and
asks `/readyz` until it says yes. `--home` keeps the home and takes it again.
"""

import argparse
import asyncio
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sensorflow.clock import SystemClock
from sensorflow.core.commands import StartAttempt
from sensorflow.core.decide import decide, dispatch
from sensorflow.core.messages import AttemptEnded, DeclaredReady, Message, Moment
from sensorflow.core.states import AttemptState
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import Event
from sensorflow.home import load_home
from sensorflow.sensors import SENSORS
from sensorflow.store.sqlite import SqliteStore

_PIPELINES = {
    "orders": """
name: orders
partition: key
tasks:
  pack: {inputs: [paid, packed], run: ["true"]}
  ship: {after: [pack], run: ["true"]}
""",
    "hours": """
name: hours
partition: hourly
tasks:
  load: {inputs: [measured], run: ["true"], outputs: [loaded]}
""",
    "days": """
name: days
schedule: "0 2 * * *"
tasks:
  sum: {inputs: [{dataset: loaded, partitions: all, at_least: 20}], run: ["true"]}
""",
}
#: One in so many events of the history makes a run of its own, which ends.
_EACH = 20
_GROUP = 1_000


class Filled:
    """A home whose store is filled by the decisions themselves."""

    def __init__(self, home: Path) -> None:
        (home / "pipelines").mkdir(parents=True, exist_ok=True)
        for name, text in _PIPELINES.items():
            (home / "pipelines" / f"{name}.yaml").write_text(text)
        (home / ".sensorflow").mkdir(mode=0o700)
        self.store = SqliteStore(home / ".sensorflow" / "state.db")
        self._definitions = load_home(home, {}, SENSORS).definitions
        self._ids = 0
        self._now = SystemClock().now() - 86_400.0 * 30

    async def fill(self, events: int, runs: int) -> None:
        """Let so many events come; every run but the last so many has ended."""
        history = [self._event(number) for number in range(events - runs)]
        waiting = [self._ready("paid", f"order-{number}", f"paid-{number}") for number in range(runs)]
        todo: list[Message] = [*history, *waiting]
        for begin in range(0, len(todo), _GROUP):
            await self._group(todo[begin : begin + _GROUP])
            self._now += 2
        self.store.close()

    def _event(self, number: int) -> Message:
        hour = time.strftime("%Y-%m-%dT%HZ", time.gmtime(1.5e9 + number // _EACH * 3600))
        return self._ready("measured", hour, f"m-{number}")

    def _ready(self, dataset: str, partition: str, identity: str) -> Message:
        event = Event(
            source=f"/ready/{dataset}", id=identity, data={"file": f"s3://lake/{identity}", "rows": 7}
        )
        return DeclaredReady(event=event, dataset=dataset, partition=partition)

    async def _group(self, messages: list[Message]) -> None:
        while messages:
            moment = Moment(now=self._now, new_id=self._new_id, new_token=str, draw=float)
            turn = Turn(self._definitions, self.store.begin(), moment)
            for message in messages:
                decide(turn, message)
            dispatch(turn, 1_000)
            await self.store.commit()
            messages = [
                AttemptEnded(order.run_id, order.task, order.number, AttemptState.SUCCEEDED)
                for order in turn.orders
                if isinstance(order, StartAttempt)
            ]

    def _new_id(self) -> str:
        self._ids += 1
        return f"0190{self._ids:08x}-0000-7000-8000-000000000000"


def seconds_to_ready(home: Path) -> tuple[float, float]:
    """Start a service; return when it is ready, and when it has stored a first event."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("sensorflow")),
        "--home",
        str(home),
        "serve",
        "--port",
        str(port),
    ]
    began = time.perf_counter()
    service = subprocess.Popen(
        command, stderr=subprocess.DEVNULL, env={**os.environ, "SENSORFLOW_LOG_LEVEL": "error"}
    )
    try:
        while not _asked(port, "GET", "/readyz"):
            if service.poll() is not None:
                raise SystemExit("the service ended")
            time.sleep(0.005)
        ready = time.perf_counter() - began
        body = json.dumps({"dataset": "measured", "partition": "2026-01-01T00Z"})
        if not _asked(port, "POST", "/api/v1/ready", body):
            raise SystemExit("the first event was refused")
        return ready, time.perf_counter() - began
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(60)


def _asked(port: int, method: str, path: str, body: str | None = None) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        return connection.getresponse().status < 300
    except OSError:
        return False
    finally:
        connection.close()


def _printed(name: str, taken: list[tuple[float, float]]) -> None:
    ready, first = ([each[place] for each in taken] for place in (0, 1))
    print(f"{name}: ready after {statistics.median(ready):.2f} s (at most {max(ready):.2f}), ", end="")
    print(
        f"a first event is stored after {statistics.median(first):.2f} s (at most {max(first):.2f})",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--home", type=Path)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _printed("with nothing", [seconds_to_ready(_empty(Path(folder), n)) for n in range(words.repeat)])
        home = words.home or Path(folder) / "long"
        if not (home / ".sensorflow").exists():
            began = time.perf_counter()
            asyncio.run(Filled(home).fill(words.events, words.runs))
            print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
        size = (home / ".sensorflow" / "state.db").stat().st_size / 1e6
        name = f"with {words.events:,} events and {words.runs:,} open runs ({size:,.0f} MB)"
        _printed(name, [seconds_to_ready(home) for _ in range(words.repeat)])


def _empty(folder: Path, number: int) -> Path:
    home = folder / f"empty-{number}"
    (home / "pipelines").mkdir(parents=True)
    (home / "pipelines" / "hours.yaml").write_text(_PIPELINES["hours"])
    return home


if __name__ == "__main__":
    main()
