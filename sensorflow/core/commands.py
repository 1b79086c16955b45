"""What is to be performed once a decision is on disk. Performing one twice does no harm."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    #: The partition's key in each dimension, of a pipeline with several.
    dimensions: Mapping[str, str] = field(default_factory=dict)
    #: Names the attempt to whoever is to call back; None where nobody is.
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAttempt:
    """Stop an attempt that must not go on."""

    run_id: str
    task: str
    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAlert:
    """Tell somebody of an alert that was opened or resolved; `ports.Alerter` does."""

    id: str
    kind: str
    text: str
    resolved: bool
    pipeline: str
    dataset: str
    partitions: tuple[str, ...]
    run_id: str
    at: float


@dataclass(frozen=True, slots=True)
class RemoveLogs:
    """Remove the logs of runs that ended long ago."""

    run_ids: tuple[str, ...]


Order: TypeAlias = StartAttempt | StopAttempt | SendAlert | RemoveLogs
