"""Puts the routes together, and stands around them: hosts, errors, the end of streams."""

import asyncio
import ipaddress
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sensorflow.core.errors import SensorflowError
from sensorflow.ports import StoreError
from sensorflow.web import (
    alerts,
    backfills,
    callbacks,
    datasets,
    events,
    health,
    hooks,
    ingest,
    logs,
    operations,
    pipelines,
    problems,
    reload,
    runs,
    sensors,
)
from sensorflow.web.api import API, Api
from sensorflow.web.access import ACCESS, Access
from sensorflow.web.logs import STOPPING
from sensorflow.web.problems import ProblemError
from sensorflow.web.routes import Route, add_routes

log = structlog.get_logger(__name__)

#: Paths that answer whatever `Host` a request names: probes, and senders with proxies before us.
_ANY_HOST = ("/healthz", "/hooks/")

_SUBJECTS = (
    *(health, ingest, hooks, callbacks, pipelines, runs, operations, logs, backfills),
    *(events, datasets, sensors, alerts, reload),
)


def build_app(api: Api) -> web.Application:
    """Return the application that serves `api`; run it with `access_log=None`."""
    app = web.Application(middlewares=[_guard([api.host, *api.allowed_hosts])])
    app[ACCESS] = Access(api.store, open_without_tokens=api.open_without_tokens)
    app[API] = api
    app[STOPPING] = asyncio.Event()
    app.on_shutdown.append(_stop_streams)
    add_routes(app, all_routes())
    return app


def all_routes() -> list[Route]:
    """Return every route that the service answers."""
    return [route for subject in _SUBJECTS for route in subject.routes]


async def _stop_streams(app: web.Application) -> None:
    app[STOPPING].set()


def _guard(allowed_hosts: Sequence[str]) -> Middleware:
    """Return the middleware around every request: it checks the host and words every error."""
    allowed = frozenset(host.lower().strip("[]") for host in allowed_hosts)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if not request.path.startswith(_ANY_HOST):
                _check_host(request, allowed)
            return await handler(request)
        except ProblemError as error:
            return problems.response(error)
        except StoreError as error:
            log.warning("the store does not answer", path=request.path, error=str(error))
            return problems.response(problems.from_domain(error))
        except SensorflowError as error:
            return problems.response(problems.from_domain(error))
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            return problems.response(problems.from_http(error))
        except ConnectionError:
            raise  # The client has gone: nobody is left to be answered.
        except Exception:
            # What went wrong is for the log; the client learns only that it was not its fault.
            log.exception("a request failed", method=request.method, path=request.path)
            if request.writer.output_size:
                raise  # A part of the answer is out already; only the broken connection tells of it.
            return problems.response(
                ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "the service failed; its log says how")
            )

    return guard


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
