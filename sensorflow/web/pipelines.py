"""Pipelines: what they are defined as, their graph, and how their runs do."""

import asyncio
from urllib.parse import urlsplit

from aiohttp import web

from sensorflow.core.definitions import leaves
from sensorflow.core.messages import PausePipeline
from sensorflow.core.partitions import calendar_of
from sensorflow.core.state import RunRow
from sensorflow.core.vocabulary import (
    Action,
    Command,
    DatasetInput,
    HttpCall,
    Input,
    InputGroup,
    Partitioning,
    PipelineDefinition,
    Scope,
    Selection,
    TaskDefinition,
)
from sensorflow.web.access import caller_of
from sensorflow.web.api import API, Api
from sensorflow.web.defined import (
    DefinedGroup,
    DefinedInput,
    DefinedRetries,
    DefinedTask,
    DimensionSchema,
    Edge,
    HttpAction,
    PipelineSchema,
    PipelineSummary,
    PythonAction,
    RecentRun,
    RunAction,
    RunReference,
)
from sensorflow.web.parameters import PageQuery, Recent
from sensorflow.web.problems import not_found
from sensorflow.web.requests import ReasonBody
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import Page, RunCounts, answer

#: Thousands of runs take a while: so long they are read before all else has its turn.
_SLICE_S = 0.005

routes = Routes("Pipelines")


class PipelinesQuery(PageQuery):
    """Which pipelines are listed."""

    LIST = "pipelines"
    #: So many of the newest runs of each.
    recent: Recent = 0


_WORDS = {
    Selection.SAME: "the same partition",
    Selection.ALL: "every partition inside",
    Selection.CONTAINING: "the partition that contains it",
    Selection.LATEST: "the newest ready partition not after it",
}


@routes.get("/api/v1/pipelines", scope=Scope.READ, limited=True, answers=Page[PipelineSummary])
async def list_pipelines(request: web.Request, query: PipelinesQuery) -> web.Response:
    """List the pipelines by name, with their runs by state."""
    api = request.app[API]
    limit = query.limit
    after = query.cursor or ""
    found = api.definitions().pipelines
    caller = caller_of(request)
    names = sorted(name for name in found if name > after and caller.sees(name))
    following = query.next(names[limit - 1]) if len(names) > limit else None
    items: list[PipelineSummary] = []
    ends_at = api.clock.monotonic() + _SLICE_S
    for name in names[:limit]:
        if api.clock.monotonic() > ends_at:
            await asyncio.sleep(0)
            ends_at = api.clock.monotonic() + _SLICE_S
        items.append(_summary(api, found[name], recent=query.recent))
    response = answer(Page[PipelineSummary](items=items, next=following))
    if query.recent:
        response.enable_compression()  # Thousands of runs are much alike.
    return response


@routes.get("/api/v1/pipelines/{name}", scope=Scope.READ, limited=True, answers=PipelineSchema)
async def show_pipeline(request: web.Request) -> web.Response:
    """Show a pipeline's definition and graph."""
    api = request.app[API]
    pipeline = pipeline_of_path(request)
    name = pipeline.name
    tasks = [pipeline.tasks[task] for task in api.definitions().graphs[name].order]
    dimensions = {each: _dimension(found) for each, found in pipeline.partitioning.dimensions}
    document = PipelineSchema(
        **dict(_summary(api, pipeline)),
        keys=list(pipeline.partitioning.keys),
        dimensions=dimensions or None,
        start=pipeline.start,
        end=pipeline.end,
        late=pipeline.late.value,
        max_active_runs=pipeline.max_active_runs,
        concurrency=pipeline.concurrency,
        schedule=pipeline.schedule,
        catchup=pipeline.catchup.value,
        sequential=pipeline.sequential,
        expire_s=pipeline.expire_s,
        file=pipeline.file,
        tasks=[_task(task) for task in tasks],
        edges=[Edge(source=upstream, target=task.name) for task in tasks for upstream in task.after],
        task_counts={state.value: count for state, count in api.store.listing.task_counts(name).items()},
    )
    return answer(document)


@routes.post("/api/v1/pipelines/{name}/pause", scope=Scope.OPERATE, limited=True, answers=PipelineSummary)
async def pause_pipeline(request: web.Request, body: ReasonBody) -> web.Response:
    """Let no attempt of a pipeline start; what arrives is recorded."""
    return await _pause(request, body, paused=True)


@routes.post("/api/v1/pipelines/{name}/resume", scope=Scope.OPERATE, limited=True, answers=PipelineSummary)
async def resume_pipeline(request: web.Request, body: ReasonBody) -> web.Response:
    """Let what has become ready start."""
    return await _pause(request, body, paused=False)


async def _pause(request: web.Request, body: ReasonBody, *, paused: bool) -> web.Response:
    api = request.app[API]
    name = pipeline_of_path(request).name
    await api.submit(PausePipeline(pipeline=name, paused=paused, reason=body.reason))
    return answer(_summary(api, known_pipeline(api, name)))


def pipeline_of_path(request: web.Request) -> PipelineDefinition:
    """Return the definition of the pipeline that the path names.

    Raises:
        ProblemError: 404, there is none, or none that the token is for.
    """
    name, caller = request.match_info["name"], caller_of(request)
    found = {each: one for each, one in request.app[API].definitions().pipelines.items() if caller.sees(each)}
    if name not in found:
        raise not_found(f'there is no pipeline "{name}"; there are: {", ".join(sorted(found)) or "none"}')
    return found[name]


def known_pipeline(api: Api, name: str) -> PipelineDefinition:
    """Return the definition of a pipeline.

    Raises:
        ProblemError: 404, there is none.
    """
    found = api.definitions().pipelines
    if name not in found:
        raise not_found(f'there is no pipeline "{name}"; there are: {", ".join(sorted(found)) or "none"}')
    return found[name]


def _summary(api: Api, pipeline: PipelineDefinition, *, recent: int = 0) -> PipelineSummary:
    listing = api.store.listing
    counts = {state.value: count for state, count in listing.run_counts(pipeline.name).items()}
    last = listing.last_run(pipeline.name)
    row = api.store.reader.pipeline(pipeline.name)
    return PipelineSummary(
        name=pipeline.name,
        description=pipeline.description,
        grain=pipeline.partitioning.grain.value,
        timezone=pipeline.partitioning.timezone,
        paused=row.paused if row else pipeline.paused,
        runs=RunCounts(**counts),
        last_run=run_reference(last) if last else None,
        recent=_recent(api, pipeline, recent) if recent else None,
    )


def _recent(api: Api, pipeline: PipelineDefinition, limit: int) -> list[RecentRun]:
    listing = api.store.listing
    if calendar_of(pipeline.partitioning) is pipeline.partitioning:
        rows = listing.runs_by_partition(pipeline.name, before=None, limit=limit)
    else:
        rows = listing.runs(pipeline=pipeline.name, partition=None, state=None, before=None, limit=limit)
    return [
        RecentRun(id=row.id, partition=row.partition or None, state=row.state, stale=row.stale)
        for row in rows
    ]


def run_reference(run: RunRow) -> RunReference:
    """Return what names a run, and its state."""
    return RunReference(id=run.id, pipeline=run.pipeline, state=run.state, partition=run.partition or None)


def _dimension(partitioning: Partitioning) -> DimensionSchema:
    return DimensionSchema(
        grain=partitioning.grain.value, timezone=partitioning.timezone, keys=list(partitioning.keys)
    )


def _task(task: TaskDefinition) -> DefinedTask:
    """Return a task's definition. Of `env` only the names: values may be secrets."""
    return DefinedTask(
        name=task.name,
        after=list(task.after),
        when=task.when.value,
        skipped="block" if task.skipped_blocks else "succeed",
        inputs=[_input(item) for item in task.inputs],
        reads=list(dict.fromkeys(leaf.dataset for leaf in leaves(task.inputs))),
        outputs=list(task.outputs),
        action=_action(task.action),
        retries=DefinedRetries(
            max=task.retries.max,
            delay_s=task.retries.delay_s,
            backoff=task.retries.backoff,
            max_delay_s=task.retries.max_delay_s,
            jitter=task.retries.jitter,
        ),
        timeout_s=task.timeout_s,
        priority=task.priority,
        env=sorted(task.env),
    )


def _action(action: Action) -> RunAction | HttpAction | PythonAction:
    if isinstance(action, Command):
        return RunAction(kind="run", run=list(action.argv) if action.argv else action.line)
    if isinstance(action, HttpCall):
        # No more of the URL than its server, no more of a header than its name: the rest may be secret.
        server = urlsplit(action.url)
        return HttpAction(
            kind="http",
            method=action.method,
            url=f"{server.scheme}://{server.netloc.rpartition('@')[2]}",
            headers=sorted(action.headers),
            wait="callback" if action.callback else None,
            lease_s=action.lease_s if action.callback else None,
        )
    return PythonAction(kind="python", python=f"{action.module}:{action.function}")


def _input(item: Input) -> DefinedInput | DefinedGroup:
    if isinstance(item, InputGroup):
        return DefinedGroup(
            needed=item.needed, of=[_input(member) for member in item.members], text=_words(item)
        )
    return DefinedInput(
        dataset=item.dataset,
        partitions=item.selection.value,
        count=item.count or None,
        at_least=item.at_least,
        optional_after_s=item.optional_after_s,
        max_age_s=item.max_age_s,
        dimensions={name: list(keys) for name, keys in item.dimensions.items()},
        text=_words(item),
    )


def _words(item: Input) -> str:
    if isinstance(item, InputGroup):
        members = "; ".join(_words(member) for member in item.members)
        return f"{item.needed} of {len(item.members)}: {members}"
    words = f"{item.dataset}, {_selected(item)}"
    if item.at_least is not None:
        words += f", at least {item.at_least}"
    if item.optional_after_s is not None:
        words += f", optional {item.optional_after_s:g} s after its end"
    if item.max_age_s is not None:
        words += f", not older than {item.max_age_s:g} s"
    return words


def _selected(item: DatasetInput) -> str:
    if item.selection is Selection.LAST:
        return f"the last {item.count} partitions"
    if item.selection is Selection.OFFSET:
        return f"the partition {abs(item.count)} {'before' if item.count < 0 else 'after'} it"
    return _WORDS[item.selection]
