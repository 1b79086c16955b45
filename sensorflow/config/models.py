"""The sections of a pipeline file and of a file of shared sensors, as pydantic models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    model_validator,
)

from sensorflow.config.http import Http
from sensorflow.config.partitions import DimensionName, Partition
from sensorflow.config.problems import Section, expected
from sensorflow.config.reading import PartitionFrom, ReadFrom
from sensorflow.config.values import (
    NAME_WORDS,
    CatchupWord,
    Cron,
    Duration,
    EnvName,
    Expected,
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
    the_word,
    whole,
)
from sensorflow.core.vocabulary import Catchup, Grain, LatePolicy, Selection, When


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
_WAYS = f"{', '.join(_WORDS)}, {{last: n}}"


@dataclass(frozen=True, slots=True)
class ByDimension:
    """How each of a dataset's dimensions is read: keys, or a way as of a whole dataset."""

    dimensions: "Mapping[str, Selection | Last | Offset | tuple[str, ...]]"


def _way(value: object) -> Selection | Last | Offset | None:
    if isinstance(value, dict) and value.keys() == {"last"}:
        return Last.model_validate(value)
    if isinstance(value, dict) and value.keys() == {"offset"}:
        return Offset.model_validate(value)
    return Selection(str(value)) if value in _WORDS else None


def _of_dimension(value: object) -> Selection | Last | Offset | tuple[str, ...]:
    way = _way(value)
    if way is not None:
        return way
    if isinstance(value, str):
        return (_KEY.validate_python(value),)
    if not isinstance(value, list):
        raise expected(f"{_WAYS}, {{offset: n}}, a key or a list of keys")
    return tuple(_KEYS.validate_python(value))


_KEY = TypeAdapter[str](FreeKey)
_KEYS = TypeAdapter[list[str]](
    Annotated[list[FreeKey], Field(min_length=1), AfterValidator(same_once)], config=ConfigDict(strict=True)
)
_DIMENSIONS = TypeAdapter[dict[str, Any]](
    dict[DimensionName, Annotated[Any, PlainValidator(_of_dimension)]], config=ConfigDict(strict=True)
)


def _partitions(value: object) -> Selection | Last | Offset | ByDimension:
    way = _way(value)
    if way is not None:
        return way
    if isinstance(value, dict) and value and not value.keys() & {"last", "offset"}:
        return ByDimension(_DIMENSIONS.validate_python(value))
    raise expected(f"one of {_WAYS}, {{offset: n}} or a mapping of dimensions")


Partitions: TypeAlias = Annotated[
    Selection | Last | Offset | ByDimension,
    PlainValidator(_partitions, json_schema_input_type=str | Last | Offset | dict[str, Any]),
]


class DatasetItem(Section):
    """One dataset that a task waits for."""

    dataset: Name
    #: None: what the grains of both sides suggest.
    partitions: Partitions | None = None
    at_least: PositiveCount | None = None
    optional_after: Duration | None = None
    max_age: PositiveDuration | None = None


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
    DatasetItem | AnyItem | AllItem | AtLeastItem,
    PlainValidator(_item, json_schema_input_type=Name | DatasetItem | AnyItem | AllItem | AtLeastItem),
]


class Retries(Section):
    """How a failed attempt is tried again; what is left out comes from `defaults`."""

    #: Tries after the first.
    max: Annotated[int, whole(0)] = 0
    #: Before the second try.
    delay: Duration = 10.0
    #: Each further delay is so many times the one before.
    backoff: Annotated[float, number(1)] = 2.0
    max_delay: Duration = 300.0
    #: The part of the delay that is left to chance.
    jitter: Annotated[float, number(0, 1)] = 0.1


class Defaults(Section):
    """What every task of the pipeline has unless it says otherwise."""

    retries: Retries = Retries()
    timeout: PositiveDuration | None = None
    priority: Whole = 0
    env: dict[EnvName, ProcessText] = Field(default_factory=dict)


class Task(Section):
    """A node of the DAG."""

    #: The datasets that have to be ready for the run's partition.
    inputs: list[Item] = Field(default_factory=list)
    #: The tasks that come before.
    after: Annotated[list[Name], AfterValidator(same_once)] = Field(default_factory=list)
    #: A command: a list is its argv, a text one line of `sh -c`.
    run: Run | None = None
    #: A function, as package.module:function.
    python: Python | None = None
    #: A request to a server.
    http: Http | None = None
    #: The datasets that its success makes ready.
    outputs: Annotated[list[Name], AfterValidator(same_once)] = Field(default_factory=list)
    retries: Retries = Retries()
    #: An attempt that takes longer is stopped and has failed.
    timeout: PositiveDuration | None = None
    #: Of queued tasks the highest starts first.
    priority: Whole = 0
    #: What the tasks before must have come to.
    when: WhenWord = When.ALL_SUCCEEDED
    skipped: Annotated[Literal["block"] | None, the_word("block")] = None
    env: dict[EnvName, ProcessText] = Field(default_factory=dict)


class Complete(Section):
    """When a partition is all there: listed parts, or so many, and no arrival for so long."""

    parts: Annotated[list[Text], Field(min_length=1), AfterValidator(same_once)] | None = None
    count: PositiveCount | None = None
    quiet: PositiveDuration | None = None

    @model_validator(mode="after")
    def _says_one(self) -> Self:
        if self.parts is not None and self.count is not None:
            raise expected("one of parts and count", found="both")
        if self.parts is None and self.count is None and self.quiet is None:
            raise expected("parts, count or quiet", found="none of them")
        return self


class Dataset(Section):
    """What differs from the pipeline's own grain and from `one arrival makes it ready`."""

    partition: Partition | None = None
    timezone: Timezone | None = None
    complete: Complete | None = None
    expect: Expected | None = None


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
    #: Of a dataset with several dimensions, one path for each.
    partition: PartitionFrom | None = None
    part: ReadFrom | None = None
    id: ReadFrom | None = None
    time: ReadFrom | None = None
    dedupe: Duration = 600.0


class SharedFile(Section):
    """`sensors/*.yaml`."""

    datasets: dict[Name, SharedDataset] = Field(default_factory=dict)
    sensors: dict[Name, Sensor] = Field(default_factory=dict)


class PipelineFile(Section):
    """`pipelines/*.yaml`."""

    #: The file's name, unless said.
    name: Name | None = None
    description: str = ""
    #: What a run is of: an hour, a day, a week, a month, a key, several of these, or none.
    partition: Partition = Grain.DAILY
    #: The bounds of days, weeks and months, and all clock times.
    timezone: Timezone = "UTC"
    #: The first partition; events for earlier ones are kept and fire nothing.
    start: str | None = None
    #: The last partition.
    end: str | None = None
    #: What a newer version of consumed data does: nothing, a mark, or another generation.
    late: Late = LatePolicy.STALE
    #: Runs with a task running or retrying; those that wait do not count.
    max_active_runs: PositiveCount = 16
    #: Tasks of this pipeline at once.
    concurrency: PositiveCount = 8
    #: Cron, in the time zone: makes the run of the newest partition that has ended.
    schedule: Cron | None = None
    #: Which schedule times that a stop of the service missed are made up for.
    catchup: CatchupWord = Catchup.NONE
    #: A partition's run waits for the success of the one before.
    sequential: bool = False
    #: Arrivals are recorded and nothing starts.
    paused: bool = False
    #: A run that has waited for so long is cancelled.
    expire: PositiveDuration | None = None
    #: For every task that does not say otherwise.
    defaults: Defaults = Defaults()
    #: What differs from the pipeline's own grain, and from one arrival that makes a partition ready.
    datasets: dict[Name, Dataset] = Field(default_factory=dict)
    #: What observes the world, by name.
    sensors: dict[Name, Sensor] = Field(default_factory=dict)
    #: At least one; checked where a file is compiled, so that the rest is checked all the same.
    tasks: dict[Name, Task] = Field(default_factory=dict)
