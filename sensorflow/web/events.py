"""The log of events: what each was, what it matched, and what it made ready."""

import asyncio
from collections.abc import Collection
from typing import Annotated, Literal, TypedDict

from aiohttp import web

from sensorflow.core.definitions import MAKES_RUNS
from sensorflow.core.errors import PartitionError
from sensorflow.core.ingest import unreadable_by
from sensorflow.core.messages import EventState, Redrive
from sensorflow.core.selection import reading_runs
from sensorflow.core.state import ArrivalRow, EventRow, RunRow
from sensorflow.core.tokens import Caller
from sensorflow.core.vocabulary import Scope
from sensorflow.web.access import caller_of
from sensorflow.web.api import API, Api
from sensorflow.web.defined import EventDetail
from sensorflow.web.ingest import receipt_text, stored
from sensorflow.web.parameters import (
    Minutes,
    NumberFromZero,
    PageQuery,
    Query,
    TextParameter,
    choice,
    one_of,
    wrong_parameter,
)
from sensorflow.web.pipelines import run_reference
from sensorflow.web.problems import ProblemError, not_found
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import (
    EventSchema,
    Page,
    ReceiptSchema,
    Schema,
    StoredArrival,
    answer,
    instant,
    json_answer,
)
from sensorflow.web.sensors import sensor_name

#: So many rejected events are looked at between two looks at what else the service has to do.
_LOOKED_AT = 500
#: Above every number of an event.
_AFTER_ALL = 2**63 - 1
#: A duplicate is counted, not stored, so no stored event is one.
_STORED = (EventState.ACCEPTED, EventState.UNMATCHED, EventState.REJECTED)

routes = Routes("Events")


class EventsQuery(PageQuery):
    """Which events are listed."""

    LIST = "events"
    #: The `seq` of an event: only those behind it.
    after: NumberFromZero = 0
    #: Only those that brought this dataset something, or were to and were rejected.
    dataset: TextParameter = None
    state: Annotated[EventState, choice(EventState, *_STORED)] | None = None
    #: `oldest` goes on from `after` to what came later; `newest` goes back from the newest.
    order: Annotated[Literal["oldest", "newest"], one_of("oldest", "newest")] = "oldest"


class RatesQuery(Query):
    """How far back events are counted."""

    minutes: Minutes = 60


class EventRate(Schema):
    """How many events a minute brought."""

    #: Where it begins.
    at: str | None
    events: int
    #: Those of them that a rule matched and none could read.
    rejected: int


class EventRates(Schema):
    """The events of each minute, the oldest first."""

    items: list[EventRate]


class _Bounds(TypedDict):
    after: int
    before: int | None
    state: EventState | None
    limit: int


@routes.get("/api/v1/events", scope=Scope.READ, limited=True, answers=Page[EventSchema])
async def list_events(request: web.Request, query: EventsQuery) -> web.Response:
    """List events in their order, from behind `after`; with `order=newest` the other way round."""
    api = request.app[API]
    limit, caller = query.limit, caller_of(request)
    own = caller.datasets(api.definitions())
    if query.dataset is not None and own is not None and query.dataset not in own:
        raise _no_such_filter(query.dataset, own)
    rows = await _listed(api, query, caller, own)
    if not rows and query.dataset is not None and query.dataset not in api.definitions().datasets:
        raise _no_such_filter(query.dataset, api.definitions().datasets)
    following = query.next(rows[limit - 1].seq) if len(rows) > limit else None
    items = [_event(api, row, own) for row in rows[:limit]]
    return answer(Page[EventSchema](items=items, next=following))


@routes.get("/api/v1/events/rates", scope=Scope.READ, answers=EventRates)
async def show_event_rates(request: web.Request, query: RatesQuery) -> web.Response:
    """Count the events of each minute, the one that goes on included."""
    api = request.app[API]
    newest = api.clock.now() // 60 * 60
    instants = [newest - 60 * ago for ago in range(query.minutes - 1, -2, -1)]
    counts = api.store.listing.event_counts(instants)
    items = [
        EventRate(at=instant(at), events=events, rejected=rejected)
        for at, (events, rejected) in zip(instants, counts, strict=False)
    ]
    return answer(EventRates(items=items))


@routes.get("/api/v1/events/{seq}", scope=Scope.READ, limited=True, answers=EventDetail)
async def show_event(request: web.Request) -> web.Response:
    """Show one event, what it made ready, and the runs that stand for that."""
    api = request.app[API]
    row, caller = _event_of_path(request), caller_of(request)
    document = EventDetail(
        **dict(_event(api, row, caller.datasets(api.definitions()))),
        data=row.event.data,
        extensions=dict(row.event.extensions),
        runs=[run_reference(run) for run in _runs(api, row.seq) if caller.sees(run.pipeline)],
    )
    return answer(document)


@routes.post("/api/v1/events/{seq}/redrive", scope=Scope.OPERATE, limited=True, answers=ReceiptSchema)
async def redrive_event(request: web.Request) -> web.Response:
    """Read a stored event by the rules of now; what it makes that was not there is answered."""
    api, row = request.app[API], _event_of_path(request)
    own = caller_of(request).datasets(api.definitions())
    told = await api.submit(Redrive(seq=row.seq, datasets=own))
    return json_answer(receipt_text(stored(told)))


def _event_of_path(request: web.Request) -> EventRow:
    seq = request.match_info["seq"]
    api = request.app[API]
    reader = api.store.reader
    number = int(seq) if seq.isascii() and seq.isdigit() and len(seq) < 19 else 0
    row = reader.event(number)
    if row is None and caller_of(request).pipelines is None and 0 < number <= reader.last_seq():
        raise not_found(f"event {number} is not kept any more (retention_events); its identity is")
    if row is None or not sees_event(api, caller_of(request), row):
        raise not_found(f'there is no event "{seq}"')
    return row


def sees_event(api: Api, caller: Caller, row: EventRow) -> bool:
    """Tell whether an event is of the caller's: it came to one of their sensors or datasets."""
    own = caller.datasets(api.definitions())
    if own is None or (row.sensor is not None and caller.sees(row.sensor[0])):
        return True
    return any(arrival.dataset in own for arrival in api.store.listing.arrivals(row.seq))


async def _listed(
    api: Api, query: EventsQuery, caller: Caller, own: Collection[str] | None
) -> list[EventRow]:
    """Return the page that is asked for and one event more.

    For a token that is limited it is put together of the pages of each dataset, and of what sensors of
    its pipelines saw and was not accepted; an index holds each of them.
    """
    after, before = _bounds(query)
    bounds: _Bounds = {"after": after, "before": before, "state": query.state, "limit": query.limit + 1}
    if query.dataset is not None:
        pages = [_of_dataset(api, query.dataset, bounds)]
        if query.state in (None, EventState.REJECTED):
            pages.append(await _rejected_for(api, query.dataset, bounds))
        return _together(pages, bounds)
    return _rows_of(api, caller, own, bounds)


def _rows_of(api: Api, caller: Caller, own: Collection[str] | None, bounds: _Bounds) -> list[EventRow]:
    listing = api.store.listing
    if own is None:
        return listing.events(dataset=None, **bounds)
    pages = [_of_dataset(api, dataset, bounds) for dataset in own]
    pages += [listing.odd_events_of(pipeline, **bounds) for pipeline in caller.pipelines or ()]
    return _together(pages, bounds)


def _of_dataset(api: Api, dataset: str, bounds: _Bounds) -> list[EventRow]:
    """Return what brought a dataset something."""
    if bounds["state"] not in (None, EventState.ACCEPTED):
        return []  # That is accepted; to find that none of them is not, all would be looked at.
    return api.store.listing.events(dataset=dataset, **bounds)


def _together(pages: list[list[EventRow]], bounds: _Bounds) -> list[EventRow]:
    by_seq = {row.seq: row for page in pages for row in page}
    order = sorted(by_seq, reverse=bounds["before"] is not None)
    return [by_seq[seq] for seq in order[: bounds["limit"]]]


def events_after(api: Api, caller: Caller, after: int, limit: int) -> list[EventRow]:
    """Return what the caller sees of the events behind a number, in their order."""
    bounds: _Bounds = {"after": after, "before": None, "state": None, "limit": limit}
    return _rows_of(api, caller, caller.datasets(api.definitions()), bounds)


async def _rejected_for(api: Api, dataset: str, bounds: _Bounds) -> list[EventRow]:
    """Return what was to bring a dataset something and could not be read; its sensors tell which that is."""
    keys = {(sensor.pipeline, sensor.name) for sensor in api.definitions().feeds.get(dataset, ())}
    words = [unreadable_by(key) for key in keys]
    found: list[EventRow] = []
    page: _Bounds = {**bounds, "state": EventState.REJECTED, "limit": _LOOKED_AT}
    while keys and len(found) < bounds["limit"]:
        rows = api.store.listing.events(dataset=None, **page)
        found += [
            row for row in rows if row.sensor in keys or any(each in (row.reason or "") for each in words)
        ]
        if len(rows) < _LOOKED_AT:
            break
        edge = rows[-1].seq
        page = {**page, "before": edge} if page["before"] is not None else {**page, "after": edge}
        await asyncio.sleep(0)  # There may be very many; others have their turn.
    return found


def _no_such_filter(dataset: str, known: Collection[str]) -> ProblemError:
    return wrong_parameter("dataset", f"a dataset ({', '.join(sorted(known)) or 'there is none'})", dataset)


def _bounds(query: EventsQuery) -> tuple[int, int | None]:
    """Return the numbers between which the page lies; a cursor goes on where its page ended."""
    key = query.cursor
    if key is not None and not (key.isdigit() and len(key) < 19):
        raise wrong_parameter("cursor", "the `next` of an earlier page of this list", key)
    if query.order == "newest":
        return query.after, _AFTER_ALL if key is None else int(key)
    return query.after if key is None else int(key), None


def _event(api: Api, row: EventRow, own: Collection[str] | None) -> EventSchema:
    """Return an event as it is answered, with its arrivals of the caller's own datasets; None: of all."""
    arrivals = api.store.listing.arrivals(row.seq)
    return EventSchema(
        seq=row.seq,
        id=row.id,
        source=row.event.source,
        type=row.event.type,
        subject=row.event.subject,
        time=row.event.time,
        received_at=instant(row.received_at),
        sensor=sensor_name(row.sensor) if row.sensor else None,
        state=row.state,
        reason=row.reason,
        arrivals=[_arrival(arrival) for arrival in arrivals if own is None or arrival.dataset in own],
    )


def _arrival(row: ArrivalRow) -> StoredArrival:
    return StoredArrival(
        dataset=row.dataset,
        partition=row.partition or None,
        part=row.part or None,
        version=row.version,
        ready=row.ready,
        sensor=sensor_name(row.sensor) if row.sensor else None,
    )


def _runs(api: Api, seq: int) -> list[RunRow]:
    """Return the runs that exist for the partitions that an event brought."""
    definitions = api.definitions()
    found: dict[str, RunRow] = {}
    for arrival in api.store.listing.arrivals(seq):
        dataset = definitions.datasets.get(arrival.dataset)
        for reader in definitions.readers.get(arrival.dataset, ()):
            if dataset is None or reader.input.selection not in MAKES_RUNS:
                continue
            own = reader.pipeline.partitioning
            try:
                keys = reading_runs(own, reader.input, dataset.partitioning, arrival.partition) or ()
            except PartitionError:
                continue  # The dataset's grain is another now than when the event came.
            rows = (api.store.reader.run_of(reader.pipeline.name, key) for key in keys)
            found.update((row.id, row) for row in rows if row is not None)
    return list(found.values())
