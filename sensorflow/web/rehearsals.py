"""Rehearsals: what would happen, decided by the service's own rules under a virtual clock."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from math import prod
from typing import Annotated

from aiohttp import web
from pydantic import Field, ValidationError

from sensorflow.config.scripts import Instant, Script
from sensorflow.config.stories import MistakesError, story_of
from sensorflow.core.collector import without_collector
from sensorflow.core.definitions import Definitions, leaves
from sensorflow.core.errors import DefinitionsError
from sensorflow.core.state import EventRow
from sensorflow.core.tokens import Caller
from sensorflow.core.vocabulary import Scope
from sensorflow.rehearsal.playing import Rehearsal
from sensorflow.rehearsal.story import Step, Story, altered, recorded
from sensorflow.web.access import caller_of
from sensorflow.web.api import API, Api
from sensorflow.web.bodies import json_of, read_body, require_type
from sensorflow.web.events import events_after
from sensorflow.web.logs import STOPPING
from sensorflow.web.parameters import Query
from sensorflow.web.problems import ProblemError, from_domain, places, pointer, unprocessable
from sensorflow.web.rehearsed import RehearsalSchema, written
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import ErrorPlace, Schema

#: A rehearsal is of so many events at most, and goes on for so many decisions.
MOST_EVENTS = 10_000
MOST_DECISIONS = 50_000
#: So many rehearsals are played or wait for their turn; others are to come back.
_MOST_WAITING = 4
#: So long a rehearsal keeps the service from all else before it lets that have its turn.
_SLICE_S = 0.002
#: So long a rehearsal may take, with all else that the service does meanwhile.
_LONGEST_S = 60
_PAGE = 500
#: So many partitions an input of sent definitions may name.
_WIDEST = 10_000

routes = Routes("Trying")


class Span(Schema):
    """A time, its beginning included, its end not."""

    begin: Annotated[Instant, Field(alias="from")]
    to: Instant


class RehearsalBody(Script):
    """What happens, and what is otherwise than it is."""

    #: What the service received between two instants comes in again.
    recorded: Span | None = None
    #: Texts of files, by `pipelines/NAME.yaml` or `sensors/NAME.yaml`: they stand beside those of the home,
    #: or for one of them; null leaves one out.
    definitions: dict[str, str | None] = Field(default_factory=dict)


@routes.post(
    "/api/v1/rehearsals",
    scope=Scope.READ,
    limited=True,
    answers=RehearsalSchema,
    accepts={"application/json": RehearsalBody},
    problems={
        HTTPStatus.BAD_REQUEST: "it is no JSON",
        HTTPStatus.FORBIDDEN: "a token that is limited to pipelines sends definitions",
        HTTPStatus.UNPROCESSABLE_ENTITY: "the script, or a definition, is wrong; `errors` says where",
        HTTPStatus.SERVICE_UNAVAILABLE: "others are rehearsing",
    },
)
async def rehearse(request: web.Request) -> web.Response:
    """Play events through the definitions and say what would happen. Nothing is done, nothing is kept."""
    api, stage = request.app[API], request.app[STAGE]
    require_type(request, "application/json")
    body = await read_body(request, api.batch_limit)
    async with stage:
        with without_collector():
            document = await _document(request, body)
    return web.Response(body=document, content_type="application/json")


async def _document(request: web.Request, body: bytes) -> bytes:
    """Rehearse what a body asks for, and return the answer."""
    api, caller = request.app[API], caller_of(request)
    # Scripts and files of some size take a while to read, and neither touches what the service holds.
    script, definitions = await asyncio.to_thread(_read, api, caller, body)
    begins_at, happened = await _happened(api, caller, definitions, script.recorded)
    story, definitions = await asyncio.to_thread(_story, script, definitions, happened, begins_at)
    rehearsal = Rehearsal(definitions, story, api.scratch(), api.workers, MOST_DECISIONS)
    return b"".join([piece async for piece in _in_slices(request, written(rehearsal))])


class RecordingQuery(Query):
    """Between which instants, the first one included."""

    since: Instant
    before: Instant


@routes.get(
    "/api/v1/rehearsals/recording",
    scope=Scope.READ,
    answers="application/x-ndjson",
    problems={HTTPStatus.UNPROCESSABLE_ENTITY: f"there are more than {MOST_EVENTS}"},
)
async def recording(request: web.Request, query: RecordingQuery) -> web.Response:
    """Give the events that came in between two instants, one a line, as a rehearsal elsewhere takes them."""
    api = request.app[API]
    rows = await _rows_between(api, caller_of(request), query.since, query.before)
    lines = (_line(api, row) for row in rows)
    document = b"".join([piece async for piece in _in_slices(request, lines)])
    return web.Response(body=document, content_type="application/x-ndjson")


@dataclass(slots=True)
class Stage:
    """One rehearsal is played at a time; a few may wait for it."""

    waiting: int = 0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> None:
        if self.waiting >= _MOST_WAITING:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self.waiting} rehearsals are asked for already; send it again later",
                headers={"Retry-After": "5"},
            )
        self.waiting += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self.waiting -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self.waiting -= 1
        self._lock.release()


STAGE = web.AppKey("stage", Stage)


async def _in_slices(request: web.Request, pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield pieces, and let the service do all else every few milliseconds.

    A thread would be no better: it holds the interpreter's lock for longer at a time.

    Raises:
        ProblemError: 503, the service stops; 422, it takes too long.
        ConnectionError: nobody waits for the answer any more.
    """
    clock, stopping = request.app[API].clock, request.app[STOPPING]
    ends_at = clock.monotonic() + _SLICE_S
    last_at = clock.monotonic() + _LONGEST_S
    for piece in pieces:
        yield piece
        if clock.monotonic() < ends_at:
            continue
        await asyncio.sleep(0)
        if stopping.is_set():
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "the service stops")
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError("whoever asked for the rehearsal has gone")
        if clock.monotonic() > last_at:
            raise _wrong("", f"what takes at most {_LONGEST_S} s (take a shorter time)", "more to do")
        ends_at = clock.monotonic() + _SLICE_S


def _read(api: Api, caller: Caller, body: bytes) -> tuple[RehearsalBody, Definitions]:
    try:
        script = RehearsalBody.model_validate(json_of(body))
    except ValidationError as error:
        found = places(error)
        first = found[0]
        detail = f"{first.where or 'the body'}: expected {first.expected}, found {first.found}"
        raise unprocessable(detail, *found) from None
    if len(script.steps) > MOST_EVENTS:
        raise _too_many(len(script.steps))
    if not script.definitions:
        return script, caller.part_of(api.definitions())
    if caller.pipelines is not None:
        # What is wrong with them together would tell of the others' files.
        raise ProblemError(HTTPStatus.FORBIDDEN, "to send definitions needs a token for all pipelines")
    size = sum(len(text or "") for text in script.definitions.values())
    if size > api.body_limit:
        raise _wrong("/definitions", f"at most {api.body_limit} characters", size)
    try:
        definitions = api.with_texts(script.definitions)
    except DefinitionsError as error:
        things = "1 thing is" if len(error.problems) == 1 else f"{len(error.problems)} things are"
        problem = from_domain(error)
        raise ProblemError(
            problem.status, f"{things} wrong in the definitions", errors=problem.errors
        ) from None
    _check_widths(definitions)
    return script, definitions


def _check_widths(definitions: Definitions) -> None:
    """Refuse sent definitions by which one decision would look at more than it should.

    Raises:
        ProblemError: 422.
    """
    cut = [
        *(pipeline.partitioning for pipeline in definitions.pipelines.values()),
        *(dataset.partitioning for dataset in definitions.datasets.values()),
    ]
    widest = max(prod(len(each.keys) or 1 for _, each in one.dimensions) for one in cut)
    if widest > _WIDEST:
        raise _wrong("/definitions", f"at most {_WIDEST} partitions at one time", widest)
    counts = [
        abs(leaf.count)
        for pipeline in definitions.pipelines.values()
        for task in pipeline.tasks.values()
        for leaf in leaves(task.inputs)
    ]
    if counts and max(counts) > _WIDEST:
        raise _wrong("/definitions", f"at most {_WIDEST} partitions of an input", max(counts))


def _story(
    script: RehearsalBody, definitions: Definitions, happened: list[Step], begins_at: float | None
) -> tuple[Story, Definitions]:
    if len(script.steps) + len(happened) > MOST_EVENTS:
        raise _too_many(len(script.steps) + len(happened))
    try:
        story = story_of(script, definitions, happened, begins_at)
    except MistakesError as error:
        found = [
            ErrorPlace(where=pointer(each.path), expected=each.expected, found=each.found)
            for each in error.mistakes
        ]
        first = found[0]
        detail = f"{first.where or 'the body'}: expected {first.expected}, found {first.found}"
        raise unprocessable(detail, *found) from None
    return story, altered(definitions, retries=script.retries, paused=script.paused)


def _too_many(count: int) -> ProblemError:
    return _wrong("", f"at most {MOST_EVENTS} events (take a shorter time)", count)


def _wrong(where: str, expected: str, found: object) -> ProblemError:
    place = ErrorPlace(where=where, expected=expected, found=str(found))
    return unprocessable(f"{where or 'the body'}: expected {expected}, found {found}", place)


# What was recorded


async def _happened(
    api: Api, caller: Caller, definitions: Definitions, span: Span | None
) -> tuple[float | None, list[Step]]:
    """Return what came in during a time, as it would come in now, and when that time begins."""
    if span is None:
        return None, []
    steps: list[Step] = []
    own = caller.datasets(definitions)
    for row in await _rows_between(api, caller, span.begin, span.to):
        brought = [
            (arrival.dataset, arrival.partition, arrival.part or None, arrival.sensor)
            for arrival in api.store.listing.arrivals(row.seq)
            if own is None or arrival.dataset in own
        ]
        if own is not None and any(sensor not in definitions.sensors for *_, sensor in brought):
            # A rule of others read it: what it brought is there all the same.
            brought = [(dataset, partition, part, None) for dataset, partition, part, _ in brought]
        steps += recorded(definitions, row.received_at, row.event, row.sensor, brought)
    first = events_after(api, caller, 0, 1)
    # The service cannot have missed anything before it received anything.
    return max(span.begin, first[0].received_at) if first else span.begin, steps


async def _rows_between(api: Api, caller: Caller, since: float, before: float) -> list[EventRow]:
    """Return the events that were received during a time, as far as the caller sees them.

    Raises:
        ProblemError: 422, there are too many.
    """
    after, rows = _last_before(api, since), []
    while page := events_after(api, caller, after, _PAGE):
        within = [row for row in page if since <= row.received_at < before]
        rows += within
        if len(rows) > MOST_EVENTS:
            raise _too_many(len(rows))
        if page[-1].received_at >= before:
            break
        after = page[-1].seq
        await asyncio.sleep(0)
    return rows


def _last_before(api: Api, instant: float) -> int:
    """Return a number that all events from an instant on lie above: they are stored as they come."""
    low, high = 0, api.store.reader.last_seq()
    while low < high:
        middle = (low + high) // 2
        found = api.store.listing.events(after=middle, dataset=None, state=None, limit=1)
        if found and found[0].received_at < instant:
            low = found[0].seq
        else:
            high = middle
    return low


def _line(api: Api, row: EventRow) -> bytes:
    event = row.event
    document = {
        "received_at": row.received_at,
        "sensor": row.sensor,
        "event": {
            "source": event.source,
            "id": event.id,
            "type": event.type,
            "subject": event.subject,
            "time": event.time,
            "data": event.data,
            "extensions": dict(event.extensions),
            "content": event.content,
            "replaces": event.replaces,
        },
        "brought": [
            (arrival.dataset, arrival.partition, arrival.part or None, arrival.sensor)
            for arrival in api.store.listing.arrivals(row.seq)
        ],
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"
