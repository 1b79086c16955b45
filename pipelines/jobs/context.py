"""What a task is told, in the shape that python tasks get it."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, cast


class TaskContext(Protocol):
    """The part of a task's context that these jobs read."""

    @property
    def run_id(self) -> str: ...

    @property
    def partition(self) -> str: ...

    @property
    def attempt(self) -> int: ...

    @property
    def inputs(self) -> Mapping[str, Any]:
        """By dataset and partition: the version, and the events that made it."""

    @property
    def missing(self) -> Sequence[Mapping[str, Any]]:
        """What the task goes without: dataset, partition, parts."""


def command_context() -> TaskContext:
    """Return the context of a command task, which finds it as a JSON file."""
    text = Path(os.environ["SENSORFLOW_CONTEXT_FILE"]).read_text("utf-8")
    return cast(TaskContext, SimpleNamespace(**json.loads(text)))


def events(context: TaskContext, dataset: str) -> Iterator[Mapping[str, Any]]:
    """Yield the events that made the partitions of an input dataset, partition by partition."""
    for _, partition in sorted(context.inputs.get(dataset, {}).items()):
        yield from partition["events"]


def newest_event(context: TaskContext, dataset: str) -> Mapping[str, Any]:
    """Return the event that made the newest version of a dataset that comes whole."""
    return list(events(context, dataset))[-1]
