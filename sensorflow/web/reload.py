"""The definitions, read again."""

from aiohttp import web

from sensorflow.web import parameters
from sensorflow.web.api import API

routes = web.RouteTableDef()


@routes.post("/api/v1/reload")
async def reload(request: web.Request) -> web.Response:
    """Read the home's files again; where they cannot be used, 422 says why and the old ones stay."""
    parameters.only(request)
    return web.json_response(dict(await request.app[API].reload()))
