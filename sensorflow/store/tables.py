"""The tables of the SQL stores: how a row of the core is written to and read from its columns."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

from pydantic_core import PydanticSerializationError, to_json

from sensorflow.core.messages import EventState
from sensorflow.core.state import (
    AlertRow,
    ArrivalRow,
    AttemptRow,
    BackfillRow,
    ContentRow,
    EventRow,
    FiringRow,
    OperationRow,
    PartitionRow,
    PartRow,
    PastRunRow,
    PipelineRow,
    RunRow,
    SensorRow,
    TaskRow,
    TimerRow,
    TokenRow,
    WatermarkRow,
)
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import Event, Scope

#: What SQLite hands out and takes.
Columns: TypeAlias = Sequence[Any]
Row = TypeVar("Row")

_ROWS_OF_A_STATEMENT = (64, 16, 4, 1)
#: Names of columns that SQL has another use for.
_SQL_WORDS = frozenset({"order"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[Row]):
    """A table and the kind of row that it holds."""

    name: str
    key: tuple[str, ...]
    #: The names of its columns, as SQL.
    columns: str
    #: The row of one key.
    select: str
    #: The rows of all keys that are the same but for their last column, in order.
    select_group: str
    #: By how many rows a statement takes, the most first; many in one take a third less time than one by one.
    #: Keeps each once only, or replaces the one of its key.
    write: Mapping[int, str]
    #: Row to columns, and back.
    dump: Callable[[Row], Columns]
    load: Callable[[Columns], Row]


def _table(
    name: str,
    *,
    key: tuple[str, ...],
    columns: tuple[str, ...],
    dump: Callable[[Row], Columns],
    load: Callable[[Columns], Row],
    replaces: bool = True,
) -> Table[Row]:
    names = ", ".join(map(_column, columns))
    where = " AND ".join(f"{column} = ?" for column in key)
    where_group = " AND ".join(f"{column} = ?" for column in key[:-1]) or "TRUE"
    row = f"({', '.join('?' * len(columns))})"
    on_conflict = ""
    rest = [column for column in columns if column not in key]
    if replaces:
        changes = ", ".join(f"{_column(column)} = excluded.{_column(column)}" for column in rest)
        on_conflict = f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    return Table(
        name=name,
        key=key,
        columns=names,
        select=f"SELECT {names} FROM {name} WHERE {where}",
        select_group=f"SELECT {names} FROM {name} WHERE {where_group} ORDER BY {key[-1]}",
        write={
            number: f"INSERT INTO {name} ({names}) VALUES {', '.join([row] * number)}{on_conflict}"
            for number in _ROWS_OF_A_STATEMENT
        },
        dump=dump,
        load=load,
    )


def _column(name: str) -> str:
    return f'"{name}"' if name in _SQL_WORDS else name


class IdentityRow(NamedTuple):
    """Which event an identity is. It outlives its event, so it has a table of its own."""

    source: str
    id: str
    seq: int


class LastArrivalRow(NamedTuple):
    """The partition of a dataset that an arrival was added for last."""

    dataset: str
    partition: str


def _plain(
    kind: type[Row],
    name: str,
    *,
    key: tuple[str, ...],
    replaces: bool = True,
    enums: Mapping[str, type[StrEnum]] | None = None,
    flags: tuple[str, ...] = (),
    lists: tuple[str, ...] = (),
) -> Table[Row]:
    """Describe a table whose columns are the row's fields, some of them enums, booleans or tuples."""
    columns: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]  # a row is a NamedTuple
    reads: tuple[tuple[str, Callable[[Any], object]], ...] = (
        # Looked up, for a call of the enum takes ten times as long.
        *(
            (column, {str(member): member for member in enum}.__getitem__)
            for column, enum in (enums or {}).items()
        ),
        *((flag, bool) for flag in flags),
        *((column, _tuple_of_json) for column in lists),
    )
    lists_at = tuple(columns.index(column) for column in lists)

    reads_at = tuple((columns.index(column), read) for column, read in reads)

    make: Callable[[Columns], Row] = kind._make  # type: ignore[attr-defined]
    if not reads:
        return _table(name, key=key, columns=columns, dump=cast(Any, tuple), load=make, replaces=replaces)

    def load(values: Columns) -> Row:
        converted = list(values)
        for place, read in reads_at:
            converted[place] = read(converted[place])
        return make(converted)

    read_fields = attrgetter(
        *(f"{column}._value_" if column in (enums or {}) else column for column in columns)
    )

    def dump_with_lists(row: Row) -> Columns:
        values = list(read_fields(row))
        for place in lists_at:
            values[place] = _to_json(values[place]) if values[place] else _EMPTY
        return values

    dump = dump_with_lists if lists else read_fields
    return _table(name, key=key, columns=columns, dump=dump, load=load, replaces=replaces)


_as_ascii = json.JSONEncoder(separators=(",", ":")).encode


def _to_json(value: object) -> str:
    try:
        return to_json(value).decode()
    except PydanticSerializationError:  # Half a character, which JSON allows and UTF-8 does not.
        return _as_ascii(value)


_EMPTY = "[]"


def _tuple_of_json(text: str) -> tuple[str, ...]:
    return () if text == _EMPTY else tuple(json.loads(text))


def _dump_event(row: EventRow) -> Columns:
    event, sensor = row.event, row.sensor or (None, None)
    return (
        row.seq,
        event.source,
        row.id,
        event.id,
        event.type,
        event.subject,
        event.time,
        _to_json(event.data),
        _to_json(dict(event.extensions)) if event.extensions else "{}",
        event.content,
        event.replaces,
        row.received_at,
        *sensor,
        row.state.value,
        row.reason,
    )


def _load_event(values: Columns) -> EventRow:
    (seq, source, identity, event_id, kind, subject, time, data, extensions, content, replaces) = values[:11]
    received_at, pipeline, sensor, state, reason = values[11:]
    event = Event(
        source=source,
        id=event_id,
        type=kind,
        subject=subject,
        time=time,
        data=json.loads(data),
        extensions=json.loads(extensions),
        content=content,
        replaces=replaces,
    )
    return EventRow(
        seq=seq,
        event=event,
        id=identity,
        received_at=received_at,
        sensor=None if pipeline is None else (pipeline, sensor),
        state=EventState(state),
        reason=reason,
    )


def _dump_arrival(row: ArrivalRow) -> Columns:
    sensor = row.sensor or (None, None)
    return (row.seq, row.dataset, row.partition, row.part, row.version, row.ready, *sensor)


def _load_arrival(values: Columns) -> ArrivalRow:
    seq, dataset, partition, part, version, ready, pipeline, sensor = values
    return ArrivalRow(
        seq=seq,
        dataset=dataset,
        partition=partition,
        part=part,
        version=version,
        ready=bool(ready),
        sensor=None if pipeline is None else (pipeline, sensor),
    )


_ATTEMPT = (*(name for name in AttemptRow._fields if name != "consumed"), "consumed")
_attempt_without_consumed = attrgetter(
    *("state._value_" if name == "state" else name for name in _ATTEMPT[:-1])
)


def _dump_attempt(row: AttemptRow) -> Columns:
    consumed = {dataset: dict(versions) for dataset, versions in row.consumed.items()}
    return (*_attempt_without_consumed(row), _to_json(consumed))


def _load_attempt(values: Columns) -> AttemptRow:
    named = dict(zip(_ATTEMPT, values, strict=True))
    named["state"] = AttemptState(named["state"])
    named["consumed"] = json.loads(named["consumed"])
    return AttemptRow(**named)


#: What every arrival changes of its partition.
_COUNTED = ("version", "arrivals", "last_at", "whole", "whole_seq")
#: What says whether a partition is there, and where it stands among others; indexes follow these.
STANDING = tuple(name for name in PartitionRow._fields if name not in _COUNTED)

IDENTITIES = _plain(IdentityRow, "identities", key=("source", "id"), replaces=False)
EVENTS = _table(
    "events",
    key=("seq",),
    columns=(
        *("seq", "source", "id", "event_id", "type", "subject", "time", "data", "extensions"),
        *("content", "replaces", "received_at", "sensor_pipeline", "sensor_name", "state", "reason"),
    ),
    dump=_dump_event,
    load=_load_event,
    replaces=False,
)
ARRIVALS = _table(
    "arrivals",
    key=("seq", "dataset", "partition", "part"),
    columns=(
        *("seq", "dataset", "partition", "part", "version", "ready"),
        *("sensor_pipeline", "sensor_name"),
    ),
    dump=_dump_arrival,
    load=_load_arrival,
)
PARTITIONS = _plain(PartitionRow, "partitions", key=("dataset", "partition"), flags=("withdrawn",))
#: What one more arrival changes of a partition that is there; no index has to follow.
PARTITIONS_AGAIN = replace(
    PARTITIONS,
    write={
        1: f"UPDATE partitions SET {', '.join(f'{name} = ?' for name in _COUNTED)} "
        "WHERE dataset = ? AND partition = ?"
    },
    dump=attrgetter(*_COUNTED, *PARTITIONS.key),
)
LAST_ARRIVALS = _plain(LastArrivalRow, "last_arrivals", key=("dataset",))
PARTS = _plain(PartRow, "parts", key=("dataset", "partition", "part"))
RUNS = _plain(
    RunRow,
    "runs",
    key=("id",),
    enums={"state": RunState},
    flags=("active", "stale", "forced"),
    lists=("pending",),
)
PAST_RUNS = _plain(PastRunRow, "past_runs", key=("pipeline", "partition"), enums={"state": RunState})
TASKS = _plain(
    TaskRow, "tasks", key=("run_id", "task"), enums={"state": TaskState}, flags=("outdated", "stopping")
)
ATTEMPTS = _table(
    "attempts",
    key=("run_id", "task", "number"),
    columns=_ATTEMPT,
    dump=_dump_attempt,
    load=_load_attempt,
)
FIRINGS = _plain(FiringRow, "firings", key=("run_id", "generation", "task"), replaces=False)
TIMERS = _plain(TimerRow, "timers", key=("key",))
CONTENTS = _plain(ContentRow, "contents", key=("source", "key"))
SENSORS = _plain(SensorRow, "sensors", key=("pipeline", "name"))
PIPELINES = _plain(PipelineRow, "pipelines", key=("name",), flags=("paused", "paused_in_file"))
WATERMARKS = _plain(WatermarkRow, "watermarks", key=("pipeline", "task", "dataset"))
BACKFILLS = _plain(BackfillRow, "backfills", key=("id",), flags=("force",))
ALERTS = _plain(AlertRow, "alerts", key=("id",), lists=("partitions",))
OPERATIONS = _plain(OperationRow, "operations", key=("id",), replaces=False)
TOKENS = _plain(TokenRow, "tokens", key=("id",), enums={"scope": Scope}, lists=("pipelines",), replaces=False)
