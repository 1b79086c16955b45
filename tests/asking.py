"""A service that sensors may ask, as a test wants it to answer."""

from collections.abc import Iterator, Sequence

from sensorflow.core.vocabulary import DatasetDefinition, Event, Grain, Partitioning
from sensorflow.ports import Clock
from sensorflow.testing import FakeClock


class SettableClock(FakeClock):
    """A clock that can be set, as people and time servers do; what it measures goes on evenly."""

    def __init__(self, now: float) -> None:
        super().__init__(now)
        self.set_by = 0.0

    def now(self) -> float:
        return super().now() + self.set_by


class Told:
    """Implements `ports.SensorService` without a store: what is kept is what the test keeps."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        partitioning: Partitioning = Partitioning(Grain.NONE),  # noqa: B008 - frozen
        timezone: str = "UTC",
        allow_private: bool = False,
        secrets: Sequence[str] = (),
    ) -> None:
        self.clock = clock or FakeClock()
        self.allow_private = allow_private
        self.partitions: list[str] = []
        self._dataset = DatasetDefinition(name="landed", partitioning=partitioning)
        self._timezone = timezone
        self._secrets = secrets
        self._kept: dict[tuple[str, str], str] = {}

    def keep(self, events: Sequence[Event]) -> None:
        """Keep what the commits of these events keep."""
        self._kept |= {(event.source, event.replaces): event.content for event in events if event.replaces}

    def dataset(self) -> DatasetDefinition:
        return self._dataset

    def timezone(self) -> str:
        return self._timezone

    def asked(self) -> Iterator[Sequence[str]]:
        yield list(self.partitions)

    def kept(self, source: str, place: str) -> str | None:
        return self._kept.get((source, place))

    def masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "*" * len(secret))
        return text
