"""Puts the routes together, and stands around them: hosts, errors, the end of streams."""

import asyncio
import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from uuid_utils import uuid7

from sensorflow.core.errors import SensorflowError
from sensorflow.ports import StoreError
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
from sensorflow.web.bodies import ROOM, Room, too_large
from sensorflow.web.feed import Feed
from sensorflow.web.logs import STOPPING
from sensorflow.web.openapi import DOCUMENT, Document
from sensorflow.web.problems import ProblemError
from sensorflow.web.prompt import PROMPT, REQUEST_ID, prompt_routes
from sensorflow.web.rehearsals import STAGE, Stage
from sensorflow.web.routes import ANY_HOST, Route, add_routes, require_declared
from sensorflow.web.shares import SHARES, Shares
from sensorflow.web.stream import FEED

log = structlog.get_logger(__name__)

_PLAIN_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

_SUBJECTS = (
    *(health, metrics, ingest, lineage, hooks, handshake, callbacks, pipelines, runs, operations),
    *(logs, backfills, events, datasets, sensors, alerts, reload, stream, openapi, docs, tokens, rehearsals),
    *(match, grid, page),
)


def build_app(api: Api) -> web.Application:
    """Return the application that serves `api`; run it with `access_log=None`."""
    largest = max(api.body_limit, api.batch_limit)
    room = Room(largest)
    guard = _guard([api.host, *api.allowed_hosts], largest, room)
    app = web.Application(middlewares=[guard])
    app[API] = api
    app[ACCESS] = Access(api.store, open_without_tokens=api.open_without_tokens)
    app[STOPPING] = asyncio.Event()
    app[FEED] = Feed(api)
    app[STAGE] = Stage()
    app[SHARES] = Shares(api)
    app[ROOM] = room
    app.on_shutdown.append(_stop_streams)
    app.on_response_prepare.append(_mark_answer)
    add_routes(app, all_routes())
    require_declared(app)
    app[PROMPT] = prompt_routes(app, guard)
    app[DOCUMENT] = Document(all_routes())
    return app


def all_routes() -> list[Route]:
    """Return every route that the service answers."""
    return [route for subject in _SUBJECTS for route in subject.routes]


async def _stop_streams(app: web.Application) -> None:
    app[STOPPING].set()
    app[FEED].wake()


def _guard(allowed_hosts: Sequence[str], largest: int, room: Room) -> Middleware:
    """Return the middleware around every request: it checks host and size, and words every error."""
    allowed = frozenset(host.lower().strip("[]") for host in allowed_hosts)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = _request_id(request)
        try:
            if not request.path.startswith(ANY_HOST):
                _check_host(request, allowed)
            if (request.content_length or 0) > largest:
                # Before anybody is asked for a token: what is too large is not even looked at.
                raise too_large(largest)
            return await handler(request)
        except ConnectionError:
            raise  # The client has gone: nobody is left to be answered.
        except Exception as error:
            problem = _problem(error, request)
            if problem is None or request.writer.output_size:
                raise  # A part of the answer is out already; only the broken connection tells of it.
            answer = problems.response(problem, request[REQUEST_ID])
            if not request.content.is_eof():
                answer.force_close()  # What still comes of the body would be taken for a request.
            return answer
        finally:
            room.give_back(request)

    return guard


def _problem(error: Exception, request: web.Request) -> ProblemError | None:
    """Return what an error is answered with, and tell the log of what the service is to blame for."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, SensorflowError):
        if isinstance(error, StoreError):
            log.warning("the store does not answer", error=str(error), **_named(request))
        return problems.from_domain(error)
    if isinstance(error, web.HTTPException):
        return problems.from_http(error) if error.status >= HTTPStatus.BAD_REQUEST else None
    # What went wrong is for the log; the client learns only that it was not its fault.
    log.error("a request failed", exc_info=error, **_named(request))
    return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "the service failed; its log says how")


def _named(request: web.Request) -> dict[str, str]:
    return {"method": request.method, "path": request.path, "request_id": request[REQUEST_ID]}


def _request_id(request: web.Request) -> str:
    """Return what the sender calls the request, if that can be shown anywhere; else a new name."""
    sent = request.headers.get("X-Request-Id", "")
    return sent if _PLAIN_ID.fullmatch(sent) else str(uuid7())


async def _mark_answer(request: web.Request, response: web.StreamResponse) -> None:
    if REQUEST_ID in request:  # Else it was refused before, and its answer names it already.
        response.headers["X-Request-Id"] = request[REQUEST_ID]
    for name, value in problems.DATA_ONLY.items():
        response.headers.setdefault(name, value)


def _check_host(request: web.Request, allowed: frozenset[str]) -> None:
    """Refuse names that a foreign page could have pointed at this machine.

    Raises:
        ProblemError: 421, the `Host` is none of this service; 403, another site's page sent this.
    """
    host = request.headers.get("Host", "")
    if not _is_ours(f"//{host}", allowed):
        raise ProblemError(
            HTTPStatus.MISDIRECTED_REQUEST,
            f'expected a Host of this service (localhost, its address, an allowed host), found "{host}"',
        )
    origin = request.headers.get("Origin")
    if origin is not None and request.method not in ("GET", "HEAD") and not _is_ours(origin, allowed):
        raise ProblemError(
            HTTPStatus.FORBIDDEN, f'expected no Origin, or the one of this service, found "{origin}"'
        )


@lru_cache(maxsize=256)
def _is_ours(url: str, allowed: frozenset[str]) -> bool:
    try:
        name = urlsplit(url).hostname
    except ValueError:
        return False
    if name is None:
        return False
    if name == "localhost" or name in allowed:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
