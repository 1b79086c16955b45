"""Keeps sensors running, each in a task of its own, and knows how each of them is."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import structlog

from sensorflow.core.errors import SensorflowError
from sensorflow.core.messages import Observed
from sensorflow.core.vocabulary import Event, SensorDefinition
from sensorflow.ports import Batch, Clock, Sensor, SensorContext, SensorService
from sensorflow.sensors.backoff import Backoff

#: Stores what was observed and returns once it is on disk: one answer each, an error where it was refused.
Submit: TypeAlias = Callable[[Sequence[Observed]], Awaitable[Sequence[object]]]
Sleep: TypeAlias = Callable[[float], Awaitable[None]]
#: Told of pipeline, sensor and what is wrong with it, each time it goes down; None: it is well again.
Changed: TypeAlias = Callable[[str, str, str | None], None]
#: Gives a sensor what answers its questions.
Answering: TypeAlias = Callable[[SensorDefinition], SensorService]

SensorState: TypeAlias = Literal["starting", "running", "failing", "stopped"]

#: The shortest and the longest wait before a broken sensor is started again.
RESTART_S = (0.5, 30.0)
#: The same before what the service refused is submitted again.
RESUBMIT_S = (0.1, 5.0)
#: A sensor that lived so long ran well: after its next fault it is soon started again.
RAN_WELL_S = 30.0
#: A sensor that says nothing counts as running when it has not failed for so long.
STARTED_AFTER_S = 1.0

#: A sensor that fails for so long is down, and somebody is told; a broker may restart sooner.
DOWN_AFTER_S = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """How a sensor is."""

    state: SensorState
    #: What is wrong, in words.
    error: str | None
    #: Since when it is so, in seconds since the epoch.
    since: float


class SensorSupervisor:
    """Runs sensors: stores what they observe, starts them again when they break.

    What a sensor yields is submitted until it is stored; only then is the sensor resumed. A broken sensor
    disturbs no other.
    """

    def __init__(
        self,
        submit: Submit,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
        changed: Changed | None = None,
        answering: Answering | None = None,
    ) -> None:
        self._submit = submit
        self._changed = changed
        self._answering = answering
        self._clock = clock
        self._sleep = sleep
        self._supervised: dict[tuple[str, str], _Supervised] = {}

    def start(
        self, definition: SensorDefinition, sensor_class: type[Sensor], *, home: Path, instance: str
    ) -> None:
        """Start a sensor; returns at once.

        Args:
            instance: What `SensorContext.instance` is.

        Raises:
            ValueError: a sensor of this pipeline and name was started already.
        """
        key = (definition.pipeline, definition.name)
        if key in self._supervised:
            raise ValueError(f"sensor {definition.name} of pipeline {definition.pipeline} runs already")
        supervised = _Supervised(
            definition, sensor_class, self._submit, self._clock, self._sleep, self._changed
        )
        self._supervised[key] = supervised
        supervised.start(home, instance, self._answering(definition) if self._answering else None)

    async def run_only(
        self,
        wanted: Mapping[tuple[str, str], tuple[SensorDefinition, type[Sensor]]],
        *,
        home: Path,
        instance: str,
    ) -> None:
        """Run exactly these sensors: one whose definition has not changed is not disturbed."""
        for key, supervised in list(self._supervised.items()):
            if key not in wanted or wanted[key][0] != supervised.definition:
                await supervised.stop()
                del self._supervised[key]
        for key, (definition, sensor_class) in wanted.items():
            if key not in self._supervised:
                self.start(definition, sensor_class, home=home, instance=instance)

    async def stop(self) -> None:
        """Stop all sensors and return when they have let go of what they hold.

        That is no recovery: of one that is down nobody is told that it is well.
        """
        for supervised in self._supervised.values():
            supervised.tell_nobody()
        await asyncio.gather(*[supervised.stop() for supervised in self._supervised.values()])

    def status(self, pipeline: str, name: str) -> SensorStatus:
        """Say how a sensor is; one that was never started is stopped."""
        supervised = self._supervised.get((pipeline, name))
        return supervised.status() if supervised else SensorStatus("stopped", None, self._clock.now())


class _Supervised:
    """One sensor, over all its starts."""

    def __init__(
        self,
        definition: SensorDefinition,
        sensor_class: type[Sensor],
        submit: Submit,
        clock: Clock,
        sleep: Sleep,
        changed: Changed | None,
    ) -> None:
        self.definition = definition
        self._changed = changed
        self._sensor_class = sensor_class
        self._submit = submit
        self._clock = clock
        self._sleep = sleep
        self._log = log.bind(pipeline=definition.pipeline, sensor=definition.name)
        self._task: asyncio.Task[None] | None = None
        self._status = SensorStatus("starting", None, clock.now())
        self._began_at = clock.monotonic()
        #: None: an earlier service may have told that it is down, so that it is well is told once.
        self._is_down: bool | None = None
        self._alarm: asyncio.TimerHandle | None = None
        #: What the sensor says of itself, and what the service says of its last events.
        self._reported: str | None = None
        self._refused: str | None = None

    def start(self, home: Path, instance: str, service: SensorService | None) -> None:
        context = SensorContext(
            pipeline=self.definition.pipeline,
            name=self.definition.name,
            home=home,
            instance=instance,
            report=self._report,
            service=service,
        )
        name = f"sensor {self.definition.pipeline}/{self.definition.name}"
        self._task = asyncio.create_task(self._run(context), name=name)

    def tell_nobody(self) -> None:
        self._changed = None

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._enter("stopped", None)

    def status(self) -> SensorStatus:
        lived_s = self._clock.monotonic() - self._began_at
        silent = not getattr(self._sensor_class, "tells_when_well", False)
        if self._status.state == "starting" and silent and lived_s >= STARTED_AFTER_S:
            self._show()
        return self._status

    async def _run(self, context: SensorContext) -> None:
        backoff = Backoff(*RESTART_S)
        while True:
            self._began_at = self._clock.monotonic()
            # Also where nobody asks how it is: that it is well again is told.
            asyncio.get_running_loop().call_later(STARTED_AFTER_S, self.status)
            try:
                await self._observe(self._sensor_class(self.definition.options, context))
            except (Exception, asyncio.CancelledError) as error:
                if _is_cancelled():
                    raise
                if self._clock.monotonic() - self._began_at >= RAN_WELL_S:
                    backoff.reset()
                delay_s = backoff.next_s()
                words = in_words(error)
                self._enter("failing", words)
                self._log.warning("sensor failed", error=words, next_start_s=round(delay_s, 1), exc_info=True)
            else:
                self._enter("stopped", None)
                self._log.info("sensor has come to its end")
                return
            await self._sleep(delay_s)
            self._reported = self._refused = None
            self._enter("starting", words)

    async def _observe(self, sensor: Sensor) -> None:
        events = sensor.events()
        try:
            async for observed in events:
                batch = list(observed.events) if isinstance(observed, Batch) else [observed]
                if batch:
                    await self._store(batch)
                    self._show()
        finally:
            # Not left to the garbage collector: the sensor lets go before it is started again.
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    async def _store(self, events: Sequence[Event]) -> None:
        """Submit until it is stored; what the service cannot take now it can take later."""
        key = (self.definition.pipeline, self.definition.name)
        messages = [Observed(event=event, sensor=key) for event in events]
        backoff = Backoff(*RESUBMIT_S)
        while True:
            try:
                answers = await self._submit(messages)
            except SensorflowError as error:
                self._refused = f"waits until {len(messages)} events can be stored: {in_words(error)}"
                self._show()
                await self._sleep(backoff.next_s())
                continue
            self._refused = next((in_words(one) for one in answers if isinstance(one, SensorflowError)), None)
            if self._refused is not None:
                self._log.error("event refused", error=self._refused)
            return

    def _report(self, text: str | None) -> None:
        if text is not None and self._reported is None:
            self._log.warning("sensor reports", error=text)
        self._reported = text
        self._show()

    def _show(self) -> None:
        error = self._reported or self._refused
        self._enter("failing" if error else "running", error)

    def _enter(self, state: SensorState, error: str | None) -> None:
        since = self._status.since if state == self._status.state else self._clock.now()
        self._status = SensorStatus(state, error, since)
        if state == "failing":
            if self._alarm is None and not self._is_down:
                self._alarm = asyncio.get_running_loop().call_later(DOWN_AFTER_S, self._tell_down)
        elif state != "starting":  # `starting` after a failure is no recovery yet.
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None
            if self._is_down is not False:
                self._is_down = False
                self._tell(None)

    def _tell_down(self) -> None:
        self._alarm = None
        self._is_down = True
        self._tell(self._status.error or "it does not start")

    def _tell(self, error: str | None) -> None:
        if self._changed is not None:
            self._changed(self.definition.pipeline, self.definition.name, error)


def _is_cancelled() -> bool:
    """Say whether it is us who are cancelled; a sensor can let the end of a task of its own slip out."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def in_words(error: BaseException) -> str:
    """Return what an exception says, led by its name where its text alone says too little."""
    if isinstance(error, SensorflowError | OSError) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}".removesuffix(": ")
