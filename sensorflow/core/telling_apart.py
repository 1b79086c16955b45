"""How rules are told apart: by what of each pattern few others have the like of."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from sensorflow.core.clauses import MAX_COPIES, Clauses, Condition, Path, Term
from sensorflow.core.forms import Numeric
from sensorflow.core.matching import Pattern

#: Several paths are looked up at once where at least so large a part of the rules asks for them.
WORTH_A_LOOKUP = 1 / 8
#: Between texts that are looked up as one; rules that want it in a text are told apart otherwise.
NOT_JOINED = "\0"

#: Conditions that are left to ask.
Left: TypeAlias = tuple[Condition, ...]
#: A rule that was found, and what is left to ask.
Found: TypeAlias = tuple[int, *tuple[Condition, ...]]


class Entry:
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
    def left(self) -> Left:
        """What is left to ask of it at its place."""
        return self.seen + self.open

    @property
    def found(self) -> Found:
        """What it becomes at its place."""
        return (self.rule, *self.left)

    def may_split_by(self, condition: Condition) -> bool:
        terms = len(condition.terms)
        return terms == 1 or (terms > 1 and (self.copies == 1 or terms * self.copies <= MAX_COPIES))

    def without(self, condition: Condition) -> "Entry":
        return Entry(
            self.rule,
            tuple(each for each in self.open if each is not condition),
            self.seen if condition.is_exact else (*self.seen, condition),
            self.copies * len(condition.terms),
        )

    def without_texts(self, conditions: Sequence[Condition]) -> "Entry":
        """Return what is left when it was found by the one text that each of these asks for."""
        still_open = tuple([each for each in self.open if each not in conditions])
        return Entry(self.rule, still_open, self.seen, self.copies)


def entries_of(patterns: Sequence[Pattern | None]) -> list[Entry]:
    """Return the ways in which each pattern can hold; None, which every event fits, can in one."""
    clauses = Clauses()
    entries = []
    rules = list(range(len(patterns)))  # All at once, so they lie side by side.
    for rule, pattern in zip(rules, patterns, strict=True):
        ways = clauses.of(pattern)
        entries += [Entry(rule, conditions, (), len(ways)) for conditions in ways]
    return entries


#: An entry, and the conditions that share it with the fewest others, or with not many more.
_Near: TypeAlias = tuple[Entry, Sequence[Condition]]


class Apart:
    """Entries by what tells each apart best."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        #: By several paths, and the texts that are wanted there, joined.
        self.by_texts: dict[tuple[Path, ...], dict[str, list[Entry]]] = {}
        self.by_path: dict[Path, dict[Term, list[Entry]]] = {}
        #: Those that nothing tells apart.
        self.left: list[Entry] = []
        alike = _Alike(entries)
        self._by_one_path(self._by_several_paths([(entry, alike.fewest(entry)) for entry in entries]))

    def _by_several_paths(self, near: list[_Near]) -> list[_Near]:
        """Put together what has several texts that do about as well; return the others."""
        texts = [_texts_of(conditions) for _, conditions in near]
        votes = Counter(condition.path for conditions in texts for condition in conditions)
        texts = [_wanted_by_most(conditions, votes) for conditions in texts]
        alike = Counter(tuple([each.path for each in conditions]) for conditions in texts)
        others = []
        for each, conditions in zip(near, texts, strict=True):
            paths = tuple([condition.path for condition in conditions])
            if len(paths) < 2 or alike[paths] < WORTH_A_LOOKUP * len(near):
                others.append(each)
                continue
            key = NOT_JOINED.join([condition.text or "" for condition in conditions])
            below = each[0].without_texts(conditions)
            self.by_texts.setdefault(paths, {}).setdefault(key, []).append(below)
        return others

    def _by_one_path(self, near: list[_Near]) -> None:
        # Of paths that do about as well all entries take the same one, so that few have to be looked up.
        votes = Counter(condition.path for _, conditions in near for condition in conditions)
        for entry, conditions in near:
            if not conditions:
                self.left.append(entry)
                continue
            best = conditions[0]
            if len(conditions) > 1:
                best = min(conditions, key=lambda each: (-votes[each.path], len(each.path), each.path))
            below = entry.without(best)
            groups = self.by_path.setdefault(best.path, {})
            for term in best.terms:
                groups.setdefault(term, []).append(below)


def _texts_of(conditions: Sequence[Condition]) -> Sequence[Condition]:
    """Return those of which each asks for one text, in the order of their paths."""
    if len(conditions) < 2:
        return ()
    return sorted(
        [each for each in conditions if each.text is not None and NOT_JOINED not in each.text],
        key=lambda each: each.path,
    )


def _wanted_by_most(texts: Sequence[Condition], votes: Mapping[Path, int]) -> Sequence[Condition]:
    """Leave out paths that few others ask for, so that those who ask alike are looked up as one."""
    most = max([votes[each.path] for each in texts], default=0)
    return [each for each in texts if 2 * votes[each.path] >= most]


class _Alike:
    """How many entries a value is likely to lead to that leads to one of them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
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

    def fewest(self, entry: Entry) -> Sequence[Condition]:
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
