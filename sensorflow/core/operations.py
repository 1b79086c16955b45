"""What operators may do: retry, run, cancel, mark, pause, withdraw. Each keeps its reason."""

from collections.abc import Iterable, Mapping

from sensorflow.core import ingest
from sensorflow.core.attempts import Attempts
from sensorflow.core.definitions import Reader
from sensorflow.core.errors import ConflictError, NotFoundError, PartitionError
from sensorflow.core.messages import (
    CancelRun,
    Made,
    MakeRun,
    MarkTask,
    PausePipeline,
    RetryTasks,
    WithdrawPartition,
)
from sensorflow.core.partitions import bounds
from sensorflow.core.runs import WALK, Runs, first_row, over, with_all_below, within
from sensorflow.core.selection import reading_range, reading_runs
from sensorflow.core.state import OperationRow, PartitionRow, PipelineRow, RunRow, TaskRow
from sensorflow.core.states import RunState, TaskEvent, TaskState, next_state
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import Grain, PipelineDefinition, Selection

_FAILED = frozenset({TaskState.FAILED, TaskState.CANCELLED})
_OPEN = frozenset({TaskState.WAITING, TaskState.QUEUED, TaskState.RUNNING, TaskState.RETRYING})
_DONE = frozenset({TaskState.SUCCEEDED, TaskState.SKIPPED})


def retry(turn: Turn, message: RetryTasks) -> Made:
    """Try tasks of a run again: failed ones in their generation, succeeded ones in the next.

    Raises:
        NotFoundError: there is no such run or task.
        ConflictError: what is named is not there to be retried.
    """
    run, pipeline = _run(turn, message.run_id)
    rows = turn.state.tasks(run.id)
    names = message.tasks or _to_retry(pipeline, rows)
    for name in names:
        if name not in pipeline.tasks:
            raise NotFoundError(f"pipeline {pipeline.name} has no task {name}")
        found = rows[name].state if name in rows else TaskState.WAITING
        added_since = found is TaskState.WAITING and not run.open
        if not added_since and found not in _FAILED | _DONE | {TaskState.BLOCKED}:
            raise ConflictError(f"task {name} is {found}; it runs by itself as soon as it can")
    if not names:
        raise ConflictError(f"nothing to retry: no task of run {run.id} has failed, the run is {run.state}")
    _keep(turn, "retry", run=run, task=", ".join(message.tasks), reason=message.reason)
    if any(name not in rows or rows[name].state in _DONE | {TaskState.WAITING} for name in names):
        _run_again(turn, pipeline, run, names)
    else:
        retry_failed(turn, pipeline, run, names, downstream=message.downstream)
    return Made(id=run.id, created=False)


def retry_failed(
    turn: Turn, pipeline: PipelineDefinition, run: RunRow, names: Iterable[str], *, downstream: bool
) -> None:
    """Queue failed tasks again in the same generation, with a new budget of retries."""
    rows = turn.state.tasks(run.id)
    for name in names:
        row = rows[name]
        blocked = row.state is TaskState.BLOCKED
        state = next_state(row.state, TaskEvent.UNBLOCKED if blocked else TaskEvent.RETRIED)
        turn.state.put_task(
            row._replace(state=state, failures=0, crashes=0, queued_at=turn.now, lane=run.backfill)
        )
    if downstream:
        _unblock_below(turn, pipeline, rows.values(), names)
    runs = Runs(turn)
    runs.arm(pipeline, run)
    runs.step(pipeline, run, None)
    runs.settle(pipeline, run)


def _to_retry(pipeline: PipelineDefinition, rows: Mapping[str, TaskRow]) -> tuple[str, ...]:
    """Return what a retry without names takes: what failed, else what stayed blocked."""
    for states in (_FAILED, frozenset({TaskState.BLOCKED})):
        names = tuple(name for name in pipeline.tasks if name in rows and rows[name].state in states)
        if names:
            return names
    return ()


def make_run(turn: Turn, message: MakeRun) -> Made:
    """Make a pipeline's run, fire one that waits, or run one that has ended again as a whole.

    Raises:
        NotFoundError: there is no such pipeline.
        PartitionError: the partition lies outside the pipeline's `start` and `end`.
        ConflictError: the run is running.
    """
    pipeline = turn.definitions.pipelines.get(message.pipeline)
    if pipeline is None:
        raise NotFoundError(f"there is no pipeline {message.pipeline}")
    if not within(pipeline, message.partition):
        raise PartitionError(outside(pipeline, message.partition))
    run = turn.state.run_of(pipeline.name, message.partition)
    runs = Runs(turn)
    ended = run is not None and over(run.state)
    if run is None or (ended and pipeline.partitioning.grain is Grain.NONE):
        run = runs.make(pipeline, message.partition, trigger="manual", forced=message.force)
        _keep(turn, "run", run=run, reason=message.reason)
        runs.advance(pipeline, run, None)
        return Made(id=run.id)
    if run.state is RunState.RUNNING:
        raise ConflictError(f"{place(run)} is running; wait for its end, or cancel it")
    _keep(turn, "run", run=run, reason=message.reason)
    if ended:
        _run_again(turn, pipeline, run._replace(forced=message.force), pipeline.tasks)
    elif message.force:
        run = run._replace(forced=True)
        turn.state.put_run(run)
        runs.advance(pipeline, run, None)
    return Made(id=run.id, created=False)


def cancel(turn: Turn, message: CancelRun) -> Made:
    """End a run: what runs is stopped, what waits never starts.

    Raises:
        NotFoundError: there is no such run.
        ConflictError: it has ended.
    """
    run, pipeline = _run(turn, message.run_id)
    rows = turn.state.tasks(run.id)
    # A failed run may still have tasks that wait or go; so may one whose tasks an edit took away.
    if not run.open or not (pipeline.tasks.keys() - rows or any(row.state in _OPEN for row in rows.values())):
        raise ConflictError(f"{place(run)} has ended already: it is {run.state}")
    _keep(turn, "cancel", run=run, reason=message.reason)
    Runs(turn).cancel(pipeline, run, message.reason or "an operator cancelled the run")
    return Made(id=run.id, created=False)


def mark(turn: Turn, message: MarkTask) -> Made:
    """Count a task that does not run as done; a success makes its outputs ready.

    Raises:
        NotFoundError: there is no such run or task.
        ConflictError: the task runs, or is done already.
    """
    run, pipeline = _run(turn, message.run_id)
    definition = pipeline.tasks.get(message.task)
    if definition is None:
        raise NotFoundError(f"pipeline {pipeline.name} has no task {message.task}")
    rows = turn.state.tasks(run.id)
    row = rows.get(message.task) or first_row(pipeline, run, message.task)
    if row.state is TaskState.RUNNING or row.state in _DONE:
        raise ConflictError(f"task {message.task} is {row.state}; only one that is not can be marked")
    _keep(turn, "mark", run=run, task=message.task, reason=message.reason)
    succeeded = message.state is TaskState.SUCCEEDED
    event = TaskEvent.MARKED_SUCCEEDED if succeeded else TaskEvent.MARKED_SKIPPED
    row = row._replace(state=next_state(row.state, event), next_attempt_at=None)
    turn.state.put_task(row)
    if succeeded:
        Attempts(turn).deliver(run, row, definition)
    _unblock_below(turn, pipeline, rows.values(), (message.task,))
    runs = Runs(turn)
    run = turn.state.run(run.id) or run
    runs.step(pipeline, run, None)
    runs.settle(pipeline, run)
    return Made(id=run.id, created=False)


def pause(turn: Turn, message: PausePipeline) -> None:
    """Let no attempt of a pipeline start, or let them start again.

    Raises:
        NotFoundError: there is no such pipeline.
    """
    pipeline = turn.definitions.pipelines.get(message.pipeline)
    if pipeline is None:
        raise NotFoundError(f"there is no pipeline {message.pipeline}")
    row = turn.state.pipeline(pipeline.name)
    in_file = row.paused_in_file if row else pipeline.paused
    turn.state.put_pipeline(PipelineRow(name=pipeline.name, paused=message.paused, paused_in_file=in_file))
    kind = "pause" if message.paused else "resume"
    turn.state.add_operation(
        OperationRow(
            id=turn.moment.new_id(), at=turn.now, kind=kind, pipeline=pipeline.name, reason=message.reason
        )
    )


def withdraw(turn: Turn, message: WithdrawPartition) -> None:
    """Take back a partition; runs that used it become stale, nothing is undone.

    Raises:
        UnknownDatasetError: no file names the dataset.
        NotFoundError: nothing of it has arrived.
    """
    row = ingest.withdraw(turn, message)
    turn.state.add_operation(
        OperationRow(
            id=turn.moment.new_id(),
            at=turn.now,
            kind="withdraw",
            dataset=message.dataset,
            partition=message.partition,
            reason=message.reason,
        )
    )
    for reader in turn.definitions.readers.get(message.dataset, ()):
        for run in _possible_users(turn, reader, row):
            if not run.stale and any(_has_used(turn, run, name, row) for name in reader.tasks):
                turn.state.put_run(run._replace(stale=True))


def _has_used(turn: Turn, run: RunRow, name: str, row: PartitionRow) -> bool:
    task = turn.state.task(run.id, name)
    attempt = turn.state.attempt(run.id, name, task.attempts) if task else None
    return attempt is not None and row.partition in attempt.consumed.get(row.dataset, {})


def outside(pipeline: PipelineDefinition, partition: str) -> str:
    """Say that a partition is not one of the pipeline's."""
    span = f"{pipeline.start or 'the first'} to {pipeline.end or 'the last'}"
    return f"expected a partition of {pipeline.name} ({span}), found {partition}"


def place(run: RunRow) -> str:
    """Return what people call a run."""
    return "/".join(filter(None, (run.pipeline, run.partition)))


def _possible_users(turn: Turn, reader: Reader, row: PartitionRow) -> list[RunRow]:
    own, item = reader.pipeline.partitioning, reader.input
    theirs = turn.definitions.datasets[row.dataset].partitioning
    if item.selection in (Selection.SAME, Selection.ALL) and own.grain is not Grain.NONE:
        keys = reading_runs(own, item, theirs, row.partition)
        if keys is not None:
            found = [turn.state.run_of(reader.pipeline.name, key) for key in keys]
            return [run for run in found if run is not None]
    limits = bounds(theirs, row.partition)
    since, before = (None, None)
    if limits is not None and own.grain is not Grain.NONE:
        since, before = reading_range(own, item, theirs, row.partition)
    rows: list[RunRow] = []
    while True:
        page = turn.state.runs_between(
            reader.pipeline.name, since=since, before=before, after=rows[-1].id if rows else "", limit=WALK
        )
        rows.extend(page)
        if len(page) < WALK:
            return rows


def _run(turn: Turn, run_id: str) -> tuple[RunRow, PipelineDefinition]:
    run = turn.state.run(run_id)
    if run is None:
        raise NotFoundError(f"there is no run {run_id}")
    pipeline = turn.definitions.pipelines.get(run.pipeline)
    if pipeline is None:
        raise ConflictError(f"no file defines the pipeline {run.pipeline} any more")
    return run, pipeline


def _run_again(turn: Turn, pipeline: PipelineDefinition, run: RunRow, names: Iterable[str]) -> None:
    """Open the run's next generation with these tasks and what is below them, now or at its end."""
    run = run._replace(pending=tuple(sorted({*run.pending, *names})))
    turn.state.put_run(run)
    if over(run.state):
        Runs(turn).next_generation(pipeline, run)


def _unblock_below(
    turn: Turn, pipeline: PipelineDefinition, rows: Iterable[TaskRow], names: Iterable[str]
) -> None:
    """Put what is blocked below the tasks back to waiting."""
    below = with_all_below(turn.definitions.graphs[pipeline.name], names)
    for row in rows:
        if row.task in below and row.state is TaskState.BLOCKED:
            turn.state.put_task(row._replace(state=next_state(row.state, TaskEvent.UNBLOCKED)))


def _keep(turn: Turn, kind: str, *, run: RunRow, task: str = "", reason: str | None) -> None:
    turn.state.add_operation(
        OperationRow(
            id=turn.moment.new_id(),
            at=turn.now,
            kind=kind,
            pipeline=run.pipeline,
            run_id=run.id,
            partition=run.partition,
            task=task,
            reason=reason,
        )
    )
