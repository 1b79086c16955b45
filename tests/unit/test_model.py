"""The core against the naive model: the same firings, whatever happens in whatever order.

MODEL_EXAMPLES says how many random stories are told; without it the same sixty are.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sensorflow.core import attempts, ingest
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import ConflictError
from sensorflow.core.explain import explain_run
from sensorflow.core.messages import (
    Answer,
    AttemptEnded,
    CancelBackfill,
    CancelRun,
    EventState,
    Made,
    MakeRun,
    MarkTask,
    Only,
    PausePipeline,
    Receipt,
    RetryTasks,
    Reviewed,
    StartBackfill,
    TimersDue,
)
from sensorflow.core.readiness import Readiness
from sensorflow.core.runs import Runs
from sensorflow.core.state import RunRow, TaskRow
from sensorflow.core.states import AttemptState, TaskState, run_state
from sensorflow.core.vocabulary import (
    DatasetDefinition,
    DatasetInput,
    Grain,
    LatePolicy,
    PipelineDefinition,
)
from sensorflow.store.sqlite import SqliteStore
from sensorflow.testing import FakeClock, VirtualService
from tests.flows import NOW
from tests.naive import CLOSED, Model, Run, Task, leaves
from tests.random_homes import KEYS, WHOLES, changed, homes, part_of

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "60"))

_ANY = st.integers(0, 99)
_DOWN = (AttemptState.FAILED, AttemptState.SKIPPED, AttemptState.INTERRUPTED)


class Checker(RuleBasedStateMachine):
    """One story: a home, and what happens to it; core and model are compared after every step."""

    @initialize(
        home=homes(), workers=st.sampled_from([100, 1, 2]), durable=st.sampled_from([False] * 4 + [True])
    )
    def begin(self, home: Definitions, workers: int, durable: bool) -> None:
        self.model = Model(home, NOW)
        self.services = [VirtualService(home, clock=FakeClock(NOW), workers=workers)]
        self.folder = Path(tempfile.mkdtemp()) if durable else None
        if self.folder:
            self.services.append(VirtualService(home, clock=FakeClock(NOW), workers=workers))
            self.services[1].store = SqliteStore(self.folder / "state.db")
        self.runs: dict[str, Run] = {}
        self.started = 0
        self.events: list[tuple[str, str, str | None, str]] = []
        self.stopped: set[tuple[str, str, int]] = set()
        self.limits: dict[str, int] = {}
        self.edited: set[str] = set()

    def teardown(self) -> None:
        for service in getattr(self, "services", []):
            service.store.close()
        folder: Path | None = getattr(self, "folder", None)
        if folder:
            shutil.rmtree(folder)

    # --- steps ---

    @rule(which=_ANY, key=_ANY, part=_ANY, whole=st.sampled_from([False] * 5 + [True]), spare=_ANY)
    def arrive(self, which: int, key: int, part: int, whole: bool, spare: int) -> None:
        outside = [each for name, each in self.model.definitions.datasets.items() if name.startswith("d")]
        dataset = outside[which % len(outside)]
        keys = KEYS[dataset.partitioning.grain]
        keys = (keys[key % len(keys)],)
        if whole and dataset.partitioning.grain in WHOLES:
            keys = WHOLES[dataset.partitioning.grain]
            turn = key % len(keys)
            keys = (keys[turn:] + keys[:turn])[spare % 3 == 0 :]
        for each in keys:
            self.bring(dataset, each, part_of(dataset, part))

    def bring(self, dataset: DatasetDefinition, key: str, part: str | None) -> None:
        event = f"e{len(self.events)}"
        self.events.append((dataset.name, key, part, event))
        receipt = self.do(lambda s: s.ready(dataset.name, key or None, part=part, event_id=event))
        assert isinstance(receipt, Receipt)
        assert receipt.state is EventState.ACCEPTED
        self.model.arrived(dataset.name, key, part)
        self.check()

    @precondition(lambda self: self.events)
    @rule(which=_ANY)
    def arrive_again(self, which: int) -> None:
        name, key, part, _ = self.events[which % len(self.events)]
        self.bring(self.model.definitions.datasets[name], key, part)

    @precondition(lambda self: self.running() and self.events)
    @rule(which=_ANY, event=_ANY)
    def arrive_meanwhile(self, which: int, event: int) -> None:
        """Bring again what a run reads that is going: by chance alone it seldom comes just then."""
        run, _ = self.running()[which % len(self.running())]
        tasks = self.model.definitions.pipelines[run.pipeline].tasks.values()
        read = {item.dataset for task in tasks for item in leaves(task.inputs)}
        events = [each for each in self.events if each[0] in read]
        if events:
            name, key, part, _ = events[event % len(events)]
            self.bring(self.model.definitions.datasets[name], key, part)

    @precondition(lambda self: self.events)
    @rule(which=_ANY)
    def redeliver(self, which: int) -> None:
        dataset, key, part, event = self.events[which % len(self.events)]
        receipt = self.do(lambda s: s.ready(dataset, key or None, part=part, event_id=event))
        assert isinstance(receipt, Receipt)
        assert receipt.state is EventState.DUPLICATE
        self.check()

    @precondition(lambda self: self.running())
    @rule(which=_ANY, bad=st.sampled_from([None, None, None, None, AttemptState.FAILED, *_DOWN]))
    def end(self, which: int, bad: AttemptState | None) -> None:
        going = self.running()
        run, name = going[which % len(going)]
        number = run.tasks[name].attempts
        state = bad or AttemptState.SUCCEEDED
        if bad and (run.id, name, number) in self.stopped:
            state = AttemptState.CANCELLED if which % 2 else bad
        elif self.is_whole(run) and state is AttemptState.FAILED:
            state = AttemptState.SUCCEEDED  # Which of two open runs takes the news is not said here.
        self.end_one(run, name, state)

    def end_one(self, run: Run, name: str, state: AttemptState) -> None:
        number = run.tasks[name].attempts
        self.do(lambda s: s.send(AttemptEnded(run_id=run.id, task=name, number=number, state=state)))
        self.model.ended(run, name, state)
        self.check()

    @precondition(lambda self: self.running())
    @rule()
    def end_well(self) -> None:
        """Let all that runs now succeed."""
        for run, name in self.running():
            if run.tasks[name].state is TaskState.RUNNING:
                self.end_one(run, name, AttemptState.SUCCEEDED)

    @rule(seconds=st.sampled_from([1, 10, 20, 3600]))
    def pass_time(self, seconds: int) -> None:
        until = self.model.now + seconds
        while (due_at := self.core.store.reader.next_timer_at()) is not None and due_at <= until:
            self.move_clock(due_at)
            self.do(lambda s: s.send(TimersDue()))
            self.check()
        self.move_clock(until)
        self.check()

    @rule(which=_ANY, paused=st.booleans())
    def pause(self, which: int, paused: bool) -> None:
        name = self.pipeline(which)
        self.do(lambda s: s.send(PausePipeline(pipeline=name, paused=paused)))
        (self.model.paused.add if paused else self.model.paused.discard)(name)
        self.check()

    @precondition(lambda self: self.model.runs)
    @rule(which=_ANY, task=st.one_of(st.none(), _ANY), downstream=st.booleans())
    def retry(self, which: int, task: int | None, downstream: bool) -> None:
        run = self.some_run(which)
        names = list(self.model.definitions.pipelines[run.pipeline].tasks)
        tasks = () if task is None else (names[task % len(names)],)
        message = RetryTasks(run_id=run.id, tasks=tasks, downstream=downstream)
        self.operate(message, self.model.retry(run, tasks, downstream=downstream))

    @precondition(lambda self: self.model.runs)
    @rule(which=_ANY)
    def cancel(self, which: int) -> None:
        run = self.some_run(which)
        self.operate(CancelRun(run_id=run.id), self.model.cancel(run))

    @precondition(lambda self: self.model.runs)
    @rule(which=_ANY, task=_ANY, state=st.sampled_from([TaskState.SUCCEEDED, TaskState.SKIPPED]))
    def mark(self, which: int, task: int, state: TaskState) -> None:
        run = self.some_run(which)
        if self.is_whole(run):
            return  # Which of two open runs takes the news is not said here.
        names = list(self.model.definitions.pipelines[run.pipeline].tasks)
        name = names[task % len(names)]
        if name in run.tasks:
            message = MarkTask(run_id=run.id, task=name, state=state)
            self.operate(message, self.model.mark(run, name, state))

    @rule(which=_ANY, key=_ANY, force=st.booleans())
    def make_run(self, which: int, key: int, force: bool) -> None:
        name = self.pipeline(which)
        partition = self.own_keys(name)[key % len(self.own_keys(name))]
        message = MakeRun(pipeline=name, partition=partition, force=force)
        self.operate(message, self.model.make_run(name, partition, force=force))

    @rule(which=_ANY, only=st.sampled_from(Only), force=st.booleans(), most=st.integers(1, 2))
    def backfill(self, which: int, only: Only, force: bool, most: int) -> None:
        name = self.pipeline(which)
        partitions = self.own_keys(name)
        if partitions == ("",):
            return
        message = StartBackfill(pipeline=name, partitions=partitions, only=only, force=force, max_active=most)
        made = self.do(lambda s: s.send(message))
        assert isinstance(made, Made)
        self.model.backfill(made.id, name, partitions, only, force=force)
        if only is not Only.ALL:  # That one takes runs in that are going already.
            self.limits[made.id] = most
        self.check()

    @precondition(lambda self: self.limits)
    @rule(which=_ANY)
    def cancel_backfill(self, which: int) -> None:
        backfill = sorted(self.limits)[which % len(self.limits)]
        self.operate(CancelBackfill(backfill=backfill), self.model.cancel_backfill(backfill))

    @precondition(lambda self: self.started > 1)
    @rule(data=st.data())
    def reload(self, data: st.DataObject) -> None:
        definitions = data.draw(changed(self.model.definitions))
        for service in self.services:
            service.definitions = definitions
        old = self.model.definitions.pipelines
        self.edited |= {name for name, each in definitions.pipelines.items() if each != old[name]}
        self.do(lambda s: s.send(Reviewed()))
        self.model.reloaded(definitions)
        self.pass_time(0)

    @precondition(lambda self: self.folder)
    @rule()
    def restart(self) -> None:
        assert self.folder is not None
        service = self.services[1]
        service.store.close()
        service.store = SqliteStore(self.folder / "state.db")
        self.do(lambda s: s.send(Reviewed()))
        self.pass_time(0)

    # --- ways ---

    @property
    def core(self) -> VirtualService:
        return self.services[0]

    def do(self, what: Callable[[VirtualService], Answer]) -> Answer:
        """Do the same to every store; they must say and start the same."""
        answers = [what(service) for service in self.services]
        for answer, service in zip(answers[1:], self.services[1:], strict=True):
            assert answer == answers[0]
            assert service.started == self.core.started
            assert service.stopped == self.core.stopped
            assert service.alerts == self.core.alerts
        return answers[0]

    def operate(self, message: Any, allowed: bool) -> None:
        """Send what the core refuses where the model does."""
        for service in self.services:
            if allowed:
                service.send(message)
            else:
                with pytest.raises(ConflictError):
                    service.send(message)
        self.check()

    def move_clock(self, now: float) -> None:
        for service in self.services:
            service.clock.advance(max(0.0, now - self.model.now))
        self.model.clock_moved(max(now, self.model.now))

    def pipeline(self, which: int) -> str:
        names = sorted(self.model.definitions.pipelines)
        return names[which % len(names)]

    def own_keys(self, pipeline: str) -> tuple[str, ...]:
        definition = self.model.definitions.pipelines[pipeline]
        keys = KEYS[definition.partitioning.grain]
        return tuple(key for key in keys if self.model.within(definition, key))

    def is_whole(self, run: Run) -> bool:
        return self.model.definitions.pipelines[run.pipeline].partitioning.grain is Grain.NONE

    def some_run(self, which: int) -> Run:
        run = self.model.runs[which % len(self.model.runs)]
        newest = self.model.run_of(run.pipeline, run.partition)
        assert newest is not None
        return newest

    def running(self) -> list[tuple[Run, str]]:
        return [
            (run, name)
            for run in self.model.runs
            for name, task in run.tasks.items()
            if task.state is TaskState.RUNNING
        ]

    # --- comparison ---

    def check(self) -> None:
        """Compare all runs of core and model, and what must always hold."""
        for run in self.model.runs:
            self.learn_of_gone(run)  # Before what follows from it: it may open the next generation.
        self.model.follow()
        rows = self.link()
        self.stopped = {(each.run_id, each.task, each.number) for each in self.core.stopped}
        for order in self.core.started[self.started :]:
            run = self.runs[order.run_id]
            self.model.started(run, order.task)
            task = run.tasks[order.task]
            expected = (run.pipeline, run.partition, task.generation, task.attempts)
            assert (order.pipeline, order.partition, order.generation, order.number) == expected, str(run)
        self.started = len(self.core.started)
        for run_id in rows:
            self.learn(run_id)
        self.model.follow()
        for run_id, row in self.link().items():
            self.check_run(self.runs[run_id], row)
        self.check_limits()
        for service in self.services[1:]:
            for run in self.model.runs:
                where = run.pipeline, run.partition
                assert service.why(*where) == self.core.why(*where)

    def link(self) -> dict[str, RunRow]:
        """Find the model's run for each of the core's: of one partition the first is the first."""
        listing = self.core.store.listing
        rows = listing.runs(pipeline=None, partition=None, state=None, before=None, limit=10_000)[::-1]
        left = list(self.model.runs)
        for row in rows:
            found = [run for run in left if (run.pipeline, run.partition) == (row.pipeline, row.partition)]
            assert found, f"the model knows no such run: {row}"
            left.remove(found[0])
            found[0].id = row.id
            self.runs[row.id] = found[0]
        assert not left, f"the core has no such run: {left}"
        return {row.id: row for row in rows}

    def learn(self, run_id: str) -> None:
        """Take the core's word on tasks that no file defines any more, and on those that lost an input."""
        run = self.runs[run_id]
        self.learn_of_gone(run)
        for name, task in self.core.store.reader.tasks(run_id).items():
            mine = run.tasks[name]
            lost = (mine.state, task.state) == (TaskState.QUEUED, TaskState.WAITING)
            if lost and not self.model.may_start(run, name):
                mine.state = task.state

    def learn_of_gone(self, run: Run) -> None:
        """Take the core's word on tasks of a run that no file defines any more."""
        defined = self.model.definitions.pipelines[run.pipeline].tasks
        for name, task in self.core.store.reader.tasks(run.id).items():
            if name not in defined:
                run.tasks.setdefault(name, Task()).state = task.state

    def check_run(self, run: Run, row: RunRow) -> None:
        defined = self.model.definitions.pipelines[row.pipeline].tasks
        tasks = self.core.store.reader.tasks(run.id)
        states = {name: tasks[name].state if name in tasks else TaskState.WAITING for name in defined}
        expected = {name: task.state for name, task in run.tasks.items() if name in defined}
        assert {name: states[name] for name in expected} == expected, f"{row}\n{tasks}\n{run}"
        # Of what is pending only what is defined still counts.
        found = (row.state, row.generation, row.stale, set(row.pending) & set(defined))
        mine = (run.state, run.generation, run.stale, run.pending & set(defined))
        assert found == mine, f"{states}\n{row}\n{run}"
        if row.state in CLOSED:
            return
        if row.pipeline not in self.edited:
            assert row.state is run_state(states.values())
        if self.model.run_of(run.pipeline, run.partition) is run:
            self.check_why(run, row, states)

    def check_why(self, run: Run, row: RunRow, states: dict[str, TaskState]) -> None:
        state, now = self.core.store.reader, self.model.now
        why = explain_run(self.model.definitions, state, row, self.core.workers, now)
        assert {task.name: task.state for task in why.tasks} == states
        for task in why.tasks:
            kinds = {wait.kind for wait in task.waiting_for}
            if task.state in (TaskState.SUCCEEDED, TaskState.RUNNING, TaskState.SKIPPED):
                assert not kinds, f"{task}: {run}"
            elif task.state in (
                TaskState.WAITING,
                TaskState.QUEUED,
                TaskState.RETRYING,
                TaskState.BLOCKED,
                TaskState.FAILED,
            ):
                assert kinds, f"{task.name} is {task.state} and nothing says why: {run}"
            if task.state is TaskState.WAITING:
                assert kinds != {"paused"}, f"{task.name} waits for nothing but the end of the pause: {run}"
            if run.pipeline not in self.model.paused:
                assert "paused" not in kinds
                assert "queued: it starts next" not in [wait.text for wait in task.waiting_for]

    def check_limits(self) -> None:
        going = self.running()
        assert len(going) <= self.core.workers
        active = [
            run
            for run in self.model.runs
            if {TaskState.RUNNING, TaskState.RETRYING} & {task.state for task in run.tasks.values()}
        ]
        for name, pipeline in self.model.definitions.pipelines.items():
            assert sum(run.pipeline == name for run, _ in going) <= pipeline.concurrency
            assert sum(run.pipeline == name for run in active) <= pipeline.max_active_runs
        for backfill, most in self.limits.items():
            assert sum(run.backfill == backfill for run in active) <= most


def check_stories(examples: int, *, shrink: bool = True, **options: Any) -> None:
    phases = [Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if shrink else [])]
    run_state_machine_as_test(
        Checker,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            **options,
        ),
    )


def test_the_core_fires_what_the_naive_model_says_whatever_happens() -> None:
    # The same stories each time, unless more are asked for: a build fails for what it changed.
    check_stories(EXAMPLES, derandomize="MODEL_EXAMPLES" not in os.environ)


# --- the checker bites ---


def _any_partition(self: Readiness, item: DatasetInput) -> tuple[str, ...]:
    newest = self.state.newest_arrival(item.dataset)
    return (newest.partition if newest else self.partition,)


def _all_but_one_part(
    dataset: DatasetDefinition, parts: frozenset[str], arrivals: int, *, whole: bool
) -> bool:
    return not dataset.complete.parts or len(parts) >= len(dataset.complete.parts) - 1


def _nothing(*_: object) -> None:
    return None


def _never(*_: object) -> bool:
    return False


_late, _went_without = Runs.late, Runs._went_without


def _late_is_rerun(self: Runs, pipeline: PipelineDefinition, run: RunRow, task: TaskRow) -> Any:
    if pipeline.late is LatePolicy.STALE:
        pipeline = replace(pipeline, late=LatePolicy.RERUN)
    return _late(self, pipeline, run, task)


def _went_without_unless_it_runs(self: Runs, task: TaskRow, reached: ingest.Reached) -> bool:
    return task.state is not TaskState.RUNNING and _went_without(self, task, reached)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "function", "planted"),
    [
        pytest.param(Readiness, "selected", _any_partition, id="the join forgets the partition"),
        pytest.param(ingest, "complete", _all_but_one_part, id="a part is ignored"),
        pytest.param(Runs, "late", _late_is_rerun, id="a re-arrival fires again under stale"),
        pytest.param(Runs, "_collect", _nothing, id="what came while a run without partition went is lost"),
        pytest.param(attempts, "is_paused", _never, id="a paused pipeline starts"),
        pytest.param(
            Runs,
            "_went_without",
            _went_without_unless_it_runs,
            id="a version that comes during a run is lost",
        ),
    ],
)
def test_the_checker_finds_a_planted_bug(
    owner: Any, function: str, planted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, function, planted)
    with pytest.raises(AssertionError):
        check_stories(2_000, shrink=False, derandomize=True, database=None, print_blob=False)
