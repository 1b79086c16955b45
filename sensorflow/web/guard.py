"""What stands around every route: it checks host and size, names the request, and words every error."""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from uuid_utils import uuid7

from sensorflow.core.errors import SensorflowError
from sensorflow.ports import StoreError
from sensorflow.web import problems
from sensorflow.web.bodies import Room, require_packing, too_large
from sensorflow.web.problems import ProblemError

log = structlog.get_logger(__name__)

#: Paths that answer whatever `Host` a request names.
ANY_HOST = ("/healthz", "/hooks/")
#: What a request is called in its answer and in the log.
REQUEST_ID = web.RequestKey("request_id", str)
_PLAIN_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class Guard:
    """Lets requests in, and answers for what goes wrong with them.

    A route calls it by itself: one coroutine less around each handler than a middleware is.
    """

    def __init__(self, allowed_hosts: Sequence[str], largest: int, room: Room) -> None:
        """Prepare it.

        Args:
            allowed_hosts: Those beside the loopback names.
            largest: Bytes of the largest body that any route takes.
        """
        self._allowed = frozenset(host.lower().strip("[]") for host in allowed_hosts)
        self._largest = largest
        self._room = room

    def enter(self, request: web.Request) -> None:
        """Name a request, as its sender does if that can be shown anywhere, and look at it from outside.

        This comes before anybody is asked for a token.

        Raises:
            ProblemError: 421, 403, 413, 415.
        """
        headers = request.headers
        sent = headers.get("X-Request-Id")
        request[REQUEST_ID] = sent if sent and _PLAIN_ID.fullmatch(sent) else str(uuid7())
        is_ours = "Origin" not in headers and _is_ours(f"//{headers.get('Host', '')}", self._allowed)
        if not is_ours and not request.path.startswith(ANY_HOST):
            _check_host(request, self._allowed)
        if (request.content_length or 0) > self._largest:
            raise too_large(self._largest)
        if "Content-Encoding" in headers and request.body_exists:
            require_packing(request)

    def answer_to(self, error: Exception, request: web.Request) -> web.Response:
        """Return what an error is answered with, or raise it where nobody is left to be answered."""
        problem = None if isinstance(error, ConnectionError) else _problem(error, request)
        if problem is None or request.writer.output_size:
            raise error  # A part of the answer is out already; only the broken connection tells of it.
        answer = problems.response(problem, request[REQUEST_ID])
        if not request.content.is_eof():
            answer.force_close()  # What still comes of the body would be taken for a request.
        return answer

    def leave(self, request: web.Request) -> None:
        """See that nothing is kept of a request that is answered."""
        self._room.give_back(request)

    def around(self, handler: Handler) -> Handler:
        """Return a handler within the guard."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self.enter(request)
                return await handler(request)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told or raised again
                return self.answer_to(error, request)
            finally:
                self.leave(request)

        return guarded


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
