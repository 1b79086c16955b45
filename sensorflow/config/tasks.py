"""The tasks of a pipeline file, as the core knows them."""

from collections.abc import Mapping

from sensorflow.config.datasets import GrainProblems
from sensorflow.config.files import SourceFile
from sensorflow.config.inputs import InputCompiler
from sensorflow.config.models import Defaults, PipelineFile, Retries, Task
from sensorflow.config.problems import suggestion
from sensorflow.config.yaml import Document, Path
from sensorflow.core.errors import Problem
from sensorflow.core.graph import find_cycles
from sensorflow.core.vocabulary import (
    Action,
    Command,
    DatasetDefinition,
    Partitioning,
    RetryPolicy,
    TaskDefinition,
)


def compile_tasks(
    file: SourceFile[PipelineFile],
    own: Partitioning,
    datasets: Mapping[str, DatasetDefinition],
    problems: list[Problem],
    grains: GrainProblems,
) -> dict[str, TaskDefinition]:
    """Return the tasks of a pipeline.

    Args:
        own: The pipeline's partitioning.
        grains: Takes what is wrong between the grains.
    """
    if not file.names("tasks") and ("tasks",) not in file.broken:
        problems.append(file.document.problem(("tasks",), "expected at least one task, found nothing"))
    _check_after(file, problems)
    compiler = InputCompiler(file.document, own, datasets, problems, grains)
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
            priority=task.priority if "priority" in task.model_fields_set else file.model.defaults.priority,
            skipped_blocks=task.skipped is not None,
            env={**file.model.defaults.env, **task.env},
        )
        for name, task in file.model.tasks.items()
    }


def _action(document: Document, path: Path, task: Task, problems: list[Problem]) -> Action:
    call = None if task.http is None else task.http.call()
    said = {"run": task.run, "python": task.python, "http": call}
    actions: dict[str, Action] = {key: action for key, action in said.items() if action is not None}
    if len(actions) != 1:
        found = " and ".join(actions) or "none"
        message = f'expected one of "run", "python" and "http", found {found}'
        problems.append(document.problem(path, message, at_key=True))
    return next(iter(actions.values()), Command())


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
