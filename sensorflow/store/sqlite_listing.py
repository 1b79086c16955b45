"""Lists and counts of an SQLite database's rows, for people."""

import json
import sqlite3
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from sensorflow.core.messages import EventState
from sensorflow.core.state import (
    AlertRow,
    ArrivalRow,
    BackfillRow,
    EventRow,
    OperationRow,
    PartitionRow,
    PipelineRow,
    RunRow,
    SensorRow,
    TokenRow,
)
from sensorflow.core.states import RunState, TaskState
from sensorflow.ports import StoreError
from sensorflow.store import queries, tables
from sensorflow.store.sqlite_state import SqliteState
from sensorflow.store.tables import Row, Table

#: Sorts behind every key and id.
_LAST = "\U0010ffff"
#: Above every number of an event.
_AFTER_ALL = 2**63 - 1


class SqliteListing:
    """What is committed, through a connection that cannot write."""

    def __init__(self, connection: sqlite3.Connection, reader: SqliteState) -> None:
        self._connection = connection
        self._reader = reader

    def _fetch(self, query: str, values: Any = ()) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be read: {error}") from error

    def _rows(self, table: Table[Row], query: str, values: Any = ()) -> list[Row]:
        return [table.load(found) for found in self._fetch(query, values)]

    def runs(
        self,
        *,
        pipeline: str | None,
        partition: str | None,
        state: RunState | None,
        before: str | None,
        limit: int,
        backfill: str | None = None,
    ) -> list[RunRow]:
        below = _LAST if before is None else before
        asked = {"pipeline": pipeline, "partition": partition, "backfill": backfill}
        page = {**asked, "before": below, "limit": limit}
        if pipeline is None and partition is None and state is None and backfill is None:
            return self._rows(tables.RUNS, queries.RUNS_BEFORE, page)
        states = list(RunState) if state is None else [state]
        if backfill is not None:
            found = self._runs_by_state(queries.RUNS_OF_BACKFILL_BEFORE, page, states)
            return _newest_first(found)[:limit]
        pipelines = self._pipelines_with_runs() if pipeline is None else [pipeline]
        if partition:
            runs = (self._reader.run_of(one, partition) for one in pipelines)
            found = [run for run in runs if run and run.id < below and run.state in states]
        else:
            query = queries.RUNS_OF_STATE_BEFORE
            pages = (self._runs_by_state(query, {**page, "pipeline": one}, states) for one in pipelines)
            found = [run for runs_of_one in pages for run in runs_of_one]
        return _newest_first(found)[:limit]

    def _runs_by_state(self, query: str, page: Mapping[str, object], states: list[RunState]) -> list[RunRow]:
        """Return the pages of each state: an index holds the runs of one state in order."""
        pages = (self._rows(tables.RUNS, query, {**page, "state": state.value}) for state in states)
        return [run for runs in pages for run in runs]

    def _pipelines_with_runs(self) -> list[str]:
        return [found[0] for found in self._fetch(queries.PIPELINES_WITH_RUNS)]

    def runs_by_partition(self, pipeline: str, *, before: str | None, limit: int) -> list[RunRow]:
        asked = (pipeline, _LAST if before is None else before, limit)
        return self._rows(tables.RUNS, queries.RUNS_BY_PARTITION_BEFORE, asked)

    def last_run(self, pipeline: str) -> RunRow | None:
        newest = self.runs(pipeline=pipeline, partition=None, state=None, before=None, limit=1)
        return newest[0] if newest else None

    def run_counts(self, pipeline: str) -> dict[RunState, int]:
        return {RunState(state): count for state, count in self._fetch(queries.RUN_COUNTS, (pipeline,))}

    def backfill_counts(self, backfill: str) -> dict[RunState, int]:
        return {RunState(state): count for state, count in self._fetch(queries.BACKFILL_COUNTS, (backfill,))}

    def task_counts(self, pipeline: str) -> dict[TaskState, int]:
        return {TaskState(state): count for state, count in self._fetch(queries.TASK_COUNTS, (pipeline,))}

    def queued_count(self) -> int:
        return int(self._fetch(queries.QUEUED_COUNT)[0][0])

    def running_count(self) -> int:
        return self._reader.running_count(None)

    def events(
        self,
        *,
        after: int,
        dataset: str | None,
        state: EventState | None,
        limit: int,
        before: int | None = None,
    ) -> list[EventRow]:
        below = _AFTER_ALL if before is None else before
        asked = {"after": after, "before": below, "state": state and state.value, "limit": limit}
        newest_first = before is not None
        if dataset is not None:
            query = queries.EVENTS_OF_DATASET_BEFORE if newest_first else queries.EVENTS_OF_DATASET_AFTER
            # An index holds the arrivals that left their partition ready in order, and so the others.
            pages = (
                self._rows(tables.EVENTS, query, {**asked, "dataset": dataset, "ready": ready})
                for ready in (False, True)
            )
            by_seq = {row.seq: row for page in pages for row in page}
            return [by_seq[seq] for seq in sorted(by_seq, reverse=newest_first)[:limit]]
        if state in (None, EventState.ACCEPTED):
            query = queries.EVENTS_BEFORE if newest_first else queries.EVENTS_AFTER
        else:
            query = queries.ODD_EVENTS_BEFORE if newest_first else queries.ODD_EVENTS_AFTER
        return self._rows(tables.EVENTS, query, asked)

    def event_counts(self, instants: Sequence[float]) -> list[tuple[int, int]]:
        first = self._fetch(queries.FIRST_SEQ)[0][0]
        if first is None:
            return [(0, 0) for _ in instants[1:]]
        behind = self._fetch(queries.LAST_SEQ)[0][0] + 1
        seqs: list[int] = []
        for at in instants:
            low = seqs[-1] if seqs else first
            seqs.append(bisect_left(range(behind), at, lo=low, key=self._received_from))
        return [
            (until - since, self._fetch(queries.REJECTED_BETWEEN, (since, until))[0][0])
            for since, until in pairwise(seqs)
        ]

    def _received_from(self, seq: int) -> float:
        """Return when the first event from a number on was received."""
        found = self._fetch(queries.RECEIVED_FROM, (seq,))
        return float(found[0][0]) if found else float("inf")

    def arrivals(self, seq: int) -> list[ArrivalRow]:
        return self._reader.arrivals(seq)

    def partitions(self, dataset: str, *, after: str | None, limit: int) -> list[PartitionRow]:
        asked = (dataset, _LAST if after is None else after, limit)
        return self._rows(tables.PARTITIONS, queries.PARTITIONS_BEFORE, asked)

    def partition_counts(self, dataset: str) -> tuple[int, int]:
        ready = self._fetch(queries.READY_COUNT, (dataset,))[0][0]
        partial = self._fetch(queries.PARTIAL_COUNT, (dataset,))[0][0]
        return ready, partial

    def newest(self, dataset: str) -> PartitionRow | None:
        return self._reader.newest_ready(dataset, None)

    def sensors(self) -> list[SensorRow]:
        return self._rows(tables.SENSORS, queries.ALL_SENSORS)

    def pipelines(self) -> list[PipelineRow]:
        return self._rows(tables.PIPELINES, queries.ALL_PIPELINES)

    def backfills(
        self, *, before: str | None, limit: int, pipelines: Collection[str] | None = None
    ) -> list[BackfillRow]:
        asked = {"before": _LAST if before is None else before, "limit": limit}
        if pipelines is None:
            return self._rows(tables.BACKFILLS, queries.BACKFILLS_BEFORE, asked)
        query = queries.BACKFILLS_OF_PIPELINE_BEFORE
        pages = (self._rows(tables.BACKFILLS, query, {**asked, "pipeline": one}) for one in pipelines)
        found = [row for page in pages for row in page]
        return sorted(found, key=lambda row: row.id, reverse=True)[:limit]

    def alerts(
        self,
        *,
        open_only: bool,
        before: str | None,
        limit: int,
        pipelines: Collection[str] | None = None,
        datasets: Collection[str] = (),
    ) -> list[AlertRow]:
        newest: tuple[float, str] = (float("inf"), "")
        if before is not None:
            (shown,) = self._rows(tables.ALERTS, tables.ALERTS.select, (before,)) or (None,)
            if shown is None:
                return []
            newest = (shown.opened_at, shown.id)
        query = queries.OPEN_ALERTS_BEFORE if open_only else queries.ALERTS_BEFORE
        seen = None if pipelines is None else json.dumps(sorted(pipelines))
        asked = {"opened_at": newest[0], "id": newest[1], "limit": limit}
        asked |= {"pipelines": seen, "datasets": json.dumps(sorted(datasets))}
        return self._rows(tables.ALERTS, query, asked)

    def operations(self, run_id: str) -> list[OperationRow]:
        return self._rows(tables.OPERATIONS, queries.OPERATIONS_OF_RUN, (run_id,))

    def odd_events_of(
        self, pipeline: str, *, after: int, before: int | None, state: EventState | None, limit: int
    ) -> list[EventRow]:
        query = queries.ODD_EVENTS_OF_PIPELINE_AFTER
        if before is not None:
            query = queries.ODD_EVENTS_OF_PIPELINE_BEFORE
        below = _AFTER_ALL if before is None else before
        asked = {"pipeline": pipeline, "after": after, "before": below, "limit": limit}
        return self._rows(tables.EVENTS, query, {**asked, "state": state and state.value})

    def tokens(self) -> list[TokenRow]:
        return self._rows(tables.TOKENS, queries.ALL_TOKENS)


def _newest_first(runs: Iterable[RunRow]) -> list[RunRow]:
    return sorted(runs, key=lambda run: run.id, reverse=True)
