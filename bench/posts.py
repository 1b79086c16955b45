"""How many events that are posted one by one are on disk in a second (P1).

`python -m bench.posts [--events 6000] [--repeat 5] [--connections 64]`: CloudEvents to the real service,
matched and committed (WAL, synchronous=FULL), against the same aiohttp that answers 202 without doing
anything; in turn, from a client in a process of its own. Three mixes: re-arrivals of 28 partitions, a new
partition each, and thirds of a three-input join that queues its task.
"""

import asyncio
import statistics
from itertools import count

from bench.comparison import Finding, in_turn, median_and_spread, parser, ratios, tell
from bench.events import PIPELINE, Mix, events, joins, new_partitions, posts, rearrivals
from bench.http_load import Load, send_all
from bench.services import bare, home_of, sensorflow

#: With the least that each may reach of the ceiling.
MIXES: dict[str, tuple[Mix, float]] = {
    "re-arrivals": (rearrivals, 0.6),
    "new partitions": (new_partitions, 0.5),
    "thirds of a join": (joins, 0.5),
}


def sent(port: int, bodies: list[bytes], connections: int) -> Load:
    """Send all and return what came of it; every answer must be 202."""
    load = asyncio.run(send_all(port, iter(bodies), connections=connections))
    if set(load.statuses) != {202}:
        raise RuntimeError(f"expected 202 only, found {dict(load.statuses)}")
    return load


def compared(number: int, connections: int, repeat: int) -> list[Finding]:
    """Measure all mixes."""
    findings = []
    with home_of({"pipelines/sales.yaml": PIPELINE}) as home, sensorflow(home) as ours, bare() as beside:
        begins = count(0, number)
        for name, (mix, bar) in MIXES.items():
            waits_ms: list[float] = []

            def bare_rate(mix: Mix = mix) -> float:
                return sent(beside[0], posts(events(mix, 0, number)), connections).rate

            def rate(mix: Mix = mix, waits_ms: list[float] = waits_ms) -> float:
                load = sent(ours[0], posts(events(mix, next(begins), number)), connections)
                waits_ms += [wait_s * 1e3 for wait_s in load.waits_s]
                return load.rate

            rate()  # The first events warm the service up.
            rates = in_turn(repeat, bare=bare_rate, ours=rate)
            waits_ms.sort()
            findings.append(
                Finding(
                    row="P1",
                    what=f"POSTs of single events, {name}",
                    **median_and_spread(ratios(rates["ours"], rates["bare"])),
                    bar=bar,
                    at_most=False,
                    figures=(
                        f"{statistics.median(rates['ours']):,.0f} events/s on disk; "
                        f"bare aiohttp {statistics.median(rates['bare']):,.0f}; "
                        f"p50 {waits_ms[len(waits_ms) // 2]:.1f} ms, "
                        f"p99 {waits_ms[len(waits_ms) * 99 // 100]:.1f} ms"
                    ),
                )
            )
    return findings


def main() -> None:
    words = parser(__doc__)
    words.add_argument("--events", type=int, default=6_000)
    words.add_argument("--connections", type=int, default=64)
    given = words.parse_args()
    tell(compared(given.events, given.connections, given.repeat), as_json=given.json)


if __name__ == "__main__":
    main()
