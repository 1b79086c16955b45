"""Puts the routes together, and stands around them: hosts, errors, the end of streams."""

import asyncio

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sensorflow.web import (
    alerts,
    backfills,
    callbacks,
    datasets,
    docs,
    events,
    grid,
    handshake,
    health,
    hooks,
    ingest,
    lineage,
    logs,
    match,
    metrics,
    openapi,
    operations,
    page,
    pipelines,
    problems,
    rehearsals,
    reload,
    runs,
    sensors,
    stream,
    tokens,
)
from sensorflow.web.access import ACCESS, Access
from sensorflow.web.api import API, Api
from sensorflow.web.bodies import ROOM, Room
from sensorflow.web.feed import Feed
from sensorflow.web.guard import REQUEST_ID, Guard
from sensorflow.web.logs import STOPPING
from sensorflow.web.openapi import DOCUMENT, Document
from sensorflow.web.prompt import PROMPT, prompt_routes
from sensorflow.web.rehearsals import STAGE, Stage
from sensorflow.web.routes import DECLARED, Route, add_routes, require_declared
from sensorflow.web.shares import SHARES, Shares
from sensorflow.web.stream import FEED

log = structlog.get_logger(__name__)

_SUBJECTS = (
    *(health, metrics, ingest, lineage, hooks, handshake, callbacks, pipelines, runs, operations),
    *(logs, backfills, events, datasets, sensors, alerts, reload, stream, openapi, docs, tokens, rehearsals),
    *(match, grid, page),
)


def build_app(api: Api) -> web.Application:
    """Return the application that serves `api`; run it with `access_log=None`."""
    largest = max(api.body_limit, api.batch_limit)
    room = Room(largest)
    guard = Guard([api.host, *api.allowed_hosts], largest, room)
    app = web.Application(middlewares=[_guard_what_is_no_route(guard)])
    app[API] = api
    app[ACCESS] = Access(api.store, open_without_tokens=api.open_without_tokens)
    app[STOPPING] = asyncio.Event()
    app[FEED] = Feed(api)
    app[STAGE] = Stage()
    app[SHARES] = Shares(api)
    app[ROOM] = room
    app.on_shutdown.append(_stop_streams)
    app.on_response_prepare.append(_mark_answer)
    add_routes(app, guard, all_routes())
    require_declared(app)
    app[PROMPT] = prompt_routes(app)
    app[DOCUMENT] = Document(all_routes())
    return app


def all_routes() -> list[Route]:
    """Return every route that the service answers."""
    return [route for subject in _SUBJECTS for route in subject.routes]


async def _stop_streams(app: web.Application) -> None:
    app[STOPPING].set()
    app[FEED].wake()


def _guard_what_is_no_route(guard: Guard) -> Middleware:
    """Return what stands around paths that lead nowhere; routes have the guard in themselves."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_route = request.match_info.handler in request.app[DECLARED]
        return await (handler if is_route else guard.around(handler))(request)

    return around


async def _mark_answer(request: web.Request, response: web.StreamResponse) -> None:
    if REQUEST_ID in request:  # Else it was refused before, and its answer names it already.
        response.headers["X-Request-Id"] = request[REQUEST_ID]
    for name, value in problems.DATA_ONLY.items():
        response.headers.setdefault(name, value)
