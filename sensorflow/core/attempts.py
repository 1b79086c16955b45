"""Attempts: which queued task starts next, what it gets, and what follows from its end."""

from dataclasses import dataclass

from sensorflow.core import gates
from sensorflow.core.commands import StopAttempt
from sensorflow.core.errors import ConflictError, NotFoundError
from sensorflow.core.ingest import read, take
from sensorflow.core.messages import AttemptEnded, AttemptStarted, CalledBack, DeclaredReady
from sensorflow.core.orders import consume_news, consumed_versions, start_order
from sensorflow.core.readiness import Readiness
from sensorflow.core.retries import retry_delay_s
from sensorflow.core.runs import Runs
from sensorflow.core.state import AttemptRow, RunRow, TaskRow, TimerRow
from sensorflow.core.states import GOING, AttemptState, TaskEvent, TaskState, next_state
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import (
    Event,
    Grain,
    HttpCall,
    PipelineDefinition,
    TaskDefinition,
)

#: A firing that so many crashes of the service interrupted is taken for their cause.
CRASHES = 5
#: A timer that comes so late came due while no service was there.
MISSED_S = 1.0


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts of all pipelines, for the length of one decision."""

    turn: Turn

    def dispatch(self, workers: int) -> None:
        """Start queued tasks, first in line first, as far as all limits allow."""
        state = self.turn.state
        free = workers - state.running_count(None)
        if free <= 0:
            return
        heads = {lane: head for lane in state.queued_lanes() if (head := self._head(*lane)) is not None}
        while heads:
            head = min(heads.values(), key=place_in_line)
            free -= self._start(head)
            if free == 0:
                return
            # A start may also close another lane of the same pipeline.
            for lane in [lane for lane in heads if lane[0] == head.pipeline]:
                following = self._head(*lane)
                if following is None:
                    del heads[lane]
                else:
                    heads[lane] = following

    def started(self, message: AttemptStarted) -> None:
        """Keep which process runs an attempt."""
        row = self.turn.state.attempt(message.run_id, message.task, message.number)
        if row is not None and row.state is AttemptState.RUNNING:
            self.turn.state.put_attempt(row._replace(pid=message.pid, pid_started=message.pid_started))

    def ended(self, message: AttemptEnded) -> None:
        """Let the task, its run and what is below it go on; the end of an old attempt changes nothing."""
        state = self.turn.state
        attempt = state.attempt(message.run_id, message.task, message.number)
        task = state.task(message.run_id, message.task)
        run = state.run(message.run_id)
        if attempt is None or attempt.state is not AttemptState.RUNNING or task is None or run is None:
            return
        if message.crashed and task.crashes + 1 >= CRASHES:
            error = f"the service died under it {CRASHES} times, so it is taken for the cause"
            message = message._replace(state=AttemptState.FAILED, error=error)
        state.put_attempt(
            attempt._replace(
                state=message.state,
                ended_at=self.turn.now,
                exit_code=message.exit_code,
                error=message.error,
            )
        )
        if attempt.token is not None:
            state.drop_timer(lease_timer(attempt))
        pipeline = self.turn.definitions.pipelines.get(run.pipeline)
        definition = pipeline.tasks.get(task.task) if pipeline else None
        row = self._after_end(task, definition, message)
        state.put_task(row)
        if pipeline is None:
            return
        if row.state is TaskState.SUCCEEDED and definition is not None:
            self.deliver(run, row, definition)
        self._follow(pipeline, run, row)

    def _follow(self, pipeline: PipelineDefinition, run: RunRow, task: TaskRow) -> None:
        """Let the run go on after a task's end, and apply the late policy to what came meanwhile."""
        runs = Runs(self.turn)
        # Outputs may have reached this very run, so it is read again.
        run = self.turn.state.run(run.id) or run
        if task.outdated and task.state in (TaskState.SUCCEEDED, TaskState.FAILED):
            # Before the run may end: all that came while a generation went makes one next generation.
            self.turn.state.put_task(task._replace(outdated=False))
            run = runs.late(pipeline, run, task)
        if task.state not in GOING:
            # Of one that the file no longer names all are below: none of them began while it ran.
            runs.step(pipeline, run, self.turn.definitions.graphs[pipeline.name].below.get(task.task))
        runs.settle(pipeline, run)

    def delay_over(self, timer: TimerRow) -> None:
        """Put a task whose retry delay is over back into the queue."""
        task = self.turn.state.task(timer.run_id, timer.task)
        run = self.turn.state.run(timer.run_id)
        if task is None or run is None or task.state is not TaskState.RETRYING:
            return
        self.turn.state.put_task(
            task._replace(
                state=next_state(task.state, TaskEvent.DELAY_OVER),
                queued_at=self.turn.now,
                next_attempt_at=None,
            )
        )
        if run.pipeline in self.turn.definitions.pipelines:
            Runs(self.turn).settle(self.turn.definitions.pipelines[run.pipeline], run)

    def lapsed(self, timer: TimerRow) -> None:
        """End an attempt whose callback did not come within its lease."""
        number, lease_s = leased(timer)
        attempt = self.turn.state.attempt(timer.run_id, timer.task, number)
        # Nobody could call back while the service was down.
        if attempt is not None and self.turn.now - timer.due_at > MISSED_S:
            self._lease(attempt, lease_s)
            return
        self.ended(
            AttemptEnded(
                run_id=timer.run_id,
                task=timer.task,
                number=number,
                state=AttemptState.FAILED,
                error="nobody called back within the lease",
            )
        )
        self._let_go_of_request(timer.run_id, timer.task, number)

    def called_back(self, message: CalledBack) -> None:
        """Take the word of whoever works on an attempt.

        Raises:
            NotFoundError: the token names no attempt.
            ConflictError: the attempt has ended otherwise.
        """
        attempt = self.turn.state.attempt_of(message.token)
        if attempt is None:
            raise NotFoundError("this token names no attempt")
        if attempt.state is message.state and message.state is not AttemptState.RUNNING:
            return  # A repeat.
        if attempt.state is not AttemptState.RUNNING:
            raise ConflictError(f"this attempt is no longer current: it has ended as {attempt.state}")
        if message.state is AttemptState.RUNNING:
            timer = self.turn.state.timer(lease_timer(attempt))
            assert timer is not None, "an attempt that waits for a callback has a lease"
            self._lease(attempt, leased(timer)[1])
            return
        self.ended(
            AttemptEnded(
                run_id=attempt.run_id,
                task=attempt.task,
                number=attempt.number,
                state=message.state,
                error=message.error,
            )
        )
        self._let_go_of_request(attempt.run_id, attempt.task, attempt.number)

    def _let_go_of_request(self, run_id: str, task: str, number: int) -> None:
        """Stop the request of an attempt that has ended, should it still be out."""
        reason = "its attempt has ended"
        self.turn.orders.append(StopAttempt(run_id=run_id, task=task, number=number, reason=reason))

    def _head(self, name: str, lane: str) -> TaskRow | None:
        """Return the task of a lane that is first in line among those that all limits let start."""
        pipeline = self.turn.definitions.pipelines.get(name)
        if pipeline is None or is_paused(self.turn, pipeline):
            return None
        state = self.turn.state
        if state.running_count(name) >= pipeline.concurrency or state.next_queued(name, lane, None) is None:
            return None
        active = state.active_runs(name)
        if len(active) < pipeline.max_active_runs and not self._is_full(lane, active):
            return self._next_defined(pipeline, lane, None)
        heads = [self._next_defined(pipeline, lane, run.id) for run in active if run.backfill == lane]
        return min((head for head in heads if head is not None), key=place_in_line, default=None)

    def _is_full(self, lane: str, active: list[RunRow]) -> bool:
        """Tell whether a backfill has as many active runs as it may have."""
        backfill = self.turn.state.backfill(lane) if lane else None
        return backfill is not None and sum(run.backfill == lane for run in active) >= backfill.max_active

    def _next_defined(self, pipeline: PipelineDefinition, lane: str, run_id: str | None) -> TaskRow | None:
        """Return the first in line; what the file no longer defines is cancelled on the way."""
        state = self.turn.state
        while (row := state.next_queued(pipeline.name, lane, run_id)) is not None:
            if row.task in pipeline.tasks:
                return row
            state.put_task(row._replace(state=next_state(row.state, TaskEvent.CANCELLED)))
            run = state.run(row.run_id)
            assert run is not None, "a run with a queued task is stored"
            Runs(self.turn).settle(pipeline, run)
        return None

    def _has_begun(self, task: TaskRow) -> bool:
        """Tell whether an attempt of this firing has run: what it goes on with was decided then."""
        if not task.attempts:
            return False
        last = self.turn.state.attempt(task.run_id, task.task, task.attempts)
        return last is not None and last.generation == task.generation

    def _start(self, task: TaskRow) -> bool:
        """Start the next attempt of a queued task; False where what it waited for is not there any more."""
        state, now = self.turn.state, self.turn.now
        pipeline = self.turn.definitions.pipelines[task.pipeline]
        definition = pipeline.tasks[task.task]
        run = state.run(task.run_id)
        assert run is not None, "a run with a queued task is stored"
        readiness = Readiness(self.turn.definitions, state, pipeline, run.partition, run.created_at, now)
        # Its time has come once; that the clock was set back since takes nothing of that back.
        held_back = gates.unfinished_before(state, pipeline, run.partition) is not None
        if not self._has_begun(task) and (held_back or not (run.forced or readiness.holds(definition))):
            self._put_back(pipeline, run, task)
            Runs(self.turn).settle(pipeline, run)
            return False
        read = [leaf for item in definition.inputs for leaf in readiness.condition(definition, item).leaves()]
        action = definition.action
        call = action if isinstance(action, HttpCall) and action.callback else None
        attempt = AttemptRow(
            run_id=run.id,
            task=task.task,
            number=task.attempts + 1,
            pipeline=pipeline.name,
            generation=task.generation,
            state=AttemptState.RUNNING,
            started_at=now,
            consumed=consumed_versions(read),
            token=self.turn.moment.new_token() if call else None,
        )
        state.put_attempt(attempt)
        if call:
            self._lease(attempt, call.lease_s)
        state.put_task(
            task._replace(
                state=next_state(task.state, TaskEvent.STARTED),
                attempts=attempt.number,
                queued_at=None,
                outdated=False,
            )
        )
        Runs(self.turn).settle(pipeline, run)
        order = start_order(self.turn, pipeline, definition, run, attempt, read)
        if pipeline.partitioning.grain is Grain.NONE:
            consume_news(readiness, definition, read, order)
        self.turn.orders.append(order)
        return True

    def _put_back(self, pipeline: PipelineDefinition, run: RunRow, task: TaskRow) -> None:
        """Let a queued task wait again: what it waited for is not there any more."""
        row = task._replace(state=next_state(task.state, TaskEvent.INPUTS_GONE), queued_at=None)
        self.turn.state.put_task(row)
        Runs(self.turn).arm(pipeline, run)  # A clock that was set back may have taken an input's time back.

    def look_for_age(self, timer: TimerRow) -> None:
        """Put back what is queued in a run and would read what is too old by now."""
        run = self.turn.state.run(timer.run_id)
        pipeline = self.turn.definitions.pipelines.get(run.pipeline) if run else None
        if run is None or pipeline is None or run.forced or not run.open:
            return
        now = self.turn.now
        readiness = Readiness(
            self.turn.definitions, self.turn.state, pipeline, run.partition, run.created_at, now
        )
        for name, row in {**self.turn.state.tasks(run.id)}.items():
            definition = pipeline.tasks.get(name)
            if row.state is not TaskState.QUEUED or definition is None or self._has_begun(row):
                continue
            if not readiness.holds(definition):
                self._put_back(pipeline, run, row)
        runs = Runs(self.turn)
        runs.settle(pipeline, run)
        runs.arm_lapse(pipeline, run, self.turn.state.tasks(run.id))

    def _lease(self, attempt: AttemptRow, last_s: float) -> None:
        """Give whoever works on an attempt a lease from now on, as long as the file says.

        Args:
            last_s: How long it is where no file names the task any more: what runs, runs on.
        """
        pipeline = self.turn.definitions.pipelines.get(attempt.pipeline)
        definition = pipeline.tasks.get(attempt.task) if pipeline else None
        action = definition.action if definition else None
        lease_s = action.lease_s if isinstance(action, HttpCall) else last_s
        self.turn.state.put_timer(
            TimerRow(
                key=lease_timer(attempt),
                due_at=self.turn.now + lease_s,
                kind="lease",
                run_id=attempt.run_id,
                task=attempt.task,
                after=f"{attempt.number}/{lease_s}",
            )
        )

    def _after_end(self, task: TaskRow, definition: TaskDefinition | None, message: AttemptEnded) -> TaskRow:
        """Return the task's row after an attempt's end."""
        if message.state is AttemptState.SUCCEEDED:
            return task._replace(state=next_state(task.state, TaskEvent.SUCCEEDED), stopping=False)
        if message.state is AttemptState.SKIPPED:
            return task._replace(state=next_state(task.state, TaskEvent.SKIPPED), stopping=False)
        if message.state is AttemptState.CANCELLED or task.stopping or definition is None:
            return task._replace(state=next_state(task.state, TaskEvent.CANCELLED), stopping=False)
        crashes = task.crashes + message.crashed
        if message.state is AttemptState.INTERRUPTED:
            state = next_state(task.state, TaskEvent.INTERRUPTED)
            return task._replace(state=state, crashes=crashes, queued_at=self.turn.now)
        failures = task.failures + 1
        if failures > definition.retries.max:
            state = next_state(task.state, TaskEvent.EXHAUSTED)
            return task._replace(state=state, failures=failures, crashes=0)
        due_at = self.turn.now + retry_delay_s(definition.retries, failures, self.turn.moment.draw())
        self.turn.state.put_timer(
            TimerRow(
                key=f"retry/{task.run_id}/{task.task}",
                due_at=due_at,
                kind="retry",
                run_id=task.run_id,
                task=task.task,
            )
        )
        state = next_state(task.state, TaskEvent.FAILED)
        return task._replace(state=state, failures=failures, crashes=0, next_attempt_at=due_at)

    def deliver(self, run: RunRow, task: TaskRow, definition: TaskDefinition) -> None:
        """Make a task's outputs ready, in the same transaction as its success."""
        for name in definition.outputs:
            dataset = self.turn.definitions.datasets[name]
            partition = "" if dataset.partitioning.grain is Grain.NONE else run.partition
            event = Event(
                source=f"/pipelines/{run.pipeline}",
                id=f"{run.id}/{task.generation}/{task.task}/{name}",
                type="dev.sensorflow.output",
                subject=name,
                data={},
            )
            declared = DeclaredReady(event=event, dataset=name, partition=partition)
            _, changes = take(self.turn, read(self.turn.definitions, declared))
            for reached in changes:
                Runs(self.turn).reach(reached)


def is_paused(turn: Turn, pipeline: PipelineDefinition) -> bool:
    """Tell whether no attempt of a pipeline may start."""
    row = turn.state.pipeline(pipeline.name)
    return row.paused if row is not None else pipeline.paused


def lease_timer(attempt: AttemptRow) -> str:
    """Return the key of the timer that ends an attempt nobody calls back for."""
    return f"lease/{attempt.run_id}/{attempt.task}/{attempt.number}"


def leased(timer: TimerRow) -> tuple[int, float]:
    """Return the number of the attempt that a lease is for, and how many seconds it is long."""
    number, _, lease_s = timer.after.partition("/")
    # The first versions wrote down no length.
    return int(number), float(lease_s or HttpCall(url="").lease_s)


def place_in_line(task: TaskRow) -> tuple[int, float, str, str]:
    """Return where a queued task stands in line: priority first, then age."""
    return (-task.priority, task.queued_at or 0.0, task.run_id, task.task)
