"""Reads from an event what a rule names: partition, part, id, time."""

import re
from collections.abc import Mapping
from functools import lru_cache

from sensorflow.core.errors import PartitionError, ReadingError, shown
from sensorflow.core.formats import as_iso
from sensorflow.core.iso8601 import read_iso_8601
from sensorflow.core.partitions import read_partition
from sensorflow.core.regexes import compile_regex
from sensorflow.core.vocabulary import DatasetDefinition, Grain, JsonValue, Reshaped, Rule, ValueSource

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,6})\]")


@lru_cache(maxsize=4096)
def parse_path(path: str) -> tuple[str | int, ...]:
    """Return the steps of a path as `data.rows[0].day`.

    Raises:
        ReadingError: the text is no path.
    """
    steps: list[str | int] = []
    text = f".{path}"
    position = 0
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None:
            raise ReadingError(f'expected a path as data.rows[0].day, found "{path}"')
        steps.append(int(found[2]) if found[1] is None else found[1])
        position = found.end()
    return tuple(steps)


def value_at(document: JsonValue, path: str) -> JsonValue:
    """Return what stands at a path of an event.

    Raises:
        ReadingError: the event has nothing there.
    """
    value = document
    for step in parse_path(path):
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                raise ReadingError(f"{path}: expected an array of at least {step + 1}, found {shown(value)}")
            value = value[step]
        else:
            if not isinstance(value, dict) or step not in value:
                found = (
                    f"only {', '.join(sorted(value)) or 'an empty object'}"
                    if isinstance(value, dict)
                    else shown(value)
                )
                raise ReadingError(f"{path}: expected a field {step}, found {found}")
            value = value[step]
    return value


def read_value(source: ValueSource, document: JsonValue) -> tuple[JsonValue, str]:
    """Return the value that a rule reads from an event, and the path where it stood.

    Raises:
        ReadingError: there is nothing to read, or it is not what the rule says it is.
    """
    if isinstance(source, str):
        return value_at(document, source), source
    path = source.path
    has_more = source.otherwise is not None or source.default is not None
    try:
        value = value_at(document, path)
    except ReadingError:
        if not has_more:
            raise
        value = None
    if value is None and has_more:
        return (source.default, path) if source.otherwise is None else read_value(source.otherwise, document)
    if source.regex is None and source.format is None and not source.as_date:
        return value, path
    text = _text(value, path)
    try:
        return _reshaped(source, text), path
    except ReadingError as error:
        raise ReadingError(f"{path}: {error}") from None


def _reshaped(source: Reshaped, text: str) -> str:
    if source.regex is not None:
        captured = compile_regex(source.regex).captured(text)
        if not captured:
            raise ReadingError(f"expected a text that fits {source.regex}, found {shown(text)}")
        text = captured
    if source.format is not None:
        try:
            text = as_iso(text, source.format)
        except ValueError:
            raise ReadingError(f"expected a date as {source.format}, found {shown(text)}") from None
    if source.as_date:
        text = _written_date(text)
    return text


def _written_date(text: str) -> str:
    try:
        return read_iso_8601(text).day.isoformat()
    except ValueError:
        raise ReadingError(
            f"expected a date or an instant as 2013-03-10T05:00:00Z, found {shown(text)}"
        ) from None


def read_text(source: ValueSource, document: JsonValue) -> str:
    """Return the text or whole number that a rule reads, as text.

    Raises:
        ReadingError: there is nothing there, or something else.
    """
    return _text(*read_value(source, document))


def read_time(source: ValueSource, document: JsonValue) -> str:
    """Return the date or the instant that a rule reads, as it is written.

    Raises:
        ReadingError: there is nothing there, or something else.
    """
    text = read_text(source, document)
    try:
        _written_date(text)
    except ReadingError as error:
        raise ReadingError(f"{source_path(source)}: {error}") from None
    return text


def source_path(source: ValueSource) -> str:
    """Return where a value stands, to name it by."""
    return source if isinstance(source, str) else source.path


def _text(value: JsonValue, path: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ReadingError(f"{path}: expected a text, found {shown(value)}")
    text = str(value)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ReadingError(f"{path}: expected a text, found half a character in {shown(text)}")
    return text


def read_rule(rule: Rule, dataset: DatasetDefinition, document: JsonValue) -> tuple[str, str | None]:
    """Return the partition and the part that a rule reads from an event.

    Raises:
        ReadingError: what is there is no partition or no part of the dataset.
    """
    partition = ""
    if rule.partition is not None:
        value, named = _partition_value(rule.partition, document)
        try:
            partition = read_partition(dataset.partitioning, value)
        except PartitionError as error:
            raise ReadingError(f"{named}: {error}") from None
    part = None
    if rule.part is not None:
        part = known_part(dataset, read_text(rule.part, document))
    return partition, part


def _partition_value(
    sources: ValueSource | Mapping[str, ValueSource], document: JsonValue
) -> tuple[JsonValue, str]:
    """Return what the rule reads, as one value or for each dimension, and how to name it."""
    if isinstance(sources, Mapping):
        return {name: read_value(source, document)[0] for name, source in sources.items()}, "partition"
    return read_value(sources, document)


def known_part(dataset: DatasetDefinition, part: str) -> str:
    """Return the part, if the dataset has it.

    Raises:
        ReadingError: the dataset lists its parts, and this is none of them.
    """
    listed = dataset.complete.parts
    if listed and part not in listed:
        raise ReadingError(f'expected a part of {dataset.name} ({", ".join(sorted(listed))}), found "{part}"')
    return part


def declared_partition(dataset: DatasetDefinition, value: JsonValue) -> str:
    """Return the partition that somebody names outright.

    Raises:
        PartitionError: it is missing, or none of the dataset's.
    """
    if value is None and dataset.partitioning.grain is not Grain.NONE:
        raise PartitionError(
            f"expected a partition: {dataset.name} is {dataset.partitioning.grain}, found none"
        )
    return read_partition(dataset.partitioning, value)
