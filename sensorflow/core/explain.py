"""Says in words why something has not run, from the same conditions that decide."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sensorflow.core.definitions import Definitions
from sensorflow.core.durations import describe_duration
from sensorflow.core.errors import NotFoundError
from sensorflow.core.partitions import iso, read_partition
from sensorflow.core.readiness import Condition, Readiness, missing_parts
from sensorflow.core.runs import within
from sensorflow.core.state import RunRow, State, TaskRow
from sensorflow.core.states import ENDED, AttemptState, TaskState
from sensorflow.core.vocabulary import SHARED, DatasetInput, PipelineDefinition, TaskDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One reason why a task does not run. Fields that do not apply are None."""

    #: `dataset`, `task`, `time`, `slot`, `paused` or `previous`.
    kind: str
    text: str
    dataset: str | None = None
    partition: str | None = None
    parts_missing: tuple[str, ...] | None = None
    sensor: str | None = None
    expected_at: float | None = None
    late: bool | None = None
    task: str | None = None
    state: str | None = None
    #: When it ends by itself; seconds since the epoch.
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWaits:
    """A task, where it stands, and all it waits for."""

    name: str
    state: TaskState
    waiting_for: tuple[Wait, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """A pipeline's partition, its run where there is one, and its tasks in their order."""

    pipeline: str
    partition: str
    run: RunRow | None
    tasks: tuple[TaskWaits, ...]


def explain(
    definitions: Definitions, state: State, pipeline: str, partition: str, workers: int, now: float
) -> Why:
    """Return every task of a pipeline for a partition with what it waits for, run or no run.

    Args:
        partition: Any spelling that the pipeline's grain reads.
        workers: How many attempts the service runs at once.

    Raises:
        NotFoundError: there is no such pipeline.
        PartitionError: the partition is not one of the pipeline's.
    """
    definition = definitions.pipelines.get(pipeline)
    if definition is None:
        known = ", ".join(sorted(definitions.pipelines)) or "none"
        raise NotFoundError(f'there is no pipeline "{pipeline}"; there are: {known}')
    key = read_partition(definition.partitioning, partition or None)
    run = state.run_of(pipeline, key)
    created_at = run.created_at if run else now
    readiness = Readiness(definitions, state, definition, key, created_at, now)
    rows = state.tasks(run.id) if run else {}
    explainer = _Explainer(definitions, state, definition, readiness, rows, run, workers, now)
    tasks = tuple(explainer.task(definition.tasks[name]) for name in definitions.graphs[pipeline].order)
    return Why(pipeline=pipeline, partition=key, run=run, tasks=tasks)


@dataclass(frozen=True, slots=True)
class _Explainer:
    definitions: Definitions
    state: State
    pipeline: PipelineDefinition
    readiness: Readiness
    rows: Mapping[str, TaskRow]
    run: RunRow | None
    workers: int
    now: float

    def task(self, task: TaskDefinition) -> TaskWaits:
        row = self.rows.get(task.name)
        state = row.state if row else TaskState.WAITING
        waits: list[Wait] = []
        if state is TaskState.WAITING:
            waits = [*self._outside(), *self._above(task, ENDED), *self._inputs(task)]
        elif state is TaskState.BLOCKED:
            waits = [*self._above(task, frozenset({TaskState.SUCCEEDED, TaskState.SKIPPED}))]
        elif state is TaskState.RETRYING and row is not None:
            waits = [self._retry(task, row)]
        elif state is TaskState.QUEUED and row is not None:
            waits = [self._slot()]
        return TaskWaits(name=task.name, state=state, waiting_for=tuple(waits))

    def _outside(self) -> Iterator[Wait]:
        if self.run is None and not within(self.pipeline, self.readiness.partition):
            span = f"{self.pipeline.start or 'the first'} to {self.pipeline.end or 'the last'}"
            text = (
                f"{self.readiness.partition} is outside the pipeline's partitions, {span}: "
                "events for it are kept and fire nothing"
            )
            yield Wait(kind="time", text=text, partition=self.readiness.partition)

    def _above(self, task: TaskDefinition, passed: frozenset[TaskState]) -> Iterator[Wait]:
        for name in task.after:
            row = self.rows.get(name)
            state = row.state if row else TaskState.WAITING
            if state in passed:
                continue
            text = f"waiting for task {name}, which is {state}"
            if state is TaskState.FAILED:
                text = f"task {name} failed for good{self._last_error(row)}; {self._retry_command()}"
            elif state is TaskState.BLOCKED:
                text = f"task {name} is blocked itself"
            yield Wait(kind="task", text=text, task=name, state=state)

    def _inputs(self, task: TaskDefinition) -> Iterator[Wait]:
        for item in task.inputs:
            condition = self.readiness.condition(item)
            if not condition.holds:
                yield from self._condition(condition, "")

    def _condition(self, condition: Condition, note: str) -> Iterator[Wait]:
        if condition.leaf is not None:
            for key in condition.missing:
                yield self._missing(condition, condition.leaf, key, note)
            return
        open_members = [member for member in condition.members if not member.holds]
        if condition.needed < len(condition.members):
            held = len(condition.members) - len(open_members)
            note = f" ({condition.needed} of {len(condition.members)} such inputs are enough, {held} there)"
        for member in open_members:
            yield from self._condition(member, note)

    def _missing(self, condition: Condition, leaf: DatasetInput, key: str | None, note: str) -> Wait:
        dataset = self.definitions.datasets[leaf.dataset]
        named = f"{leaf.dataset} {key}" if key else leaf.dataset
        if key is None:
            named = f"any partition of {leaf.dataset} not after {self.readiness.partition}"
        parts = frozenset(self.state.parts(leaf.dataset, key)) if key is not None else frozenset()
        absent = missing_parts(dataset, parts)
        text = f"waiting for {named}"
        if parts and absent:
            text += (
                f": part{'s' * (len(absent) > 1)} {_listed(absent)} {'are' if absent[1:] else 'is'} missing"
            )
        elif parts:
            row = self.state.partition(leaf.dataset, key or "")
            text += f": {row.arrivals if row else 0} of {dataset.complete.count} arrivals are there"
        if leaf.at_least is not None:
            text += f" (at least {leaf.at_least} are needed, {len(condition.ready or ())} are there)"
        text += note + self._feed(leaf.dataset) + self._closest(leaf.dataset, key)
        if condition.optional_at is not None:
            text += f"; from {self._clock(condition.optional_at)} the task starts without it"
        return Wait(
            kind="dataset",
            text=text,
            dataset=leaf.dataset,
            partition=key,
            parts_missing=absent or None,
            sensor=self._sensor(leaf.dataset),
            until=condition.optional_at,
        )

    def _feed(self, dataset: str) -> str:
        """Say who should bring the dataset."""
        producer = self.definitions.producers.get(dataset)
        if producer:
            return f", which task {producer[1]} of pipeline {producer[0]} makes"
        sensor = self._sensor(dataset)
        if sensor:
            return f" from sensor {sensor}"
        return ", which only POST /api/v1/ready makes ready"

    def _sensor(self, dataset: str) -> str | None:
        feeds = self.definitions.feeds.get(dataset)
        if not feeds:
            return None
        names = [
            f.name if f.pipeline in (SHARED, self.pipeline.name) else f"{f.pipeline}/{f.name}" for f in feeds
        ]
        return ", ".join(names)

    def _closest(self, dataset: str, key: str | None) -> str:
        """Say what did arrive of the dataset last, which is often the near miss."""
        newest = self.state.newest_arrival(dataset)
        if newest is None:
            return "; nothing of it has ever arrived"
        if newest.partition == key:
            return f"; its last arrival was {describe_duration(max(0.0, self.now - newest.last_at))} ago"
        ago = describe_duration(max(0.0, self.now - newest.last_at))
        return f"; the last that arrived is {newest.partition or 'the whole'}, {ago} ago"

    def _retry(self, task: TaskDefinition, row: TaskRow) -> Wait:
        at = row.next_attempt_at or self.now
        text = (
            f"retry {row.failures} of {task.retries.max} at {self._clock(at)}"
            f"{self._last_error(row, ', after: ')}"
        )
        return Wait(kind="time", text=text, until=at)

    def _slot(self) -> Wait:
        active = self.state.active_runs(self.pipeline.name)
        pipeline = self.pipeline
        if self.state.running_count(None) >= self.workers:
            text = f"queued: all {self.workers} workers of the service are busy"
        elif self.state.running_count(pipeline.name) >= pipeline.concurrency:
            text = f"queued: {pipeline.concurrency} tasks of {pipeline.name} run already (concurrency)"
        elif len(active) >= pipeline.max_active_runs and not (self.run and self.run.active):
            text = f"queued: {pipeline.max_active_runs} runs of {pipeline.name} are active (max_active_runs)"
        else:
            text = "queued: it starts next"
        return Wait(kind="slot", text=text)

    def _last_error(self, row: TaskRow | None, lead: str = ": ") -> str:
        if row is None or self.run is None:
            return ""
        attempt = self.state.attempt(self.run.id, row.task, row.attempts)
        if attempt is None or attempt.state is not AttemptState.FAILED or not attempt.error:
            return ""
        return f"{lead}{attempt.error}"

    def _retry_command(self) -> str:
        place = "/".join(filter(None, (self.pipeline.name, self.readiness.partition)))
        return f"`sensorflow retry {place}` runs it again"

    def _clock(self, at: float) -> str:
        return iso(round(at), self.pipeline.partitioning.timezone)


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
