"""`GET /api/v1/stream`: what changes, as it changes, as server-sent events."""

import asyncio

from aiohttp import web

from sensorflow.core.tokens import Caller
from sensorflow.core.vocabulary import Scope
from sensorflow.web.access import caller_of, is_still_admitted
from sensorflow.web.api import API
from sensorflow.web.feed import Feed, Notice
from sensorflow.web.logs import STOPPING
from sensorflow.web.notices import NOTICES, ResetNotice
from sensorflow.web.parameters import Query, TextParameter, wrong_parameter
from sensorflow.web.routes import Routes

#: Where nothing changes, so often something is sent all the same: proxies hang up on what is silent.
PING_S = 15.0
_RETRY_MS = 1000

FEED = web.AppKey("feed", Feed)

routes = Routes("Stream")


class StreamQuery(Query):
    """What is followed."""

    #: Only what is of this pipeline, or of the datasets that it reads and makes.
    pipeline: TextParameter = None


@routes.get(
    "/api/v1/stream",
    scope=Scope.READ,
    limited=True,
    answers="text/event-stream",
    notices=NOTICES,
    headers={"Last-Event-ID": "The id that was seen last: go on behind it."},
)
async def follow(request: web.Request, query: StreamQuery) -> web.StreamResponse:
    """Send what changes, as server-sent events, for as long as the connection lasts.

    The first is a `reset`: read what you show, the changes after that moment follow. Whoever comes back with
    `Last-Event-ID` gets what came behind that id and no `reset`; where that is no longer known, or who reads
    is too slow, a `reset` says to read all again.
    """
    caller = caller_of(request)
    known = sorted(name for name in request.app[API].definitions().pipelines if caller.sees(name))
    if query.pipeline is not None and query.pipeline not in known:
        raise wrong_parameter(
            "pipeline", f"a pipeline ({', '.join(known) or 'there is none'})", query.pipeline
        )
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    feed = request.app[FEED]
    with feed.followed():
        await response.prepare(request)
        if request.method != "HEAD":
            await _send(request, response, feed, _Wanted(caller, query.pipeline))
    await response.write_eof()
    return response


class _Wanted:
    """Which notices somebody gets."""

    def __init__(self, caller: Caller, pipeline: str | None) -> None:
        self._caller = caller
        self._pipeline = pipeline

    def __contains__(self, notice: Notice) -> bool:
        if notice.whose is None:
            return True
        if self._pipeline is not None and self._pipeline not in notice.whose:
            return False
        return self._caller.pipelines is None or any(self._caller.sees(name) for name in notice.whose)


async def _send(request: web.Request, response: web.StreamResponse, feed: Feed, wanted: _Wanted) -> None:
    stopping = request.app[STOPPING]
    given = request.headers.get("Last-Event-ID")
    number = None if given is None else feed.number_of(given)
    opening = f"retry: {_RETRY_MS}\n\n"
    if number is None:
        number = feed.last
        opening += _reset(feed, number, "start" if given is None else "unknown")
    await response.write(opening.encode())
    while not stopping.is_set() and not _is_gone(request) and is_still_admitted(request):
        if not feed.knows(number):
            number = feed.last
            await response.write(_reset(feed, number, "unknown").encode())
        elif feed.last > number:
            notices = feed.behind(number)
            number = notices[-1].number
            told = "".join(_spelled(feed, notice) for notice in notices if notice in wanted)
            # Also where nothing is told of, so that who comes back need not go through it again.
            await response.write((told or f"id: {feed.id_of(number)}\n\n").encode())
        elif not await _changed(feed):
            await response.write(b": ping\n\n")


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _changed(feed: Feed) -> bool:
    """Wait for a change; False where none comes for a while."""
    try:
        async with asyncio.timeout(PING_S):
            await feed.more()
    except TimeoutError:
        return False
    return True


def _reset(feed: Feed, number: int, reason: str) -> str:
    data = ResetNotice(reason=reason).model_dump_json()
    return f"id: {feed.id_of(number)}\nevent: reset\ndata: {data}\n\n"


def _spelled(feed: Feed, notice: Notice) -> str:
    return f"id: {feed.id_of(notice.number)}\nevent: {notice.kind}\ndata: {notice.data}\n\n"
