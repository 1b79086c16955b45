"""What operators do to runs: make, retry, cancel, mark."""

from http import HTTPStatus

from aiohttp import web

from sensorflow.core.errors import PartitionError
from sensorflow.core.messages import CancelRun, Made, MakeRun, MarkTask, RetryTasks
from sensorflow.core.partitions import read_partition
from sensorflow.core.states import TaskState
from sensorflow.core.vocabulary import Partitioning, Scope
from sensorflow.web.access import caller_of, require_pipeline
from sensorflow.web.api import API
from sensorflow.web.pipelines import known_pipeline
from sensorflow.web.problems import unusable
from sensorflow.web.requests import MarkBody, ReasonBody, RetryBody, RunBody
from sensorflow.web.routes import Routes
from sensorflow.web.runs import run_detail, run_of_path
from sensorflow.web.schemas import RunDetail, answer

routes = Routes("Runs")


@routes.post(
    "/api/v1/runs",
    scope=Scope.OPERATE,
    limited=True,
    answers={HTTPStatus.CREATED: RunDetail, HTTPStatus.OK: RunDetail},
    problems={HTTPStatus.NOT_FOUND: "there is no such pipeline", HTTPStatus.CONFLICT: "its run is running"},
)
async def make_run(request: web.Request, body: RunBody) -> web.Response:
    """Make a pipeline's run for a partition: 201 where there was none, else 200."""
    api = request.app[API]
    require_pipeline(caller_of(request), body.pipeline)
    pipeline = known_pipeline(api, body.pipeline)
    partition = sent_partition(pipeline.partitioning, body.partition, "/partition")
    message = MakeRun(pipeline=pipeline.name, partition=partition, force=body.force, reason=body.reason)
    try:
        made = await api.submit(message)
    except PartitionError as error:  # It lies outside of what the pipeline runs for.
        raise unusable(error, "/partition", body.partition) from None
    assert isinstance(made, Made), "a run that is asked for is answered with its id"
    run = api.store.reader.run(made.id)
    assert run is not None, "a run that was made is stored"
    status = HTTPStatus.CREATED if made.created else HTTPStatus.OK
    return answer(run_detail(api, run), status, {"Location": f"/api/v1/runs/{run.id}"})


@routes.post(
    "/api/v1/runs/{id}/retry",
    scope=Scope.OPERATE,
    limited=True,
    answers=RunDetail,
    problems={HTTPStatus.CONFLICT: "there is nothing to retry, or a named task waits or runs"},
)
async def retry_run(request: web.Request, body: RetryBody) -> web.Response:
    """Try failed tasks again, in the same generation; tasks that ended well, in the next."""
    api = request.app[API]
    run = run_of_path(request)
    await api.submit(
        RetryTasks(run_id=run.id, tasks=tuple(body.tasks), downstream=body.downstream, reason=body.reason)
    )
    return answer(run_detail(api, run_of_path(request)))


@routes.post(
    "/api/v1/runs/{id}/cancel",
    scope=Scope.OPERATE,
    limited=True,
    answers=RunDetail,
    problems={HTTPStatus.CONFLICT: "it has ended"},
)
async def cancel_run(request: web.Request, body: ReasonBody) -> web.Response:
    """Let nothing more of a run happen; its attempts are stopped."""
    api = request.app[API]
    run = run_of_path(request)
    await api.submit(CancelRun(run_id=run.id, reason=body.reason))
    return answer(run_detail(api, run_of_path(request)))


@routes.post(
    "/api/v1/runs/{id}/tasks/{task}/mark",
    scope=Scope.OPERATE,
    limited=True,
    answers=RunDetail,
    problems={HTTPStatus.CONFLICT: "the task runs, or is done"},
)
async def mark_task(request: web.Request, body: MarkBody) -> web.Response:
    """Let a task that does not run count as done."""
    api = request.app[API]
    run = run_of_path(request)
    await api.submit(
        MarkTask(
            run_id=run.id,
            task=request.match_info["task"],
            state=TaskState(body.state),
            reason=body.reason,
        )
    )
    return answer(run_detail(api, run_of_path(request)))


def sent_partition(partitioning: Partitioning, value: str | None, where: str) -> str:
    """Return the partition that somebody names, in its one spelling.

    Args:
        where: The place in the body, as a JSON pointer.

    Raises:
        ProblemError: 422, it is none.
    """
    try:
        return read_partition(partitioning, value)
    except PartitionError as error:
        raise unusable(error, where, value) from None
