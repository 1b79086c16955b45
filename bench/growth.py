"""What an event costs in services whose stores hold more and more: measured in turn, and compared."""

import random
import statistics
from collections.abc import Callable, Mapping

from bench.comparison import Finding, in_turn, median_and_spread, ratios
from bench.events import SINGLE
from bench.http_load import post
from bench.posts import sent

CONNECTIONS = 64
#: Returns so many bodies that a service of this size has not seen yet.
Bodies = Callable[[int, int], list[bytes]]


def chance() -> random.Random:
    """Return lots that fall the same every time."""
    return random.Random(1)


def growth(
    row: str,
    what: str,
    ports: Mapping[int, int],
    bodies: Bodies,
    *,
    bars: Mapping[int, float],
    number: int,
    repeat: int,
) -> list[Finding]:
    """Post so many events to the service of each size, in turn; the largest is held against others.

    Args:
        ports: By size.
        bars: By a size that the largest is held against, how many times as much an event may cost there.
    """

    def cost_us(size: int) -> float:
        requests = [post("/api/v1/events", body, content_type=SINGLE) for body in bodies(size, number)]
        return 1e6 / sent(ports[size], requests, CONNECTIONS).rate

    for size in ports:
        cost_us(size)  # What is read for the first time is not what is asked here.
    costs = in_turn(repeat, **{str(size): lambda size=size: cost_us(size) for size in ports})  # type: ignore[misc]
    points = tuple((size, statistics.median(costs[str(size)])) for size in ports)
    large = max(ports)
    return [
        Finding(
            row=row,
            what=f"{what}, {large:,} against {small:,}",
            **median_and_spread(ratios(costs[str(large)], costs[str(small)])),
            bar=bar,
            at_most=True,
            figures=", ".join(f"{cost:,.0f} us with {size:,}" for size, cost in points),
            growth=points if small == min(bars) else (),
        )
        for small, bar in bars.items()
    ]
