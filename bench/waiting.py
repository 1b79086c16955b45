"""What an event costs that is posted to a service in which many runs wait (P5).

`python -m bench.waiting [--sizes 100 10000 100000 1000000] [--tasks 1] [--events 4000] [--repeat 5]`:
services whose stores have so many waiting task runs, in turn: events that hit a random one of them, and
events of a new partition each; and what memory the largest holds afterwards. A run has one task, the dearest
for it, for each task run that waits has then rows of its own; or `--tasks`.
"""

import contextlib
import tempfile
from itertools import count
from pathlib import Path

from bench.comparison import Finding, parser, tell
from bench.growth import chance, growth
from bench.services import resident_mb, rest, sensorflow
from bench.stores import event, make_store, order_key


def compared(sizes: list[int], tasks: int, number: int, repeat: int) -> list[Finding]:
    """Measure hits and new partitions."""
    ids, new, lots = count(), count(10**9), chance()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        homes = {
            size: make_store(folder / str(size), waiting_runs=size // tasks, tasks=tasks) for size in sizes
        }
        servers = {size: stack.enter_context(sensorflow(home)) for size, home in homes.items()}
        for _, pid in servers.values():
            rest(pid)
        ports = {size: port for size, (port, _) in servers.items()}

        def hits(size: int, events: int) -> list[bytes]:
            keys = [order_key(lots.randrange(1, size // tasks + 1)) for _ in range(events)]
            return [event("paid", key, f"hit-{next(ids)}") for key in keys]

        def news(size: int, events: int) -> list[bytes]:
            return [event("paid", order_key(next(new)), f"new-{next(ids)}") for _ in range(events)]

        sizes_told = {"number": number, "repeat": repeat}
        # Held against the fewest, and against what P5 names; of two sizes that is one.
        few, some = sizes[0], sizes[1] if len(sizes) > 2 else sizes[0]
        told = "an event that hits one of many waiting task runs" + f", {tasks} a run" * (tasks > 1)
        found = growth("P5", told, ports, hits, bars={few: 1.5, some: 1.5}, **sizes_told)
        told = "an event of a new partition beside them"
        found += growth("P5", told, ports, news, bars={some: 1.2}, **sizes_told)
        memory = resident_mb(servers[max(sizes)][1])
    return [
        *found,
        Finding(
            row="P5",
            what=f"memory with {max(sizes):,} waiting task runs",
            value=memory,
            spread=(memory, memory),
            bar=150,
            at_most=True,
            unit=" MB",
            figures="after all of these events",
        ),
    ]


def main() -> None:
    words = parser(__doc__)
    words.add_argument("--sizes", type=int, nargs="+", default=[100, 10_000, 100_000, 1_000_000])
    words.add_argument("--tasks", type=int, default=1, help="how many of them wait in one run")
    words.add_argument("--events", type=int, default=4_000)
    given = words.parse_args()
    if len(given.sizes) < 2:
        words.error("--sizes: expected two or more, for one is held against another")
    tell(compared(given.sizes, given.tasks, given.events, given.repeat), as_json=given.json)


if __name__ == "__main__":
    main()
