"""Regular expressions in linear time, as the text they read comes from strangers.

Python's own `re` may take exponential time for a text that is made for it. Here each step of the expression
is tried at each place of the text once: what failed there once fails again. What cannot be matched so
(references back, looking ahead and behind) is refused.
"""

import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from re import _constants as code  # type: ignore[attr-defined]  # Not public; there is no other parser of it.
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from sensorflow.core.errors import ReadingError, shown

#: Characters of an expression, steps of it with counted repeats written out, and characters of a text.
LONGEST_REGEX = 200
MOST_STEPS = 300
LONGEST_TEXT = 1_000

_REFUSED = {
    code.GROUPREF: "references back to a group",
    code.GROUPREF_EXISTS: "conditions on a group",
    code.ASSERT: "looking ahead or behind",
    code.ASSERT_NOT: "looking ahead or behind",
    code.ATOMIC_GROUP: "atomic groups",
    code.POSSESSIVE_REPEAT: "possessive repeats",
}


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def _is_boundary(text: str, at: int) -> bool:
    before = at > 0 and _is_word(text[at - 1])
    return before != (at < len(text) and _is_word(text[at]))


_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    code.CATEGORY_DIGIT: str.isdecimal,
    code.CATEGORY_NOT_DIGIT: lambda letter: not letter.isdecimal(),
    code.CATEGORY_SPACE: str.isspace,
    code.CATEGORY_NOT_SPACE: lambda letter: not letter.isspace(),
    code.CATEGORY_WORD: _is_word,
    code.CATEGORY_NOT_WORD: lambda letter: not _is_word(letter),
}
_PLACES: dict[Any, Callable[[str, int], bool]] = {
    code.AT_BEGINNING: lambda text, at: at == 0,
    code.AT_BEGINNING_STRING: lambda text, at: at == 0,
    code.AT_END: lambda text, at: at == len(text) or text[at:] == "\n",
    code.AT_END_STRING: lambda text, at: at == len(text),
    code.AT_BOUNDARY: _is_boundary,
    code.AT_NON_BOUNDARY: lambda text, at: not _is_boundary(text, at),
}


class _Step(NamedTuple):
    """One step; `test`, `place`, `first` or `is_start` says of which kind, none of them ends a match."""

    #: Takes one character that fits.
    test: Callable[[str], bool] | None = None
    #: Holds at a place between characters.
    place: Callable[[str, int], bool] | None = None
    #: Goes on at either step, the first before the second.
    first: int | None = None
    second: int = -1
    #: Marks where the group starts, or ends.
    is_start: bool | None = None


@lru_cache(maxsize=1024)
def compile_regex(pattern: str) -> "Regex":
    """Return the expression, read.

    Raises:
        ReadingError: it is none, it cannot be matched in linear time, or it has not one group.
    """
    if len(pattern) > LONGEST_REGEX:
        raise ReadingError(f"expected a regex of at most {LONGEST_REGEX} characters, found {len(pattern)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # What Python warns of is read in another way by its next version.
            tree = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise ReadingError(f"expected a regex, found {shown(pattern)}: {error}") from None
    if tree.state.flags != re.UNICODE:
        raise ReadingError(f"expected a regex without flags, found {shown(pattern)}")
    if tree.state.groups != 2:
        found = tree.state.groups - 1 or "none"
        message = f"expected a regex with one group in round brackets, as dt=([0-9-]+), found {found}"
        raise ReadingError(f"{message} in {shown(pattern)}; (?:...) groups without capturing")
    writer = _Writer()
    writer.sequence(tree)
    return Regex(pattern, (*writer.steps, _Step()))


class Regex:
    """An expression with one group. Make it with `compile_regex`."""

    def __init__(self, pattern: str, steps: tuple[_Step, ...]) -> None:
        self.pattern = pattern
        self._steps = steps

    def captured(self, text: str) -> str | None:
        """Return what the group takes in the first place where the expression fits, None where it does not.

        Raises:
            ReadingError: the text is longer than any that is read.
        """
        if len(text) > LONGEST_TEXT:
            raise ReadingError(f"expected a text of at most {LONGEST_TEXT} characters, found {len(text)}")
        #: What was tried, as place and step in one number.
        tried: set[int] = set()
        for begin in range(len(text) + 1):
            found = self._captured_at(text, begin, tried)
            if found is not None:
                start, end = found
                return text[start:end] if end >= 0 else None
        return None

    def _captured_at(self, text: str, begin: int, tried: set[int]) -> tuple[int, int] | None:
        """Return where the group lies if the expression fits at a place; ends at -1 if it took no part."""
        steps, size = self._steps, len(self._steps)
        #: What is left to be tried, the next one last: step, place, and where the group starts and ends.
        ways = [(0, begin, -1, -1)]
        while ways:
            number, at, start, end = ways.pop()
            key = at * size + number
            if key in tried:
                continue
            tried.add(key)
            test, place, first, second, is_start = steps[number]
            if test is not None:
                if at < len(text) and test(text[at]):
                    ways.append((number + 1, at + 1, start, end))
            elif first is not None:
                ways.append((second, at, start, end))
                ways.append((first, at, start, end))
            elif place is not None:
                if place(text, at):
                    ways.append((number + 1, at, start, end))
            elif is_start is not None:
                ways.append((number + 1, at, at, -1) if is_start else (number + 1, at, start, at))
            else:
                return start, end
        return None


class _Writer:
    """Writes the steps of a parsed expression, one behind the other."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []

    def sequence(self, tree: Any) -> None:
        for kind, argument in tree:
            self._write(kind, argument)
            if len(self.steps) > MOST_STEPS:
                raise _too_many_steps()

    def _write(self, kind: Any, argument: Any) -> None:
        if kind in _REFUSED:
            raise ReadingError(f"expected a regex that takes linear time, found {_REFUSED[kind]}")
        if kind is code.BRANCH:
            self._branch(argument[1])
        elif kind is code.SUBPATTERN:
            self._group(*argument)
        elif kind in (code.MAX_REPEAT, code.MIN_REPEAT):
            self._repeat(*argument, is_lazy=kind is code.MIN_REPEAT)
        elif kind is code.AT:
            self.steps.append(_Step(place=_PLACES[argument]))
        else:
            self.steps.append(_Step(test=_test(kind, argument)))

    def _group(self, _number: int | None, added: int, removed: int, tree: Any) -> None:
        if added or removed:
            raise ReadingError("expected a regex without flags, found some in a group")
        self.steps.append(_Step(is_start=True))
        self.sequence(tree)
        self.steps.append(_Step(is_start=False))

    def _branch(self, trees: list[Any]) -> None:
        leave = []
        for tree in trees[:-1]:
            split = self._reserve()
            self.sequence(tree)
            leave.append(self._reserve())
            self._split(split, split + 1, len(self.steps))
        self.sequence(trees[-1])
        for jump in leave:
            self._split(jump, len(self.steps), len(self.steps))

    def _repeat(self, least: int, most: Any, tree: Any, *, is_lazy: bool) -> None:
        if least > MOST_STEPS or MOST_STEPS < most < code.MAXREPEAT:
            raise _too_many_steps()
        for _ in range(least):
            self.sequence(tree)
        if most is code.MAXREPEAT:
            split = self._reserve()
            self.sequence(tree)
            back = self._reserve()
            self._split(back, split, split)
            self._choose(split, is_lazy=is_lazy)
            return
        splits = []
        for _ in range(most - least):
            splits.append(self._reserve())
            self.sequence(tree)
        for split in splits:
            self._choose(split, is_lazy=is_lazy)

    def _choose(self, split: int, *, is_lazy: bool) -> None:
        """Go on inside, or behind all that is written; what comes first is tried first."""
        inside, behind = split + 1, len(self.steps)
        self._split(split, *((behind, inside) if is_lazy else (inside, behind)))

    def _reserve(self) -> int:
        self.steps.append(_Step())
        return len(self.steps) - 1

    def _split(self, number: int, first: int, second: int) -> None:
        self.steps[number] = _Step(first=first, second=second)


def _too_many_steps() -> ReadingError:
    return ReadingError(
        f"expected a regex of at most {MOST_STEPS} steps, found more: use smaller numbers in {{}}"
    )


def _test(kind: Any, argument: Any) -> Callable[[str], bool]:
    """Return whether a character fits a step that takes one."""
    if kind is code.ANY:
        return lambda letter: letter != "\n"
    if kind is code.LITERAL:
        return chr(argument).__eq__
    if kind is code.NOT_LITERAL:
        return chr(argument).__ne__
    assert kind is code.IN, kind
    is_negated = argument[0][0] is code.NEGATE
    tests = [_member_test(*member) for member in argument[is_negated:]]
    return lambda letter: any(test(letter) for test in tests) is not is_negated


def _member_test(kind: Any, argument: Any) -> Callable[[str], bool]:
    """Return whether a character is of one member of a class, as of `[a-f0-9_]`."""
    if kind is code.CATEGORY:
        return _CATEGORIES[argument]
    low, high = argument if kind is code.RANGE else (argument, argument)
    return lambda letter: low <= ord(letter) <= high
