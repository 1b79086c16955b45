"""Runs: which an arrival makes or concerns, and how their tasks go on from state to state."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sensorflow.core import alerts, gates
from sensorflow.core.commands import StopAttempt
from sensorflow.core.definitions import PipelineGraph, Reader, leaves
from sensorflow.core.errors import PartitionError
from sensorflow.core.ingest import Reached
from sensorflow.core.partitions import bounds, calendar_of, read_partition
from sensorflow.core.readiness import Readiness
from sensorflow.core.retention import was_taken_back
from sensorflow.core.selection import reading_range, reading_runs
from sensorflow.core.standing import Standing, standing
from sensorflow.core.state import AttemptRow, FiringRow, RunRow, TaskRow, TimerRow
from sensorflow.core.states import GOING, AttemptState, RunState, TaskEvent, TaskState, next_state, run_state
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import Grain, LatePolicy, PipelineDefinition, Selection

#: So many runs are looked at in one transaction; a timer row goes on with the rest.
WALK = 500

#: What an operator's retry, and a next generation under `rerun`, take up again.
_BROKEN = frozenset({TaskState.FAILED, TaskState.BLOCKED})

_STANDING_EVENT = {
    Standing.BLOCK: TaskEvent.UPSTREAM_FAILED,
    Standing.SKIP: TaskEvent.NOT_NEEDED,
    Standing.CANCEL: TaskEvent.CANCELLED,
}


@dataclass(slots=True)
class Runs:
    """The runs of all pipelines, for the length of one decision."""

    turn: Turn

    # --- what an arrival reaches ---

    def reach(self, reached: Reached) -> None:
        """Let every run that reads a changed partition go on, and make those that should exist."""
        alerts.arrived(self.turn, reached.row)
        for reader in self.turn.definitions.readers.get(reached.row.dataset, ()):
            self.reach_by(reader, reached, after="")
        self.reopen()

    def reopen(self) -> None:
        """Open the next generation of the runs that a change made late: one, however many tasks read it."""
        while self.turn.to_reopen:
            name, run_id = self.turn.to_reopen.pop(0)
            run = self.turn.state.run(run_id)
            if run is not None and run.pending and over(run.state):
                self.next_generation(self.turn.definitions.pipelines[name], run)

    def reach_by(self, reader: Reader, reached: Reached, after: str) -> None:
        """Do so for one place where the dataset is read, for runs with ids above `after`."""
        pipeline, item = reader.pipeline, reader.input
        theirs = self.turn.definitions.datasets[item.dataset].partitioning
        if pipeline.partitioning.grain is Grain.NONE:
            self._reach_whole(reader, reached)
            return
        if reader.own_partition:
            self._reach_own(reader, reached, reached.row.partition)
            return
        if item.selection in (Selection.SAME, Selection.ALL):
            keys = reading_runs(pipeline.partitioning, item, theirs, reached.row.partition)
            if keys is not None:
                for key in keys:
                    self._reach_own(reader, reached, key)
                return
        if not self._brings_more(reached):
            return
        since, before = reading_range(pipeline.partitioning, item, theirs, reached.row.partition)
        state = self.turn.state
        # What was read by `latest` is pinned: only those that still wait for it are concerned.
        find = state.open_runs if item.selection is Selection.LATEST else state.runs_between
        if item.selection is Selection.LATEST and not reached.became_ready and item.max_age_s is None:
            return
        rows = find(pipeline.name, since=since, before=before, after=after, limit=WALK)
        for run in rows:
            self._touch(reader, run, reached)
        if len(rows) == WALK:
            self._go_on("reach", pipeline, rows[-1].id, reader.tasks[0], reached)

    def walk(self, pipeline: PipelineDefinition, after: str) -> None:
        """Look again at all open runs of a pipeline with ids above `after`, some at a time."""
        rows = self.turn.state.open_runs(pipeline.name, since=None, before=None, after=after, limit=WALK)
        for run in rows:
            if not _fits(pipeline, run):
                self.cancel(pipeline, run, f"{run.partition} is no partition of the pipeline any more")
                continue
            self.arm(pipeline, run)
            self.step(pipeline, run, None)
            # Also where no task has changed: while no file had the pipeline, ends were only noted.
            self.settle(pipeline, run)
        if len(rows) == WALK:
            self._go_on("walk", pipeline, rows[-1].id)

    def _reach_own(self, reader: Reader, reached: Reached, key: str) -> None:
        """Reach the run that reads a partition by `same` or `all`; make it if need be."""
        pipeline = reader.pipeline
        run = self.turn.state.run_of(pipeline.name, key)
        if run is not None and was_taken_back(self.turn, run):
            run = run._replace(trigger="event", backfill="", forced=False, pending=tuple(pipeline.tasks))
            self.next_generation(pipeline, run)
        elif run is not None:
            self._touch(reader, run, reached)
        elif within(pipeline, key) and self._may_follow(pipeline, key, reached):
            self.advance(pipeline, self.make(pipeline, key, trigger="event"), None)

    def _may_follow(self, pipeline: PipelineDefinition, key: str, reached: Reached) -> bool:
        """Tell whether an arrival may make a run: the partition had none, or is to run again for it."""
        past = self.turn.state.past_run(pipeline.name, key)
        return past is None or (pipeline.late is LatePolicy.RERUN and self._brings_more(reached))

    def _reach_whole(self, reader: Reader, reached: Reached) -> None:
        """Reach the newest run of a pipeline without partitions; an ended one is followed by the next."""
        run = self.turn.state.run_of(reader.pipeline.name, "")
        if run is not None and not over(run.state):
            self.advance(reader.pipeline, run, reader.tasks)
        elif reached.newer:
            self.advance(reader.pipeline, self.make(reader.pipeline, "", trigger="event"), None)

    def _touch(self, reader: Reader, run: RunRow, reached: Reached) -> None:
        """Let tasks go on that wait for a partition, or mark that they went without its new version."""
        state = self.turn.state
        rows = {name: row for name in reader.tasks if (row := state.task(run.id, name)) is not None}
        waiting = [name for name in reader.tasks if name not in rows or rows[name].state is TaskState.WAITING]
        if waiting and run.open:
            run = self.advance(reader.pipeline, run, waiting)
        # What was read by `latest` is pinned.
        if not rows or reader.input.selection is Selection.LATEST or not self._brings_more(reached):
            return
        late = [row for row in rows.values() if self._went_without(row, reached)]
        if late and reached.row.partition not in self._readiness(reader.pipeline, run).selected(reader.input):
            return  # What was found by a range of time may not read it.
        for task in late:
            if task.state is TaskState.RUNNING:
                state.put_task(task._replace(outdated=True))
            else:
                run = self.late(reader.pipeline, run, task)

    def _brings_more(self, reached: Reached) -> bool:
        """Tell whether there is more to read than before: a version, or a part of what is not complete."""
        complete = self.turn.definitions.datasets[reached.row.dataset].complete
        return reached.newer or (not reached.row.ready and complete.quiet_s is None)

    def _went_without(self, task: TaskRow, reached: Reached) -> bool:
        """Tell whether the task's last attempt took an older version of a partition than there is now."""
        if task.state not in (TaskState.SUCCEEDED, TaskState.RUNNING, TaskState.FAILED):
            return False
        attempt = self._last_reading(task)
        if attempt is None or reached.row.dataset not in attempt.consumed:
            return False  # The file did not name this input when the attempt started.
        consumed = attempt.consumed[reached.row.dataset].get(reached.row.partition, 0)
        return reached.row.version > consumed or not reached.row.ready

    def _last_reading(self, task: TaskRow) -> AttemptRow | None:
        """Return the attempt whose versions a task stands on: of one that is done the last that succeeded."""
        last = self.turn.state.attempt(task.run_id, task.task, task.attempts)
        if last is None or task.state is not TaskState.SUCCEEDED or last.state is AttemptState.SUCCEEDED:
            return last
        # It was marked as done after its last attempt had failed.
        all_ = [each for each in self.turn.state.attempts(task.run_id) if each.task == task.task]
        return next((each for each in reversed(all_) if each.state is AttemptState.SUCCEEDED), None)

    def _go_on(
        self,
        kind: str,
        pipeline: PipelineDefinition,
        after: str,
        task: str = "",
        reached: Reached | None = None,
    ) -> None:
        """Have the next transaction look at the runs behind `after`."""
        self.turn.state.put_timer(
            TimerRow(
                key=f"{kind}/{self.turn.moment.new_id()}",
                due_at=self.turn.now,
                kind=kind,
                pipeline=pipeline.name,
                task=task,
                dataset=reached.row.dataset if reached else "",
                partition=reached.row.partition if reached else "",
                after=after,
            )
        )

    # --- generations ---

    def late(self, pipeline: PipelineDefinition, run: RunRow, task: TaskRow) -> RunRow:
        """Do what the pipeline's policy says about a task that went without what is there now."""
        if pipeline.late is LatePolicy.STALE and task.state is TaskState.SUCCEEDED and not run.stale:
            run = run._replace(stale=True)
            self.turn.state.put_run(run)
        elif pipeline.late is LatePolicy.RERUN:
            again = with_all_below(self.turn.definitions.graphs[pipeline.name], [task.task])
            run = run._replace(pending=tuple(sorted({*run.pending, *again})))
            self.turn.state.put_run(run)
            if over(run.state):
                self.turn.to_reopen.append((pipeline.name, run.id))
        return run

    def next_generation(self, pipeline: PipelineDefinition, run: RunRow) -> RunRow:
        """Open the generation of a run's pending tasks; under `rerun` what is broken goes with them."""
        rows = self.turn.state.tasks(run.id)
        again = set(run.pending)
        if pipeline.late is LatePolicy.RERUN:
            broken = [name for name, row in rows.items() if row.state in _BROKEN]
            again |= with_all_below(self.turn.definitions.graphs[pipeline.name], broken)
        generation = run.generation + 1
        for row in rows.values():
            state = row.state
            if row.task in again and state is not TaskState.WAITING:
                state = next_state(state, TaskEvent.REOPENED)
            if state is TaskState.WAITING:
                self.turn.state.put_task(
                    row._replace(
                        state=state,
                        generation=generation,
                        failures=0,
                        crashes=0,
                        lane=run.backfill,
                        outdated=False,
                        queued_at=None,
                    )
                )
        run = run._replace(generation=generation, pending=(), stale=False, started_at=None, ended_at=None)
        self.turn.state.put_run(run)
        self.arm(pipeline, run)
        self.step(pipeline, run, None)
        return self.settle(pipeline, run)

    # --- going on ---

    def make(
        self,
        pipeline: PipelineDefinition,
        partition: str,
        trigger: str,
        *,
        forced: bool = False,
        backfill: str = "",
    ) -> RunRow:
        """Make a waiting run; `advance` lets it go."""
        limits = bounds(pipeline.partitioning, partition)
        past = self.turn.state.past_run(pipeline.name, partition) if partition else None
        run = RunRow(
            id=self.turn.moment.new_id(),
            pipeline=pipeline.name,
            partition=partition,
            partition_start=limits.start if limits else None,
            generation=past.generation + 1 if past else 1,
            state=RunState.WAITING,
            active=False,
            stale=False,
            trigger=trigger,
            created_at=self.turn.now,
            forced=forced,
            backfill=backfill,
        )
        self.turn.state.put_run(run)
        self.arm(pipeline, run)
        return run

    def advance(self, pipeline: PipelineDefinition, run: RunRow, names: Iterable[str] | None) -> RunRow:
        """Let waiting tasks of a run start, or end where they can no longer start.

        Args:
            names: The tasks that something has changed for; None is all.

        Returns:
            The run as it is then.
        """
        return self.settle(pipeline, run) if self.step(pipeline, run, names) else run

    def step(self, pipeline: PipelineDefinition, run: RunRow, names: Iterable[str] | None) -> bool:
        """Do what `advance` does, but for the run's own row; tell whether a task has changed."""
        state = self.turn.state
        readiness = self._readiness(pipeline, run)
        graph = self.turn.definitions.graphs[pipeline.name]
        held_back: bool | None = None  # Looked at once something could go.
        changed = False
        todo = list(graph.order if names is None else names)
        for name in todo:  # Grows while it is walked: an end concerns what is below it.
            task = pipeline.tasks.get(name)
            row = state.task(run.id, name)
            if task is None or (row is not None and row.state is not TaskState.WAITING):
                continue
            verdict = standing(task, {above: self._state_of(run, above) for above in task.after})
            goes = verdict is Standing.GO
            if verdict is Standing.WAIT or (goes and not (run.forced or readiness.holds(task))):
                continue
            if goes:
                if held_back is None:
                    held_back = self._is_held_back(pipeline, run)
                if held_back:
                    continue
            is_first = row is None
            row = row or first_row(pipeline, run, name)
            if goes:
                row = self._fire(row, is_first=is_first)
            else:
                row = row._replace(state=next_state(row.state, _STANDING_EVENT[verdict]))
                todo.extend(graph.below[name])
            state.put_task(row)
            changed = True
        if changed and graph.ageing:
            self.arm_lapse(pipeline, run, state.tasks(run.id))
        return changed

    def _is_held_back(self, pipeline: PipelineDefinition, run: RunRow) -> bool:
        """Tell whether no task of a run may begin, whatever it reads."""
        state = self.turn.state
        return leftover(pipeline, state.tasks_by_state(run.id)) is not None or gates.is_closed(
            state, pipeline, run.partition, self.turn.now, forced=run.forced
        )

    def _state_of(self, run: RunRow, name: str) -> TaskState:
        row = self.turn.state.task(run.id, name)
        return row.state if row is not None else TaskState.WAITING

    def settle(self, pipeline: PipelineDefinition, run: RunRow) -> RunRow:
        """Write the run's own state as its tasks now make it, and let follow what its end lets follow."""
        states = self._states_in(pipeline, run)
        state = run_state(states)
        active = TaskState.RUNNING in states or TaskState.RETRYING in states
        now = self.turn.now
        started_at = run.started_at or (now if active else None)
        ended_at = (run.ended_at or now) if over(state) else None
        row = run
        if (state, active, started_at, ended_at) != (run.state, run.active, run.started_at, run.ended_at):
            row = run._replace(state=state, active=active, started_at=started_at, ended_at=ended_at)
            self.turn.state.put_run(row)
        if state is RunState.WAITING and run.state is not state:
            self._arm_expiry(pipeline, row, since=now)
            if run.started_at is not None:
                alerts.run_mended(self.turn, row)
        # A failed run may also come to another end: what failed was marked as done, or is no task any more.
        if over(state) and (state is not run.state or run.ended_at is None):
            return self._ended(pipeline, row)
        return row

    def _states_in(self, pipeline: PipelineDefinition, run: RunRow) -> set[TaskState]:
        """Return the states that tasks of a run are in; what the file no longer names counts while it goes.

        Of a run in which something goes on, that is all that counts, and it is known without looking at each.
        """
        tasks = self.turn.state.tasks_by_state(run.id)
        if going := GOING & tasks.keys():
            return set(going)
        states = {state for state, names in tasks.items() if not pipeline.tasks.keys().isdisjoint(names)}
        if not self.turn.state.tasks(run.id).keys() >= pipeline.tasks.keys():
            states.add(TaskState.WAITING)
        return states

    def _ended(self, pipeline: PipelineDefinition, run: RunRow) -> RunRow:
        """Do what the end of a run's generation lets follow."""
        if not run.open:  # Of a failed one some tasks may still wait.
            for timer in ("optional", "begin", "expire"):
                self.turn.state.drop_timer(f"{timer}/{run.id}")
        alerts.run_ended(self.turn, run)
        if run.pending:
            return self.next_generation(pipeline, run)
        if pipeline.partitioning.grain is Grain.NONE and run.state is not RunState.CANCELLED:
            self._collect(pipeline, run)
        elif run.state is RunState.SUCCEEDED and pipeline.sequential:
            following = gates.following(pipeline, run.partition)
            successor = self.turn.state.run_of(pipeline.name, following) if following else None
            if successor is not None and successor.open:
                self.advance(pipeline, successor, None)
        return run

    def _collect(self, pipeline: PipelineDefinition, ended: RunRow) -> None:
        """Make the next run of a pipeline without partitions, if something came while the last one went."""
        newest = self.turn.state.run_of(pipeline.name, "")
        if newest is not None and not over(newest.state):
            return  # It was an older run that was taken up again; the newest collects.
        readiness = Readiness(
            self.turn.definitions, self.turn.state, pipeline, "", self.turn.now, self.turn.now
        )
        passed_over = set(self._passed_over(ended))
        if any(
            readiness.news(task, leaf.dataset)
            for task in pipeline.tasks.values()
            if task.name not in passed_over
            for leaf in leaves(task.inputs)
        ):
            self.advance(pipeline, self.make(pipeline, "", trigger="event"), None)

    def _passed_over(self, run: RunRow) -> Iterator[str]:
        """Yield the tasks that ended without an attempt: what they did not read makes no run by itself."""
        for row in self.turn.state.tasks(run.id).values():
            if row.state in (TaskState.BLOCKED, TaskState.SKIPPED):
                last = self.turn.state.attempt(row.run_id, row.task, row.attempts)
                if last is None or last.generation != row.generation:
                    yield row.task

    def arm(self, pipeline: PipelineDefinition, run: RunRow) -> None:
        """Set the timers of a run: when inputs become optional, when it may begin, when it expires."""
        self._arm_expiry(pipeline, run)
        may_be_without = self.turn.definitions.graphs[pipeline.name].optional
        if not may_be_without and pipeline.schedule is None:
            return
        readiness = self._readiness(pipeline, run)
        now = self.turn.now
        optional = [
            at for leaf in may_be_without if (at := readiness.optional_at(leaf)) is not None and at > now
        ]
        begins_at = None if run.forced else gates.begins_at(pipeline, run.partition)
        for kind, due_at in (("optional", min(optional, default=None)), ("begin", begins_at)):
            if due_at is not None and due_at > now:
                self.turn.state.put_timer(
                    TimerRow(key=f"{kind}/{run.id}", due_at=due_at, kind=kind, run_id=run.id)
                )

    def arm_lapse(self, pipeline: PipelineDefinition, run: RunRow, rows: Mapping[str, TaskRow]) -> None:
        """Set when the first input of a task that has not begun is too old for it."""
        if run.forced:
            return
        readiness = self._readiness(pipeline, run)
        lapses = (
            readiness.lapses_at(pipeline.tasks[name])
            for name, row in rows.items()
            if row.state is TaskState.QUEUED and name in pipeline.tasks
        )
        due_at = min((at for at in lapses if at is not None), default=None)
        if due_at is not None:
            self.turn.state.put_timer(
                TimerRow(key=f"lapse/{run.id}", due_at=due_at, kind="lapse", run_id=run.id)
            )

    def _arm_expiry(self, pipeline: PipelineDefinition, run: RunRow, since: float | None = None) -> None:
        """Set when a run has waited too long: since the moment given, else since the one it goes by."""
        if pipeline.expire_s is None:
            return
        key = f"expire/{run.id}"
        there = self.turn.state.timer(key)
        if since is None:
            since = there.due_at - float(there.after) if there else run.created_at
        # An edit that makes it shorter does not let it expire in the past.
        due_at = max(since + pipeline.expire_s, self.turn.now)
        self.turn.state.put_timer(
            TimerRow(key=key, due_at=due_at, kind="expire", run_id=run.id, after=repr(due_at - since))
        )

    def cancel(self, pipeline: PipelineDefinition, run: RunRow, reason: str) -> RunRow:
        """Cancel every task of a run that has not ended, and stop those that run."""
        state = self.turn.state
        rows = {**state.tasks(run.id)}
        for name in dict.fromkeys((*pipeline.tasks, *rows)):  # What an edit took away may still run.
            row = rows.get(name) or first_row(pipeline, run, name)
            if row.state is TaskState.RUNNING:
                stop = StopAttempt(run_id=run.id, task=name, number=row.attempts, reason=reason)
                self.turn.orders.append(stop)
                state.put_task(row._replace(stopping=True))
            elif row.state in (TaskState.WAITING, TaskState.QUEUED, TaskState.RETRYING):
                cancelled = next_state(row.state, TaskEvent.CANCELLED)
                state.put_task(row._replace(state=cancelled, next_attempt_at=None))
        run = run._replace(pending=())
        state.put_run(run)
        return self.settle(pipeline, run)

    def _fire(self, row: TaskRow, *, is_first: bool) -> TaskRow:
        """Record that a task is to run; from here on it is the queue's."""
        # One that was cancelled, or lost an input while it queued, goes on with the firing it had.
        if is_first or self.turn.state.firing(row.run_id, row.generation, row.task) is None:
            self.turn.state.add_firing(
                FiringRow(run_id=row.run_id, generation=row.generation, task=row.task, fired_at=self.turn.now)
            )
        return row._replace(state=next_state(row.state, TaskEvent.INPUTS_READY), queued_at=self.turn.now)

    def _readiness(self, pipeline: PipelineDefinition, run: RunRow) -> Readiness:
        return Readiness(
            self.turn.definitions, self.turn.state, pipeline, run.partition, run.created_at, self.turn.now
        )


def first_row(pipeline: PipelineDefinition, run: RunRow, name: str) -> TaskRow:
    """Return the row of a task that has never left `waiting`."""
    return TaskRow(
        run_id=run.id,
        task=name,
        pipeline=pipeline.name,
        state=TaskState.WAITING,
        generation=run.generation,
        priority=pipeline.tasks[name].priority,
        lane=run.backfill,
    )


def leftover(pipeline: PipelineDefinition, tasks: Mapping[TaskState, Collection[str]]) -> str | None:
    """Return a task of a run, of those by state, that still runs though the file no longer names it.

    Until it has ended no other begins: what stands in the file instead may be the same work renamed.
    """
    running = tasks.get(TaskState.RUNNING, ())
    return min((name for name in running if name not in pipeline.tasks), default=None)


def with_all_below(graph: PipelineGraph, names: Iterable[str]) -> set[str]:
    """Return the tasks and all that is below them."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found and name in graph.below:
            found.add(name)
            todo.extend(graph.below[name])
    return found


def within(pipeline: PipelineDefinition, partition: str) -> bool:
    """Tell whether a partition lies between the pipeline's `start` and `end`."""
    if pipeline.start is None and pipeline.end is None:
        return True
    limits, calendar = bounds(pipeline.partitioning, partition), calendar_of(pipeline.partitioning)
    if limits is None or calendar is None:
        return True
    first = bounds(calendar, pipeline.start) if pipeline.start else None
    last = bounds(calendar, pipeline.end) if pipeline.end else None
    return (first is None or limits.start >= first.start) and (last is None or limits.start <= last.start)


def _fits(pipeline: PipelineDefinition, run: RunRow) -> bool:
    """Tell whether a run's partition is one of the pipeline as the file now has it."""
    try:
        return read_partition(pipeline.partitioning, run.partition or None) == run.partition
    except PartitionError:
        return False


def over(state: RunState) -> bool:
    """Tell whether nothing of a run goes on by itself; of a failed one some tasks may still wait."""
    return state in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
