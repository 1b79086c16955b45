"""Whether what a task waits for is there. One condition answers both `may it start` and `why not`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sensorflow.core.definitions import Definitions
from sensorflow.core.partitions import between, bounds, comparable, containing, inside, is_finer, shifted
from sensorflow.core.state import PartitionRow, State
from sensorflow.core.vocabulary import (
    DatasetDefinition,
    DatasetInput,
    Grain,
    Input,
    InputGroup,
    PipelineDefinition,
    Selection,
)


def complete(dataset: DatasetDefinition, parts: frozenset[str], arrivals: int) -> bool:
    """Tell whether a partition with these parts and so many events is all there.

    Part "" is an arrival of the whole, which is every part at once.
    """
    wanted = dataset.complete
    if wanted.parts:
        return "" in parts or parts >= wanted.parts
    if wanted.count is not None:
        named = len(parts - {""})
        return (named or arrivals) >= wanted.count
    return True


def missing_parts(dataset: DatasetDefinition, parts: frozenset[str]) -> tuple[str, ...]:
    """Return the listed parts that are not there, in order; nothing where the dataset lists none."""
    return () if "" in parts else tuple(sorted(dataset.complete.parts - parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
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


@dataclass(frozen=True, slots=True)
class Readiness:
    """Asks for one pipeline and partition; the run need not exist."""

    definitions: Definitions
    state: State
    pipeline: PipelineDefinition
    partition: str
    #: When the run was made; `now` where there is none yet.
    created_at: float
    now: float

    def condition(self, item: Input) -> Condition:
        """Return where an input of a task stands."""
        if isinstance(item, InputGroup):
            members = tuple(self.condition(member) for member in item.members)
            held = sum(member.holds for member in members)
            return Condition(holds=held >= item.needed, needed=item.needed, members=members)
        if item.selection is Selection.LATEST:
            return self._latest(item)
        keys = self.selected(item)
        rows = self.state.partitions(item.dataset, keys)
        ready = {key: rows[key] for key in keys if key in rows and rows[key].ready}
        missing = tuple(key for key in keys if key not in ready)
        enough = len(keys) if item.at_least is None else min(item.at_least, len(keys))
        return self._leaf(item, ready, missing, holds=len(ready) >= enough)

    def selected(self, item: DatasetInput) -> tuple[str, ...]:
        """Return the keys of the partitions that an input reads; not for `latest`."""
        own = self.pipeline.partitioning
        theirs = self.definitions.datasets[item.dataset].partitioning
        if item.selection is Selection.ALL:
            return inside(own, self.partition, theirs)
        if item.selection is Selection.CONTAINING:
            return (containing(own, self.partition, theirs),)
        if item.selection is Selection.SAME:
            return (self.partition,)
        base = self.partition
        if is_finer(theirs.grain, own.grain):
            base = inside(own, self.partition, theirs)[-1]
        elif theirs != own:
            base = containing(own, self.partition, theirs)
        if item.selection is Selection.OFFSET:
            keys = [shifted(theirs, base, item.count)]
        else:
            keys = list(between(theirs, shifted(theirs, base, 1 - item.count), base))
        return tuple(key for key in keys if self._asked_for(item.dataset, key))

    def optional_at(self, item: DatasetInput) -> float | None:
        """Return from when on an input's missing partitions are not waited for."""
        if item.optional_after_s is None:
            return None
        limits = bounds(self.pipeline.partitioning, self.partition)
        return max(self.created_at, limits.end if limits else self.created_at) + item.optional_after_s

    def _latest(self, item: DatasetInput) -> Condition:
        not_after = None
        theirs = self.definitions.datasets[item.dataset].partitioning
        if comparable(self.pipeline.partitioning.grain, theirs.grain):
            limits = bounds(self.pipeline.partitioning, self.partition)
            not_after = limits.start if limits else None
        row = self.state.newest_ready(item.dataset, not_after)
        if row is None:
            return self._leaf(item, {}, ("" if theirs.grain is Grain.NONE else None,), holds=False)
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
        if source.start is None:
            return True
        first, asked = bounds(source.partitioning, source.start), bounds(theirs, key)
        return first is None or asked is None or asked.end > first.start
