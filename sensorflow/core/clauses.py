"""What must be true of an event for a rule, as terms that an index can look up."""

from enum import Enum, auto
from itertools import product
from typing import TypeAlias

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
    identity,
)
from sensorflow.core.matching import Fields, Leaf, Looks, Pattern
from sensorflow.core.vocabulary import JsonValue

#: A rule has at most so many places in an index, but for the alternatives of one field or one `$or`.
MAX_COPIES = 16


class By(Enum):
    """How values of an event are looked up."""

    VALUE = auto()
    #: A text without its case.
    FOLDED = auto()
    PREFIX = auto()
    FOLDED_PREFIX = auto()
    SUFFIX = auto()
    FOLDED_SUFFIX = auto()
    RANGE = auto()
    #: Every value but those named.
    OTHERS = auto()
    #: Every value.
    PRESENT = auto()

    __hash__ = object.__hash__  # Members are singletons; the hash by name takes most of a compilation.


#: A way to look up, and what by; a value that fits none of a leaf's terms does not fit the leaf.
Term: TypeAlias = tuple[By, object]
#: The names of the fields on the way to a leaf.
Path: TypeAlias = tuple[str, ...]


class Condition:
    """What has to hold for a value at a path; two rules that ask the same share one."""

    __slots__ = ("_form", "_node", "is_exact", "kinds", "path", "terms", "text")

    def __init__(
        self,
        path: Path,
        node: Leaf | Fields,
        terms: tuple[Term, ...],
        kinds: tuple[int, ...],
        *,
        is_exact: bool,
    ) -> None:
        self.path = path
        #: One of them has to hold; empty where none could be looked up.
        self.terms = terms
        #: If one of them does, that is enough.
        self.is_exact = is_exact
        #: By term, a number for all that lead to the same rules.
        self.kinds = kinds
        self._node = node
        #: The form that the node asks, where it is only one: short ways to what the node says.
        self._form = node.forms[0] if isinstance(node, Leaf) and len(node.forms) == 1 else None
        #: The one text that is asked for, as nearly everywhere.
        self.text = _only_text(terms)

    def holds(self, document: JsonValue, looks: Looks) -> bool | None:
        """Tell whether it holds for an event's document; None if an array is on the way to the value."""
        value = document
        for name in self.path:
            if isinstance(value, dict):
                value = value.get(name, ABSENT)
            elif isinstance(value, list):
                return None
            else:
                value = ABSENT
        if self.text is not None and type(value) is str:
            return value == self.text
        if self._form is not None and not isinstance(value, list | dict):
            return self._form.holds(value)
        return self._node.matches(value, looks)


def _only_text(terms: tuple[Term, ...]) -> str | None:
    if len(terms) == 1:
        [(by, operand)] = terms
        if by is By.VALUE and isinstance(operand, str):
            return operand
    return None


#: One way in which a pattern can hold: all of these conditions do.
Clause: TypeAlias = tuple["Condition", ...]


class Clauses:
    """Takes patterns apart."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, tuple[Term, ...]], Condition] = {}
        self._kinds: dict[tuple[Path, object], int] = {}
        self._paths: dict[Path, Path] = {}

    def of(self, pattern: Pattern | None) -> list[Clause]:
        """Return the ways in which a pattern can hold; None, which every event fits, can in one."""
        return [()] if pattern is None else self._of_fields(pattern.root, ())

    def _of_fields(self, fields: Fields, above: Path) -> list[Clause]:
        conditions: list[Condition] = []
        several: list[list[Clause]] = []
        for name, node in fields.fields:
            path = (*above, name)
            path = self._paths.setdefault(path, path)  # Rules share paths, so they stay near.
            if isinstance(node, Fields):
                several.append(self._of_fields(node, path))
            else:
                conditions.append(self._of_leaf(path, node))
        if fields.alternatives:
            several.append(
                [clause for each in fields.alternatives for clause in self._of_fields(each, above)]
            )
        clauses: list[Clause] = [tuple(conditions)]
        for others in several:
            if len(clauses) > 1 < len(others) and len(clauses) * len(others) > MAX_COPIES:
                whole = Condition(above, fields, (), (), is_exact=False)
                clauses = [(*clause, whole) for clause in clauses]
            else:
                clauses = [one + other for one, other in product(clauses, others)]
        return clauses

    def _of_leaf(self, path: Path, leaf: Leaf) -> Condition:
        if any(isinstance(form, Exists) and not form.wanted for form in leaf.forms):
            return Condition(path, leaf, (), (), is_exact=False)  # What is absent cannot be looked up.
        found = [_of_form(form) for form in leaf.forms]
        terms = tuple(dict.fromkeys(term for term, _ in found))
        is_exact = all(is_exact for _, is_exact in found)
        known = self._known.get((path, terms)) if is_exact else None
        if known is None:
            known = Condition(path, leaf, terms, self._kinds_of(path, terms), is_exact=is_exact)
            if is_exact:
                self._known[path, terms] = known
        return known

    def _kinds_of(self, path: Path, terms: tuple[Term, ...]) -> tuple[int, ...]:
        known = self._kinds
        # Nearly every value leads to all negations.
        kinds = ((path, By.OTHERS if term[0] is By.OTHERS else term) for term in terms)
        return tuple([known.setdefault(kind, len(known)) for kind in kinds])


def _of_form(form: Form) -> tuple[Term, bool]:
    term: Term = (By.PRESENT, None)
    is_exact = True
    match form:
        case Exactly(value):
            term = (By.VALUE, identity(value))
        case Prefix(text, in_any_case):
            term = (By.FOLDED_PREFIX, text.casefold()) if in_any_case else (By.PREFIX, text)
        case Suffix(text, in_any_case):
            term = (By.FOLDED_SUFFIX, text.casefold()) if in_any_case else (By.SUFFIX, text)
        case SameButForCase(text):
            term = (By.FOLDED, text.casefold())
        case Wildcard(_, (text,)):
            term = (By.VALUE, text)
        case Wildcard(_, (first, *_, last)):
            is_exact = False
            if first or last:
                term = (By.PREFIX, first) if len(first) >= len(last) else (By.SUFFIX, last)
        case Numeric():
            term = (By.RANGE, form)
        case AnythingBut(excluded):
            values = [each.value for each in excluded if isinstance(each, Exactly)]
            is_exact = len(values) == len(excluded)
            if is_exact:
                term = (By.OTHERS, frozenset(map(identity, values)))
    return term, is_exact
