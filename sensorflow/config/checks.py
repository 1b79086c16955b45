"""What can be seen only over all files: names taken twice, cycles, inputs that nothing feeds."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from sensorflow.config.datasets import leaves
from sensorflow.config.files import SourceFile
from sensorflow.config.models import DatasetItem, Offset, PipelineFile, SharedFile
from sensorflow.config.yaml import Document, Path, shown
from sensorflow.core.definitions import MAKES_RUNS, Definitions
from sensorflow.core.definitions import leaves as input_leaves
from sensorflow.core.errors import Problem
from sensorflow.core.graph import find_cycles

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
        if not (isinstance(item.partitions, Offset) and item.partitions.offset < 0):
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


def warn(definitions: Definitions, documents: Mapping[str, Document]) -> list[Problem]:
    """Return what is allowed and probably not meant."""
    return [*_unfed(definitions, documents), *_without_runs(definitions, documents)]


def _unfed(definitions: Definitions, documents: Mapping[str, Document]) -> Iterator[Problem]:
    for dataset, readers in definitions.readers.items():
        if dataset in definitions.feeds or dataset in definitions.producers:
            continue
        for name, task in {r.pipeline.name: r.task.name for r in reversed(readers)}.items():
            document = documents[name]
            path = _place_of_input(document, task, dataset)
            message = f"no sensor and no output feeds {dataset}: only POST /api/v1/ready makes it ready"
            yield document.problem(path, message)


def _place_of_input(document: Document, task: str, dataset: str) -> Path:
    """Return where a task names a dataset among its inputs."""
    inputs: Path = ("tasks", task, "inputs")
    for path in document.values:
        if path[: len(inputs)] == inputs and document.value(path) == dataset:
            return path
    return inputs


def _without_runs(definitions: Definitions, documents: Mapping[str, Document]) -> Iterator[Problem]:
    for pipeline in definitions.pipelines.values():
        selections = {
            leaf.selection for task in pipeline.tasks.values() for leaf in input_leaves(task.inputs)
        }
        if not selections & MAKES_RUNS:
            found = ", ".join(sorted(selections)) or "no inputs"
            message = (
                f"nothing makes runs of this pipeline: expected an input read by same or all, found {found}"
            )
            yield documents[pipeline.name].problem(("tasks",), message, at_key=True)
