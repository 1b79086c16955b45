"""Which of many rules an event fits, in a time that does not grow with their number.

A rule is found by the path of its pattern that fewest others have the like of: by value, prefix, suffix,
range or negation; by the texts at several paths at once where each does about as well. Where many rules
share that, they are told apart by their next path, and so on. What is found by all of its paths fits; where
something was left out, or an array of objects was on the way (one object has to fit all), the pattern
itself is asked.

With many rules the time goes into memory that is in no cache: each place that a look-up touches costs as
much as ten steps. So rules share what is left to ask of them, and tables keep the hashes of their texts.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TypeAlias

from sensorflow.core.clauses import By, Path, Term
from sensorflow.core.collector import without_collector
from sensorflow.core.forms import ABSENT, identity
from sensorflow.core.lookups import FINDS, AllBut, with_hashes
from sensorflow.core.matching import Looks, Pattern, elements_of, values_of
from sensorflow.core.telling_apart import NOT_JOINED, Apart, Entry, Found, Left, entries_of
from sensorflow.core.vocabulary import JsonValue

#: So few rules are asked one by one.
FEW = 3
#: Rules are told apart by at most so many conditions.
MAX_LEVELS = 8


class RuleIndex:
    """Made once of all patterns; None is a pattern that every event fits."""

    def __init__(self, patterns: Sequence[Pattern | None]) -> None:
        self._patterns = patterns
        #: What is left to ask of a rule that is found at one place only.
        self._left: list[Left] = [()] * len(patterns)
        with without_collector():
            self._root = _Building(self._left).node(entries_of(patterns), MAX_LEVELS)

    def matching(self, document: dict[str, JsonValue], looks: Looks | None = None) -> list[int]:
        """Return the places of the patterns that an event, as its document, fits; in their order.

        Args:
            looks: What of the event's looks is left, where it has several documents.

        Raises:
            ReadingError: they do not suffice.
        """
        looks = looks or Looks()
        search = _Search(looks)
        self._root.collect(document, search)
        found = search.fitting
        if not search.is_plain:
            rules = {*found, *search.single, *(doubtful[0] for doubtful in search.doubtful)}
            found = [rule for rule in rules if self._asked(rule, document, looks)]
        else:
            left = self._left
            for rule in search.single:
                if self._fits(rule, left[rule], document, looks):
                    found.append(rule)
            if search.doubtful:  # A rule with several places may be found in more than one.
                doubtful = search.doubtful
                found += {each[0] for each in doubtful if self._fits(each[0], each[1:], document, looks)}
        found.sort()
        return found

    def _fits(self, rule: int, left: Left, document: dict[str, JsonValue], looks: Looks) -> bool:
        for condition in left:
            holds = condition.holds(document, looks)
            if holds is None:  # It stands in an array, of which one element has to fit all conditions.
                return self._asked(rule, document, looks)
            if not holds:
                return False
        return True

    def _asked(self, rule: int, document: dict[str, JsonValue], looks: Looks) -> bool:
        pattern = self._patterns[rule]
        return pattern is None or pattern.matches(document, looks)


class _Search:
    """What was found for one event so far."""

    __slots__ = ("been_at", "doubtful", "fitting", "is_plain", "looks", "single")

    def __init__(self, looks: Looks) -> None:
        self.looks = looks
        self.fitting: list[int] = []
        #: Rules with one place, of which something is left to ask.
        self.single: list[int] = []
        #: Rules of which something is left to ask.
        self.doubtful: list[Found] = []
        #: No array of objects was on the way to any value.
        self.is_plain = True
        #: Nodes that elements of arrays have led to: a second way there leads to nothing new.
        self.been_at: set[int] = set()

    @property
    def size(self) -> int:
        return len(self.fitting) + len(self.single) + len(self.doubtful)


class _Node:
    """Rules that share what has been looked at, and what to look at next."""

    __slots__ = ("below", "doubtful", "fitting", "together")

    def __init__(
        self,
        fitting: tuple[int, ...],
        doubtful: tuple[Found, ...],
        below: "dict[str, _Step] | None",
        together: "tuple[_Together, ...]",
    ) -> None:
        self.fitting = fitting
        self.doubtful = doubtful
        self.below = below
        self.together = together

    def collect(self, document: dict[str, JsonValue], search: _Search) -> None:
        if self.fitting:
            search.fitting += self.fitting
        if self.doubtful:
            search.doubtful += self.doubtful
        for each in self.together:
            each.collect(document, search)
        if self.below is not None:
            _walk(self.below, document, document, search)


#: What a value leads to; most lead to one rule only, which needs no node. Where something is left to ask of
#: it, its number is inverted: what is left stands at one more place that has to be gone to.
_Target: TypeAlias = _Node | Found | int


def _collect(target: _Target, document: dict[str, JsonValue], search: _Search) -> None:
    if isinstance(target, int):
        if target >= 0:
            search.fitting.append(target)
        else:
            search.single.append(~target)
    elif isinstance(target, tuple):
        search.doubtful.append(target)
    elif search.is_plain:
        target.collect(document, search)
    elif id(target) not in search.been_at:
        search.been_at.add(id(target))
        target.collect(document, search)


@dataclass(slots=True)
class _Step:
    """A name on the way to values that are looked up."""

    lookups: "_Lookups | None" = None
    below: dict[str, "_Step"] = field(default_factory=dict)


def _walk(
    steps: dict[str, _Step], here: dict[str, JsonValue], document: dict[str, JsonValue], search: _Search
) -> None:
    for name in steps if len(steps) <= len(here) else here:
        step = steps.get(name)
        value = here.get(name, ABSENT)
        if step is None or value is ABSENT:
            continue
        if step.lookups is not None:
            step.lookups.collect(value, document, search)
        if step.below:
            if isinstance(value, dict):
                _walk(step.below, value, document, search)
            elif isinstance(value, list):
                search.is_plain = False
                for element in elements_of(value):
                    before = search.size
                    if isinstance(element, dict):
                        _walk(step.below, element, document, search)
                    search.looks.spend(1 + search.size - before)


class _Together:
    """How the texts at several paths lead to rules, looked up as one."""

    __slots__ = ("_paths", "_targets")

    def __init__(self, paths: tuple[Path, ...], targets: Mapping[object, _Target]) -> None:
        self._paths = paths
        #: By the texts, joined by what none of them holds.
        self._targets = with_hashes(targets)

    def collect(self, document: dict[str, JsonValue], search: _Search) -> None:
        texts: list[str] = []
        for path in self._paths:
            value: JsonValue = document
            for name in path:
                if not isinstance(value, dict):
                    break
                value = value.get(name)
            if isinstance(value, list):
                self._collect_of_all(document, search)
                return
            if not isinstance(value, str):
                return
            texts.append(value)
        target = self._targets.get(NOT_JOINED.join(texts))
        if target is not None:
            _collect(target, document, search)

    def _collect_of_all(self, document: dict[str, JsonValue], search: _Search) -> None:
        """Collect what any of the arrays' texts lead to: in each combination, or those of all rules."""
        found = [_texts_at(path, document, search) for path in self._paths]
        targets = self._targets
        if math.prod(len(texts) for texts in found) <= len(targets):
            keys = [key for key in map(NOT_JOINED.join, product(*found)) if key in targets]
        else:
            keys = [
                key
                for key in map(str, targets)
                if all(text in texts for text, texts in zip(key.split(NOT_JOINED), found, strict=True))
            ]
        for key in keys:
            _collect(targets[key], document, search)


def _texts_at(path: Path, document: dict[str, JsonValue], search: _Search) -> set[str]:
    here: list[object] = [document]
    for name in path:
        below: list[object] = []
        search.looks.spend(len(here))
        for value in here:
            search.is_plain = search.is_plain and not isinstance(value, list)
            below += [each[name] for each in elements_of(value) if isinstance(each, dict) and name in each]
        here = below
    return {text for value in here for text in elements_of(value) if isinstance(text, str)}


class _Lookups:
    """How a path's values lead to rules."""

    __slots__ = ("finds", "others", "values")

    def __init__(self, targets: dict[By, dict[object, _Target]], others: "_Others | None") -> None:
        self.values = with_hashes(targets.pop(By.VALUE, {}))
        self.finds = tuple(FINDS[by](found) for by, found in targets.items())
        self.others = others

    def collect(self, value: JsonValue, document: dict[str, JsonValue], search: _Search) -> None:
        if isinstance(value, list):
            self._collect_of_all(values_of(value), document, search)
            return
        if isinstance(value, dict):
            return
        key = value if type(value) is str else identity(value)
        target = self.values.get(key)
        if target is not None:
            _collect(target, document, search)
        for find in self.finds:
            for target in find(value):
                _collect(target, document, search)
        if self.others is not None:
            self.others.collect((key,), search)

    def _collect_of_all(
        self, values: Sequence[object], document: dict[str, JsonValue], search: _Search
    ) -> None:
        """Collect what any of an array's values leads to, each rule once."""
        if values[0] is ABSENT:
            return
        keys = dict.fromkeys(identity(value) for value in values)
        targets = {id(self.values[key]): self.values[key] for key in keys if key in self.values}
        for find in self.finds:
            for value in values:
                found = find(value)
                search.looks.spend(1 + len(found))
                targets.update({id(target): target for target in found})
        for target in targets.values():
            _collect(target, document, search)
        if self.others is not None:
            self.others.collect(keys, search)


class _Others:
    """Rules that take every value but some."""

    __slots__ = ("_doubtful", "_fitting")

    def __init__(self) -> None:
        self._fitting: AllBut[int] = AllBut()
        self._doubtful: AllBut[Found] = AllBut()

    def add(self, node: _Node, excluded: frozenset[object]) -> None:
        self._fitting.add(node.fitting, excluded)
        self._doubtful.add(node.doubtful, excluded)

    def collect(self, keys: Iterable[object], search: _Search) -> None:
        search.fitting += self._fitting.of(keys)
        search.doubtful += self._doubtful.of(keys)


# How it is built


class _Building:
    """Puts entries in their places."""

    def __init__(self, left: list[Left]) -> None:
        self._left = left
        self._known: dict[Left, Left] = {}

    def node(self, entries: Sequence[Entry], levels: int) -> _Node:
        """Return what leads to these, by at most so many more conditions."""
        fitting = tuple([entry.rule for entry in entries if entry.fits])
        doubtful = [entry for entry in entries if not entry.fits] if len(fitting) < len(entries) else []
        steps: dict[str, _Step] = {}
        together: list[_Together] = []
        if len(doubtful) > FEW and levels:
            apart = Apart(doubtful)
            doubtful = apart.left
            for paths, texts in apart.by_texts.items():
                targets: dict[object, _Target] = {
                    text: self._target(under, levels - 1) for text, under in texts.items()
                }
                together.append(_Together(paths, targets))
            for path, groups in apart.by_path.items():
                _step(steps, path).lookups = self._lookups(groups, levels - 1)
        return _Node(fitting, tuple([entry.found for entry in doubtful]), steps or None, tuple(together))

    def _lookups(self, groups: Mapping[Term, list[Entry]], levels: int) -> _Lookups:
        targets: dict[By, dict[object, _Target]] = {}
        others: _Others | None = None
        for (by, operand), entries in groups.items():
            if isinstance(operand, frozenset):
                others = others or _Others()
                others.add(self.node(entries, 0), operand)
            else:
                targets.setdefault(by, {})[operand] = self._target(entries, levels)
        return _Lookups(targets, others)

    def _target(self, entries: Sequence[Entry], levels: int) -> _Target:
        if len(entries) > 1:
            return self.node(entries, levels)
        entry = entries[0]
        if entry.copies > 1:
            return entry.found
        left = entry.left
        if not left:
            return entry.rule
        self._left[entry.rule] = self._known.setdefault(left, left)
        return ~entry.rule


def _step(steps: dict[str, _Step], path: Path) -> _Step:
    for name in path[:-1]:
        steps = steps.setdefault(name, _Step()).below
    return steps.setdefault(path[-1], _Step())
