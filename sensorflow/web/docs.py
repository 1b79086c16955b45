"""The API's document as a page, with all that it needs from here."""

from functools import cache
from importlib.resources import files

from aiohttp import web

from sensorflow.web.pagefiles import PageFile
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
    return _file("index.html", "text/html").answer(request, _HEADERS)


@routes.get("/docs/{file}", scope=None, answers="text/javascript", query=None, documented=False)
async def show_docs_file(request: web.Request) -> web.Response:
    """Give a file of that page."""
    name = request.match_info["file"]
    if name not in _FILES:
        raise not_found(f'there is no file "{name}" of the page')
    return _file(name, _FILES[name]).answer(request, _HEADERS)


@cache
def _file(name: str, kind: str) -> PageFile:
    return PageFile.of((_FOLDER / name).read_bytes(), kind)
