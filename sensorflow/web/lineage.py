"""The door for OpenLineage: what runs tell of themselves, and of the datasets that they have made."""

from http import HTTPStatus
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, RootModel, ValidationError

from sensorflow.core.lineage import OUTPUTS
from sensorflow.core.messages import Observed
from sensorflow.core.vocabulary import Event, JsonValue, Scope
from sensorflow.web.access import caller_of
from sensorflow.web.api import API
from sensorflow.web.bodies import json_of, read_body, require_type
from sensorflow.web.ingest import receipts_answer, stored
from sensorflow.web.problems import places, unprocessable
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import IngestAnswer, Name, iso_time
from sensorflow.web.shares import GREEDY, submit
from sensorflow.web.sources import OWN_SOURCES, foreign_source

JSON = "application/json"

routes = Routes("Telling it")


class _Facets(BaseModel):
    """What OpenLineage describes: some of it is read here, all of it is kept."""

    model_config = ConfigDict(strict=True, extra="allow")


class LineageDataset(_Facets):
    """A dataset by its name; rules know it as `namespace/name`."""

    namespace: Name
    name: Name


class LineageJob(_Facets):
    """What runs, by its name."""

    namespace: Name
    name: Name


class LineageRun(_Facets):
    """One run of a job."""

    runId: Name  # noqa: N815 - OpenLineage's own name, as those below


class _LineageEvent(_Facets):
    eventTime: Annotated[str, AfterValidator(iso_time)]  # noqa: N815


class RunEvent(_LineageEvent):
    """How a run stands; `COMPLETE` makes its outputs ready."""

    eventType: Literal["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"] = "OTHER"  # noqa: N815
    run: LineageRun
    job: LineageJob
    inputs: list[LineageDataset] | None = None
    outputs: list[LineageDataset] | None = None


def _without(*names: str) -> dict[str, Any]:
    """Return the schema of what has none of these fields, by which the kinds of events are told apart."""
    return {"not": {"anyOf": [{"required": [name]} for name in names]}}


class JobEvent(_LineageEvent):
    """What is known of a job, without a run; it makes nothing ready."""

    model_config = ConfigDict(json_schema_extra=_without("run", "eventType"))

    job: LineageJob
    inputs: list[LineageDataset] | None = None
    outputs: list[LineageDataset] | None = None


class DatasetEvent(_LineageEvent):
    """What is known of a dataset, without a run; it makes nothing ready."""

    model_config = ConfigDict(json_schema_extra=_without("run", "eventType", "job"))

    dataset: LineageDataset


class LineageEvent(RootModel[RunEvent | JobEvent | DatasetEvent]):
    """An event as OpenLineage defines it."""


@routes.post(
    "/api/v1/lineage",
    scope=Scope.EMIT,
    limited=True,
    answers={HTTPStatus.ACCEPTED: IngestAnswer},
    problems={HTTPStatus.UNPROCESSABLE_ENTITY: "it is JSON and no event of OpenLineage", **GREEDY},
    accepts={JSON: LineageEvent},
)
async def lineage(request: web.Request) -> web.Response:
    """Take an OpenLineage event; what a complete run has made may be ready by it."""
    api = request.app[API]
    require_type(request, JSON)
    event = read_lineage(json_of(await read_body(request, api.body_limit)))
    own = caller_of(request).datasets(api.definitions())
    return receipts_answer([stored(await submit(request, Observed(event=event, datasets=own)))])


def read_lineage(document: JsonValue) -> Event:
    """Return the event that an OpenLineage document makes.

    Raises:
        ProblemError: 422, it is none of OpenLineage.
    """
    try:
        told = _kind(document).model_validate(document)
    except ValidationError as error:
        found = places(error)
        first = found[0]
        detail = f"{first.where or 'the body'}: expected {first.expected}, found {first.found}"
        raise unprocessable(detail, *found) from None
    source, event_id, outputs = _identity(told)
    if source.startswith(OWN_SOURCES):
        wrong = foreign_source(source)
        raise unprocessable(f"the source of the event: expected {wrong.expected}, found {wrong.found}", wrong)
    return Event(
        source=source,
        id=event_id,
        time=told.eventTime,
        data=document,
        extensions={OUTPUTS: [_named(output) for output in outputs]},
    )


def _kind(document: Any) -> type[RunEvent | JobEvent | DatasetEvent]:
    """Return the kind of event that a document means to be."""
    if not isinstance(document, dict) or document.keys() & {"run", "eventType"}:
        return RunEvent
    if "job" in document:
        return JobEvent
    return DatasetEvent if "dataset" in document else RunEvent


def _identity(told: RunEvent | JobEvent | DatasetEvent) -> tuple[str, str, list[LineageDataset]]:
    """Return source and id of an event, and the outputs that it names."""
    if isinstance(told, DatasetEvent):
        return _named(told.dataset), f"dataset/{told.eventTime}", []
    outputs = told.outputs or []
    if isinstance(told, JobEvent):
        return _named(told.job), f"job/{told.eventTime}", outputs
    return _named(told.job), f"{told.run.runId}/{told.eventType}/{told.eventTime}", outputs


def _named(told: LineageJob | LineageDataset) -> str:
    return f"{told.namespace}/{told.name}"
