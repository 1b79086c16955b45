"""Says in words why something has not run, from the same conditions that decide."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sensorflow.core import gates
from sensorflow.core.definitions import Definitions, leaves
from sensorflow.core.durations import describe_duration
from sensorflow.core.errors import NotFoundError
from sensorflow.core.lateness import expected_at
from sensorflow.core.messages import EventState
from sensorflow.core.orders import FOLDED
from sensorflow.core.partitions import bounds, iso, read_partition
from sensorflow.core.readiness import Condition, Readiness, missing_parts
from sensorflow.core.runs import leftover, within
from sensorflow.core.schedules import next_time
from sensorflow.core.selection import shared_keys
from sensorflow.core.state import PartitionRow, PastRunRow, RunRow, State, TaskRow
from sensorflow.core.states import ENDED, AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import (
    SHARED,
    DatasetDefinition,
    DatasetInput,
    Grain,
    PipelineDefinition,
    TaskDefinition,
)


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
    #: Without partitions: by dataset, how many arrivals came since the task last started. They are one
    #: for its next start, in this run while it waits, else in the next.
    collected: Mapping[str, int] = field(default_factory=dict)


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
    if run is not None and definition.partitioning.grain is Grain.NONE and run.state in _DONE:
        run = None  # What is asked for is the next one.
    return _explain(definitions, state, definition, key, run, workers, now)


def explain_run(definitions: Definitions, state: State, run: RunRow, workers: int, now: float) -> Why:
    """Return the same for a run that is there.

    Raises:
        NotFoundError: no file defines its pipeline any more.
    """
    definition = definitions.pipelines.get(run.pipeline)
    if definition is None:
        raise NotFoundError(f'no file defines the pipeline "{run.pipeline}" any more')
    return _explain(definitions, state, definition, run.partition, run, workers, now)


def _explain(
    definitions: Definitions,
    state: State,
    definition: PipelineDefinition,
    key: str,
    run: RunRow | None,
    workers: int,
    now: float,
) -> Why:
    created_at = run.created_at if run else now
    readiness = Readiness(definitions, state, definition, key, created_at, now)
    rows = state.tasks(run.id) if run else {}
    explainer = _Explainer(definitions, state, definition, readiness, rows, run, workers, now)
    past = state.past_run(definition.name, key) if run is None else None
    order = definitions.graphs[definition.name].order
    tasks = tuple(
        explainer.past_task(name, past) if past else explainer.task(definition.tasks[name]) for name in order
    )
    return Why(pipeline=definition.name, partition=key, run=run, tasks=tasks)


#: Of a pipeline without partitions, the next run is asked for when the last has ended so.
#: More of a reason is on the event's own page.
_LONGEST_REASON = 300
_DONE = frozenset({RunState.SUCCEEDED, RunState.CANCELLED})
#: States that a task of a paused pipeline does not leave by itself.
_HELD_BY_PAUSE = frozenset({TaskState.WAITING, TaskState.QUEUED, TaskState.RETRYING})
#: States of a task above that are nothing to wait for.
_PASSED = frozenset({TaskState.SUCCEEDED, TaskState.SKIPPED})


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
            waits = [*self._outside(), *self._held_back(), *self._above(task, ENDED), *self._inputs(task)]
        elif state is TaskState.BLOCKED:
            passed = _PASSED - {TaskState.SKIPPED} if task.skipped_blocks else _PASSED
            waits = [*self._above(task, passed)] or [self._unblockable(task)]
        elif state is TaskState.FAILED:
            text = f"it failed for good{self._last_error(row)}{self._retry_command(row)}"
            waits = [Wait(kind="task", text=text, task=task.name, state=state)]
        elif state is TaskState.RETRYING and row is not None:
            waits = [self._retry(task, row)]
        if state is TaskState.WAITING and self.run is not None and not self.run.open:
            waits = [self._added_since(task)]
        elif state is TaskState.WAITING and not waits and self.run is None:
            waits = [self._no_run()]
        paused = [*self._paused()] if state in _HELD_BY_PAUSE else []
        if state is TaskState.QUEUED and not paused:
            waits = [self._slot()]
        waits += paused
        return TaskWaits(
            name=task.name, state=state, waiting_for=tuple(waits), collected=self._collected(task)
        )

    def _collected(self, task: TaskDefinition) -> Mapping[str, int]:
        if self.pipeline.partitioning.grain is not Grain.NONE:
            return {}
        newest = self.state.run_of(self.pipeline.name, "")
        if self.run is not None and newest is not None and self.run.id != newest.id:
            return {}  # What comes is for the newest run, or the one after it.
        datasets = dict.fromkeys(leaf.dataset for leaf in leaves(task.inputs))
        counts = {name: self.readiness.news(task, name, limit=FOLDED) for name in datasets}
        return {name: count for name, count in counts.items() if count}

    def past_task(self, name: str, past: PastRunRow) -> TaskWaits:
        """Say how a task stands whose run was removed."""
        again = f"`sensorflow run {self._place()}` runs it again"
        text = f"its run, {past.state}, has ended so long ago that it is not kept any more; {again}"
        wait = Wait(kind="task", text=text, task=name, state=past.state)
        return TaskWaits(name=name, state=TaskState.WAITING, waiting_for=(wait,))

    def _added_since(self, task: TaskDefinition) -> Wait:
        text = f"it is new since this run ended; `sensorflow retry {self._place()} {task.name}` runs it"
        return Wait(kind="task", text=text, task=task.name, state=TaskState.WAITING)

    def _no_run(self) -> Wait:
        """Say what would make the run of a task that waits for nothing else."""
        pipeline = self.pipeline
        if pipeline.schedule is None:
            text = f"there is no run yet: an arrival makes it, or `sensorflow run {self._place()}`"
            return Wait(kind="dataset", text=text)
        at = next_time(pipeline.schedule, pipeline.partitioning.timezone, self.now)
        text = f"there is no run yet: the schedule's next time is {self._clock(at)}"
        return Wait(kind="time", text=text, until=at)

    def _unblockable(self, task: TaskDefinition) -> Wait:
        text = f"what is above it was repaired; `sensorflow retry {self._place()} {task.name}` lets it run"
        return Wait(kind="task", text=text, task=task.name, state=TaskState.BLOCKED)

    def _outside(self) -> Iterator[Wait]:
        if self.run is None and not within(self.pipeline, self.readiness.partition):
            span = f"{self.pipeline.start or 'the first'} to {self.pipeline.end or 'the last'}"
            text = (
                f"{self.readiness.partition} is outside the pipeline's partitions, {span}: "
                "events for it are kept and fire nothing"
            )
            yield Wait(kind="time", text=text, partition=self.readiness.partition)

    def _held_back(self) -> Iterator[Wait]:
        """Say what holds the whole run back."""
        forced = self.run is not None and self.run.forced
        partition = self.readiness.partition
        for kind, what in gates.closed(self.state, self.pipeline, partition, self.now, forced=forced):
            if isinstance(what, float):
                text = f"waiting for its schedule time, {self._clock(what)}"
                yield Wait(kind=kind, text=text, until=what)
            else:
                run = self.state.run_of(self.pipeline.name, what)
                stands = f"is {run.state}" if run else "has no run yet"
                text = f"waiting for the success of the previous partition, {what}, which {stands}"
                yield Wait(kind=kind, text=text, partition=what, state=run.state if run else None)
        gone = leftover(self.pipeline, self.state.tasks_by_state(self.run.id)) if self.run else None
        if gone is not None:
            text = f"waiting for the end of task {gone}, which still runs though the file no longer names it"
            yield Wait(kind="task", text=text, task=gone, state=TaskState.RUNNING)

    def _paused(self) -> Iterator[Wait]:
        row = self.state.pipeline(self.pipeline.name)
        if row.paused if row else self.pipeline.paused:
            text = f"{self.pipeline.name} is paused; `sensorflow resume {self.pipeline.name}` lets it start"
            yield Wait(kind="paused", text=text)

    def _above(self, task: TaskDefinition, passed: frozenset[TaskState]) -> Iterator[Wait]:
        for name in task.after:
            row = self.rows.get(name)
            state = row.state if row else TaskState.WAITING
            if state in passed:
                continue
            text = f"waiting for task {name}, which is {state}"
            if state is TaskState.FAILED:
                text = f"task {name} failed for good{self._last_error(row)}{self._retry_command(row)}"
            elif state is TaskState.SKIPPED:
                text = f"task {name} was skipped, which counts as failed here (skipped: block)"
            elif state is TaskState.BLOCKED:
                text = f"task {name} is blocked itself"
            yield Wait(kind="task", text=text, task=name, state=state)

    def _inputs(self, task: TaskDefinition) -> Iterator[Wait]:
        if self.run is not None and self.run.forced:
            return
        for item in task.inputs:
            condition = self.readiness.condition(task, item)
            if not condition.holds:
                yield from self._condition(condition, "")

    def _condition(self, condition: Condition, note: str) -> Iterator[Wait]:
        leaf = condition.leaf
        if leaf is not None:
            # Of `at_least` any will do: the oldest that is missing stands for all.
            keys = condition.missing if leaf.at_least is None else condition.missing[:1]
            for key in keys:
                yield self._missing(condition, leaf, key, note)
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
            named = f"any partition of {leaf.dataset}"
            own, run_key = self.pipeline.partitioning, self.readiness.partition
            if (beside := shared_keys(own, run_key, dataset.partitioning)) is not None:
                named += f" of {beside}"
            if bounds(self.pipeline.partitioning, self.readiness.partition) is not None:
                named += f" not after {self.readiness.partition}"
        if self.pipeline.partitioning.grain is Grain.NONE and condition.ready:
            named = f"a newer arrival of {leaf.dataset} than the last run consumed"
        row = self.state.partition(leaf.dataset, key) if key is not None else None
        if key is None and not condition.ready:
            row = self.readiness.newest(leaf)  # It is too old, else it would count.
        absent = missing_parts(dataset, self.state, row if key is not None else None)
        expected_at = self._expected_at(dataset, key)
        text = f"waiting for {named}{self._state_of(dataset, leaf, row, absent)}"
        if expected_at is not None:
            text += f", {self._expected(expected_at)}"
        if leaf.at_least is not None:
            there, more = len(condition.ready or ()), len(condition.missing) - 1
            text += f" or another of {more}" if more else ""
            text += f" (at least {leaf.at_least} are needed, {there} are there)"
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
            expected_at=expected_at,
            late=expected_at < self.now if expected_at is not None else None,
            until=condition.optional_at,
        )

    def _state_of(
        self,
        dataset: DatasetDefinition,
        leaf: DatasetInput,
        row: PartitionRow | None,
        absent: tuple[str, ...],
    ) -> str:
        """Say what is there of a partition, and why that is not enough."""
        if row is None:
            return ""
        if row.withdrawn:
            return ", which was taken back"
        if row.ready and leaf.max_age_s is not None and self.now - row.last_at > leaf.max_age_s:
            age = describe_duration(self.now - row.last_at)
            return f": what is there is {age} old, at most {describe_duration(leaf.max_age_s)} counts"
        if absent:
            return (
                f": part{'s' * (len(absent) > 1)} {_listed(absent)} {'are' if absent[1:] else 'is'} missing"
            )
        if dataset.complete.quiet_s is not None:
            return f": it is complete {describe_duration(dataset.complete.quiet_s)} after its last arrival"
        parts = self.state.parts(row.dataset, row.partition)
        if (parts or row.whole) and dataset.complete.count is not None:
            return f": {len(parts) or row.arrivals} of {dataset.complete.count} arrivals are there"
        return ""

    def _expected_at(self, dataset: DatasetDefinition, key: str | None) -> float | None:
        return expected_at(dataset, key) if dataset.expect is not None and key else None

    def _expected(self, at: float) -> str:
        if at < self.now:
            return f"expected by {self._clock(at)}, {describe_duration(self.now - at)} late"
        return f"expected by {self._clock(at)}"

    def _feed(self, dataset: str) -> str:
        """Say who should bring the dataset."""
        producer = self.definitions.producers.get(dataset)
        if producer:
            return f"; task {producer[1]} of pipeline {producer[0]} makes it"
        sensor = self._sensor(dataset)
        if sensor:
            return f"; it comes from sensor {sensor}"
        return "; only POST /api/v1/ready makes it ready"

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
            return "; nothing of it has ever arrived" + self._rejected(dataset, 0.0)
        rejected = self._rejected(dataset, newest.last_at)
        if newest.partition == key:
            return f"; its last arrival was {_ago(self.now - newest.last_at)}{rejected}"
        return (
            f"; the last that arrived is {newest.partition or 'the whole'}, "
            f"{_ago(self.now - newest.last_at)}{rejected}"
        )

    def _rejected(self, dataset: str, since: float) -> str:
        """Say what came for the dataset after that and could not be read."""
        seen = (self.state.sensor(f.pipeline, f.name) for f in self.definitions.feeds.get(dataset, ()))
        seq = max((row.last_rejected_seq or 0 for row in seen if row is not None), default=0)
        event = self.state.event(seq) if seq else None
        if event is None or event.state is not EventState.REJECTED or event.received_at < since:
            return ""
        reason = (event.reason or "")[:_LONGEST_REASON]
        return f"; event {seq} came {_ago(self.now - event.received_at)} and was rejected: {reason}"

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
        backfill = self.state.backfill(self.run.backfill) if self.run and self.run.backfill else None
        if self.state.running_count(None) >= self.workers:
            text = f"queued: all {self.workers} workers of the service are busy"
        elif self.state.running_count(pipeline.name) >= pipeline.concurrency:
            text = f"queued: {pipeline.name} runs as many tasks as its concurrency, {pipeline.concurrency}"
        elif len(active) >= pipeline.max_active_runs and not (self.run and self.run.active):
            limit = pipeline.max_active_runs
            text = f"queued: {pipeline.name} has as many active runs as its max_active_runs, {limit}"
        elif (
            backfill
            and not (self.run and self.run.active)
            and sum(run.backfill == backfill.id for run in active) >= backfill.max_active
        ):
            text = f"queued: its backfill has as many active runs as its max_active, {backfill.max_active}"
        else:
            text = "queued: it starts next"
        return Wait(kind="slot", text=text)

    def _last_error(self, row: TaskRow | None, lead: str = ": ") -> str:
        assert row is not None and self.run is not None, "what has failed has a row"
        attempt = self.state.attempt(self.run.id, row.task, row.attempts)
        if attempt is None or attempt.state is not AttemptState.FAILED or not attempt.error:
            return ""
        return f"{lead}{attempt.error}"

    def _retry_command(self, row: TaskRow | None) -> str:
        command = f"`sensorflow retry {self._place()}` runs it again"
        return "" if "sensorflow retry" in self._last_error(row) else f"; {command}"

    def _place(self) -> str:
        return "/".join(filter(None, (self.pipeline.name, self.readiness.partition)))

    def _clock(self, at: float) -> str:
        return iso(round(at), self.pipeline.partitioning.timezone)


def _ago(seconds: float) -> str:
    return f"{describe_duration(seconds)} ago" if seconds >= 1 else "just now"


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
