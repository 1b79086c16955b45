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
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sensorflow.core.errors import SensorflowError, shown
from sensorflow.core.vocabulary import JsonValue

#: Deeper patterns are refused, so that matching never runs out of stack.
MAX_DEPTH = 50

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class PatternError(SensorflowError):
    """A pattern cannot be used; `path` says where in it, `message` what was expected and found."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class _Absent:
    """What a leaf sees where the event has no value."""


_ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class _Test:
    """One alternative of a leaf."""

    #: As in `expected ...`.
    words: str
    holds: Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class _Leaf:
    """Holds where one of the tests holds for one of the values."""

    path: str
    tests: tuple[_Test, ...]

    def matches(self, value: object) -> bool:
        return any(test.holds(candidate) for candidate in _values(value) for test in self.tests)

    def mismatch(self, value: object) -> str | None:
        if self.matches(value):
            return None
        expected = " or ".join(test.words for test in self.tests)
        return f"{self.path}: expected {expected}, found {_found(value)}"


@dataclass(frozen=True, slots=True)
class _Fields:
    """Holds where one object fits all fields and, of every `$or`, one alternative."""

    path: str
    fields: tuple[tuple[str, "_Leaf | _Fields"], ...]
    alternatives: tuple["_Fields", ...]

    def matches(self, value: object) -> bool:
        return any(self._fits(candidate) for candidate in _objects(value))

    def mismatch(self, value: object) -> str | None:
        mismatches = []
        for candidate in _objects(value):
            mismatch = self._misfit(candidate)
            if mismatch is None:
                return None
            mismatches.append(mismatch)
        if len(mismatches) == 1:
            return mismatches[0]
        return f"{self.path}: none of {len(mismatches)} elements fits; of the first, {mismatches[0]}"

    def _fits(self, candidate: Mapping[str, JsonValue]) -> bool:
        return all(node.matches(candidate.get(name, _ABSENT)) for name, node in self.fields) and (
            not self.alternatives or any(node.matches(candidate) for node in self.alternatives)
        )

    def _misfit(self, candidate: Mapping[str, JsonValue]) -> str | None:
        for name, node in self.fields:
            mismatch = node.mismatch(candidate.get(name, _ABSENT))
            if mismatch is not None:
                return mismatch
        mismatches = []
        for alternative in self.alternatives:
            mismatch = alternative.mismatch(candidate)
            if mismatch is None:
                return None
            mismatches.append(mismatch)
        return "; and ".join(mismatches) or None


class Pattern:
    """A compiled event pattern; made by `compile_pattern`."""

    __slots__ = ("_root",)

    def __init__(self, root: _Fields) -> None:
        self._root = root

    def matches(self, document: Mapping[str, JsonValue]) -> bool:
        """Tell whether an event, as its document, fits."""
        return self._root.matches(document)

    def first_mismatch(self, document: Mapping[str, JsonValue]) -> str | None:
        """Return in words the first field that does not fit; None where the event matches.

        As in `data.rows: expected > 0, found 0`.
        """
        return self._root.mismatch(document)


def compile_pattern(pattern: Mapping[str, JsonValue]) -> Pattern:
    """Return a pattern ready to match events.

    Raises:
        PatternError: something in it is not of the language; says where, what was expected and found.
    """
    return Pattern(_fields(pattern, "", "", MAX_DEPTH))


# What of an event is looked at. Events may be nested deeper than the stack, so nothing here recurses.


def _elements(value: object) -> list[object]:
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


def _values(value: object) -> list[object]:
    return [item for item in _elements(value) if not isinstance(item, Mapping)] or [_ABSENT]


def _objects(value: object) -> list[Mapping[str, JsonValue]]:
    return [item if isinstance(item, Mapping) else {} for item in _elements(value)] or [{}]


def _found(value: object) -> str:
    if value is _ABSENT:
        return "nothing"
    values = _values(value)
    if values == [_ABSENT]:
        return "an object" if isinstance(value, Mapping) else "no value in the array"
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    return ", ".join(shown(item) for item in values[:5]) + more


# The language


def _fields(pattern: JsonValue, path: str, place: str, depth: int) -> _Fields:
    """Compile an object; mismatches name `path` in the event, errors `place` in the pattern."""
    if not isinstance(pattern, Mapping):
        raise PatternError(place, f"expected an object with the fields to match, found {shown(pattern)}")
    if not pattern:
        raise PatternError(place, "expected at least one field to match, found an empty object")
    if not depth:
        raise PatternError(place, f"expected at most {MAX_DEPTH} levels, found more")
    fields: list[tuple[str, _Leaf | _Fields]] = []
    alternatives: tuple[_Fields, ...] = ()
    for name, below in pattern.items():
        if not isinstance(name, str):
            raise PatternError(place, f"expected field names that are text, found {shown(name)}")
        inner_place = _joined(place, name)
        if name == "$or":
            alternatives = _alternatives(below, path, inner_place, depth - 1)
        elif isinstance(below, Mapping):
            fields.append((name, _fields(below, _joined(path, name), inner_place, depth - 1)))
        else:
            fields.append((name, _leaf(below, _joined(path, name), inner_place)))
    return _Fields(path, tuple(fields), alternatives)


def _alternatives(below: JsonValue, path: str, place: str, depth: int) -> tuple[_Fields, ...]:
    if not isinstance(below, list) or not below:
        raise PatternError(place, f"expected a list of patterns, found {shown(below)}")
    return tuple(_fields(item, path, f"{place}[{index}]", depth) for index, item in enumerate(below))


def _leaf(below: JsonValue, path: str, place: str) -> _Leaf:
    if not isinstance(below, list):
        raise PatternError(
            place,
            f"expected a list of alternatives as [{shown(below)}], found {shown(below)} without brackets",
        )
    if not below:
        raise PatternError(place, "expected at least one alternative, found an empty list")
    return _Leaf(path, tuple(_alternative(item, f"{place}[{index}]") for index, item in enumerate(below)))


def _alternative(item: JsonValue, place: str) -> _Test:
    if not isinstance(item, Mapping):
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


def _value(item: JsonValue, place: str) -> _Test:
    if not _is_scalar(item):
        raise PatternError(place, f"expected a text, number, true, false or null, found {shown(item)}")
    wanted = _identity(item)
    return _Test(shown(item), lambda value: _identity(value) == wanted)


def _is_scalar(item: object) -> bool:
    return item is None or isinstance(item, str | bool) or _is_number(item)


def _is_number(item: object) -> bool:
    if isinstance(item, float):
        return math.isfinite(item)
    return isinstance(item, int) and not isinstance(item, bool)


def _identity(value: object) -> tuple[bool, object]:
    """Return what two equal values share: 1 and 1.0 do, 1 and true do not."""
    return isinstance(value, bool), value


def _text_form(
    describe: str, prepare: Callable[[str, str], Callable[[str], bool]]
) -> Callable[[JsonValue, str], _Test]:
    """Return the compiler of a form that takes one text and holds for texts only."""

    def compile_form(operand: JsonValue, place: str) -> _Test:
        holds = prepare(_text(operand, place), place)
        return _Test(f"{describe} {shown(operand)}", lambda value: isinstance(value, str) and holds(value))

    return compile_form


def _text(operand: JsonValue, place: str) -> str:
    if not isinstance(operand, str):
        raise PatternError(place, f"expected a text, found {shown(operand)}")
    return operand


def _end_form(describe: str, has_end: Callable[[str, str], bool]) -> Callable[[JsonValue, str], _Test]:
    """Return the compiler of `prefix` or `suffix`, which may ignore case."""
    exact = _text_form(describe, lambda wanted, _: lambda value: has_end(value, wanted))

    def ignoring_case(wanted: str, _: str) -> Callable[[str], bool]:
        folded = wanted.casefold()
        return lambda value: has_end(value.casefold(), folded)

    loose = {"equals-ignore-case": _text_form(f"{describe}, in any case,", ignoring_case)}

    def compile_form(operand: JsonValue, place: str) -> _Test:
        if not isinstance(operand, Mapping):
            return exact(operand, place)
        form, wanted = _only_entry(operand, place, loose)
        return loose[form](wanted, f"{place}.{form}")

    return compile_form


def _same_but_for_case(wanted: str, _: str) -> Callable[[str], bool]:
    folded = wanted.casefold()
    return lambda value: value.casefold() == folded


def _wildcard(wanted: str, place: str) -> Callable[[str], bool]:
    pieces = _wildcard_pieces(wanted, place)
    if len(pieces) == 1:
        return lambda value: value == pieces[0]
    first, *middle, last = pieces

    def holds(value: str) -> bool:
        if len(value) < len(first) + len(last) or not (value.startswith(first) and value.endswith(last)):
            return False
        position, end = len(first), len(value) - len(last)
        for piece in middle:  # The leftmost place of each is right: it leaves most to the others.
            place_of_piece = value.find(piece, position, end)
            if place_of_piece < 0:
                return False
            position = place_of_piece + len(piece)
        return True

    return holds


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


def _anything_but(operand: JsonValue, place: str) -> _Test:
    if isinstance(operand, Mapping):
        form, wanted = _only_entry(operand, place, _TEXT_FORMS)
        compile_one, place = _TEXT_FORMS[form], f"{place}.{form}"
    else:
        compile_one, wanted = _value, operand
    items = wanted if isinstance(wanted, list) else [wanted]
    if not items:
        raise PatternError(place, "expected at least one value, found an empty list")
    excluded = [compile_one(item, place) for item in items]
    words = "anything but " + " or ".join(test.words for test in excluded)
    return _Test(
        words, lambda value: value is not _ABSENT and not any(test.holds(value) for test in excluded)
    )


def _numeric(operand: JsonValue, place: str) -> _Test:
    if not isinstance(operand, list) or len(operand) not in {2, 4}:
        raise PatternError(
            place, f'expected a comparison as [">", 0] or [">=", 0, "<", 5], found {shown(operand)}'
        )
    pairs = list(zip(operand[::2], operand[1::2], strict=True))
    for sign, limit in pairs:
        if not isinstance(sign, str) or sign not in _COMPARISONS:
            raise PatternError(place, f"expected one of = < <= > >=, found {shown(sign)}")
        if not _is_number(limit):
            raise PatternError(place, f"expected a number behind {sign}, found {shown(limit)}")
    words = " and ".join(f"{sign} {shown(limit)}" for sign, limit in pairs)
    if len(pairs) == 2:
        _check_range(pairs, words, place)
    tests = [(_COMPARISONS[sign], limit) for sign, limit in pairs]

    def holds(value: object) -> bool:
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and all(compare(value, limit) for compare, limit in tests)
        )

    return _Test(words, holds)


def _check_range(pairs: list[tuple[str, float]], words: str, place: str) -> None:
    (lower_sign, lower), (upper_sign, upper) = pairs
    if lower_sign not in {">", ">="} or upper_sign not in {"<", "<="}:
        raise PatternError(place, f"expected a range as > or >= and then < or <=, found {words}")
    if lower > upper or (lower == upper and (lower_sign, upper_sign) != (">=", "<=")):
        raise PatternError(place, f"expected a range that holds a number, found {words}")


def _exists(operand: JsonValue, place: str) -> _Test:
    if not isinstance(operand, bool):
        raise PatternError(place, f"expected true or false, found {shown(operand)}")
    if operand:
        return _Test("any value", lambda value: value is not _ABSENT)
    return _Test("nothing", lambda value: value is _ABSENT)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_TEXT_FORMS: dict[str, Callable[[JsonValue, str], _Test]] = {
    "prefix": _end_form("a text that starts with", str.startswith),
    "suffix": _end_form("a text that ends with", str.endswith),
    "wildcard": _text_form("a text like", _wildcard),
    "equals-ignore-case": _text_form("a text that is, in any case,", _same_but_for_case),
}
_FORMS: dict[str, Callable[[JsonValue, str], _Test]] = {
    **_TEXT_FORMS,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "exists": _exists,
}
