"""The log of events: what each was, what it matched, and what it made ready."""

from typing import Annotated

from aiohttp import web

from sensorflow.core.definitions import MAKES_RUNS
from sensorflow.core.errors import PartitionError
from sensorflow.core.messages import EventState, Redrive
from sensorflow.core.selection import reading_runs
from sensorflow.core.state import ArrivalRow, EventRow, RunRow
from sensorflow.core.vocabulary import Scope
from sensorflow.web.api import API, Api
from sensorflow.web.ingest import stored
from sensorflow.web.parameters import NumberFromZero, PageQuery, TextParameter, choice, wrong_parameter
from sensorflow.web.pipelines import run_reference
from sensorflow.web.problems import not_found
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import (
    EventDetail,
    EventSchema,
    Page,
    ReceiptSchema,
    StoredArrival,
    answer,
    instant,
)
from sensorflow.web.sensors import sensor_name

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


@routes.get("/api/v1/events", scope=Scope.READ, answers=Page[EventSchema])
async def list_events(request: web.Request, query: EventsQuery) -> web.Response:
    """List events in their order, from behind `after`."""
    api = request.app[API]
    dataset, limit = query.dataset, query.limit
    rows = api.store.listing.events(after=_after(query), dataset=dataset, state=query.state, limit=limit + 1)
    if not rows and dataset is not None and dataset not in api.definitions().datasets:
        known = ", ".join(sorted(api.definitions().datasets)) or "there is none"
        raise wrong_parameter("dataset", f"a dataset ({known})", dataset)
    following = query.next(rows[limit - 1].seq) if len(rows) > limit else None
    return answer(Page[EventSchema](items=[_event(api, row) for row in rows[:limit]], next=following))


@routes.get("/api/v1/events/{seq}", scope=Scope.READ, answers=EventDetail)
async def show_event(request: web.Request) -> web.Response:
    """Show one event, what it made ready, and the runs that stand for that."""
    api = request.app[API]
    row = _event_of_path(request)
    document = EventDetail(
        **dict(_event(api, row)),
        data=row.event.data,
        extensions=dict(row.event.extensions),
        runs=[run_reference(run) for run in _runs(api, row.seq)],
    )
    return answer(document)


@routes.post("/api/v1/events/{seq}/redrive", scope=Scope.OPERATE, answers=ReceiptSchema)
async def redrive_event(request: web.Request) -> web.Response:
    """Read a stored event by the rules of now; what it makes that was not there is answered."""
    told = await request.app[API].submit(Redrive(seq=_event_of_path(request).seq))
    return answer(stored(told))


def _event_of_path(request: web.Request) -> EventRow:
    seq = request.match_info["seq"]
    reader = request.app[API].store.reader
    row = reader.event(int(seq)) if seq.isascii() and seq.isdigit() and len(seq) < 19 else None
    if row is None:
        raise not_found(f'there is no event "{seq}"')
    return row


def _after(query: EventsQuery) -> int:
    """Return the number behind which the page begins; the cursor's, where both are given."""
    if query.cursor is None:
        return query.after
    if not query.cursor.isdigit():
        raise wrong_parameter("cursor", "the `next` of an earlier page of this list", query.cursor)
    return int(query.cursor)


def _event(api: Api, row: EventRow) -> EventSchema:
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
        arrivals=[_arrival(arrival) for arrival in api.store.listing.arrivals(row.seq)],
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
