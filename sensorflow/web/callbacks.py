"""Callbacks: who works on a task says how that stands. The token in the path is all the right it takes."""

from aiohttp import web

from sensorflow.core.messages import CalledBack
from sensorflow.core.states import AttemptState
from sensorflow.web import parameters
from sensorflow.web.api import API
from sensorflow.web.bodies import read_model
from sensorflow.web.requests import CallbackBody
from sensorflow.web.schemas import CallbackAnswer, answer

routes = web.RouteTableDef()


@routes.post("/api/v1/callbacks/{token}")
async def call_back(request: web.Request) -> web.Response:
    """Take the word of who works on a task; the same word again is no error."""
    parameters.only(request)
    api = request.app[API]
    body = await read_model(request, CallbackBody, api.body_limit)
    await api.submit(
        CalledBack(
            token=request.match_info["token"],
            state=AttemptState(body.state),
            error=body.error,
        )
    )
    return answer(CallbackAnswer(state=body.state))
