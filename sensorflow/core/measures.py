"""What a service counts of what it does, since it was started."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sensorflow.core.messages import Answer, AttemptEnded, Message, Receipt

#: Upper bounds of buckets, in seconds.
COMMIT_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
FIRING_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Histogram:
    """How often something took how long."""

    bounds: Sequence[float]
    #: How many fell into each bucket, the last one without a bound.
    counts: list[int] = field(default_factory=list)
    #: Seconds in all.
    total_s: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Add one that took so long; on a bound it belongs below."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total_s += seconds


@dataclass(slots=True)
class Measures:
    """Counts and times; only ever added to."""

    #: By state.
    events: Counter[str] = field(default_factory=Counter)
    #: By dataset.
    arrivals: Counter[str] = field(default_factory=Counter)
    #: Attempts that ended, by state.
    attempts: Counter[str] = field(default_factory=Counter)
    commit_s: Histogram = field(default_factory=lambda: Histogram(COMMIT_BOUNDS_S))
    #: From the receipt of what fired a task to the start of its process.
    firing_s: Histogram = field(default_factory=lambda: Histogram(FIRING_BOUNDS_S))

    def count(self, message: Message, answer: Answer | Exception) -> None:
        """Add what became of a message."""
        if isinstance(answer, Receipt):
            self.events[answer.state.value] += 1
            for arrival in answer.arrivals:
                self.arrivals[arrival.dataset] += 1
        elif isinstance(message, AttemptEnded):
            self.attempts[message.state.value] += 1
