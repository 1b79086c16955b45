"""The inputs of a task, as the core knows them, and which readings the grains of both sides allow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

from sensorflow.config.datasets import GrainProblems
from sensorflow.config.models import AllItem, AnyItem, AtLeastItem, ByDimension, DatasetItem, Last, Offset
from sensorflow.config.partitions import described, key_dimensions, plain
from sensorflow.config.problems import suggestion
from sensorflow.config.yaml import Document, Path, shown
from sensorflow.core.errors import Problem
from sensorflow.core.partitions import calendar_of, comparable, is_finer
from sensorflow.core.vocabulary import (
    DatasetDefinition,
    DatasetInput,
    Grain,
    Input,
    InputGroup,
    Partitioning,
    Selection,
)

_Item: TypeAlias = DatasetItem | AnyItem | AllItem | AtLeastItem

#: Ways that two sides of the calendar have, whichever is finer.
_ANY_CALENDAR = (Selection.LATEST, Selection.LAST, Selection.OFFSET)


def default_selection(own: Partitioning, theirs: Partitioning) -> Selection | None:
    """Return how a pipeline reads a dataset where `partitions` is left out; None: it must be said."""
    if Grain.NONE in (own.grain, theirs.grain):
        return Selection.LATEST
    if not _compare(own, theirs):
        return None
    ours, others = calendar_of(own), calendar_of(theirs)
    if ours is None or others is None:
        return Selection.SAME
    if is_finer(others.grain, ours.grain):
        return Selection.ALL
    if is_finer(ours.grain, others.grain):
        return Selection.CONTAINING
    return Selection.SAME if plain(ours) == plain(others) else None


def fitting_selections(own: Partitioning, theirs: Partitioning) -> tuple[Selection, ...]:
    """Return the ways in which a pipeline can read a dataset."""
    if not _compare(own, theirs):
        return (Selection.LATEST,)
    ours, others = calendar_of(own), calendar_of(theirs)
    if ours is None or others is None:
        return (Selection.SAME, Selection.LATEST)
    if is_finer(others.grain, ours.grain):
        return (Selection.ALL, *_ANY_CALENDAR)
    if is_finer(ours.grain, others.grain):
        return (Selection.CONTAINING, *_ANY_CALENDAR)
    return (Selection.SAME, Selection.ALL, Selection.CONTAINING, *_ANY_CALENDAR)


def only_theirs(own: Partitioning, theirs: Partitioning) -> dict[str, Partitioning]:
    """Return the dimensions of keys that only the dataset has."""
    return {name: cut for name, cut in key_dimensions(theirs).items() if name not in key_dimensions(own)}


def _compare(own: Partitioning, theirs: Partitioning) -> bool:
    """Tell whether a run's partition says which of the dataset's partitions belong to it."""
    if Grain.SEVERAL not in (own.grain, theirs.grain):
        return comparable(own.grain, theirs.grain) or _covers(theirs, own)
    ours, others = key_dimensions(own), key_dimensions(theirs)
    common = ours.keys() & others.keys()
    if not all(_covers(others[name], ours[name]) for name in common):
        return False
    return calendar_of(own) is not None if calendar_of(theirs) is not None else bool(common)


def _covers(theirs: Partitioning, own: Partitioning) -> bool:
    """Tell whether every key of a run can be one of the dataset."""
    if theirs.grain is Grain.KEY:
        return own.grain in (Grain.KEY, Grain.KEYS)
    return own.grain is theirs.grain and set(own.keys) <= set(theirs.keys)


@dataclass(frozen=True, slots=True)
class _Way:
    """What an item says of the partitions that it reads; None where it says nothing."""

    selection: Selection | None = None
    count: int = 0
    #: Where in the file it stands.
    path: Path = ()
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class InputCompiler:
    """Compiles the inputs of one pipeline's tasks."""

    def __init__(
        self,
        document: Document,
        own: Partitioning,
        datasets: Mapping[str, DatasetDefinition],
        problems: list[Problem],
        grains: GrainProblems,
    ) -> None:
        self.document = document
        self.own = own
        self.datasets = datasets
        self.problems = problems
        self.grains = grains
        #: Takes what is wrong with the dataset that is looked at.
        self.grain_problems: list[Problem] = []

    def inputs(self, items: Sequence[_Item], path: Path) -> tuple[Input, ...]:
        """Return the conditions of an `inputs` list."""
        return tuple(self._input(item, (*path, index)) for index, item in enumerate(items))

    def _input(self, item: _Item, path: Path) -> Input:
        if isinstance(item, DatasetItem):
            return self._leaf(item, path)
        if isinstance(item, AnyItem):
            return InputGroup(needed=1, members=self.inputs(item.any, (*path, "any")))
        if isinstance(item, AllItem):
            return InputGroup(needed=len(item.all), members=self.inputs(item.all, (*path, "all")))
        if item.at_least > len(item.of):
            message = f"expected at most {len(item.of)}, as many as of lists, found {item.at_least}"
            self.problems.append(self.document.problem((*path, "at_least"), message))
        return InputGroup(needed=item.at_least, members=self.inputs(item.of, (*path, "of")))

    def _leaf(self, item: DatasetItem, path: Path) -> DatasetInput:
        self.grain_problems = self.grains.of(item.dataset)
        way = self._way(item, path)
        selection = self._selection(item, way, path)
        if selection is not None:
            self._check_dimensions(item.dataset, selection, way, path)
            self._check_at_least(item, selection, way, (*path, "at_least"))
        return DatasetInput(
            dataset=item.dataset,
            selection=selection or Selection.LATEST,
            count=way.count,
            at_least=item.at_least,
            optional_after_s=item.optional_after,
            max_age_s=item.max_age,
            dimensions=way.keys,
        )

    def _sides(self, dataset: str) -> str:
        theirs = self.datasets[dataset].partitioning
        return f"{dataset} is {described(theirs)}, the pipeline {described(self.own)}"

    def _selection(self, item: DatasetItem, way: _Way, path: Path) -> Selection | None:
        """Return the selection that is said, else the one that the grains suggest; None: neither is right."""
        theirs = self.datasets[item.dataset].partitioning
        selection = way.selection or default_selection(self.own, theirs)
        fitting = fitting_selections(self.own, theirs)
        if selection in fitting:
            return selection
        ways, sides = ", ".join(_spelled(each) for each in fitting), self._sides(item.dataset)
        if selection is None:
            message = f'expected "partitions" with one of {ways}, because {sides}, found nothing'
            self.grain_problems.append(self.document.problem(path, message))
        else:
            message = f"expected one of {ways}, because {sides}, found {_spelled(selection)}"
            self.grain_problems.append(self.document.problem(way.path, message))
        return None

    def _way(self, item: DatasetItem, path: Path) -> _Way:
        place = (*path, "partitions")
        if item.partitions is None:
            return _Way()
        if not isinstance(item.partitions, ByDimension):
            return _said(item.partitions, place)
        theirs = self.datasets[item.dataset].partitioning
        if theirs.grain is not Grain.SEVERAL:
            ways = ", ".join(_spelled(each) for each in fitting_selections(self.own, theirs))
            self._refuse(place, f"one of {ways}, because {self._sides(item.dataset)}")
            return _Way()
        return self._by_dimension(item.dataset, item.partitions, place)

    def _by_dimension(self, dataset: str, said: ByDimension, path: Path) -> _Way:
        dimensions = dict(self.datasets[dataset].partitioning.dimensions)
        way = _Way()
        keys: dict[str, tuple[str, ...]] = {}
        for name, value in said.dimensions.items():
            place = (*path, name)
            if name not in dimensions:
                message = f"expected a dimension of {dataset} ({', '.join(dimensions)}), found {shown(name)}"
                message += suggestion(name, dimensions)
                self.grain_problems.append(self.document.problem(place, message, at_key=True))
            elif name not in key_dimensions(self.datasets[dataset].partitioning):
                if isinstance(value, tuple):
                    self._refuse(place, f"a way to read partitions that are {described(dimensions[name])}")
                else:
                    way = _said(value, place)
            elif name in key_dimensions(self.own):
                if value is not Selection.SAME:
                    self._refuse(place, f"same, because the pipeline has the dimension {name} too")
            elif isinstance(value, tuple):
                self._check_keys(dimensions[name], value, place)
                keys[name] = value
            elif value is not Selection.ALL:
                self._refuse(place, f"all or keys, because only {dataset} has the dimension {name}")
        return _Way(way.selection, way.count, way.path, keys)

    def _refuse(self, path: Path, words: str) -> None:
        message = f"expected {words}, found {shown(self.document.value(path))}"
        self.grain_problems.append(self.document.problem(path, message))

    def _check_keys(self, cut: Partitioning, keys: tuple[str, ...], path: Path) -> None:
        for key in keys:
            if cut.keys and key not in cut.keys:
                message = f"expected keys of {', '.join(cut.keys)}, found {shown(key)}"
                self.grain_problems.append(self.document.problem(path, message))

    def _check_dimensions(self, dataset: str, selection: Selection, way: _Way, path: Path) -> None:
        theirs = self.datasets[dataset].partitioning
        if selection is Selection.LATEST:
            # The newest of all partitions is known, and that of all their keys, but not that of some.
            common = [name for name in key_dimensions(theirs) if name in key_dimensions(self.own)]
            extra = [name for name in key_dimensions(theirs) if name not in common]
            if way.keys or (common and extra):
                words = f"a way to read that needs all of them, because {self._sides(dataset)}"
                message = f"expected, by the dimension {extra[0]} of {dataset}, {words}; found latest"
                self.grain_problems.append(self.document.problem(path, message))
            return
        for name, cut in only_theirs(self.own, theirs).items():
            if cut.grain is Grain.KEY and name not in way.keys:
                # Nobody can say when all of them are there.
                message = (
                    f'expected "partitions" to name the keys of {name}, as {{{name}: [a, b]}}, '
                    f"because {self._sides(dataset)}, found none"
                )
                self.grain_problems.append(self.document.problem(path, message))

    def _check_at_least(self, item: DatasetItem, selection: Selection, way: _Way, path: Path) -> None:
        if item.at_least is None:
            return
        extra = only_theirs(self.own, self.datasets[item.dataset].partitioning)
        if selection is Selection.LATEST or (not extra and selection not in (Selection.ALL, Selection.LAST)):
            message = f"expected this only with all or {{last: n}}, found it with {_spelled(selection)}"
            self.grain_problems.append(self.document.problem(path, message, at_key=True))
            return
        if selection is Selection.ALL:
            return
        each = [len(way.keys.get(name, cut.keys)) for name, cut in extra.items()]
        most = prod(each) * (way.count if selection is Selection.LAST else 1)
        if all(each) and item.at_least > most:
            message = f"expected at most {most}, as many as are read, found {item.at_least}"
            self.grain_problems.append(self.document.problem(path, message))


def _said(partitions: Selection | Last | Offset, path: Path) -> _Way:
    if isinstance(partitions, Last):
        return _Way(Selection.LAST, partitions.last, path)
    if isinstance(partitions, Offset):
        return _Way(Selection.OFFSET, partitions.offset, path)
    return _Way(partitions, 0, path)


def _spelled(selection: Selection) -> str:
    if selection in (Selection.LAST, Selection.OFFSET):
        return f"{{{selection}: n}}"
    return str(selection)
