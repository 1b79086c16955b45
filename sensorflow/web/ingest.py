"""The doors for what upstream systems tell: `POST /api/v1/ready` and `/api/v1/events`."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from http import HTTPStatus
from io import BytesIO
from json.encoder import encode_basestring as quoted
from typing import NamedTuple

from aiohttp import web
from uuid_utils import uuid7

from sensorflow.core.errors import (
    ForbiddenError,
    PartitionError,
    ReadingError,
    SensorflowError,
    UnknownDatasetError,
)
from sensorflow.core.messages import Answer, Arrival, DeclaredReady, EventState, Observed, Receipt
from sensorflow.core.reading import declared_partition, known_part
from sensorflow.core.vocabulary import DatasetDefinition, Event, Scope
from sensorflow.web.access import caller_of
from sensorflow.web.api import API
from sensorflow.web.bodies import body_there, json_of, parse_json, read_body, require_type
from sensorflow.web.cloudevents import NoEventError, read_binary, read_structured
from sensorflow.web.formats import CloudEvent, CloudEventBatch, CloudEventLine
from sensorflow.web.parameters import Flag, Query
from sensorflow.web.problems import ProblemError, bad_request, shown, unprocessable, unusable
from sensorflow.web.requests import ReadyBody
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import ErrorPlace, IngestAnswer
from sensorflow.web.shares import GREEDY, submit, submit_all
from sensorflow.web.sources import OWN_SOURCES, foreign_source

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"
#: So many members are read at a stretch, and of so many an answer is written at once.
_PIECE = 1_000

routes = Routes("Telling it")


class Invalid(NamedTuple):
    """What is answered to a member of a body that is no event."""

    place: int
    reason: str
    state: str = "invalid"


@routes.post(
    "/api/v1/ready",
    scope=Scope.EMIT,
    limited=True,
    prompt=True,
    answers={HTTPStatus.ACCEPTED: IngestAnswer},
    problems={HTTPStatus.NOT_FOUND: "no pipeline or sensor names the dataset", **GREEDY},
)
async def ready(request: web.Request, body: ReadyBody) -> web.Response:
    """Take somebody's word that a dataset's partition is there."""
    api = request.app[API]
    own = caller_of(request).datasets(api.definitions())
    if own is not None and body.dataset not in own:
        raise ForbiddenError(
            f'this token may emit {", ".join(sorted(own)) or "nothing"}; "{body.dataset}" is none of them'
        )
    if body.source is not None and body.source.startswith(OWN_SOURCES):
        wrong = foreign_source(body.source)
        raise unprocessable(f"/source: expected {wrong.expected}, found {wrong.found}", wrong)
    dataset = api.definitions().datasets.get(body.dataset)
    if dataset is None:
        raise UnknownDatasetError(
            f'expected a dataset that a pipeline or a sensor names, found "{body.dataset}"'
        )
    message = DeclaredReady(
        event=Event(
            source=body.source or f"/ready/{body.dataset}",
            id=body.id or str(uuid7()),
            subject=body.dataset,
            time=body.time,
            data=body.data,
        ),
        dataset=body.dataset,
        partition=partition_of_body(dataset, body.partition),
        part=part_of_body(dataset, body.part),
    )
    return receipts_answer([stored(await submit(request, message))])


def partition_of_body(dataset: DatasetDefinition, value: str | None) -> str:
    """Return the partition of a dataset that a body names, in its one spelling.

    Raises:
        ProblemError: 422, it is missing, or none of the dataset's.
    """
    try:
        return declared_partition(dataset, value)
    except PartitionError as error:
        raise unusable(error, "/partition", value) from None


def part_of_body(dataset: DatasetDefinition, part: str | None) -> str | None:
    """Return the part that a body names.

    Raises:
        ProblemError: 422, the dataset has no such part.
    """
    try:
        return None if part is None else known_part(dataset, part)
    except ReadingError as error:
        raise unusable(error, "/part", part) from None


class EventsQuery(Query):
    """How a batch is taken."""

    #: 1: if any member is no event, nothing of the batch is stored.
    atomic: Flag = 0


@routes.post(
    "/api/v1/events",
    scope=Scope.EMIT,
    limited=True,
    prompt=True,
    answers={HTTPStatus.ACCEPTED: IngestAnswer},
    accepts={STRUCTURED: CloudEvent, BATCH: CloudEventBatch, LINES: CloudEventLine},
    problems=GREEDY,
)
def events(request: web.Request, query: EventsQuery) -> Awaitable[web.Response]:
    """Take CloudEvents: one, structured or binary, or many, as a batch or as lines."""
    # What is structured may have these headers too; its body says all.
    has_headers = "ce-id" in request.headers or "ce-specversion" in request.headers
    if has_headers and request.content_type not in (STRUCTURED, BATCH):
        return _one(request, binary=True)
    kind = require_type(request, STRUCTURED, BATCH, LINES)
    return (
        _one(request, binary=False) if kind == STRUCTURED else _many(request, kind, atomic=bool(query.atomic))
    )


async def _one(request: web.Request, *, binary: bool) -> web.Response:
    api = request.app[API]
    body = body_there(request, api.body_limit)
    if body is None:
        body = await read_body(request, api.body_limit)
    try:
        if binary:
            event = _from_outside(read_binary(request.headers, request.content_type, body))
        else:
            event = _from_outside(read_structured(json_of(body)))
    except NoEventError as error:
        raise bad_request(str(error), *error.errors) from None
    caller = caller_of(request)
    own = None if caller.pipelines is None else caller.datasets(api.definitions())
    return receipts_answer([stored(await submit(request, Observed(event, None, own)))])


async def _many(request: web.Request, kind: str, *, atomic: bool) -> web.Response:
    """Store what is an event and tell by its place what is none; all or nothing with `atomic=1`."""
    api = request.app[API]
    own = caller_of(request).datasets(api.definitions())
    read = _read_lines if kind == LINES else _read_batch
    batch = _Batch(own)
    # The body is not kept: beside the answers it would take as much again.
    for number, (place, found) in enumerate(read(await read_body(request, api.batch_limit)), start=1):
        batch.add(place, found)
        if number % _PIECE == 0:
            await asyncio.sleep(0)  # Others have their turn.
    if batch.invalid and (atomic or not batch.messages):
        raise batch.refusal()
    told = await submit_all(request, batch.messages, together=atomic) if batch.messages else ()
    return receipts_answer(batch.answers(told))


class _Batch:
    """What a body with many members brings."""

    def __init__(self, own: frozenset[str] | None) -> None:
        self.messages: list[Observed] = []
        self.invalid: dict[int, NoEventError] = {}
        self._own = own
        self._places: list[int] = []

    def add(self, place: int, found: Event | NoEventError) -> None:
        """Add the member of a place."""
        if isinstance(found, NoEventError):
            self.invalid[place] = found
        else:
            self.messages.append(Observed(found, None, self._own))
            self._places.append(place)

    def refusal(self) -> ProblemError:
        """Return the answer where nothing of it is stored."""
        errors = [
            ErrorPlace(where=f"/{place}{error.where}", expected=error.expected, found=error.found)
            for place, problem in list(self.invalid.items())[:100]
            for error in problem.errors
        ]
        number = len(self.invalid) + len(self.messages)
        return bad_request(f"{len(self.invalid)} of {number} are no events, nothing is stored", *errors)

    def answers(self, told: Sequence[Answer | SensorflowError]) -> list[Receipt | Invalid]:
        """Return what is answered for each member, in their order."""
        answers = list(map(_told, self._places, told))
        if not self.invalid:
            return answers
        by_place = dict(zip(self._places, answers, strict=True))
        by_place |= {place: Invalid(place, str(found)) for place, found in self.invalid.items()}
        return [by_place[place] for place in sorted(by_place)]


def _read_batch(body: bytes) -> Iterator[tuple[int, Event | NoEventError]]:
    documents = json_of(body)
    if not isinstance(documents, list):
        raise bad_request(
            f"expected a JSON array of CloudEvents, found {shown(documents)}",
            ErrorPlace(where="", expected="a JSON array of CloudEvents", found=shown(documents)),
        )
    for place, document in enumerate(documents):
        documents[place] = None  # What its event does not take over is not kept.
        yield place, _read(document)


def _read_lines(body: bytes) -> Iterator[tuple[int, Event | NoEventError]]:
    """Yield the events with the numbers of their lines, from 0."""
    for place, line in enumerate(BytesIO(body)):
        if not line.isspace():
            yield place, _read_line(line)


def _read_line(line: bytes) -> Event | NoEventError:
    try:
        document = parse_json(line)
    except ValueError as error:
        return NoEventError([ErrorPlace(where="", expected="a JSON document", found=f"a mistake: {error}")])
    return _read(document)


def _read(document: object) -> Event | NoEventError:
    try:
        return _from_outside(read_structured(document))
    except NoEventError as error:
        return error


def _from_outside(event: Event) -> Event:
    """Return an event whose source its sender may name.

    Raises:
        NoEventError: the source is one of the service's own.
    """
    if event.source.startswith(OWN_SOURCES):
        raise NoEventError([foreign_source(event.source)])
    return event


def stored(told: Answer) -> Receipt:
    """Return what is answered to an event that is on disk."""
    assert isinstance(told, Receipt), "events are answered with receipts"
    return told


def _told(place: int, told: Answer | SensorflowError) -> Receipt | Invalid:
    return Invalid(place, str(told)) if isinstance(told, SensorflowError) else stored(told)


def receipts_answer(members: Sequence[Receipt | Invalid]) -> web.Response:
    """Return the answer to whatever brought events, as `IngestAnswer`: 202, they are on disk."""
    states = [member.state for member in members]
    accepted = states.count(EventState.ACCEPTED) + states.count(EventState.UNMATCHED)
    head = (
        f'{{"accepted":{accepted},"duplicates":{states.count(EventState.DUPLICATE)},'
        f'"rejected":{states.count(EventState.REJECTED)},"invalid":{states.count("invalid")},"events":['
    )
    if len(members) <= _PIECE:
        body: bytes | bytearray = f"{head}{','.join(map(_member_text, members))}]}}".encode()
    else:
        body = _in_pieces(head, members)
    return web.Response(status=HTTPStatus.ACCEPTED, body=body, content_type="application/json")


def _in_pieces(head: str, members: Sequence[Receipt | Invalid]) -> bytearray:
    """Write an answer that is too long to be there as texts, as one text, and as bytes all at once."""
    body = bytearray(head.encode())
    for begin in range(0, len(members), _PIECE):
        body += b"," if begin else b""
        body += ",".join(map(_member_text, members[begin : begin + _PIECE])).encode()
    body += b"]}"
    return body


def _member_text(member: Receipt | Invalid) -> str:
    if isinstance(member, Receipt):
        return receipt_text(member)
    return f'{{"index":{member.place},"state":"invalid","reason":{quoted(member.reason)}}}'


def receipt_text(receipt: Receipt) -> str:
    """Return a receipt as it is answered, as `ReceiptSchema`.

    Models check what comes in. What goes out they would write in ten times the time.
    """
    arrivals = ",".join(map(_arrival_text, receipt.arrivals))
    reason = "null" if receipt.reason is None else quoted(receipt.reason)
    return (
        f'{{"seq":{receipt.seq},"id":{quoted(receipt.id)},"source":{quoted(receipt.source)},'
        f'"state":"{receipt.state}","arrivals":[{arrivals}],"reason":{reason}}}'
    )


def _arrival_text(arrival: Arrival) -> str:
    part = "null" if arrival.part is None else quoted(arrival.part)
    partition = f'"partition":{quoted(arrival.partition)},' if arrival.partition else ""
    return f'{{"dataset":{quoted(arrival.dataset)},{partition}"part":{part},"version":{arrival.version}}}'
