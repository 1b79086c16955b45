"""Runs: what they are, what was done to them, and why they wait."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

from aiohttp import web
from pydantic import Field

from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import PartitionError
from sensorflow.core.explain import TaskWaits, Wait, Why, explain, explain_run
from sensorflow.core.partitions import bounds, read_partition
from sensorflow.core.state import AttemptRow, RunRow, TaskRow
from sensorflow.core.states import RunState, TaskState
from sensorflow.core.vocabulary import Grain, Scope
from sensorflow.web.access import caller_of
from sensorflow.web.api import API, Api
from sensorflow.web.parameters import PageQuery, Query, TextParameter, choice, wrong_parameter
from sensorflow.web.pipelines import pipeline_of_path
from sensorflow.web.problems import ProblemError, bad_request, not_found
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import (
    AttemptSchema,
    ErrorPlace,
    OperationSchema,
    Page,
    RunDetail,
    RunSchema,
    TaskSchema,
    TaskWaitsSchema,
    WaitSchema,
    WhySchema,
    answer,
    instant,
)

#: States of tasks that wait for something that can be said.
_EXPLAINED = frozenset({TaskState.WAITING, TaskState.QUEUED, TaskState.RETRYING, TaskState.BLOCKED})

#: What is done to a run that cancels it.
_CANCELLING = ("cancel", "expire")
#: So many runs of a list say what they wait for, so that a long list does not hold up everybody else.
MAX_EXPLAINED = 50

routes = Routes("Runs")


class RunsQuery(PageQuery):
    """Which runs are listed."""

    LIST = "runs"
    pipeline: TextParameter = None
    partition: TextParameter = None
    state: Annotated[RunState, choice(RunState)] | None = None
    #: The id of a backfill: only the runs that are its own now.
    backfill: TextParameter = None


class WhyQuery(Query):
    """What is asked about."""

    #: May be left out where the pipeline has no partitions.
    partition: Annotated[TextParameter, Field(examples=["2026-03-08"])] = None
    #: Only this task.
    task: TextParameter = None


@routes.get("/api/v1/runs", scope=Scope.READ, limited=True, answers=Page[RunSchema])
async def list_runs(request: web.Request, query: RunsQuery) -> web.Response:
    """List runs, the newest first."""
    api = request.app[API]
    limit = query.limit
    caller = caller_of(request)
    if query.pipeline is not None:
        require_pipeline_filter(api, query.pipeline, caller.pipelines)
    rows = _listed(api, query, caller.pipelines)
    if not rows and query.pipeline is not None:
        _require_partition_filter(api, query.pipeline, query.partition)
    following = query.next(rows[limit - 1].id) if len(rows) > limit else None
    items = [run_schema(api, row, explained=place < MAX_EXPLAINED) for place, row in enumerate(rows[:limit])]
    return answer(Page[RunSchema](items=items, next=following))


@routes.get("/api/v1/runs/{id}", scope=Scope.READ, limited=True, answers=RunDetail)
async def show_run(request: web.Request) -> web.Response:
    """Show one run with its tasks, their attempts, and what operators did."""
    return answer(run_detail(request.app[API], run_of_path(request)))


@routes.get("/api/v1/runs/{id}/why", scope=Scope.READ, limited=True, answers=WhySchema)
async def why_run(request: web.Request) -> web.Response:
    """Say why the tasks of a run have not run."""
    api = request.app[API]
    run = run_of_path(request)
    return answer(why_schema(api, _explained_run(api, run), run))


@routes.get("/api/v1/pipelines/{name}/why", scope=Scope.READ, limited=True, answers=WhySchema)
async def why_pipeline(request: web.Request, query: WhyQuery) -> web.Response:
    """Say why a partition of a pipeline has not run, whether or not there is a run of it."""
    api = request.app[API]
    task = query.task
    try:
        found = _explained(api, pipeline_of_path(request).name, query.partition or "")
    except PartitionError as error:
        raise wrong_partition(error, query.partition) from None
    names = [waits.name for waits in found.tasks]
    if task is not None and task not in names:
        raise wrong_parameter("task", f"a task of {found.pipeline} ({', '.join(names)})", task)
    return answer(why_schema(api, found, found.run, task))


def run_of_path(request: web.Request) -> RunRow:
    """Return the run that the path names.

    Raises:
        ProblemError: 404, there is none.
    """
    run_id = request.match_info["id"]
    row = request.app[API].store.reader.run(run_id)
    if row is None or not caller_of(request).sees(row.pipeline):
        raise not_found(f'there is no run "{run_id}"')
    return row


def _listed(api: Api, query: RunsQuery, pipelines: Collection[str] | None) -> list[RunRow]:
    """Return the page that is asked for and one run more, of the pipelines that a token is for; None: all."""
    pages = (
        api.store.listing.runs(
            pipeline=pipeline,
            partition=query.partition,
            state=query.state,
            backfill=query.backfill,
            before=query.cursor,
            limit=query.limit + 1,
        )
        for pipeline in ((query.pipeline,) if query.pipeline or pipelines is None else pipelines)
    )
    found = [run for page in pages for run in page]
    return sorted(found, key=lambda run: run.id, reverse=True)[: query.limit + 1]


def require_pipeline_filter(api: Api, pipeline: str, own: Collection[str] | None) -> None:
    """Refuse a filter by a pipeline that neither the definitions nor the store know.

    Args:
        own: The pipelines that the caller sees; None: all.

    Raises:
        ProblemError: 400.
    """
    known = api.definitions().pipelines
    seen = own is None or pipeline in own
    if not seen or (pipeline not in known and api.store.listing.last_run(pipeline) is None):
        names = sorted(known if own is None else own)
        raise wrong_parameter("pipeline", f"a pipeline ({', '.join(names) or 'there is none'})", pipeline)


def _require_partition_filter(api: Api, pipeline: str, partition: str | None) -> None:
    """Refuse a filter by a partition that the pipeline cannot have.

    Raises:
        ProblemError: 400.
    """
    definition = api.definitions().pipelines.get(pipeline)
    if definition is None or partition is None:
        return
    try:
        read_partition(definition.partitioning, partition)
    except PartitionError as error:
        raise wrong_partition(error, partition) from None


def wrong_partition(error: PartitionError, found: str | None) -> ProblemError:
    """Return the answer to a parameter `partition` that cannot be read."""
    expected, _, _ = str(error).removeprefix("expected ").partition(", found ")
    if not found:
        return bad_request(
            f"partition: expected {expected}, found nothing",
            ErrorPlace(where="partition", expected=expected, found="nothing"),
        )
    return wrong_parameter("partition", expected, found)


def run_detail(api: Api, run: RunRow) -> RunDetail:
    """Return a run by itself: as in a list, and with what operators did to it."""
    return RunDetail(**dict(run_schema(api, run)), operations=_operations(api, run))


def _operations(api: Api, run: RunRow) -> list[OperationSchema]:
    return [
        OperationSchema(at=instant(row.at), kind=row.kind, task=row.task or None, reason=row.reason)
        for row in api.store.listing.operations(run.id)
    ]


def run_schema(api: Api, run: RunRow, *, explained: bool = True) -> RunSchema:
    """Return a run as it is answered, with every task; `explained`: and with what each waits for."""
    definitions = api.definitions()
    state = api.store.reader
    rows = state.tasks(run.id)
    attempts: dict[str, list[AttemptRow]] = {}
    for attempt in state.attempts(run.id):
        attempts.setdefault(attempt.task, []).append(attempt)
    graph = definitions.graphs.get(run.pipeline)
    names = [
        *(graph.order if graph else ()),
        *(name for name in rows if not graph or name not in graph.order),
    ]
    waits = _waits(api, run, rows) if graph and explained else {}
    return RunSchema(
        id=run.id,
        pipeline=run.pipeline,
        partition=run.partition or None,
        partition_start=instant(run.partition_start),
        partition_end=_partition_end(definitions, run),
        generation=run.generation,
        state=run.state,
        stale=run.stale,
        trigger=run.trigger,
        created_at=instant(run.created_at),
        started_at=instant(run.started_at),
        ended_at=instant(run.ended_at),
        backfill=run.backfill or None,
        tasks=[_task(name, rows.get(name), attempts.get(name, ()), waits.get(name)) for name in names],
    )


def why_schema(api: Api, why: Why, run: RunRow | None, task: str | None = None) -> WhySchema:
    """Return why tasks have not run, of all tasks or of one."""
    return WhySchema(
        pipeline=why.pipeline,
        partition=why.partition or None,
        run=run.id if run else None,
        cancelled=_cancelled(api, run) if run and run.state is RunState.CANCELLED else None,
        tasks=[
            TaskWaitsSchema(
                name=waits.name,
                state=waits.state,
                waiting_for=[wait_schema(wait) for wait in waits.waiting_for],
                collected=dict(waits.collected),
            )
            for waits in why.tasks
            if task in (None, waits.name)
        ],
    )


def _cancelled(api: Api, run: RunRow) -> OperationSchema | None:
    """Return what cancelled a run; None where only its tasks were."""
    operations = reversed(_operations(api, run))
    return next((each for each in operations if each.kind in _CANCELLING and each.task is None), None)


def wait_schema(wait: Wait) -> WaitSchema:
    """Return one reason as it is answered."""
    return WaitSchema(
        kind=wait.kind,
        text=wait.text,
        dataset=wait.dataset,
        partition=wait.partition or None,
        parts_missing=None if wait.parts_missing is None else list(wait.parts_missing),
        sensor=wait.sensor,
        expected_at=instant(wait.expected_at),
        late=wait.late,
        task=wait.task,
        state=wait.state,
        until=instant(wait.until),
    )


def _explained(api: Api, pipeline: str, partition: str) -> Why:
    return explain(api.definitions(), api.store.reader, pipeline, partition, api.workers, api.clock.now())


def _explained_run(api: Api, run: RunRow) -> Why:
    return explain_run(api.definitions(), api.store.reader, run, api.workers, api.clock.now())


def _waits(api: Api, run: RunRow, rows: Mapping[str, TaskRow]) -> Mapping[str, TaskWaits]:
    """Return what the run's tasks wait for, or have collected, where any does."""
    pipeline = api.definitions().pipelines[run.pipeline]
    waits = any(name not in rows or rows[name].state in _EXPLAINED for name in pipeline.tasks)
    if not waits and pipeline.partitioning.grain is not Grain.NONE:
        return {}
    try:
        why = _explained_run(api, run)
    except PartitionError:
        return {}  # The pipeline's grain is another now than when the run was made.
    return {waits.name: waits for waits in why.tasks}


def _partition_end(definitions: Definitions, run: RunRow) -> str | None:
    pipeline = definitions.pipelines.get(run.pipeline)
    if pipeline is None or run.partition_start is None:
        return None
    try:
        found = bounds(pipeline.partitioning, run.partition)
    except PartitionError:
        return None  # The pipeline's grain is another now than when the run was made.
    return instant(found.end) if found else None


def _task(
    name: str, row: TaskRow | None, attempts: Sequence[AttemptRow], waits: TaskWaits | None
) -> TaskSchema:
    return TaskSchema(
        name=name,
        state=row.state if row else TaskState.WAITING,
        attempts=[
            AttemptSchema(
                number=attempt.number,
                state=attempt.state,
                generation=attempt.generation,
                started_at=instant(attempt.started_at),
                ended_at=instant(attempt.ended_at),
                exit_code=attempt.exit_code,
                error=attempt.error,
                consumed={dataset: dict(versions) for dataset, versions in attempt.consumed.items()},
            )
            for attempt in attempts
        ],
        next_attempt_at=instant(row.next_attempt_at) if row else None,
        waiting_for=[wait_schema(wait) for wait in waits.waiting_for] if waits else [],
        collected=dict(waits.collected) if waits else {},
    )
