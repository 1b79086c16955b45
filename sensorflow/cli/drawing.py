"""Writes a pipeline's graph: for people, for Mermaid, for Graphviz."""

from collections.abc import Iterator

from sensorflow.cli.graph import GraphFormat
from sensorflow.core.definitions import Definitions, leaves
from sensorflow.core.vocabulary import PipelineDefinition, TaskDefinition, When


def draw(definitions: Definitions, pipeline: str, form: GraphFormat) -> str:
    """Return a pipeline's graph.

    Raises:
        KeyError: there is no such pipeline.
    """
    definition = definitions.pipelines[pipeline]
    tasks = [definition.tasks[name] for name in definitions.graphs[pipeline].order]
    lines = {GraphFormat.TEXT: _text, GraphFormat.MERMAID: _mermaid, GraphFormat.DOT: _dot}[form]
    return "\n".join(lines(definition, tasks))


def _text(pipeline: PipelineDefinition, tasks: list[TaskDefinition]) -> Iterator[str]:
    """Yield each task below all that it comes after, the deeper the further to the right."""
    yield f"{pipeline.name} ({pipeline.partitioning.grain})"
    depths: dict[str, int] = {}
    for task in tasks:
        depth = depths[task.name] = 1 + max((depths[name] for name in task.after), default=0)
        words = [
            f"after {', '.join(task.after)}" if task.after else "",
            f"when {task.when}" if task.when is not When.ALL_SUCCEEDED else "",
            f"reads {', '.join(_reads(task))}" if task.inputs else "",
            f"makes {', '.join(task.outputs)}" if task.outputs else "",
        ]
        said = "; ".join(word for word in words if word)
        yield f"{'  ' * depth}{task.name}{': ' if said else ''}{said}"


def _mermaid(pipeline: PipelineDefinition, tasks: list[TaskDefinition]) -> Iterator[str]:
    # Names may be words of Mermaid's own, as `end`, so they stand only in labels.
    ids = {name: f"task{place}" for place, name in enumerate(pipeline.tasks)}
    datasets = {name: f"dataset{place}" for place, name in enumerate(_datasets(tasks))}
    yield "flowchart LR"
    for name, dataset in datasets.items():
        yield f'  {dataset}[("{_html(name)}")]'
    for name, task in ids.items():
        yield f'  {task}["{_html(name)}"]'
    for upstream, downstream in _edges(tasks, ids, datasets):
        yield f"  {upstream} --> {downstream}"


def _dot(pipeline: PipelineDefinition, tasks: list[TaskDefinition]) -> Iterator[str]:
    ids = {name: _quoted(f"task {name}") for name in pipeline.tasks}
    datasets = {name: _quoted(f"dataset {name}") for name in _datasets(tasks)}
    yield f"digraph {_quoted(pipeline.name)} {{"
    yield "  rankdir=LR;"
    for name, dataset in datasets.items():
        yield f"  {dataset} [label={_quoted(name)}, shape=cylinder];"
    for name, task in ids.items():
        yield f"  {task} [label={_quoted(name)}, shape=box];"
    for upstream, downstream in _edges(tasks, ids, datasets):
        yield f"  {upstream} -> {downstream};"
    yield "}"


def _edges(
    tasks: list[TaskDefinition], ids: dict[str, str], datasets: dict[str, str]
) -> Iterator[tuple[str, str]]:
    for task in tasks:
        for upstream in task.after:
            yield ids[upstream], ids[task.name]
        for dataset in _reads(task):
            yield datasets[dataset], ids[task.name]
        for dataset in task.outputs:
            yield ids[task.name], datasets[dataset]


def _reads(task: TaskDefinition) -> list[str]:
    return list(dict.fromkeys(leaf.dataset for leaf in leaves(task.inputs)))


def _datasets(tasks: list[TaskDefinition]) -> list[str]:
    return list(dict.fromkeys(name for task in tasks for name in (*_reads(task), *task.outputs)))


def _html(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace('"', "&quot;")
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
