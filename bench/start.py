"""How long a start takes, from the process to a service that takes events (P8).

`python -m bench.start [--events 1000000] [--runs 100000] [--repeat 3] [--home DIR]`: makes a home whose store
has so many events and, of them, so many runs that wait for a second input, then starts `sensorflow serve` on
it, and on an empty one, and asks `/readyz` until it says yes; beside it the bare aiohttp and `sensorflow
--version`, in turn. `--home` keeps the home and takes it again.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from bench.comparison import Finding, in_turn, median_and_spread, parser, tell
from bench.services import bare, sensorflow, written
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
        written(home, {f"pipelines/{name}.yaml": text for name, text in _PIPELINES.items()})
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


class Starts:
    """Starts of the service on one home: when each was ready, and when it had stored a first event."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.first_s: list[float] = []

    def ready_s(self) -> float:
        """Start it, and return after how many seconds it was ready."""
        began = time.perf_counter()
        with sensorflow(self._home) as (port, _):
            ready = time.perf_counter() - began
            url, body = f"http://127.0.0.1:{port}/api/v1/ready", b'{"dataset": "measured", "partition": "%s"}'
            request = urllib.request.Request(
                url, body % b"2026-01-01T00Z", {"Content-Type": "application/json"}
            )
            urllib.request.urlopen(request).close()
            self.first_s.append(time.perf_counter() - began)
        return ready


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare_ready() -> None:
    """Start the ceiling, and stop it as soon as it answers."""
    with bare():
        pass


def version() -> None:
    """Ask for the version."""
    subprocess.run([sys.executable, "-m", "sensorflow", "--version"], check=True, stdout=subprocess.DEVNULL)


def compared(events: int, runs: int, repeat: int, kept: Path | None) -> list[Finding]:
    """Measure all starts."""
    with tempfile.TemporaryDirectory() as folder:
        home = kept or Path(folder) / "long"
        if not (home / ".sensorflow").exists():
            asyncio.run(Filled(home).fill(events, runs))
        size = (home / ".sensorflow" / "state.db").stat().st_size / 1e6
        empty = Starts(written(Path(folder) / "empty", {"pipelines/hours.yaml": _PIPELINES["hours"]}))
        long = Starts(home)
        taken = in_turn(
            repeat,
            bare=lambda: seconds(bare_ready),
            empty=empty.ready_s,
            long=long.ready_s,
            version=lambda: seconds(version),
        )
    beside = f"bare aiohttp {statistics.median(taken['bare']):.2f} s"
    return [
        _finding("ready with nothing", taken["empty"], 1.5, f"{_first(empty)}; {beside}"),
        _finding(
            f"ready with {events:,} events and {runs:,} open runs ({size:,.0f} MB)",
            taken["long"],
            10.0,
            f"{_first(long)}; {beside}",
        ),
        _finding("`sensorflow --version`", taken["version"], 0.3, beside),
    ]


def _first(starts: Starts) -> str:
    return f"a first event is stored after {statistics.median(starts.first_s):.2f} s"


def _finding(what: str, taken_s: list[float], bar_s: float, figures: str) -> Finding:
    return Finding(
        row="P8",
        what=what,
        **median_and_spread(taken_s),
        bar=bar_s,
        at_most=True,
        unit=" s",
        figures=figures,
    )


def main() -> None:
    words = parser(__doc__, repeat=3)
    words.add_argument("--events", type=int, default=1_000_000)
    words.add_argument("--runs", type=int, default=100_000)
    words.add_argument("--home", type=Path)
    given = words.parse_args()
    tell(compared(given.events, given.runs, given.repeat, given.home), as_json=given.json)


if __name__ == "__main__":
    main()
