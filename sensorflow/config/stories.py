"""From a script to the story that is played, or to what in it does not fit the definitions."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sensorflow.config.scripts import LAST_INSTANT, EventStep, Script, ScriptStep, read_instant
from sensorflow.config.yaml import Path
from sensorflow.core.definitions import Definitions
from sensorflow.core.durations import parse_duration
from sensorflow.core.errors import NotFoundError, PartitionError, ReadingError, SensorflowError
from sensorflow.core.messages import DeclaredReady, MakeRun, Message, Observed, PausePipeline
from sensorflow.core.partitions import read_partition
from sensorflow.core.reading import declared_partition, known_part
from sensorflow.core.vocabulary import DatasetDefinition, Event, PipelineDefinition, SensorDefinition
from sensorflow.rehearsal.story import Hold, Outcome, Step, Story

#: Sensor kinds whose events are known by their content where they bring no id.
_BY_CONTENT = frozenset({"mqtt", "webhook"})


@dataclass(frozen=True, slots=True)
class Mistake:
    """What in a script does not fit the definitions."""

    path: Path
    #: As `expected X, found Y`.
    message: str

    @property
    def expected(self) -> str:
        """What was expected there."""
        return self.message.removeprefix("expected ").rpartition(", found ")[0] or self.message

    @property
    def found(self) -> str:
        """What was found there."""
        return self.message.rpartition(", found ")[2]


class MistakesError(SensorflowError):
    """A script does not fit the definitions."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(each.message for each in mistakes))
        self.mistakes = mistakes


def story_of(
    script: Script, definitions: Definitions, happened: Sequence[Step] = (), begin: float | None = None
) -> Story:
    """Return the story that a script tells.

    Args:
        happened: What came in before, as it was stored; it comes in again.
        begin: When it begins where the script does not say.

    Raises:
        MistakesError: with all that does not fit the definitions.
    """
    reader = _Reader(definitions)
    begin = script.begin if script.begin is not None else begin
    scripted = reader.steps(script, begin)
    outcomes = tuple(reader.outcomes(script))
    holds = tuple(reader.holds(script))
    for place, name in enumerate(script.paused):
        reader.pipeline(("paused", place), name)
    steps = tuple(sorted((*happened, *scripted), key=lambda step: step.at))
    begins_at = begin if begin is not None else steps[0].at if steps else None
    if begins_at is None:
        if not script.steps:
            reader.mistaken((), "expected steps, or from, found neither")
    elif steps and steps[0].at < begins_at:
        reader.mistaken(("from",), "expected an instant not after the first step, found a later one")
    elif script.until is not None and script.until < begins_at:
        reader.mistaken(("until",), "expected an instant not before the beginning, found an earlier one")
    if reader.mistakes or begins_at is None:
        raise MistakesError(reader.mistakes)
    if script.until is not None:
        steps = tuple(step for step in steps if step.at <= (script.until or 0.0))
    return Story(begins_at=begins_at, until=script.until, steps=steps, outcomes=outcomes, holds=holds)


class _Reader:
    """Reads a script in the light of definitions and keeps what does not fit them."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.mistakes: list[Mistake] = []

    def mistaken(self, path: Path, message: str) -> None:
        self.mistakes.append(Mistake(path, message))

    def steps(self, script: Script, now: float | None) -> list[Step]:
        found: list[Step] = []
        for place, step in enumerate(script.steps):
            path: Path = ("steps", place)
            now = self._time(path, step, now)
            message = self._message(path, step, place)
            if message is not None:
                found.append(Step(now or 0.0, message))
        return found

    def outcomes(self, script: Script) -> list[Outcome]:
        found = []
        for place, rule in enumerate(script.tasks):
            path: Path = ("tasks", place)
            partition = rule.partition
            pipeline = self.pipeline((*path, "pipeline"), rule.pipeline) if rule.pipeline else None
            if pipeline is not None:
                if rule.task is not None and rule.task not in pipeline.tasks:
                    known = ", ".join(pipeline.tasks)
                    message = f'expected a task of {pipeline.name} ({known}), found "{rule.task}"'
                    self.mistaken((*path, "task"), message)
                partition = self._partition((*path, "partition"), pipeline, partition) if partition else None
            found.append(
                Outcome(
                    pipeline=rule.pipeline,
                    task=rule.task,
                    partition=partition,
                    attempts=rule.attempt,
                    ends=rule.ends,
                    error=rule.error,
                    takes_s=rule.takes,
                )
            )
        return found

    def holds(self, script: Script) -> list[Hold]:
        found = []
        for place, held in enumerate(script.hold):
            path: Path = ("hold", place)
            dataset = self._dataset((*path, "dataset"), held.dataset)
            if dataset is None:
                continue
            if dataset.name in self.definitions.producers:
                pipeline, task = self.definitions.producers[dataset.name]
                message = (
                    f"expected a dataset from outside, found {dataset.name}, which task {task} of "
                    f"{pipeline} makes: let that fail instead"
                )
                self.mistaken((*path, "dataset"), message)
            partition = held.partition
            if partition is not None:
                read = _declared(dataset, partition)
                partition = self._read((*path, "partition"), read)
            if (part := held.part) is not None:
                self._part((*path, "part"), dataset, part)
            found.append(Hold(dataset=dataset.name, partition=partition, part=part))
        return found

    def pipeline(self, path: Path, name: str) -> PipelineDefinition | None:
        found = self.definitions.pipelines.get(name)
        if found is None:
            known = ", ".join(sorted(self.definitions.pipelines)) or "there is none"
            self.mistaken(path, f'expected a pipeline ({known}), found "{name}"')
        return found

    def _time(self, path: Path, step: ScriptStep, before: float | None) -> float | None:
        """Return when a step happens; None where nothing says so, which is told once."""
        at = step.at
        if at is None and step.event is not None and step.event.time is not None:
            at = step.event.time
        if at is not None and not at.startswith("+"):
            try:
                return read_instant(at)
            except ValueError:
                message = f'expected an instant such as 2013-03-08T05:00:00Z, found "{at}"'
                self.mistaken((*path, "event", "time"), message)
                return before
        if before is None and path == ("steps", 0):
            self.mistaken(path, "expected at in the first step, or from above all steps, found neither")
        if before is None or at is None:
            return before
        after = before + parse_duration(at[1:])
        if after >= LAST_INSTANT:
            self.mistaken(
                (*path, "at"), f"expected an instant before the year 3000, found {at} after another"
            )
            return before
        return after

    def _message(self, path: Path, step: ScriptStep, place: int) -> Message | None:
        if step.ready is not None:
            return self._ready(path, step, place)
        if step.event is not None:
            return self._observed(path, step, step.event, place)
        if step.make is not None:
            pipeline = self.pipeline((*path, "make", "pipeline"), step.make.pipeline)
            if pipeline is None:
                return None
            partition = self._partition((*path, "make", "partition"), pipeline, step.make.partition)
            if partition is None:
                return None
            return MakeRun(pipeline=pipeline.name, partition=partition, force=step.make.force)
        key, name = ("pause", step.pause) if step.pause is not None else ("resume", step.resume or "")
        known = self.pipeline((*path, key), name)
        return PausePipeline(pipeline=name, paused=key == "pause") if known else None

    def _ready(self, path: Path, step: ScriptStep, place: int) -> Message | None:
        body = step.ready
        assert body is not None
        dataset = self._dataset((*path, "ready", "dataset"), body.dataset)
        if dataset is None:
            return None
        partition = self._read((*path, "ready", "partition"), _declared(dataset, body.partition))
        part = None if body.part is None else self._part((*path, "ready", "part"), dataset, body.part)
        if partition is None:
            return None
        event = Event(
            source=body.source or f"/ready/{dataset.name}",
            id=body.id or f"step-{place + 1}",
            subject=dataset.name,
            data=body.data,
        )
        return DeclaredReady(event=event, dataset=dataset.name, partition=partition, part=part)

    def _observed(self, path: Path, step: ScriptStep, body: EventStep, place: int) -> Message | None:
        sensor = self._sensor((*path, "sensor"), step.sensor) if step.sensor is not None else None
        if step.sensor is not None and sensor is None:
            return None
        by_content = body.id is None and sensor is not None and sensor.kind in _BY_CONTENT
        event = Event(
            source=body.source or source_of(sensor),
            id=None if by_content else body.id or f"step-{place + 1}",
            type=body.type or "dev.sensorflow.observed",
            subject=body.subject,
            time=body.time,
            data=body.data,
            extensions=body.extensions,
            content=json.dumps([body.subject, body.data], sort_keys=True) if by_content else "",
        )
        return Observed(event=event, sensor=(sensor.pipeline, sensor.name) if sensor else None)

    def _dataset(self, path: Path, name: str) -> DatasetDefinition | None:
        found = self.definitions.datasets.get(name)
        if found is None:
            known = ", ".join(sorted(self.definitions.datasets)) or "there is none"
            self.mistaken(path, f'expected a dataset ({known}), found "{name}"')
        return found

    def _sensor(self, path: Path, name: str) -> SensorDefinition | None:
        pipeline, _, own = name.partition("/")
        found = self.definitions.sensors.get((pipeline, own))
        if found is None:
            known = ", ".join(sorted(map("/".join, self.definitions.sensors))) or "there is none"
            self.mistaken(path, f'expected a sensor ({known}), found "{name}"')
        return found

    def _partition(self, path: Path, pipeline: PipelineDefinition, text: str | None) -> str | None:
        return self._read(path, lambda: read_partition(pipeline.partitioning, text or None))

    def _part(self, path: Path, dataset: DatasetDefinition, text: str) -> str | None:
        return self._read(path, lambda: known_part(dataset, text))

    def _read(self, path: Path, read: Callable[[], str]) -> str | None:
        try:
            return read()
        except (PartitionError, ReadingError, NotFoundError) as error:
            self.mistaken(path, str(error))
            return None


def _declared(dataset: DatasetDefinition, partition: str | None) -> Callable[[], str]:
    return lambda: declared_partition(dataset, partition)


def source_of(sensor: SensorDefinition | None) -> str:
    """Return the source that an event of a sensor has."""
    if sensor is None:
        return "/rehearsal"
    kind = "hooks" if sensor.kind == "webhook" else sensor.kind
    return f"/{kind}/{sensor.pipeline}/{sensor.name}"
