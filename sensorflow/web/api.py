"""What the routes need of the service around them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from aiohttp import web

from sensorflow.core.changes import Changes
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import SensorflowError
from sensorflow.core.measures import Measures
from sensorflow.core.messages import Answer, Message
from sensorflow.ports import Clock, Store, WouldSee

MEBIBYTE = 1024 * 1024


class SensorHealth(NamedTuple):
    """How a sensor is."""

    #: `starting` until it has been up once.
    state: Literal["starting", "up", "down"]
    #: What is wrong with one that is down.
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The service as the routes see it; handed in by the composition root."""

    #: The definitions of now; a reload replaces them.
    definitions: Callable[[], Definitions]
    submit: Callable[[Message], Awaitable[Answer]]
    #: All in one commit; and where that need not be.
    submit_all: Callable[[Sequence[Message]], Awaitable[Sequence[Answer | SensorflowError]]]
    submit_each: Callable[[Sequence[Message]], Awaitable[Sequence[Answer | SensorflowError]]]
    #: Reads the home's files again and says what is served now. Raises DefinitionsError: the old ones stay.
    reload: Callable[[], Awaitable[Mapping[str, object]]]
    #: What the definitions would be if files of the home had these texts; None: were not there. Asked from a
    #: thread. Raises DefinitionsError.
    with_texts: Callable[[Mapping[str, str | None]], Definitions]
    would_see: WouldSee
    #: Makes an empty store in memory, for what is only tried.
    scratch: Callable[[], Store]
    #: Only read from.
    store: Store
    clock: Clock
    #: By pipeline and name: how a sensor is.
    sensor_health: Callable[[str, str], SensorHealth]
    #: By run id, task and attempt number.
    log_path: Callable[[str, str, int], Path]
    #: Takes secrets out of a piece of what an attempt that still runs puts out. The end that may begin one is
    #: apart, to be read again together with what follows.
    masked_piece: Callable[[bytes], tuple[bytes, bytes]]
    #: What is not ready, by name, with why; empty when all is.
    not_ready: Callable[[], Mapping[str, str]]
    #: What the service has counted since it was started.
    measures: Measures
    #: How many messages wait to be decided.
    inbox: Callable[[], int]
    #: How many events of one token or address may wait.
    share: int
    #: How many attempts the service runs at once.
    workers: int
    #: Lets somebody be told of what each commit changes; None: nobody.
    watch: Callable[[Callable[[Changes], None] | None], None]
    #: The address bound to, allowed as a `Host` beside the loopback names and `allowed_hosts`.
    host: str = "127.0.0.1"
    allowed_hosts: Sequence[str] = ()
    #: Nobody but this machine can reach the service, so as long as there is no token none is asked for.
    open_without_tokens: bool = True
    #: Bytes of one body, and of one batch or NDJSON body.
    body_limit: int = MEBIBYTE
    batch_limit: int = 16 * MEBIBYTE
    #: What a body may take to begin to come.
    body_timeout_s: float = 10.0


API = web.AppKey("api", Api)
