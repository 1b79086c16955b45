"""What no single value shows: names taken twice, cycles, keys of a pipeline that do not go together."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from sensorflow.config.datasets import leaves
from sensorflow.config.files import SourceFile
from sensorflow.config.models import ByDimension, DatasetItem, Offset, PipelineFile, SharedFile
from sensorflow.config.partitions import described, key_dimensions
from sensorflow.config.yaml import Document, Path, shown
from sensorflow.core.errors import Problem
from sensorflow.core.graph import find_cycles
from sensorflow.core.partitions import calendar_of
from sensorflow.core.vocabulary import Grain, Partitioning

#: Pipelines with their names, which may come from the file's.
Named: TypeAlias = Sequence[tuple[str, SourceFile[PipelineFile]]]


def check_names(pipelines: Named, shared: Sequence[SourceFile[SharedFile]], problems: list[Problem]) -> None:
    """Find pipelines, and shared sensors, of one name."""
    first: dict[str, Document] = {}
    for name, file in pipelines:
        if name in first:
            place = first[name].place(("name",))
            message = f"expected another name than that of the pipeline at {place}, found {shown(name)}"
            problems.append(file.document.problem(("name",), message))
        first.setdefault(name, file.document)
    sensors: dict[str, Document] = {}
    for shared_file in shared:
        for name in shared_file.names("sensors"):
            path: Path = ("sensors", name)
            if name in sensors:
                place = sensors[name].place(path)
                message = f"expected another name than that of the sensor at {place}, found {shown(name)}"
                problems.append(shared_file.document.problem(path, message, at_key=True))
            sensors.setdefault(name, shared_file.document)


def check_times(file: SourceFile[PipelineFile], own: Partitioning, problems: list[Problem]) -> None:
    """Find a schedule or an order that the pipeline's partitions cannot have."""
    section = file.model
    # At a schedule time the runs of one moment are made: all keys must be known.
    has_free_keys = any(cut.grain is Grain.KEY for cut in key_dimensions(own).values())
    if section.schedule is not None and (has_free_keys or not _is_in_order(own)):
        found = shown(section.schedule)
        message = f"expected no schedule for a pipeline that is {described(own)}, found {found}"
        problems.append(file.document.problem(("schedule",), message))
    if not section.sequential:
        return
    if not _is_in_order(own):
        message = f"expected partitions of the calendar, or none, found a pipeline that is {described(own)}"
        problems.append(file.document.problem(("sequential",), message))
    elif own.grain is not Grain.NONE and section.start is None and ("start",) not in file.broken:
        message = 'expected "start" beside it, which is the first partition, found none'
        problems.append(file.document.problem(("sequential",), message, at_key=True))


def _is_in_order(own: Partitioning) -> bool:
    """Tell whether partitions follow each other, or are one."""
    return own.grain is Grain.NONE or calendar_of(own) is not None


def check_outputs(pipelines: Named, problems: list[Problem]) -> None:
    """Find datasets that two tasks output."""
    first: dict[str, str] = {}
    for pipeline, file in pipelines:
        for task_name, task in file.model.tasks.items():
            for index, dataset in enumerate(task.outputs):
                path: Path = ("tasks", task_name, "outputs", index)
                if dataset in first:
                    message = (
                        f"expected one task that outputs {dataset}, found a second beside {first[dataset]}"
                    )
                    problems.append(file.document.problem(path, message))
                else:
                    first[dataset] = f"{pipeline}.{task_name} at {file.document.place(path)}"


def check_pipeline_cycles(pipelines: Named, problems: list[Problem]) -> None:
    """Find pipelines, and tasks of one, that wait for what they output themselves.

    A dataset read only with a negative offset closes no cycle: it comes from an earlier partition.
    """
    files = dict(pipelines)
    reads = {
        (name, task_name): [(item, path) for item, path in _waited_for(file, task_name)]
        for name, file in files.items()
        for task_name in file.model.tasks
    }
    producers = {
        dataset: (name, task_name)
        for name, file in files.items()
        for task_name, task in file.model.tasks.items()
        for dataset in task.outputs
    }
    _check_between(files, reads, producers, problems)
    _check_within(files, reads, producers, problems)


_Task: TypeAlias = tuple[str, str]
_Reads: TypeAlias = Mapping[_Task, list[tuple[DatasetItem, Path]]]


def _waited_for(file: SourceFile[PipelineFile], task: str) -> Iterator[tuple[DatasetItem, Path]]:
    for item, path in leaves(file.model.tasks[task].inputs, ("tasks", task, "inputs")):
        said = item.partitions
        ways = list(said.dimensions.values()) if isinstance(said, ByDimension) else [said]
        if not any(isinstance(way, Offset) and way.offset < 0 for way in ways):
            yield item, path


def _check_between(
    files: Mapping[str, SourceFile[PipelineFile]],
    reads: _Reads,
    producers: Mapping[str, _Task],
    problems: list[Problem],
) -> None:
    #: By pipeline and the pipeline it waits for: the dataset, and where it is read.
    chains: dict[str, dict[str, tuple[str, Path]]] = {name: {} for name in files}
    for (name, _), items in reads.items():
        for item, path in items:
            producer = producers.get(item.dataset, (name, ""))[0]
            if producer != name:
                chains[name].setdefault(producer, (item.dataset, path))
    for cycle in find_cycles(chains):
        first = cycle[0]
        ring = (first, *reversed(cycle))
        datasets = [chains[reader][producer][0] for producer, reader in pairwise(ring)]
        told = (
            "".join(f"{name} -({dataset})-> " for name, dataset in zip(ring, datasets, strict=False)) + first
        )
        message = f"expected pipelines that wait for each other without a cycle, found {told}"
        path = chains[first][ring[-2]][1]
        problems.append(files[first].document.problem(path, message))


def _check_within(
    files: Mapping[str, SourceFile[PipelineFile]],
    reads: _Reads,
    producers: Mapping[str, _Task],
    problems: list[Problem],
) -> None:
    for name, file in files.items():
        waits: dict[str, list[str]] = {}
        for task_name, task in file.model.tasks.items():
            made = [producers.get(item.dataset, ("", "")) for item, _ in reads[name, task_name]]
            waits[task_name] = [*task.after, *(producer for owner, producer in made if owner == name)]
        if find_cycles({task_name: task.after for task_name, task in file.model.tasks.items()}):
            continue  # Named already, where `after` is checked.
        for cycle in find_cycles(waits):
            first = cycle[0]
            told = " -> ".join((first, *reversed(cycle)))
            message = (
                f"expected tasks that wait for each other without a cycle, found {told} by outputs and inputs"
            )
            problems.append(file.document.problem(("tasks", first), message, at_key=True))
