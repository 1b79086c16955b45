"""How long to wait before something that failed is tried again."""

import random
from collections.abc import Callable


class Backoff:
    """Delays that double up to a limit, each cut at random by up to a fifth so that tries spread out."""

    def __init__(self, first_s: float, max_s: float, draw: Callable[[], float] = random.random) -> None:
        """Prepare. `draw` gives a number in [0, 1)."""
        self._first_s = first_s
        self._max_s = max_s
        self._draw = draw
        self._step_s = first_s

    def next_s(self) -> float:
        """Return the seconds to wait now; the next ones are longer."""
        delay_s = self._step_s * (1 - 0.2 * self._draw())
        self._step_s = min(self._max_s, self._step_s * 2)
        return delay_s

    def reset(self) -> None:
        """Begin with the shortest delay again."""
        self._step_s = self._first_s
