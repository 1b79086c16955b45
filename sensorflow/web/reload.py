"""The definitions, read again."""

from http import HTTPStatus

from aiohttp import web

from sensorflow.core.vocabulary import Scope
from sensorflow.web.api import API
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import Schema, answer

routes = Routes("Definitions")


class ReloadAnswer(Schema):
    """What is served now."""

    #: How many.
    pipelines: int
    warnings: list[str]


@routes.post(
    "/api/v1/reload",
    scope=Scope.ADMIN,
    answers=ReloadAnswer,
    problems={HTTPStatus.UNPROCESSABLE_ENTITY: "the files cannot be used; all goes on by the old ones"},
)
async def reload(request: web.Request) -> web.Response:
    """Read the home's files again; where they cannot be used, 422 says why and the old ones stay."""
    return answer(ReloadAnswer.model_validate(await request.app[API].reload()))
