"""Attempts: which queued task starts next, what it gets, and what follows from its end."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sensorflow.core.commands import StartAttempt
from sensorflow.core.definitions import Definitions
from sensorflow.core.ingest import Reached, declare
from sensorflow.core.messages import AttemptEnded, AttemptStarted, DeclaredReady, Moment
from sensorflow.core.partitions import bounds, iso
from sensorflow.core.readiness import Condition, Readiness, missing_parts
from sensorflow.core.retries import retry_delay_s
from sensorflow.core.runs import Runs
from sensorflow.core.state import AttemptRow, RunRow, State, TaskRow, TimerRow
from sensorflow.core.states import AttemptState, TaskEvent, TaskState, next_state
from sensorflow.core.vocabulary import Event, Grain, JsonValue, PipelineDefinition, TaskDefinition

#: A firing that so many crashes of the service interrupted is taken for their cause.
CRASHES = 5


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts of all pipelines, for the length of one decision."""

    definitions: Definitions
    state: State
    moment: Moment

    def dispatch(self, workers: int) -> list[StartAttempt]:
        """Start queued tasks, first in line first, as far as all limits allow."""
        orders: list[StartAttempt] = []
        free = workers - self.state.running_count(None)
        if free <= 0:
            return orders
        heads = {
            name: head
            for name in self.state.queued_pipelines()
            if name in self.definitions.pipelines
            and (head := self._head(self.definitions.pipelines[name])) is not None
        }
        while heads and free > 0:
            head = min(heads.values(), key=place_in_line)
            orders.append(self._start(head))
            free -= 1
            following = self._head(self.definitions.pipelines[head.pipeline])
            if following is None:
                del heads[head.pipeline]
            else:
                heads[head.pipeline] = following
        return orders

    def started(self, message: AttemptStarted) -> None:
        """Keep which process runs an attempt."""
        row = self.state.attempt(message.run_id, message.task, message.number)
        if row is not None and row.state is AttemptState.RUNNING:
            self.state.put_attempt(replace(row, pid=message.pid, pid_started=message.pid_started))

    def ended(self, message: AttemptEnded) -> None:
        """Let the task, its run and what is below it go on; the end of an old attempt changes nothing."""
        attempt = self.state.attempt(message.run_id, message.task, message.number)
        task = self.state.task(message.run_id, message.task)
        run = self.state.run(message.run_id)
        if attempt is None or attempt.state is not AttemptState.RUNNING or task is None or run is None:
            return
        self.state.put_attempt(
            replace(
                attempt,
                state=message.state,
                ended_at=self.moment.now,
                exit_code=message.exit_code,
                error=message.error,
            )
        )
        pipeline = self.definitions.pipelines.get(run.pipeline)
        definition = pipeline.tasks.get(task.task) if pipeline else None
        row = self._after_end(task, definition, message)
        self.state.put_task(row)
        if pipeline is None:
            return
        runs = Runs(self.definitions, self.state, self.moment)
        run = runs.settle(pipeline, run)
        if row.state is TaskState.SUCCEEDED and definition is not None:
            self._deliver(run, row, definition)
        if row.state not in (TaskState.QUEUED, TaskState.RETRYING):
            runs.advance(pipeline, run, self.definitions.graphs[run.pipeline].below.get(row.task, ()))

    def delay_over(self, timer: TimerRow) -> None:
        """Put a task whose retry delay is over back into the queue."""
        task = self.state.task(timer.run_id, timer.task)
        run = self.state.run(timer.run_id)
        if task is None or run is None or task.state is not TaskState.RETRYING:
            return
        self.state.put_task(
            replace(
                task,
                state=next_state(task.state, TaskEvent.DELAY_OVER),
                queued_at=self.moment.now,
                next_attempt_at=None,
            )
        )
        if run.pipeline in self.definitions.pipelines:
            Runs(self.definitions, self.state, self.moment).settle(
                self.definitions.pipelines[run.pipeline], run
            )

    def _head(self, pipeline: PipelineDefinition) -> TaskRow | None:
        """Return the task of a pipeline that is first in line among those its limits let start."""
        if self.state.running_count(pipeline.name) >= pipeline.concurrency:
            return None
        active = self.state.active_runs(pipeline.name)
        if len(active) < pipeline.max_active_runs:
            return self._next_defined(pipeline, None)
        heads = [self._next_defined(pipeline, run.id) for run in active]
        return min((head for head in heads if head is not None), key=place_in_line, default=None)

    def _next_defined(self, pipeline: PipelineDefinition, run_id: str | None) -> TaskRow | None:
        """Return the first in line; what the file no longer defines is cancelled on the way."""
        while (row := self.state.next_queued(pipeline.name, run_id)) is not None:
            if row.task in pipeline.tasks:
                return row
            self.state.put_task(replace(row, state=next_state(row.state, TaskEvent.CANCELLED)))
            if (run := self.state.run(row.run_id)) is not None:
                Runs(self.definitions, self.state, self.moment).settle(pipeline, run)
        return None

    def _start(self, task: TaskRow) -> StartAttempt:
        pipeline = self.definitions.pipelines[task.pipeline]
        definition = pipeline.tasks[task.task]
        run = self.state.run(task.run_id)
        if run is None:
            raise LookupError(f"task {task.task} is queued for run {task.run_id}, which is not stored")
        readiness = Readiness(
            self.definitions, self.state, pipeline, run.partition, run.created_at, self.moment.now
        )
        read = [leaf for item in definition.inputs for leaf in readiness.condition(item).leaves()]
        number = task.attempts + 1
        self.state.put_attempt(
            AttemptRow(
                run_id=run.id,
                task=task.task,
                number=number,
                pipeline=pipeline.name,
                generation=task.generation,
                state=AttemptState.RUNNING,
                started_at=self.moment.now,
                consumed=_consumed(read),
            )
        )
        self.state.put_task(
            replace(task, state=next_state(task.state, TaskEvent.STARTED), attempts=number, queued_at=None)
        )
        Runs(self.definitions, self.state, self.moment).settle(pipeline, run)
        limits = bounds(pipeline.partitioning, run.partition)
        zone = pipeline.partitioning.timezone if pipeline.partitioning.grain is not Grain.HOURLY else "UTC"
        return StartAttempt(
            run_id=run.id,
            pipeline=pipeline.name,
            task=task.task,
            number=number,
            generation=task.generation,
            partition=run.partition,
            partition_start=iso(limits.start, zone) if limits else None,
            partition_end=iso(limits.end, zone) if limits else None,
            idempotency_key=f"{run.id}/{task.generation}/{task.task}",
            action=definition.action,
            env=definition.env,
            timeout_s=definition.timeout_s,
            inputs=self._inputs(read),
            missing=tuple(self._missing(read)),
        )

    def _inputs(self, read: Iterable[Condition]) -> dict[str, dict[str, JsonValue]]:
        """Return, by dataset and partition, the version and the events that made it."""
        shown: dict[str, dict[str, JsonValue]] = {}
        for condition in read:
            if condition.leaf is None:
                continue
            dataset = condition.leaf.dataset
            keys = dict.fromkeys([*(condition.ready or {}), *(key for key in condition.missing if key)])
            for key in keys:
                parts = self.state.parts(dataset, key)
                row = self.state.partition(dataset, key)
                if row is not None:
                    events = [self._event(part.part, part.seq) for part in parts.values()]
                    shown.setdefault(dataset, {})[key] = {"version": row.version, "events": events}
        return shown

    def _event(self, part: str, seq: int) -> JsonValue:
        row = self.state.event(seq)
        shown: dict[str, JsonValue] = {"seq": seq}
        if part:
            shown["part"] = part
        if row is None:  # Older than the retention of events; its identity is all that is left.
            return shown
        event: Event = row.event
        shown |= {"id": row.id, "source": event.source, "time": event.time, "data": event.data}
        if event.source.startswith("/file/") and isinstance(event.data, dict):
            shown["path"] = event.data.get("path")
        return shown

    def _missing(self, read: Iterable[Condition]) -> Iterable[JsonValue]:
        for condition in read:
            if condition.leaf is None:
                continue
            dataset = self.definitions.datasets[condition.leaf.dataset]
            for key in condition.missing:
                parts = frozenset(self.state.parts(dataset.name, key)) if key is not None else frozenset()
                yield {
                    "dataset": dataset.name,
                    "partition": key,
                    "parts": list(missing_parts(dataset, parts)),
                }

    def _after_end(self, task: TaskRow, definition: TaskDefinition | None, message: AttemptEnded) -> TaskRow:
        """Return the task's row after an attempt's end."""
        if message.state is AttemptState.SUCCEEDED:
            return replace(task, state=next_state(task.state, TaskEvent.SUCCEEDED))
        if message.state is AttemptState.SKIPPED:
            return replace(task, state=next_state(task.state, TaskEvent.SKIPPED))
        if message.state is AttemptState.CANCELLED or definition is None:
            return replace(task, state=next_state(task.state, TaskEvent.CANCELLED))
        crashes = task.crashes + message.crashed
        if message.state is AttemptState.INTERRUPTED and crashes < CRASHES:
            state = next_state(task.state, TaskEvent.INTERRUPTED)
            return replace(task, state=state, crashes=crashes, queued_at=self.moment.now)
        failures = task.failures + 1
        if failures > definition.retries.max:
            state = next_state(task.state, TaskEvent.EXHAUSTED)
            return replace(task, state=state, failures=failures, crashes=0)
        due_at = self.moment.now + retry_delay_s(definition.retries, failures, self.moment.draw())
        self.state.put_timer(
            TimerRow(
                key=f"retry/{task.run_id}/{task.task}",
                due_at=due_at,
                kind="retry",
                run_id=task.run_id,
                task=task.task,
            )
        )
        state = next_state(task.state, TaskEvent.FAILED)
        return replace(task, state=state, failures=failures, crashes=0, next_attempt_at=due_at)

    def _deliver(self, run: RunRow, task: TaskRow, definition: TaskDefinition) -> None:
        """Make a task's outputs ready, in the same transaction as its success."""
        for name in definition.outputs:
            dataset = self.definitions.datasets[name]
            partition = "" if dataset.partitioning.grain is Grain.NONE else run.partition
            event = Event(
                source=f"/pipelines/{run.pipeline}",
                id=f"{run.id}/{task.generation}/{task.task}/{name}",
                type="dev.sensorflow.output",
                subject=name,
                data={},
            )
            message = DeclaredReady(event=event, dataset=name, partition=partition)
            _, changes = declare(self.definitions, self.state, message, self.moment.now)
            for reached in changes:
                self._reach(reached)

    def _reach(self, reached: Reached) -> None:
        Runs(self.definitions, self.state, self.moment).reach(reached)


def place_in_line(task: TaskRow) -> tuple[int, float, str, str]:
    """Return where a queued task stands in line: priority first, then age."""
    return (-task.priority, task.queued_at or 0.0, task.run_id, task.task)


def _consumed(read: Iterable[Condition]) -> dict[str, dict[str, int]]:
    consumed: dict[str, dict[str, int]] = {}
    for condition in read:
        if condition.leaf is not None and condition.ready:
            versions = consumed.setdefault(condition.leaf.dataset, {})
            versions.update({key: row.version for key, row in condition.ready.items()})
    return consumed
