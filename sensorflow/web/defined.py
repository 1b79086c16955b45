"""The shapes of what is defined and of what names a run: pipelines, their tasks, datasets."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sensorflow.core.states import RunState
from sensorflow.web.schemas import EventSchema, OptionalText, RunCounts, Schema, absent


class RunReference(Schema):
    """What names a run, and its state."""

    id: str
    pipeline: str
    state: RunState
    #: Absent for pipelines without partitions.
    partition: OptionalText = None


class DimensionSchema(Schema):
    """One dimension of partitions that have several."""

    grain: str
    timezone: str
    #: The keys that there are; empty where they are of the calendar or free.
    keys: list[str]


class DefinedInput(Schema):
    """A dataset that a task waits for."""

    dataset: str
    #: `same`, `all`, `containing`, `latest`, `last` or `offset`.
    partitions: str
    #: How many, for `last`; how far, for `offset`.
    count: int | None
    #: So many of the partitions are enough.
    at_least: int | None
    #: So long after the partition's end the task may start without it.
    optional_after_s: float | None
    #: What arrived before that does not count.
    max_age_s: float | None
    #: By dimension: the keys that are read.
    dimensions: dict[str, list[str]]
    #: The same in words.
    text: str


class DefinedGroup(Schema):
    """Inputs of which some are enough."""

    #: So many of them.
    needed: int
    of: "list[DefinedInput | DefinedGroup]"
    #: The same in words.
    text: str


class RunAction(Schema):
    """A command."""

    kind: Literal["run"]
    #: The argv, or one line for the shell.
    run: list[str] | str


class HttpAction(Schema):
    """A request to a server."""

    kind: Literal["http"]
    method: str
    #: No more than scheme and server: the rest may be secret.
    url: str
    #: Only the names: values may be secret.
    headers: list[str]
    #: `callback` where whoever works on it calls back.
    wait: str | None
    #: How long a callback may take without word.
    lease_s: float | None


class PythonAction(Schema):
    """A function in a warm worker."""

    kind: Literal["python"]
    #: As `package.module:function`.
    python: str


class DefinedRetries(Schema):
    """How a failed attempt is tried again."""

    max: int
    delay_s: float
    backoff: float
    max_delay_s: float
    jitter: float


class DefinedTask(Schema):
    """A task of a pipeline's definition."""

    name: str
    after: list[str]
    #: What the tasks before must have come to.
    when: str
    #: Whether what is below a skipped task goes on: `succeed` or `block`.
    skipped: str
    inputs: list[DefinedInput | DefinedGroup]
    #: All datasets in `inputs`.
    reads: list[str]
    outputs: list[str]
    action: Annotated[RunAction | HttpAction | PythonAction, Field(discriminator="kind")]
    retries: DefinedRetries
    timeout_s: float | None
    priority: int
    #: Only the names: values may be secret.
    env: list[str]


class CompleteSchema(Schema):
    """What makes a partition complete; one of these."""

    parts: Annotated[list[str] | None, Field(exclude_if=absent)] = None
    #: So many parts or events.
    count: Annotated[int | None, Field(exclude_if=absent)] = None
    #: So long without an arrival.
    quiet_s: Annotated[float | None, Field(exclude_if=absent)] = None


class ExpectSchema(Schema):
    """When a partition should be there; one of these."""

    #: The first such clock time at or after its end.
    clock: OptionalText = None
    #: So long after its end.
    after_s: Annotated[float | None, Field(exclude_if=absent)] = None


class NewestPartition(Schema):
    """The newest partition that is ready."""

    #: Absent for datasets without partitions.
    partition: OptionalText = None
    version: int
    ready_at: str | None


class RecentRun(Schema):
    """One of a pipeline's newest runs."""

    id: str
    #: Absent for pipelines without partitions.
    partition: OptionalText = None
    state: RunState
    stale: bool


class PipelineSummary(Schema):
    """A pipeline at a glance."""

    name: str
    description: str
    grain: str
    timezone: str
    paused: bool
    runs: RunCounts
    #: The newest run; null before the first.
    last_run: RunReference | None
    #: Where they were asked for: of the calendar those of the newest partitions, else those made last.
    recent: Annotated[list[RecentRun] | None, Field(exclude_if=absent)] = None


class Edge(Schema):
    """`target` stands below `source`."""

    source: str
    target: str


class PipelineSchema(PipelineSummary):
    """A pipeline with its definition and its graph."""

    keys: list[str]
    #: Of a pipeline of several dimensions: grain, timezone and keys of each, by name.
    dimensions: Annotated[dict[str, DimensionSchema] | None, Field(exclude_if=absent)] = None
    start: str | None
    end: str | None
    late: str
    max_active_runs: int
    concurrency: int
    #: Cron, in the pipeline's time zone.
    schedule: str | None
    catchup: str
    sequential: bool
    #: A run that has waited so long is cancelled; null where it waits for ever.
    expire_s: float | None
    file: str
    tasks: list[DefinedTask]
    edges: list[Edge]
    #: Tasks of all runs by state; those still waiting for the first time are not counted.
    task_counts: dict[str, int]


class DatasetSchema(Schema):
    """A dataset at a glance."""

    name: str
    grain: str
    timezone: str
    #: What makes a partition complete; null where one arrival does.
    complete: CompleteSchema | None
    #: When a partition should be there; null where nobody said.
    expect: ExpectSchema | None
    #: The partitions that an alert is open for.
    late: list[str]
    #: The newest ready partition; null where none is.
    newest: NewestPartition | None
    ready: int
    partial: int
    #: As `pipeline/sensor`.
    sensors: list[str]
    #: The task that makes it, as `pipeline/task`.
    producer: str | None
    #: The tasks that read it, as `pipeline/task`.
    consumers: list[str]


class EventDetail(EventSchema):
    """A stored event with all that it carries and the runs that exist for what it made."""

    data: Any
    extensions: dict[str, Any]
    runs: list[RunReference]
