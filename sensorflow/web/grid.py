"""A pipeline's partitions, those without a run too: what a grid of partitions and tasks is made of."""

from typing import Annotated, Literal

from aiohttp import web

from sensorflow.core.errors import PartitionError
from sensorflow.core.lateness import newest_ended
from sensorflow.core.partitions import Bounds, bounds, calendar_of, shifted
from sensorflow.core.state import RunRow
from sensorflow.core.states import RunState, TaskState
from sensorflow.core.vocabulary import Grain, PipelineDefinition, Scope
from sensorflow.web.api import API, Api
from sensorflow.web.parameters import PageQuery, one_of, wrong_parameter
from sensorflow.web.pipelines import pipeline_of_path
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import OptionalText, Page, Schema, answer, instant

routes = Routes("Pipelines")


class GridQuery(PageQuery):
    """Which partitions are listed."""

    LIST = "grid"
    #: Where partitions of the calendar begin: with the newest that has `ended`, or that has a `run`.
    begin: Annotated[Literal["ended", "run"], one_of("ended", "run")] = "ended"


class GridRun(Schema):
    """The run of a partition, and how its tasks do."""

    id: str
    state: RunState
    stale: bool
    generation: int
    created_at: str | None
    #: By name, as the graph has them.
    tasks: dict[str, TaskState]


class PipelinePartition(Schema):
    """A partition of a pipeline."""

    #: Absent for pipelines without partitions.
    partition: OptionalText = None
    start: str | None
    end: str | None
    #: Null where there is none yet.
    run: GridRun | None


@routes.get(
    "/api/v1/pipelines/{name}/partitions",
    scope=Scope.READ,
    limited=True,
    answers=Page[PipelinePartition],
)
async def list_pipeline_partitions(request: web.Request, query: GridQuery) -> web.Response:
    """List a pipeline's partitions, the newest first, with the run of each where there is one.

    Of the calendar they are all from the newest that has ended, or has a run, back to the pipeline's
    `start`, without one to the oldest that has a run; with `begin=run` those behind the newest that has
    a run are left out. Listed keys are in the order of the definition;
    of all others those that have a run, the one made last first.
    """
    api = request.app[API]
    pipeline = pipeline_of_path(request)
    if calendar_of(pipeline.partitioning) is pipeline.partitioning:
        keys = _of_calendar(api, pipeline, query)
    elif pipeline.partitioning.grain is Grain.KEYS:
        keys = _listed_keys(pipeline, query)
    else:
        return answer(_page_of_runs(api, pipeline, query))
    following = query.next(keys[query.limit - 1]) if len(keys) > query.limit else None
    found = [(key, api.store.reader.run_of(pipeline.name, key)) for key in keys[: query.limit]]
    items = [_partition(api, pipeline, key, run) for key, run in found]
    return answer(Page[PipelinePartition](items=items, next=following))


def _of_calendar(api: Api, pipeline: PipelineDefinition, query: GridQuery) -> list[str]:
    """Return the page that is asked for and one partition more."""
    own = pipeline.partitioning
    rows = api.store.listing.runs_by_partition(pipeline.name, before=query.cursor, limit=query.limit + 1)
    ran = [row.partition for row in rows if _limits(pipeline, row.partition)]
    if query.cursor is not None:
        try:
            key = shifted(own, query.cursor, -1)
        except PartitionError:
            raise wrong_parameter(
                "cursor", "the `next` of an earlier page of this list", query.cursor
            ) from None
    else:
        ended = newest_ended(own, api.clock.now())
        newest = min(ended, pipeline.end or ended)
        key = ran[0] if ran and (query.begin == "run" or ran[0] > newest) else newest
    # A page that is not full of runs ends with the oldest of all.
    oldest = ran[-1] if ran else key
    last = pipeline.start or (oldest if query.cursor is None or ran else None)
    keys: list[str] = []
    while last is not None and key >= last and len(keys) <= query.limit:
        keys.append(key)
        key = shifted(own, key, -1)
    return keys


def _listed_keys(pipeline: PipelineDefinition, query: GridQuery) -> list[str]:
    keys = list(pipeline.partitioning.keys)
    if query.cursor is None:
        return keys
    if query.cursor not in keys:
        raise wrong_parameter("cursor", "the `next` of an earlier page of this list", query.cursor)
    return keys[keys.index(query.cursor) + 1 :]


def _page_of_runs(api: Api, pipeline: PipelineDefinition, query: GridQuery) -> Page[PipelinePartition]:
    rows = api.store.listing.runs(
        pipeline=pipeline.name, partition=None, state=None, before=query.cursor, limit=query.limit + 1
    )
    following = query.next(rows[query.limit - 1].id) if len(rows) > query.limit else None
    items = [_partition(api, pipeline, row.partition, row) for row in rows[: query.limit]]
    return Page[PipelinePartition](items=items, next=following)


def _partition(api: Api, pipeline: PipelineDefinition, key: str, run: RunRow | None) -> PipelinePartition:
    limits = _limits(pipeline, key)
    return PipelinePartition(
        partition=key or None,
        start=instant(limits.start) if limits else None,
        end=instant(limits.end) if limits else None,
        run=_run(api, run) if run else None,
    )


def _limits(pipeline: PipelineDefinition, key: str) -> Bounds | None:
    try:
        return bounds(pipeline.partitioning, key)
    except PartitionError:
        return None  # The pipeline's grain is another now than when the run was made.


def _run(api: Api, run: RunRow) -> GridRun:
    rows = api.store.reader.tasks(run.id)
    names = api.definitions().graphs[run.pipeline].order
    return GridRun(
        id=run.id,
        state=run.state,
        stale=run.stale,
        generation=run.generation,
        created_at=instant(run.created_at),
        tasks={name: rows[name].state if name in rows else TaskState.WAITING for name in names},
    )
