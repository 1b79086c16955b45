"""All definitions of a home together, and the questions that every event asks of them."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sensorflow.core.collector import without_collector
from sensorflow.core.matching import Looks, Pattern, compile_pattern
from sensorflow.core.rule_index import RuleIndex
from sensorflow.core.vocabulary import (
    DatasetDefinition,
    DatasetInput,
    Grain,
    Input,
    InputGroup,
    JsonValue,
    PipelineDefinition,
    Selection,
    SensorDefinition,
)

#: Selections by which an arrival makes a run; the others only wake runs that exist.
MAKES_RUNS = frozenset({Selection.SAME, Selection.ALL})


def leaves(items: Iterable[Input]) -> Iterator[DatasetInput]:
    """Yield the dataset inputs of a condition, however nested."""
    for item in items:
        if isinstance(item, InputGroup):
            yield from leaves(item.members)
        else:
            yield item


@dataclass(frozen=True, slots=True)
class Reader:
    """One way in which a pipeline reads a dataset, and the tasks that do so."""

    pipeline: PipelineDefinition
    input: DatasetInput
    tasks: tuple[str, ...]
    #: It is the pipeline's own partition, so its run has the same key.
    own_partition: bool


@dataclass(frozen=True, slots=True)
class PipelineGraph:
    """A pipeline's tasks by what they stand above and below."""

    #: The tasks that name this one in `after`.
    below: Mapping[str, tuple[str, ...]]
    #: Every task behind all that it names in `after`.
    order: tuple[str, ...]
    #: The inputs, of whichever task, that become optional after a while.
    optional: tuple[DatasetInput, ...]
    #: An input, of whichever task, does not count any more when it is too old.
    ageing: bool
    #: By task that waits for no more than its own partition of some datasets: those datasets.
    own_partition_of: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Definitions:
    """What the files of a home say, compiled. Made once at start and at every reload."""

    pipelines: Mapping[str, PipelineDefinition]
    datasets: Mapping[str, DatasetDefinition]
    #: By (pipeline, name).
    sensors: Mapping[tuple[str, str], SensorDefinition]
    readers: Mapping[str, tuple[Reader, ...]] = field(init=False)
    graphs: Mapping[str, PipelineGraph] = field(init=False)
    patterns: Mapping[tuple[str, str], Pattern] = field(init=False)
    #: Sensors that read what is posted to `/api/v1/events`.
    posted: tuple[SensorDefinition, ...] = field(init=False)
    #: Sensors that read what is posted to `/api/v1/lineage`.
    lineage: tuple[SensorDefinition, ...] = field(init=False)
    #: The patterns of these, in their order.
    posted_rules: RuleIndex = field(init=False)
    lineage_rules: RuleIndex = field(init=False)
    #: By dataset, the sensors that feed it.
    feeds: Mapping[str, tuple[SensorDefinition, ...]] = field(init=False)
    #: By dataset, the pipeline and task whose success makes it ready.
    producers: Mapping[str, tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        readings: dict[str, list[tuple[PipelineDefinition, DatasetInput, list[str]]]] = {}
        producers: dict[str, tuple[str, str]] = {}
        for pipeline in self.pipelines.values():
            for task in pipeline.tasks.values():
                for leaf in leaves(task.inputs):
                    _note(readings.setdefault(leaf.dataset, []), pipeline, leaf, task.name)
                for dataset in task.outputs:
                    producers[dataset] = (pipeline.name, task.name)
        feeds: dict[str, list[SensorDefinition]] = {}
        for sensor in self.sensors.values():
            feeds.setdefault(sensor.rule.dataset, []).append(sensor)
        with without_collector():
            patterns = {
                key: compile_pattern(sensor.rule.match)
                for key, sensor in self.sensors.items()
                if sensor.rule.match is not None
            }
        assign = object.__setattr__  # The dataclass is frozen for everybody else.
        assign(
            self,
            "readers",
            {
                name: tuple(
                    Reader(pipeline, leaf, tuple(tasks), _is_own_partition(pipeline, leaf, self.datasets))
                    for pipeline, leaf, tasks in found
                )
                for name, found in readings.items()
            },
        )
        assign(self, "producers", producers)
        assign(self, "feeds", {name: tuple(found) for name, found in feeds.items()})
        assign(self, "patterns", patterns)
        for name, kind in (("posted", "events"), ("lineage", "openlineage")):
            sensors = tuple(s for s in self.sensors.values() if s.kind == kind)
            assign(self, name, sensors)
            assign(self, f"{name}_rules", RuleIndex([patterns.get((s.pipeline, s.name)) for s in sensors]))
        assign(self, "graphs", {p.name: _graph(p, self.datasets) for p in self.pipelines.values()})

    def take(
        self, document: dict[str, JsonValue], seen_by: tuple[str, str] | None
    ) -> Sequence[SensorDefinition]:
        """Return the sensors whose rules take an event: of what was posted any, else the one that saw it.

        Raises:
            ReadingError: it has larger arrays than so many rules can look through.
        """
        if seen_by is None:
            return [self.posted[place] for place in self.posted_rules.matching(document)]
        sensor, pattern = self.sensors.get(seen_by), self.patterns.get(seen_by)
        if sensor is None or (pattern is not None and not pattern.matches(document)):
            return ()
        return (sensor,)

    def take_lineage(self, document: dict[str, JsonValue], looks: Looks) -> Sequence[SensorDefinition]:
        """Return the sensors whose rules take an output of a lineage event.

        Args:
            looks: What the event's other outputs have left.

        Raises:
            ReadingError: as `take`.
        """
        return [self.lineage[place] for place in self.lineage_rules.matching(document, looks)]


def _note(
    found: list[tuple[PipelineDefinition, DatasetInput, list[str]]],
    pipeline: PipelineDefinition,
    leaf: DatasetInput,
    task: str,
) -> None:
    """Add a task to those of its pipeline that read a dataset in the same way."""
    for other, same, tasks in found:
        if other is pipeline and same == leaf:
            if task not in tasks:
                tasks.append(task)
            return
    found.append((pipeline, leaf, [task]))


def _graph(pipeline: PipelineDefinition, datasets: Mapping[str, DatasetDefinition]) -> PipelineGraph:
    below: dict[str, list[str]] = {name: [] for name in pipeline.tasks}
    for task in pipeline.tasks.values():
        for upstream in task.after:
            below[upstream].append(task.name)
    order: list[str] = []
    missing = {name: len(set(task.after)) for name, task in pipeline.tasks.items()}
    free = deque(name for name, count in missing.items() if not count)
    while free:
        name = free.popleft()
        order.append(name)
        for downstream in dict.fromkeys(below[name]):
            missing[downstream] -= 1
            if not missing[downstream]:
                free.append(downstream)
    if len(order) < len(pipeline.tasks):
        raise ValueError(f"the tasks of {pipeline.name} form a cycle; `validate` names its members")
    inputs = [leaf for task in pipeline.tasks.values() for leaf in leaves(task.inputs)]
    return PipelineGraph(
        below={name: tuple(dict.fromkeys(found)) for name, found in below.items()},
        order=tuple(order),
        optional=tuple(leaf for leaf in inputs if leaf.optional_after_s is not None),
        ageing=any(leaf.max_age_s is not None for leaf in inputs),
        own_partition_of={
            task.name: tuple(leaf.dataset for leaf in leaves(task.inputs))
            for task in pipeline.tasks.values()
            if all(_is_plain(pipeline, item, datasets) for item in task.inputs)
        },
    )


def _is_own_partition(
    pipeline: PipelineDefinition, item: DatasetInput, datasets: Mapping[str, DatasetDefinition]
) -> bool:
    """Tell whether an input is the pipeline's own partition of a dataset."""
    return (
        item.selection is Selection.SAME
        and pipeline.partitioning.grain is not Grain.NONE
        and datasets[item.dataset].partitioning == pipeline.partitioning
    )


def _is_plain(pipeline: PipelineDefinition, item: Input, datasets: Mapping[str, DatasetDefinition]) -> bool:
    """Tell whether nothing but the pipeline's own partition of a dataset can make an input ready."""
    return (
        isinstance(item, DatasetInput)
        and item.optional_after_s is None
        and item.max_age_s is None
        and _is_own_partition(pipeline, item, datasets)
    )
