"""What a Python task is told about the attempt that calls it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    """The one argument of a Python task."""

    pipeline: str
    task: str
    run_id: str
    #: The partition's key; empty where the pipeline has no partitions.
    partition: str = ""
    #: Bounds of the partition, ISO 8601 with offset; None where it has none.
    partition_start: str | None = None
    partition_end: str | None = None
    #: From 1, counted on over retries and generations.
    attempt: int
    #: From 1; the next one does all of the run again.
    generation: int
    #: The same for every attempt of one firing.
    idempotency_key: str
    #: By dataset: each partition with its version and the events that made it.
    inputs: dict[str, Any]
    #: What the task goes without, each as `{dataset, partition, parts}`.
    missing: list[Any]
    #: The partition's key in each dimension, of a pipeline with several.
    dimensions: dict[str, str] = field(default_factory=dict)
