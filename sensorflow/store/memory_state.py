"""Rows in dictionaries as a `State`."""

import sys
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar, cast

from sensorflow.core.state import (
    AlertRow,
    ArrivalRow,
    AttemptRow,
    BackfillRow,
    ContentRow,
    DoubleFiringError,
    EventMark,
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
from sensorflow.core.states import AttemptState, TaskState
from sensorflow.ports import StoreError
from sensorflow.store.run_tasks import RunTasks
from sensorflow.store.texts import refuse_what_utf8_cannot_hold

Row = TypeVar("Row")
Key: TypeAlias = tuple[Any, ...]
#: Says in which line a row stands, and as what.
Place: TypeAlias = Callable[[Row], tuple[Hashable, Key] | None]

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_BELOW_ALL = -sys.float_info.max
_ABOVE_ALL = float("inf")


class Kept(Generic[Row]):
    """What is kept beside the rows of a table."""

    def move(self, key: Key, old: Row | None, row: Row | None) -> None:
        """Take note of a change."""
        raise NotImplementedError


class Table(Generic[Row]):
    """Rows by key, and what is kept beside them to find them by something else."""

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self.kept: list[Kept[Row]] = []

    def names(self, name: Callable[[Row], Hashable | None]) -> "Names[Row]":
        """Find the one row of a name; `name` tells which a row has, or None."""
        kept = Names(name)
        self.kept.append(kept)
        return kept

    def lines(self, place: "Place[Row]") -> "Lines[Row]":
        """Find rows in order; `place` tells in which line a row stands and as what, or None for none."""
        return Lines(self, place)

    def keep(self, kept: Kept[Row]) -> None:
        """Tell it of every change from now on."""
        self.kept.append(kept)

    def replace(self, key: Key, row: Row | None) -> Row | None:
        """Put a row at its key, or take away what is there; return what was there."""
        old = self.rows.get(key)
        if row is not None:
            self.rows[key] = row
        elif old is not None:
            del self.rows[key]
        for kept in self.kept:
            kept.move(key, old, row)
        return old


class Names(Kept[Row]):
    """The key of the one row that has a name."""

    def __init__(self, name: Callable[[Row], Hashable | None]) -> None:
        self._name = name
        self.keys: dict[Hashable, Key] = {}

    def move(self, key: Key, old: Row | None, row: Row | None) -> None:
        """Take note of a change."""
        before = self._name(old) if old is not None else None
        after = self._name(row) if row is not None else None
        if before != after:
            self.keys.pop(before, None)
            if after is not None:
                self.keys[after] = key


class Lines(Kept[Row]):
    """Sorted lines of places. They are made when somebody first asks, and kept from then on."""

    def __init__(self, table: Table[Row], place: "Place[Row]") -> None:
        self._table = table
        self._place = place
        self._lines: dict[Hashable, list[Key]] | None = None

    def of(self, name: Hashable) -> list[Key]:
        """Return the line of a name."""
        return self.all().get(name, [])

    def all(self) -> dict[Hashable, list[Key]]:
        """Return the lines that are not empty, by name."""
        if self._lines is None:
            self._lines = {}
            for row in self._table.rows.values():
                if (found := self._place(row)) is not None:
                    self._lines.setdefault(found[0], []).append(found[1])
            for line in self._lines.values():
                line.sort()
            self._table.keep(self)
        return self._lines

    def move(self, key: Key, old: Row | None, row: Row | None) -> None:
        """Take note of a change."""
        lines = self.all()
        before = self._place(old) if old is not None else None
        after = self._place(row) if row is not None else None
        if before == after:
            return
        if before is not None:
            name, place = before
            line = lines[name]
            del line[bisect_left(line, place)]
            if not line:
                del lines[name]
        if after is not None:
            insort(lines.setdefault(after[0], []), after[1])


def _ready_place(row: PartitionRow) -> tuple[Hashable, Key] | None:
    if not row.ready or row.start is None:
        return None
    return row.dataset, (row.start, row.partition)


def _ready_beside_place(row: PartitionRow) -> tuple[Hashable, Key] | None:
    if not row.ready or not row.beside:
        return None
    return (row.dataset, row.beside), (_BELOW_ALL if row.start is None else row.start, row.partition)


def _ready_without_bounds_place(row: PartitionRow) -> tuple[Hashable, Key] | None:
    if not row.ready or row.start is not None:
        return None
    return row.dataset, (_BELOW_ALL if row.ready_at is None else row.ready_at, row.partition)


def _start_place(row: RunRow) -> tuple[Hashable, Key] | None:
    if row.partition_start is None:
        return None
    return row.pipeline, (row.partition_start, row.id)


def _open_place(row: RunRow) -> tuple[Hashable, Key] | None:
    return (row.pipeline, (row.id,)) if row.open else None


def _open_by_start_place(row: RunRow) -> tuple[Hashable, Key] | None:
    return _start_place(row) if row.open else None


def _end_place(row: RunRow) -> tuple[Hashable, Key] | None:
    return None if row.open else ("all", (row.ended_at, row.id))


def _ready_arrival_place(row: ArrivalRow) -> tuple[Hashable, Key] | None:
    return (row.dataset, (row.seq, row.partition, row.part)) if row.ready else None


def _queue_place(row: TaskRow) -> tuple[Hashable, Key] | None:
    if row.state is not TaskState.QUEUED:
        return None
    queued_at = _BELOW_ALL if row.queued_at is None else row.queued_at
    return (row.pipeline, row.lane), (-row.priority, queued_at, row.run_id, row.task)


def _running_place(row: AttemptRow) -> tuple[Hashable, Key] | None:
    if row.state is not AttemptState.RUNNING:
        return None
    return row.pipeline, (row.run_id, row.task, row.number)


def _between(line: list[Key], since: float | None, before: float | None) -> list[Key]:
    """Return, in order, the ids of a line whose places begin with a start that lies between."""
    low = bisect_left(line, (_BELOW_ALL if since is None else since,))
    high = bisect_left(line, (_ABOVE_ALL if before is None else before,))
    return sorted((run_id,) for _, run_id in line[low:high])


class _TasksByRun(Kept[TaskRow]):
    """The tasks of each run."""

    def __init__(self, table: Table[TaskRow]) -> None:
        self.runs: dict[str, RunTasks] = {}
        table.keep(self)

    def move(self, key: Key, old: TaskRow | None, row: TaskRow | None) -> None:
        """Take note of a change."""
        if row is not None:
            self.runs.setdefault(row.run_id, RunTasks()).put(row)
        elif old is not None:
            tasks = self.runs[old.run_id]
            tasks.drop(old)
            if not tasks:
                del self.runs[old.run_id]


def _mark(row: EventRow) -> EventMark:
    event = row.event
    content_key = event.replaces or (event.content if event.id is None else "")
    return EventMark(row.seq, event.source, content_key, row.received_at, row.state)


def _with(rows: Mapping[str, Row], name: str, row: Row) -> dict[str, Row]:
    """Return the rows, by name and in order, with one more or changed; who has the old ones keeps them."""
    more = {**rows, name: row}
    return more if name in rows or len(more) == 1 else dict(sorted(more.items()))


class MemoryState:
    """All rows in dictionaries; what is put can be taken back until it is committed."""

    def __init__(self) -> None:
        self.is_open = False
        #: Table, key, and the row that was there, oldest change first.
        self._undo: list[tuple[Table[Any], Key, Any]] = []
        self._seq = 0
        self._seq_at_open = 0
        #: Of the newest event, also where it is not kept any more.
        self._last_added = 0
        self._last_added_at_open = 0
        self.identities: Table[int] = Table()
        self.events: Table[EventRow] = Table()
        self._seqs = self.events.lines(lambda row: ("all", (row.seq,)))
        self.all_arrivals: Table[ArrivalRow] = Table()
        self._arrivals_of_event = self.all_arrivals.lines(
            lambda row: (row.seq, (row.dataset, row.partition, row.part))
        )
        self._ready_arrivals = self.all_arrivals.lines(_ready_arrival_place)
        self.all_partitions: Table[PartitionRow] = Table()
        self.partitions_of_dataset = self.all_partitions.lines(lambda row: (row.dataset, (row.partition,)))
        self._ready = self.all_partitions.lines(_ready_place)
        self._ready_beside = self.all_partitions.lines(_ready_beside_place)
        self._ready_without_bounds = self.all_partitions.lines(_ready_without_bounds_place)
        #: By dataset, the partition that an arrival was added for last.
        self._last_arrivals: Table[str] = Table()
        self._parts: Table[Mapping[str, PartRow]] = Table()
        self.runs: Table[RunRow] = Table()
        self._run_of = self.runs.names(lambda row: (row.pipeline, row.partition) if row.partition else None)
        self._whole_runs = self.runs.lines(lambda row: None if row.partition else (row.pipeline, (row.id,)))
        self._runs_of_pipeline = self.runs.lines(lambda row: (row.pipeline, (row.id,)))
        self._by_start = self.runs.lines(_start_place)
        self._runs_of_backfill = self.runs.lines(
            lambda row: (row.backfill, (row.id,)) if row.backfill else None
        )
        self._open = self.runs.lines(_open_place)
        self._open_by_start = self.runs.lines(_open_by_start_place)
        self._active = self.runs.lines(lambda row: (row.pipeline, (row.id,)) if row.active else None)
        self._ended = self.runs.lines(_end_place)
        self._past_runs: Table[PastRunRow] = Table()
        self.all_tasks: Table[TaskRow] = Table()
        self._tasks = _TasksByRun(self.all_tasks)
        self.queue = self.all_tasks.lines(_queue_place)
        self._attempts: Table[AttemptRow] = Table()
        self._attempts_of = self._attempts.lines(lambda row: (row.run_id, (row.task, row.number)))
        self._running = self._attempts.lines(_running_place)
        self._attempt_of_token = self._attempts.names(lambda row: row.token)
        self._firings: Table[FiringRow] = Table()
        self._timers: Table[TimerRow] = Table()
        self._due = self._timers.lines(lambda row: ("all", (row.due_at, row.key)))
        self._contents: Table[ContentRow] = Table()
        self.sensors: Table[SensorRow] = Table()
        self.pipelines: Table[PipelineRow] = Table()
        self._watermarks: Table[WatermarkRow] = Table()
        self.backfills: Table[BackfillRow] = Table()
        self.alerts: Table[AlertRow] = Table()
        self._open_alert = self.alerts.names(lambda row: row.cause if row.resolved_at is None else None)
        self.operations: Table[OperationRow] = Table()
        self.tokens: Table[TokenRow] = Table()

    # --- the transaction, as the store sees it ---

    def opened(self) -> None:
        """A transaction was begun."""
        self.is_open = True
        self._seq_at_open = self._seq
        self._last_added_at_open = self._last_added

    def committed(self) -> None:
        """What was put stays."""
        self.is_open = False
        self._undo.clear()

    def undone(self) -> None:
        """Take back what was put."""
        self.is_open = False
        self._seq = self._seq_at_open
        self._last_added = self._last_added_at_open
        while self._undo:
            table, key, row = self._undo.pop()
            table.replace(key, row)

    def _put(self, table: Table[Row], row: Row, *key: Any) -> None:
        if not self.is_open:
            raise RuntimeError("a row can be put only inside a transaction")
        rows = table.rows
        old = rows.get(key)
        self._undo.append((table, key, old))
        rows[key] = row
        for kept in table.kept:
            kept.move(key, old, row)

    def _drop(self, table: Table[Any], *key: Any) -> None:
        if not self.is_open:
            raise RuntimeError("a row can be dropped only inside a transaction")
        self._undo.append((table, key, table.replace(key, None)))

    def foresee(
        self,
        identities: Collection[tuple[str, str]],
        partitions: Collection[tuple[str, str]],
        runs: Collection[tuple[str, str]],
    ) -> None:
        """Do nothing: all is at hand."""

    # --- events ---

    def identity(self, source: str, event_id: str) -> int | None:
        refuse_what_utf8_cannot_hold(source, event_id)
        return self.identities.rows.get((source, event_id))

    def content(self, source: str, key: str) -> ContentRow | None:
        refuse_what_utf8_cannot_hold(source, key)
        return self._contents.rows.get((source, key))

    def put_content(self, row: ContentRow) -> None:
        self._put(self._contents, row, row.source, row.key)

    def next_seq(self) -> int:
        if not self.is_open:
            raise RuntimeError("a number can be taken only inside a transaction")
        self._seq += 1
        return self._seq

    def last_seq(self) -> int:
        return self._last_added

    def add_event(self, row: EventRow) -> None:
        event = row.event
        refuse_what_utf8_cannot_hold(event.source, row.id, event.type, event.subject, event.time)
        if (row.seq,) in self.events.rows:
            raise StoreError(f"event {row.seq} is there already")
        if (event.source, row.id) in self.identities.rows:
            raise StoreError(f"identity {event.source} {row.id} is there already")
        self._last_added = max(self._last_added, row.seq)
        self._put(self.events, row, row.seq)
        self._put(self.identities, row.seq, event.source, row.id)

    def replace_event(self, row: EventRow) -> None:
        stored = self.event(row.seq)
        if stored is None:
            raise StoreError(f"event {row.seq} is not there")
        self._put(self.events, stored._replace(state=row.state, reason=row.reason), row.seq)

    def event(self, seq: int) -> EventRow | None:
        return self.events.rows.get((seq,))

    def add_arrival(self, row: ArrivalRow) -> None:
        self._put(self.all_arrivals, row, row.seq, row.dataset, row.partition, row.part)
        self._put(self._last_arrivals, row.partition, row.dataset)

    def arrivals(self, seq: int) -> list[ArrivalRow]:
        return [self.all_arrivals.rows[seq, *place] for place in self._arrivals_of_event.of(seq)]

    def ready_arrivals_since(self, dataset: str, seq: int, limit: int) -> int:
        line = self._ready_arrivals.of(dataset)
        since = islice(line, bisect_right(line, seq, key=lambda place: place[0]), None)
        count = (1 for _, partition, _ in since if not self._is_withdrawn(dataset, partition))
        return sum(islice(count, limit))

    def _is_withdrawn(self, dataset: str, partition: str) -> bool:
        row = self.partition(dataset, partition)
        return row is not None and row.withdrawn

    # --- partitions ---

    def partition(self, dataset: str, partition: str) -> PartitionRow | None:
        return self.all_partitions.rows.get((dataset, partition))

    def put_partition(self, row: PartitionRow) -> None:
        self._put(self.all_partitions, row, row.dataset, row.partition)

    def partitions(self, dataset: str, keys: Iterable[str]) -> Mapping[str, PartitionRow]:
        rows = self.all_partitions.rows
        return {key: rows[dataset, key] for key in keys if (dataset, key) in rows}

    def newest_ready(
        self, dataset: str, not_after: float | None, beside: str | None = None
    ) -> PartitionRow | None:
        bound = _ABOVE_ALL if not_after is None else not_after
        if beside is not None:
            line = self._ready_beside.of((dataset, beside))
            place = bisect_right(line, bound, key=lambda place: place[0])
            return self.all_partitions.rows[dataset, line[place - 1][1]] if place else None
        ready = self._ready.of(dataset)
        found = bisect_right(ready, bound, key=lambda place: place[0])
        if found:
            return self.all_partitions.rows[dataset, ready[found - 1][1]]
        line = self._ready_without_bounds.of(dataset)
        return self.all_partitions.rows[dataset, line[-1][1]] if line else None

    def newest_arrival(self, dataset: str) -> PartitionRow | None:
        last = self._last_arrivals.rows.get((dataset,))
        return None if last is None else self.partition(dataset, last)

    def parts(self, dataset: str, partition: str) -> Mapping[str, PartRow]:
        return self._parts.rows.get((dataset, partition), _NOTHING)

    def drop_parts(self, dataset: str, partition: str, part: str | None) -> None:
        parts = self.parts(dataset, partition)
        left = {} if part is None else {name: row for name, row in parts.items() if name != part}
        if left:
            self._put(self._parts, left, dataset, partition)
        else:
            self._drop(self._parts, dataset, partition)

    def put_part(self, row: PartRow) -> None:
        refuse_what_utf8_cannot_hold(row.part)
        parts = _with(self.parts(row.dataset, row.partition), row.part, row)
        self._put(self._parts, parts, row.dataset, row.partition)

    # --- runs ---

    def run(self, run_id: str) -> RunRow | None:
        return self.runs.rows.get((run_id,))

    def run_of(self, pipeline: str, partition: str) -> RunRow | None:
        if partition:
            key = self._run_of.keys.get((pipeline, partition))
            return self.runs.rows[key] if key is not None else None
        runs = self._whole_runs.of(pipeline)
        return self.runs.rows[runs[-1]] if runs else None

    def put_run(self, row: RunRow) -> None:
        other = self._run_of.keys.get((row.pipeline, row.partition))
        if other is not None and other != (row.id,):
            raise StoreError(f"{row.pipeline} {row.partition} has a run already: {other[0]}")
        self._put(self.runs, row, row.id)

    def open_runs(
        self, pipeline: str, *, since: float | None, before: float | None, after: str, limit: int
    ) -> list[RunRow]:
        if since is None and before is None:
            return self._runs_after(self._open.of(pipeline), after, limit)
        line = _between(self._open_by_start.of(pipeline), since, before)
        return self._runs_after(line, after, limit)

    def runs_between(
        self, pipeline: str, *, since: float | None, before: float | None, after: str, limit: int
    ) -> list[RunRow]:
        if since is None and before is None:
            return self._runs_after(self._runs_of_pipeline.of(pipeline), after, limit)
        return self._runs_after(_between(self._by_start.of(pipeline), since, before), after, limit)

    def backfill_runs(self, backfill: str, *, after: str, limit: int) -> list[RunRow]:
        return self._runs_after(self._runs_of_backfill.of(backfill), after, limit)

    def _runs_after(self, line: list[Key], after: str, limit: int) -> list[RunRow]:
        first = bisect_right(line, (after,))
        return [self.runs.rows[key] for key in line[first : first + limit]]

    def active_runs(self, pipeline: str) -> list[RunRow]:
        return [self.runs.rows[key] for key in self._active.of(pipeline)]

    # --- tasks and attempts ---

    def tasks(self, run_id: str) -> Mapping[str, TaskRow]:
        tasks = self._tasks.runs.get(run_id)
        return tasks.all() if tasks is not None else _NOTHING

    def tasks_by_state(self, run_id: str) -> Mapping[TaskState, Collection[str]]:
        tasks = self._tasks.runs.get(run_id)
        return tasks.by_state() if tasks is not None else {}

    def task(self, run_id: str, task: str) -> TaskRow | None:
        return self.all_tasks.rows.get((run_id, task))

    def put_task(self, row: TaskRow) -> None:
        self._put(self.all_tasks, row, row.run_id, row.task)

    def queued_lanes(self) -> list[tuple[str, str]]:
        return sorted(cast("dict[tuple[str, str], list[Key]]", self.queue.all()))

    def next_queued(self, pipeline: str, lane: str, run_id: str | None) -> TaskRow | None:
        for *_, queued_run_id, task in self.queue.of((pipeline, lane)):
            if run_id in (None, queued_run_id):
                return self.all_tasks.rows[queued_run_id, task]
        return None

    def running(self) -> list[AttemptRow]:
        running = self._running.all()
        pipelines = sorted(str(pipeline) for pipeline in running)
        return [self._attempts.rows[key] for pipeline in pipelines for key in running[pipeline]]

    def running_count(self, pipeline: str | None) -> int:
        if pipeline is None:
            return sum(map(len, self._running.all().values()))
        return len(self._running.of(pipeline))

    def attempt(self, run_id: str, task: str, number: int) -> AttemptRow | None:
        return self._attempts.rows.get((run_id, task, number))

    def attempts(self, run_id: str) -> list[AttemptRow]:
        return [self._attempts.rows[run_id, *rest] for rest in self._attempts_of.of(run_id)]

    def put_attempt(self, row: AttemptRow) -> None:
        key = (row.run_id, row.task, row.number)
        if row.token is not None and self._attempt_of_token.keys.get(row.token, key) != key:
            raise StoreError("the token of an attempt names another one already")
        self._put(self._attempts, row, *key)

    def attempt_of(self, token: str) -> AttemptRow | None:
        refuse_what_utf8_cannot_hold(token)
        key = self._attempt_of_token.keys.get(token)
        return self._attempts.rows[key] if key is not None else None

    def firing(self, run_id: str, generation: int, task: str) -> FiringRow | None:
        return self._firings.rows.get((run_id, generation, task))

    def add_firing(self, row: FiringRow) -> None:
        if (row.run_id, row.generation, row.task) in self._firings.rows:
            raise DoubleFiringError(f"{row.task} of run {row.run_id}, generation {row.generation}")
        self._put(self._firings, row, row.run_id, row.generation, row.task)

    # --- pipelines, backfills, alerts, operations ---

    def pipeline(self, name: str) -> PipelineRow | None:
        return self.pipelines.rows.get((name,))

    def put_pipeline(self, row: PipelineRow) -> None:
        self._put(self.pipelines, row, row.name)

    def watermark(self, pipeline: str, task: str, dataset: str) -> int:
        row = self._watermarks.rows.get((pipeline, task, dataset))
        return row.seq if row else 0

    def put_watermark(self, row: WatermarkRow) -> None:
        self._put(self._watermarks, row, row.pipeline, row.task, row.dataset)

    def backfill(self, backfill: str) -> BackfillRow | None:
        return self.backfills.rows.get((backfill,))

    def put_backfill(self, row: BackfillRow) -> None:
        self._put(self.backfills, row, row.id)

    def open_alert(self, cause: str) -> AlertRow | None:
        key = self._open_alert.keys.get(cause)
        return self.alerts.rows[key] if key is not None else None

    def put_alert(self, row: AlertRow) -> None:
        other = self.open_alert(row.cause) if row.resolved_at is None else None
        if other and other.id != row.id:
            raise StoreError(f"{row.cause} has an open alert already: {other.id}")
        self._put(self.alerts, row, row.id)

    def add_operation(self, row: OperationRow) -> None:
        if (row.id,) in self.operations.rows:
            raise StoreError(f"operation {row.id} is there already")
        self._put(self.operations, row, row.id)

    def add_token(self, row: TokenRow) -> None:
        if any(row.id == other.id or row.digest == other.digest for other in self.tokens.rows.values()):
            raise StoreError(f"token {row.id} is there already")
        self._put(self.tokens, row, row.id)

    def drop_token(self, token: str) -> bool:
        found = (token,) in self.tokens.rows
        self._drop(self.tokens, token)
        return found

    # --- what is over ---

    def event_marks(self, after: int, limit: int) -> list[EventMark]:
        line = self._seqs.of("all")
        first = bisect_right(line, (after,))
        return [_mark(self.events.rows[key]) for key in line[first : first + limit]]

    def drop_event(self, seq: int) -> int:
        for row in self.arrivals(seq):
            self._drop(self.all_arrivals, row.seq, row.dataset, row.partition, row.part)
        self._drop(self.events, seq)
        return 0

    def drop_content(self, source: str, key: str) -> None:
        self._drop(self._contents, source, key)

    def runs_ended(self, after: tuple[float, str], before: float, limit: int) -> list[RunRow]:
        line = self._ended.of("all")
        first = bisect_right(line, after)
        return [self.runs.rows[run_id,] for ended_at, run_id in line[first:][:limit] if ended_at < before]

    def drop_run(self, run_id: str) -> None:
        for table in (self.all_tasks, self._attempts, self._firings, self.runs):
            for key in [key for key in table.rows if key[0] == run_id]:
                self._drop(table, *key)
        for row in [row for row in self.operations.rows.values() if row.run_id == run_id]:
            self._drop(self.operations, row.id)

    def past_run(self, pipeline: str, partition: str) -> PastRunRow | None:
        return self._past_runs.rows.get((pipeline, partition))

    def put_past_run(self, row: PastRunRow) -> None:
        self._put(self._past_runs, row, row.pipeline, row.partition)

    def drop_resolved_alerts(self, before: float, limit: int) -> int:
        over = [
            row
            for row in self.alerts.rows.values()
            if row.opened_at < before and row.resolved_at is not None and row.resolved_at < before
        ]
        gone = sorted(over, key=lambda row: (row.opened_at, row.id))[:limit]
        for row in gone:
            self._drop(self.alerts, row.id)
        return len(gone)

    # --- timers and sensors ---

    def timer(self, key: str) -> TimerRow | None:
        return self._timers.rows.get((key,))

    def put_timer(self, row: TimerRow) -> None:
        self._put(self._timers, row, row.key)

    def drop_timer(self, key: str) -> None:
        self._drop(self._timers, key)

    def due_timers(self, now: float, limit: int) -> list[TimerRow]:
        line = self._due.of("all")
        due = bisect_right(line, now, key=lambda place: place[0])
        return [self._timers.rows[key,] for _, key in line[: min(due, limit)]]

    def timers_of(self, kind: str) -> list[TimerRow]:
        found = (row for row in self._timers.rows.values() if row.key.startswith(f"{kind}/"))
        return sorted(found, key=lambda row: row.key)

    def next_timer_at(self) -> float | None:
        line = self._due.of("all")
        return line[0][0] if line else None

    def sensor(self, pipeline: str, name: str) -> SensorRow | None:
        return self.sensors.rows.get((pipeline, name))

    def put_sensor(self, row: SensorRow) -> None:
        self._put(self.sensors, row, row.pipeline, row.name)
