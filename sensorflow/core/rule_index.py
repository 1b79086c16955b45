"""Which of many rules an event fits, in a time that does not grow with their number.

A rule is found by the path of its pattern that fewest others have the like of: by value, prefix, suffix,
range or negation. Where many rules share that, they are told apart by their next path, and so on. What
is found by all of its paths fits; where something was left out, or an array of objects was on the way (one
object has to fit all), the pattern itself is asked.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from sensorflow.core.clauses import MAX_COPIES, By, Clauses, Condition, Path, Term
from sensorflow.core.collector import without_collector
from sensorflow.core.forms import ABSENT, Numeric, identity
from sensorflow.core.matching import Pattern, elements_of, values_of
from sensorflow.core.vocabulary import JsonValue

#: So few rules are asked one by one.
FEW = 3
#: Rules are told apart by at most so many conditions.
MAX_LEVELS = 8

#: A rule that was found, and the conditions that are left to ask.
_Found: TypeAlias = tuple[int, *tuple[Condition, ...]]
Each = TypeVar("Each")


class RuleIndex:
    """Made once of all patterns; None is a pattern that every event fits."""

    def __init__(self, patterns: Sequence[Pattern | None]) -> None:
        self._patterns = patterns
        with without_collector():
            self._root = _node(_entries(patterns), MAX_LEVELS)

    def matching(self, document: dict[str, JsonValue]) -> list[int]:
        """Return the places of the patterns that an event, as its document, fits; in their order."""
        search = _Search()
        self._root.collect(document, search)
        found = search.fitting
        if not search.is_plain:
            rules = {*found, *(doubtful[0] for doubtful in search.doubtful)}
            found = [rule for rule in rules if self._asked(rule, document)]
        elif len(search.doubtful) == 1:
            if self._fits(search.doubtful[0], document):
                found.append(search.doubtful[0][0])
        elif search.doubtful:
            # A rule with several places may be found in more than one.
            found += {doubtful[0] for doubtful in search.doubtful if self._fits(doubtful, document)}
        found.sort()
        return found

    def _fits(self, doubtful: _Found, document: dict[str, JsonValue]) -> bool:
        for condition in doubtful[1:]:
            holds = condition.holds(document)
            if holds is None:  # It stands in an array, of which one element has to fit all conditions.
                return self._asked(doubtful[0], document)
            if not holds:
                return False
        return True

    def _asked(self, rule: int, document: dict[str, JsonValue]) -> bool:
        pattern = self._patterns[rule]
        return pattern is None or pattern.matches(document)


class _Search:
    """What was found for one event so far."""

    __slots__ = ("doubtful", "fitting", "is_plain")

    def __init__(self) -> None:
        self.fitting: list[int] = []
        #: Rules of which something is left to ask.
        self.doubtful: list[_Found] = []
        #: No array of objects was on the way to any value.
        self.is_plain = True


class _Node:
    """Rules that share what has been looked at, and what to look at next."""

    __slots__ = ("below", "doubtful", "fitting")

    def __init__(
        self,
        fitting: tuple[int, ...],
        doubtful: tuple[_Found, ...],
        below: "dict[str, _Step] | None",
    ) -> None:
        self.fitting = fitting
        self.doubtful = doubtful
        self.below = below

    def collect(self, document: dict[str, JsonValue], search: _Search) -> None:
        if self.fitting:
            search.fitting += self.fitting
        if self.doubtful:
            search.doubtful += self.doubtful
        if self.below is not None:
            _walk(self.below, document, document, search)


#: What a value leads to; most lead to one rule only, which needs no node.
_Target: TypeAlias = _Node | _Found


def _collect(target: _Target, document: dict[str, JsonValue], search: _Search) -> None:
    if isinstance(target, tuple):
        search.doubtful.append(target)
    else:
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
                    if isinstance(element, dict):
                        _walk(step.below, element, document, search)


class _Lookups:
    """How a path's values lead to rules."""

    __slots__ = ("finds", "others", "values")

    def __init__(self, targets: dict[By, dict[object, _Target]], others: "_Others | None") -> None:
        self.values = targets.pop(By.VALUE, {})
        self.finds = tuple(_FINDS[by](found) for by, found in targets.items())
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
        targets = [self.values[key] for key in keys if key in self.values]
        targets += [target for value in values for find in self.finds for target in find(value)]
        for target in {id(target): target for target in targets}.values():
            _collect(target, document, search)
        if self.others is not None:
            self.others.collect(keys, search)


class _Others:
    """Rules that take every value but some."""

    __slots__ = ("_doubtful", "_fitting")

    def __init__(self) -> None:
        self._fitting: _AllBut[int] = _AllBut()
        self._doubtful: _AllBut[_Found] = _AllBut()

    def add(self, node: _Node, excluded: frozenset[object]) -> None:
        self._fitting.add(node.fitting, excluded)
        self._doubtful.add(node.doubtful, excluded)

    def collect(self, keys: Iterable[object], search: _Search) -> None:
        search.fitting += self._fitting.of(keys)
        search.doubtful += self._doubtful.of(keys)


class _AllBut(Generic[Each]):
    """What every value leads to but some."""

    __slots__ = ("_all", "_excluded")

    def __init__(self) -> None:
        self._all: list[Each] = []
        #: By value, the places of what it does not lead to.
        self._excluded: dict[object, list[int]] = {}

    def add(self, found: Iterable[Each], excluded: frozenset[object]) -> None:
        for each in found:
            for key in excluded:
                self._excluded.setdefault(key, []).append(len(self._all))
            self._all.append(each)

    def of(self, keys: Iterable[object]) -> list[Each]:
        """Return what one of the values leads to; in as few strokes as there are exclusions."""
        left_out: list[int] | None = None
        for key in keys:
            places = self._excluded.get(key)
            if places is None:
                return self._all
            left_out = places if left_out is None else sorted({*left_out} & {*places})
        found: list[Each] = []
        start = 0
        for place in left_out or ():
            found += self._all[start:place]
            start = place + 1
        return found + self._all[start:]


# Ways to look up. Each is made of the rules by what they name, and returns those that take a value.

_Find = Callable[[JsonValue], Iterable[_Target]]


def _prefixes(targets: dict[object, _Target]) -> _Find:
    by_length: dict[int, dict[object, _Target]] = {}
    for text, target in targets.items():
        by_length.setdefault(len(str(text)), {})[text] = target
    lengths = sorted(by_length.items())

    def find(value: JsonValue) -> list[_Target]:
        found = []
        if isinstance(value, str):
            whole = len(value)
            for length, texts in lengths:
                if length > whole:
                    break
                target = texts.get(value[:length])
                if target is not None:
                    found.append(target)
        return found

    return find


def _suffixes(targets: dict[object, _Target]) -> _Find:
    find = _prefixes({str(text)[::-1]: target for text, target in targets.items()})
    return lambda value: find(value[::-1]) if isinstance(value, str) else ()


def _texts(targets: dict[object, _Target]) -> _Find:
    return lambda value: (targets[value],) if value in targets else ()


def _folded(make: Callable[[dict[object, _Target]], _Find]) -> Callable[[dict[object, _Target]], _Find]:
    def make_folded(targets: dict[object, _Target]) -> _Find:
        find = make(targets)
        return lambda value: find(value.casefold()) if isinstance(value, str) else ()

    return make_folded


def _ranges(targets: dict[object, _Target]) -> _Find:
    """Look numbers up in a segment tree over the limits and the gaps between them."""
    ranges = {each: target for each, target in targets.items() if isinstance(each, Numeric)}
    limits = sorted({limit[0] for each in ranges for limit in (each.low, each.high) if limit is not None})
    places = {limit: 2 * place + 1 for place, limit in enumerate(limits)}
    size = 2 * len(limits) + 1
    tree: dict[int, list[_Target]] = {}
    for each, target in ranges.items():
        first = size + (0 if each.low is None else places[each.low[0]] + (not each.low[1]))
        end = size + (size if each.high is None else places[each.high[0]] + each.high[1])
        while first < end:
            if first & 1:
                tree.setdefault(first, []).append(target)
                first += 1
            if end & 1:
                end -= 1
                tree.setdefault(end, []).append(target)
            first >>= 1
            end >>= 1

    def find(value: JsonValue) -> list[_Target]:
        found: list[_Target] = []
        if isinstance(value, int | float) and not isinstance(value, bool):
            place = bisect_left(limits, value)
            is_limit = place < len(limits) and limits[place] == value
            branch = size + 2 * place + is_limit
            while branch:
                found += tree.get(branch, ())
                branch >>= 1
        return found

    return find


def _present(targets: dict[object, _Target]) -> _Find:
    everything = tuple(targets.values())
    return lambda _: everything


_FINDS: dict[By, Callable[[dict[object, _Target]], _Find]] = {
    By.FOLDED: _folded(_texts),
    By.PREFIX: _prefixes,
    By.FOLDED_PREFIX: _folded(_prefixes),
    By.SUFFIX: _suffixes,
    By.FOLDED_SUFFIX: _folded(_suffixes),
    By.RANGE: _ranges,
    By.PRESENT: _present,
}


# How it is built


class _Entry:
    """A rule, or one of several ways in which it can hold, on its way to its place."""

    __slots__ = ("copies", "open", "rule", "seen")

    def __init__(
        self,
        rule: int,
        conditions: tuple[Condition, ...],
        seen: tuple[Condition, ...],
        copies: int,
    ) -> None:
        self.rule = rule
        #: By these it can still be told apart.
        self.open = conditions
        #: It was found by these, and that does not say that they hold.
        self.seen = seen
        #: How many places it has in the index.
        self.copies = copies

    @property
    def fits(self) -> bool:
        """Whether an event that leads here fits, and leads to this rule only here."""
        return not self.open and not self.seen and self.copies == 1

    @property
    def found(self) -> _Found:
        """What it becomes at its place."""
        conditions: tuple[Condition, ...] = self.seen + self.open
        return (self.rule, *conditions)

    def may_split_by(self, condition: Condition) -> bool:
        terms = len(condition.terms)
        return terms == 1 or (terms > 1 and (self.copies == 1 or terms * self.copies <= MAX_COPIES))

    def without(self, condition: Condition) -> "_Entry":
        return _Entry(
            self.rule,
            tuple(each for each in self.open if each is not condition),
            self.seen if condition.is_exact else (*self.seen, condition),
            self.copies * len(condition.terms),
        )


def _entries(patterns: Sequence[Pattern | None]) -> list[_Entry]:
    clauses = Clauses()
    entries = []
    for rule, pattern in enumerate(patterns):
        ways = clauses.of(pattern)
        entries += [_Entry(rule, conditions, (), len(ways)) for conditions in ways]
    return entries


def _node(entries: Sequence[_Entry], levels: int) -> _Node:
    """Return what leads to these, by at most so many more conditions."""
    fitting = tuple([entry.rule for entry in entries if entry.fits])
    doubtful = [entry for entry in entries if not entry.fits] if len(fitting) < len(entries) else []
    steps: dict[str, _Step] = {}
    if len(doubtful) > FEW and levels:
        by_path, doubtful = _told_apart(doubtful)
        for path, groups in by_path.items():
            _step(steps, path).lookups = _lookups(groups, levels - 1)
    return _Node(fitting, tuple([entry.found for entry in doubtful]), steps or None)


def _lookups(groups: Mapping[Term, list[_Entry]], levels: int) -> _Lookups:
    targets: dict[By, dict[object, _Target]] = {}
    others: _Others | None = None
    for (by, operand), entries in groups.items():
        if isinstance(operand, frozenset):
            others = others or _Others()
            others.add(_node(entries, 0), operand)
        else:
            target = entries[0].found if len(entries) == 1 else _node(entries, levels)
            targets.setdefault(by, {})[operand] = target
    return _Lookups(targets, others)


def _step(steps: dict[str, _Step], path: Path) -> _Step:
    for name in path[:-1]:
        steps = steps.setdefault(name, _Step()).below
    return steps.setdefault(path[-1], _Step())


def _told_apart(
    entries: Sequence[_Entry],
) -> tuple[dict[Path, dict[Term, list[_Entry]]], list[_Entry]]:
    """Return entries by the path and the terms that tell each apart best, and those that nothing does."""
    alike = _Alike(entries)
    near = [alike.fewest(entry) for entry in entries]
    # Of paths that do about as well all entries take the same one, so that few have to be looked up.
    votes = Counter(condition.path for conditions in near for condition in conditions)
    by_path: dict[Path, dict[Term, list[_Entry]]] = {}
    left: list[_Entry] = []
    for entry, conditions in zip(entries, near, strict=True):
        if not conditions:
            left.append(entry)
            continue
        best = conditions[0]
        if len(conditions) > 1:
            best = min(conditions, key=lambda each: (-votes[each.path], len(each.path), each.path))
        below = entry.without(best)
        groups = by_path.setdefault(best.path, {})
        for term in best.terms:
            groups.setdefault(term, []).append(below)
    return by_path, left


class _Alike:
    """How many entries a value is likely to lead to that leads to one of them."""

    def __init__(self, entries: Iterable[_Entry]) -> None:
        self._counts: dict[int, int] = {}
        self._lows: dict[Path, list[float]] = {}
        self._highs: dict[Path, list[float]] = {}
        counts = self._counts
        for entry in entries:
            for condition in entry.open:
                for kind in condition.kinds:
                    counts[kind] = counts.get(kind, 0) + 1
                for _, operand in condition.terms:
                    if isinstance(operand, Numeric):
                        low, high = _limits(operand)
                        self._lows.setdefault(condition.path, []).append(low)
                        self._highs.setdefault(condition.path, []).append(high)
        for limits in (*self._lows.values(), *self._highs.values()):
            limits.sort()

    def fewest(self, entry: _Entry) -> Sequence[Condition]:
        """Return the conditions that share an entry with the fewest others, or with not many more."""
        if len(entry.open) == 1 and entry.may_split_by(entry.open[0]):
            return entry.open
        sizes = [(self._count(each), each) for each in entry.open if entry.may_split_by(each)]
        most = 2 * min([size for size, _ in sizes], default=0)
        return [condition for size, condition in sizes if size <= most]

    def _count(self, condition: Condition) -> int:
        count = 0
        for (_, operand), kind in zip(condition.terms, condition.kinds, strict=True):
            if isinstance(operand, Numeric):
                count += self._overlapping(condition.path, operand)
            else:
                count += self._counts[kind]
        return count

    def _overlapping(self, path: Path, numeric: Numeric) -> int:
        low, high = _limits(numeric)
        return bisect_right(self._lows[path], high) - bisect_left(self._highs[path], low)


def _limits(numeric: Numeric) -> tuple[float, float]:
    low = float("-inf") if numeric.low is None else numeric.low[0]
    return low, float("inf") if numeric.high is None else numeric.high[0]
