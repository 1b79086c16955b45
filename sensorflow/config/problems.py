"""Turns what pydantic finds wrong into problems with a place, in the form `expected X, found Y`."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from sensorflow.config.environment import Environment
from sensorflow.config.yaml import Document, Finding, Path, shown
from sensorflow.core.errors import Problem

NOT_YET = "not supported yet by this version"

#: What pydantic's own checks expect; braces are filled from the error's context.
EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "a number > {gt}",
    "greater_than_equal": "a number >= {ge}",
    "less_than": "a number < {lt}",
    "less_than_equal": "a number <= {le}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text like {pattern}",
}


class Section(BaseModel):
    """Base of everything that stands in a file: nothing is converted, no unknown key is accepted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    #: Keys that are fixed for a later version and not built yet.
    LATER: ClassVar[frozenset[str]] = frozenset()


def expected(words: str, found: str = "") -> PydanticCustomError:
    """Return the error of a validator that expected something else.

    Args:
        found: What of the value it is about, where that is not the whole.
    """
    return PydanticCustomError("expected", "{words}", {"words": words, "found": found})


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "..."?` where a known word is near, else nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def findings_of(
    error: ValidationError,
    document: Document,
    path: Path,
    model: type[BaseModel],
    environment: Environment,
    known: Iterable[str] = (),
) -> list[Finding]:
    """Return the problems in the section at `path` that did not fit the model.

    Args:
        known: Keys that the section may hold besides the model's.
    """
    places = [(found, (*path, *_in_file(found["loc"]))) for found in error.errors(include_url=False)]
    return [
        Finding(place, _problem(found, document, place, model, environment, known)) for found, place in places
    ]


def _problem(
    found: Any,
    document: Document,
    path: Path,
    model: type[BaseModel],
    environment: Environment,
    known: Iterable[str],
) -> Problem:
    kind = found["type"]
    if kind == "extra_forbidden":
        key = str(path[-1])
        keys, not_yet = _keys_at(model, found["loc"][:-1])
        if len(found["loc"]) == 1:
            keys = [*known, *keys]
        if key in not_yet:
            return document.problem(path, NOT_YET, at_key=True)
        if key in keys:  # Of another of the forms that may stand here.
            words = f'expected no such key beside the others, found "{key}"'
            return document.problem(path, words, at_key=True)
        near = suggestion(key, keys)
        words = "a known key" if near else "one of the keys " + ", ".join(keys)
        return document.problem(path, f'expected {words}, found "{key}"{near}', at_key=True)
    if kind == "missing":
        return document.problem(path, "expected this key, found nothing")
    # The file's own text is shown, not what came into it from the environment.
    what = shown(document.value(path))
    is_key = found["loc"][-1:] == ("[key]",)
    if kind == "expected":
        what = shown(path[-1]) if is_key else environment.hide(found["ctx"]["found"]) or what
        return document.problem(path, f"expected {found['ctx']['words']}, found {what}", at_key=is_key)
    if kind in ("value_error", "assertion_error"):
        return document.problem(path, environment.hide(str(found["ctx"]["error"])))
    if kind in EXPECTED:
        words = environment.hide(EXPECTED[kind].format(**found.get("ctx", {})))
        return document.problem(path, f"expected {words}, found {what}")
    message = environment.hide(found["msg"])
    return document.problem(path, f"{message[:1].lower()}{message[1:]}, found {what}")


def _in_file(loc: tuple[str | int, ...]) -> Path:
    """Return pydantic's place without the mark that it puts behind a mapping's key."""
    return loc[:-1] if loc and loc[-1] == "[key]" else loc


def _keys_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[list[str], frozenset[str]]:
    """Return the keys that a section may hold, and those that it may hold in a later version."""
    here: list[Any] = [model]
    for step in loc:
        below = [annotation for one in here for annotation in _below(one, step)]
        here = [each for annotation in below for each in _alternatives(annotation)]
    models = [one for one in here if isinstance(one, type) and issubclass(one, BaseModel)]
    keys = [field.alias or name for one in models for name, field in one.model_fields.items()]
    not_yet: frozenset[str] = frozenset().union(*(getattr(one, "LATER", frozenset()) for one in models))
    return list(dict.fromkeys(keys)), not_yet


def _below(annotation: Any, step: str | int) -> Iterator[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if step in (name, field.alias):
                yield field.annotation
    elif get_origin(annotation) is dict:
        yield get_args(annotation)[1]
    elif get_origin(annotation) in (list, tuple):
        yield get_args(annotation)[0]


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the types of a union, without what `Annotated` puts around them."""
    if hasattr(annotation, "__metadata__"):
        yield from _alternatives(annotation.__origin__)
    elif get_args(annotation) and get_origin(annotation) not in (dict, list, tuple):
        for each in get_args(annotation):
            yield from _alternatives(each)
    else:
        yield annotation
