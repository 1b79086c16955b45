"""A rehearsal as it is answered, written piece by piece while it is played."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from sensorflow.core.definitions import Definitions
from sensorflow.core.messages import Arrival
from sensorflow.core.partitions import bounds
from sensorflow.core.state import AlertRow
from sensorflow.core.states import RunState, TaskState
from sensorflow.rehearsal.playing import Ending, Rehearsal, RehearsedRun
from sensorflow.rehearsal.timeline import Entry
from sensorflow.web.runs import wait_schema
from sensorflow.web.schemas import ArrivalSchema, OptionalText, Schema, WaitSchema, instant


def _absent(value: object) -> bool:
    return value is None


OptionalNumber = Annotated[int | None, Field(exclude_if=_absent)]


class EntrySchema(Schema):
    """One thing that would happen; keys that do not apply are absent."""

    at: str | None
    #: What happens: `event`, `held`, `refused`, `ready`, `run`, `rerun`, `stale`, `ended`, `fired`,
    #: `retried`, `waiting`, `retrying`, `succeeded`, `skipped`, `failed`, `blocked`, `cancelled`,
    #: `paused`, `resumed`, `alert` or `resolved`.
    kind: str
    source: OptionalText = None
    id: OptionalText = None
    #: The event's number in the rehearsal.
    seq: OptionalNumber = None
    state: OptionalText = None
    arrivals: Annotated[list[ArrivalSchema] | None, Field(exclude_if=_absent)] = None
    dataset: OptionalText = None
    pipeline: OptionalText = None
    partition: OptionalText = None
    run: OptionalText = None
    generation: OptionalNumber = None
    #: What made the run.
    trigger: OptionalText = None
    task: OptionalText = None
    attempt: OptionalNumber = None
    idempotency_key: OptionalText = None
    next_attempt_at: OptionalText = None
    #: Why, in words.
    text: OptionalText = None


class RehearsedTask(Schema):
    """A task as it would stand."""

    name: str
    state: TaskState
    attempts: int
    waiting_for: list[WaitSchema]


class RehearsedRunSchema(Schema):
    """A run as it would stand."""

    #: Of the rehearsal; the service would give another one.
    id: str
    pipeline: str
    #: Absent for pipelines without partitions.
    partition: OptionalText = None
    partition_start: str | None
    partition_end: str | None
    generation: int
    state: RunState
    stale: bool
    trigger: str
    tasks: list[RehearsedTask]


class RehearsedAlert(Schema):
    """An alert that would be raised."""

    kind: str
    #: `open` or `resolved`.
    state: str
    text: str
    pipeline: OptionalText = None
    dataset: OptionalText = None
    partitions: list[str]
    opened_at: str | None
    resolved_at: str | None


class RehearsalSchema(Schema):
    """What would happen; nothing of it is done."""

    #: When the rehearsal's clock started.
    begin: Annotated[str | None, Field(serialization_alias="from")]
    timeline: list[EntrySchema]
    #: As they would stand in the end, the oldest first.
    runs: list[RehearsedRunSchema]
    alerts: list[RehearsedAlert]
    #: When its clock stood still.
    until: str | None
    #: Why it went no further: `nothing_due`, `until`, or `most_decisions`: there was too much of it.
    ending: Ending
    decisions: int
    #: Entries of the timeline by kind.
    counts: dict[str, int]


def written(rehearsal: Rehearsal) -> Iterator[bytes]:
    """Play a rehearsal and yield its document, a piece for each decision and one for each run."""
    counts: Counter[str] = Counter()
    yield _json({"from": instant(rehearsal.now)})[:-1] + b',"timeline":['
    separator = b""
    for _ in rehearsal.play():
        entries = rehearsal.timeline.entries
        if entries:
            counts.update(entry.kind for entry in entries)
            yield separator + b",".join(
                _entry(entry).model_dump_json(by_alias=True).encode() for entry in entries
            )
            separator = b","
            entries.clear()  # What is written need not be kept.
        else:
            yield b""
    yield b'],"runs":['
    separator = b""
    for run in rehearsal.runs():
        yield separator + _run(run, rehearsal.definitions).model_dump_json().encode()
        separator = b","
    alerts = b",".join(_alert(alert).model_dump_json().encode() for alert in rehearsal.alerts())
    end = {
        "until": instant(rehearsal.now),
        "ending": rehearsal.ending,
        "decisions": rehearsal.decisions,
        "counts": counts,
    }
    yield b'],"alerts":[' + alerts + b"]," + _json(end)[1:]


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _entry(entry: Entry) -> EntrySchema:
    return EntrySchema(
        at=instant(entry.at),
        kind=entry.kind,
        source=entry.source,
        id=entry.id,
        seq=entry.seq,
        state=entry.state,
        arrivals=None if entry.arrivals is None else [_arrival(arrival) for arrival in entry.arrivals],
        dataset=entry.dataset,
        pipeline=entry.pipeline,
        partition=entry.partition or None,
        run=entry.run,
        generation=entry.generation,
        trigger=entry.trigger,
        task=entry.task,
        attempt=entry.attempt,
        idempotency_key=entry.idempotency_key,
        next_attempt_at=instant(entry.next_attempt_at),
        text=entry.text,
    )


def _arrival(arrival: Arrival) -> ArrivalSchema:
    return ArrivalSchema(
        dataset=arrival.dataset,
        partition=arrival.partition or None,
        part=arrival.part,
        version=arrival.version,
    )


def _run(found: RehearsedRun, definitions: Definitions) -> RehearsedRunSchema:
    run = found.run
    lies = bounds(definitions.pipelines[run.pipeline].partitioning, run.partition)
    return RehearsedRunSchema(
        id=run.id,
        pipeline=run.pipeline,
        partition=run.partition or None,
        partition_start=instant(run.partition_start),
        partition_end=instant(lies.end) if lies else None,
        generation=run.generation,
        state=run.state,
        stale=run.stale,
        trigger=run.trigger,
        tasks=[
            RehearsedTask(
                name=task.name,
                state=task.state,
                attempts=found.attempts.get(task.name, 0),
                waiting_for=[wait_schema(wait) for wait in task.waiting_for],
            )
            for task in found.tasks
        ],
    )


def _alert(row: AlertRow) -> RehearsedAlert:
    return RehearsedAlert(
        kind=row.kind,
        state="open" if row.resolved_at is None else "resolved",
        text=row.text,
        pipeline=row.pipeline or None,
        dataset=row.dataset or None,
        partitions=list(row.partitions),
        opened_at=instant(row.opened_at),
        resolved_at=instant(row.resolved_at),
    )
