"""What each dataset is: defined outright, else as the pipeline that outputs, reads or feeds it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sensorflow.config.files import SourceFile
from sensorflow.config.models import (
    AllItem,
    AnyItem,
    AtLeastItem,
    DatasetItem,
    PipelineFile,
    SharedFile,
)
from sensorflow.config.models import Dataset as DatasetSection
from sensorflow.config.partitions import described, in_zone, partitioning, plain
from sensorflow.config.yaml import Document, Path
from sensorflow.core.durations import describe_duration
from sensorflow.core.errors import Problem
from sensorflow.core.partitions import calendar_of
from sensorflow.core.vocabulary import Completeness, DatasetDefinition, Expectation, Grain, Partitioning


@dataclass(frozen=True, slots=True)
class Claim:
    """A place that says, or lets conclude, what a dataset is."""

    document: Document
    path: Path
    definition: DatasetDefinition


class GrainProblems:
    """Takes what is wrong with the grain of a dataset, where the files say what that is.

    Where something is broken that may say it, nobody can tell whether the rest fits.
    """

    def __init__(
        self,
        pipelines: Sequence[SourceFile[PipelineFile] | None],
        shared: Sequence[SourceFile[SharedFile] | None],
        problems: list[Problem],
    ) -> None:
        files = [file for file in (*pipelines, *shared) if file is not None]
        self._problems = problems
        self._untold = {name for file in files for name in file.untold()}
        #: What is said outright; a file that could not be read at all may say of any other what it is.
        self._defined = {name for file in files for name in file.names("datasets")}
        self._are_all_read = len(files) == len(pipelines) + len(shared)

    def of(self, dataset: str) -> list[Problem]:
        """Return the list that takes what is wrong with the grain of a dataset."""
        is_said = self._are_all_read or dataset in self._defined
        return self._problems if is_said and dataset not in self._untold else []


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
    grains: GrainProblems,
) -> dict[str, DatasetDefinition]:
    """Return all datasets that any file names; claims that differ are problems."""
    defined, output, read, fed = (_by_name(claims) for claims in _claims(pipelines, shared))
    datasets = {}
    for name in dict.fromkeys((*defined, *output, *read, *fed)):
        problems = grains.of(name)
        problems += _expected_at_no_time(defined.get(name, []))
        claims = defined.get(name) or output.get(name) or read.get(name) or fed[name]
        first = claims[0]
        datasets[name] = first.definition
        for other in claims[1:]:
            if other.definition != first.definition:
                problems.append(_difference(first, other))
                break
        problems += _outputs_of_another_grain(first, output.get(name, []), is_defined=name in defined)
    _check_fed(shared, datasets, grains)
    return datasets


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
    zone = section.timezone or default.timezone
    cut = in_zone(default, zone) if section.partition is None else partitioning(section.partition, zone)
    # A clock time is one of the zone, also where the bounds of the partitions are not.
    is_clock = section.expect is not None and section.expect.clock_s is not None
    definition = DatasetDefinition(
        name=name,
        partitioning=cut if is_clock else plain(cut),
        complete=_completeness(section),
        expect=section.expect,
    )
    return Claim(document, ("datasets", name), definition)


def _completeness(section: DatasetSection) -> Completeness:
    said = section.complete
    if said is None:
        return Completeness()
    return Completeness(parts=frozenset(said.parts or ()), count=said.count, quiet_s=said.quiet)


def _inferred(document: Document, path: Path, name: str, own: Partitioning) -> Claim:
    return Claim(document, path, DatasetDefinition(name=name, partitioning=plain(own)))


def _difference(first: Claim, other: Claim) -> Problem:
    name = first.definition.name
    place = first.document.place(first.path)
    expected, found = _definition_words(first.definition), _definition_words(other.definition)
    hint = "" if first.path[0] == "datasets" else f'; say under "datasets" what {name} is'
    message = f"expected {name} to be {expected}, as at {place}, found {found}{hint}"
    return other.document.problem(other.path, message, at_key=True)


def _definition_words(definition: DatasetDefinition) -> str:
    words = described(definition.partitioning)
    complete = definition.complete
    if complete.parts:
        words += f" with the parts {', '.join(sorted(complete.parts))}"
    if complete.count is not None:
        words += f" with a count of {complete.count}"
    if complete.quiet_s is not None:
        words += f" with a quiet of {describe_duration(complete.quiet_s)}"
    if definition.expect is not None:
        words += f", expected {_expectation_words(definition.expect, definition.partitioning.timezone)}"
    return words


def _expectation_words(expect: Expectation, timezone: str) -> str:
    if expect.clock_s is None:
        return f"{describe_duration(expect.after_s or 0)} after the partition's end"
    return f"at {expect.clock_s // 3600:02d}:{expect.clock_s // 60 % 60:02d} in {timezone}"


def _expected_at_no_time(claims: Iterable[Claim]) -> Iterator[Problem]:
    """Yield what is expected of partitions that have no end."""
    for claim in claims:
        cut = claim.definition.partitioning
        if claim.definition.expect is not None and calendar_of(cut) is None:
            message = f"expected this only of partitions of the calendar, found {described(cut)}"
            yield claim.document.problem((*claim.path, "expect"), message, at_key=True)


def _outputs_of_another_grain(first: Claim, outputs: list[Claim], *, is_defined: bool) -> Iterator[Problem]:
    """Yield the outputs whose pipeline makes other partitions than the dataset is defined to have."""
    defined = plain(first.definition.partitioning)
    if not is_defined or defined.grain is Grain.NONE:
        return
    for output in outputs:
        if output.definition.partitioning != defined:
            message = (
                f"expected an output that is {described(output.definition.partitioning)} as its pipeline, "
                f"or none, found {described(defined)} at {first.document.place(first.path)}"
            )
            yield output.document.problem(output.path, message)


def _check_fed(
    shared: Sequence[SourceFile[SharedFile]],
    datasets: Mapping[str, DatasetDefinition],
    grains: GrainProblems,
) -> None:
    """Find shared sensors for datasets that nothing defines or reads."""
    for file in shared:
        for name, sensor in file.model.sensors.items():
            if sensor.dataset not in datasets:
                message = f'expected a dataset that a file defines or reads, found "{sensor.dataset}"'
                problem = file.document.problem(("sensors", name, "dataset"), message)
                grains.of(sensor.dataset).append(problem)
