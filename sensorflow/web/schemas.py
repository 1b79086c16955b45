"""The shapes of what is sent and answered, as the API's users see them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, TypeVar

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sensorflow.core.iso8601 import read_iso_8601
from sensorflow.core.messages import EventState
from sensorflow.core.states import AttemptState, RunState, TaskState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
Item = TypeVar("Item", bound=BaseModel)


def instant(at: float | None) -> str | None:
    """Return seconds since the epoch as ISO 8601 in UTC, to the millisecond where there are any."""
    if at is None:
        return None
    moment = _EPOCH + timedelta(milliseconds=round(at * 1000))
    timespec = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=timespec).removesuffix("+00:00") + "Z"


def printable(text: str) -> str:
    """Return the text if it has no control characters, and nothing that UTF-8 cannot hold.

    Raises:
        ValueError: it has one.
    """
    if _UNPRINTABLE.search(text):
        raise ValueError("expected a text without control characters")
    return text


def iso_time(text: str) -> str:
    """Return the text if it is a time of ISO 8601.

    Raises:
        ValueError: it is none.
    """
    try:
        read_iso_8601(text)
    except ValueError:
        raise ValueError("expected a time as 2013-03-08T05:00:00Z") from None
    return text


def absent(value: object) -> bool:
    """Tell whether a key does not apply, and is left out."""
    return value is None


def nothing(value: object) -> bool:
    """Tell whether a field is empty."""
    return not value


Name = Annotated[str, Field(min_length=1), AfterValidator(printable)]
#: Keys that are absent, not null, where they do not apply.
OptionalText = Annotated[str | None, Field(exclude_if=absent)]

#: Without partitions: by dataset, how many arrivals came since the task last started, which its next
#: start takes as one. Absent where there are none.
Collected = Annotated[dict[str, int], Field(exclude_if=nothing)]


class Schema(BaseModel):
    """Base of all shapes: strict and closed for what is sent, plain for what is answered."""

    # Built when it is first used: most are told of by /openapi.json only. 11 % of all imports of a start.
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class ErrorPlace(Schema):
    """One thing that is wrong in what was sent."""

    #: A JSON pointer into the body, or the name of a parameter or header.
    where: str
    expected: str
    found: str


class FileError(Schema):
    """One thing that is wrong in a definition file."""

    #: Relative to the home.
    file: str
    #: From 1; 0 where the whole file is meant.
    line: int
    column: int
    #: Dotted, as `tasks.load.retries.max`; empty where the whole file is meant.
    path: str
    message: str


class ProblemDocument(Schema):
    """What every error is answered with (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    #: As the header `X-Request-Id` and the service's log have it.
    request_id: str
    errors: list[ErrorPlace | FileError] | None = None


class Page(Schema, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    #: The `cursor` of the next page; null where this is the last.
    next: str | None


# What is answered


class ArrivalSchema(Schema):
    """A partition of a dataset, or a part of it, that is there."""

    dataset: str
    #: Absent for datasets without partitions.
    partition: OptionalText = None
    part: str | None
    version: int


class ReceiptSchema(Schema):
    """What became of one event."""

    seq: int
    id: str
    source: str
    state: EventState
    arrivals: list[ArrivalSchema]
    reason: str | None


class InvalidSchema(Schema):
    """A member of a batch that is no event."""

    #: Its place in the batch, or its line, from 0.
    index: int
    state: str = "invalid"
    reason: str


class IngestAnswer(Schema):
    """What became of the events of a body."""

    #: Those that no rule matched are kept, and count here too.
    accepted: int
    duplicates: int
    rejected: int
    invalid: int
    events: list[ReceiptSchema | InvalidSchema]


class WaitSchema(Schema):
    """One reason why a task does not run; keys that do not apply are absent."""

    kind: str
    text: str
    dataset: OptionalText = None
    partition: OptionalText = None
    parts_missing: Annotated[list[str] | None, Field(exclude_if=absent)] = None
    sensor: OptionalText = None
    expected_at: OptionalText = None
    late: Annotated[bool | None, Field(exclude_if=absent)] = None
    task: OptionalText = None
    state: OptionalText = None
    until: OptionalText = None


class AttemptSchema(Schema):
    """One try of a task."""

    number: int
    state: AttemptState
    generation: int
    started_at: str | None
    ended_at: str | None
    exit_code: int | None
    error: str | None
    #: What it took: by dataset and partition (empty for the whole), the version.
    consumed: dict[str, dict[str, int]]


class TaskSchema(Schema):
    """A task of a run."""

    name: str
    state: TaskState
    attempts: list[AttemptSchema]
    next_attempt_at: str | None
    waiting_for: list[WaitSchema]
    collected: Collected = {}


class RunSchema(Schema):
    """One pipeline for one partition."""

    id: str
    pipeline: str
    #: Absent for pipelines without partitions.
    partition: OptionalText = None
    partition_start: str | None
    partition_end: str | None
    generation: int
    state: RunState
    stale: bool
    trigger: str
    created_at: str | None
    started_at: str | None
    ended_at: str | None
    #: Whose limits hold for it; absent for runs of no backfill.
    backfill: OptionalText = None
    tasks: list[TaskSchema]


class OperationSchema(Schema):
    """What an operator did, and why."""

    at: str | None
    #: `make`, `retry`, `cancel`, `mark`, ...
    kind: str
    task: OptionalText = None
    reason: str | None


class RunDetail(RunSchema):
    """A run with what operators did to it, the oldest first."""

    operations: list[OperationSchema]


class TaskWaitsSchema(Schema):
    """A task and what it waits for."""

    name: str
    state: TaskState
    waiting_for: list[WaitSchema]
    collected: Collected = {}


class WhySchema(Schema):
    """Why each task of a run, or of a run that does not exist yet, has not run."""

    pipeline: str
    #: Absent for pipelines without partitions.
    partition: OptionalText = None
    #: Null where there is no run yet.
    run: str | None
    #: What cancelled the run, `cancel` or `expire`, and why; absent for runs that are not cancelled.
    cancelled: Annotated[OperationSchema | None, Field(exclude_if=absent)] = None
    tasks: list[TaskWaitsSchema]


class RunCounts(Schema):
    """How many runs of a pipeline are in each state."""

    waiting: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class SensorSchema(Schema):
    """A sensor, and how it does."""

    pipeline: str
    name: str
    type: str
    dataset: str
    #: `starting` until it has been `up` once; `down` while something is wrong with it.
    state: str
    error: str | None
    last_event_at: str | None
    #: When that happened, as the event itself says; null where it does not.
    last_event_time: str | None
    last_seq: int | None
    accepted: int
    duplicates: int
    rejected: int
    unmatched: int


class PartitionSchema(Schema):
    """What is there of a dataset's partition."""

    #: Absent for datasets without partitions.
    partition: OptionalText = None
    #: `ready`, `partial`, or `withdrawn`: taken back, and nothing has come since.
    state: str
    withdrawn: bool
    version: int
    arrivals: int
    parts: list[str]
    parts_missing: list[str]
    first_at: str | None
    last_at: str | None
    ready_at: str | None
    #: When it should be there; absent where nobody said.
    expected_at: OptionalText = None
    #: It is not there, and should be; absent where nobody said when.
    late: Annotated[bool | None, Field(exclude_if=absent)] = None
    #: The `seq` of the event that came last for it.
    last_seq: int | None
    #: The events that it is made of, by `seq`: the newest of each part.
    events: list[int]


class StoredArrival(ArrivalSchema):
    """An arrival that an event made."""

    #: The partition was all there after it.
    ready: bool
    #: The sensor whose rule read it, as `pipeline/sensor`.
    sensor: str | None


class EventSchema(Schema):
    """A stored event, what it matched and what it made."""

    seq: int
    id: str
    source: str
    type: str
    subject: str | None
    time: str | None
    received_at: str | None
    #: The sensor that saw it, as `pipeline/sensor`; null for what was posted.
    sensor: str | None
    state: EventState
    reason: str | None
    arrivals: list[StoredArrival]


class BackfillSchema(Schema):
    """Runs for many partitions, made on request, and how far they are."""

    id: str
    pipeline: str
    #: The range that was asked for; absent where partitions were listed.
    first: Annotated[str | None, Field(serialization_alias="from", exclude_if=absent)] = None
    last: Annotated[str | None, Field(serialization_alias="to", exclude_if=absent)] = None
    only: str
    order: str
    #: So many of its runs have a task running at once, at most.
    max_active: int
    #: They fire without inputs and times.
    force: bool
    #: `waiting`, `running`, `succeeded`, `failed` or `cancelled`.
    state: str
    #: How many runs it was given.
    total: int
    #: Those that are its own now, by state; a later backfill may have taken some over.
    runs: RunCounts
    created_at: str | None
    cancelled_at: str | None
    reason: str | None


class PlannedSchema(Schema):
    """What a backfill would do about a partition."""

    partition: str
    #: `make`, `adopt` (a waiting run), `retry`, `rerun` (its next generation) or `skip`.
    action: str
    #: The run that is there; null where there is none.
    run: str | None
    state: RunState | None
    #: What it would wait for; empty where it would start.
    waiting_for: list[WaitSchema]


class BackfillPlan(Schema):
    """What a backfill would do; nothing of it is done."""

    pipeline: str
    only: str
    order: str
    max_active: int
    force: bool
    #: How many runs it would be given.
    total: int
    #: By partition, in the order in which they would fire; those that would be skipped among them.
    items: list[PlannedSchema]


class AlertSchema(Schema):
    """Something that somebody should know, once for each cause."""

    id: str
    #: `failed`, `late` or `sensor_down`.
    kind: str
    #: `open` or `resolved`.
    state: str
    text: str
    pipeline: OptionalText = None
    dataset: OptionalText = None
    partitions: list[str]
    run: OptionalText = None
    opened_at: str | None
    resolved_at: str | None


class CallbackAnswer(Schema):
    """The word of who works on a task is kept."""

    state: str


class Ok(Schema):
    """The answer of the probes."""

    status: str
    #: What is not ready, with why.
    problems: Mapping[str, str] = Field(default={}, exclude_if=lambda found: not found)


def answer(document: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a shape as an answer of JSON."""
    return web.Response(
        status=status,
        headers=headers,
        body=document.model_dump_json(by_alias=True).encode(),
        content_type="application/json",
    )


def json_answer(text: str, status: int = 200) -> web.Response:
    """Return a JSON document that has the shape of a model as an answer, without asking the model."""
    return web.Response(status=status, body=text.encode(), content_type="application/json")
