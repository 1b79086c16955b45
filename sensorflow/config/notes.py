"""What is allowed and probably not meant, or worth to know: the warnings of `validate`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sensorflow.config.partitions import described, key_dimensions
from sensorflow.config.sources import HttpOptions
from sensorflow.config.yaml import Document, Path
from sensorflow.core.definitions import MAKES_RUNS, Definitions, leaves
from sensorflow.core.errors import Problem
from sensorflow.core.partitions import bounds, calendar_of, is_finer
from sensorflow.core.vocabulary import (
    Catchup,
    DatasetInput,
    Grain,
    Partitioning,
    PipelineDefinition,
    Selection,
)

#: The years whose offsets are looked at where a pipeline has no start or no end.
_FIRST_YEAR, _LAST_YEAR = 2020, 2037
_HOUR = timedelta(hours=1)


def notes(definitions: Definitions, documents: Mapping[str, Document]) -> list[Problem]:
    """Return the warnings about definitions that are right."""
    return [
        *_unfed(definitions, documents),
        *_without_runs(definitions, documents),
        *_straddling(definitions, documents),
        *_without_effect(definitions, documents),
        *_polled_newest_only(definitions, documents),
        *_every_output(definitions, documents),
    ]


@dataclass(frozen=True, slots=True)
class _Read:
    """One place where a task reads a dataset."""

    pipeline: PipelineDefinition
    task: str
    input: DatasetInput


def _reads(definitions: Definitions) -> Iterator[_Read]:
    for pipeline in definitions.pipelines.values():
        for task in pipeline.tasks.values():
            for leaf in leaves(task.inputs):
                yield _Read(pipeline, task.name, leaf)


def _unfed(definitions: Definitions, documents: Mapping[str, Document]) -> Iterator[Problem]:
    for read in _first_each(_reads(definitions)):
        dataset = read.input.dataset
        if dataset not in definitions.feeds and dataset not in definitions.producers:
            message = f"no sensor and no output feeds {dataset}: only POST /api/v1/ready makes it ready"
            yield _problem_at(read, documents, message)


def _first_each(reads: Iterable[_Read]) -> Iterable[_Read]:
    """Return the first read of each dataset in each pipeline."""
    firsts: dict[tuple[str, str], _Read] = {}
    for read in reads:
        firsts.setdefault((read.pipeline.name, read.input.dataset), read)
    return firsts.values()


def _problem_at(read: _Read, documents: Mapping[str, Document], message: str) -> Problem:
    document = documents[read.pipeline.name]
    return document.problem(_place_of_input(document, read.task, read.input.dataset), message)


def _place_of_input(document: Document, task: str, dataset: str) -> Path:
    """Return where a task names a dataset among its inputs."""
    inputs: Path = ("tasks", task, "inputs")
    for path in document.values:
        if path[: len(inputs)] == inputs and document.value(path) == dataset:
            return path
    return inputs


def _without_runs(definitions: Definitions, documents: Mapping[str, Document]) -> Iterator[Problem]:
    for pipeline in definitions.pipelines.values():
        inputs = [leaf for task in pipeline.tasks.values() for leaf in leaves(task.inputs)]
        if pipeline.schedule is not None or any(_makes_runs(definitions, pipeline, leaf) for leaf in inputs):
            continue
        is_whole = pipeline.partitioning.grain is Grain.NONE
        wanted = "an input" if is_whole else "an input read by same or all"
        found = ", ".join(sorted({leaf.selection for leaf in inputs})) or "no inputs"
        message = f"nothing makes runs of this pipeline: expected {wanted}, or a schedule, found {found}"
        yield documents[pipeline.name].problem(("tasks",), message, at_key=True)


def _makes_runs(definitions: Definitions, pipeline: PipelineDefinition, leaf: DatasetInput) -> bool:
    """Tell whether an arrival says of which partitions runs are to be made."""
    own, theirs = pipeline.partitioning, definitions.datasets[leaf.dataset].partitioning
    if own.grain is Grain.NONE:
        return True
    if leaf.selection not in MAKES_RUNS:
        return False
    if own.grain is not Grain.SEVERAL:
        return True
    open_keys = key_dimensions(own).keys() - key_dimensions(theirs).keys()
    is_open = any(key_dimensions(own)[name].grain is Grain.KEY for name in open_keys)
    return not is_open and not (calendar_of(own) is not None and calendar_of(theirs) is None)


def _straddling(definitions: Definitions, documents: Mapping[str, Document]) -> Iterator[Problem]:
    """Yield the inputs whose finer partitions do not end where the coarser ones do."""
    selective = (each for each in _reads(definitions) if each.input.selection is not Selection.LATEST)
    for read in _first_each(selective):
        why = _straddle(read.pipeline, definitions.datasets[read.input.dataset].partitioning)
        if why is not None:
            yield _problem_at(read, documents, f"bounds straddle: {why}")


def _straddle(pipeline: PipelineDefinition, dataset: Partitioning) -> str | None:
    """Return which bounds do not meet, in words; None where they do."""
    own, theirs = calendar_of(pipeline.partitioning), calendar_of(dataset)
    if own is None or theirs is None or own.grain is theirs.grain:
        return None
    fine, coarse = (own, theirs) if is_finer(own.grain, theirs.grain) else (theirs, own)
    if fine.grain is Grain.WEEKLY:
        return "a week lies in two months; it belongs to that of its Thursday"
    if fine.grain is Grain.HOURLY:
        if _has_whole_hours(coarse.timezone, *_years(pipeline)):
            return None
        return f"an hour lies in two partitions that are {described(coarse)}; it belongs to that of its start"
    if fine.timezone == coarse.timezone:
        return None
    return (
        f"a partition that is {described(fine)} lies in two that are {described(coarse)}; "
        "it belongs to that of its start"
    )


def _years(pipeline: PipelineDefinition) -> tuple[int, int]:
    """Return the first and the last year that a pipeline looks at."""
    cut = calendar_of(pipeline.partitioning)
    start, end = (bounds(cut, key) if cut and key else None for key in (pipeline.start, pipeline.end))
    first = datetime.fromtimestamp(start.start, UTC).year if start else _FIRST_YEAR
    last = datetime.fromtimestamp(end.start, UTC).year if end else max(first, _LAST_YEAR)
    return min(first, last), last


def _has_whole_hours(timezone: str, first: int, last: int) -> bool:
    """Tell whether days, weeks and months of a zone begin at full hours of UTC in these years."""
    zone = ZoneInfo(timezone)
    months = (
        datetime(year, month, 1, tzinfo=zone) for year in range(first, last + 1) for month in range(1, 13)
    )
    return all((month.utcoffset() or timedelta()) % _HOUR == timedelta() for month in months)


def _without_effect(definitions: Definitions, documents: Mapping[str, Document]) -> Iterator[Problem]:
    for pipeline in definitions.pipelines.values():
        document = documents[pipeline.name]
        if pipeline.catchup is not Catchup.NONE and pipeline.schedule is None:
            yield document.problem(("catchup",), "has no effect without a schedule", at_key=True)
        if pipeline.partitioning.grain is Grain.NONE and ("late",) in document.values:
            yield document.problem(("late",), "has no effect for a pipeline without partitions", at_key=True)


def _polled_newest_only(definitions: Definitions, documents: Mapping[str, Document]) -> Iterator[Problem]:
    """Yield the sensors that nothing tells from when on partitions are asked for."""
    for (pipeline, name), sensor in definitions.sensors.items():
        dataset = definitions.datasets[sensor.rule.dataset]
        is_dated = calendar_of(dataset.partitioning) is not None and dataset.expect is None
        is_polled = isinstance(sensor.options, HttpOptions) and sensor.options.template.has_partition
        readers = definitions.readers.get(dataset.name, ())
        if pipeline in documents and is_dated and is_polled and not any(r.pipeline.start for r in readers):
            message = (
                f"polls for the newest ended partition of {dataset.name} and for what open runs wait for; "
                "a start of the pipeline, or an expect of the dataset, lets it poll for what a stop missed"
            )
            yield documents[pipeline].problem(("sensors", name, "url"), message)


def _every_output(definitions: Definitions, documents: Mapping[str, Document]) -> Iterator[Problem]:
    """Yield the sensors for which every output of every run that is told of is their dataset."""
    for (pipeline, name), sensor in definitions.sensors.items():
        if pipeline in documents and sensor.kind == "openlineage" and sensor.rule.match is None:
            message = (
                f"takes every output of every run for {sensor.rule.dataset}; "
                'match: {dataset: ["namespace/name"]} says which'
            )
            yield documents[pipeline].problem(("sensors", name, "type"), message)
