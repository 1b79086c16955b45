"""What changed, numbered and kept for a while: who follows it misses nothing, or is told so."""

import asyncio
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import structlog

from sensorflow.core.changes import Changes
from sensorflow.core.errors import SensorflowError
from sensorflow.web.api import Api
from sensorflow.web.notices import Pipelines, notices_of

log = structlog.get_logger(__name__)

#: Who is further behind has to read everything again.
KEPT = 10_000
#: For so long after the last one left, changes are noted for those who come back.
LINGER_S = 60.0


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that changed."""

    number: int
    #: `run`, `event`, ...
    kind: str
    whose: Pipelines
    #: JSON.
    data: str


class Feed:
    """The changes of the service, for as long as somebody follows them.

    One list serves all who follow: each has but a number, the one it has got to. So slow ones cost no
    memory; they fall off the end of the list, and learn that.
    """

    def __init__(self, api: Api, *, kept: int = KEPT, linger_s: float = LINGER_S) -> None:
        self._api = api
        #: Differs from one service to the next, so that an id of another is known for what it is.
        self._name = secrets.token_hex(4)
        self._notices: deque[Notice] = deque(maxlen=kept)
        self._last = 0
        #: From this number on every change is there, but for those that fell off the end.
        self._since = 1
        self._linger_s = linger_s
        self._followers = 0
        self._ending: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()

    @property
    def last(self) -> int:
        """The number of the newest notice."""
        return self._last

    def id_of(self, number: int) -> str:
        """Return what a client names to go on behind a notice."""
        return f"{self._name}-{number}"

    def number_of(self, given: str) -> int | None:
        """Return the number that an id stands for; None where what came behind it is not known."""
        name, _, number = given.partition("-")
        if name != self._name or not (number.isascii() and number.isdigit() and len(number) < 19):
            return None
        return int(number) if self.knows(int(number)) else None

    def knows(self, number: int) -> bool:
        """Tell whether all that came behind a number is there."""
        first = self._notices[0].number if self._notices else self._last + 1
        return max(self._since, first) - 1 <= number <= self._last

    def behind(self, number: int) -> list[Notice]:
        """Return the notices behind a number that is known."""
        # They are numbered without a gap, so the newest ones are as many as the numbers say.
        return [*islice(reversed(self._notices), self._last - number)][::-1]

    async def more(self) -> None:
        """Return when there is a notice more."""
        await self._changed.wait()

    def wake(self) -> None:
        """Let those who wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Note what changes while this lasts, and for a while longer."""
        self._followers += 1
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        self._api.watch(self._take)
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                self._ending = asyncio.get_running_loop().call_later(self._linger_s, self._end)

    def _end(self) -> None:
        self._api.watch(None)
        self._forget()

    def _forget(self) -> None:
        """Begin anew: what changes from now on has a gap before it."""
        self._notices.clear()
        self._last += 1
        self._since = self._last + 1

    def _take(self, changes: Changes) -> None:
        try:
            for kind, whose, document in notices_of(self._api, changes):
                self._last += 1
                data = document.model_dump_json(by_alias=True)
                self._notices.append(Notice(self._last, kind, whose, data))
        except SensorflowError as error:
            log.warning("those who follow the stream have to read all again", error=str(error))
            self._forget()
        self.wake()
