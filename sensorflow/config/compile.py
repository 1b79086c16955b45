"""From all files of a home to the core's definitions, or to all that is wrong in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import BaseModel

from sensorflow.config.checks import check_names, check_outputs, check_pipeline_cycles, check_times
from sensorflow.config.datasets import GrainProblems, pipeline_partitioning, resolve_datasets
from sensorflow.config.environment import Environment, StandIns
from sensorflow.config.files import SourceFile, SourceText, read_file
from sensorflow.config.kinds import PASSIVE_KINDS
from sensorflow.config.models import PipelineFile, SharedFile
from sensorflow.config.notes import notes
from sensorflow.config.partitions import described
from sensorflow.config.sensors import SensorCompiler
from sensorflow.config.tasks import compile_tasks
from sensorflow.config.values import NAME_WORDS, is_name
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import DefinitionsError, PartitionError, Problem
from sensorflow.core.partitions import bounds, calendar_of, read_partition
from sensorflow.core.vocabulary import (
    SHARED,
    DatasetDefinition,
    Partitioning,
    PipelineDefinition,
    SensorDefinition,
)


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the files of a home say."""

    definitions: Definitions
    #: Environment variables whose values stand in the definitions.
    secret_names: frozenset[str]
    warnings: list[Problem]


def compile_files(
    pipelines: Sequence[SourceText],
    shared: Sequence[SourceText],
    environ: Mapping[str, str],
    kinds: Mapping[str, type[BaseModel]],
) -> Compiled:
    """Return what the files say.

    Args:
        pipelines: The files of `pipelines/`.
        shared: The files of `sensors/`.
        environ: Where `${NAME}` is looked up.
        kinds: By sensor kind, the model of its options; the passive kinds are known anyway.

    Raises:
        DefinitionsError: with all that is wrong in all files.
    """
    compiler = _Compiler(Environment(environ), {**PASSIVE_KINDS, **kinds})
    compiled = compiler.compile(pipelines, shared)
    if compiler.problems or compiled is None:
        raise DefinitionsError(in_order(compiler.problems))
    return compiled


def in_order(problems: Sequence[Problem]) -> list[Problem]:
    """Return problems by file and position, none twice."""
    return sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.column, p.path, p.message))


class _Compiler:
    def __init__(self, environment: Environment, kinds: Mapping[str, type[BaseModel]]) -> None:
        self.environment = environment
        self.kinds = kinds
        self.problems: list[Problem] = []

    def compile(self, pipelines: Sequence[SourceText], shared: Sequence[SourceText]) -> Compiled | None:
        """Return what the files say, or None where something in them is wrong."""
        read = [read_file(s, PipelineFile, self._environment_of(s), self.problems) for s in pipelines]
        read_shared = [read_file(s, SharedFile, self._environment_of(s), self.problems) for s in shared]
        files = [file for file in read if file is not None]
        shared_files = [file for file in read_shared if file is not None]
        names = [self._name(file) for file in files]
        check_names(list(zip(names, files, strict=True)), shared_files, self.problems)
        check_outputs(list(zip(names, files, strict=True)), self.problems)
        check_pipeline_cycles(list(zip(names, files, strict=True)), self.problems)

        grains = GrainProblems(read, read_shared, self.problems)
        datasets = resolve_datasets(files, shared_files, grains)

        found = [
            self._pipeline(name, file, datasets, grains) for name, file in zip(names, files, strict=True)
        ]
        sensors = self._sensors(names, files, shared_files, datasets, grains)
        if self.problems:
            return None
        definitions = Definitions({p.name: p for p in found}, datasets, sensors)
        warnings = notes(definitions, {name: file.document for name, file in zip(names, files, strict=True)})
        return Compiled(definitions, frozenset(self.environment.used), in_order(warnings))

    def _environment_of(self, source: SourceText) -> Environment:
        return Environment(StandIns()) if source.sent else self.environment

    def _name(self, file: SourceFile[PipelineFile]) -> str:
        stem = PurePosixPath(file.document.file).stem
        name = file.model.name or stem
        if not is_name(name):
            message = f'expected {NAME_WORDS}, found the file\'s "{stem}": give the pipeline a name'
            self.problems.append(file.document.problem(("name",), message))
        return name

    def _pipeline(
        self,
        name: str,
        file: SourceFile[PipelineFile],
        datasets: Mapping[str, DatasetDefinition],
        grains: GrainProblems,
    ) -> PipelineDefinition:
        section, own = file.model, pipeline_partitioning(file.model)
        start = end = None
        if not file.broken & {("partition",), ("timezone",)}:
            start, end = self._range(file, own)
            check_times(file, own, self.problems)
        return PipelineDefinition(
            name=name,
            partitioning=own,
            tasks=compile_tasks(file, own, datasets, self.problems, grains),
            description=section.description,
            start=start,
            end=end,
            late=section.late,
            max_active_runs=section.max_active_runs,
            concurrency=section.concurrency,
            schedule=section.schedule,
            catchup=section.catchup,
            sequential=section.sequential,
            paused=section.paused,
            expire_s=section.expire,
            file=file.document.file,
        )

    def _range(self, file: SourceFile[PipelineFile], own: Partitioning) -> tuple[str | None, str | None]:
        """Return `start` and `end` as partition keys, of several dimensions those of the calendar's."""
        start, end = (self._limit(file, own, key) for key in ("start", "end"))
        cut = calendar_of(own)
        if start is not None and end is not None and cut is not None:
            first, last = bounds(cut, start), bounds(cut, end)
            if first is not None and last is not None and last.start < first.start:
                message = f'expected a partition not before start, which is "{start}", found "{end}"'
                self.problems.append(file.document.problem(("end",), message))
        return start, end

    def _limit(self, file: SourceFile[PipelineFile], own: Partitioning, key: str) -> str | None:
        text = file.model.start if key == "start" else file.model.end
        if text is None:
            return None
        try:
            cut = calendar_of(own)
            if cut is None:
                raise PartitionError(
                    f'expected no {key} for a pipeline that is {described(own)}, found "{text}"'
                )
            return read_partition(cut, text)
        except PartitionError as error:
            self.problems.append(file.document.problem((key,), str(error)))
            return None

    def _sensors(
        self,
        names: Sequence[str],
        files: Sequence[SourceFile[PipelineFile]],
        shared_files: Sequence[SourceFile[SharedFile]],
        datasets: Mapping[str, DatasetDefinition],
        grains: GrainProblems,
    ) -> dict[tuple[str, str], SensorDefinition]:
        compiler = SensorCompiler(self.environment, self.kinds, datasets, self.problems, grains)
        found: dict[tuple[str, str], SensorDefinition] = {}
        for name, file in zip(names, files, strict=True):
            found |= {(name, s.name): s for s in compiler.sensors(name, file)}
        for shared_file in shared_files:
            found |= {(SHARED, s.name): s for s in compiler.sensors(SHARED, shared_file)}
        return found
