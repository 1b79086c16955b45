"""Datasets and their partitions: what is there, and what of it is missing."""

from aiohttp import web

from sensorflow.core.errors import PartitionError
from sensorflow.core.lateness import expected_at
from sensorflow.core.messages import WithdrawPartition
from sensorflow.core.readiness import missing_parts
from sensorflow.core.reading import declared_partition
from sensorflow.core.state import PartitionRow
from sensorflow.core.vocabulary import Completeness, DatasetDefinition, Expectation, Scope
from sensorflow.web.access import caller_of
from sensorflow.web.api import API, Api
from sensorflow.web.defined import CompleteSchema, DatasetSchema, ExpectSchema, NewestPartition
from sensorflow.web.ingest import part_of_body, partition_of_body
from sensorflow.web.parameters import PageQuery, TextParameter
from sensorflow.web.problems import not_found
from sensorflow.web.requests import WithdrawBody
from sensorflow.web.routes import Routes
from sensorflow.web.runs import wrong_partition
from sensorflow.web.schemas import Page, PartitionSchema, answer, instant
from sensorflow.web.sensors import sensor_name

routes = Routes("Datasets")


class DatasetsQuery(PageQuery):
    """Which datasets are listed."""

    LIST = "datasets"


class PartitionsQuery(PageQuery):
    """Which partitions are listed."""

    LIST = "partitions"
    #: Only this one.
    partition: TextParameter = None


@routes.get("/api/v1/datasets", scope=Scope.READ, limited=True, answers=Page[DatasetSchema])
async def list_datasets(request: web.Request, query: DatasetsQuery) -> web.Response:
    """List the datasets by name."""
    api = request.app[API]
    limit = query.limit
    after = query.cursor or ""
    found = api.definitions().datasets
    own = caller_of(request).datasets(api.definitions())
    names = sorted(name for name in found if name > after and (own is None or name in own))
    following = query.next(names[limit - 1]) if len(names) > limit else None
    return answer(
        Page[DatasetSchema](items=[_dataset(api, found[name]) for name in names[:limit]], next=following)
    )


@routes.get("/api/v1/datasets/{name}", scope=Scope.READ, limited=True, answers=DatasetSchema)
async def show_dataset(request: web.Request) -> web.Response:
    """Show one dataset."""
    return answer(_dataset(request.app[API], _dataset_of_path(request)))


@routes.get(
    "/api/v1/datasets/{name}/partitions", scope=Scope.READ, limited=True, answers=Page[PartitionSchema]
)
async def list_partitions(request: web.Request, query: PartitionsQuery) -> web.Response:
    """List the partitions that something arrived for, the newest first."""
    api = request.app[API]
    dataset = _dataset_of_path(request)
    limit = query.limit
    if query.partition is None:
        rows = api.store.listing.partitions(dataset.name, after=query.cursor, limit=limit + 1)
    else:
        try:
            key = declared_partition(dataset, query.partition)
        except PartitionError as error:
            raise wrong_partition(error, query.partition) from None
        row = api.store.reader.partition(dataset.name, key)
        rows = [] if row is None else [row]
    following = query.next(rows[limit - 1].partition) if len(rows) > limit else None
    items = [_partition(api, dataset, row) for row in rows[:limit]]
    return answer(Page[PartitionSchema](items=items, next=following))


@routes.post("/api/v1/datasets/{name}/withdraw", scope=Scope.OPERATE, limited=True, answers=PartitionSchema)
async def withdraw(request: web.Request, body: WithdrawBody) -> web.Response:
    """Take a partition back, or a part of it: it is missing until its next arrival."""
    api = request.app[API]
    dataset = _dataset_of_path(request)
    partition = partition_of_body(dataset, body.partition)
    part = part_of_body(dataset, body.part)
    await api.submit(
        WithdrawPartition(dataset=dataset.name, partition=partition, part=part, reason=body.reason)
    )
    row = api.store.reader.partition(dataset.name, partition)
    assert row is not None, "what was taken back has been there"
    return answer(_partition(api, dataset, row))


def _dataset_of_path(request: web.Request) -> DatasetDefinition:
    name = request.match_info["name"]
    definitions = request.app[API].definitions()
    found, own = definitions.datasets.get(name), caller_of(request).datasets(definitions)
    if found is None or (own is not None and name not in own):
        raise not_found(f'there is no dataset "{name}"')
    return found


def _dataset(api: Api, dataset: DatasetDefinition) -> DatasetSchema:
    definitions = api.definitions()
    ready, partial = api.store.listing.partition_counts(dataset.name)
    newest = api.store.listing.newest(dataset.name)
    producer = definitions.producers.get(dataset.name)
    readers = definitions.readers.get(dataset.name, ())
    alert = api.store.reader.open_alert(f"late/{dataset.name}")
    return DatasetSchema(
        name=dataset.name,
        grain=dataset.partitioning.grain.value,
        timezone=dataset.partitioning.timezone,
        complete=_complete(dataset.complete),
        expect=_expect(dataset.expect) if dataset.expect else None,
        late=list(alert.partitions) if alert else [],
        newest=_newest(newest) if newest else None,
        ready=ready,
        partial=partial,
        sensors=[
            sensor_name((sensor.pipeline, sensor.name)) for sensor in definitions.feeds.get(dataset.name, ())
        ],
        producer="/".join(producer) if producer else None,
        consumers=list(
            dict.fromkeys(f"{reader.pipeline.name}/{task}" for reader in readers for task in reader.tasks)
        ),
    )


def _expected_at(dataset: DatasetDefinition, partition: str) -> float | None:
    try:
        return expected_at(dataset, partition) if dataset.expect else None
    except PartitionError:
        return None  # The dataset's grain is another now than when it came.


def _complete(complete: Completeness) -> CompleteSchema | None:
    if complete.parts:
        return CompleteSchema(parts=sorted(complete.parts))
    if complete.count is not None:
        return CompleteSchema(count=complete.count)
    return None if complete.quiet_s is None else CompleteSchema(quiet_s=complete.quiet_s)


def _expect(expect: Expectation) -> ExpectSchema:
    if expect.clock_s is None:
        return ExpectSchema(after_s=expect.after_s)
    minutes, seconds = divmod(expect.clock_s, 60)
    clock = f"{minutes // 60:02}:{minutes % 60:02}"
    return ExpectSchema(clock=f"{clock}:{seconds:02}" if seconds else clock)


def _newest(row: PartitionRow) -> NewestPartition:
    return NewestPartition(
        partition=row.partition or None, version=row.version, ready_at=instant(row.ready_at)
    )


def _partition(api: Api, dataset: DatasetDefinition, row: PartitionRow) -> PartitionSchema:
    parts = api.store.reader.parts(row.dataset, row.partition)
    seqs = {part.seq for part in parts.values()} | ({row.whole_seq} if row.whole else set())
    expected = _expected_at(dataset, row.partition)
    state = "ready" if row.ready else "partial"
    if row.withdrawn and not (parts or row.whole):
        state = "withdrawn"
    return PartitionSchema(
        partition=row.partition or None,
        state=state,
        withdrawn=row.withdrawn,
        version=row.version,
        arrivals=row.arrivals,
        parts=sorted(parts),
        parts_missing=list(missing_parts(dataset, api.store.reader, row)),
        first_at=instant(row.first_at),
        last_at=instant(row.last_at),
        ready_at=instant(row.ready_at),
        expected_at=instant(expected),
        late=None if expected is None else not row.ready and expected < api.clock.now(),
        last_seq=max(seqs, default=None),
        events=sorted(seqs),
    )
