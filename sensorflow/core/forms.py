"""The forms that an alternative of a leaf can have, and what each asks of one value of an event."""

from dataclasses import dataclass
from typing import TypeAlias

from sensorflow.core.errors import shown
from sensorflow.core.vocabulary import JsonValue


class Absent:
    """What a leaf sees where the event has no value."""


ABSENT = Absent()


def identity(value: object) -> object:
    """Return what two equal values share, as a key: 1 and 1.0 do, 1 and true do not."""
    return ("bool", value) if value is True or value is False else value


@dataclass(frozen=True, slots=True)
class Exactly:
    """This value."""

    value: JsonValue

    @property
    def words(self) -> str:
        """What is expected, in words."""
        return shown(self.value)

    def holds(self, value: object) -> bool:
        """Tell whether a value fits."""
        return value == self.value and isinstance(value, bool) is isinstance(self.value, bool)


@dataclass(frozen=True, slots=True)
class Prefix:
    """A text that starts so."""

    text: str
    in_any_case: bool = False

    @property
    def words(self) -> str:
        """What is expected, in words."""
        return f"a text that starts with{_in_any_case(self.in_any_case)} {shown(self.text)}"

    def holds(self, value: object) -> bool:
        """Tell whether a value fits."""
        if not isinstance(value, str):
            return False
        if self.in_any_case:
            return value.casefold().startswith(self.text.casefold())
        return value.startswith(self.text)


@dataclass(frozen=True, slots=True)
class Suffix:
    """A text that ends so."""

    text: str
    in_any_case: bool = False

    @property
    def words(self) -> str:
        """What is expected, in words."""
        return f"a text that ends with{_in_any_case(self.in_any_case)} {shown(self.text)}"

    def holds(self, value: object) -> bool:
        """Tell whether a value fits."""
        if not isinstance(value, str):
            return False
        if self.in_any_case:
            return value.casefold().endswith(self.text.casefold())
        return value.endswith(self.text)


@dataclass(frozen=True, slots=True)
class SameButForCase:
    """This text, in any case."""

    text: str

    @property
    def words(self) -> str:
        """What is expected, in words."""
        return f"a text that is{_in_any_case(True)} {shown(self.text)}"

    def holds(self, value: object) -> bool:
        """Tell whether a value fits."""
        return isinstance(value, str) and value.casefold() == self.text.casefold()


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A text in which any text, also none, stands where the pattern has a star."""

    text: str
    #: The literal texts around the stars.
    pieces: tuple[str, ...]

    @property
    def words(self) -> str:
        """What is expected, in words."""
        return f"a text like {shown(self.text)}"

    def holds(self, value: object) -> bool:
        """Tell whether a value fits."""
        if not isinstance(value, str):
            return False
        if len(self.pieces) == 1:
            return value == self.pieces[0]
        first, *middle, last = self.pieces
        if len(value) < len(first) + len(last) or not (value.startswith(first) and value.endswith(last)):
            return False
        position, end = len(first), len(value) - len(last)
        for piece in middle:  # The leftmost place of each is right: it leaves most to the others.
            place = value.find(piece, position, end)
            if place < 0:
                return False
            position = place + len(piece)
        return True


@dataclass(frozen=True, slots=True)
class Numeric:
    """A number between two limits, each with whether it is inside itself; None is no limit."""

    low: tuple[float, bool] | None
    high: tuple[float, bool] | None

    @property
    def words(self) -> str:
        """What is expected, in words."""
        if self.low == self.high and self.low is not None:
            return f"= {shown(self.low[0])}"
        words = []
        if self.low is not None:
            words.append(f"{'>=' if self.low[1] else '>'} {shown(self.low[0])}")
        if self.high is not None:
            words.append(f"{'<=' if self.high[1] else '<'} {shown(self.high[0])}")
        return " and ".join(words)

    def holds(self, value: object) -> bool:
        """Tell whether a value fits."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        if self.low is not None and (value < self.low[0] or (value == self.low[0] and not self.low[1])):
            return False
        return self.high is None or value < self.high[0] or (value == self.high[0] and self.high[1])


@dataclass(frozen=True, slots=True)
class AnythingBut:
    """Any value for which none of these holds."""

    excluded: "tuple[Form, ...]"

    @property
    def words(self) -> str:
        """What is expected, in words."""
        return "anything but " + " or ".join(form.words for form in self.excluded)

    def holds(self, value: object) -> bool:
        """Tell whether a value fits."""
        return value is not ABSENT and not any(form.holds(value) for form in self.excluded)


@dataclass(frozen=True, slots=True)
class Exists:
    """Any value, or none."""

    wanted: bool

    @property
    def words(self) -> str:
        """What is expected, in words."""
        return "any value" if self.wanted else "nothing"

    def holds(self, value: object) -> bool:
        """Tell whether a value fits."""
        return (value is not ABSENT) is self.wanted


Form: TypeAlias = Exactly | Prefix | Suffix | SameButForCase | Wildcard | Numeric | AnythingBut | Exists


def _in_any_case(wanted: bool) -> str:
    return ", in any case," if wanted else ""
