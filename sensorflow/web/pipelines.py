"""Pipelines: what they are defined as, their graph, and how their runs do."""

from typing import Any

from aiohttp import web

from sensorflow.core.definitions import leaves
from sensorflow.core.state import RunRow
from sensorflow.core.vocabulary import (
    Action,
    Command,
    DatasetInput,
    Input,
    InputGroup,
    PipelineDefinition,
    Selection,
    TaskDefinition,
)
from sensorflow.web import parameters
from sensorflow.web.api import API, Api
from sensorflow.web.parameters import make_cursor
from sensorflow.web.problems import not_found
from sensorflow.web.schemas import Edge, Page, PipelineSchema, PipelineSummary, RunCounts, answer

routes = web.RouteTableDef()

_WORDS = {
    Selection.SAME: "the same partition",
    Selection.ALL: "every partition inside",
    Selection.CONTAINING: "the partition that contains it",
    Selection.LATEST: "the newest ready partition not after it",
}


@routes.get("/api/v1/pipelines")
async def list_pipelines(request: web.Request) -> web.Response:
    """List the pipelines by name, with their runs by state."""
    api = request.app[API]
    parameters.only(request, "limit", "cursor")
    limit = parameters.limit(request)
    after = parameters.cursor(request, "pipelines") or ""
    found = api.definitions().pipelines
    names = sorted(name for name in found if name > after)
    following = make_cursor("pipelines", names[limit - 1]) if len(names) > limit else None
    items = [_summary(api, found[name]) for name in names[:limit]]
    return answer(Page[PipelineSummary](items=items, next=following))


@routes.get("/api/v1/pipelines/{name}")
async def show_pipeline(request: web.Request) -> web.Response:
    """Show a pipeline's definition and graph."""
    api = request.app[API]
    parameters.only(request)
    name = request.match_info["name"]
    definitions = api.definitions()
    pipeline = definitions.pipelines.get(name)
    if pipeline is None:
        known = ", ".join(sorted(definitions.pipelines)) or "none"
        raise not_found(f'there is no pipeline "{name}"; there are: {known}')
    tasks = [pipeline.tasks[task] for task in definitions.graphs[name].order]
    document = PipelineSchema(
        **dict(_summary(api, pipeline)),
        keys=list(pipeline.partitioning.keys),
        start=pipeline.start,
        end=pipeline.end,
        late=pipeline.late.value,
        max_active_runs=pipeline.max_active_runs,
        concurrency=pipeline.concurrency,
        file=pipeline.file,
        tasks=[_task(task) for task in tasks],
        edges=[Edge(source=upstream, target=task.name) for task in tasks for upstream in task.after],
        task_counts={state.value: count for state, count in api.store.listing.task_counts(name).items()},
    )
    return answer(document)


def _summary(api: Api, pipeline: PipelineDefinition) -> PipelineSummary:
    listing = api.store.listing
    counts = {state.value: count for state, count in listing.run_counts(pipeline.name).items()}
    last = listing.last_run(pipeline.name)
    return PipelineSummary(
        name=pipeline.name,
        description=pipeline.description,
        grain=pipeline.partitioning.grain.value,
        timezone=pipeline.partitioning.timezone,
        runs=RunCounts(**counts),
        last_run=run_reference(last) if last else None,
    )


def run_reference(run: RunRow) -> dict[str, str]:
    """Return what names a run, and its state."""
    named = {"id": run.id, "pipeline": run.pipeline, "state": run.state.value}
    return {**named, "partition": run.partition} if run.partition else named


def _task(task: TaskDefinition) -> dict[str, Any]:
    """Return a task's definition. Of `env` only the names: values may be secrets."""
    return {
        "name": task.name,
        "after": list(task.after),
        "when": task.when.value,
        "inputs": [_input(item) for item in task.inputs],
        "reads": list(dict.fromkeys(leaf.dataset for leaf in leaves(task.inputs))),
        "outputs": list(task.outputs),
        "action": _action(task.action),
        "retries": {
            "max": task.retries.max,
            "delay_s": task.retries.delay_s,
            "backoff": task.retries.backoff,
            "max_delay_s": task.retries.max_delay_s,
            "jitter": task.retries.jitter,
        },
        "timeout_s": task.timeout_s,
        "priority": task.priority,
        "env": sorted(task.env),
    }


def _action(action: Action) -> dict[str, Any]:
    if isinstance(action, Command):
        return {"kind": "run", "run": list(action.argv) if action.argv else action.line}
    return {"kind": "python", "python": f"{action.module}:{action.function}"}


def _input(item: Input) -> dict[str, Any]:
    if isinstance(item, InputGroup):
        return {
            "needed": item.needed,
            "of": [_input(member) for member in item.members],
            "text": _words(item),
        }
    return {
        "dataset": item.dataset,
        "partitions": item.selection.value,
        "count": item.count or None,
        "at_least": item.at_least,
        "optional_after_s": item.optional_after_s,
        "text": _words(item),
    }


def _words(item: Input) -> str:
    if isinstance(item, InputGroup):
        members = "; ".join(_words(member) for member in item.members)
        return f"{item.needed} of {len(item.members)}: {members}"
    words = f"{item.dataset}, {_selected(item)}"
    if item.at_least is not None:
        words += f", at least {item.at_least}"
    if item.optional_after_s is not None:
        words += f", optional {item.optional_after_s:g} s after its end"
    return words


def _selected(item: DatasetInput) -> str:
    if item.selection is Selection.LAST:
        return f"the last {item.count} partitions"
    if item.selection is Selection.OFFSET:
        return f"the partition {abs(item.count)} {'before' if item.count < 0 else 'after'} it"
    return _WORDS[item.selection]
