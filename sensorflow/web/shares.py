"""A share of the inbox for each who sends: one that sends too much is told so, and the others are served."""

from collections.abc import Awaitable, Sequence
from http import HTTPStatus

from aiohttp import web

from sensorflow.core.errors import SensorflowError
from sensorflow.core.messages import Answer, Message
from sensorflow.core.tokens import digest_of
from sensorflow.web.access import EVERYBODY, caller_of
from sensorflow.web.api import Api
from sensorflow.web.problems import RETRY_AFTER_S, ProblemError

#: What the document of the API says of it.
GREEDY = {HTTPStatus.TOO_MANY_REQUESTS: "half of what may wait is of this token or address; try again later"}


class Shares:
    """Counts what each sender has sent and is not yet answered."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._waiting: dict[str, int] = {}

    async def submit_all(
        self, sender: str, messages: Sequence[Message], *, together: bool
    ) -> Sequence[Answer | SensorflowError]:
        """Put messages into the inbox and return their answers, unless the sender's share is used up.

        Args:
            together: In one commit.

        Raises:
            ProblemError: 429, it is; nothing of them is stored.
            SensorflowError: they are not all stored; where they are to be in one commit, none is.
        """
        number = len(messages)
        waiting = self._waiting.get(sender, 0)
        if waiting and waiting + number > self._api.share:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"expected at most {self._api.share} events of one token or address to wait, found {waiting} "
                f"of this one and {number} more; send them again later",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self._waiting[sender] = waiting + number
        try:
            return await (self._api.submit_all if together else self._api.submit_each)(messages)
        finally:
            left = self._waiting[sender] - number
            if left:
                self._waiting[sender] = left
            else:
                del self._waiting[sender]


SHARES = web.AppKey("shares", Shares)


def submit_all(
    request: web.Request, messages: Sequence[Message], *, together: bool
) -> Awaitable[Sequence[Answer | SensorflowError]]:
    """Put what a request brings into the inbox, as far as its sender's share goes; one answer each."""
    return request.app[SHARES].submit_all(_sender(request), messages, together=together)


async def submit(request: web.Request, message: Message) -> Answer:
    """As `submit_all` for one message.

    Raises:
        SensorflowError: what is wrong with it.
    """
    (answer,) = await request.app[SHARES].submit_all(_sender(request), (message,), together=True)
    if isinstance(answer, SensorflowError):
        raise answer
    return answer


def _sender(request: web.Request) -> str:
    """Return the token that was asked for; the address where none was, so that nobody makes up names."""
    if caller_of(request) is EVERYBODY:
        return request.remote or ""
    return digest_of(request.headers.get("Authorization", ""))
