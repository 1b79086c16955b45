"""The demo: serve this home, let a feeder send it a week of real data, and show what fires as it fires."""

import asyncio
import importlib.util
import math
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sensorflow.app import Running, running
from sensorflow.clock import SystemClock
from sensorflow.config.settings import load_settings
from sensorflow.core.definitions import Definitions
from sensorflow.core.explain import explain
from sensorflow.core.state import AttemptRow, RunRow
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.home import Home, load_home
from sensorflow.ports import Store
from sensorflow.sensors import SENSORS
from sensorflow.sensors.mqtt import MqttOptions
from sensorflow.sensors.mqtt_connection import BrokerUrl

#: Modules of the home that the demo runs.
FEEDER = "pipelines.jobs.feed"
RESULTS = "pipelines.jobs.results"

_LOOK_S = 0.2
#: Nothing has changed and nothing is due for so long: the demo has come to its end.
_QUIET_S = 3.0
#: The week sets fewer timers than this at once.
_MOST_TIMERS = 1000

_LOOKS = {
    TaskState.WAITING: ("·", "dim"),
    TaskState.QUEUED: ("q", "cyan"),
    TaskState.RUNNING: ("▶", "bold blue"),
    TaskState.RETRYING: ("↻", "yellow"),
    TaskState.SUCCEEDED: ("✓", "green"),
    TaskState.FAILED: ("✗", "bold red"),
    TaskState.BLOCKED: ("■", "magenta"),
    TaskState.SKIPPED: ("-", "dim"),
    TaskState.CANCELLED: ("c", "dim"),
}


def run_demo(home: Path, *, once: bool, host: str | None = None, port: int | None = None) -> int:
    """Run the demo in a home that has its feeder; return the exit code.

    Args:
        once: End with the result instead of serving on until Ctrl-C.

    Raises:
        DefinitionsError: the home's files cannot be used.
        CannotServeError: the home is served already, or the address is taken.
    """
    if not (home / "pipelines" / "jobs" / "feed.py").is_file():
        print(
            f"expected pipelines/jobs/feed.py in {home}, found none: "
            "the demo runs in a checkout of sensorflow",
            file=sys.stderr,
        )
        return 1
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(40),  # Errors only: the table tells the rest.
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    return asyncio.run(_run_demo(home, once, host, port))


async def _run_demo(home: Path, once: bool, host: str | None, port: int | None) -> int:
    console = Console(highlight=False)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = load_settings(home, os.environ)
    mqtt = _broker_address(load_home(home, os.environ, SENSORS))
    async with _broker(console, *mqtt) as found, running(home, settings, host=host, port=port) as service:
        if not found:
            return 1
        console.print(f"sensorflow serves this home at {service.url}; the feeder sends it a week of 2013")
        await _wait_for_sensors(service, stop)
        code = await _feed_and_show(console, home, service, mqtt, stop)
        if code is None:
            return 130
        if code:
            console.print(f"the feeder ended with status {code}; what it says stands above", style="red")
            return 1
        await _end(console, home, service)
        if not once:
            console.print(f"\nserving at {service.url} until Ctrl-C")
            await stop.wait()
    return 0


async def _wait_for_sensors(service: Running, stop: asyncio.Event) -> None:
    """Return when every sensor observes, or has said why not: a broker keeps nothing for strangers."""
    names = [
        key for key, sensor in service.home.definitions.sensors.items() if sensor.kind in service.home.kinds
    ]
    while not stop.is_set() and any(service.supervisor.status(*key).state == "starting" for key in names):
        await _wait(stop, _LOOK_S)


async def _feed_and_show(
    console: Console, home: Path, service: Running, mqtt: tuple[str, int], stop: asyncio.Event
) -> int | None:
    """Run the feeder and show what happens until all is quiet; None where the user stopped it."""
    feeder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", FEEDER, "--url", service.url, "--mqtt", f"{mqtt[0]}:{mqtt[1]}"),
        cwd=home,
        stdout=asyncio.subprocess.DEVNULL if console.is_terminal else None,
    )
    try:
        await _show(console, service, feeder, stop)
    finally:
        if feeder.returncode is None:
            feeder.terminate()
        code = await feeder.wait()
    return None if stop.is_set() else code


async def _show(
    console: Console, service: Running, feeder: asyncio.subprocess.Process, stop: asyncio.Event
) -> None:
    """Show the live table, and a line for every attempt that starts or ends, until nothing is left to do."""
    told: dict[tuple[str, str, int], AttemptState] = {}
    quiet_s = 0.0
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while quiet_s < _QUIET_S and not stop.is_set():
            runs = all_runs(service.store)
            news = list(_news(service, runs, told))
            for line in news:
                live.console.print(line)
            if console.is_terminal:
                feeding = feeder.returncode is None
                live.update(
                    run_table(service.service.definitions, service.store, runs, feeding=feeding), refresh=True
                )
            quiet = feeder.returncode is not None and not news and not _busy(service, runs)
            quiet_s = quiet_s + _LOOK_S if quiet else 0.0
            if feeder.returncode:
                return
            await _wait(stop, _LOOK_S)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _busy(service: Running, runs: list[RunRow]) -> bool:
    going = any(run.state is RunState.RUNNING for run in runs)
    # What is old is removed for ever; all other timers let something of the week go on.
    timers = service.store.reader.due_timers(math.inf, _MOST_TIMERS)
    return going or any(timer.kind != "retention" for timer in timers)


def all_runs(store: Store) -> list[RunRow]:
    """Return the runs of a home by pipeline and partition."""
    rows = store.listing.runs(pipeline=None, partition=None, state=None, before=None, limit=500)
    return sorted(rows, key=lambda run: (run.pipeline, run.partition))


def _news(
    service: Running, runs: list[RunRow], told: dict[tuple[str, str, int], AttemptState]
) -> Iterator[Text]:
    """Yield a line for each attempt that stands elsewhere than when it was last told of."""
    changed: list[AttemptRow] = []
    partitions = {run.id: run.partition for run in runs}
    for run in runs:
        for attempt in service.store.reader.attempts(run.id):
            key = (attempt.run_id, attempt.task, attempt.number)
            if told.get(key) is not attempt.state:
                told[key] = attempt.state
                changed.append(attempt)
    for attempt in sorted(changed, key=lambda row: row.ended_at or row.started_at):
        state = TaskState.RETRYING if attempt.state is AttemptState.INTERRUPTED else TaskState(attempt.state)
        symbol, style = _LOOKS[state]
        name = f"{attempt.pipeline} {partitions[attempt.run_id]} {attempt.task}"
        number = f" (attempt {attempt.number})" if attempt.number > 1 else ""
        error = f": {attempt.error}" if attempt.error else ""
        yield Text(f"  {symbol} {name} {attempt.state}{number}{error}", style=style, overflow="ellipsis")


def run_table(definitions: Definitions, store: Store, runs: list[RunRow], *, feeding: bool) -> Table:
    """Return pipeline x partition x task state."""
    counts: Counter[RunState] = Counter(run.state for run in runs)
    summary = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    phase = "feeding" if feeding else "all is sent"
    table = Table(title=f"{phase}: {summary or 'no run yet'}", title_justify="left")
    table.add_column("pipeline")
    table.add_column("partition")
    table.add_column("tasks")
    for run in runs:
        rows = store.reader.tasks(run.id)
        cells = Text()
        for name in definitions.graphs[run.pipeline].order:
            state = rows[name].state if name in rows else TaskState.WAITING
            symbol, style = _LOOKS[state]
            cells.append(f"{symbol}\N{NO-BREAK SPACE}{name}  ", style=style)
        table.add_row(run.pipeline, run.partition, cells)
    return table


async def _end(console: Console, home: Path, service: Running) -> None:
    """Print where every run stands, the result, and what did not run with the reason."""
    definitions, store = service.service.definitions, service.store
    runs = all_runs(store)
    console.print(run_table(definitions, store, runs, feeding=False))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", RESULTS, cwd=home)
    await process.wait()
    for line in not_succeeded(definitions, store, runs, service.service.workers):
        console.print(line)


def not_succeeded(definitions: Definitions, store: Store, runs: list[RunRow], workers: int) -> Iterator[Text]:
    """Yield lines that say of each run that has not succeeded why that is so."""
    for run in runs:
        if run.state is RunState.SUCCEEDED:
            continue
        yield Text(f"\n{run.pipeline} {run.partition} is {run.state}:", style="bold")
        now = SystemClock().now()
        why = explain(definitions, store.reader, run.pipeline, run.partition, workers, now)
        for task in why.tasks:
            for wait in task.waiting_for:
                yield Text(f"  {task.name} is {task.state}: {wait.text}")


def _broker_address(home: Home) -> tuple[str, int]:
    """Return where the home's MQTT sensor looks for its broker."""
    for sensor in home.definitions.sensors.values():
        if isinstance(sensor.options, MqttOptions):
            url = BrokerUrl.parse(sensor.options.url.get_secret_value())
            return url.host, url.port
    raise LookupError("the demo's home has no MQTT sensor")


@asynccontextmanager
async def _broker(console: Console, host: str, port: int) -> AsyncIterator[bool]:
    """Give the demo its MQTT broker: the one that listens already, else one of its own."""
    if await _listens(host, port):
        yield True
        return
    if importlib.util.find_spec("amqtt") is None:
        console.print("no MQTT broker listens and amqtt is not installed: pip install 'sensorflow[demo]'")
        yield False
        return
    from amqtt.broker import Broker  # noqa: PLC0415 - an extra that only the demo needs

    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    console.print(f"no MQTT broker listened at {host}:{port}: the demo brings its own")
    try:
        yield True
    finally:
        await broker.shutdown()


async def _listens(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
