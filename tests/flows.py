"""Pipelines of a line, and a virtual service that decides about them."""

from sensorflow.core.commands import StartAttempt
from sensorflow.core.definitions import Definitions
from sensorflow.core.explain import Wait
from sensorflow.core.messages import MakeRun, Observed, Receipt
from sensorflow.core.state import RunRow
from sensorflow.core.states import AttemptState
from sensorflow.core.vocabulary import (
    Command,
    Completeness,
    DatasetDefinition,
    DatasetInput,
    Event,
    Expectation,
    Grain,
    InputGroup,
    Partitioning,
    PipelineDefinition,
    Rule,
    Selection,
    SensorDefinition,
    TaskDefinition,
)
from sensorflow.testing import FakeClock, VirtualService

DAILY = Partitioning(Grain.DAILY)
HOURLY = Partitioning(Grain.HOURLY)
WEEKLY = Partitioning(Grain.WEEKLY)
MONTHLY = Partitioning(Grain.MONTHLY)
WHOLE = Partitioning(Grain.NONE)
KEY = Partitioning(Grain.KEY)
#: 2026-06-03T00:00Z
NOW = 1_780_444_800.0


def same(dataset: str, **options: object) -> DatasetInput:
    return DatasetInput(dataset=dataset, selection=Selection.SAME, **options)  # type: ignore[arg-type]


def reads(dataset: str, selection: Selection, **options: object) -> DatasetInput:
    return DatasetInput(dataset=dataset, selection=selection, **options)  # type: ignore[arg-type]


def task(name: str, *inputs: DatasetInput | InputGroup, **options: object) -> TaskDefinition:
    return TaskDefinition(name=name, action=Command(argv=("true",)), inputs=inputs, **options)  # type: ignore[arg-type]


def pipeline(name: str, *tasks: TaskDefinition, **options: object) -> PipelineDefinition:
    options.setdefault("partitioning", DAILY)
    return PipelineDefinition(name=name, tasks={task.name: task for task in tasks}, **options)  # type: ignore[arg-type]


def dataset(
    name: str,
    partitioning: Partitioning = DAILY,
    *,
    parts: tuple[str, ...] = (),
    count: int | None = None,
    quiet_s: float | None = None,
    expect: Expectation | None = None,
) -> DatasetDefinition:
    complete = Completeness(parts=frozenset(parts), count=count, quiet_s=quiet_s)
    return DatasetDefinition(name=name, partitioning=partitioning, complete=complete, expect=expect)


def service(
    *pipelines: PipelineDefinition,
    datasets: tuple[DatasetDefinition, ...] = (),
    sensors: tuple[SensorDefinition, ...] = (),
    workers: int = 100,
) -> VirtualService:
    given = {definition.name: definition for definition in datasets}
    for name in "abc":
        given.setdefault(name, dataset(name))
    definitions = Definitions(
        pipelines={p.name: p for p in pipelines},
        datasets=given,
        sensors={(s.pipeline, s.name): s for s in sensors},
    )
    return VirtualService(definitions, clock=FakeClock(NOW), workers=workers)


def fired(service: VirtualService) -> list[tuple[str, str]]:
    return [(order.task, order.partition) for order in service.started]


def fail(service: VirtualService, order: StartAttempt, error: str = "exit status 1") -> None:
    service.end(order, AttemptState.FAILED, error)


def run_of(service: VirtualService, pipeline: str, partition: str = "") -> RunRow:
    """Return a run that is there."""
    run = service.run_of(pipeline, partition)
    assert run is not None
    return run


def make(service: VirtualService, pipeline: str, partition: str = "", *, force: bool = False) -> RunRow:
    """Ask for a run by hand."""
    service.send(MakeRun(pipeline=pipeline, partition=partition, force=force))
    return run_of(service, pipeline, partition)


def waits(service: VirtualService, pipeline: str, partition: str, task: str) -> list[Wait]:
    """Return what a task waits for."""
    (found,) = (each for each in service.why(pipeline, partition).tasks if each.name == task)
    return list(found.waiting_for)


def partitions_fired(service: VirtualService, task: str | None = None) -> list[str]:
    return [order.partition for order in service.started if task in (None, order.task)]


def mqtt_sensor(rule: Rule, **options: object) -> SensorDefinition:
    return SensorDefinition(pipeline="p", name="s", kind="mqtt", rule=rule, **options)  # type: ignore[arg-type]


def seen(data: object, **options: object) -> Observed:
    """Return what the sensor of `mqtt_sensor` observes."""
    options.setdefault("id", None)
    event = Event(source="/mqtt/p/s", data=data, content=str(data), **options)  # type: ignore[arg-type]
    return Observed(event=event, sensor=("p", "s"))


def receive(service: VirtualService, message: Observed) -> Receipt:
    receipt = service.send(message)
    assert isinstance(receipt, Receipt)
    return receipt
