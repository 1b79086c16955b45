"""The page at `/`: a few files that use the public API and nothing from anywhere else."""

from functools import cache
from importlib.resources import files

from aiohttp import web

from sensorflow.web.problems import not_found
from sensorflow.web.routes import Routes

_FOLDER = files("sensorflow.web") / "assets" / "page"
_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}

#: All comes from here, and nothing that stands in the page itself, or in an event, is ever run.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

routes = Routes("Service")


@routes.get("/", scope=None, answers="text/html", query=None)
async def show_page(request: web.Request) -> web.Response:
    """Show the page."""
    return _sent(request, "index.html")


@routes.get("/page/{file:.+}", scope=None, answers="text/javascript", query=None, documented=False)
async def show_page_file(request: web.Request) -> web.Response:
    """Give a file of the page."""
    return _sent(request, request.match_info["file"])


def _sent(request: web.Request, name: str) -> web.Response:
    found = _contents().get(name)
    if found is None:
        raise not_found(f'there is no file "{name}" of the page')
    response = web.Response(body=found, content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8")
    response.headers.update(HEADERS)
    response.enable_compression()
    return response


@cache
def _contents() -> dict[str, bytes]:
    """Return every file of the page by its name: what is not in here is not given away."""
    return {
        name: place.read_bytes()
        for folder in ("", "vendor/", "views/")
        for place in (_FOLDER / folder if folder else _FOLDER).iterdir()
        if place.is_file() and (name := folder + place.name).rpartition(".")[2] in _TYPES
    }
