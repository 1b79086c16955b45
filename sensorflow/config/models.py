"""The sections of a pipeline file and of a file of shared sensors, as pydantic models."""

from typing import Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, model_validator

from sensorflow.config.problems import Section, expected, later
from sensorflow.config.values import (
    NAME_WORDS,
    Duration,
    EnvName,
    EventPath,
    FreeKey,
    Late,
    Name,
    PositiveCount,
    PositiveDuration,
    ProcessText,
    Python,
    Run,
    Text,
    Timezone,
    WhenWord,
    Whole,
    is_name,
    number,
    same_once,
    whole,
)
from sensorflow.core.vocabulary import Grain, LatePolicy, Selection, When

_NAMED_GRAINS = tuple(grain for grain in Grain if grain is not Grain.KEYS)


class Keys(Section):
    """A grain of listed keys."""

    keys: Annotated[list[FreeKey], Field(min_length=1), AfterValidator(same_once)]


def _partition(value: object) -> Grain | Keys:
    if isinstance(value, dict):
        if "several" in value:
            raise later('"several"')
        return Keys.model_validate(value)
    if value not in _NAMED_GRAINS:
        raise expected(f"one of {', '.join(_NAMED_GRAINS)} or {{keys: [...]}}")
    return Grain(str(value))


Partition: TypeAlias = Annotated[Grain | Keys, PlainValidator(_partition, json_schema_input_type=str | Keys)]


def _has_partitions(value: Grain | Keys) -> Grain | Keys:
    if value is Grain.NONE:
        raise later('"none" for a pipeline')
    return value


class Last(Section):
    """This partition and those before it, so many in all."""

    last: PositiveCount


def _offset(value: int) -> int:
    if not value:
        raise expected("a whole number other than 0")
    return value


class Offset(Section):
    """One partition earlier (negative) or later."""

    offset: Annotated[Whole, AfterValidator(_offset)]


_WORDS = (Selection.SAME, Selection.ALL, Selection.CONTAINING, Selection.LATEST)


def _selection(value: object) -> Selection | Last | Offset:
    if isinstance(value, dict):
        if value.keys() == {"last"}:
            return Last.model_validate(value)
        if value.keys() == {"offset"}:
            return Offset.model_validate(value)
        if not value.keys() & {"last", "offset"} and value:
            raise later("a mapping of dimensions")
    if value not in _WORDS:
        raise expected(f"one of {', '.join(_WORDS)}, {{last: n}} or {{offset: n}}")
    return Selection(str(value))


Partitions: TypeAlias = Annotated[
    Selection | Last | Offset, PlainValidator(_selection, json_schema_input_type=str | Last | Offset)
]


class DatasetItem(Section):
    """One dataset that a task waits for."""

    LATER = frozenset({"max_age"})
    dataset: Name
    #: None: what the grains of both sides suggest.
    partitions: Partitions | None = None
    at_least: PositiveCount | None = None
    optional_after: Duration | None = None


class AnyItem(Section):
    """One of these is enough."""

    any: Annotated[list["Item"], Field(min_length=1)]


class AllItem(Section):
    """All of these."""

    all: Annotated[list["Item"], Field(min_length=1)]


class AtLeastItem(Section):
    """So many of these."""

    at_least: PositiveCount
    of: Annotated[list["Item"], Field(min_length=1)]


def _item(value: object) -> "DatasetItem | AnyItem | AllItem | AtLeastItem":
    if isinstance(value, str):
        if not is_name(value):
            raise expected(NAME_WORDS)
        return DatasetItem.model_validate({"dataset": value})
    if not isinstance(value, dict):
        raise expected(
            "a dataset's name, {dataset: ...}, {any: [...]}, {all: [...]} or {at_least: n, of: [...]}"
        )
    if "any" in value:
        return AnyItem.model_validate(value)
    if "all" in value:
        return AllItem.model_validate(value)
    return AtLeastItem.model_validate(value) if "of" in value else DatasetItem.model_validate(value)


Item: TypeAlias = Annotated[
    DatasetItem | AnyItem | AllItem | AtLeastItem, PlainValidator(_item, json_schema_input_type=Any)
]


class Retries(Section):
    """How a failed attempt is tried again; what is left out comes from `defaults`."""

    max: Annotated[int, whole(0)] = 0
    delay: Duration = 10.0
    backoff: Annotated[float, number(1)] = 2.0
    max_delay: Duration = 300.0
    jitter: Annotated[float, number(0, 1)] = 0.1


class Defaults(Section):
    """What every task of the pipeline has unless it says otherwise."""

    retries: Retries = Retries()
    timeout: PositiveDuration | None = None
    env: dict[EnvName, ProcessText] = Field(default_factory=dict)


class Task(Section):
    """A node of the DAG."""

    LATER = frozenset({"http", "wait", "lease", "skipped"})
    inputs: list[Item] = Field(default_factory=list)
    after: Annotated[list[Name], AfterValidator(same_once)] = Field(default_factory=list)
    run: Run | None = None
    python: Python | None = None
    outputs: Annotated[list[Name], AfterValidator(same_once)] = Field(default_factory=list)
    retries: Retries = Retries()
    timeout: PositiveDuration | None = None
    priority: Whole = 0
    when: WhenWord = When.ALL_SUCCEEDED
    env: dict[EnvName, ProcessText] = Field(default_factory=dict)


class Complete(Section):
    """When a partition is all there: listed parts, or so many."""

    LATER = frozenset({"quiet"})
    parts: Annotated[list[Text], Field(min_length=1), AfterValidator(same_once)] | None = None
    count: PositiveCount | None = None

    @model_validator(mode="after")
    def _says_one(self) -> Self:
        if (self.parts is None) == (self.count is None):
            raise expected("one of parts and count", found="both" if self.count else "neither")
        return self


class Dataset(Section):
    """What differs from the pipeline's own grain and from `one arrival makes it ready`."""

    LATER = frozenset({"expect"})
    partition: Partition | None = None
    timezone: Timezone | None = None
    complete: Complete | None = None


class SharedDataset(Dataset):
    """A dataset in a file of shared sensors, which has no pipeline to take a grain from."""

    partition: Partition
    timezone: Timezone = "UTC"


class Sensor(Section):
    """What all sensors have; other keys are the options of the sensor's kind."""

    model_config = ConfigDict(extra="allow")
    type: Text
    dataset: Name
    match: dict[str, Any] | None = None
    partition: EventPath | None = None
    part: EventPath | None = None
    id: EventPath | None = None
    time: EventPath | None = None
    dedupe: Duration = 600.0


class SharedFile(Section):
    """`sensors/*.yaml`."""

    datasets: dict[Name, SharedDataset] = Field(default_factory=dict)
    sensors: dict[Name, Sensor] = Field(default_factory=dict)


class PipelineFile(Section):
    """`pipelines/*.yaml`."""

    LATER = frozenset({"schedule", "catchup", "sequential", "paused", "expire"})
    name: Name | None = None
    description: str = ""
    partition: Annotated[Partition, AfterValidator(_has_partitions)] = Grain.DAILY
    timezone: Timezone = "UTC"
    start: str | None = None
    end: str | None = None
    late: Late = LatePolicy.STALE
    max_active_runs: PositiveCount = 16
    concurrency: PositiveCount = 8
    defaults: Defaults = Defaults()
    datasets: dict[Name, Dataset] = Field(default_factory=dict)
    sensors: dict[Name, Sensor] = Field(default_factory=dict)
    #: At least one; checked where a file is compiled, so that the rest is checked all the same.
    tasks: dict[Name, Task] = Field(default_factory=dict)
