"""How soon a fan-out of 1,000 tasks that do nothing is through (P7).

`python -m bench.fanout [--tasks 1000] [--width 4] [--repeat 5]`: warm Python tasks against a bare
ProcessPoolExecutor, commands against bare asyncio subprocesses, both as wide as the service; in turn. From
the POST that makes the run to the commit of its end.
"""

import asyncio
import json
import os
import sqlite3
import statistics
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from pathlib import Path

from bench.comparison import Finding, in_turn, loop_factory, median_and_spread, parser, ratios, tell
from bench.services import home_of, sensorflow

JOB = "def nothing(context):\n    pass\n"
COMMAND = "/bin/true"


def pipeline(name: str, tasks: int, width: int, action: str) -> str:
    """Return a pipeline with so many tasks that wait for nothing."""
    lines = [f"name: {name}", "partition: key", f"concurrency: {width}", "tasks:"]
    return "\n".join([*lines, *(f"  t{place}: {{{action}}}" for place in range(tasks)), ""])


def nothing() -> None:
    """Do nothing."""


class Runs:
    """Runs of a home's pipelines, made over HTTP; their ends are read where they are committed."""

    def __init__(self, home: Path, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/runs"
        # A reader of its own: to ask the service would take its time.
        self._store = sqlite3.connect(f"file:{home}/.sensorflow/state.db?mode=ro", uri=True)

    def run(self, name: str) -> float:
        """Make a run and return the seconds until all of it is done."""
        body = json.dumps({"pipeline": name, "partition": f"k{time.monotonic_ns()}"}).encode()
        headers = {"Content-Type": "application/json"}
        began = time.perf_counter()
        with urllib.request.urlopen(urllib.request.Request(self._url, body, headers)) as answer:
            run_id = json.load(answer)["id"]
        while (state := self._state(run_id)) in ("waiting", "running"):
            time.sleep(0.005)
        if state != "succeeded":
            raise RuntimeError(f"run {run_id} of {name} ended {state}")
        return time.perf_counter() - began

    def _state(self, run_id: str) -> str:
        return str(self._store.execute("SELECT state FROM runs WHERE id = ?", (run_id,)).fetchone()[0])


def seconds(work: Callable[[], object]) -> Callable[[], float]:
    """Return a measure of how long something takes."""

    def measure() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return measure


async def subprocesses(tasks: int, width: int) -> None:
    """Run so many commands, so many at once."""
    free = asyncio.Semaphore(width)

    async def one() -> None:
        async with free:
            process = await asyncio.create_subprocess_exec(COMMAND)
            await process.wait()

    await asyncio.gather(*(one() for _ in range(tasks)))


def compared(tasks: int, width: int, repeat: int) -> list[Finding]:
    """Measure both kinds of task."""
    files = {
        "pipelines/warm.yaml": pipeline("warm", tasks, width, 'python: "pipelines.jobs.idle:nothing"'),
        "pipelines/commands.yaml": pipeline("commands", tasks, width, f"run: [{COMMAND}]"),
        "pipelines/jobs/idle.py": JOB,
    }
    workers = {"SENSORFLOW_WORKERS": str(width), "SENSORFLOW_PYTHON_WORKERS": str(width)}
    with (
        home_of(files) as home,
        sensorflow(home, **workers) as (port, _),
        ProcessPoolExecutor(width) as pool,
    ):
        runs = Runs(home, port)

        def bare_subprocesses() -> None:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(subprocesses(tasks, width))

        runs.run("warm")  # All workers are warm on both sides before the first is measured.
        wait([pool.submit(nothing) for _ in range(tasks)])
        taken = in_turn(
            repeat,
            pool=seconds(lambda: wait([pool.submit(nothing) for _ in range(tasks)])),
            warm=lambda: runs.run("warm"),
            subprocesses=seconds(bare_subprocesses),
            commands=lambda: runs.run("commands"),
        )
    return [
        finding(tasks, "warm Python tasks", taken["warm"], taken["pool"], 0.6, "ProcessPoolExecutor"),
        finding(tasks, "commands", taken["commands"], taken["subprocesses"], 0.8, "asyncio subprocesses"),
    ]


def finding(
    tasks: int, what: str, ours_s: list[float], ceiling_s: list[float], bar: float, beside: str
) -> Finding:
    ours, ceiling = (tasks / statistics.median(values) for values in (ours_s, ceiling_s))
    return Finding(
        row="P7",
        what=f"{tasks:,} {what} in one fan-out",
        **median_and_spread(ratios(ceiling_s, ours_s)),
        bar=bar,
        at_most=False,
        figures=f"{ours:,.0f} tasks/s; {beside} {ceiling:,.0f}",
    )


def main() -> None:
    words = parser(__doc__)
    words.add_argument("--tasks", type=int, default=1_000)
    words.add_argument("--width", type=int, default=2 * (os.cpu_count() or 1))
    given = words.parse_args()
    tell(compared(given.tasks, given.width, given.repeat), as_json=given.json)


if __name__ == "__main__":
    main()
