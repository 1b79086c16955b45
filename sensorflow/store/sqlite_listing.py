"""Lists and counts of an SQLite database's rows, for people."""

import sqlite3
from typing import Any

from sensorflow.core.messages import EventState
from sensorflow.core.state import ArrivalRow, EventRow, PartitionRow, RunRow, SensorRow
from sensorflow.core.states import RunState, TaskState
from sensorflow.ports import StoreError
from sensorflow.store import queries, tables
from sensorflow.store.sqlite_state import SqliteState
from sensorflow.store.tables import Row, Table

#: Sorts behind every key and id.
_LAST = "\U0010ffff"


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
    ) -> list[RunRow]:
        below = _LAST if before is None else before
        asked = {"partition": partition, "before": below, "limit": limit}
        if pipeline is None and partition is None and state is None:
            return self._rows(tables.RUNS, queries.RUNS_BEFORE, asked)
        pipelines = [found[0] for found in self._fetch(queries.PIPELINES_WITH_RUNS)]
        found: list[RunRow] = []
        for one in pipelines if pipeline is None else [pipeline]:
            if partition:
                run = self._reader.run_of(one, partition)
                if run and run.id < below and state in (None, run.state):
                    found.append(run)
            else:
                # One index holds the runs of each state in order; the pages of all are merged.
                for of_state in RunState if state is None else [state]:
                    page = {**asked, "pipeline": one, "state": of_state.value}
                    found += self._rows(tables.RUNS, queries.RUNS_OF_STATE_BEFORE, page)
        return sorted(found, key=lambda run: run.id, reverse=True)[:limit]

    def last_run(self, pipeline: str) -> RunRow | None:
        newest = self.runs(pipeline=pipeline, partition=None, state=None, before=None, limit=1)
        return newest[0] if newest else None

    def run_counts(self, pipeline: str) -> dict[RunState, int]:
        return {RunState(state): count for state, count in self._fetch(queries.RUN_COUNTS, (pipeline,))}

    def task_counts(self, pipeline: str) -> dict[TaskState, int]:
        return {TaskState(state): count for state, count in self._fetch(queries.TASK_COUNTS, (pipeline,))}

    def queued_count(self) -> int:
        return int(self._fetch(queries.QUEUED_COUNT)[0][0])

    def running_count(self) -> int:
        return self._reader.running_count(None)

    def events(
        self, *, after: int, dataset: str | None, state: EventState | None, limit: int
    ) -> list[EventRow]:
        asked = {"after": after, "dataset": dataset, "state": state and state.value, "limit": limit}
        if dataset is not None:
            query = queries.EVENTS_OF_DATASET_AFTER
        elif state in (None, EventState.ACCEPTED):
            query = queries.EVENTS_AFTER
        else:
            query = queries.ODD_EVENTS_AFTER
        return self._rows(tables.EVENTS, query, asked)

    def arrivals(self, seq: int) -> list[ArrivalRow]:
        return self._rows(tables.ARRIVALS, queries.ARRIVALS_OF_EVENT, (seq,))

    def arrivals_of(self, dataset: str, partition: str, *, limit: int) -> list[ArrivalRow]:
        return self._rows(tables.ARRIVALS, queries.ARRIVALS_OF_PARTITION, (dataset, partition, limit))

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
