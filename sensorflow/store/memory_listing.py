"""Lists and counts of the rows in memory, for people."""

import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import islice

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
from sensorflow.store.memory_state import MemoryState


class MemoryListing:
    """Looks through all rows: simple, and fast enough for what fits into memory."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

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
        newest_first = sorted(self._state.runs.rows.values(), key=lambda run: run.id, reverse=True)
        found = (
            run
            for run in newest_first
            if pipeline in (None, run.pipeline)
            and partition in (None, run.partition)
            and state in (None, run.state)
            and (backfill is None or run.backfill == backfill != "")
            and (before is None or run.id < before)
        )
        return list(islice(found, limit))

    def runs_by_partition(self, pipeline: str, *, before: str | None, limit: int) -> list[RunRow]:
        runs = (run for run in self._state.runs.rows.values() if run.pipeline == pipeline and run.partition)
        highest_first = sorted(runs, key=lambda run: run.partition, reverse=True)
        return [run for run in highest_first if before is None or run.partition < before][:limit]

    def last_run(self, pipeline: str) -> RunRow | None:
        newest = self.runs(pipeline=pipeline, partition=None, state=None, before=None, limit=1)
        return newest[0] if newest else None

    def run_counts(self, pipeline: str) -> dict[RunState, int]:
        return dict(Counter(run.state for run in self._state.runs.rows.values() if run.pipeline == pipeline))

    def backfill_counts(self, backfill: str) -> dict[RunState, int]:
        runs = self._state.runs.rows.values()
        return dict(Counter(run.state for run in runs if run.backfill == backfill != ""))

    def task_counts(self, pipeline: str) -> dict[TaskState, int]:
        tasks = self._state.all_tasks.rows.values()
        return dict(Counter(task.state for task in tasks if task.pipeline == pipeline))

    def queued_count(self) -> int:
        return sum(map(len, self._state.queue.all().values()))

    def running_count(self) -> int:
        return self._state.running_count(None)

    def events(
        self,
        *,
        after: int,
        dataset: str | None,
        state: EventState | None,
        limit: int,
        before: int | None = None,
    ) -> list[EventRow]:
        found = (
            row
            for (seq,), row in sorted(self._state.events.rows.items(), reverse=before is not None)
            if seq > after
            and (before is None or seq < before)
            and state in (None, row.state)
            and (dataset is None or any(arrival.dataset == dataset for arrival in self.arrivals(seq)))
        )
        return list(islice(found, limit))

    def event_counts(self, instants: Sequence[float]) -> list[tuple[int, int]]:
        counts = [[0, 0] for _ in instants]
        for row in self._state.events.rows.values():
            if (place := bisect_right(instants, row.received_at)) > 0:
                counts[place - 1][0] += 1
                counts[place - 1][1] += row.state is EventState.REJECTED
        return [(events, rejected) for events, rejected in counts[:-1]]

    def arrivals(self, seq: int) -> list[ArrivalRow]:
        return self._state.arrivals(seq)

    def partitions(self, dataset: str, *, after: str | None, limit: int) -> list[PartitionRow]:
        highest_first = reversed(self._state.partitions_of_dataset.of(dataset))
        keys = (key for (key,) in highest_first if after is None or key < after)
        return [self._state.all_partitions.rows[dataset, key] for key in islice(keys, limit)]

    def partition_counts(self, dataset: str) -> tuple[int, int]:
        keys = self._state.partitions_of_dataset.of(dataset)
        rows = [self._state.all_partitions.rows[dataset, *key] for key in keys]
        ready = sum(row.ready for row in rows)
        return ready, sum(row.arrivals > 0 for row in rows if not row.ready)

    def newest(self, dataset: str) -> PartitionRow | None:
        return self._state.newest_ready(dataset, None)

    def sensors(self) -> list[SensorRow]:
        return [row for _, row in sorted(self._state.sensors.rows.items())]

    def pipelines(self) -> list[PipelineRow]:
        return [row for _, row in sorted(self._state.pipelines.rows.items())]

    def backfills(
        self, *, before: str | None, limit: int, pipelines: Collection[str] | None = None
    ) -> list[BackfillRow]:
        newest_first = sorted(self._state.backfills.rows.values(), key=lambda row: row.id, reverse=True)
        found = (row for row in newest_first if pipelines is None or row.pipeline in pipelines)
        return [row for row in found if before is None or row.id < before][:limit]

    def alerts(
        self,
        *,
        open_only: bool,
        before: str | None,
        limit: int,
        pipelines: Collection[str] | None = None,
        datasets: Collection[str] = (),
    ) -> list[AlertRow]:
        rows = self._state.alerts.rows
        if before is not None and (before,) not in rows:
            return []
        newest_first = sorted(rows.values(), key=_newest_alert, reverse=True)
        found = (
            row
            for row in newest_first
            if (before is None or _newest_alert(row) < _newest_alert(rows[before,]))
            and not (open_only and row.resolved_at is not None)
            and (
                pipelines is None
                or row.pipeline in pipelines
                or (not row.pipeline and row.dataset in datasets)
            )
        )
        return list(islice(found, limit))

    def operations(self, run_id: str) -> list[OperationRow]:
        rows = self._state.operations.rows.values()
        found = [row for row in rows if row.run_id == run_id != ""]
        return sorted(found, key=lambda row: (row.at, row.id))

    def odd_events_of(
        self, pipeline: str, *, after: int, before: int | None, state: EventState | None, limit: int
    ) -> list[EventRow]:
        found = (
            row
            for row in self.events(after=after, before=before, dataset=None, state=state, limit=sys.maxsize)
            if row.sensor and row.sensor[0] == pipeline and row.state is not EventState.ACCEPTED
        )
        return list(islice(found, limit))

    def tokens(self) -> list[TokenRow]:
        return sorted(self._state.tokens.rows.values(), key=lambda row: (row.created_at, row.id))


def _newest_alert(row: AlertRow) -> tuple[float, str]:
    return row.opened_at, row.id
