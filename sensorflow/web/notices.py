"""What is told of a change: the shapes, and how they are made of the rows that a commit wrote."""

from collections.abc import Iterator

from pydantic import BaseModel

from sensorflow.core.changes import Changes
from sensorflow.core.definitions import Definitions
from sensorflow.core.messages import EventState
from sensorflow.core.state import EventRow, PartitionRow, RunRow
from sensorflow.core.states import RunState, TaskState
from sensorflow.core.vocabulary import SHARED
from sensorflow.web.alerts import alert_schema
from sensorflow.web.api import Api
from sensorflow.web.schemas import AlertSchema, OptionalText, Schema, SensorSchema, instant
from sensorflow.web.sensors import sensor_name, sensor_schema


class ResetNotice(Schema):
    """Read again what you show: the notices that follow go on from now."""

    #: `start`: you are new; `unknown`: what came behind the id that you named is not known any more.
    reason: str


class EventNotice(Schema):
    """An event was stored, or read anew."""

    seq: int
    id: str
    source: str
    type: str
    #: The sensor that saw it, as `pipeline/sensor`; null for what was posted.
    sensor: str | None
    state: EventState
    reason: str | None
    received_at: str | None
    #: The datasets that it brought something.
    datasets: list[str]


class PartitionNotice(Schema):
    """Something arrived for a partition, or it was taken back."""

    dataset: str
    #: Absent for datasets without partitions.
    partition: OptionalText = None
    ready: bool
    version: int


class RunNotice(Schema):
    """A run is new, or it or a task of it has another state."""

    id: str
    pipeline: str
    #: Absent for pipelines without partitions.
    partition: OptionalText = None
    generation: int
    state: RunState
    stale: bool
    #: The tasks that changed, with the states that they have now.
    tasks: dict[str, TaskState]


class PipelineNotice(Schema):
    """A pipeline was paused or goes on."""

    name: str
    paused: bool


class BackfillNotice(Schema):
    """A backfill was made or cancelled."""

    id: str
    pipeline: str


class DefinitionsNotice(Schema):
    """The home's files were read again: pipelines, sensors and datasets may be others."""

    #: How many pipelines there are.
    pipelines: int


#: By the name that stands behind `event:`.
NOTICES: dict[str, type[BaseModel]] = {
    "reset": ResetNotice,
    "event": EventNotice,
    "partition": PartitionNotice,
    "run": RunNotice,
    "sensor": SensorSchema,
    "alert": AlertSchema,
    "pipeline": PipelineNotice,
    "backfill": BackfillNotice,
    "definitions": DefinitionsNotice,
}

#: The pipelines that something is of; None: of everybody's.
Pipelines = frozenset[str] | None


def notices_of(api: Api, changes: Changes) -> Iterator[tuple[str, Pipelines, BaseModel]]:
    """Yield what a commit changed: what it is, whose, and what is told of it."""
    definitions = api.definitions()
    if changes.definitions:
        yield "definitions", None, DefinitionsNotice(pipelines=len(definitions.pipelines))
    for pipeline in changes.pipelines.values():
        told = PipelineNotice(name=pipeline.name, paused=pipeline.paused)
        yield "pipeline", frozenset({pipeline.name}), told
    for seq, event in changes.events.items():
        datasets = changes.arrivals.get(seq, set())
        yield "event", _whose_event(definitions, event, datasets), _event(event, datasets)
    for partition in changes.partitions.values():
        yield "partition", _whose(definitions, partition.dataset), _partition(partition)
    for run_id in dict.fromkeys((*changes.runs, *changes.tasks)):
        run = changes.runs.get(run_id) or api.store.reader.run(run_id)
        if run is not None:
            yield "run", frozenset({run.pipeline}), _run(run, changes)
    for backfill in changes.backfills.values():
        told_of = BackfillNotice(id=backfill.id, pipeline=backfill.pipeline)
        yield "backfill", frozenset({backfill.pipeline}), told_of
    for key in changes.sensors:
        sensor = definitions.sensors.get(key)
        if sensor is not None:
            whose = _whose(definitions, sensor.rule.dataset) if key[0] == SHARED else frozenset({key[0]})
            yield "sensor", whose, sensor_schema(api, sensor)
    for alert in changes.alerts.values():
        whose = frozenset({alert.pipeline}) if alert.pipeline else _whose(definitions, alert.dataset)
        yield "alert", whose, alert_schema(alert)


def _whose(definitions: Definitions, dataset: str) -> frozenset[str]:
    """Return the pipelines that read a dataset, make it, or watch for it."""
    producer = definitions.producers.get(dataset)
    return frozenset(
        (
            *(reader.pipeline.name for reader in definitions.readers.get(dataset, ())),
            *((producer[0],) if producer else ()),
            *(sensor.pipeline for sensor in definitions.feeds.get(dataset, ())),
        )
    ) - {SHARED}


def _whose_event(definitions: Definitions, event: EventRow, datasets: set[str]) -> frozenset[str]:
    seen_by = frozenset({event.sensor[0]} if event.sensor else ()) - {SHARED}
    return seen_by.union(*(_whose(definitions, dataset) for dataset in datasets))


def _event(row: EventRow, datasets: set[str]) -> EventNotice:
    return EventNotice(
        seq=row.seq,
        id=row.id,
        source=row.event.source,
        type=row.event.type,
        sensor=sensor_name(row.sensor) if row.sensor else None,
        state=row.state,
        reason=row.reason,
        received_at=instant(row.received_at),
        datasets=sorted(datasets),
    )


def _partition(row: PartitionRow) -> PartitionNotice:
    return PartitionNotice(
        dataset=row.dataset, partition=row.partition or None, ready=row.ready, version=row.version
    )


def _run(row: RunRow, changes: Changes) -> RunNotice:
    return RunNotice(
        id=row.id,
        pipeline=row.pipeline,
        partition=row.partition or None,
        generation=row.generation,
        state=row.state,
        stale=row.stale,
        tasks={name: task.state for name, task in changes.tasks.get(row.id, {}).items()},
    )
