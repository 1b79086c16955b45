"""How datasets and pipelines are cut into partitions: `partition:` as a model, and its meaning."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from sensorflow.config.problems import Section, expected
from sensorflow.config.values import FreeKey, same_once
from sensorflow.core.vocabulary import Grain, Partitioning

_ZONED = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)
_CALENDAR = (Grain.HOURLY, *_ZONED)
_DIMENSION_GRAINS = (*_CALENDAR, Grain.KEY)
_NAMED_GRAINS = (Grain.NONE, *_DIMENSION_GRAINS)

_DIMENSION = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")
#: What means something else where a dimension is named: `$SENSORFLOW_PARTITION_START`, `{last: 7}`, ...
_TAKEN = ("start", "end", "last", "offset", "path", "as")


class Keys(Section):
    """A grain of listed keys."""

    keys: Annotated[list[FreeKey], Field(min_length=1), AfterValidator(same_once)]


def _dimension_name(value: object) -> object:
    if not isinstance(value, str) or not _DIMENSION.fullmatch(value):
        raise expected("a dimension's name of A-Za-z0-9_ that starts with a letter")
    if value.lower() in _TAKEN:
        raise expected(f"a dimension's name other than {', '.join(_TAKEN)}")
    return value


DimensionName: TypeAlias = Annotated[str, BeforeValidator(_dimension_name)]


def _dimension(value: object) -> Grain | Keys:
    if isinstance(value, dict):
        return Keys.model_validate(value)
    if value not in _DIMENSION_GRAINS:
        raise expected(f"one of {', '.join(_DIMENSION_GRAINS)} or {{keys: [...]}}")
    return Grain(str(value))


Dimension: TypeAlias = Annotated[
    Grain | Keys, PlainValidator(_dimension, json_schema_input_type=Literal[_DIMENSION_GRAINS] | Keys)
]


def _fit_together(dimensions: dict[str, Grain | Keys]) -> dict[str, Grain | Keys]:
    if not dimensions:
        raise expected("at least one dimension")
    # Tasks get each as SENSORFLOW_PARTITION_<DIMENSION>, in capital letters.
    if len({name.upper() for name in dimensions}) < len(dimensions):
        raise expected("names that differ in more than capital letters", found=", ".join(dimensions))
    calendar = [name for name, cut in dimensions.items() if cut in _CALENDAR]
    if len(calendar) > 1:
        raise expected("at most one dimension of the calendar", found=" and ".join(calendar))
    return dimensions


class Several(Section):
    """A grain of several dimensions."""

    several: Annotated[dict[DimensionName, Dimension], AfterValidator(_fit_together)]


def _partition(value: object) -> Grain | Keys | Several:
    if isinstance(value, dict):
        return Several.model_validate(value) if "several" in value else Keys.model_validate(value)
    if value not in _NAMED_GRAINS:
        raise expected(f"one of {', '.join(_NAMED_GRAINS)}, {{keys: [...]}} or {{several: {{...}}}}")
    return Grain(str(value))


Partition: TypeAlias = Annotated[
    Grain | Keys | Several,
    PlainValidator(_partition, json_schema_input_type=Literal[_NAMED_GRAINS] | Keys | Several),
]


def partitioning(partition: Grain | Keys | Several, timezone: str) -> Partitioning:
    """Return the core's partitioning of a section's two keys."""
    if isinstance(partition, Several):
        named = ((name, _of_dimension(cut, timezone)) for name, cut in partition.several.items())
        return Partitioning(Grain.SEVERAL, timezone, dimensions=tuple(named))
    if isinstance(partition, Keys):
        return Partitioning(Grain.KEYS, timezone, tuple(partition.keys))
    return Partitioning(partition, timezone)


def _of_dimension(cut: Grain | Keys, timezone: str) -> Partitioning:
    if isinstance(cut, Keys):
        return Partitioning(Grain.KEYS, keys=tuple(cut.keys))
    return Partitioning(cut, timezone) if cut in _CALENDAR else Partitioning(cut)


def in_zone(cut: Partitioning, timezone: str) -> Partitioning:
    """Return the same cut in another time zone."""
    dimensions = ((name, in_zone(d, timezone) if d.grain in _CALENDAR else d) for name, d in cut.dimensions)
    return Partitioning(cut.grain, timezone, cut.keys, tuple(dimensions))


def plain(cut: Partitioning) -> Partitioning:
    """Return a partitioning without a zone where the zone says nothing."""
    dimensions = tuple((name, plain(dimension)) for name, dimension in cut.dimensions)
    is_zoned = cut.grain in _ZONED or any(dimension.grain in _ZONED for _, dimension in dimensions)
    timezone = cut.timezone if is_zoned else "UTC"
    return Partitioning(cut.grain, timezone, cut.keys, dimensions)


def key_dimensions(cut: Partitioning) -> Mapping[str, Partitioning]:
    """Return the dimensions that are not of the calendar, by name."""
    return {name: dimension for name, dimension in cut.dimensions if dimension.grain not in _CALENDAR}


def described(cut: Partitioning) -> str:
    """Return a partitioning in words: `daily in America/New_York`."""
    if cut.grain is Grain.SEVERAL:
        return f"several ({'; '.join(f'{name}: {described(each)}' for name, each in cut.dimensions)})"
    if cut.grain is Grain.KEYS:
        return "keys " + ", ".join(cut.keys)
    return cut.grain + (f" in {cut.timezone}" if cut.grain in _ZONED else "")
