"""The only place that reads wall time."""

import time


class SystemClock:
    """The machine's own clock, as a `sensorflow.ports.Clock`."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()
