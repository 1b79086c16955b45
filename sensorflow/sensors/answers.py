"""Answers what a sensor asks the service that runs it."""

from collections.abc import Callable, Iterator, Sequence

from sensorflow.core.definitions import Definitions
from sensorflow.core.partitions import calendar_of
from sensorflow.core.vocabulary import DatasetDefinition, SensorDefinition
from sensorflow.ports import Clock, SensorContext, SensorService, Store
from sensorflow.sensors.asked import asked_for


class Answers:
    """Implements `ports.SensorService` for one sensor."""

    def __init__(
        self,
        sensor: SensorDefinition,
        *,
        definitions: Callable[[], Definitions],
        store: Store,
        clock: Clock,
        masked: Callable[[bytes], bytes],
        allow_private: bool,
    ) -> None:
        self.clock = clock
        self.allow_private = allow_private
        self._sensor = sensor
        self._definitions = definitions
        self._store = store
        self._masked = masked

    def dataset(self) -> DatasetDefinition:
        """Return the dataset that the sensor feeds, as it is defined now."""
        return self._definitions().datasets[self._sensor.rule.dataset]

    def timezone(self) -> str:
        """Return the zone of clock times in the sensor's file."""
        pipeline = self._definitions().pipelines.get(self._sensor.pipeline)
        if pipeline is not None:
            return pipeline.partitioning.timezone
        cut = self.dataset().partitioning
        return (calendar_of(cut) or cut).timezone

    def asked(self) -> Iterator[Sequence[str]]:
        """Yield the partitions of the dataset that are asked for, as `asked_for` does."""
        return asked_for(self._definitions(), self._store, self._sensor.rule.dataset, self.clock.now())

    def kept(self, source: str, place: str) -> str | None:
        """Return the `content` of the newest event of this source that `replaces` this place."""
        row = self._store.reader.content(source, place)
        return row.digest if row else None

    def masked(self, text: str) -> str:
        """Return a text without the secrets that came into the home's files from the environment."""
        return self._masked(text.encode(errors="surrogateescape")).decode(errors="surrogateescape")


def service_of(context: SensorContext) -> SensorService:
    """Return the service that a sensor cannot do without.

    Raises:
        ValueError: it runs alone.
    """
    if context.service is None:
        raise ValueError("expected a service to ask, found none: this kind of sensor cannot run alone")
    return context.service
