"""The rows of an SQLite database as a `State`."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import Any, TypeAlias

from sensorflow.core.messages import EventState
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
from sensorflow.core.states import TaskState
from sensorflow.ports import StoreError
from sensorflow.store import queries, tables
from sensorflow.store.run_tasks import RunTasks
from sensorflow.store.sqlite_rows import (
    Groups,
    KnownRows,
    Rows,
    RunningAttempts,
    TasksOfRuns,
    shrink_to_limit,
)
from sensorflow.store.tables import IdentityRow, Row, Table
from sensorflow.store.texts import refuse_what_utf8_cannot_hold

#: Up to so many runs are sorted by id; of more, those outside the asked range are skipped over.
_SORTED_RUNS = 2000
_FREE_PAGES = "PRAGMA freelist_count"
_standing = attrgetter(*tables.STANDING)

#: How runs of a pipeline are found: all by id; of a range how many, when few, when many.
_OPEN_RUNS = (
    queries.OPEN_RUNS,
    queries.OPEN_RUNS_BETWEEN_COUNT,
    queries.OPEN_RUNS_BETWEEN,
    queries.OPEN_RUNS_BETWEEN_BY_ID,
)
_ALL_RUNS = (
    queries.RUNS_OF_PIPELINE,
    queries.RUNS_BETWEEN_COUNT,
    queries.RUNS_BETWEEN,
    queries.RUNS_BETWEEN_BY_ID,
)

_Values: TypeAlias = tuple[object, ...] | Mapping[str, object]


class SqliteState:
    """One view of the rows through one connection.

    What is put is collected and written at the commit. A question that is not answered by what is
    known has the tables it concerns written first. Whatever the database refuses is a `StoreError`.

    Args:
        remembers: Nobody else writes: what was read or put is known for the next transactions.
    """

    def __init__(self, connection: sqlite3.Connection, *, remembers: bool = False) -> None:
        self._connection = connection
        self._remembers = remembers
        self._open = False
        #: Rows written since the transaction was opened.
        self.written = 0
        self._seq = self._last_stored_seq()
        self._seq_at_open = self._seq
        self._identities = KnownRows(tables.IDENTITIES)
        self._events = Rows(tables.EVENTS)
        self._arrivals = Rows(tables.ARRIVALS)
        self._partitions = KnownRows(tables.PARTITIONS)
        self._partitions_again = Rows(tables.PARTITIONS_AGAIN)
        self._last_arrivals = KnownRows(tables.LAST_ARRIVALS)
        self._parts = Groups(tables.PARTS)
        self._runs = KnownRows(tables.RUNS)
        self._tasks = TasksOfRuns(tables.TASKS)
        self._attempts = Rows(tables.ATTEMPTS)
        self._firings = Rows(tables.FIRINGS)
        self._timers = Rows(tables.TIMERS)
        self._contents = Rows(tables.CONTENTS)
        self._sensors = Rows(tables.SENSORS)
        self._pipelines = KnownRows(tables.PIPELINES)
        self._watermarks = Rows(tables.WATERMARKS)
        self._backfills = Rows(tables.BACKFILLS)
        self._alerts = Rows(tables.ALERTS)
        self._operations = Rows(tables.OPERATIONS)
        self._tokens = Rows(tables.TOKENS)
        self._past_runs = Rows(tables.PAST_RUNS)
        #: Most stores have none, so nobody need look for each new run. A reader always looks.
        self._has_past_runs = not remembers or bool(self._one(queries.FIRST_PAST_RUN, ()))
        #: Rows dropped since the transaction was opened.
        self.dropped = 0
        #: By pipeline and partition, the id of its run; None where there is none.
        self._run_ids: dict[tuple[str, str], str | None] = {}
        #: The runs that the transaction has made.
        self._made: set[str] = set()
        #: Of a pipeline that was asked for; no run has begun or ceased to be active since.
        self._active_runs: dict[str, list[RunRow]] = {}
        #: None until they are asked for.
        self._running_attempts: RunningAttempts | None = None
        self._all: tuple[Rows[Any], ...] = (
            *(self._identities, self._events, self._arrivals, self._partitions, self._parts, self._runs),
            *(self._tasks, self._attempts, self._firings, self._timers, self._contents, self._sensors),
            *(self._pipelines, self._watermarks, self._backfills, self._alerts, self._operations),
            *(self._tokens, self._past_runs, self._partitions_again, self._last_arrivals),
        )

    # --- the transaction, as the store sees it ---

    @property
    def is_open(self) -> bool:
        """Tell whether rows can be put."""
        return self._open

    def opened(self) -> None:
        """A transaction was begun."""
        self._open = True
        self._seq_at_open = self._seq
        self.written = 0
        self.dropped = 0

    def committed(self) -> None:
        """The transaction is on disk."""
        self._open = False
        for rows in self._all:
            rows.shrink()
        shrink_to_limit(self._run_ids)
        shrink_to_limit(self._active_runs)
        self._made.clear()

    def undone(self) -> None:
        """The transaction was rolled back."""
        self._open = False
        self._seq = self._seq_at_open
        for rows in self._all:
            rows.forget()
        self._run_ids.clear()
        self._made.clear()
        self._active_runs.clear()
        self._running_attempts = None

    def write_all(self) -> None:
        """Write what was put."""
        self._write(*self._all)

    # --- reading and writing ---

    def _one(self, query: str, values: _Values) -> Any:
        try:
            return self._connection.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be read: {error}") from error

    def _select(self, table: Table[Row], query: str, values: _Values) -> list[Row]:
        try:
            return [table.load(found) for found in self._connection.execute(query, values)]
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be read: {error}") from error

    def _row(self, table: Table[Row], query: str, values: _Values) -> Row | None:
        found = self._one(query, values)
        return table.load(found) if found else None

    def _get(self, rows: Rows[Row], *key: object) -> Row | None:
        row = rows.unwritten.get(key)
        return row if row is not None else self._row(rows.table, rows.table.select, key)

    def _get_known(self, rows: KnownRows[Row], *key: object) -> Row | None:
        if not self._remembers:
            return self._get(rows, *key)
        if key not in rows.known:
            rows.known[key] = self._row(rows.table, rows.table.select, key)
        return rows.known[key]

    def _group(self, rows: Groups[Row], *key: object) -> Mapping[str, Row]:
        """Return the rows whose keys begin so, by the last column of their keys."""
        found = rows.known.get(key)
        if found is None:
            last = attrgetter(rows.table.key[-1])
            found = {last(row): row for row in self._select(rows.table, rows.table.select_group, key)}
            if self._remembers:
                rows.known[key] = found
        return found

    def _change(self, query: str, values: _Values) -> int:
        """Change what is written, and return how many rows it concerned."""
        if not self._open:
            raise RuntimeError("a row can be changed only inside a transaction")
        try:
            changed = self._connection.execute(query, values).rowcount
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be written: {error}") from error
        self.written += changed
        return changed

    def _put(self, rows: Rows[Row], row: Row, *key: object) -> None:
        if not self._open:
            raise RuntimeError("a row can be put only inside a transaction")
        rows.unwritten[key] = row

    def _put_known(self, rows: KnownRows[Row], row: Row, *key: object) -> None:
        self._put(rows, row, *key)
        rows.known[key] = row

    def _put_in_group(self, rows: Groups[Row], row: Row, *key: Any) -> None:
        *group, last = key
        there = self._group(rows, *group)
        self._put(rows, row, *key)
        # A new mapping, for who has read the old one keeps it.
        more = {**there, last: row}
        rows.known[(*group,)] = more if last in there or len(more) == 1 else dict(sorted(more.items()))

    def _add(self, rows: Rows[Row], row: Row, *key: object) -> None:
        """Put a row that must not be there yet; the database knows about those that are written."""
        if key in rows.unwritten:
            raise StoreError(f"{rows.table.name} {key} is there already")
        self._put(rows, row, *key)

    def _write(self, *concerned: Rows[Any]) -> None:
        for rows in concerned:
            if not rows.unwritten:
                continue
            table = rows.table
            dumped, place = list(map(table.dump, rows.unwritten.values())), 0
            try:
                for number, statement in table.write.items():
                    while number > 1 and place + number <= len(dumped):
                        some = chain.from_iterable(dumped[place : place + number])
                        self._connection.execute(statement, tuple(some))
                        place += number
                self._connection.executemany(table.write[1], dumped[place:])
            except sqlite3.Error as error:
                raise StoreError(f"{table.name} cannot be written: {error}") from error
            self.written += len(rows.unwritten)
            rows.unwritten.clear()

    # --- events ---

    def foresee(
        self,
        identities: Collection[tuple[str, str]],
        partitions: Collection[tuple[str, str]],
        runs: Collection[tuple[str, str]],
    ) -> None:
        if not self._remembers:
            return
        # What may hold half a character is refused where it is asked for.
        plain = [pair for pair in identities if pair[0].isascii() and pair[1].isascii()]
        self._know(self._identities, queries.IDENTITIES_OF_KEYS, plain)
        self._know(self._partitions, queries.PARTITIONS_OF_PAIRS, partitions)
        unknown = [pair for pair in runs if pair not in self._run_ids]
        found = list(self._select_keys(tables.RUNS, queries.RUNS_OF_PARTITIONS, unknown))
        self._run_ids.update(dict.fromkeys(unknown))  # Only what was asked for in vain is not there.
        for run in found:
            self._run_ids[run.pipeline, run.partition] = run.id
            self._runs.known.setdefault((run.id,), run)
        self._know_tasks([run.id for run in found if run.id not in self._tasks.known])

    def _know(self, rows: KnownRows[Row], query: queries.OfKeys, keys: Iterable[tuple[str, str]]) -> None:
        """Read the rows of keys that are not known yet."""
        unknown = [key for key in keys if key not in rows.known]
        found = list(self._select_keys(rows.table, query, unknown))
        rows.known.update(dict.fromkeys(unknown))
        rows.known.update(zip(map(attrgetter(*rows.table.key), found), found, strict=True))

    def _know_tasks(self, unknown: Sequence[str]) -> None:
        """Read the tasks of runs whose tasks are not known."""
        found: dict[str, list[TaskRow]] = {run: [] for run in unknown}
        for row in self._select_keys(tables.TASKS, queries.TASKS_OF_RUNS, [(run,) for run in unknown]):
            found[row.run_id].append(row)
        self._tasks.known.update({run: RunTasks(rows) for run, rows in found.items()})

    def _select_keys(
        self, table: Table[Row], query: queries.OfKeys, keys: Sequence[tuple[str, ...]]
    ) -> Iterator[Row]:
        for first in range(0, len(keys), queries.NUMBERS[-1]):
            some = keys[first : first + queries.NUMBERS[-1]]
            # Few statements for all numbers of keys: what is left of one asks for the last key again.
            number = next(number for number in queries.NUMBERS if len(some) <= number)
            asked = [*some, *repeat(some[-1], number - len(some))]
            yield from self._select(table, query[number], tuple(chain.from_iterable(asked)))

    def identity(self, source: str, event_id: str) -> int | None:
        refuse_what_utf8_cannot_hold(source, event_id)
        row = self._get_known(self._identities, source, event_id)
        return row.seq if row else None

    def content(self, source: str, key: str) -> ContentRow | None:
        refuse_what_utf8_cannot_hold(source, key)
        return self._get(self._contents, source, key)

    def put_content(self, row: ContentRow) -> None:
        self._put(self._contents, row, row.source, row.key)

    def next_seq(self) -> int:
        if not self._open:
            raise RuntimeError("a number can be taken only inside a transaction")
        self._seq += 1
        return self._seq

    def last_seq(self) -> int:
        self._write(self._events)
        return self._last_stored_seq()

    def _last_stored_seq(self) -> int:
        found = self._one(queries.LAST_SEQ, ())
        return int(found[0]) if found else 0

    def add_event(self, row: EventRow) -> None:
        event = row.event
        refuse_what_utf8_cannot_hold(event.source, row.id, event.type, event.subject, event.time)
        self._add(self._events, row, row.seq)
        identity = IdentityRow(event.source, row.id, row.seq)
        self._add(self._identities, identity, event.source, row.id)
        self._identities.known[event.source, row.id] = identity

    def replace_event(self, row: EventRow) -> None:
        self._write(self._events)
        if not self._change(queries.REPLACE_EVENT, (row.state.value, row.reason, row.seq)):
            raise StoreError(f"event {row.seq} is not there")

    def event(self, seq: int) -> EventRow | None:
        return self._get(self._events, seq)

    def add_arrival(self, row: ArrivalRow) -> None:
        self._put(self._arrivals, row, row.seq, row.dataset, row.partition, row.part)
        last = self._last_arrivals.known.get((row.dataset,))
        if last is None or last.partition != row.partition:
            last = tables.LastArrivalRow(row.dataset, row.partition)
            self._put_known(self._last_arrivals, last, row.dataset)

    def arrivals(self, seq: int) -> list[ArrivalRow]:
        self._write(self._arrivals)
        return self._select(tables.ARRIVALS, queries.ARRIVALS_OF_EVENT, (seq,))

    def ready_arrivals_since(self, dataset: str, seq: int, limit: int) -> int:
        self._write(self._arrivals, self._partitions, self._partitions_again)
        return int(self._one(queries.READY_ARRIVALS_SINCE, (dataset, seq, limit))[0])

    # --- partitions ---

    def partition(self, dataset: str, partition: str) -> PartitionRow | None:
        return self._get_known(self._partitions, dataset, partition)

    def put_partition(self, row: PartitionRow) -> None:
        key = (row.dataset, row.partition)
        before = self._partitions.known.get(key)
        if (
            before is not None
            and key not in self._partitions.unwritten
            and _standing(before) == _standing(row)
        ):
            self._put(self._partitions_again, row, *key)
            self._partitions.known[key] = row
        else:
            self._partitions_again.unwritten.pop(key, None)
            self._put_known(self._partitions, row, *key)

    def partitions(self, dataset: str, keys: Iterable[str]) -> Mapping[str, PartitionRow]:
        wanted = list(keys)
        known = self._partitions.known
        unknown = [key for key in wanted if (dataset, key) not in known]
        found: dict[str, PartitionRow | None] = {}
        if unknown:
            asked = (dataset, json.dumps(unknown))
            rows = self._select(tables.PARTITIONS, queries.PARTITIONS_OF_KEYS, asked)
            found = {**dict.fromkeys(unknown), **{row.partition: row for row in rows}}
            if self._remembers:
                known.update({(dataset, key): row for key, row in found.items()})
        there = ((key, found[key] if key in found else known[dataset, key]) for key in wanted)
        return {key: row for key, row in there if row is not None}

    def newest_ready(
        self, dataset: str, not_after: float | None, beside: str | None = None
    ) -> PartitionRow | None:
        self._write(self._partitions, self._partitions_again)
        table = tables.PARTITIONS
        bound = float("inf") if not_after is None else not_after
        if beside is not None:
            return self._row(table, queries.NEWEST_READY_BESIDE, (dataset, beside, bound))
        newest = self._row(table, queries.NEWEST_READY, (dataset, bound))
        return newest or self._row(table, queries.NEWEST_READY_WITHOUT_BOUNDS, (dataset,))

    def newest_arrival(self, dataset: str) -> PartitionRow | None:
        last = self._get_known(self._last_arrivals, dataset)
        return self.partition(dataset, last.partition) if last is not None else None

    def parts(self, dataset: str, partition: str) -> Mapping[str, PartRow]:
        return self._group(self._parts, dataset, partition)

    def put_part(self, row: PartRow) -> None:
        refuse_what_utf8_cannot_hold(row.part)
        partition = (row.dataset, row.partition)
        if self._partitions.known.get(partition, row) is None:
            self._parts.known.setdefault(partition, {})  # Nothing is there of what is not there.
        self._put_in_group(self._parts, row, *partition, row.part)

    def drop_parts(self, dataset: str, partition: str, part: str | None) -> None:
        self._write(self._parts)
        self._parts.known.pop((dataset, partition), None)
        if part is None:
            self._change(queries.DROP_PARTS, (dataset, partition))
        else:
            self._change(queries.DROP_PART, (dataset, partition, part))

    # --- runs ---

    def run(self, run_id: str) -> RunRow | None:
        return self._get_known(self._runs, run_id)

    def run_of(self, pipeline: str, partition: str) -> RunRow | None:
        if not partition:
            self._write(self._runs)
            return self._row(tables.RUNS, queries.NEWEST_RUN_WITHOUT_PARTITION, (pipeline,))
        if not self._remembers:
            self._write(self._runs)
            return self._row(tables.RUNS, queries.RUN_OF, (pipeline, partition))
        if (pipeline, partition) not in self._run_ids:
            # What was put is in `_run_ids`, so the database knows of all that is not.
            row = self._row(tables.RUNS, queries.RUN_OF, (pipeline, partition))
            self._run_ids[pipeline, partition] = row.id if row else None
            if row is not None:
                self._runs.known.setdefault((row.id,), row)
        run_id = self._run_ids[pipeline, partition]
        return self.run(run_id) if run_id is not None else None

    def put_run(self, row: RunRow) -> None:
        if self._run_ids.get((row.pipeline, row.partition), row.id) is None:
            self._made.add(row.id)
            self._tasks.known.setdefault(row.id, RunTasks())
        if self._active_runs and (row.active or self._may_be_active(row.id)):
            self._active_runs.clear()
        self._put_known(self._runs, row, row.id)
        self._run_ids[row.pipeline, row.partition] = row.id

    def open_runs(
        self, pipeline: str, *, since: float | None, before: float | None, after: str, limit: int
    ) -> list[RunRow]:
        return self._runs_between(_OPEN_RUNS, pipeline, since, before, after, limit)

    def runs_between(
        self, pipeline: str, *, since: float | None, before: float | None, after: str, limit: int
    ) -> list[RunRow]:
        return self._runs_between(_ALL_RUNS, pipeline, since, before, after, limit)

    def _runs_between(
        self,
        ways: tuple[str, str, str, str],
        pipeline: str,
        since: float | None,
        before: float | None,
        after: str,
        limit: int,
    ) -> list[RunRow]:
        self._write(self._runs)
        all_by_id, count, when_few, when_many = ways
        asked = {
            "pipeline": pipeline,
            "since": float("-inf") if since is None else since,
            "before": float("inf") if before is None else before,
            "after": after,
            "limit": limit,
            "enough": _SORTED_RUNS,
        }
        if since is None and before is None:
            return self._select(tables.RUNS, all_by_id, asked)
        few = self._one(count, asked)[0] < _SORTED_RUNS
        return self._select(tables.RUNS, when_few if few else when_many, asked)

    def backfill_runs(self, backfill: str, *, after: str, limit: int) -> list[RunRow]:
        self._write(self._runs)
        asked = {"backfill": backfill, "after": after, "limit": limit}
        return self._select(tables.RUNS, queries.BACKFILL_RUNS, asked)

    def active_runs(self, pipeline: str) -> list[RunRow]:
        found = self._active_runs.get(pipeline)
        if found is None:
            self._write(self._runs)
            found = self._select(tables.RUNS, queries.ACTIVE_RUNS, (pipeline,))
            if self._remembers:
                self._active_runs[pipeline] = found
        return found

    def _may_be_active(self, run_id: str) -> bool:
        run = self._runs.known.get((run_id,))
        return run is None or run.active

    # --- tasks and attempts ---

    def tasks(self, run_id: str) -> Mapping[str, TaskRow]:
        return self._tasks_of(run_id).all()

    def tasks_by_state(self, run_id: str) -> Mapping[TaskState, Collection[str]]:
        return self._tasks_of(run_id).by_state()

    def task(self, run_id: str, task: str) -> TaskRow | None:
        return self._tasks_of(run_id).get(task)

    def put_task(self, row: TaskRow) -> None:
        there = self._tasks_of(row.run_id)
        self._put(self._tasks, row, row.run_id, row.task)
        there.put(row)

    def _tasks_of(self, run_id: str) -> RunTasks:
        found = self._tasks.known.get(run_id)
        if found is None:
            found = RunTasks(self._select(tables.TASKS, tables.TASKS.select_group, (run_id,)))
            if self._remembers:
                self._tasks.known[run_id] = found
        return found

    def queued_lanes(self) -> list[tuple[str, str]]:
        self._write(self._tasks)
        lanes: list[tuple[str, str]] = []
        asked = {"pipeline": "", "lane": ""}
        while found := self._one(queries.NEXT_QUEUED_LANE, asked):
            lanes.append((found[0], found[1]))
            asked = {"pipeline": found[0], "lane": found[1]}
        return lanes

    def next_queued(self, pipeline: str, lane: str, run_id: str | None) -> TaskRow | None:
        self._write(self._tasks)
        if run_id is None:
            return self._row(tables.TASKS, queries.NEXT_QUEUED, (pipeline, lane))
        return self._row(tables.TASKS, queries.NEXT_QUEUED_OF_RUN, (pipeline, lane, run_id))

    def running(self) -> list[AttemptRow]:
        self._write(self._attempts)
        return self._select(tables.ATTEMPTS, queries.RUNNING, ())

    def running_count(self, pipeline: str | None) -> int:
        if self._remembers:
            if self._running_attempts is None:
                self._running_attempts = RunningAttempts(self.running())
            running = self._running_attempts
            return len(running.rows) if pipeline is None else running.of_pipeline[pipeline]
        if pipeline is None:
            return int(self._one(queries.RUNNING_COUNT, ())[0])
        return int(self._one(queries.RUNNING_COUNT_OF, (pipeline,))[0])

    def attempt(self, run_id: str, task: str, number: int) -> AttemptRow | None:
        if self._running_attempts is not None:
            running = self._running_attempts.rows.get((run_id, task, number))
            if running is not None:
                return running
        return self._get(self._attempts, run_id, task, number)

    def attempts(self, run_id: str) -> list[AttemptRow]:
        self._write(self._attempts)
        return self._select(tables.ATTEMPTS, queries.ATTEMPTS_OF, (run_id,))

    def put_attempt(self, row: AttemptRow) -> None:
        self._put(self._attempts, row, row.run_id, row.task, row.number)
        if self._running_attempts is not None:
            self._running_attempts.put(row)

    def attempt_of(self, token: str) -> AttemptRow | None:
        refuse_what_utf8_cannot_hold(token)
        self._write(self._attempts)
        return self._row(tables.ATTEMPTS, queries.ATTEMPT_OF_TOKEN, (token,))

    def firing(self, run_id: str, generation: int, task: str) -> FiringRow | None:
        return self._get(self._firings, run_id, generation, task)

    def add_firing(self, row: FiringRow) -> None:
        key = (row.run_id, row.generation, row.task)
        # Of a run that this transaction has made the database knows nothing.
        is_there = (
            key in self._firings.unwritten if row.run_id in self._made else self._get(self._firings, *key)
        )
        if is_there:
            raise DoubleFiringError(f"{row.task} of run {row.run_id}, generation {row.generation}")
        self._put(self._firings, row, *key)

    # --- pipelines, backfills, alerts, operations ---

    def pipeline(self, name: str) -> PipelineRow | None:
        return self._get_known(self._pipelines, name)

    def put_pipeline(self, row: PipelineRow) -> None:
        self._put_known(self._pipelines, row, row.name)

    def watermark(self, pipeline: str, task: str, dataset: str) -> int:
        row = self._get(self._watermarks, pipeline, task, dataset)
        return row.seq if row else 0

    def put_watermark(self, row: WatermarkRow) -> None:
        self._put(self._watermarks, row, row.pipeline, row.task, row.dataset)

    def backfill(self, backfill: str) -> BackfillRow | None:
        return self._get(self._backfills, backfill)

    def put_backfill(self, row: BackfillRow) -> None:
        self._put(self._backfills, row, row.id)

    def open_alert(self, cause: str) -> AlertRow | None:
        self._write(self._alerts)
        return self._row(tables.ALERTS, queries.OPEN_ALERT, (cause,))

    def put_alert(self, row: AlertRow) -> None:
        self._put(self._alerts, row, row.id)

    def add_operation(self, row: OperationRow) -> None:
        self._add(self._operations, row, row.id)

    def add_token(self, row: TokenRow) -> None:
        self._add(self._tokens, row, row.id)

    def drop_token(self, token: str) -> bool:
        self._write(self._tokens)
        return self._change(queries.FORGET_TOKEN, (token,)) > 0

    # --- what is over ---

    def event_marks(self, after: int, limit: int) -> list[EventMark]:
        self._write(self._events)
        try:
            found = self._connection.execute(queries.EVENT_MARKS, (after, limit)).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be read: {error}") from error
        return [EventMark(seq, source, key, at, EventState(state)) for seq, source, key, at, state in found]

    def drop_event(self, seq: int) -> int:
        self._write(self._events, self._arrivals)
        before: int = self._one(_FREE_PAGES, ())[0]
        self.dropped += self._change(queries.DROP_EVENT, (seq,))
        self.dropped += self._change(queries.DROP_ARRIVALS, (seq,))
        return int(self._one(_FREE_PAGES, ())[0]) - before

    def drop_content(self, source: str, key: str) -> None:
        self._write(self._contents)
        self.dropped += self._change(queries.DROP_CONTENT, (source, key))

    def runs_ended(self, after: tuple[float, str], before: float, limit: int) -> list[RunRow]:
        self._write(self._runs)
        return self._select(tables.RUNS, queries.RUNS_ENDED, (*after, before, limit))

    def drop_run(self, run_id: str) -> None:
        run = self.run(run_id)
        self._write(self._runs, self._tasks, self._attempts, self._firings, self._operations)
        for query in queries.DROP_RUN:
            self.dropped += self._change(query, (run_id,))
        self._runs.known.pop((run_id,), None)
        self._active_runs.clear()
        self._running_attempts = None
        self._tasks.known.pop(run_id, None)
        if run is not None:
            self._run_ids.pop((run.pipeline, run.partition), None)

    def past_run(self, pipeline: str, partition: str) -> PastRunRow | None:
        return self._get(self._past_runs, pipeline, partition) if self._has_past_runs else None

    def put_past_run(self, row: PastRunRow) -> None:
        self._has_past_runs = True
        self._put(self._past_runs, row, row.pipeline, row.partition)

    def drop_resolved_alerts(self, before: float, limit: int) -> int:
        self._write(self._alerts)
        dropped = self._change(queries.DROP_RESOLVED_ALERTS, {"before": before, "limit": limit})
        self.dropped += dropped
        return dropped

    # --- timers and sensors ---

    def timer(self, key: str) -> TimerRow | None:
        return self._get(self._timers, key)

    def put_timer(self, row: TimerRow) -> None:
        self._put(self._timers, row, row.key)

    def drop_timer(self, key: str) -> None:
        self._change(queries.DROP_TIMER, (key,))
        self._timers.unwritten.pop((key,), None)

    def due_timers(self, now: float, limit: int) -> list[TimerRow]:
        self._write(self._timers)
        return self._select(tables.TIMERS, queries.DUE_TIMERS, (now, limit))

    def timers_of(self, kind: str) -> list[TimerRow]:
        self._write(self._timers)
        # The sign behind the slash ends what begins with both.
        return self._select(tables.TIMERS, queries.TIMERS_BETWEEN, (f"{kind}/", f"{kind}0"))

    def next_timer_at(self) -> float | None:
        self._write(self._timers)
        at: float | None = self._one(queries.NEXT_TIMER_AT, ())[0]
        return at

    def sensor(self, pipeline: str, name: str) -> SensorRow | None:
        return self._get(self._sensors, pipeline, name)

    def put_sensor(self, row: SensorRow) -> None:
        self._put(self._sensors, row, row.pipeline, row.name)
