"""The log of events: what each was, what it matched, and what it made ready."""

from aiohttp import web

from sensorflow.core.definitions import MAKES_RUNS
from sensorflow.core.errors import PartitionError
from sensorflow.core.messages import EventState, Redrive
from sensorflow.core.selection import reading_runs
from sensorflow.core.state import ArrivalRow, EventRow, RunRow
from sensorflow.web import parameters
from sensorflow.web.api import API, Api
from sensorflow.web.ingest import stored
from sensorflow.web.parameters import make_cursor, wrong_parameter
from sensorflow.web.pipelines import run_reference
from sensorflow.web.problems import not_found
from sensorflow.web.schemas import EventDetail, EventSchema, Page, StoredArrival, answer, instant
from sensorflow.web.sensors import sensor_name

#: A duplicate is counted, not stored, so no stored event is one.
_STORED = (EventState.ACCEPTED, EventState.UNMATCHED, EventState.REJECTED)

routes = web.RouteTableDef()


@routes.get("/api/v1/events")
async def list_events(request: web.Request) -> web.Response:
    """List events in their order, from behind `after`."""
    api = request.app[API]
    parameters.only(request, "after", "dataset", "state", "limit", "cursor")
    dataset = parameters.text(request, "dataset")
    limit = parameters.limit(request)
    rows = api.store.listing.events(
        after=_after(request),
        dataset=dataset,
        state=parameters.state(request, EventState, _STORED),
        limit=limit + 1,
    )
    if not rows and dataset is not None and dataset not in api.definitions().datasets:
        known = ", ".join(sorted(api.definitions().datasets)) or "there is none"
        raise wrong_parameter("dataset", f"a dataset ({known})", dataset)
    following = make_cursor("events", rows[limit - 1].seq) if len(rows) > limit else None
    return answer(Page[EventSchema](items=[_event(api, row) for row in rows[:limit]], next=following))


@routes.get("/api/v1/events/{seq}")
async def show_event(request: web.Request) -> web.Response:
    """Show one event, what it made ready, and the runs that stand for that."""
    parameters.only(request)
    api = request.app[API]
    row = _event_of_path(request)
    document = EventDetail(
        **dict(_event(api, row)),
        data=row.event.data,
        extensions=dict(row.event.extensions),
        runs=[run_reference(run) for run in _runs(api, row.seq)],
    )
    return answer(document)


@routes.post("/api/v1/events/{seq}/redrive")
async def redrive_event(request: web.Request) -> web.Response:
    """Read a stored event by the rules of now; what it makes that was not there is answered."""
    parameters.only(request)
    told = await request.app[API].submit(Redrive(seq=_event_of_path(request).seq))
    return answer(stored(told))


def _event_of_path(request: web.Request) -> EventRow:
    seq = request.match_info["seq"]
    reader = request.app[API].store.reader
    row = reader.event(int(seq)) if seq.isascii() and seq.isdigit() and len(seq) < 19 else None
    if row is None:
        raise not_found(f'there is no event "{seq}"')
    return row


def _after(request: web.Request) -> int:
    """Return the number behind which the page begins; the cursor's, where both are given."""
    after = parameters.number(request, "after", 0) or 0
    key = parameters.cursor(request, "events")
    if key is None:
        return after
    if not key.isdigit():
        raise wrong_parameter("cursor", "the `next` of an earlier page of this list", request.query["cursor"])
    return int(key)


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
