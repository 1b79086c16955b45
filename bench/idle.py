"""What a service costs in which nothing happens (P9).

`python -m bench.idle [--seconds 30] [--repeat 1]`: processor time, wake-ups, memory and processes of a home
that has a pipeline with a file sensor and a webhook, with the bare aiohttp beside it.
"""

import statistics
import time
from pathlib import Path

from bench.comparison import Finding, in_turn, median_and_spread, parser, tell
from bench.services import Spent, bare, home_of, resident_mb, rest, sensorflow

PIPELINE = """\
name: sales
sensors:
  files: {type: file, path: "landing/{partition}.csv", dataset: orders}
  fares: {type: webhook, auth: none, partition: data.day, dataset: fares}
tasks:
  join: {inputs: [orders, fares], run: ["true"]}
"""


def children(pid: int) -> int:
    """Count the processes that a process has started and that still run."""
    return sum(len(path.read_text().split()) for path in Path(f"/proc/{pid}/task").glob("*/children"))


def compared(seconds: float, repeat: int) -> list[Finding]:
    """Watch both doing nothing."""
    with (
        home_of({"pipelines/sales.yaml": PIPELINE, "landing/.keep": ""}) as home,
        sensorflow(home) as (_, ours),
        bare() as (_, beside),
    ):
        rest(ours)
        before: dict[int, Spent] = {}

        def watched(pid: int) -> tuple[float, float]:
            before[pid] = Spent.by(pid)
            time.sleep(seconds)
            after = Spent.by(pid)
            spent = after.cpu_s - before[pid].cpu_s
            return 100 * spent / seconds, (after.wakeups - before[pid].wakeups) / seconds

        taken = in_turn(repeat, ours=lambda: watched(ours), bare=lambda: watched(beside))  # type: ignore[arg-type, return-value]
        memory, bare_memory = resident_mb(ours), resident_mb(beside)
        processes = 1 + children(ours)
    cpu, wakeups = zip(*taken["ours"], strict=True)  # type: ignore[misc]
    bare_cpu, bare_wakeups = zip(*taken["bare"], strict=True)  # type: ignore[misc]
    return [
        _finding("of a core, idle", list(cpu), 0.5, " %", f"{statistics.median(bare_cpu):.3f} %"),
        _finding(
            "wake-ups a second, idle",
            list(wakeups),
            1.0,
            "",
            f"{statistics.median(bare_wakeups):.2f} a second",
        ),
        _finding("memory, idle", [memory], 100.0, " MB", f"{bare_memory:.0f} MB"),
        _finding("processes, idle", [float(processes)], 1.0, "", "1"),
    ]


def _finding(what: str, values: list[float], bar: float, unit: str, beside: str) -> Finding:
    return Finding(
        row="P9",
        what=what,
        **median_and_spread(values),
        bar=bar,
        at_most=True,
        unit=unit,
        figures=f"bare aiohttp {beside}",
    )


def main() -> None:
    words = parser(__doc__, repeat=1)
    words.add_argument("--seconds", type=float, default=30.0)
    given = words.parse_args()
    tell(compared(given.seconds, given.repeat), as_json=given.json)


if __name__ == "__main__":
    main()
