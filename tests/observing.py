"""Runs one sensor the way the service does, and lets a test wait for what it brings."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from sensorflow.core.vocabulary import Event
from sensorflow.ports import Batch, Sensor, SensorContext, SensorService

PATIENCE_S = 20.0


class Observing:
    """A sensor that runs while the `async with` does, its events, and what it reports."""

    def __init__(
        self,
        sensor_class: type[Sensor],
        options: dict[str, object],
        home: Path,
        *,
        instance: str = "test",
        service: SensorService | None = None,
    ) -> None:
        self.events: list[Event] = []
        self.batches: list[int] = []
        self.reports: list[str | None] = []
        self._changed = asyncio.Condition()
        self._may_commit = asyncio.Event()
        self._may_commit.set()
        context = SensorContext(
            pipeline="flights",
            name="landed",
            home=home,
            instance=instance,
            report=self._report,
            service=service,
        )
        self._sensor = sensor_class(sensor_class.Options.model_validate(options), context)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            await self._task

    @property
    def paths(self) -> list[str]:
        """The subjects of all events, sorted."""
        return sorted(event.subject or "" for event in self.events)

    def hold_commits(self) -> None:
        """Let nothing be committed from now on: the sensor is not resumed."""
        self._may_commit.clear()

    def allow_commits(self) -> None:
        """Let commits end again."""
        self._may_commit.set()

    async def until(self, holds: Callable[["Observing"], bool], *, patience_s: float = PATIENCE_S) -> None:
        """Wait until it holds of what was brought and reported so far."""
        async with asyncio.timeout(patience_s), self._changed:
            try:
                await self._changed.wait_for(
                    lambda: holds(self) or (self._task is not None and self._task.done())
                )
            except asyncio.CancelledError:
                print("so far:", len(self.events), self.paths[:100], self.reports[-100:])  # noqa: T201  # What a failing test shows.
                raise
        assert self._task is not None
        if self._task.done():
            await self._task

    async def until_count(self, count: int) -> None:
        """Wait for so many events, and see that there are no more."""
        await self.until(lambda so_far: len(so_far.events) >= count)
        assert len(self.events) == count, self.paths

    async def until_well(self) -> None:
        """Wait until the sensor says that it is well, as it does once it observes."""
        await self.until(lambda so_far: bool(so_far.reports) and so_far.reports[-1] is None)

    async def _run(self) -> None:
        observed_events = self._sensor.events()
        try:
            async for observed in observed_events:
                batch = list(observed.events) if isinstance(observed, Batch) else [observed]
                async with self._changed:
                    self.events += batch
                    self.batches.append(len(batch))
                    self._changed.notify_all()
                await self._may_commit.wait()
        finally:
            await observed_events.aclose()  # type: ignore[attr-defined]

    def _report(self, text: str | None) -> None:
        self.reports.append(text)
        self._notifying = asyncio.create_task(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
