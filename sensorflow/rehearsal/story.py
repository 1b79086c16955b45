"""What happens outside in a rehearsal, when, and what of it is otherwise than it was."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from sensorflow.core.commands import StartAttempt
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import SensorflowError
from sensorflow.core.messages import Arrival, DeclaredReady, Message, Observed
from sensorflow.core.reading import declared_partition, known_part
from sensorflow.core.states import AttemptState
from sensorflow.core.vocabulary import Event

#: The type of the events that a task's success makes.
_OUTPUT = "dev.sensorflow.output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What cannot become a message: the service would refuse it."""

    source: str
    id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """What comes in at a time, in seconds since the epoch."""

    at: float
    message: Message | Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How attempts end and how long they take; what is None is for the next that fits to say."""

    pipeline: str | None = None
    task: str | None = None
    partition: str | None = None
    #: Attempt numbers, from 1 over retries and generations; empty: every one.
    attempts: frozenset[int] = frozenset()
    #: SUCCEEDED, FAILED or SKIPPED.
    ends: AttemptState | None = None
    error: str | None = None
    takes_s: float | None = None

    def fits(self, order: StartAttempt) -> bool:
        """Tell whether this is about an attempt."""
        return (
            self.pipeline in (None, order.pipeline)
            and self.task in (None, order.task)
            and self.partition in (None, order.partition)
            and (not self.attempts or order.number in self.attempts)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What does not come: an event that would bring this is dropped."""

    dataset: str
    partition: str | None = None
    part: str | None = None

    def keeps_back(self, arrival: Arrival) -> bool:
        """Tell whether this is about an arrival."""
        return (
            self.dataset == arrival.dataset
            and self.partition in (None, arrival.partition)
            and self.part in (None, arrival.part)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happens outside, and when."""

    #: When the service of the story starts.
    begins_at: float
    #: None: until nothing more is due, at most `HORIZON_S` after the last step.
    until: float | None = None
    #: By time; what comes at one time comes in this order.
    steps: tuple[Step, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    holds: tuple[Hold, ...] = ()


def altered(definitions: Definitions, *, retries: int | None, paused: Iterable[str]) -> Definitions:
    """Return definitions with another number of retries for every task, and with pipelines paused."""
    held = frozenset(paused)
    if retries is None and not held:
        return definitions
    pipelines = {
        name: replace(
            pipeline,
            paused=pipeline.paused or name in held,
            tasks=pipeline.tasks
            if retries is None
            else {
                key: replace(task, retries=replace(task.retries, max=retries))
                for key, task in pipeline.tasks.items()
            },
        )
        for name, pipeline in definitions.pipelines.items()
    }
    return Definitions(pipelines, definitions.datasets, definitions.sensors)


#: What an event made: dataset, partition, part, and the sensor whose rule read it.
Brought: TypeAlias = tuple[str, str, str | None, object | None]


def recorded(
    definitions: Definitions,
    at: float,
    event: Event,
    sensor: tuple[str, str] | None,
    brought: Iterable[Brought],
) -> list[Step]:
    """Return what a stored event was when it came in; of what a pipeline here made, nothing.

    A task's outputs come from the rehearsal's own runs, so the recorded ones would come twice.
    """
    if event.type == _OUTPUT and event.source.removeprefix("/pipelines/") in definitions.pipelines:
        return []
    declared = [each for each in brought if each[3] is None]
    if not declared:
        return [Step(at, Observed(event=event, sensor=sensor))]
    return [Step(at, _declared(definitions, event, *each[:3])) for each in declared]


def _declared(
    definitions: Definitions, event: Event, name: str, partition: str, part: str | None
) -> DeclaredReady | Refusal:
    """Return what was said to be ready, as the definitions of now read it."""
    dataset = definitions.datasets.get(name)
    try:
        if dataset is None:
            raise SensorflowError(f"expected a dataset that a pipeline or a sensor names, found {name}")
        key = declared_partition(dataset, partition or None)
        return DeclaredReady(
            event=event, dataset=name, partition=key, part=known_part(dataset, part) if part else None
        )
    except SensorflowError as error:
        return Refusal(source=event.source, id=event.id, reason=str(error))
