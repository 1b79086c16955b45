"""Ways to look up what an event's value leads to; each is made once of all that can be found by it."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from sensorflow.core.clauses import By
from sensorflow.core.forms import ABSENT, Numeric
from sensorflow.core.vocabulary import JsonValue

#: Beginnings of texts are few where each is shared by so many.
SHARED = 16

Each = TypeVar("Each")
#: Returns what a value leads to.
Find: TypeAlias = Callable[[JsonValue], Sequence[Each]]


def with_hashes(targets: Mapping[object, Each]) -> dict[object, Each]:
    """Return the same in a table that keeps the hashes of its keys.

    Python leaves them out where all keys are texts. Then a look-up has to go to each text that it comes
    across, which takes three times as long where many are looked up and few are there.
    """
    table: dict[object, Any] = {ABSENT: None}
    table.update(targets)
    del table[ABSENT]
    return table


class AllBut(Generic[Each]):
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


def _prefixes(targets: Mapping[object, Each]) -> Find[Each]:
    by_length: dict[int, dict[object, Each | list[Each]]] = {}
    for text, found in _with_shorter({str(text): target for text, target in targets.items()}):
        # Most start with no other; one place less to go to.
        by_length.setdefault(len(text), {})[text] = found if len(found) > 1 else found[0]
    # The longest that fits tells all shorter ones, so it comes first.
    lengths = [(length, with_hashes(by_length[length])) for length in sorted(by_length, reverse=True)]
    shortest = min(by_length)
    beginnings = {str(text)[:shortest] for text in targets}
    # What begins as none of them need not be looked up by each length; if there are few, that is soon told.
    has_few = len(beginnings) * SHARED <= len(targets)

    def find(value: JsonValue) -> Sequence[Each]:
        if not isinstance(value, str) or (has_few and value[:shortest] not in beginnings):
            return ()
        whole = len(value)
        for length, texts in lengths:
            if length <= whole:
                found = texts.get(value[:length])
                if found is not None:
                    return found if isinstance(found, list) else (found,)
        return ()

    return find


def _with_shorter(targets: Mapping[str, Each]) -> Iterator[tuple[str, list[Each]]]:
    """Yield each text with its target and those of the texts that it starts with."""
    starts: list[str] = []  # Each starts with the one before.
    for text in sorted(targets):
        while starts and not text.startswith(starts[-1]):
            starts.pop()
        starts.append(text)
        yield text, [targets[each] for each in starts]


def _suffixes(targets: Mapping[object, Each]) -> Find[Each]:
    find = _prefixes({str(text)[::-1]: target for text, target in targets.items()})
    return lambda value: find(value[::-1]) if isinstance(value, str) else ()


def _texts(targets: Mapping[object, Each]) -> Find[Each]:
    return lambda value: (targets[value],) if value in targets else ()


def _folded(
    make: Callable[[Mapping[object, Each]], Find[Each]],
) -> Callable[[Mapping[object, Each]], Find[Each]]:
    def make_folded(targets: Mapping[object, Each]) -> Find[Each]:
        find = make(targets)
        return lambda value: find(value.casefold()) if isinstance(value, str) else ()

    return make_folded


def _ranges(targets: Mapping[object, Each]) -> Find[Each]:
    """Look numbers up in a segment tree over the limits and the gaps between them."""
    ranges = {each: target for each, target in targets.items() if isinstance(each, Numeric)}
    limits = sorted({limit[0] for each in ranges for limit in (each.low, each.high) if limit is not None})
    places = {limit: 2 * place + 1 for place, limit in enumerate(limits)}
    size = 2 * len(limits) + 1
    tree: dict[int, list[Each]] = {}
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

    def find(value: JsonValue) -> list[Each]:
        found: list[Each] = []
        if isinstance(value, int | float) and not isinstance(value, bool):
            place = bisect_left(limits, value)
            is_limit = place < len(limits) and limits[place] == value
            branch = size + 2 * place + is_limit
            while branch:
                found += tree.get(branch, ())
                branch >>= 1
        return found

    return find


def _present(targets: Mapping[object, Each]) -> Find[Each]:
    everything = tuple(targets.values())
    return lambda _: everything


#: By how they look up.
FINDS: dict[By, Callable[[Mapping[object, Any]], Find[Any]]] = {
    By.FOLDED: _folded(_texts),
    By.PREFIX: _prefixes,
    By.FOLDED_PREFIX: _folded(_prefixes),
    By.SUFFIX: _suffixes,
    By.FOLDED_SUFFIX: _folded(_suffixes),
    By.RANGE: _ranges,
    By.PRESENT: _present,
}
