"""The page at `/`: a few files that use the public API and nothing from anywhere else."""

import re
from functools import cache
from hashlib import sha256
from importlib.resources import files
from posixpath import dirname, join, normpath

from aiohttp import web

from sensorflow.web.pagefiles import PageFile
from sensorflow.web.problems import not_found
from sensorflow.web.routes import Routes

_FOLDER = files("sensorflow.web") / "assets" / "page"
_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}
#: The module that the page begins with.
_FIRST = "app.js"
_IMPORT = re.compile(r'\bfrom\s*"(\.[^"]+)"')

#: All comes from here, and nothing that stands in the page itself, or in an event, is ever run.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
#: Asked again each time, and answered that it is the same: so a new service is a new page.
_ASKED_AGAIN = {**HEADERS, "Cache-Control": "no-cache"}
#: Their address changes with what they hold.
_KEPT = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}

routes = Routes("Service")


@routes.get("/", scope=None, answers="text/html", query=None)
async def show_page(request: web.Request) -> web.Response:
    """Show the page."""
    return _index().answer(request, _ASKED_AGAIN)


@routes.get("/page/{version}/{file:.+}", scope=None, answers="text/javascript", query=None, documented=False)
async def show_page_file(request: web.Request) -> web.Response:
    """Give a file of the page; who has a page of another version open gets the one of today."""
    name = request.match_info["file"]
    if name not in _contents():
        raise not_found(f'there is no file "{name}" of the page')
    return _file(name).answer(request, _KEPT if request.match_info["version"] == _version() else _ASKED_AGAIN)


@cache
def _index() -> PageFile:
    """Return the page itself: it names at once every module, which a browser else finds one after another."""
    place = f"page/{_version()}/"
    modules = "".join(f'<link rel="modulepreload" href="{place}{name}">\n' for name in _modules())
    text = (_FOLDER / "index.html").read_text("utf-8").replace('"page/', f'"{place}')
    return PageFile.of(text.replace("</head>", f"{modules}</head>").encode(), "text/html")


def _modules() -> list[str]:
    """Return the modules that the first one needs, and it."""
    found = [_FIRST]
    for name in found:
        needed = _IMPORT.findall(_contents()[name].decode())
        found += dict.fromkeys(
            each for path in needed if (each := normpath(join(dirname(name), path))) not in found
        )
    return found


@cache
def _file(name: str) -> PageFile:
    return PageFile.of(_contents()[name], _TYPES[name.rpartition(".")[2]])


@cache
def _version() -> str:
    """Return what names the files as they are."""
    digest = sha256()
    for name, body in _contents().items():
        digest.update(f"{name} {len(body)} ".encode() + body)
    return digest.hexdigest()[:12]


@cache
def _contents() -> dict[str, bytes]:
    """Return every file of the page by its name: what is not in here is not given away."""
    return {
        name: place.read_bytes()
        for folder in ("", "vendor/", "views/")
        for place in sorted((_FOLDER / folder if folder else _FOLDER).iterdir(), key=lambda each: each.name)
        if place.is_file() and (name := folder + place.name).rpartition(".")[2] in _TYPES
    }
