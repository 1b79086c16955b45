"""What is to be performed once a decision is on disk. Performing one twice does no harm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sensorflow.core.vocabulary import Action, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAttempt:
    """Start one attempt of a task."""

    run_id: str
    pipeline: str
    task: str
    #: From 1, counted on over retries and generations.
    number: int
    generation: int
    partition: str
    #: ISO 8601 with offset, in the pipeline's time zone; None where the grain has no bounds.
    partition_start: str | None
    partition_end: str | None
    #: The same for every attempt of one firing.
    idempotency_key: str
    action: Action
    env: Mapping[str, str]
    timeout_s: float | None
    #: The inputs as the task's context shows them, by dataset.
    inputs: Mapping[str, JsonValue]
    #: What the task goes without, each as `{dataset, partition, parts}`.
    missing: tuple[JsonValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAttempt:
    """Stop an attempt that must not go on."""

    run_id: str
    task: str
    number: int
    reason: str


Order: TypeAlias = StartAttempt | StopAttempt
