"""What an event costs that is posted to a service in which many runs wait (P5).

`python -m bench.waiting [--sizes 100 10000 100000 1000000] [--events 4000] [--repeat 5]`: services whose
stores have so many waiting task runs, one a run, in turn: events that hit a random one of them, and events of
a new partition each; and what memory the largest holds afterwards.
"""

import contextlib
import tempfile
from itertools import count
from pathlib import Path

from bench.comparison import Finding, parser, tell
from bench.growth import chance, growth
from bench.services import resident_mb, rest, sensorflow
from bench.stores import event, make_store, order_key


def compared(sizes: list[int], number: int, repeat: int) -> list[Finding]:
    """Measure hits and new partitions."""
    ids, new, lots = count(), count(10**9), chance()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        homes = {size: make_store(folder / str(size), waiting_runs=size) for size in sizes}
        servers = {size: stack.enter_context(sensorflow(home)) for size, home in homes.items()}
        for _, pid in servers.values():
            rest(pid)
        ports = {size: port for size, (port, _) in servers.items()}

        def hits(size: int, events: int) -> list[bytes]:
            keys = [order_key(lots.randrange(1, size + 1)) for _ in range(events)]
            return [event("paid", key, f"hit-{next(ids)}") for key in keys]

        def news(size: int, events: int) -> list[bytes]:
            return [event("paid", order_key(next(new)), f"new-{next(ids)}") for _ in range(events)]

        sizes_told = {"number": number, "repeat": repeat}
        few, some = sizes[:2]
        told = "an event that hits one of many waiting task runs"
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
    words.add_argument("--events", type=int, default=4_000)
    given = words.parse_args()
    tell(compared(given.sizes, given.events, given.repeat), as_json=given.json)


if __name__ == "__main__":
    main()
