"""The sensors of a file, as the core knows them, with the options of their kinds."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from pydantic import BaseModel, ValidationError

from sensorflow.config.datasets import GrainProblems
from sensorflow.config.environment import Environment
from sensorflow.config.files import SourceFile
from sensorflow.config.models import PipelineFile, Sensor, SharedFile
from sensorflow.config.partitions import described
from sensorflow.config.problems import findings_of, suggestion
from sensorflow.config.reading import Reading, source_of
from sensorflow.config.sources import PARTITION, UrlTemplate
from sensorflow.config.yaml import Document, Path, shown, value_at
from sensorflow.core.errors import PartitionError, Problem, ReadingError
from sensorflow.core.lineage import default_partition
from sensorflow.core.matching import PatternError, compile_pattern
from sensorflow.core.partitions import calendar_of, read_partition
from sensorflow.core.reading import known_part, parse_path, source_path
from sensorflow.core.vocabulary import (
    DatasetDefinition,
    Grain,
    JsonValue,
    Partitioning,
    Reshaped,
    Rule,
    SensorDefinition,
    ValueSource,
)

#: Where a file sensor puts what its path template captured.
CAPTURES = "data.captures"

PartitionSources: TypeAlias = ValueSource | dict[str, ValueSource] | None


class SensorCompiler:
    """Compiles the sensors of all files by the same kinds and datasets."""

    def __init__(
        self,
        environment: Environment,
        kinds: Mapping[str, type[BaseModel]],
        datasets: Mapping[str, DatasetDefinition],
        problems: list[Problem],
        grains: GrainProblems,
    ) -> None:
        self.environment = environment
        self.kinds = kinds
        self.datasets = datasets
        self.problems = problems
        self.grains = grains
        #: Takes what is wrong with the dataset that is looked at.
        self.grain_problems: list[Problem] = []

    def sensors(
        self, pipeline: str, file: SourceFile[PipelineFile] | SourceFile[SharedFile]
    ) -> Iterator[SensorDefinition]:
        """Yield the sensors of a file."""
        options = {name: self._options(file, name) for name in file.names("sensors")}
        for name, section in file.model.sensors.items():
            if section.match is not None:
                self._check_match(file.document, ("sensors", name, "match"), section.match)
            yield SensorDefinition(
                pipeline=pipeline,
                name=name,
                kind=section.type,
                rule=self._rule(file.document, ("sensors", name), section),
                options=options[name],
                dedupe_s=section.dedupe,
            )

    def _options(
        self, file: SourceFile[PipelineFile] | SourceFile[SharedFile], name: str
    ) -> BaseModel | None:
        """Return what a sensor's kind needs; looked at also where the rest of the section is wrong."""
        path = ("sensors", name)
        section = value_at(file.tree, path)
        kind = section.get("type") if isinstance(section, dict) else None
        if not isinstance(kind, str) or not kind:
            return None
        model = self.kinds.get(kind)
        if model is None:
            self.problems.append(self._unknown_kind(file.document, (*path, "type"), kind))
            return None
        try:
            return model.model_validate({k: v for k, v in section.items() if k not in Sensor.model_fields})
        except ValidationError as error:
            found = findings_of(error, file.document, path, model, self.environment, Sensor.model_fields)
            self.problems += [each.problem for each in found if each.path not in file.unset]
            return None

    def _unknown_kind(self, document: Document, path: Path, kind: str) -> Problem:
        known, near = ", ".join(sorted(self.kinds)), suggestion(kind, self.kinds)
        message = f"expected one of the sensor kinds {known}, found {shown(document.value(path))}{near}"
        return document.problem(path, message)

    def _check_match(self, document: Document, path: Path, match: Mapping[str, JsonValue]) -> None:
        try:
            compile_pattern(match)
        except PatternError as error:
            place = (*path, *_steps(match, error.path))
            self.problems.append(document.problem(place, self.environment.hide(error.message)))

    def _rule(self, document: Document, path: Path, section: Sensor) -> Rule:
        self.grain_problems = self.grains.of(section.dataset)
        partition, part = _partition_sources(section), _source(section.part)
        template = (section.model_extra or {}).get("path")
        dataset = self.datasets.get(section.dataset)
        if section.type == "file" and isinstance(template, str):
            is_whole = dataset is not None and dataset.partitioning.grain is Grain.NONE
            if partition is None and re.search(r"\{partition[:}]", template) and not is_whole:
                partition = f"{CAPTURES}.partition"
            # A dimension that is read from it takes the place of the part.
            is_taken = isinstance(partition, dict) and f"{CAPTURES}.part" in map(
                source_path, partition.values()
            )
            if part is None and re.search(r"\{part[:}]", template) and not is_taken:
                part = f"{CAPTURES}.part"
        if section.type == "openlineage" and partition is None and dataset is not None:
            partition = default_partition(dataset.partitioning)
        is_named = dataset is not None and self._names_partition(document, path, section, dataset)
        if is_named and partition is None:
            partition = PARTITION
        elif dataset is not None:
            self._check_partition(document, (*path, "partition"), partition, dataset)
        if dataset is not None:
            self._check_reading(document, path, partition, part, dataset)
        rule = Rule(
            dataset=section.dataset,
            match=section.match,
            partition=partition,
            part=part,
            id=_source(section.id),
            time=_source(section.time),
        )
        if section.type in ("webhook", "http"):
            self._check_headers(document, path, rule)
        return rule

    def _names_partition(
        self, document: Document, path: Path, section: Sensor, dataset: DatasetDefinition
    ) -> bool:
        """Tell whether the sensor itself knows which partition an event is of."""
        cut = dataset.partitioning
        if section.type == "schedule":
            return calendar_of(cut) is cut
        url = (section.model_extra or {}).get("url")
        if section.type != "http" or not isinstance(url, str):
            return False
        template = UrlTemplate(url)
        misfits = [document.problem((*path, "url"), misfit) for misfit in template.misfits(dataset)]
        self.grain_problems += misfits
        return template.has_partition

    def _check_partition(
        self,
        document: Document,
        path: Path,
        partition: PartitionSources,
        dataset: DatasetDefinition,
    ) -> None:
        cut = dataset.partitioning
        because = f"because {dataset.name} is {described(cut)}"
        found = shown(document.value(path))
        message = ""
        if cut.grain is Grain.NONE and partition is not None:
            message = f"expected no partition, because {dataset.name} has none, found {found}"
        elif cut.grain is Grain.SEVERAL:
            self._check_dimensions(document, path, partition, dataset)
        elif isinstance(partition, dict) or (partition is None and cut.grain is not Grain.NONE):
            message = f"expected a path into the event such as data.day, {because}, found {found}"
        if message:
            self.grain_problems.append(document.problem(path, message))

    def _check_dimensions(
        self,
        document: Document,
        path: Path,
        partition: PartitionSources,
        dataset: DatasetDefinition,
    ) -> None:
        """Find out whether a rule names a path for each dimension, and no other."""
        names = [name for name, _ in dataset.partitioning.dimensions]
        if not isinstance(partition, dict):
            example = "{" + ", ".join(f"{name}: data.{name}" for name in names) + "}"
            found = shown(document.value(path))
            message = f"expected a path for each dimension of {dataset.name}, as {example}, found {found}"
            self.grain_problems.append(document.problem(path, message))
            return
        for name in partition:
            if name not in names:
                message = f"expected a dimension of {dataset.name} ({', '.join(names)}), found {shown(name)}"
                message += suggestion(name, names)
                self.grain_problems.append(document.problem((*path, name), message, at_key=True))
        if missing := [name for name in names if name not in partition]:
            message = (
                f"expected a path for {' and '.join(missing)} too, a dimension of {dataset.name}, found none"
            )
            self.grain_problems.append(document.problem(path, message))

    def _check_reading(
        self,
        document: Document,
        path: Path,
        partition: PartitionSources,
        part: ValueSource | None,
        dataset: DatasetDefinition,
    ) -> None:
        """Find what is read in a way that no partition, or no part, of the dataset can be."""
        several = dict(dataset.partitioning.dimensions)
        named = partition.items() if isinstance(partition, dict) else [("", partition)]
        for name, source in named:
            cut = several.get(name) if name else dataset.partitioning
            place = (*path, "partition", name) if name else (*path, "partition")
            if isinstance(source, Reshaped) and cut is not None and document.value(place) is not None:
                self._check_reshaped(document, place, source, cut)
        if isinstance(part, Reshaped) and part.default is not None:
            try:
                known_part(dataset, part.default)
            except ReadingError as error:
                self.grain_problems.append(document.problem((*path, "part", "default"), str(error)))

    def _check_reshaped(self, document: Document, path: Path, source: Reshaped, cut: Partitioning) -> None:
        if source.as_date and cut.grain not in (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY):
            message = f"expected no date, because what is read is {described(cut)}, found date"
            self.grain_problems.append(document.problem((*path, "as"), message))
        if source.default is not None and cut.grain not in (Grain.NONE, Grain.SEVERAL):
            try:
                read_partition(cut, source.default)
            except PartitionError as error:
                self.grain_problems.append(document.problem((*path, "default"), str(error)))

    def _check_headers(self, document: Document, path: Path, rule: Rule) -> None:
        """Find headers that are named in capitals: events have them in lower case."""
        for key in ("partition", "part", "id", "time"):
            for source in _sources(getattr(rule, key)):
                first, *steps = parse_path(source_path(source))
                if first == "headers" and steps and steps[0] != str(steps[0]).lower():
                    message = (
                        f"expected the header in lower case, as headers.{str(steps[0]).lower()}, "
                        f"found {shown(source_path(source))}"
                    )
                    self.problems.append(document.problem((*path, key), message))


def _source(said: str | Reading | None) -> ValueSource | None:
    return None if said is None else source_of(said)


def _partition_sources(section: Sensor) -> PartitionSources:
    if isinstance(section.partition, dict):
        return {name: source_of(said) for name, said in section.partition.items()}
    return _source(section.partition)


def _sources(sources: PartitionSources) -> Iterable[ValueSource]:
    if isinstance(sources, dict):
        return sources.values()
    return () if sources is None else (sources,)


def _steps(pattern: JsonValue, place: str) -> Path:
    """Return the keys and indexes that a pattern's place, as `data.rows[0]`, stands for.

    Field names may hold dots themselves, so the pattern says which names there are.
    """
    path: Path = ()
    while place:
        if isinstance(pattern, list) and (index := re.match(r"\[([0-9]+)\]", place)):
            step: str | int = int(index[1])
            length = index.end()
        elif isinstance(pattern, dict):
            place = place.removeprefix(".")
            fitting = [key for key in pattern if re.match(re.escape(key) + r"([.\[]|\Z)", place)]
            if not fitting:
                break
            step = longest = max(fitting, key=len)
            length = len(longest)
        else:
            break
        path, pattern, place = (*path, step), pattern[step], place[length:]
    return path
