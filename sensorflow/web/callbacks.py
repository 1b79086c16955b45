"""Callbacks: who works on a task says how that stands. The token in the path is all the right it takes."""

from http import HTTPStatus

from aiohttp import web

from sensorflow.core.messages import CalledBack
from sensorflow.core.states import AttemptState
from sensorflow.web.api import API
from sensorflow.web.requests import CallbackBody
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import CallbackAnswer, answer

routes = Routes("Callbacks")


@routes.post(
    "/api/v1/callbacks/{token}",
    scope=None,
    answers=CallbackAnswer,
    problems={HTTPStatus.CONFLICT: "the attempt is no longer the current one"},
)
async def call_back(request: web.Request, body: CallbackBody) -> web.Response:
    """Take the word of who works on a task; the same word again is no error."""
    await request.app[API].submit(
        CalledBack(
            token=request.match_info["token"],
            state=AttemptState(body.state),
            error=body.error,
        )
    )
    return answer(CallbackAnswer(state=body.state))
