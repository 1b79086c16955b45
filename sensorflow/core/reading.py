"""Reads from an event what a rule names: partition, part, id."""

import re
from collections.abc import Mapping
from functools import lru_cache

from sensorflow.core.errors import PartitionError, ReadingError, shown
from sensorflow.core.partitions import read_partition
from sensorflow.core.vocabulary import DatasetDefinition, Grain, JsonValue, Rule

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


def text_at(document: JsonValue, path: str) -> str:
    """Return the text or whole number at a path, as text.

    Raises:
        ReadingError: there is nothing there, or something else.
    """
    value = value_at(document, path)
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
        part = known_part(dataset, text_at(document, rule.part))
    return partition, part


def _partition_value(paths: str | Mapping[str, str], document: JsonValue) -> tuple[JsonValue, str]:
    """Return what stands at the rule's path, or at the path of each dimension, and how to name it."""
    if isinstance(paths, str):
        return value_at(document, paths), paths
    return {name: value_at(document, path) for name, path in paths.items()}, "partition"


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
