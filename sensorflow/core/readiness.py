"""Whether what a task waits for is there. One condition answers both `may it start` and `why not`."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from sensorflow.core.definitions import Definitions
from sensorflow.core.partitions import bounds, calendar_of
from sensorflow.core.selection import selected, shared_keys
from sensorflow.core.state import PartitionRow, State
from sensorflow.core.vocabulary import (
    DatasetDefinition,
    DatasetInput,
    Grain,
    Input,
    InputGroup,
    PipelineDefinition,
    Selection,
    TaskDefinition,
)


def complete(dataset: DatasetDefinition, parts: Set[str], arrivals: int, *, whole: bool) -> bool:
    """Tell whether a partition with these parts and so many events is all there.

    Args:
        whole: The whole has arrived, which is every part at once.
    """
    wanted = dataset.complete
    if wanted.parts:
        return whole or parts >= wanted.parts
    if wanted.count is not None:
        return (len(parts) or arrivals) >= wanted.count
    return True


def quiet_timer(dataset: str, partition: str) -> str:
    """Return the key of the timer that completes a partition when nothing more arrives."""
    return f"quiet/{dataset}/{partition}"


def missing_parts(dataset: DatasetDefinition, state: State, row: PartitionRow | None) -> tuple[str, ...]:
    """Return the listed parts that are not there of a partition, in order; none where the whole is."""
    if row is None or not dataset.complete.parts:
        return tuple(sorted(dataset.complete.parts))
    there = state.parts(row.dataset, row.partition)
    return () if row.whole else tuple(sorted(dataset.complete.parts - there.keys()))


#: At its last moment an arrival still counts.
_JUST_AFTER_S = 0.001


class Condition(NamedTuple):
    """What is needed, whether it holds, and what is not there."""

    holds: bool
    #: The leaf, or None for a group.
    leaf: DatasetInput | None = None
    #: The partitions that are read and there, by key.
    ready: Mapping[str, PartitionRow] | None = None
    #: The partitions that are read and not all there; None stands for `any partition` of `latest`.
    missing: tuple[str | None, ...] = ()
    #: From when on the missing is not waited for; None: for ever.
    optional_at: float | None = None
    #: How many of the members must hold, of a group.
    needed: int = 0
    members: tuple["Condition", ...] = ()

    def leaves(self) -> Iterator["Condition"]:
        """Yield the conditions of all dataset inputs in this one."""
        if self.leaf is not None:
            yield self
        for member in self.members:
            yield from member.leaves()


@dataclass(slots=True)
class Readiness:
    """Asks for one pipeline and partition; the run need not exist."""

    definitions: Definitions
    state: State
    pipeline: PipelineDefinition
    partition: str
    #: When the run was made; `now` where there is none yet.
    created_at: float
    now: float
    #: Leaves that were looked at already; not of pipelines without partitions, where tasks differ.
    _seen: dict[DatasetInput, Condition] = field(default_factory=dict)

    def holds(self, task: TaskDefinition) -> bool:
        """Tell whether all inputs of a task are there."""
        datasets = self.definitions.graphs[self.pipeline.name].own_partition_of.get(task.name)
        if datasets is not None:  # What `condition` says of such inputs, without the words for a person.
            for dataset in datasets:
                row = self.state.partition(dataset, self.partition)
                if row is None or not row.ready:
                    return False
            return True
        return all(self.condition(task, item).holds for item in task.inputs)

    def condition(self, task: TaskDefinition, item: Input) -> Condition:
        """Return where an input of a task stands."""
        if isinstance(item, InputGroup):
            members = tuple(self.condition(task, member) for member in item.members)
            held = sum(member.holds for member in members)
            return Condition(holds=held >= item.needed, needed=item.needed, members=members)
        if self.pipeline.partitioning.grain is Grain.NONE:
            return self._look(task, item)
        seen = self._seen.get(item)
        if seen is None:
            seen = self._seen[item] = self._look(task, item)
        return seen

    def _look(self, task: TaskDefinition, item: DatasetInput) -> Condition:
        if item.selection is Selection.LATEST:
            return self._latest(task, item)
        keys = self.selected(item)
        rows = self._rows(item.dataset, keys)
        ready = {key: rows[key] for key in keys if key in rows and self._counts(item, rows[key])}
        missing = tuple(key for key in keys if key not in ready)
        enough = len(keys) if item.at_least is None else min(item.at_least, len(keys))
        return self._leaf(item, ready, missing, holds=len(ready) >= enough)

    def _rows(self, dataset: str, keys: tuple[str, ...]) -> Mapping[str, PartitionRow]:
        if len(keys) != 1:
            return self.state.partitions(dataset, keys)
        row = self.state.partition(dataset, keys[0])  # Most inputs are so, and it is the quicker question.
        return {} if row is None else {keys[0]: row}

    def selected(self, item: DatasetInput) -> tuple[str, ...]:
        """Return the keys of the partitions that an input reads; not for `latest`."""
        theirs = self.definitions.datasets[item.dataset].partitioning
        keys = selected(self.pipeline.partitioning, self.partition, item, theirs)
        if item.selection in (Selection.LAST, Selection.OFFSET):
            return tuple(key for key in keys if self._asked_for(item.dataset, key))
        return keys

    def optional_at(self, item: DatasetInput) -> float | None:
        """Return from when on an input's missing partitions are not waited for."""
        if item.optional_after_s is None:
            return None
        limits = bounds(self.pipeline.partitioning, self.partition)
        return max(self.created_at, limits.end if limits else self.created_at) + item.optional_after_s

    def lapses_at(self, task: TaskDefinition) -> float | None:
        """Return when the first of what a task would read now is too old; None where nothing ages."""
        conditions = (self.condition(task, item) for item in task.inputs)
        return min(
            (
                row.last_at + read.leaf.max_age_s + _JUST_AFTER_S
                for condition in conditions
                for read in condition.leaves()
                if read.leaf is not None and read.leaf.max_age_s is not None
                for row in (read.ready or {}).values()
            ),
            default=None,
        )

    def news(self, task: TaskDefinition, dataset: str, limit: int = 1) -> int:
        """Count the arrivals that a task of a pipeline without partitions has not consumed yet."""
        seen = self.state.watermark(self.pipeline.name, task.name, dataset)
        return self.state.ready_arrivals_since(dataset, seen, limit)

    def _is_news(self, task: TaskDefinition, row: PartitionRow) -> bool:
        """Tell whether there is something newer than was consumed, and no more of it is on its way."""
        waits = self.definitions.datasets[row.dataset].complete.quiet_s is not None
        if waits and self.state.timer(quiet_timer(row.dataset, row.partition)) is not None:
            return False
        return self.news(task, row.dataset) > 0

    def _counts(self, item: DatasetInput, row: PartitionRow) -> bool:
        """Tell whether a partition is all there, and recent enough."""
        if not row.ready:
            return False
        return item.max_age_s is None or row.last_at + item.max_age_s >= self.now

    def newest(self, item: DatasetInput) -> PartitionRow | None:
        """Return the partition that `latest` reads, also where it is too old to count."""
        not_after = None
        theirs = self.definitions.datasets[item.dataset].partitioning
        limits = bounds(self.pipeline.partitioning, self.partition)
        if limits is not None and calendar_of(theirs) is not None:
            not_after = limits.start
        beside = shared_keys(self.pipeline.partitioning, self.partition, theirs)
        return self.state.newest_ready(item.dataset, not_after, beside)

    def _latest(self, task: TaskDefinition, item: DatasetInput) -> Condition:
        theirs = self.definitions.datasets[item.dataset].partitioning
        row = self.newest(item)
        named: tuple[str | None, ...] = ("" if theirs.grain is Grain.NONE else None,)
        if row is None or not self._counts(item, row):
            return self._leaf(item, {}, named, holds=False)
        if self.pipeline.partitioning.grain is Grain.NONE and not self._is_news(task, row):
            return self._leaf(item, {row.partition: row}, named, holds=False)
        return self._leaf(item, {row.partition: row}, (), holds=True)

    def _leaf(
        self,
        item: DatasetInput,
        ready: Mapping[str, PartitionRow],
        missing: tuple[str | None, ...],
        *,
        holds: bool,
    ) -> Condition:
        optional_at = self.optional_at(item)
        lapsed = optional_at is not None and self.now >= optional_at
        return Condition(
            holds=holds or lapsed, leaf=item, ready=ready, missing=missing, optional_at=optional_at
        )

    def _asked_for(self, dataset: str, key: str) -> bool:
        """Tell whether a partition is not before anything that could have made it."""
        theirs = self.definitions.datasets[dataset].partitioning
        producer = self.definitions.producers.get(dataset)
        source = self.definitions.pipelines[producer[0]] if producer else self.pipeline
        calendar = calendar_of(source.partitioning)
        if source.start is None or calendar is None:
            return True
        first, asked = bounds(calendar, source.start), bounds(theirs, key)
        return first is None or asked is None or asked.end > first.start
