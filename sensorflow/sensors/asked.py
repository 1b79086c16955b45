"""Which partitions of a dataset are asked for, so that a sensor that polls knows what to look for."""

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice

from sensorflow.core.definitions import Definitions, Reader
from sensorflow.core.errors import PartitionError
from sensorflow.core.lateness import newest_ended
from sensorflow.core.partitions import bounds, calendar_of, partition_at, partitions_of, shifted
from sensorflow.core.selection import selected
from sensorflow.core.state import PartitionRow, State
from sensorflow.core.states import RunState
from sensorflow.core.vocabulary import DatasetDefinition, Grain, Partitioning, Selection
from sensorflow.ports import Listing, Store

#: Partitions that one page looks at, and all pages together.
PAGE, ALL = 100, 10_000
#: Open runs of one pipeline and state that are looked at, the newest.
RUNS = 500
_OPEN = (RunState.WAITING, RunState.RUNNING, RunState.FAILED)


def asked_for(definitions: Definitions, store: Store, dataset: str, now: float) -> Iterator[list[str]]:
    """Yield the partitions that are asked for and not ready, the newest first, in pages.

    Asked for are those that have ended since the `start` of a pipeline that reads the dataset, or since they
    are expected, or without either the newest that has ended; and those that open runs wait for. Listed keys
    are all asked for, and always: they do not end.
    """
    definition = definitions.datasets[dataset]
    cut = definition.partitioning
    if cut.grain is Grain.KEYS:
        yield list(cut.keys)
        return
    waited = _waited_for(definitions, store.listing, definition)
    keys = iter(waited)
    if calendar_of(cut) is not None:
        places = sorted(((_start(cut, key), key) for key in waited), reverse=True)
        ended = _ended(definitions, store.reader, definition, now)
        keys = islice(_each_once(merge(places, ended, reverse=True)), ALL)
    while page := list(islice(keys, PAGE)):
        there = store.reader.partitions(dataset, page)
        yield [key for key in page if _is_missing(there.get(key), waited.get(key), now)]


def _is_missing(row: PartitionRow | None, max_age_s: float | None, now: float) -> bool:
    if row is None or not row.ready:
        return True
    return max_age_s is not None and now - row.last_at > max_age_s


def _start(cut: Partitioning, key: str) -> float:
    limits = bounds(cut, key)
    assert limits is not None, "only of the calendar"
    return limits.start


def _each_once(places: Iterable[tuple[float, str]]) -> Iterator[str]:
    """Yield each key once; what is equal comes one behind the other."""
    last = None
    for _, key in places:
        if key != last:
            yield key
        last = key


# What has ended


def _ended(
    definitions: Definitions, state: State, dataset: DatasetDefinition, now: float
) -> Iterator[tuple[float, str]]:
    """Yield what has ended and is asked for with its start, the newest first."""
    calendar = calendar_of(dataset.partitioning)
    if calendar is None:
        return
    try:
        newest = newest_ended(calendar, now)
        readers = definitions.readers.get(dataset.name, ())
        spans = [_span(state, dataset, calendar, reader, newest) for reader in readers]
        if not spans:
            return
        first = min(since for since, _ in spans)
        key, start = newest, _start(calendar, newest)
        while start >= first:
            if any(since <= start <= until for since, until in spans):
                several = partitions_of(dataset.partitioning, key) or ()
                yield from sorted(((start, each) for each in several), reverse=True)
            key = shifted(calendar, key, -1)
            start = _start(calendar, key)
    except PartitionError:  # The calendar begins here, or has not begun.
        return


def _span(
    state: State, dataset: DatasetDefinition, calendar: Partitioning, reader: Reader, newest: str
) -> tuple[float, float]:
    """Return the starts of the first and the last ended partition that a reader asks for."""
    pipeline = reader.pipeline
    own = calendar_of(pipeline.partitioning)
    first = last = _start(calendar, newest)
    if own is not None and pipeline.end is not None:
        limits = bounds(own, pipeline.end)
        assert limits is not None
        last = limits.end - 1
    if own is not None and pipeline.start is not None:
        first = _start(calendar, partition_at(calendar, _start(own, pipeline.start)))
    elif dataset.expect is not None:
        first = min([first, *(_start(calendar, key) for key in _expected(state, dataset, calendar))])
    return first, last


def _expected(state: State, dataset: DatasetDefinition, calendar: Partitioning) -> Iterator[str]:
    """Yield what is late, and what is expected next."""
    alert = state.open_alert(f"late/{dataset.name}")
    for partition in alert.partitions if alert else ():
        yield partition_at(calendar, _start(dataset.partitioning, partition))
    timer = state.timer(f"expect/{dataset.name}")
    if timer is not None:
        yield timer.partition


# What runs wait for


def _waited_for(
    definitions: Definitions, listing: Listing, dataset: DatasetDefinition
) -> dict[str, float | None]:
    """Return what the newest open runs read, of the newest run first, each with its `max_age`."""
    waited: dict[str, float | None] = {}
    for reader in definitions.readers.get(dataset.name, ()):
        pipeline, item = reader.pipeline, reader.input
        if item.selection is Selection.LATEST or pipeline.partitioning.grain is Grain.NONE:
            continue
        runs = [
            run
            for state in _OPEN
            for run in listing.runs(
                pipeline=pipeline.name, partition=None, state=state, before=None, limit=RUNS
            )
        ]
        for run in sorted(runs, key=lambda run: run.id, reverse=True):
            for key in selected(pipeline.partitioning, run.partition, item, dataset.partitioning):
                if _is_before_start(reader, dataset, key):
                    continue
                ages = [age for age in (waited.get(key), item.max_age_s) if age is not None]
                waited[key] = min(ages, default=None)
    return waited


def _is_before_start(reader: Reader, dataset: DatasetDefinition, key: str) -> bool:
    """Tell whether a reader that counts back to this partition does not ask for it."""
    own, start = calendar_of(reader.pipeline.partitioning), reader.pipeline.start
    if reader.input.selection not in (Selection.LAST, Selection.OFFSET) or own is None or start is None:
        return False
    return _start(dataset.partitioning, key) < _start(own, start)
