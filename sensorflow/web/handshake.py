"""The handshake of the webhook specification of CloudEvents: a sender asks whether it may send."""

import re

from aiohttp import web

from sensorflow.web.hooks import hook_sensor
from sensorflow.web.problems import bad_request
from sensorflow.web.routes import Routes, methods_of

#: A DNS name, as of the sender's system.
_ORIGIN = re.compile(r"[A-Za-z0-9*_.:/-]{1,255}")

routes = Routes("Telling it")

_ANSWERS = {"answers": "text/plain", "query": None}


# The specification's handshake settles no authorization, and many senders send no token with it. It tells
# nothing: what is sent then needs one.
@routes.options("/api/v1/events", scope=None, **_ANSWERS)
async def ask_to_send(request: web.Request) -> web.Response:
    """Let a sender of CloudEvents ask whether it may send: it may, as often as it likes."""
    return _granted(request)


@routes.options("/hooks/{sensor}", scope=None, operation="ask_to_call_shared_hook", **_ANSWERS)
@routes.options("/hooks/{pipeline}/{sensor}", scope=None, **_ANSWERS)
async def ask_to_call_hook(request: web.Request) -> web.Response:
    """Let a sender ask whether it may call a webhook; what it sends then has to be signed all the same."""
    hook_sensor(request)
    return _granted(request)


def _granted(request: web.Request) -> web.Response:
    headers = {"Allow": ", ".join(methods_of(request))}
    origin = request.headers.get("WebHook-Request-Origin")
    if origin is not None:
        if not _ORIGIN.fullmatch(origin):
            raise bad_request(
                "WebHook-Request-Origin: expected the name of a system, as eventemitter.example"
            )
        headers |= {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"}
    return web.Response(headers=headers, content_type="text/plain")
