"""Which events a rule takes: event patterns as of Amazon EventBridge.

A pattern has the shape of an event; its leaves are lists of alternatives, and all fields that it names
must match. An array in the event matches where any of its elements does, an array of objects where one
object fits all of what is asked of it. Fields are leaves: what holds only an object or an empty array
does not exist for a leaf.

Different from EventBridge: numbers are equal as numbers (1 is 1.0, never true) and may have any size, an
array of objects is looked at object by object for `exists: false` too, `$or` may have one alternative and is
never a field's name, `anything-but` takes null, booleans and mixed lists, and there is no `cidr`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sensorflow.core.errors import ReadingError, SensorflowError, shown
from sensorflow.core.forms import (
    ABSENT,
    AnythingBut,
    Exactly,
    Exists,
    Form,
    Numeric,
    Prefix,
    SameButForCase,
    Suffix,
    Wildcard,
)
from sensorflow.core.vocabulary import JsonValue

#: Deeper patterns are refused, so that matching never runs out of stack.
MAX_DEPTH = 50

#: So often is an element of an event's arrays looked at, by all rules together: for a part of a second.
MOST_LOOKS = 500_000

_SIGNS = ("=", "<", "<=", ">", ">=")


class PatternError(SensorflowError):
    """A pattern cannot be used; `path` says where in it, `message` what was expected and found."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class Looks:
    """How often elements of one event's arrays may still be looked at."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_LOOKS

    def spend(self, count: int) -> None:
        """Take so many.

        Raises:
            ReadingError: there are not so many left.
        """
        self.left -= count
        if self.left < 0:
            raise ReadingError(
                f"expected arrays of which rules look at {MOST_LOOKS:,} elements at most, found larger ones"
            )


@dataclass(frozen=True, slots=True)
class Leaf:
    """Holds where one of the forms holds for one of the values."""

    path: str
    forms: tuple[Form, ...]

    def matches(self, value: object, looks: Looks) -> bool:
        """Tell whether what stands at the path fits."""
        if isinstance(value, list):
            values = values_of(value)
            looks.spend(len(values) * len(self.forms))
            return any(any(map(form.holds, values)) for form in self.forms)
        if isinstance(value, dict):
            value = ABSENT
        for form in self.forms:  # noqa: SIM110 - a generator would take twice the time
            if form.holds(value):
                return True
        return False

    def mismatch(self, value: object) -> str | None:
        """Return in words why it does not fit; None where it does."""
        if self.matches(value, Looks()):
            return None
        expected = " or ".join(form.words for form in self.forms)
        return f"{self.path}: expected {expected}, found {_found(value)}"

    def misses(self, value: object) -> int:
        """Return how many fields do not fit: this one or none."""
        return 0 if self.matches(value, Looks()) else 1


@dataclass(frozen=True, slots=True)
class Fields:
    """Holds where one object fits all fields and, of `$or`, one alternative."""

    path: str
    fields: tuple[tuple[str, "Leaf | Fields"], ...]
    alternatives: tuple["Fields", ...]

    def matches(self, value: object, looks: Looks) -> bool:
        """Tell whether what stands at the path fits."""
        if isinstance(value, dict):
            return self._fits(value, looks)
        candidates = _objects(value)
        looks.spend(len(candidates))
        return any(self._fits(candidate, looks) for candidate in candidates)

    def mismatch(self, value: object) -> str | None:
        """Return in words the first that does not fit; None where all does."""
        mismatches = []
        for candidate in _objects(value):
            mismatch = self._misfit(candidate)
            if mismatch is None:
                return None
            mismatches.append(mismatch)
        if len(mismatches) == 1:
            return mismatches[0]
        return f"{self.path}: none of {len(mismatches)} elements fits; of the first, {mismatches[0]}"

    def misses(self, value: object) -> int:
        """Return how many fields do not fit, in the object and with the alternative that fits best."""
        return min(
            sum(node.misses(candidate.get(name, ABSENT)) for name, node in self.fields)
            + min((node.misses(candidate) for node in self.alternatives), default=0)
            for candidate in _objects(value)
        )

    def _fits(self, candidate: dict[str, JsonValue], looks: Looks) -> bool:
        for name, node in self.fields:
            if not node.matches(candidate.get(name, ABSENT), looks):
                return False
        return not self.alternatives or any(node.matches(candidate, looks) for node in self.alternatives)

    def _misfit(self, candidate: dict[str, JsonValue]) -> str | None:
        for name, node in self.fields:
            mismatch = node.mismatch(candidate.get(name, ABSENT))
            if mismatch is not None:
                return mismatch
        mismatches = []
        for alternative in self.alternatives:
            mismatch = alternative.mismatch(candidate)
            if mismatch is None:
                return None
            mismatches.append(mismatch)
        return "; and ".join(mismatches) or None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled event pattern; made by `compile_pattern`."""

    root: Fields

    def matches(self, document: Mapping[str, JsonValue], looks: Looks | None = None) -> bool:
        """Tell whether an event, as its document, fits.

        Args:
            looks: What of the event's looks other patterns have left.

        Raises:
            ReadingError: they do not suffice.
        """
        return self.root.matches(document, looks or Looks())

    def first_mismatch(self, document: Mapping[str, JsonValue]) -> str | None:
        """Return in words the first field that does not fit; None where the event matches.

        As in `data.rows: expected > 0, found 0`.
        """
        return self.root.mismatch(document)

    def misses(self, document: Mapping[str, JsonValue]) -> int:
        """Return how many of its fields do not fit; 0 where the event matches."""
        return self.root.misses(document)


def compile_pattern(pattern: Mapping[str, JsonValue]) -> Pattern:
    """Return a pattern ready to match events.

    Raises:
        PatternError: something in it is not of the language; says where, what was expected and found.
    """
    return Pattern(_fields(pattern, "", "", MAX_DEPTH))


# What of an event is looked at. Events may be nested deeper than the stack, so nothing here recurses.


def elements_of(value: object) -> list[object]:
    """Return what an array holds, however nested, in order; else the value itself."""
    if not isinstance(value, list):
        return [value]
    found: list[object] = []
    pending: list[object] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(reversed(item))
        else:
            found.append(item)
    return found


def values_of(value: object) -> list[object]:
    """Return the values that a leaf sees; `ABSENT` alone where there are none."""
    return [item for item in elements_of(value) if not isinstance(item, dict)] or [ABSENT]


def _objects(value: object) -> list[dict[str, JsonValue]]:
    return [item if isinstance(item, dict) else {} for item in elements_of(value)] or [{}]


def _found(value: object) -> str:
    if value is ABSENT:
        return "nothing"
    values = values_of(value)
    if values == [ABSENT]:
        return "an object" if isinstance(value, dict) else "no value in the array"
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    return ", ".join(shown(item) for item in values[:5]) + more


# The language


def _fields(pattern: JsonValue, path: str, place: str, depth: int) -> Fields:
    """Compile an object; mismatches name `path` in the event, errors `place` in the pattern."""
    if not isinstance(pattern, dict):
        raise PatternError(place, f"expected an object with the fields to match, found {shown(pattern)}")
    if not pattern:
        raise PatternError(place, "expected at least one field to match, found an empty object")
    if not depth:
        raise PatternError(place, f"expected at most {MAX_DEPTH} levels, found more")
    fields: list[tuple[str, Leaf | Fields]] = []
    alternatives: tuple[Fields, ...] = ()
    for name, below in pattern.items():
        if not isinstance(name, str):
            raise PatternError(place, f"expected field names that are text, found {shown(name)}")
        inner_place = _joined(place, name)
        if name == "$or":
            alternatives = _alternatives(below, path, inner_place, depth - 1)
        elif isinstance(below, dict):
            fields.append((name, _fields(below, _joined(path, name), inner_place, depth - 1)))
        else:
            fields.append((name, _leaf(below, _joined(path, name), inner_place)))
    return Fields(path, tuple(fields), alternatives)


def _alternatives(below: JsonValue, path: str, place: str, depth: int) -> tuple[Fields, ...]:
    if not isinstance(below, list) or not below:
        raise PatternError(place, f"expected a list of patterns, found {shown(below)}")
    return tuple(_fields(item, path, f"{place}[{index}]", depth) for index, item in enumerate(below))


def _leaf(below: JsonValue, path: str, place: str) -> Leaf:
    if not isinstance(below, list):
        raise PatternError(
            place,
            f"expected a list of alternatives as [{shown(below)}], found {shown(below)} without brackets",
        )
    if not below:
        raise PatternError(place, "expected at least one alternative, found an empty list")
    return Leaf(path, tuple(_alternative(item, f"{place}[{index}]") for index, item in enumerate(below)))


def _alternative(item: JsonValue, place: str) -> Form:
    if not isinstance(item, dict):
        return _value(item, place)
    form, operand = _only_entry(item, place, _FORMS)
    return _FORMS[form](operand, f"{place}.{form}")


def _only_entry(
    item: Mapping[str, JsonValue], place: str, known: Mapping[str, object]
) -> tuple[str, JsonValue]:
    if len(item) == 1:
        [(form, operand)] = item.items()
        if form in known:
            return form, operand
    names = ", ".join(str(name) for name in item) or "an empty object"
    raise PatternError(place, f"expected one of {', '.join(known)}, found {names}")


def _value(item: JsonValue, place: str) -> Form:
    if item is None or isinstance(item, str | bool) or _is_number(item):
        return Exactly(item)
    raise PatternError(place, f"expected a text, number, true, false or null, found {shown(item)}")


def _is_number(item: object) -> bool:
    if isinstance(item, float):
        return math.isfinite(item)
    return isinstance(item, int) and not isinstance(item, bool)


def _text(operand: JsonValue, place: str) -> str:
    if not isinstance(operand, str):
        raise PatternError(place, f"expected a text, found {shown(operand)}")
    return operand


def _prefix(operand: JsonValue, place: str) -> Form:
    return Prefix(*_end(operand, place))


def _suffix(operand: JsonValue, place: str) -> Form:
    return Suffix(*_end(operand, place))


def _end(operand: JsonValue, place: str) -> tuple[str, bool]:
    """Return the text of a `prefix` or `suffix`, and whether case does not matter."""
    if not isinstance(operand, dict):
        return _text(operand, place), False
    form, wanted = _only_entry(operand, place, {"equals-ignore-case": None})
    return _text(wanted, f"{place}.{form}"), True


def _same_but_for_case(operand: JsonValue, place: str) -> Form:
    return SameButForCase(_text(operand, place))


def _wildcard(operand: JsonValue, place: str) -> Form:
    wanted = _text(operand, place)
    return Wildcard(wanted, tuple(_wildcard_pieces(wanted, place)))


def _wildcard_pieces(wanted: str, place: str) -> list[str]:
    r"""Return the literal texts around the stars; `\*` is a star and `\\` a backslash of the text itself."""
    pieces = [""]
    letters = iter(wanted)
    for letter in letters:
        if letter == "*":
            if len(pieces) > 1 and not pieces[-1]:
                raise PatternError(place, f"expected no two wildcards side by side, found {shown(wanted)}")
            pieces.append("")
            continue
        if letter == "\\":
            letter = next(letters, "")  # noqa: PLW2901 - the escaped letter takes the place of its backslash
            if letter not in {"*", "\\"}:
                raise PatternError(place, rf"expected * or \ behind a backslash, found {shown(wanted)}")
        pieces[-1] += letter
    return pieces


def _anything_but(operand: JsonValue, place: str) -> Form:
    if isinstance(operand, dict):
        form, wanted = _only_entry(operand, place, _TEXT_FORMS)
        compile_one, place = _TEXT_FORMS[form], f"{place}.{form}"
    else:
        compile_one, wanted = _value, operand
    items = wanted if isinstance(wanted, list) else [wanted]
    if not items:
        raise PatternError(place, "expected at least one value, found an empty list")
    return AnythingBut(tuple(compile_one(item, place) for item in items))


def _numeric(operand: JsonValue, place: str) -> Form:
    if not isinstance(operand, list) or len(operand) not in {2, 4}:
        raise PatternError(
            place, f'expected a comparison as [">", 0] or [">=", 0, "<", 5], found {shown(operand)}'
        )
    pairs = list(zip(operand[::2], operand[1::2], strict=True))
    for sign, limit in pairs:
        if not isinstance(sign, str) or sign not in _SIGNS:
            raise PatternError(place, f"expected one of {' '.join(_SIGNS)}, found {shown(sign)}")
        if not _is_number(limit):
            raise PatternError(place, f"expected a number behind {sign}, found {shown(limit)}")
    if len(pairs) == 2:
        _check_range(pairs, place)
    # `>=` is inside and below, `=` both.
    lows = [(limit, "=" in sign) for sign, limit in pairs if "<" not in sign]
    highs = [(limit, "=" in sign) for sign, limit in pairs if ">" not in sign]
    return Numeric(lows[0] if lows else None, highs[0] if highs else None)


def _check_range(pairs: list[tuple[str, float]], place: str) -> None:
    (lower_sign, lower), (upper_sign, upper) = pairs
    words = f"{lower_sign} {shown(lower)} and {upper_sign} {shown(upper)}"
    if lower_sign not in {">", ">="} or upper_sign not in {"<", "<="}:
        raise PatternError(place, f"expected a range as > or >= and then < or <=, found {words}")
    if lower > upper or (lower == upper and (lower_sign, upper_sign) != (">=", "<=")):
        raise PatternError(place, f"expected a range that holds a number, found {words}")


def _exists(operand: JsonValue, place: str) -> Form:
    if not isinstance(operand, bool):
        raise PatternError(place, f"expected true or false, found {shown(operand)}")
    return Exists(operand)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_TEXT_FORMS: dict[str, Callable[[JsonValue, str], Form]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
    "equals-ignore-case": _same_but_for_case,
}
_FORMS: dict[str, Callable[[JsonValue, str], Form]] = {
    **_TEXT_FORMS,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "exists": _exists,
}
