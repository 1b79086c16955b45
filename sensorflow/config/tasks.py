"""The tasks of a pipeline file, as the core knows them."""

from collections.abc import Mapping

from sensorflow.config.datasets import default_selection, described, fitting_selections
from sensorflow.config.files import SourceFile
from sensorflow.config.models import (
    AllItem,
    AnyItem,
    AtLeastItem,
    DatasetItem,
    Defaults,
    Last,
    Offset,
    PipelineFile,
    Retries,
    Task,
)
from sensorflow.config.problems import suggestion
from sensorflow.config.yaml import Document, Path
from sensorflow.core.errors import Problem
from sensorflow.core.graph import find_cycles
from sensorflow.core.vocabulary import (
    Action,
    Command,
    DatasetDefinition,
    DatasetInput,
    Input,
    InputGroup,
    Partitioning,
    RetryPolicy,
    Selection,
    TaskDefinition,
)


def compile_tasks(
    file: SourceFile[PipelineFile],
    own: Partitioning,
    datasets: Mapping[str, DatasetDefinition],
    problems: list[Problem],
    grain_problems: list[Problem],
) -> dict[str, TaskDefinition]:
    """Return the tasks of a pipeline.

    Args:
        own: The pipeline's partitioning.
        grain_problems: Takes what is wrong only if `datasets` is all that the files would say.
    """
    if not file.names("tasks") and ("tasks",) not in file.broken:
        problems.append(file.document.problem(("tasks",), "expected at least one task, found nothing"))
    _check_after(file, problems)
    compiler = _InputCompiler(file.document, own, datasets, problems, grain_problems)
    return {
        name: TaskDefinition(
            name=name,
            action=_action(file.document, ("tasks", name), task, problems),
            after=tuple(task.after),
            inputs=compiler.inputs(task.inputs, ("tasks", name, "inputs")),
            outputs=tuple(task.outputs),
            when=task.when,
            retries=_retries(task.retries, file.model.defaults.retries),
            timeout_s=_timeout_s(task, file.model.defaults),
            priority=task.priority,
            env={**file.model.defaults.env, **task.env},
        )
        for name, task in file.model.tasks.items()
    }


def _action(document: Document, path: Path, task: Task, problems: list[Problem]) -> Action:
    if task.run is not None and task.python is not None:
        problems.append(document.problem(path, 'expected one of "run" and "python", found both', at_key=True))
    if task.run is not None:
        return task.run
    if task.python is not None:
        return task.python
    problems.append(document.problem(path, 'expected "run" or "python", found neither', at_key=True))
    return Command()


def _retries(task: Retries, defaults: Retries) -> RetryPolicy:
    said = {**defaults.model_dump(exclude_unset=True), **task.model_dump(exclude_unset=True)}
    retries = Retries.model_construct(**said)
    return RetryPolicy(
        max=retries.max,
        delay_s=retries.delay,
        backoff=retries.backoff,
        max_delay_s=retries.max_delay,
        jitter=retries.jitter,
    )


def _timeout_s(task: Task, defaults: Defaults) -> float | None:
    return task.timeout if "timeout" in task.model_fields_set else defaults.timeout


def _check_after(file: SourceFile[PipelineFile], problems: list[Problem]) -> None:
    """Find unknown names in `after`, and cycles."""
    known = file.names("tasks")
    for name, task in file.model.tasks.items():
        for index, upstream in enumerate(task.after):
            if upstream not in known:
                near = suggestion(upstream, known)
                message = f'expected a task of this pipeline, found "{upstream}"{near}'
                problems.append(file.document.problem(("tasks", name, "after", index), message))
    upstreams = {name: task.after for name, task in file.model.tasks.items()}
    for cycle in find_cycles(upstreams):
        first = cycle[0]
        # Along `after` the cycle leads upstream; told is the way in which tasks would run.
        told = " -> ".join((first, *reversed(cycle)))
        message = f"expected tasks that wait for each other without a cycle, found {told}"
        problems.append(file.document.problem(("tasks", first, "after"), message, at_key=True))


class _InputCompiler:
    def __init__(
        self,
        document: Document,
        own: Partitioning,
        datasets: Mapping[str, DatasetDefinition],
        problems: list[Problem],
        grain_problems: list[Problem],
    ) -> None:
        self.document = document
        self.own = own
        self.datasets = datasets
        self.problems = problems
        self.grain_problems = grain_problems

    def inputs(
        self, items: list[DatasetItem | AnyItem | AllItem | AtLeastItem], path: Path
    ) -> tuple[Input, ...]:
        """Return the conditions of an `inputs` list."""
        return tuple(self._input(item, (*path, index)) for index, item in enumerate(items))

    def _input(self, item: DatasetItem | AnyItem | AllItem | AtLeastItem, path: Path) -> Input:
        if isinstance(item, DatasetItem):
            return self._leaf(item, path)
        if isinstance(item, AnyItem):
            return InputGroup(needed=1, members=self.inputs(item.any, (*path, "any")))
        if isinstance(item, AllItem):
            return InputGroup(needed=len(item.all), members=self.inputs(item.all, (*path, "all")))
        if item.at_least > len(item.of):
            message = f"expected at most {len(item.of)}, as many as of lists, found {item.at_least}"
            self.problems.append(self.document.problem((*path, "at_least"), message))
        return InputGroup(needed=item.at_least, members=self.inputs(item.of, (*path, "of")))

    def _leaf(self, item: DatasetItem, path: Path) -> DatasetInput:
        selection, count = self._selection(item, path)
        if item.at_least is not None:
            self._check_at_least(item.at_least, selection, count, (*path, "at_least"))
        return DatasetInput(
            dataset=item.dataset,
            selection=selection,
            count=count,
            at_least=item.at_least,
            optional_after_s=item.optional_after,
        )

    def _selection(self, item: DatasetItem, path: Path) -> tuple[Selection, int]:
        theirs = self.datasets[item.dataset].partitioning
        fitting = fitting_selections(self.own, theirs)
        sides = f"{item.dataset} is {described(theirs)}, the pipeline {described(self.own)}"
        if item.partitions is None:
            selection = default_selection(self.own, theirs)
            if selection is None:
                ways = ", ".join(_spelled(way) for way in fitting)
                message = f'expected "partitions" with one of {ways}, because {sides}, found nothing'
                self.grain_problems.append(self.document.problem(path, message))
            return selection or Selection.LATEST, 0
        if isinstance(item.partitions, Last):
            selection, count = Selection.LAST, item.partitions.last
        elif isinstance(item.partitions, Offset):
            selection, count = Selection.OFFSET, item.partitions.offset
        else:
            selection, count = item.partitions, 0
        if selection not in fitting:
            ways = ", ".join(_spelled(way) for way in fitting)
            message = f"expected one of {ways}, because {sides}, found {_spelled(selection)}"
            self.grain_problems.append(self.document.problem((*path, "partitions"), message))
        return selection, count

    def _check_at_least(self, at_least: int, selection: Selection, count: int, path: Path) -> None:
        if selection not in (Selection.ALL, Selection.LAST):
            message = f"expected this only with all or {{last: n}}, found it with {_spelled(selection)}"
            self.grain_problems.append(self.document.problem(path, message, at_key=True))
        elif selection is Selection.LAST and at_least > count:
            message = f"expected at most {count}, the last ones that are read, found {at_least}"
            self.problems.append(self.document.problem(path, message))


def _spelled(selection: Selection) -> str:
    if selection in (Selection.LAST, Selection.OFFSET):
        return f"{{{selection}: n}}"
    return str(selection)
