"""What waits for nothing but the store, and comes whole, is answered without a task and without the router.

An event that is posted by itself costs more in the server around its handler than in all that is decided of
it. The guard and the handler are those that the router would lead to; only what carries them differs.
"""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeAlias, cast

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.web_urldispatcher import UrlMappingMatchInfo

from sensorflow.web import problems
from sensorflow.web.routes import DECLARED

Answering: TypeAlias = Coroutine[Any, Any, web.Response]


class Prompt(NamedTuple):
    """A route that is answered at once, as the router would find it."""

    match: UrlMappingMatchInfo
    #: It awaits nothing but futures and turns of the loop, and asks for no task.
    handler: Callable[[web.Request], Answering]


#: By method and path.
PROMPT = web.AppKey("prompt", dict[tuple[str, str], Prompt])


def prompt_routes(app: web.Application) -> dict[tuple[str, str], Prompt]:
    """Return the routes of an application that may be answered at once."""
    found: dict[tuple[str, str], Prompt] = {}
    for route in app.router.routes():
        declared = app[DECLARED][route.handler]
        if declared.prompt:
            match = UrlMappingMatchInfo({}, route)
            match.add_app(app)
            match.freeze()
            found[declared.method, declared.path] = Prompt(match, cast(Any, route.handler))
    return found


_ALWAYS = "".join(
    f"{name}: {value}\r\n" for name, value in {**problems.DATA_ONLY, "Server": SERVER_SOFTWARE}.items()
)
_LAST = "Connection: close\r\n"


def head_of(response: web.Response, request_id: str, length: int, *, last: bool) -> bytes:
    """Return all but the body of an answer as it goes over the wire, with what every answer has.

    Args:
        length: Bytes of the body.
        last: The connection ends with it.
    """
    lines = ""
    for name, value in response.headers.items():
        if name not in problems.DATA_ONLY:
            if "\n" in value or "\r" in value:
                raise ValueError(f"the header {name} of an answer has a line break")
            lines += f"{name}: {value}\r\n"
    head = (
        f"HTTP/1.1 {response.status} {response.reason}\r\n{lines}{_ALWAYS}X-Request-Id: {request_id}\r\n"
        f"Date: {rfc822_formatted_time()}\r\nContent-Length: {length}\r\n"
        f"{_LAST if last else ''}\r\n"
    )
    return head.encode()
