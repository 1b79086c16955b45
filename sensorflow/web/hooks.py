"""Webhooks: any JSON, believed by the sensor's own scheme."""

import hashlib
from http import HTTPStatus

from aiohttp import web

from sensorflow.config.kinds import WebhookAuth, WebhookOptions
from sensorflow.core.messages import Observed
from sensorflow.core.vocabulary import SHARED, Event
from sensorflow.web.api import API
from sensorflow.web.bodies import json_of, read_body, sent_text
from sensorflow.web.formats import AnyJson
from sensorflow.web.ingest import receipts_answer, stored
from sensorflow.web.problems import ProblemError, not_found
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import IngestAnswer
from sensorflow.web.shares import GREEDY, submit
from sensorflow.web.signatures import SignatureError, secret_headers, verify

#: Where senders put what names a delivery, the first that is there.
_ID_HEADERS = ("webhook-id", "X-GitHub-Delivery", "Idempotency-Key")

routes = Routes("Telling it")


_DECLARED = {
    "scope": None,
    "answers": {HTTPStatus.ACCEPTED: IngestAnswer},
    "problems": {
        HTTPStatus.UNAUTHORIZED: "the sender has not shown that it knows the sensor's secret",
        **GREEDY,
    },
    "query": None,
    "accepts": {"application/json": AnyJson},
}


@routes.post("/hooks/{sensor}", operation="shared_hook", **_DECLARED)
@routes.post("/hooks/{pipeline}/{sensor}", **_DECLARED)
async def hook(request: web.Request) -> web.Response:
    """Take what a sender posts to a webhook sensor."""
    api = request.app[API]
    # Before all else: what is too large is not even looked at.
    body = await read_body(request, api.body_limit)
    key, auth = hook_sensor(request)
    try:
        verify(auth, request.headers, body, api.clock.now())
    except SignatureError as error:
        challenge = {"WWW-Authenticate": f'{auth.scheme.value} realm="sensorflow"'}
        raise ProblemError(HTTPStatus.UNAUTHORIZED, str(error), headers=challenge) from None
    event = Event(
        source=f"/hooks/{key[0]}/{key[1]}",
        id=_delivery_id(request),
        data=json_of(body),
        extensions={"headers": _kept_headers(request, auth)},
        content=hashlib.sha256(body).hexdigest(),
    )
    return receipts_answer([stored(await submit(request, Observed(event=event, sensor=key)))])


def hook_sensor(request: web.Request) -> tuple[tuple[str, str], WebhookAuth]:
    """Return the webhook sensor that a path names, and by what its sender is believed.

    Raises:
        ProblemError: 404, there is none.
    """
    key = (request.match_info.get("pipeline", SHARED), request.match_info["sensor"])
    sensor = request.app[API].definitions().sensors.get(key)
    if sensor is None or not isinstance(sensor.options, WebhookOptions):
        raise not_found(f"there is no webhook {request.path}")
    return key, sensor.options.auth


def _delivery_id(request: web.Request) -> str | None:
    return next((sent_text(request.headers[name]) for name in _ID_HEADERS if request.headers.get(name)), None)


def _kept_headers(request: web.Request, auth: WebhookAuth) -> dict[str, str]:
    """Return the headers by lower-case name, without those that carry secrets."""
    secret = secret_headers(auth)
    names = dict.fromkeys(name.lower() for name in request.headers)
    return {
        name: ", ".join(sent_text(value) for value in request.headers.getall(name))
        for name in names
        if name not in secret
    }
