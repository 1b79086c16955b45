"""What sensorflow should do, in the plainest way: all that arrived is kept, and all of it is asked each time.

Nothing here comes from the core but its vocabulary. A step is told (`arrived`, `ended`, ...), then
`follow` looks at every task of every run until nothing changes any more. Which of the queued tasks
starts is not said here; the service's starts are told to the model, which objects to wrong ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sensorflow.core.definitions import Definitions
from sensorflow.core.messages import Only
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import (
    DatasetInput,
    Grain,
    Input,
    InputGroup,
    LatePolicy,
    PipelineDefinition,
    Selection,
    TaskDefinition,
    When,
)
from tests.naive_calendar import LENGTHS_S, end_of, key_at, selected, shifted, start_of

_GOING = {TaskState.QUEUED, TaskState.RUNNING, TaskState.RETRYING}
_BAD = {TaskState.FAILED, TaskState.BLOCKED}
OVER = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}
#: Of a failed run some tasks may still wait; of these nothing is to come.
CLOSED = {RunState.SUCCEEDED, RunState.CANCELLED}


def leaves(items: tuple[Input, ...]) -> Iterator[DatasetInput]:
    for item in items:
        if isinstance(item, InputGroup):
            yield from leaves(item.members)
        else:
            yield item


@dataclass
class Arrived:
    at: float
    dataset: str
    partition: str
    part: str | None


@dataclass
class Task:
    state: TaskState = TaskState.WAITING
    generation: int = 1
    attempts: int = 0
    failures: int = 0
    #: What the last attempt took: (dataset, partition) -> version.
    consumed: dict[tuple[str, str], int] = field(default_factory=dict)
    #: A newer version came while it ran.
    outdated: bool = False
    #: The datasets that its file named when the last attempt started.
    read: set[str] = field(default_factory=set)
    retry_at: float = 0.0
    #: `read` and `consumed` of the last attempt that succeeded.
    stands_on: tuple[set[str], dict[tuple[str, str], int]] = field(default_factory=lambda: (set(), {}))
    #: It was told to stop: however it ends, it does not go on.
    stopping: bool = False
    #: An attempt of this firing has started.
    begun: bool = False


@dataclass
class Run:
    pipeline: str
    partition: str
    created_at: float
    trigger: str
    forced: bool = False
    backfill: str = ""
    generation: int = 1
    #: An attempt of this generation has started.
    begun: bool = False
    state: RunState | None = None
    stale: bool = False
    pending: set[str] = field(default_factory=set)
    tasks: dict[str, Task] = field(default_factory=dict)
    #: As the service calls it.
    id: str = ""


class Model:
    """The log of what happened, and where every task of every run should stand."""

    def __init__(self, definitions: Definitions, now: float) -> None:
        self.definitions = definitions
        self.now = now
        self.log: list[Arrived] = []
        self.runs: list[Run] = []
        self.paused: set[str] = set()
        #: (run, generation, task): what has fired, once each.
        self.fired: set[tuple[int, int, str]] = set()
        self._cancelled: set[str] = set()
        #: (pipeline, task, dataset) of pipelines without partitions: so much of the log is consumed.
        self._read_up_to: dict[tuple[str, str, str], int] = {}

    # What is there

    def version(self, dataset: str, partition: str, at: float | None = None) -> int:
        """Count the versions of a partition: 0 while not all of it is there."""
        at = self.now if at is None else at
        wanted = self.definitions.datasets[dataset].complete
        found = [a for a in self.log if (a.dataset, a.partition) == (dataset, partition)]
        if wanted.quiet_s is not None:
            following = [a.at for a in found[1:]] + [at]
            return sum(a.at + wanted.quiet_s <= after for a, after in zip(found, following, strict=False))
        # What is there once is not taken back, whatever comes after it.
        return sum(
            any(self._is_all(dataset, found[:m]) for m in range(1, n + 1)) for n in range(1, len(found) + 1)
        )

    def _is_all(self, dataset: str, found: list[Arrived]) -> bool:
        wanted = self.definitions.datasets[dataset].complete
        parts = {a.part for a in found}
        if wanted.parts:
            return None in parts or parts >= wanted.parts
        return wanted.count is None or (len(parts - {None}) or len(found)) >= wanted.count

    def holds(self, run: Run, task: TaskDefinition, item: Input) -> bool:
        if isinstance(item, InputGroup):
            return sum(self.holds(run, task, member) for member in item.members) >= item.needed
        pipeline = self.definitions.pipelines[run.pipeline]
        if self.may_go_without(run, item):
            return True
        if item.selection is Selection.LATEST:
            if pipeline.partitioning.grain is Grain.NONE and not self.news(pipeline, task, item.dataset):
                return False
            return self._latest(pipeline, run.partition, item.dataset)
        keys = self.asked_for(pipeline, run.partition, item)
        there = sum(self.version(item.dataset, key) > 0 for key in keys)
        return there >= (len(keys) if item.at_least is None else min(item.at_least, len(keys)))

    def may_go_without(self, run: Run, item: DatasetInput) -> bool:
        """Tell whether an input is optional by now."""
        if item.optional_after_s is None:
            return False
        grain = self.definitions.pipelines[run.pipeline].partitioning.grain
        end = end_of(grain, run.partition) if grain in LENGTHS_S else 0
        return self.now >= max(end, run.created_at) + item.optional_after_s

    def _latest(self, pipeline: PipelineDefinition, partition: str, dataset: str) -> bool:
        own, theirs = pipeline.partitioning.grain, self.definitions.datasets[dataset].partitioning.grain
        keys = {a.partition for a in self.log if a.dataset == dataset}
        if own in LENGTHS_S and theirs in LENGTHS_S:
            keys = {key for key in keys if start_of(theirs, key) <= start_of(own, partition)}
        return any(self.version(dataset, key) for key in keys)

    def asked_for(self, pipeline: PipelineDefinition, partition: str, item: DatasetInput) -> list[str]:
        theirs = self.definitions.datasets[item.dataset].partitioning.grain
        keys = selected(pipeline.partitioning.grain, partition, item, theirs)
        source = next(
            (
                p
                for p in self.definitions.pipelines.values()
                if any(item.dataset in task.outputs for task in p.tasks.values())
            ),
            pipeline,
        )
        if item.selection not in (Selection.LAST, Selection.OFFSET) or source.start is None:
            return keys
        first = start_of(source.partitioning.grain, source.start)
        return [key for key in keys if end_of(theirs, key) > first]

    def news(self, pipeline: PipelineDefinition, task: TaskDefinition, dataset: str) -> bool:
        """Tell whether a partition of the dataset has had a version that the task has not consumed."""
        seen = self._read_up_to.get((pipeline.name, task.name, dataset), 0)
        for index, arrival in enumerate(self.log):
            before = [a for a in self.log[: index + 1] if a.partition == arrival.partition]
            whole = [a for a in before if a.dataset == dataset]
            ready = any(self._is_all(dataset, whole[:n]) for n in range(1, len(whole) + 1))
            if index >= seen and arrival.dataset == dataset and ready:
                return True
        return False

    # What happens

    def arrived(self, dataset: str, partition: str, part: str | None) -> None:
        before = self.version(dataset, partition)
        self.log.append(Arrived(self.now, dataset, partition, part))
        self._reach(dataset, partition, newer=self.version(dataset, partition) > before)

    def clock_moved(self, now: float) -> None:
        """Let what became quiet meanwhile reach its readers."""
        then, self.now = self.now, now
        quiet = {name for name, d in self.definitions.datasets.items() if d.complete.quiet_s is not None}
        for dataset, partition in {(a.dataset, a.partition): 0 for a in self.log if a.dataset in quiet}:
            if self.version(dataset, partition) > self.version(dataset, partition, then):
                self._reach(dataset, partition, newer=True)

    def started(self, run: Run, name: str) -> None:
        """Take the service's word that an attempt has started, if it may have."""
        task, definition = run.tasks[name], self.definitions.pipelines[run.pipeline].tasks[name]
        assert task.state is TaskState.QUEUED, f"{name} of {run} started while {task.state}"
        assert run.pipeline not in self.paused, f"{name} of {run} started while paused"
        task.state, task.outdated = TaskState.RUNNING, False
        task.read = {item.dataset for item in leaves(definition.inputs)}
        task.attempts += 1
        task.begun = True
        task.consumed = {}
        run.begun = True
        pipeline = self.definitions.pipelines[run.pipeline]
        for item in leaves(definition.inputs):
            if pipeline.partitioning.grain is Grain.NONE:
                self._read_up_to[pipeline.name, name, item.dataset] = len(self.log)
            elif item.selection is not Selection.LATEST:
                for key in self.asked_for(pipeline, run.partition, item):
                    task.consumed[item.dataset, key] = self.version(item.dataset, key)

    def ended(self, run: Run, name: str, state: AttemptState) -> None:
        task = run.tasks[name]
        definition = self.definitions.pipelines[run.pipeline].tasks.get(name)
        done = state in (AttemptState.SUCCEEDED, AttemptState.SKIPPED)
        if state is AttemptState.CANCELLED or (not done and (task.stopping or definition is None)):
            task.state = TaskState.CANCELLED
        elif done:
            task.state = TaskState(state)
        elif definition is not None and state is AttemptState.FAILED:
            task.failures += 1
            again = task.failures <= definition.retries.max
            task.state = TaskState.RETRYING if again else TaskState.FAILED
            task.retry_at = self.now + definition.retries.delay_s
        else:
            task.state = TaskState.QUEUED
        task.stopping = False
        if state is AttemptState.SUCCEEDED:
            task.stands_on = task.read, task.consumed
        if task.outdated and task.state in (TaskState.SUCCEEDED, TaskState.FAILED):
            task.outdated = False
            self._late(run, name)  # Before anything follows: what came while a generation went makes one.
        if task.state is TaskState.SUCCEEDED and definition is not None:
            self._deliver(run, definition)

    def _deliver(self, run: Run, definition: TaskDefinition) -> None:
        for dataset in definition.outputs:
            whole = self.definitions.datasets[dataset].partitioning.grain is Grain.NONE
            self.arrived(dataset, "" if whole else run.partition, None)

    def _reach(self, dataset: str, partition: str, *, newer: bool) -> None:
        self._make_runs(dataset, partition, newer=newer)
        self.follow()
        if not newer and self.definitions.datasets[dataset].complete.quiet_s is not None:
            return  # Nothing is there for anybody before it has fallen quiet.
        for run in list(self.runs):
            pipeline = self.definitions.pipelines[run.pipeline]
            for name, definition in pipeline.tasks.items():
                task = run.tasks.get(name)
                if task is not None and self._went_without(run, task, definition, dataset, partition):
                    if task.state is TaskState.RUNNING:
                        task.outdated = True
                    else:
                        self._late(run, name)
            if run.pending and run.state in OVER:
                self.next_generation(run)  # One, however many of its tasks read what came.

    def _make_runs(self, dataset: str, partition: str, *, newer: bool) -> None:
        theirs = self.definitions.datasets[dataset].partitioning.grain
        for pipeline in self.definitions.pipelines.values():
            own = pipeline.partitioning.grain
            for task in pipeline.tasks.values():
                for item in leaves(task.inputs):
                    if item.dataset != dataset:
                        continue
                    if own is Grain.NONE:
                        newest = self.run_of(pipeline.name, "")
                        if newer and (newest is None or newest.state in OVER):
                            self.make(pipeline.name, "", "event")
                    elif item.selection in (Selection.SAME, Selection.ALL):
                        same = item.selection is Selection.SAME
                        key = partition if same else key_at(own, start_of(theirs, partition))
                        there = self.run_of(pipeline.name, key)
                        if there is None and self.within(pipeline, key):
                            self.make(pipeline.name, key, "event")
                        elif there is not None and self._was_taken_back(there):
                            there.trigger, there.backfill, there.forced = "event", "", False
                            self._again(there, set(pipeline.tasks))

    def _was_taken_back(self, run: Run) -> bool:
        never_began = run.state is RunState.CANCELLED and run.generation == 1 and not run.begun
        return never_began and run.trigger == "backfill" and run.backfill in self._cancelled

    def _went_without(
        self, run: Run, task: Task, definition: TaskDefinition, dataset: str, partition: str
    ) -> bool:
        pipeline = self.definitions.pipelines[run.pipeline]
        if pipeline.partitioning.grain is Grain.NONE or not task.attempts:
            return False
        if task.state not in (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.RUNNING):
            return False
        version = self.version(dataset, partition)
        return any(
            item.dataset == dataset
            and dataset in task.read
            and item.selection is not Selection.LATEST
            and partition in self.asked_for(pipeline, run.partition, item)
            and (not version or version > task.consumed.get((dataset, partition), 0))
            for item in leaves(definition.inputs)
        )

    def _late(self, run: Run, name: str) -> None:
        policy = self.definitions.pipelines[run.pipeline].late
        if policy is LatePolicy.RERUN:
            run.pending |= self.below(run.pipeline, {name})
        elif policy is LatePolicy.STALE and run.tasks[name].state is TaskState.SUCCEEDED:
            run.stale = True

    # What operators do; each tells whether it may be done

    def retry(self, run: Run, tasks: tuple[str, ...], *, downstream: bool) -> bool:
        failed = {TaskState.FAILED, TaskState.CANCELLED}
        done = {TaskState.SUCCEEDED, TaskState.SKIPPED}
        defined = self.definitions.pipelines[run.pipeline].tasks
        states = {name: run.tasks.get(name, Task()).state for name in defined}
        names = set(tasks or [name for name in defined if states[name] in failed])
        names = names or {name for name in defined if states[name] is TaskState.BLOCKED}
        added_since = {TaskState.WAITING} if run.state in CLOSED else set()
        if not names or any(
            states[name] not in failed | done | added_since | {TaskState.BLOCKED} for name in names
        ):
            return False
        if any(states[name] in done | added_since for name in names):
            self._again(run, names)
            return True
        for name in names:
            task = run.tasks[name]
            task.failures = 0
            task.state = TaskState.QUEUED if task.state is TaskState.FAILED else TaskState.WAITING
        if downstream:
            self._unblock_below(run, names)
        self.take_up(run)
        return True

    def cancel(self, run: Run) -> bool:
        open_ = {*_GOING, TaskState.WAITING}
        if run.state in CLOSED or not any(task.state in open_ for task in run.tasks.values()):
            return False
        for task in run.tasks.values():
            if task.state in open_ - {TaskState.RUNNING}:
                task.state = TaskState.CANCELLED
            task.stopping = task.state is TaskState.RUNNING
        run.pending = set()
        return True

    def mark(self, run: Run, name: str, state: TaskState) -> bool:
        task = run.tasks[name]
        if task.state in (TaskState.RUNNING, TaskState.SUCCEEDED, TaskState.SKIPPED):
            return False
        task.state = state
        task.read, task.consumed = task.stands_on
        self._unblock_below(run, {name})
        if state is TaskState.SUCCEEDED:
            self._deliver(run, self.definitions.pipelines[run.pipeline].tasks[name])
        self.take_up(run)
        return True

    def _unblock_below(self, run: Run, names: set[str]) -> None:
        for name in self.below(run.pipeline, names):
            if name in run.tasks and run.tasks[name].state is TaskState.BLOCKED:
                run.tasks[name].state = TaskState.WAITING

    def make_run(self, pipeline: str, partition: str, *, force: bool) -> bool:
        run = self.run_of(pipeline, partition)
        whole = self.definitions.pipelines[pipeline].partitioning.grain is Grain.NONE
        if run is None or (whole and run.state in OVER):
            self.make(pipeline, partition, "manual", forced=force)
        elif run.state is RunState.RUNNING:
            return False
        elif run.state in OVER:
            run.forced = force
            self._again(run, set(self.definitions.pipelines[pipeline].tasks))
        elif force:
            run.forced = True
        return True

    def backfill(
        self, backfill: str, pipeline: str, partitions: tuple[str, ...], only: Only, *, force: bool
    ) -> None:
        for partition in partitions:
            run = self.run_of(pipeline, partition)
            untouched = run is not None and run.state is RunState.WAITING and not run.begun
            never_started = (
                run is not None and run.state is RunState.CANCELLED and run.generation == 1 and not run.begun
            )
            if run is None:
                if only is not Only.FAILED:
                    self.make(pipeline, partition, "backfill", forced=force).backfill = backfill
            elif (only is Only.FAILED and run.state is RunState.FAILED) or (
                only is not Only.FAILED and (untouched or never_started or only is Only.ALL)
            ):
                run.backfill, run.forced = backfill, run.forced or force
                if only is Only.FAILED:
                    self.retry(run, (), downstream=True)
                elif not untouched:
                    run.trigger = "backfill"
                    self._again(run, set(self.definitions.pipelines[pipeline].tasks))

    def cancel_backfill(self, backfill: str) -> bool:
        if backfill in self._cancelled:
            return False
        self._cancelled.add(backfill)
        for run in self.runs:
            if (run.backfill, run.trigger) != (backfill, "backfill") or run.state in OVER:
                continue
            if not run.begun:
                self.cancel(run)
            elif self.definitions.pipelines[run.pipeline].late is not LatePolicy.RERUN:
                run.pending = set()
        return True

    def _again(self, run: Run, names: set[str]) -> None:
        run.pending |= names
        if run.state in OVER:
            self.next_generation(run)

    # What follows

    def run_of(self, pipeline: str, partition: str) -> Run | None:
        found = [run for run in self.runs if (run.pipeline, run.partition) == (pipeline, partition)]
        return found[-1] if found else None

    def within(self, pipeline: PipelineDefinition, key: str) -> bool:
        grain = pipeline.partitioning.grain
        return pipeline.start is None or start_of(grain, key) >= start_of(grain, pipeline.start)

    def make(self, pipeline: str, partition: str, trigger: str, *, forced: bool = False) -> Run:
        run = Run(pipeline, partition, self.now, trigger, forced)
        self.runs.append(run)
        self.take_up(run)
        return run

    def take_up(self, run: Run) -> None:
        """Let a run go by the tasks that are defined now."""
        run.state = None
        self.add_tasks(run)

    def add_tasks(self, run: Run) -> None:
        for name in self.definitions.pipelines[run.pipeline].tasks:
            run.tasks.setdefault(name, Task(generation=run.generation))

    def reloaded(self, definitions: Definitions) -> None:
        self.definitions = definitions
        for run in self.runs:
            if run.state not in CLOSED:
                self.add_tasks(run)

    def below(self, pipeline: str, names: set[str]) -> set[str]:
        """Return the tasks and all that is below them."""
        tasks = self.definitions.pipelines[pipeline].tasks
        found = {name for name in names if name in tasks}
        for _ in tasks:
            found |= {name for name, task in tasks.items() if found & set(task.after)}
        return found

    def next_generation(self, run: Run) -> None:
        again = set(run.pending)
        if self.definitions.pipelines[run.pipeline].late is LatePolicy.RERUN:
            broken = {name for name, task in run.tasks.items() if task.state in _BAD}
            again |= self.below(run.pipeline, broken)
        run.generation, run.stale, run.begun, run.pending = run.generation + 1, False, False, set()
        for name, task in run.tasks.items():
            if name in again and task.state is not TaskState.WAITING:
                task.state, task.failures, task.outdated, task.begun = TaskState.WAITING, 0, False, False
            if task.state is TaskState.WAITING:
                task.generation = run.generation
        self.take_up(run)

    def follow(self) -> None:
        """Look at everything, until nothing changes any more."""
        while sum(self._follow(index, run) for index, run in enumerate(self.runs)):
            pass

    def _follow(self, index: int, run: Run) -> bool:
        if run.state in CLOSED:
            return False
        pipeline = self.definitions.pipelines[run.pipeline]
        before = [task.state for task in run.tasks.values()], run.state
        for name, definition in pipeline.tasks.items():
            task = run.tasks[name]
            if task.state is TaskState.RETRYING and task.retry_at <= self.now:
                task.state = TaskState.QUEUED
            if task.state is TaskState.WAITING:
                task.state = self._verdict(run, definition)
                if task.state is TaskState.QUEUED:
                    self.fired.add((index, task.generation, name))
        was, run.state = run.state, run_state(run, pipeline)
        if run.state in OVER and was is not run.state:
            if run.pending:
                self.next_generation(run)
            elif pipeline.partitioning.grain is Grain.NONE and run.state is not RunState.CANCELLED:
                going_on = [task for name, task in pipeline.tasks.items() if not passed_over(run.tasks[name])]
                newest = self.run_of(run.pipeline, "")
                collects = newest is run or (newest is not None and newest.state in OVER)
                if collects and any(
                    self.news(pipeline, t, item.dataset) for t in going_on for item in leaves(t.inputs)
                ):
                    self.make(run.pipeline, "", "event")
        return before != ([task.state for task in run.tasks.values()], run.state)

    def _verdict(self, run: Run, task: TaskDefinition) -> TaskState:
        """Return what becomes of a waiting task now."""
        may = verdict(task, [run.tasks[name].state for name in task.after])
        return may if may is not TaskState.QUEUED or self.may_start(run, task.name) else TaskState.WAITING

    def _is_next(self, run: Run) -> bool:
        """Tell whether the partition before has succeeded, where it has to."""
        pipeline = self.definitions.pipelines[run.pipeline]
        if not pipeline.sequential or pipeline.start is None or run.partition == pipeline.start:
            return True
        before = self.run_of(run.pipeline, shifted(pipeline.partitioning.grain, run.partition, -1))
        return before is not None and before.state is RunState.SUCCEEDED

    def may_start(self, run: Run, name: str) -> bool:
        """Tell whether all inputs of a task are there, or not asked for."""
        defined = self.definitions.pipelines[run.pipeline].tasks
        if any(task.state is TaskState.RUNNING for each, task in run.tasks.items() if each not in defined):
            return False  # It may be the same work, renamed.
        if not self._is_next(run):
            return False
        task = defined[name]
        return run.forced or all(self.holds(run, task, item) for item in task.inputs)


def passed_over(task: Task) -> bool:
    """Tell whether a task ended without an attempt: what it did not read makes no next run by itself."""
    return task.state in (TaskState.BLOCKED, TaskState.SKIPPED) and not task.begun


def verdict(task: TaskDefinition, above: list[TaskState]) -> TaskState:
    """Return what the tasks above make of a waiting task."""
    failed = {*_BAD, TaskState.SKIPPED} if task.skipped_blocks else _BAD
    bad = [state for state in above if state in failed]
    cancelled = [state for state in above if state is TaskState.CANCELLED]
    open_ = [state for state in above if state in _GOING or state is TaskState.WAITING]
    good = len(above) - len(bad) - len(cancelled) - len(open_)
    if task.when is When.ALL_ENDED:
        return TaskState.WAITING if open_ else TaskState.QUEUED
    if cancelled:
        return TaskState.CANCELLED
    if task.when is When.ALL_SUCCEEDED:
        go, never, otherwise = good == len(above), bool(bad), TaskState.BLOCKED
    elif task.when is When.ANY_FAILED:
        go, never, otherwise = bool(bad), not open_, TaskState.SKIPPED
    else:
        go, never, otherwise = good > 0, not open_, TaskState.BLOCKED
    if go:
        return TaskState.QUEUED
    return otherwise if never else TaskState.WAITING


def run_state(run: Run, pipeline: PipelineDefinition) -> RunState:
    """Return where a run stands; a task that is defined no more counts while it goes on."""
    states = [
        task.state for name, task in run.tasks.items() if name in pipeline.tasks or task.state in _GOING
    ]
    if _GOING & set(states):
        return RunState.RUNNING
    if _BAD & set(states):
        return RunState.FAILED
    for state in (RunState.WAITING, RunState.CANCELLED):
        if TaskState(state) in states:
            return state
    return RunState.SUCCEEDED
