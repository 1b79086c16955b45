"""The HTTP server around the application.

What cannot be parsed is answered as all else. A connection that keeps the service waiting is closed, and
there are never more of them than it bears: aiohttp by itself waits for the headers of a request for as
long as the connection lives. What a body may take is limited where it is read, in `bodies`.
"""

import asyncio
import socket
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import structlog
from aiohttp import StreamReader, web
from aiohttp.http import HttpVersion11, RawRequestMessage, StreamWriter
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.web_protocol import RequestHandler, _ErrInfo
from uuid_utils import uuid7

from sensorflow.web import problems
from sensorflow.web.bodies import packed_otherwise
from sensorflow.web.guard import REQUEST_ID
from sensorflow.web.problems import ProblemError
from sensorflow.web.prompt import PROMPT, Answering, Prompt, head_of

log = structlog.get_logger(__name__)

#: What an idle connection may be kept for its next request: longer than proxies keep theirs, so that it is
#: not closed under a request that is on its way.
_KEEPALIVE_S = 75.0
#: Bytes of an answer that goes out in one piece with its headers.
_SMALL = 64 * 1024
#: What is read of a body after its request was refused, so that its sender comes to read why.
_LINGERING_S = 2.0
#: What a client may take without taking anything of what is sent to it.
_STALLED_S = 120.0

#: What the store, the loop and the sensors have open, and what comes and goes beside them.
_OWN_FILES = 24
#: An attempt has a log and a channel to its process, and twice as many while it starts.
_FILES_OF_ATTEMPT = 4
#: However few files there may be, somebody must be able to ask.
_FEWEST = 4
#: The log is told so often that connections cannot be taken.
_TELL_S = 60.0

_FULL_PROBLEM = (
    b'{"type":"about:blank","title":"Service Unavailable","status":503,'
    b'"detail":"too many connections are open; come back later, or use one for many requests"}'
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: application/problem+json\r\n%sContent-Length: %d\r\n\r\n%s"
) % (
    b"".join(f"{name}: {value}\r\n".encode() for name, value in problems.DATA_ONLY.items()),
    len(_FULL_PROBLEM),
    _FULL_PROBLEM,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What strangers may ask of the server before they have said anything."""

    #: What the headers of a request may take.
    header_timeout_s: float
    #: How many connections may be open at once; the control socket is always open.
    connections: int


def connections_within(files: int, workers: int) -> int:
    """Return how many connections leave room for all else that a process needs files for.

    Args:
        files: How many it may have open.
        workers: How many attempts may run at once.
    """
    return max(_FEWEST, files - _OWN_FILES - _FILES_OF_ATTEMPT * workers)


class _Protocol(RequestHandler):
    """One connection."""

    def __init__(self, server: "_Server", limits: Limits, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._limits = limits
        #: When the connection is closed unless the headers of a request are there; None: not at all.
        self._due_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._sent_away = False
        #: A request is being answered at once: the task of the connection waits for the next one meanwhile.
        self._at_once = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._server.is_full(transport):
            self._sent_away = True
            cast(asyncio.Transport, transport).write(_FULL)
            transport.close()
            return
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._due_at = None
        for timer in (self._timer, self._stalled):
            if timer is not None:
                timer.cancel()
        if self._waiter is not None and self._waiter.done() and self._task_handler is not None:
            self._task_handler.cancel()  # It was woken for a request, and would miss what goes now.
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._sent_away:
            return
        # The task of the connection is not woken before it is clear that it is needed.
        waiter, self._waiter = self._waiter, None
        super().data_received(data)
        self._waiter = waiter
        if self._messages or self._request_in_progress:
            self._due_at = None
            self._go_on()
        elif self._due_at is None:
            self._await_headers()

    def _go_on(self) -> None:
        """Answer at once what has come, or wake the task of the connection for it, if it waits."""
        while self._messages and not self._at_once and self._waiter is not None and not self._waiter.done():
            message, payload = self._messages[0]
            prompt = self._server.prompt(message, payload)
            if prompt is None or self._paused or self._buffer_paused:
                self._waiter.set_result(None)
                return
            self._messages.popleft()
            cast(Any, self._parser).message_consumed()
            self._server.requests_count += 1
            request: web.Request = cast(Any, self._request_factory)(
                message, payload, self, StreamWriter(self, self._loop), self._task_handler
            )
            request._match_info = prompt.match
            self._at_once = self._request_in_progress = True
            self._step(request, prompt.handler(request))

    def _step(self, request: web.Request, answering: Answering) -> None:
        """Let a handler go on until it waits, or send what it returns."""
        try:
            waits_for = answering.send(None)
            if waits_for is None:  # It lets others have their turn.
                self._loop.call_soon(self._stepped, request, answering, None)
                return
            waits_for._asyncio_future_blocking = False  # As a task does that takes over a future.
            waits_for.add_done_callback(partial(self._stepped, request, answering))
        except StopIteration as ended:
            self._end_at_once(request, ended.value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a fault of ours, as aiohttp tells it
            self.log_exception("Unhandled exception", exc_info=error)
            self.force_close()
            self._end_at_once(request, None)

    def _stepped(self, request: web.Request, answering: Answering, _: "asyncio.Future[Any] | None") -> None:
        self._step(request, answering)
        self._go_on()

    def _end_at_once(self, request: web.Request, response: web.Response | None) -> None:
        self._at_once = self._request_in_progress = False
        if response is not None and self.transport is not None:
            try:
                self._send(self.transport, request, response)
            except Exception as error:  # noqa: BLE001 - a fault of ours, as aiohttp tells it
                self.log_exception("Unhandled exception", exc_info=error)
                self.force_close()
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        if not self._force_close:
            self._next_keepalive_close_time = self._loop.time() + _KEEPALIVE_S
            if self._keepalive_handle is None:
                self._process_keepalive()

    def _send(self, transport: asyncio.Transport, request: web.Request, response: web.Response) -> None:
        body = response.body
        assert isinstance(body, bytes | bytearray), "what is answered at once is made whole"
        last = not request.keep_alive or response.keep_alive is False
        head = head_of(response, request[REQUEST_ID], len(body), last=last)
        if len(body) <= _SMALL:
            transport.write(head + body)
        else:  # Not copied once more.
            transport.write(head)
            transport.write(body)
        if last:
            self.force_close()

    def _process_keepalive(self) -> None:
        if self._at_once:
            self._keepalive_handle = None  # The connection is not idle. Its end sets it anew.
        else:
            super()._process_keepalive()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # A body that is read makes aiohttp parse what was held back. Of one that has come whole nothing was.
        if not self._at_once or self._reading_paused:
            super().resume_reading(resume_parser)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self._loop.call_later(_STALLED_S, self.force_close)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _await_headers(self) -> None:
        self._due_at = self._loop.time() + self._limits.header_timeout_s
        if self._timer is None:  # One timer for many requests: where it comes too early it looks again.
            self._timer = self._loop.call_at(self._due_at, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due_at is None:
            return
        if self._loop.time() < self._due_at:
            self._timer = self._loop.call_at(self._due_at, self._look)
        else:
            self.force_close()

    def log_exception(self, *args: Any, **more: Any) -> None:
        """Log a fault of ours; not a client that has gone, or whose body is not what its headers say."""
        if not isinstance(more.get("exc_info"), web.RequestPayloadError | ConnectionError):
            super().log_exception(*args, **more)

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
        reason = (message or "").partition("\n")[0].rstrip(":. ") or "bytes that are none"
        log.debug("a request could not be parsed", error=reason)
        if isinstance(exc, ContentEncodingError):
            found = packed_otherwise()
        else:
            found = ProblemError(HTTPStatus(status), f"expected a request of HTTP/1.1, found: {reason}")
        return _refusal(found)

    async def finish_response(
        self, request_obj: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Word what aiohttp refuses before the application is asked: an `Expect` that it does not know."""
        if isinstance(resp, web.HTTPExpectationFailed):
            found = f'expected no Expect, or 100-continue, found "{request_obj.headers["Expect"]}"'
            resp = _refusal(ProblemError(HTTPStatus.EXPECTATION_FAILED, found))
        return await super().finish_response(request_obj, resp, start_time)


def _refusal(problem: ProblemError) -> web.Response:
    """Return the answer to what no route was asked for; what else comes on the connection is not read."""
    request_id = str(uuid7())
    response = problems.response(problem, request_id)
    response.headers["X-Request-Id"] = request_id
    response.force_close()
    return response


class _Server(web.Server):
    """Makes the connections."""

    def __init__(self, made: web.Server, app: web.Application, limits: Limits) -> None:
        super().__init__(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            **made._kwargs,
        )
        self._limits = limits
        self._was_full = False
        self._prompt = app[PROMPT]

    def __call__(self) -> RequestHandler:
        return _Protocol(self, self._limits, loop=self._loop, **self._kwargs)

    def prompt(self, message: RawRequestMessage | _ErrInfo, payload: StreamReader) -> Prompt | None:
        """Return how a request is answered at once; None: it is for the task of its connection.

        That one gets what has not come whole, and what only aiohttp's own way knows.
        """
        if isinstance(message, _ErrInfo) or not payload.is_eof() or payload.exception() is not None:
            return None
        if message.version != HttpVersion11 or message.upgrade or "Expect" in message.headers:
            return None
        return self._prompt.get((message.method, message.path))

    def is_full(self, transport: asyncio.BaseTransport) -> bool:
        """Tell whether there is no room for a connection; the log is told when that begins."""
        if transport.get_extra_info("socket").family == socket.AF_UNIX:
            return False  # The owner of the home must get in when others fill the door.
        full = len(self.connections) >= self._limits.connections
        if full and not self._was_full:
            log.warning("too many connections are open; others are sent away", open=len(self.connections))
        self._was_full = full
        return full


class Complaints:
    """What asyncio complains of: told once a minute where connections cannot be taken, else as ever.

    asyncio would write a traceback for each place in the queue of connections, again every second.
    """

    def __init__(self) -> None:
        self._told_at = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not str(context.get("message", "")).startswith("socket.accept() out of system resource"):
            loop.default_exception_handler(context)
        elif loop.time() - self._told_at >= _TELL_S:
            self._told_at = loop.time()
            log.warning("no files are left for connections; callers wait", error=str(context["exception"]))


class Runner(web.AppRunner):
    """Runs the application."""

    def __init__(self, app: web.Application, limits: Limits) -> None:
        super().__init__(app, access_log=None, keepalive_timeout=_KEEPALIVE_S, lingering_time=_LINGERING_S)
        self._limits = limits

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self.app, self._limits)
