"""Runs: which an arrival makes or concerns, and how their tasks go on from state to state."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sensorflow.core.definitions import MAKES_RUNS, Definitions, Reader, leaves
from sensorflow.core.errors import PartitionError
from sensorflow.core.ingest import Reached
from sensorflow.core.messages import Moment
from sensorflow.core.partitions import bounds, containing, is_finer, shifted
from sensorflow.core.readiness import Readiness
from sensorflow.core.standing import Standing, standing
from sensorflow.core.state import FiringRow, RunRow, State, TaskRow, TimerRow
from sensorflow.core.states import AttemptState, RunState, TaskEvent, TaskState, next_state, run_state
from sensorflow.core.vocabulary import Grain, LatePolicy, PipelineDefinition, Selection

#: So many runs are looked at in one transaction; a timer row goes on with the rest.
WALK = 500

_STANDING_EVENT = {
    Standing.BLOCK: TaskEvent.UPSTREAM_FAILED,
    Standing.SKIP: TaskEvent.NOT_NEEDED,
    Standing.CANCEL: TaskEvent.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of all pipelines, for the length of one decision."""

    definitions: Definitions
    state: State
    moment: Moment

    def reach(self, reached: Reached) -> None:
        """Let every run that reads a changed partition go on, and make those that should exist."""
        for reader in self.definitions.readers.get(reached.row.dataset, ()):
            if reader.input.selection in MAKES_RUNS:
                self._reach_own(reader, reached)
            else:
                self._reach_waiting(reader, reached)

    def walk(self, pipeline: PipelineDefinition, after: str) -> None:
        """Look again at all open runs of a pipeline with ids above `after`, some at a time."""
        rows = self.state.open_runs(pipeline.name, since=None, before=None, after=after, limit=WALK)
        self._advance_all(pipeline, rows, None)

    def advance(self, pipeline: PipelineDefinition, run: RunRow, names: Iterable[str] | None) -> None:
        """Let waiting tasks of a run start, or end where they can no longer start.

        Args:
            names: The tasks that something has changed for; None is all.
        """
        rows = dict(self.state.tasks(run.id))
        states = {name: rows[name].state if name in rows else TaskState.WAITING for name in pipeline.tasks}
        readiness = Readiness(
            self.definitions, self.state, pipeline, run.partition, run.created_at, self.moment.now
        )
        graph = self.definitions.graphs[pipeline.name]
        todo = list(graph.order if names is None else names)
        changed = False
        for name in todo:  # Grows while it is walked: an end concerns what is below it.
            if states.get(name) is not TaskState.WAITING:
                continue
            task = pipeline.tasks[name]
            verdict = standing(task, states)
            if verdict is Standing.WAIT:
                continue
            row = rows.get(name) or self._first_row(pipeline, run, name)
            if verdict is Standing.GO:
                if not all(readiness.condition(item).holds for item in task.inputs):
                    continue
                row = self._fire(row)
            else:
                row = replace(row, state=next_state(row.state, _STANDING_EVENT[verdict]))
                todo.extend(graph.below[name])
            self.state.put_task(row)
            rows[name], states[name] = row, row.state
            changed = True
        if changed:
            self.settle(pipeline, run)

    def settle(self, pipeline: PipelineDefinition, run: RunRow) -> RunRow:
        """Write the run's own state as its tasks now make it."""
        rows = self.state.tasks(run.id)
        gone = [row.state for name, row in rows.items() if name not in pipeline.tasks]
        states = [rows[name].state if name in rows else TaskState.WAITING for name in pipeline.tasks]
        state = run_state(states + gone)
        active = any(row.state in (TaskState.RUNNING, TaskState.RETRYING) for row in rows.values())
        over = state in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
        row = replace(
            run,
            state=state,
            active=active,
            started_at=run.started_at or (self.moment.now if active else None),
            ended_at=(run.ended_at or self.moment.now) if over else None,
        )
        if row != run:
            self.state.put_run(row)
        if over:
            self.state.drop_timer(_optional_timer(run))
        return row

    def arm(self, pipeline: PipelineDefinition, run: RunRow) -> None:
        """Set the timer for the moment from which a task of the run may go without an input."""
        readiness = Readiness(
            self.definitions, self.state, pipeline, run.partition, run.created_at, self.moment.now
        )
        moments = [
            at
            for task in pipeline.tasks.values()
            for leaf in leaves(task.inputs)
            if (at := readiness.optional_at(leaf)) is not None and at > self.moment.now
        ]
        if moments:
            self.state.put_timer(
                TimerRow(key=_optional_timer(run), due_at=min(moments), kind="optional", run_id=run.id)
            )

    def _fire(self, row: TaskRow) -> TaskRow:
        """Record that a task is to run; from here on it is the queue's."""
        self.state.add_firing(
            FiringRow(run_id=row.run_id, generation=row.generation, task=row.task, fired_at=self.moment.now)
        )
        return replace(row, state=next_state(row.state, TaskEvent.INPUTS_READY), queued_at=self.moment.now)

    def _first_row(self, pipeline: PipelineDefinition, run: RunRow, name: str) -> TaskRow:
        return TaskRow(
            run_id=run.id,
            task=name,
            pipeline=pipeline.name,
            state=TaskState.WAITING,
            generation=run.generation,
            priority=pipeline.tasks[name].priority,
        )

    def _reach_own(self, reader: Reader, reached: Reached) -> None:
        """Reach the one run that reads this partition by `same` or `all`; make it if need be."""
        pipeline = reader.pipeline
        key = reached.row.partition
        if reader.input.selection is Selection.ALL:
            theirs = self.definitions.datasets[reached.row.dataset].partitioning
            key = containing(theirs, key, pipeline.partitioning)
        run = self.state.run_of(pipeline.name, key)
        if run is None:
            if not within(pipeline, key):
                return
            run = self._make(pipeline, key, trigger="event")
            self.advance(pipeline, run, None)
            return
        if self._is_late(reader, run, reached):
            self.state.put_run(replace(run, stale=True))
        elif run.open:
            self.advance(pipeline, run, (reader.task.name,))

    def _is_late(self, reader: Reader, run: RunRow, reached: Reached) -> bool:
        """Tell whether a task that has succeeded went without this arrival, and that is to be marked."""
        if run.stale or reader.pipeline.late is not LatePolicy.STALE:
            return False
        row = self.state.task(run.id, reader.task.name)
        if row is None or row.state is not TaskState.SUCCEEDED:
            return False
        attempt = self.state.attempt(run.id, row.task, row.attempts)
        if attempt is None or attempt.state is not AttemptState.SUCCEEDED:
            return False
        consumed = attempt.consumed.get(reached.row.dataset, {}).get(reached.row.partition, 0)
        return reached.row.version > consumed or not reached.row.ready

    def _make(self, pipeline: PipelineDefinition, partition: str, trigger: str) -> RunRow:
        limits = bounds(pipeline.partitioning, partition)
        run = RunRow(
            id=self.moment.new_id(),
            pipeline=pipeline.name,
            partition=partition,
            partition_start=limits.start if limits else None,
            generation=1,
            state=RunState.WAITING,
            active=False,
            stale=False,
            trigger=trigger,
            created_at=self.moment.now,
        )
        self.state.put_run(run)
        self.arm(pipeline, run)
        return run

    def _reach_waiting(self, reader: Reader, reached: Reached) -> None:
        """Wake the open runs for which a partition that is read from afar has become ready."""
        if not reached.became_ready:
            return
        since, before = self._range(reader, reached)
        rows = self.state.open_runs(reader.pipeline.name, since=since, before=before, after="", limit=WALK)
        self._advance_all(reader.pipeline, rows, (reader.task.name,))

    def _advance_all(
        self, pipeline: PipelineDefinition, rows: list[RunRow], names: tuple[str, ...] | None
    ) -> None:
        for run in rows:
            self.advance(pipeline, run, names)
        if len(rows) == WALK:
            key = f"walk/{self.moment.new_id()}"
            self.state.put_timer(
                TimerRow(
                    key=key, due_at=self.moment.now, kind="walk", pipeline=pipeline.name, after=rows[-1].id
                )
            )

    def _range(self, reader: Reader, reached: Reached) -> tuple[float | None, float | None]:
        """Return between which partition starts the runs lie that may read a partition."""
        theirs = self.definitions.datasets[reached.row.dataset].partitioning
        own = reader.pipeline.partitioning
        limits = bounds(theirs, reached.row.partition)
        if limits is None or own.grain in (Grain.NONE, Grain.KEY, Grain.KEYS):
            return None, None
        if reader.input.selection is Selection.LATEST:
            return limits.start, None
        nearest, farthest = 0, 0
        if reader.input.selection is Selection.LAST:
            farthest = reader.input.count - 1
        elif reader.input.selection is Selection.OFFSET:
            nearest = farthest = -reader.input.count
        try:
            first = shifted(theirs, reached.row.partition, nearest)
            last = shifted(theirs, reached.row.partition, farthest)
        except PartitionError:  # At an end of the calendar no run lies beyond.
            return None, None
        since, before = bounds(theirs, first), bounds(theirs, last)
        if is_finer(theirs.grain, own.grain):
            since = bounds(own, containing(theirs, first, own))
        return (since.start if since else None, before.end if before else None)


def _optional_timer(run: RunRow) -> str:
    return f"optional/{run.id}"


def within(pipeline: PipelineDefinition, partition: str) -> bool:
    """Tell whether a partition lies between the pipeline's `start` and `end`."""
    limits = bounds(pipeline.partitioning, partition)
    if limits is None:
        return True
    first = bounds(pipeline.partitioning, pipeline.start) if pipeline.start else None
    last = bounds(pipeline.partitioning, pipeline.end) if pipeline.end else None
    return (first is None or limits.start >= first.start) and (last is None or limits.start <= last.start)
