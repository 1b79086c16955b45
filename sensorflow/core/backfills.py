"""Backfills: runs for many partitions, made at once; each fires when its inputs are there."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sensorflow.core import operations
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import ConflictError, NotFoundError, PartitionError
from sensorflow.core.messages import CancelBackfill, Made, Only, StartBackfill
from sensorflow.core.runs import WALK, Runs, over, within
from sensorflow.core.state import BackfillRow, OperationRow, RunRow, State
from sensorflow.core.states import RunState, TaskState
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import LatePolicy, PipelineDefinition

#: More partitions than this in one backfill are refused.
MOST = 10_000


class Step(StrEnum):
    """What a backfill does about a partition."""

    MAKE = "make"
    #: A run that waits and has not started becomes the backfill's.
    ADOPT = "adopt"
    RETRY = "retry"
    #: Its next generation; of a running one after its end.
    RERUN = "rerun"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One partition of a backfill, and what would be done about it."""

    partition: str
    action: Step
    run_id: str | None = None
    state: RunState | None = None


def plan(
    definitions: Definitions, state: State, pipeline: str, partitions: Iterable[str], only: Only
) -> list[Planned]:
    """Return what a backfill would do, in the order of the partitions.

    Raises:
        NotFoundError: there is no such pipeline.
        PartitionError: a partition lies outside `start` and `end`, or there are too many.
    """
    definition = definitions.pipelines.get(pipeline)
    if definition is None:
        raise NotFoundError(f"there is no pipeline {pipeline}")
    planned: list[Planned] = []
    for partition in partitions:
        if not within(definition, partition):
            raise PartitionError(operations.outside(definition, partition))
        if len(planned) == MOST:
            raise PartitionError(f"expected at most {MOST} partitions in one backfill, found more")
        run = state.run_of(pipeline, partition)
        past = state.past_run(pipeline, partition) if run is None else None
        stands = run or past
        planned.append(
            Planned(
                partition=partition,
                # What was removed has run: it is made anew only where all is to run again.
                action=Step.SKIP if past and only is not Only.ALL else _step(run, only),
                run_id=run.id if run else None,
                state=stands.state if stands else None,
            )
        )
    return planned


def start(turn: Turn, message: StartBackfill) -> Made:
    """Make all runs of a backfill.

    Raises:
        NotFoundError: there is no such pipeline.
        PartitionError: a partition lies outside `start` and `end`, or there are too many.
        ConflictError: a sequential pipeline cannot go from the newest to the oldest.
    """
    planned = plan(turn.definitions, turn.state, message.pipeline, message.partitions, message.only)
    pipeline = turn.definitions.pipelines[message.pipeline]
    if pipeline.sequential and message.order == "newest":
        raise ConflictError(f"{pipeline.name} is sequential: its runs go from the oldest to the newest")
    todo = [step for step in planned if step.action is not Step.SKIP]
    row = BackfillRow(
        id=turn.moment.new_id(),
        pipeline=pipeline.name,
        first=message.first,
        last=message.last,
        only=message.only,
        order=message.order,
        max_active=message.max_active,
        force=message.force,
        runs=len(todo),
        created_at=turn.now,
        reason=message.reason,
    )
    turn.state.put_backfill(row)
    for step in todo:
        _perform(turn, pipeline, step, row)
    return Made(id=row.id)


def cancel(turn: Turn, message: CancelBackfill) -> Made:
    """Cancel what a backfill made and has not started; what runs or has ended stays.

    Raises:
        NotFoundError: there is no such backfill.
        ConflictError: it was cancelled already.
    """
    row = turn.state.backfill(message.backfill)
    if row is None:
        raise NotFoundError(f"there is no backfill {message.backfill}")
    if row.cancelled_at is not None:
        raise ConflictError(f"backfill {row.id} was cancelled already")
    turn.state.put_backfill(row._replace(cancelled_at=turn.now))
    turn.state.add_operation(
        OperationRow(
            id=turn.moment.new_id(),
            at=turn.now,
            kind="cancel_backfill",
            pipeline=row.pipeline,
            reason=message.reason,
        )
    )
    pipeline = turn.definitions.pipelines.get(row.pipeline)
    after = ""
    while pipeline is not None:
        runs = turn.state.backfill_runs(row.id, after=after, limit=WALK)
        for run in runs:
            _take_back(turn, pipeline, run)
        if len(runs) < WALK:
            break
        after = runs[-1].id
    return Made(id=row.id, created=False)


def _step(run: RunRow | None, only: Only) -> Step:
    if only is Only.FAILED:
        return Step.RETRY if run is not None and run.state is RunState.FAILED else Step.SKIP
    if run is None:
        return Step.MAKE
    if run.state is RunState.WAITING and run.started_at is None:
        return Step.ADOPT
    never_started = run.state is RunState.CANCELLED and run.generation == 1 and run.started_at is None
    return Step.RERUN if only is Only.ALL or never_started else Step.SKIP


def _perform(turn: Turn, pipeline: PipelineDefinition, step: Planned, backfill: BackfillRow) -> None:
    runs = Runs(turn)
    run = turn.state.run(step.run_id) if step.run_id else None
    if run is None:
        run = runs.make(
            pipeline, step.partition, trigger="backfill", forced=backfill.force, backfill=backfill.id
        )
        runs.advance(pipeline, run, None)
        return
    run = run._replace(backfill=backfill.id, forced=run.forced or backfill.force)
    if step.action is Step.RERUN:
        run = run._replace(pending=tuple(sorted(pipeline.tasks)), trigger="backfill")
    turn.state.put_run(run)
    for task in turn.state.tasks(run.id).values():
        turn.state.put_task(task._replace(lane=backfill.id))
    if step.action is Step.RERUN:
        if over(run.state):
            runs.next_generation(pipeline, run)
        else:
            runs.advance(pipeline, run, None)
        return
    if step.action is Step.RETRY:
        failed = [row.task for row in turn.state.tasks(run.id).values() if _is_failed(row.state)]
        defined = [name for name in failed if name in pipeline.tasks]
        operations.retry_failed(turn, pipeline, run, defined, downstream=True)
    else:
        runs.advance(pipeline, run, None)


def _is_failed(state: TaskState) -> bool:
    return state in (TaskState.FAILED, TaskState.CANCELLED)


def _take_back(turn: Turn, pipeline: PipelineDefinition, run: RunRow) -> None:
    """Undo what a backfill made of a run, as far as that has not started."""
    if run.trigger != "backfill" or over(run.state):
        return
    if run.started_at is None:
        Runs(turn).cancel(pipeline, run, "its backfill was cancelled")
    elif pipeline.late is not LatePolicy.RERUN:
        # Under `rerun` newer versions may be waiting for the next generation as well.
        turn.state.put_run(run._replace(pending=()))
