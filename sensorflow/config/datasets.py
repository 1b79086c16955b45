"""What each dataset is: defined outright, else as the pipeline that outputs, reads or feeds it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sensorflow.config.files import SourceFile
from sensorflow.config.models import (
    AllItem,
    AnyItem,
    AtLeastItem,
    DatasetItem,
    Keys,
    PipelineFile,
    SharedFile,
)
from sensorflow.config.models import Dataset as DatasetSection
from sensorflow.config.yaml import Document, Path
from sensorflow.core.errors import Problem
from sensorflow.core.partitions import comparable, is_finer
from sensorflow.core.vocabulary import Completeness, DatasetDefinition, Grain, Partitioning, Selection

_ZONED = frozenset({Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY})


@dataclass(frozen=True, slots=True)
class Claim:
    """A place that says, or lets conclude, what a dataset is."""

    document: Document
    path: Path
    definition: DatasetDefinition


def partitioning(partition: Grain | Keys, timezone: str) -> Partitioning:
    """Return the core's partitioning of a section's two keys."""
    if isinstance(partition, Keys):
        return Partitioning(Grain.KEYS, timezone, tuple(partition.keys))
    return Partitioning(partition, timezone)


def pipeline_partitioning(pipeline: PipelineFile) -> Partitioning:
    """Return how a pipeline is cut into partitions."""
    return partitioning(pipeline.partition, pipeline.timezone)


def leaves(items: Iterable[object], path: Path) -> Iterator[tuple[DatasetItem, Path]]:
    """Yield the dataset items of an `inputs` list, however nested, each with its path."""
    for index, item in enumerate(items):
        if isinstance(item, DatasetItem):
            yield item, (*path, index)
        elif isinstance(item, AnyItem):
            yield from leaves(item.any, (*path, index, "any"))
        elif isinstance(item, AllItem):
            yield from leaves(item.all, (*path, index, "all"))
        elif isinstance(item, AtLeastItem):
            yield from leaves(item.of, (*path, index, "of"))


def resolve_datasets(
    pipelines: Sequence[SourceFile[PipelineFile]],
    shared: Sequence[SourceFile[SharedFile]],
    problems: list[Problem],
) -> dict[str, DatasetDefinition]:
    """Return all datasets that any file names; claims that differ are problems."""
    defined, output, read, fed = (_by_name(claims) for claims in _claims(pipelines, shared))
    datasets = {}
    for name in dict.fromkeys((*defined, *output, *read, *fed)):
        claims = defined.get(name) or output.get(name) or read.get(name) or fed[name]
        first = claims[0]
        datasets[name] = first.definition
        for other in claims[1:]:
            if other.definition != first.definition:
                problems.append(_difference(first, other))
                break
        problems += _outputs_of_another_grain(first, output.get(name, []), is_defined=name in defined)
    problems += _undefined(shared, datasets)
    return datasets


def default_selection(own: Partitioning, theirs: Partitioning) -> Selection | None:
    """Return how a pipeline reads a dataset where `partitions` is left out; None: it must be said."""
    if theirs.grain is Grain.NONE:
        return Selection.LATEST
    if is_finer(theirs.grain, own.grain):
        return Selection.ALL
    if is_finer(own.grain, theirs.grain):
        return Selection.CONTAINING
    return Selection.SAME if _plain(own) == _plain(theirs) else None


def fitting_selections(own: Partitioning, theirs: Partitioning) -> tuple[Selection, ...]:
    """Return the ways in which a pipeline can read a dataset."""
    if not comparable(own.grain, theirs.grain):
        same = own.grain == theirs.grain and theirs.keys == own.keys
        return (Selection.SAME, Selection.LATEST) if same else (Selection.LATEST,)
    fitting = (Selection.LATEST, Selection.LAST, Selection.OFFSET)
    if is_finer(theirs.grain, own.grain):
        return (Selection.ALL, *fitting)
    if is_finer(own.grain, theirs.grain):
        return (Selection.CONTAINING, *fitting)
    return (Selection.SAME, Selection.ALL, Selection.CONTAINING, *fitting)


def described(partitioning: Partitioning) -> str:
    """Return a partitioning in words: `daily in America/New_York`."""
    if partitioning.grain is Grain.KEYS:
        return "keys " + ", ".join(partitioning.keys)
    zone = f" in {partitioning.timezone}" if partitioning.grain in _ZONED else ""
    return partitioning.grain + zone


def _plain(partitioning: Partitioning) -> Partitioning:
    """Return a partitioning without a zone where the zone says nothing."""
    if partitioning.grain in _ZONED:
        return partitioning
    return Partitioning(partitioning.grain, keys=partitioning.keys)


def _by_name(claims: Iterable[Claim]) -> dict[str, list[Claim]]:
    named: dict[str, list[Claim]] = {}
    for claim in claims:
        named.setdefault(claim.definition.name, []).append(claim)
    return named


def _claims(
    pipelines: Sequence[SourceFile[PipelineFile]], shared: Sequence[SourceFile[SharedFile]]
) -> tuple[list[Claim], list[Claim], list[Claim], list[Claim]]:
    """Return what is defined outright, output, read and fed; the earlier beats the later."""
    defined, output, read, fed = [], [], [], []
    for file in pipelines:
        own = pipeline_partitioning(file.model)
        for name, section in file.model.datasets.items():
            defined.append(_defined(file.document, name, section, own))
        for task_name, task in file.model.tasks.items():
            path: Path = ("tasks", task_name)
            for index, name in enumerate(task.outputs):
                output.append(_inferred(file.document, (*path, "outputs", index), name, own))
            for item, place in leaves(task.inputs, (*path, "inputs")):
                read.append(_inferred(file.document, place, item.dataset, own))
        for sensor_name, sensor in file.model.sensors.items():
            fed.append(_inferred(file.document, ("sensors", sensor_name, "dataset"), sensor.dataset, own))
    for shared_file in shared:
        for name, shared_section in shared_file.model.datasets.items():
            defined.append(_defined(shared_file.document, name, shared_section, None))
    return defined, output, read, fed


def _defined(document: Document, name: str, section: DatasetSection, own: Partitioning | None) -> Claim:
    default = own or Partitioning(Grain.NONE)
    if section.partition is None:
        cut = Partitioning(default.grain, section.timezone or default.timezone, default.keys)
    else:
        cut = partitioning(section.partition, section.timezone or default.timezone)
    complete = section.complete
    completeness = (
        Completeness()
        if complete is None
        else Completeness(parts=frozenset(complete.parts or ()), count=complete.count)
    )
    definition = DatasetDefinition(name=name, partitioning=_plain(cut), complete=completeness)
    return Claim(document, ("datasets", name), definition)


def _inferred(document: Document, path: Path, name: str, own: Partitioning) -> Claim:
    return Claim(document, path, DatasetDefinition(name=name, partitioning=_plain(own)))


def _difference(first: Claim, other: Claim) -> Problem:
    name = first.definition.name
    place = first.document.place(first.path)
    expected, found = _definition_words(first.definition), _definition_words(other.definition)
    hint = "" if first.path[0] == "datasets" else f'; say under "datasets" what {name} is'
    message = f"expected {name} to be {expected}, as at {place}, found {found}{hint}"
    return other.document.problem(other.path, message, at_key=True)


def _definition_words(definition: DatasetDefinition) -> str:
    words = described(definition.partitioning)
    if definition.complete.parts:
        words += f" with the parts {', '.join(sorted(definition.complete.parts))}"
    if definition.complete.count is not None:
        words += f" with a count of {definition.complete.count}"
    return words


def _outputs_of_another_grain(first: Claim, outputs: list[Claim], *, is_defined: bool) -> Iterator[Problem]:
    """Yield the outputs whose pipeline makes other partitions than the dataset is defined to have."""
    defined = first.definition.partitioning
    if not is_defined or defined.grain is Grain.NONE:
        return
    for output in outputs:
        if output.definition.partitioning != defined:
            message = (
                f"expected an output that is {described(output.definition.partitioning)} as its pipeline, "
                f"or none, found {described(defined)} at {first.document.place(first.path)}"
            )
            yield output.document.problem(output.path, message)


def _undefined(
    shared: Sequence[SourceFile[SharedFile]], datasets: Mapping[str, DatasetDefinition]
) -> Iterator[Problem]:
    for file in shared:
        for name, sensor in file.model.sensors.items():
            if sensor.dataset not in datasets:
                message = f'expected a dataset that a file defines or reads, found "{sensor.dataset}"'
                yield file.document.problem(("sensors", name, "dataset"), message)
