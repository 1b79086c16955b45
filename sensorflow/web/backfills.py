"""Backfills: runs for many partitions, planned, made, watched and taken back."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from itertools import islice

from aiohttp import web

from sensorflow.core.backfills import MOST, Planned, Step, plan
from sensorflow.core.errors import PartitionError
from sensorflow.core.explain import explain
from sensorflow.core.messages import CancelBackfill, Made, Only, StartBackfill
from sensorflow.core.partitions import between, bounds, calendar_of, partitions_of
from sensorflow.core.state import BackfillRow
from sensorflow.core.vocabulary import Grain, Partitioning, PipelineDefinition, Scope
from sensorflow.web.access import caller_of, require_pipeline, require_scope
from sensorflow.web.api import API, Api
from sensorflow.web.operations import sent_partition
from sensorflow.web.parameters import PageQuery
from sensorflow.web.pipelines import known_pipeline
from sensorflow.web.problems import ProblemError, not_found, shown, unprocessable, unusable
from sensorflow.web.requests import BackfillBody, ReasonBody
from sensorflow.web.routes import Routes
from sensorflow.web.runs import wait_schema
from sensorflow.web.schemas import (
    BackfillPlan,
    BackfillSchema,
    ErrorPlace,
    Page,
    PlannedSchema,
    RunCounts,
    WaitSchema,
    answer,
    instant,
)

#: Stands between the keys of several dimensions.
KEY_SEPARATOR = "|"
#: So many partitions are explained between two looks at what else the service has to do.
_EXPLAINED_AT_ONCE = 20

routes = Routes("Backfills")


class BackfillsQuery(PageQuery):
    """Which backfills are listed."""

    LIST = "backfills"


@routes.post(
    "/api/v1/backfills",
    scope=Scope.READ,  # What a dry run needs; the handler asks for more where runs are made.
    limited=True,
    answers={HTTPStatus.CREATED: BackfillSchema, HTTPStatus.OK: BackfillPlan},
    problems={HTTPStatus.NOT_FOUND: "there is no such pipeline"},
)
async def start_backfill(request: web.Request, body: BackfillBody) -> web.Response:
    """Make runs for many partitions, or say with `dry_run` what would be made."""
    api = request.app[API]
    caller = caller_of(request)
    require_scope(caller, Scope.READ if body.dry_run else Scope.OPERATE)
    require_pipeline(caller, body.pipeline)
    pipeline = known_pipeline(api, body.pipeline)
    partitions = _asked_for(pipeline, body)
    ranged = body.partitions is None
    message = StartBackfill(
        pipeline=pipeline.name,
        partitions=partitions[::-1] if body.order == "newest" else partitions,
        first=partitions[0] if ranged else "",
        last=partitions[-1] if ranged else "",
        only=Only(body.only),
        order=body.order,
        max_active=body.max_active or max(1, pipeline.max_active_runs // 2),
        force=body.force,
        reason=body.reason,
    )
    try:
        if body.dry_run:
            return answer(await _planned(api, message))
        made = await api.submit(message)
    except PartitionError as error:
        raise _out_of_reach(body, partitions, error) from None
    assert isinstance(made, Made), "a backfill is answered with its id"
    found = _backfill(api, _row(api, made.id))
    return answer(found, HTTPStatus.CREATED, {"Location": f"/api/v1/backfills/{made.id}"})


@routes.get("/api/v1/backfills", scope=Scope.READ, limited=True, answers=Page[BackfillSchema])
async def list_backfills(request: web.Request, query: BackfillsQuery) -> web.Response:
    """List backfills, the newest first."""
    api = request.app[API]
    limit = query.limit
    rows = api.store.listing.backfills(
        before=query.cursor, limit=limit + 1, pipelines=caller_of(request).pipelines
    )
    following = query.next(rows[limit - 1].id) if len(rows) > limit else None
    items = [_backfill(api, row) for row in rows[:limit]]
    return answer(Page[BackfillSchema](items=items, next=following))


@routes.get("/api/v1/backfills/{id}", scope=Scope.READ, limited=True, answers=BackfillSchema)
async def show_backfill(request: web.Request) -> web.Response:
    """Show how far a backfill is."""
    return answer(_backfill(request.app[API], _row_of_path(request)))


@routes.post(
    "/api/v1/backfills/{id}/cancel",
    scope=Scope.OPERATE,
    limited=True,
    answers=BackfillSchema,
    problems={HTTPStatus.CONFLICT: "it was cancelled before"},
)
async def cancel_backfill(request: web.Request, body: ReasonBody) -> web.Response:
    """Take back what a backfill made and has not started."""
    api = request.app[API]
    row = _row_of_path(request)
    await api.submit(CancelBackfill(backfill=row.id, reason=body.reason))
    return answer(_backfill(api, _row(api, row.id)))


def _row_of_path(request: web.Request) -> BackfillRow:
    backfill = request.match_info["id"]
    row = request.app[API].store.reader.backfill(backfill)
    if row is None or not caller_of(request).sees(row.pipeline):
        raise not_found(f'there is no backfill "{backfill}"')
    return row


def _row(api: Api, backfill: str) -> BackfillRow:
    row = api.store.reader.backfill(backfill)
    assert row is not None, "a backfill that was made is stored"
    return row


# What is asked for


def _asked_for(pipeline: PipelineDefinition, body: BackfillBody) -> tuple[str, ...]:
    """Return the partitions that are asked for, the oldest first; listed keys as they are listed.

    Raises:
        ProblemError: 422, they are none of the pipeline's, too many, or cannot go in this order.
    """
    if pipeline.partitioning.grain is Grain.NONE:
        raise _wrong("/pipeline", "a pipeline with partitions", f"{pipeline.name}, which has none")
    if pipeline.sequential and body.order == "newest":
        found = f"newest, while each partition of {pipeline.name} waits for the one before (sequential)"
        raise _wrong("/order", "oldest", found)
    if body.partitions is not None:
        return _listed(pipeline, body)
    if body.first is None or body.last is None:
        missing = "/from" if body.first is None else "/to"
        raise _wrong(missing, "a partition; `from` and `to`, or a list of `partitions`", "nothing")
    return _ranged(pipeline, body.first, body.last)


def _listed(pipeline: PipelineDefinition, body: BackfillBody) -> tuple[str, ...]:
    sent = body.partitions or []
    if body.first is not None or body.last is not None:
        raise _wrong("/partitions", "either `from` and `to` or a list", "both")
    if not sent:
        raise _wrong("/partitions", "one partition or more", "none")
    found = dict.fromkeys(
        sent_partition(pipeline.partitioning, key, f"/partitions/{place}") for place, key in enumerate(sent)
    )
    return tuple(sorted(found, key=lambda key: _start(pipeline.partitioning, key)))


def _ranged(pipeline: PipelineDefinition, first: str, last: str) -> tuple[str, ...]:
    """Return a range's partitions; of several dimensions with the keys that both ends name, or with all."""
    partitioning = pipeline.partitioning
    calendar = calendar_of(partitioning)
    if calendar is None:
        raise _wrong("/from", f"a list of `partitions`, since those of {pipeline.name} have no order", first)
    ranged = partitioning if KEY_SEPARATOR in first else calendar
    start, end = sent_partition(ranged, first, "/from"), sent_partition(ranged, last, "/to")
    if _start(ranged, end) < _start(ranged, start):
        raise _wrong("/to", f"a partition not before {start}", end)
    try:
        keys = between(ranged, start, end)
    except PartitionError as error:
        raise unusable(error, "/to", last) from None
    found = (partition for key in keys for partition in _expanded(pipeline, ranged, key))
    return tuple(islice(found, MOST + 1))  # One too many is enough to be refused.


def _expanded(pipeline: PipelineDefinition, ranged: Partitioning, key: str) -> tuple[str, ...]:
    """Return the pipeline's partitions of one place in a range."""
    if ranged is pipeline.partitioning:
        return (key,)
    found = partitions_of(pipeline.partitioning, key)
    if found is None:
        raise _wrong(
            "/from", "the keys of all dimensions, or a list of `partitions`, since some are free", key
        )
    return found


def _start(partitioning: Partitioning, key: str) -> float:
    found = bounds(partitioning, key)
    return found.start if found else 0.0  # Sorted by this, keys without a time keep their order.


def _out_of_reach(body: BackfillBody, partitions: Sequence[str], error: PartitionError) -> ProblemError:
    """Return the answer to partitions that are too many, or of which one is outside of the pipeline's."""
    expected, _, found = str(error).removeprefix("expected ").partition(", found ")
    end = "/from" if found == partitions[0] else "/to"
    return _wrong("/partitions" if body.partitions is not None else end, expected, found)


def _wrong(where: str, expected: str, found: str) -> ProblemError:
    place = ErrorPlace(where=where, expected=expected, found=shown(found))
    return unprocessable(f"{where}: expected {expected}, found {found}", place)


# What would be done


async def _planned(api: Api, message: StartBackfill) -> BackfillPlan:
    definitions, reader = api.definitions(), api.store.reader
    steps = plan(definitions, reader, message.pipeline, message.partitions, message.only)
    items: list[PlannedSchema] = []
    for place, step in enumerate(steps):
        if place % _EXPLAINED_AT_ONCE == 0:
            await asyncio.sleep(0)  # Thousands of partitions take a while; others have their turn.
        items.append(_step(api, message, step))
    return BackfillPlan(
        pipeline=message.pipeline,
        only=message.only.value,
        order=message.order,
        max_active=message.max_active,
        force=message.force,
        total=sum(step.action is not Step.SKIP for step in steps),
        items=items,
    )


def _step(api: Api, message: StartBackfill, step: Planned) -> PlannedSchema:
    waits = [] if step.action is Step.SKIP else _waits(api, message, step.partition)
    return PlannedSchema(
        partition=step.partition,
        action=step.action.value,
        run=step.run_id,
        state=step.state,
        waiting_for=waits,
    )


def _waits(api: Api, message: StartBackfill, partition: str) -> list[WaitSchema]:
    """Return what the partition's run would wait for from outside of itself, each reason once."""
    now = api.clock.now()
    why = explain(api.definitions(), api.store.reader, message.pipeline, partition, api.workers, now)
    passed = {"task", "dataset", "time"} if message.force else {"task"}
    waits = {wait.text: wait for task in why.tasks for wait in task.waiting_for if wait.kind not in passed}
    return [wait_schema(wait) for wait in waits.values()]


# How far it is


def _backfill(api: Api, row: BackfillRow) -> BackfillSchema:
    counts = RunCounts(
        **{state.value: count for state, count in api.store.listing.backfill_counts(row.id).items()}
    )
    return BackfillSchema(
        id=row.id,
        pipeline=row.pipeline,
        first=row.first or None,
        last=row.last or None,
        only=row.only,
        order=row.order,
        max_active=row.max_active,
        force=row.force,
        state=_state(row, counts),
        total=row.runs,
        runs=counts,
        created_at=instant(row.created_at),
        cancelled_at=instant(row.cancelled_at),
        reason=row.reason,
    )


def _state(row: BackfillRow, counts: RunCounts) -> str:
    """Return where a backfill stands, the first that fits; the words are those of runs."""
    if row.cancelled_at is not None:
        return "cancelled"
    order: Sequence[str] = ("running", "waiting", "failed", "cancelled")
    return next((state for state in order if getattr(counts, state)), "succeeded")
