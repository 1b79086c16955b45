"""What must hold at the end of a story, asked of the file and compared with the naive model."""

from collections import Counter
from collections.abc import Iterator
from math import inf

from sensorflow.core.definitions import Definitions
from sensorflow.core.messages import EventState
from sensorflow.core.readiness import quiet_timer
from sensorflow.core.schedules import times_between
from sensorflow.core.state import ArrivalRow, EventRow, RunRow
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import (
    Catchup,
    Grain,
    HttpCall,
    Input,
    InputGroup,
    LatePolicy,
    PipelineDefinition,
    Selection,
    TaskDefinition,
)
from tests.flows import NOW
from tests.naive import CLOSED, OVER, Arrived, Model, Run, Task, leaves, passed_over
from tests.naive_calendar import key_at, start_of
from tests.simulation.disk import SimulatedStore
from tests.simulation.ledger import Begun, Ledger
from tests.simulation.machine import Machine
from tests.simulation.world import World

_GOING = (TaskState.QUEUED, TaskState.RUNNING, TaskState.RETRYING)
#: What an attempt is started for within so long need not have ended.
_SOON_S = 2.0
#: What is said of an attempt whose lease is over.
LAPSED = "nobody called back within the lease"


class Known(Model):
    """The naive model, which is told what the service stored instead of following it."""

    def __init__(self, definitions: Definitions, now: float, arrivals: list[tuple[int, Arrived]]) -> None:
        super().__init__(definitions, now)
        self.log = [arrived for _, arrived in arrivals]
        self._seqs = [seq for seq, _ in arrivals]
        #: How many versions the service counts where that hangs on when it looked, or on what was taken back.
        self.told_versions: dict[tuple[str, str], int] = {}
        #: Datasets of which something was taken back: whether there is news of them is not said here.
        self.unclear: dict[str, bool] = {}
        #: An arrival is too old so much later than `max_age` says: some time passes before an attempt starts.
        self.age_margin_s = 0.0

    def consume(self, pipeline: str, task: str, dataset: str, seq: int) -> None:
        """Let a task without partitions have read all up to this event."""
        self._read_up_to[pipeline, task, dataset] = sum(one <= seq for one in self._seqs)

    def version(self, dataset: str, partition: str, at: float | None = None) -> int:
        told = self.told_versions.get((dataset, partition))
        return super().version(dataset, partition, at) if told is None else told

    def news(self, pipeline: PipelineDefinition, task: TaskDefinition, dataset: str) -> bool:
        unclear = self.unclear.get(dataset)
        return super().news(pipeline, task, dataset) if unclear is None else unclear

    def holds(self, run: Run, task: TaskDefinition, item: Input) -> bool:
        if not super().holds(run, task, item):
            return False
        if isinstance(item, InputGroup) or item.max_age_s is None or self.may_go_without(run, item):
            return True
        pipeline = self.definitions.pipelines[run.pipeline]
        is_latest = item.selection is Selection.LATEST
        keys = [""] if is_latest else self.asked_for(pipeline, run.partition, item)
        since = self.now - item.max_age_s - self.age_margin_s
        recent = {a.partition for a in self.log if a.dataset == item.dataset and a.at >= since}
        there = sum(key in recent and self.version(item.dataset, key) > 0 for key in keys)
        return there >= (len(keys) if item.at_least is None else min(item.at_least, len(keys)))

    def _is_next(self, run: Run) -> bool:
        # Where no runs are told of, the ledger has looked at it when the attempt was ordered.
        return not self.runs or super()._is_next(run)


class Checks:
    """Looks at the end of a story."""

    def __init__(
        self, world: World, machine: Machine, ledger: Ledger, edited: set[str], *, jumped: bool
    ) -> None:
        self._world = world
        self._machine = machine
        self._ledger = ledger
        self._edited = edited
        self._jumped = jumped

    def something_goes_on(self) -> bool:
        """Tell whether a timer is about to set something off, or an attempt was started just now."""
        store = self._machine.store
        if store is None:
            return True
        now = self._world.now()
        due_at = store.reader.next_timer_at()
        recent = any(now - row.started_at < _SOON_S for row in store.reader.running())
        return recent or (due_at is not None and due_at <= now + _SOON_S)

    def run(self) -> None:
        """Compare everything."""
        store = self._machine.store
        if store is None:
            self._world.broken("R3: the service does not run in the end")
            return
        self._state, self._listing = store.reader, store.listing
        self._events = self._listing.events(after=0, dataset=None, state=None, limit=100_000)
        arrivals = [
            (row, event.received_at) for event in self._events for row in self._listing.arrivals(event.seq)
        ]
        self._arrivals: list[tuple[int, Arrived]] = [
            (row.seq, Arrived(at, row.dataset, row.partition, row.part or None)) for row, at in arrivals
        ]
        self._runs = self._listing.runs(pipeline=None, partition=None, state=None, before=None, limit=100_000)
        self._check_facts([row for row, _ in arrivals])
        self._check_words(store)
        self._check_firings()
        self._check_callbacks()
        model = self._model()
        self._check_liveness(model)
        self._check_runs(model)
        self._check_schedules()
        for event in self._events:
            self._world.note(f"event {event.seq} {event.id} {event.state}")
        for run in self._runs:
            tasks = self._state.tasks(run.id)
            self._world.note(f"run {run}")
            for task in tasks.values():
                self._world.note(f"task {task}")

    # --- R1 ---

    def _check_facts(self, arrivals: list[ArrivalRow]) -> None:
        """Every acknowledged fact is stored, once, and by now every fact is."""
        stored = Counter(_fact_of(event) for event in self._events)
        arrived = Counter(row.seq for row in arrivals)
        for fact in self._ledger.facts:
            count = stored[fact.number]
            if fact.acknowledged and not count:
                self._world.broken(f"R1: {fact} was acknowledged and is not stored")
            if count > 1:
                self._world.broken(f"R2: {fact} is stored {count} times")
            if not fact.acknowledged:
                self._world.broken(f"R3: {fact} is not acknowledged")
        for event in self._events:
            if event.state is not EventState.ACCEPTED or arrived[event.seq] != 1:
                self._world.broken(
                    f"R1: event {event.seq} is {event.state}, of {arrived[event.seq]} arrivals"
                )

    def _check_words(self, store: SimulatedStore) -> None:
        """What operators were told is done is kept."""
        there = store.operations()
        for operation, count in self._ledger.operations.items():
            if there[operation] < count:
                self._world.broken(f"R1: {operation} was acknowledged {count} times, kept {there[operation]}")
        for backfill in self._ledger.backfills:
            if self._state.backfill(backfill) is None:
                self._world.broken(f"R1: backfill {backfill} was acknowledged and is not stored")

    def _check_callbacks(self) -> None:
        """An attempt ended as whoever called back was told, and no sooner than its lease was over."""
        for key, state in self._ledger.ends.items():
            row = self._state.attempt(*key)
            if row is None or row.state is not state:
                self._world.broken(f"R1: attempt {key} was taken as {state} and is {row and row.state}")
        for run in [] if self._jumped else self._runs:
            for row in self._state.attempts(run.id):
                key = (row.run_id, row.task, row.number)
                if row.error != LAPSED or key not in self._ledger.begun:
                    continue
                action = self._ledger.begun[key].order.action
                assert isinstance(action, HttpCall)
                renewed_at = self._ledger.renewals.get(key, row.started_at)
                if (row.ended_at or 0) < renewed_at + action.lease_s:
                    self._world.broken(f"R2: the lease of {key} was over before its time")

    # --- R2 ---

    def _check_firings(self) -> None:
        """Each firing has succeeded once at most, and had its inputs when it began."""
        runs = {run.id: run for run in self._runs}
        succeeded: Counter[tuple[str, int, str]] = Counter()
        firsts: dict[tuple[str, int, str], int] = {}
        for run in self._runs:
            for row in self._state.attempts(run.id):
                firing = (row.run_id, row.generation, row.task)
                succeeded[firing] += row.state is AttemptState.SUCCEEDED
                firsts.setdefault(firing, row.number)
                if self._state.firing(row.run_id, row.generation, row.task) is None:
                    self._world.broken(f"R2: {firing} is not recorded")
        for firing, count in succeeded.items():
            if count > 1:
                self._world.broken(f"R2: {firing} succeeded {count} times")
        partitions = Counter((run.pipeline, run.partition) for run in self._runs if run.partition)
        for where, count in partitions.items():
            if count > 1:
                self._world.broken(f"R2: {where} has {count} runs")
        for key, begun in self._ledger.begun.items():
            order = begun.order
            run_row = runs.get(order.run_id)
            if run_row is None or self._state.attempt(*key) is None:
                self._world.broken(f"R2: attempt {key} was started and is not stored")
            elif firsts[order.run_id, order.generation, order.task] == order.number:
                self._check_inputs(run_row, begun)

    def _check_inputs(self, run: RunRow, begun: Begun) -> None:
        """Object to a task that began without its inputs."""
        order, definitions = begun.order, begun.definitions
        if order.pipeline in self._edited:
            return  # It may have been edited between the decision and its commit.
        pipeline = definitions.pipelines[order.pipeline]
        task = pipeline.tasks[order.task]
        # What is forced needs nothing; what an hour more or less makes quiet, optional or old is not asked.
        timed = any(
            definitions.datasets[leaf.dataset].complete.quiet_s is not None
            or leaf.optional_after_s is not None
            or leaf.max_age_s is not None
            for leaf in leaves(task.inputs)
        )
        if begun.forced or (timed and self._jumped):
            return
        before = [(seq, arrived) for seq, arrived in self._arrivals if seq <= begun.seq]
        model = Known(definitions, begun.at, before)
        model.told_versions, model.age_margin_s = begun.told_versions, _SOON_S
        model.unclear = {dataset: True for dataset, _ in begun.told_versions}
        known = Run(run.pipeline, run.partition, run.created_at, run.trigger)
        if not model.may_start(known, order.task):
            self._world.broken(
                f"R2: {order.pipeline}.{order.task} of {order.partition} began without its inputs"
            )

    # --- R3 ---

    def _model(self) -> Known:
        definitions = self._machine.definitions
        model = Known(definitions, self._world.now(), self._arrivals)
        # Where the clock was set, an arrival may be of any age, even be still to come.
        model.age_margin_s = -inf if self._jumped else -_SOON_S
        model.unclear = {dataset: False for dataset, _ in self._ledger.withdrawals}
        for _, each in self._arrivals:
            place = each.dataset, each.partition
            if place in self._ledger.withdrawals or definitions.datasets[each.dataset].complete.quiet_s:
                row = self._state.partition(*place)
                model.told_versions[place] = row.version if row and row.ready else 0
        for name, pipeline in definitions.pipelines.items():
            for task in pipeline.tasks.values():
                for leaf in leaves(task.inputs):
                    seq = self._state.watermark(name, task.name, leaf.dataset)
                    model.consume(name, task.name, leaf.dataset, seq)
        for row in sorted(self._runs, key=lambda row: row.id):
            run = Run(row.pipeline, row.partition, row.created_at, row.trigger, row.forced, id=row.id)
            run.state, run.stale, run.generation = row.state, row.stale, row.generation
            run.tasks = dict(self._tasks(row, definitions.pipelines[row.pipeline]))
            model.runs.append(run)
        return model

    def _tasks(self, run: RunRow, pipeline: PipelineDefinition) -> Iterator[tuple[str, Task]]:
        rows = self._state.tasks(run.id)
        for name in pipeline.tasks:
            row = rows.get(name)
            task = Task(generation=run.generation)
            if row is not None:
                task = Task(row.state, row.generation, row.attempts)
                attempt = self._state.attempt(run.id, name, row.attempts)
                if attempt is not None:
                    task.begun = attempt.generation == row.generation
                    task.read = set(attempt.consumed)
                    task.consumed = {
                        (dataset, key): version
                        for dataset, versions in attempt.consumed.items()
                        for key, version in versions.items()
                    }
            yield name, task

    def _check_liveness(self, model: Known) -> None:
        """Nothing that may go on stands still."""
        for dataset, partition in dict.fromkeys((each.dataset, each.partition) for each in model.log):
            if self._state.timer(quiet_timer(dataset, partition)) is not None:
                self._world.broken(f"R3: {dataset} {partition} is not quiet yet")
        for run in model.runs:
            where = f"{run.pipeline} of {run.partition or '-'}, run {run.id}"
            for name, task in run.tasks.items():
                if task.state in _GOING:
                    self._world.broken(f"R3: {name} of {where} is still {task.state}")
            if run.state is RunState.RUNNING:
                self._world.broken(f"R3: {where} is still running")
            # A failed run without partition that another has followed hears of no more news.
            is_newest = model.run_of(run.pipeline, run.partition) is run
            if is_newest and run.state not in CLOSED and not self._is_said_elsewhere(model, run.pipeline):
                self._check_waiting(model, run, where)
            self._check_late(model, run, where)

    def _check_waiting(self, model: Known, run: Run, where: str) -> None:
        for name, task in run.tasks.items():
            if task.state is TaskState.WAITING:
                verdict = model._verdict(run, model.definitions.pipelines[run.pipeline].tasks[name])
                if verdict is not TaskState.WAITING:
                    self._world.broken(f"R3: {name} of {where} waits, and should be {verdict}")

    def _check_late(self, model: Known, run: Run, where: str) -> None:
        """What came after it was read is followed as the pipeline says."""
        row = self._state.run(run.id)
        cancelled = any(each.kind == "cancel" for each in self._listing.operations(run.id))
        if row is None or cancelled or run.pipeline in self._edited:
            return
        policy = model.definitions.pipelines[run.pipeline].late
        # What is pending follows when this generation has ended.
        pending = set(row.pending) if run.state not in OVER else set()
        for name, dataset, partition in _went_without(model, run):
            if policy is LatePolicy.RERUN and name not in pending:
                self._world.broken(f"R3: {name} of {where} never saw the newest {dataset} {partition}")
            if policy is LatePolicy.STALE and run.tasks[name].state is TaskState.SUCCEEDED and not run.stale:
                self._world.broken(f"R3: {where} is not stale, though {dataset} {partition} is newer")

    def _is_said_elsewhere(self, model: Known, name: str) -> bool:
        """Tell whether a pipeline without partitions waits for quiet, as the naive model does not."""
        pipeline, datasets = model.definitions.pipelines[name], model.definitions.datasets
        return pipeline.partitioning.grain is Grain.NONE and any(
            datasets[leaf.dataset].complete.quiet_s is not None
            for task in pipeline.tasks.values()
            for leaf in leaves(task.inputs)
        )

    def _check_runs(self, model: Known) -> None:
        """What arrived has made its runs."""
        for pipeline in model.definitions.pipelines.values():
            if pipeline.name in self._edited or self._is_said_elsewhere(model, pipeline.name):
                continue
            for task in pipeline.tasks.values():
                for leaf in leaves(task.inputs):
                    if pipeline.partitioning.grain is Grain.NONE:
                        newest = model.run_of(pipeline.name, "")
                        ended = newest is not None and newest.state in OVER - {RunState.CANCELLED}
                        if newest is not None and (not ended or passed_over(newest.tasks[task.name])):
                            continue
                        if model.news(pipeline, task, leaf.dataset):
                            self._world.broken(f"R3: {pipeline.name} has news of {leaf.dataset} and no run")
                    elif leaf.selection in (Selection.SAME, Selection.ALL):
                        self._check_runs_of(model, pipeline, leaf.dataset, leaf.selection)

    def _check_runs_of(
        self, model: Known, pipeline: PipelineDefinition, dataset: str, selection: Selection
    ) -> None:
        theirs = model.definitions.datasets[dataset].partitioning.grain
        for arrived in model.log:
            if arrived.dataset == dataset:
                key = arrived.partition
                if selection is Selection.ALL:
                    key = key_at(pipeline.partitioning.grain, start_of(theirs, key))
                if model.within(pipeline, key) and model.run_of(pipeline.name, key) is None:
                    self._world.broken(f"R3: {dataset} {arrived.partition} made no run of {pipeline.name}")

    # --- R15, as far as the loop has a hand in it ---

    def _check_schedules(self) -> None:
        """Each schedule time that the clock has shown has made its run."""
        pipeline = self._machine.definitions.pipelines.get("scheduled")
        if pipeline is None or pipeline.partitioning.grain is not Grain.HOURLY or not pipeline.schedule:
            return
        if pipeline.catchup is not Catchup.ALL and self._machine.lives > 1:
            return  # What was missed in a stop is not all made up for.
        until = NOW + self._world.elapsed + self._world.offset
        for at in times_between(pipeline.schedule, "UTC", NOW + 30, until - 1, 10_000):
            key = key_at(Grain.HOURLY, at - 3600)
            if self._state.run_of("scheduled", key) is None:
                self._world.broken(f"R15: the schedule of {at:.0f} made no run for {key}")


def _went_without(model: Known, run: Run) -> Iterator[tuple[str, str, str]]:
    """Yield the tasks whose last attempt read an older version of a partition than there is."""
    for name, definition in model.definitions.pipelines[run.pipeline].tasks.items():
        for dataset, partition in dict.fromkeys((each.dataset, each.partition) for each in model.log):
            # Of what is not all there, or was too old, nobody can tell here what came after the attempt.
            if any(leaf.dataset == dataset and leaf.max_age_s for leaf in leaves(definition.inputs)):
                continue
            if model.version(dataset, partition) and model._went_without(
                run, run.tasks[name], definition, dataset, partition
            ):
                yield name, dataset, partition


def _fact_of(event: EventRow) -> int | None:
    data = event.event.data
    found = data.get("fact") if isinstance(data, dict) else None
    return found if isinstance(found, int) else None
