"""One definition file, read as far as it can be: what is wrong is reported, the rest is used."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import ValidationError

from sensorflow.config.environment import Environment
from sensorflow.config.problems import Section, findings_of
from sensorflow.config.yaml import Document, Finding, Path, read_yaml, shown
from sensorflow.core.errors import Problem
from sensorflow.core.vocabulary import JsonValue

FileModel = TypeVar("FileModel", bound=Section)

_NAMED_SECTIONS = frozenset({"datasets", "sensors", "tasks"})


@dataclass(frozen=True, slots=True)
class SourceText:
    """A file that has been read from the disk."""

    #: Relative to the home.
    file: str
    text: str
    #: Sent by somebody who may not learn what stands in the environment of this process.
    sent: bool = False


@dataclass(frozen=True, slots=True)
class SourceFile(Generic[FileModel]):
    """A file with what is right in it."""

    #: As written: what messages show.
    document: Document
    #: With what came from the environment: for validation only, never to be shown.
    tree: JsonValue = field(repr=False)
    #: What lacks its value from the environment.
    unset: frozenset[Path]
    #: What stands in it, without the entries in `broken`.
    model: FileModel
    #: Entries that are wrong, as `("tasks", "load")` or `("partition",)`.
    broken: frozenset[Path]

    def names(self, section: str) -> list[str]:
        """Return all names in a section, those of broken entries too."""
        entries = self.document.value((section,))
        return list(entries) if isinstance(entries, dict) else []

    def untold(self) -> set[str]:
        """Return the datasets of which what is broken may say what they are."""
        found: set[str] = set()
        for path in self.broken:
            if path[0] == "datasets" and len(path) > 1:
                found.add(str(path[1]))
            elif path[0] in ("datasets", "partition", "timezone") or path == ("tasks",):
                found |= set(_texts(self.document.tree))  # Whatever else it names, no harm is done.
            elif path[0] == "tasks":
                found |= set(_texts(self.document.value((*path, "outputs"))))
        return found


def _texts(tree: JsonValue) -> Iterator[str]:
    """Yield all keys and texts of a tree."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield str(key)
            yield from _texts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value)


def read_file(
    source: SourceText, model: type[FileModel], environment: Environment, problems: list[Problem]
) -> SourceFile[FileModel] | None:
    """Return a file with all that is right in it, None where nothing is; problems are added to the list."""
    document = read_yaml(source.file, source.text, problems)
    if document is None:
        return None
    if not isinstance(document.tree, dict):
        problems.append(document.problem((), f"expected a mapping, found {shown(document.tree)}"))
        return None
    unset: list[Finding] = []
    tree = _with_environment(document, environment, unset)
    unset_paths = frozenset(each.path for each in unset)
    findings = [*unset, *_check(document, tree, model, environment, unset_paths)]
    problems += [each.problem for each in findings]
    broken = frozenset(_entry(each.path) for each in findings)
    return SourceFile(document, tree, unset_paths, model.model_validate(_without(tree, broken)), broken)


def _with_environment(document: Document, environment: Environment, findings: list[Finding]) -> JsonValue:
    """Return the tree with `${NAME}` replaced where that is done: in sensors, `env` and `http`."""
    tree = dict(document.tree)
    if "sensors" in tree:
        tree["sensors"] = environment.replaced(document, ("sensors",), findings)
    tasks = tree.get("tasks")
    if isinstance(tasks, dict):
        tree["tasks"] = {name: _with_env(document, environment, ("tasks", name), findings) for name in tasks}
    if "defaults" in tree:
        tree["defaults"] = _with_env(document, environment, ("defaults",), findings)
    return tree


def _with_env(document: Document, environment: Environment, path: Path, findings: list[Finding]) -> JsonValue:
    section = document.value(path)
    if not isinstance(section, dict):
        return section
    replaced = {
        key: environment.replaced(document, (*path, key), findings)
        for key in ("env", "http")
        if key in section
    }
    return {**section, **replaced}


def _check(
    document: Document,
    tree: JsonValue,
    model: type[FileModel],
    environment: Environment,
    unset: Collection[Path],
) -> list[Finding]:
    try:
        model.model_validate(tree)
    except ValidationError as error:
        found = findings_of(error, document, (), model, environment)
        # What lacks its value is reported as that alone, not for what the value would have been, too.
        return [each for each in found if each.path not in unset]
    return []


def _entry(path: Path) -> Path:
    return path[:2] if path[0] in _NAMED_SECTIONS else path[:1]


def _without(tree: JsonValue, broken: Collection[Path]) -> JsonValue:
    kept = {key: value for key, value in tree.items() if (key,) not in broken}
    for section in _NAMED_SECTIONS & kept.keys():
        if isinstance(kept[section], dict):
            kept[section] = {k: v for k, v in kept[section].items() if (section, k) not in broken}
    return kept
