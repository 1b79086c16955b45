"""The probes: the process lives; the service can take events."""

from http import HTTPStatus

from aiohttp import web

from sensorflow.web.api import API
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import Ok, answer

routes = Routes("Service")


@routes.get("/healthz", scope=None, answers=Ok, query=None)
async def healthz(request: web.Request) -> web.Response:
    """Answer as long as the process does."""
    return answer(Ok(status="ok"))


@routes.get(
    "/readyz",
    scope=None,
    answers={HTTPStatus.OK: Ok, HTTPStatus.SERVICE_UNAVAILABLE: Ok},
    query=None,
)
async def readyz(request: web.Request) -> web.Response:
    """Tell whether events are taken, and if not, why; 503 then."""
    found = request.app[API].not_ready()
    if found:
        return answer(Ok(status="not ready", problems=dict(found)), HTTPStatus.SERVICE_UNAVAILABLE)
    return answer(Ok(status="ready"))
