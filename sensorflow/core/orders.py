"""What an attempt is started with: its inputs as its context shows them, and what it goes without."""

from collections.abc import Iterable, Iterator

from sensorflow.core.commands import StartAttempt
from sensorflow.core.partitions import bounds, calendar_of, dimension_keys, iso
from sensorflow.core.readiness import Condition, Readiness, missing_parts
from sensorflow.core.state import AttemptRow, RunRow, WatermarkRow
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import (
    Grain,
    JsonValue,
    Partitioning,
    PipelineDefinition,
    TaskDefinition,
)

#: More arrivals than this are not counted one by one.
FOLDED = 10_000


def start_order(
    turn: Turn,
    pipeline: PipelineDefinition,
    definition: TaskDefinition,
    run: RunRow,
    attempt: AttemptRow,
    read: Iterable[Condition],
) -> StartAttempt:
    """Return the order that starts an attempt which reads these leaves."""
    limits = bounds(pipeline.partitioning, run.partition)
    zone = zone_of(pipeline.partitioning)
    return StartAttempt(
        run_id=run.id,
        pipeline=pipeline.name,
        task=attempt.task,
        number=attempt.number,
        generation=attempt.generation,
        partition=run.partition,
        partition_start=iso(limits.start, zone) if limits else None,
        partition_end=iso(limits.end, zone) if limits else None,
        idempotency_key=f"{run.id}/{attempt.generation}/{attempt.task}",
        action=definition.action,
        env=definition.env,
        timeout_s=definition.timeout_s,
        inputs=_inputs(turn, read),
        missing=tuple(_missing(turn, read)),
        dimensions=dimension_keys(pipeline.partitioning, run.partition),
        token=attempt.token,
    )


def consume_news(
    readiness: Readiness, task: TaskDefinition, read: Iterable[Condition], order: StartAttempt
) -> None:
    """Note up to where a task without partitions has read; its order says how many arrivals that folds."""
    state = readiness.state
    for condition in read:
        assert condition.leaf is not None
        dataset = condition.leaf.dataset
        folded = readiness.news(task, dataset, limit=FOLDED)
        for shown in order.inputs.get(dataset, {}).values():
            shown["arrivals"] = folded
        state.put_watermark(
            WatermarkRow(
                pipeline=readiness.pipeline.name, task=task.name, dataset=dataset, seq=state.last_seq()
            )
        )


def consumed_versions(read: Iterable[Condition]) -> dict[str, dict[str, int]]:
    """Return, by dataset and partition, the versions that an attempt takes."""
    consumed: dict[str, dict[str, int]] = {}
    for condition in read:
        assert condition.leaf is not None
        versions = consumed.setdefault(condition.leaf.dataset, {})
        versions.update({key: row.version for key, row in (condition.ready or {}).items()})
    return consumed


def zone_of(partitioning: Partitioning) -> str:
    """Return the time zone in which a partitioning's bounds are told."""
    calendar = calendar_of(partitioning) or partitioning
    return "UTC" if calendar.grain is Grain.HOURLY else calendar.timezone


def _inputs(turn: Turn, read: Iterable[Condition]) -> dict[str, dict[str, JsonValue]]:
    """Return, by dataset and partition, the version and the events that made it."""
    shown: dict[str, dict[str, JsonValue]] = {}
    for condition in read:
        assert condition.leaf is not None
        dataset = condition.leaf.dataset
        keys = dict.fromkeys([*(condition.ready or {}), *(key for key in condition.missing if key)])
        for key in keys:
            row = turn.state.partition(dataset, key)
            if row is not None:
                seqs = {"": row.whole_seq} if row.whole else {}
                seqs |= {part.part: part.seq for part in turn.state.parts(dataset, key).values()}
                events = [_event(turn, part, seq) for part, seq in seqs.items()]
                shown.setdefault(dataset, {})[key] = {"version": row.version, "events": events}
    return shown


def _event(turn: Turn, part: str, seq: int) -> JsonValue:
    row = turn.state.event(seq)
    shown: dict[str, JsonValue] = {"seq": seq}
    if part:
        shown["part"] = part
    if row is None:  # Older than the retention of events; its identity is all that is left.
        return shown
    event = row.event
    shown |= {"id": row.id, "source": event.source, "time": event.time, "data": event.data}
    if event.source.startswith("/file/") and isinstance(event.data, dict):
        shown["path"] = event.data.get("path")
    return shown


def _missing(turn: Turn, read: Iterable[Condition]) -> Iterator[JsonValue]:
    for condition in read:
        assert condition.leaf is not None
        dataset = turn.definitions.datasets[condition.leaf.dataset]
        for key in condition.missing:
            row = turn.state.partition(dataset.name, key) if key is not None else None
            parts = list(missing_parts(dataset, turn.state, row))
            yield {"dataset": dataset.name, "partition": key, "parts": parts}
