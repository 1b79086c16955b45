"""What lies outside of the service and survives its death: time, chance, and what is still to happen."""

import hashlib
import heapq
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

from tests.flows import NOW

T = TypeVar("T")


class Stop(SystemExit):
    """Ends the process that is simulated. No `except` of the service holds it up, as with SIGKILL."""


class Crash(Stop):
    """The process was killed."""


class Violation(Stop):
    """A promise is broken."""


class Choices:
    """A seed as what decides, for `tests.random_homes`."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def number(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def yes(self) -> bool:
        return self._random.random() < 0.5

    def one(self, options: Sequence[T]) -> T:
        return self._random.choice(options)

    def some(self, options: Sequence[T], most: int) -> list[T]:
        return self._random.sample(options, self._random.randint(0, min(most, len(options))))


class World:
    """A clock, a seed, and an agenda of what happens when."""

    def __init__(self, seed: int, *, tell: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.random = Random(seed)
        #: Seconds by the clock that never jumps.
        self.elapsed = 0.0
        #: How wrong the wall clock goes.
        self.offset = 0.0
        self.agenda: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        #: The first promise that was broken.
        self.violation: str | None = None
        #: Once true nothing goes wrong any more.
        self.is_calm = False
        self._number = 0
        self._tell = tell
        self._hash = hashlib.sha256()

    def now(self) -> float:
        return NOW + self.elapsed + self.offset

    def monotonic(self) -> float:
        return self.elapsed

    def chance(self, probability: float) -> bool:
        """Draw whether something goes wrong; in the end nothing does."""
        return not self.is_calm and self.random.random() < probability

    def after(self, delay_s: float, what: Callable[..., None], *arguments: object) -> None:
        """Put something on the agenda."""
        self._number += 1
        heapq.heappush(self.agenda, (self.elapsed + delay_s, self._number, what, arguments))

    def do_next(self) -> None:
        """Do what is next on the agenda."""
        at, _, what, arguments = heapq.heappop(self.agenda)
        self.elapsed = max(self.elapsed, at)
        what(*arguments)

    def number(self) -> int:
        self._number += 1
        return self._number

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        self._hash.update(f"{self.elapsed:.6f} {text}".encode())
        self.show(text)

    def show(self, text: str) -> None:
        """Tell a reader something that is no part of the trace."""
        if self._tell is not None:
            self._tell(f"{self.elapsed:10.4f} {text}")

    def trace_hash(self) -> str:
        return self._hash.hexdigest()

    def broken(self, promise: str) -> None:
        """Stop at a broken promise."""
        if self.violation is None:
            self.violation = promise
            self.note(f"BROKEN: {promise}")
        raise Violation(promise)
