"""The HTTP server around the application: what cannot be parsed is answered as all else."""

from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from uuid_utils.compat import uuid7

from sensorflow.web import problems
from sensorflow.web.problems import ProblemError

log = structlog.get_logger(__name__)


class _Protocol(RequestHandler):
    """One connection."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp refuses before any route is asked, and hang up."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        # Whoever reaches the port can send garbage, so it is not worth a line of the log, or a traceback.
        request_id = str(uuid7())
        reason = (message or "").partition("\n")[0].rstrip(":. ") or "bytes that are none"
        log.debug("a request could not be parsed", request_id=request_id, error=reason)
        found = ProblemError(HTTPStatus(status), f"expected a request of HTTP/1.1, found: {reason}")
        response = problems.response(found, request_id)
        response.headers["X-Request-Id"] = request_id
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs the application."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            **made._kwargs,
        )
