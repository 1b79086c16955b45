"""The log of an attempt: as it is, or as it comes."""

import asyncio
import codecs
import os
from pathlib import Path
from typing import IO

from aiohttp import web

from sensorflow.core.state import RunRow
from sensorflow.core.states import ENDED, AttemptState
from sensorflow.core.vocabulary import Scope
from sensorflow.web.access import is_still_admitted
from sensorflow.web.api import API, Api
from sensorflow.web.parameters import Flag, NumberFromOne, Query
from sensorflow.web.problems import not_found
from sensorflow.web.routes import Routes
from sensorflow.web.runs import run_of_path

#: Between two looks at a log that is followed. Nothing is looked at while nobody follows.
FOLLOW_EVERY_S = 0.2
_CHUNK = 64 * 1024

#: Set when the service ends, so that those who follow a log are let go.
STOPPING = web.AppKey("stopping", asyncio.Event)

routes = Routes("Runs")


class LogQuery(Query):
    """Which log is asked for."""

    #: The number of the attempt, the newest where it is left out.
    attempt: NumberFromOne | None = None
    #: 1: go on until the attempt has ended; of a task that has not started yet, wait until it does.
    follow: Flag = 0


@routes.get("/api/v1/runs/{id}/tasks/{task}/log", scope=Scope.READ, limited=True, answers="text/plain")
async def show_log(request: web.Request, query: LogQuery) -> web.StreamResponse:
    """Send an attempt's output; with `follow=1` until the attempt has ended.

    One that has not started yet is waited for then, for as long as it may start.
    """
    api = request.app[API]
    run = run_of_path(request)
    task = request.match_info["task"]
    number = _attempt_number(api, run, task, query)
    key, path = (run.id, task, number), api.log_path(run.id, task, number)
    # An attempt has the folder before it starts.
    if _is_over(api, key) and not await asyncio.to_thread(path.parent.exists):
        raise not_found(f"the logs of run {run.id} are not kept any more (retention_logs)")
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/plain; charset=utf-8",
            "X-Accel-Buffering": "no",
            "X-Attempt": str(number),
        }
    )
    await response.prepare(request)
    if request.method != "HEAD":
        await _send(request, response, path, key, follow=bool(query.follow))
    await response.write_eof()
    return response


def _attempt_number(api: Api, run: RunRow, task: str, query: LogQuery) -> int:
    """Return the number of the attempt, the newest where none is named; who follows may name the next one.

    Raises:
        ProblemError: 404, there is no such task or no such attempt.
    """
    row = api.store.reader.task(run.id, task)
    pipeline = api.definitions().pipelines.get(run.pipeline)
    if row is None and (pipeline is None or task not in pipeline.tasks):
        raise not_found(f'there is no task "{task}" in {run.pipeline}')
    attempts = row.attempts if row else 0
    number = query.attempt or attempts or 1
    if api.store.reader.attempt(run.id, task, number) is not None:
        return number
    may_start = _may_start(api, run.id, task)
    if query.follow and number == attempts + 1 and may_start:
        return number
    if attempts:
        raise not_found(f"there is no attempt {number} of {task}; there are 1 to {attempts}")
    if may_start:
        raise not_found(f"{task} has not started yet; `why` says what it waits for")
    raise not_found(f"{task} has not run; `why` says why not")


async def _send(
    request: web.Request,
    response: web.StreamResponse,
    path: Path,
    key: tuple[str, str, int],
    *,
    follow: bool,
) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    api, stopping = request.app[API], request.app[STOPPING]
    log: IO[bytes] | None = None
    try:
        while True:
            # Asked before the read: what is written until the attempt's end is read after it.
            is_over = _is_over(api, key)
            log = log or await asyncio.to_thread(_open, path)
            while log is not None and (chunk := await asyncio.to_thread(log.read, _CHUNK)):
                piece, begun = api.masked_piece(chunk)
                if is_over:  # The log is masked by now, so this is no beginning of a secret.
                    piece, begun = piece + begun, b""
                log.seek(-len(begun), os.SEEK_CUR)
                if not piece:
                    break  # More than the beginning of what may be a secret is still to come.
                await response.write(decoder.decode(piece).encode())
            gone = request.transport is None or request.transport.is_closing()
            if is_over or not follow or gone or stopping.is_set() or not is_still_admitted(request):
                await response.write(decoder.decode(b"", final=True).encode())
                return
            await _wait(stopping, FOLLOW_EVERY_S)
    finally:
        if log is not None:
            log.close()


def _is_over(api: Api, key: tuple[str, str, int]) -> bool:
    """Tell whether no more of a log is to come."""
    attempt = api.store.reader.attempt(*key)
    if attempt is None:
        return not _may_start(api, *key[:2])
    return attempt.state is not AttemptState.RUNNING


def _may_start(api: Api, run_id: str, task: str) -> bool:
    """Tell whether a further attempt of a task may start without anybody's word."""
    run, row = api.store.reader.run(run_id), api.store.reader.task(run_id, task)
    return run is not None and run.open and (row is None or row.state not in ENDED)


def _open(path: Path) -> IO[bytes] | None:
    """Open a log; None where nothing was written yet, or where it is no longer kept."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
