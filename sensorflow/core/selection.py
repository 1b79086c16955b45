"""Which partitions of a dataset a run reads, and, the other way round, which runs read a partition.

Two sides meet in their dimensions: those of the calendar with each other whatever they are called, the
others by name. A side without dimensions has one without a name. How the calendars meet says the input's
selection; every other dimension has the same key on both sides.
"""

from functools import lru_cache
from itertools import product

from sensorflow.core.errors import PartitionError
from sensorflow.core.partitions import (
    between,
    bounds,
    calendar_of,
    comparable,
    containing,
    dimension_keys,
    inside,
    is_finer,
    read_partition,
    shifted,
)
from sensorflow.core.vocabulary import DatasetInput, Grain, Partitioning, Selection

#: Under this name calendars meet; no dimension is called so.
_CALENDAR = "|"
#: A week belongs to the month of its Thursday; it begins less than so long before that.
_WEEK_BEFORE_MONTH_S = 4 * 86_400


def selected(own: Partitioning, key: str, item: DatasetInput, theirs: Partitioning) -> tuple[str, ...]:
    """Return the dataset partitions that an input reads for a run's partition, in order; not for `latest`.

    Beyond the ends of the calendar there is nothing to read.

    Raises:
        ValueError: a dimension without listed keys is only the dataset's, and the input names none.
    """
    assert item.selection is not Selection.LATEST
    if _meet_in_one(own, theirs):
        return _read_along(own, key, item, theirs)
    ours, keys = dict(_meeting(own)), _keys(own, key)
    axes = [
        _read_along(ours[name], keys[name], item, dimension)
        if name in ours
        else _needed_keys(name, item, dimension)
        for name, dimension in _meeting(theirs)
    ]
    return tuple("|".join(each) for each in product(*axes))


def reading_runs(
    own: Partitioning, item: DatasetInput, theirs: Partitioning, key: str
) -> tuple[str, ...] | None:
    """Return the pipeline partitions whose runs read a dataset partition by `same` or `all`, in order.

    None where a dimension of the pipeline, of free keys or of the calendar, is not the dataset's: the runs
    cannot be listed then.

    Raises:
        ValueError: as `selected`.
    """
    assert item.selection in (Selection.SAME, Selection.ALL)
    if _meet_in_one(own, theirs):
        return _reading_along(own, item, theirs, key)
    ours, keys = dict(_meeting(own)), _keys(theirs, key)
    met: dict[str, tuple[str, ...]] = {}
    for name, dimension in _meeting(theirs):
        if name in ours:
            met[name] = _reading_along(ours[name], item, dimension, keys[name])
        elif keys[name] not in _needed_keys(name, item, dimension):
            return ()
    if not all(met.values()):
        return ()
    axes = [met.get(name, dimension.keys) for name, dimension in ours.items()]
    return tuple("|".join(each) for each in product(*axes)) if all(axes) else None


def reading_range(
    own: Partitioning, item: DatasetInput, theirs: Partitioning, key: str
) -> tuple[float | None, float | None]:
    """Return `since <= partition_start < before` of the runs that may read a dataset partition.

    None is without limit; some runs in between may not read it.
    """
    ours, calendar = calendar_of(own), calendar_of(theirs)
    if ours is None or calendar is None:
        return None, None
    place = _keys(theirs, key)[_CALENDAR]
    try:
        if item.selection is Selection.LATEST:
            return _bounds(calendar, place)[0], None
        return _range_along(ours, item, calendar, place)
    except PartitionError:  # At an end of the calendar no limit can be told.
        return None, None


def shared_keys(own: Partitioning, key: str, theirs: Partitioning) -> str | None:
    """Return, of a run, the keys by which `latest` is narrowed: as `beside_calendar` of what it may read.

    None where the dataset has no dimension beside the calendar that the pipeline has too.
    """
    names = [name for name, _ in _meeting(theirs) if name != _CALENDAR]
    keys = _keys(own, key)
    if theirs.grain is not Grain.SEVERAL or not any(name in keys for name in names):
        return None
    return "|".join(keys[name] for name in names)


# Along one dimension


def _read_along(own: Partitioning, key: str, item: DatasetInput, theirs: Partitioning) -> tuple[str, ...]:
    if item.selection is Selection.SAME or not comparable(own.grain, theirs.grain):
        return (key,) if own is theirs or own == theirs or _exists(theirs, key) else ()
    try:
        if item.selection is Selection.ALL:
            return inside(own, key, theirs)
        if item.selection is Selection.CONTAINING:
            return (containing(own, key, theirs),)
        base = _base(own, key, theirs)
        if item.selection is Selection.OFFSET:
            return (shifted(theirs, base, item.count),)
        return tuple(between(theirs, shifted(theirs, base, 1 - item.count), base))
    except PartitionError:
        return ()


def _base(own: Partitioning, key: str, theirs: Partitioning) -> str:
    """Return the partition from which `last` and `offset` count."""
    if is_finer(theirs.grain, own.grain):
        return inside(own, key, theirs)[-1]
    return containing(own, key, theirs)


def _reading_along(own: Partitioning, item: DatasetInput, theirs: Partitioning, key: str) -> tuple[str, ...]:
    if item.selection is Selection.ALL and comparable(own.grain, theirs.grain):
        try:
            return (containing(theirs, key, own),)
        except PartitionError:  # A run that begins beyond the calendar there is not.
            return ()
    return (key,) if own is theirs or own == theirs or _exists(own, key) else ()


def _range_along(
    own: Partitioning, item: DatasetInput, theirs: Partitioning, key: str
) -> tuple[float, float]:
    if item.selection is Selection.SAME:
        return _bounds(own, key)
    if item.selection is Selection.ALL:
        return _bounds(own, containing(theirs, key, own))
    first = last = key
    if item.selection is Selection.LAST:
        last = shifted(theirs, key, item.count - 1)
    elif item.selection is Selection.OFFSET:
        first = last = shifted(theirs, key, -item.count)
    if is_finer(theirs.grain, own.grain):
        return (
            _bounds(own, containing(theirs, first, own))[0],
            _bounds(own, containing(theirs, last, own))[1],
        )
    since, before = _bounds(theirs, first)[0], _bounds(theirs, last)[1]
    if own.grain is Grain.WEEKLY and theirs.grain is Grain.MONTHLY:
        since -= _WEEK_BEFORE_MONTH_S
    return since, before


def _bounds(partitioning: Partitioning, key: str) -> tuple[float, float]:
    limits = bounds(partitioning, key)
    assert limits is not None
    return limits


def _exists(partitioning: Partitioning, key: str) -> bool:
    try:
        return read_partition(partitioning, key) == key
    except PartitionError:
        return False


# Several


def _meet_in_one(own: Partitioning, theirs: Partitioning) -> bool:
    """Tell whether both sides have one dimension, the same."""
    if own.grain is theirs.grain:
        return own.grain is not Grain.SEVERAL
    return comparable(own.grain, theirs.grain)


@lru_cache(maxsize=1024)
def _meeting(partitioning: Partitioning) -> tuple[tuple[str, Partitioning], ...]:
    """Return the dimensions under the names by which two sides meet."""
    if partitioning.grain is Grain.NONE:
        return ()
    dimensions = partitioning.dimensions or (("", partitioning),)
    return tuple((_CALENDAR if calendar_of(each) else name, each) for name, each in dimensions)


def _keys(partitioning: Partitioning, key: str) -> dict[str, str]:
    """Return the keys under the names by which two sides meet."""
    keys = dimension_keys(partitioning, key) or {"": key}
    return dict(zip((name for name, _ in _meeting(partitioning)), keys.values(), strict=False))


def _needed_keys(name: str, item: DatasetInput, dimension: Partitioning) -> tuple[str, ...]:
    """Return the keys that are needed of a dimension that only the dataset has."""
    keys = item.dimensions.get(name) or dimension.keys
    if not keys:
        raise ValueError(
            f"expected the input of {item.dataset} to name keys of its dimension of grain {dimension.grain}, "
            "which the pipeline lacks"
        )
    return keys
