"""The API's document as a page, with all that it needs from here."""

from importlib.resources import files

from aiohttp import web

from sensorflow.web.problems import not_found
from sensorflow.web.routes import Routes

#: The files of the page by name, with their types. `swagger-ui-*` are Swagger UI's own.
_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "start.js": "text/javascript",
}
_FOLDER = files("sensorflow.web") / "assets" / "docs"

#: All comes from here, and no script that stands in the page itself is run.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

routes = Routes("Service")


@routes.get("/docs", scope=None, answers="text/html", query=None)
async def show_docs(request: web.Request) -> web.Response:
    """Show this document as a page on which requests can be tried."""
    return _sent("index.html", "text/html")


@routes.get("/docs/{file}", scope=None, answers="text/javascript", query=None, documented=False)
async def show_docs_file(request: web.Request) -> web.Response:
    """Give a file of that page."""
    name = request.match_info["file"]
    if name not in _FILES:
        raise not_found(f'there is no file "{name}" of the page')
    return _sent(name, _FILES[name])


def _sent(name: str, kind: str) -> web.Response:
    response = web.Response(body=(_FOLDER / name).read_bytes(), content_type=kind, charset="utf-8")
    response.headers.update(_HEADERS)
    response.enable_compression()
    return response
