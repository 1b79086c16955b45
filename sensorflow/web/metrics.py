"""`GET /metrics`: how the service does, for Prometheus."""

import asyncio
from importlib import import_module

from aiohttp import web

from sensorflow.core.vocabulary import Scope
from sensorflow.web.api import API
from sensorflow.web.routes import Routes

routes = Routes("Service")


@routes.get("/metrics", scope=Scope.READ, answers="text/plain", query=None)
async def show_metrics(request: web.Request) -> web.Response:
    """Tell how the service does, in Prometheus's text format."""
    # Read when it is first asked for: a service that nobody scrapes starts without it.
    exposition = await asyncio.to_thread(import_module, "sensorflow.web.exposition")
    return web.Response(
        body=exposition.exposed(request.app[API]), headers={"Content-Type": exposition.CONTENT_TYPE}
    )
