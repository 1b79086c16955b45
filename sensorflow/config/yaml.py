"""YAML 1.2 as plain values, each with the place it stands at.

Built on the parser's events instead of its loader: every scalar keeps the text that was written
(`01` where a key is wanted, `1` where a number is), and nothing becomes a date by itself.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from sensorflow.core.errors import Problem
from sensorflow.core.errors import shown as shown_text
from sensorflow.core.vocabulary import JsonValue

#: Where a value stands in a document: keys of mappings and indexes of lists.
Path: TypeAlias = tuple[str | int, ...]

#: Keys below which a scalar is the text that was written.
TEXT_KEYS = frozenset({"run", "keys", "parts", "env", "start", "end", "default"})
#: Sections whose keys are names that users choose, so `tasks: {env: ...}` is a task.
NAMING_SECTIONS = frozenset({("tasks",), ("sensors",), ("datasets",)})

MAX_DEPTH = 60
MAX_VALUES = 100_000

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"(true|True|TRUE)|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)

#: The parser's words for frequent mistakes, in ours.
_SYNTAX = (
    ("'\\t'", "expected spaces, found a tab"),
    (
        "mapping values are not allowed",
        'expected one "key: value" a line, found another ":" (quote the text)',
    ),
    ("expected <block end>", "expected a line that is indented as those above, found another indentation"),
    ("could not find expected ':'", 'expected ":" behind the key, found none'),
    ("found unexpected end of stream", "expected a closing quote, found the end of the file"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file, both from 1."""

    line: int
    column: int


class Finding(NamedTuple):
    """A problem, and where in the document it is."""

    path: Path
    problem: Problem


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, and where it says it."""

    #: Relative to the home.
    file: str
    tree: JsonValue
    #: Where the key of each entry stands.
    keys: Mapping[Path, Place]
    #: Where each value starts.
    values: Mapping[Path, Place]

    def problem(self, path: Path, message: str, *, at_key: bool = False) -> Problem:
        """Return a problem at a value or its key; what is not there is shown at its nearest parent."""
        if path in self.values:
            place = self.keys.get(path, self.values[path]) if at_key else self.values[path]
        else:
            parent = path
            while parent not in self.values:
                parent = parent[:-1]
            place = self.keys.get(parent, self.values[parent])
        return Problem(
            file=self.file, line=place.line, column=place.column, path=dotted(path), message=message
        )

    def value(self, path: Path) -> JsonValue:
        """Return what is written at a path, None where nothing is."""
        return value_at(self.tree, path)

    def finding(self, path: Path, message: str) -> Finding:
        """Return a problem at a value, together with its path."""
        return Finding(path, self.problem(path, message))

    def place(self, path: Path) -> str:
        """Return `file:line:column` of an entry's key, for messages that name another place."""
        place = self.keys.get(path) or self.values.get(path) or Place(1, 1)
        return f"{self.file}:{place.line}:{place.column}"


def value_at(tree: JsonValue, path: Path) -> JsonValue:
    """Return what stands at a path, None where nothing does."""
    for step in path:
        is_there = (
            step in tree if isinstance(tree, dict) else isinstance(tree, list) and step in range(len(tree))
        )
        if not is_there:
            return None
        tree = tree[step]
    return tree


def dotted(path: Path) -> str:
    """Return a path as `tasks.load.retries.max`."""
    return ".".join(str(step) for step in path)


def shown(value: JsonValue) -> str:
    """Return a value as messages show what was found."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return shown_text(value) if isinstance(value, str) else str(value)[:80]


@dataclass(frozen=True, slots=True)
class _Node:
    place: Place


@dataclass(frozen=True, slots=True)
class _Scalar(_Node):
    text: str
    #: Written without quotes, so it may mean a number.
    plain: bool


@dataclass(frozen=True, slots=True)
class _List(_Node):
    items: list[_Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Map(_Node):
    entries: list[tuple[_Scalar, _Node]] = field(default_factory=list)


class _UnreadableError(Exception):
    """The rest of the file cannot be read."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


def read_yaml(file: str, text: str, problems: list[Problem]) -> Document | None:
    """Return the one document of a file, or None where it cannot be read.

    What is wrong is added to `problems`; a duplicate key is, and the rest is read all the same.
    """
    try:
        reader = _Reader(text)
        node = reader.document()
        builder = _Builder(file, problems)
        tree = builder.value(node, (), text=False, below_match=False)
    except _UnreadableError as stop:
        problems.append(_problem(file, stop.place, str(stop)))
        return None
    return Document(file, tree, builder.keys, builder.values)


def _problem(file: str, place: Place, message: str, path: Path = ()) -> Problem:
    return Problem(file=file, line=place.line, column=place.column, path=dotted(path), message=message)


class _Reader:
    """Turns the parser's events into nodes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._last = Place(1, 1)
        self._anchors: dict[str, _Node] = {}

    def document(self) -> _Node:
        events = self._events()
        root: _Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    raise _UnreadableError(_place(event), "expected one document a file, found a second one")
                if event.version is not None or event.tags:
                    raise _UnreadableError(
                        self._directive(), "expected YAML 1.2 without directives, found one"
                    )
                root = self._node(next(events), events, 1)
        return _Scalar(Place(1, 1), "", True) if root is None else root

    def _events(self) -> Iterator[Any]:
        try:
            for event in YAML(typ="safe", pure=True).parse(self._text):
                self._last = _place(event)
                yield event
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(mark.line + 1, mark.column + 1) if mark else self._last
            raise _UnreadableError(place, _syntax_message(error.problem or error.context or "")) from None
        except YAMLError as error:
            raise _UnreadableError(
                self._position(getattr(error, "position", 0)), _unprintable(error)
            ) from None
        except (ArithmeticError, ValueError, LookupError, AttributeError, AssertionError):
            # The parser falls over some broken escapes and tags instead of naming them.
            raise _UnreadableError(
                self._last, "expected YAML 1.2 from here on, found something else"
            ) from None

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise _UnreadableError(_place(event), f"expected at most {MAX_DEPTH} levels, found more")
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise _UnreadableError(
                    _place(event), f"expected an anchor that ends above, found *{event.anchor}"
                )
            return self._anchors[event.anchor]
        if event.tag is not None:
            raise _UnreadableError(_place(event), f"expected no tags, found {shown(str(event.tag))}")
        node = self._new(event)
        if isinstance(node, _List):
            for item in _until_end(events):
                node.items.append(self._node(item, events, depth + 1))
        elif isinstance(node, _Map):
            for item in _until_end(events):
                key = self._node(item, events, depth + 1)
                if not isinstance(key, _Scalar) or (key.plain and not key.text):
                    raise _UnreadableError(key.place, "expected a text as key, found something else")
                node.entries.append((key, self._node(next(events), events, depth + 1)))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _new(self, event: Any) -> _Node:
        place = _place(event)
        if isinstance(event, SequenceStartEvent):
            return _List(place)
        if isinstance(event, MappingStartEvent):
            return _Map(place)
        assert isinstance(event, ScalarEvent)
        if any("\ud800" <= character <= "\udfff" for character in event.value):
            raise _UnreadableError(place, "expected text, found half of a surrogate pair")
        return _Scalar(place, event.value, event.implicit[0])

    def _directive(self) -> Place:
        lines = self._text.split("\n")
        return Place(
            next((n for n, line in enumerate(lines, 1) if line.lstrip("\ufeff").startswith("%")), 1), 1
        )

    def _position(self, index: int) -> Place:
        before = self._text[:index]
        return Place(before.count("\n") + 1, index - before.rfind("\n"))


def _until_end(events: Iterator[Any]) -> Iterator[Any]:
    for event in events:
        if isinstance(event, CollectionEndEvent):
            return
        yield event


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _syntax_message(problem: str) -> str:
    for words, message in _SYNTAX:
        if words in problem:
            return message
    return f"expected YAML 1.2, found a mistake: {problem}"


def _unprintable(error: YAMLError) -> str:
    character = getattr(error, "character", None)
    if isinstance(character, int):
        return f"expected printable text, found the character U+{character:04X}"
    return "expected printable text, found another character"


class _Builder:
    """Turns nodes into plain values and notes where each stands."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self._file = file
        self._problems = problems
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}

    def value(self, node: _Node, path: Path, *, text: bool, below_match: bool) -> JsonValue:
        if len(self.values) >= MAX_VALUES or len(path) > MAX_DEPTH:
            raise _UnreadableError(
                node.place, f"expected at most {MAX_VALUES} values in {MAX_DEPTH} levels, found more"
            )
        self.values[path] = node.place
        if isinstance(node, _Scalar):
            return _plain(node.text) if node.plain and not (text and node.text) else node.text
        if isinstance(node, _List):
            return [
                self.value(item, (*path, index), text=text, below_match=below_match)
                for index, item in enumerate(node.items)
            ]
        assert isinstance(node, _Map)
        return self._mapping(node, path, text=text, below_match=below_match)

    def _mapping(self, node: _Map, path: Path, *, text: bool, below_match: bool) -> dict[str, JsonValue]:
        found: dict[str, JsonValue] = {}
        for key, child in node.entries:
            child_path = (*path, key.text)
            if key.text in found:
                first = self.keys[child_path]
                message = f"expected each key once, found it again (first at {first.line}:{first.column})"
                self._problems.append(_problem(self._file, key.place, message, child_path))
                continue
            self.keys[child_path] = key.place
            is_name = path in NAMING_SECTIONS
            match = below_match or (key.text == "match" and not is_name)
            found[key.text] = self.value(
                child,
                child_path,
                text=not match and (text or (not is_name and _is_text(path, key.text, child))),
                below_match=match,
            )
        return found


def _is_text(path: Path, key: str, node: _Node) -> bool:
    """Tell whether the scalars of an entry are the text that was written."""
    if key in TEXT_KEYS:
        return True
    # `partitions: {region: [01]}` names keys, `partitions: {last: 7}` and `{day: {last: 7}}` numbers.
    is_dimension = path[-1:] == ("partitions",) and path[:-1] not in NAMING_SECTIONS
    return is_dimension and key not in ("last", "offset") and not isinstance(node, _Map)


def _plain(text: str) -> JsonValue:
    """Return what an unquoted scalar means by the YAML 1.2 core schema."""
    if _NULL.fullmatch(text):
        return None
    if found := _BOOL.fullmatch(text):
        return found[1] is not None
    if _INT.fullmatch(text):
        bases = {"0o": 8, "0x": 16}
        return int(text, bases.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text.replace(".", "", 1) if text[-1] in "fFnN" else text)
    return text
