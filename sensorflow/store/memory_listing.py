"""Lists and counts of the rows in memory, for people."""

from collections import Counter
from itertools import islice

from sensorflow.core.messages import EventState
from sensorflow.core.state import ArrivalRow, EventRow, PartitionRow, RunRow, SensorRow
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
    ) -> list[RunRow]:
        newest_first = sorted(self._state.runs.rows.values(), key=lambda run: run.id, reverse=True)
        found = (
            run
            for run in newest_first
            if pipeline in (None, run.pipeline)
            and partition in (None, run.partition)
            and state in (None, run.state)
            and (before is None or run.id < before)
        )
        return list(islice(found, limit))

    def last_run(self, pipeline: str) -> RunRow | None:
        newest = self.runs(pipeline=pipeline, partition=None, state=None, before=None, limit=1)
        return newest[0] if newest else None

    def run_counts(self, pipeline: str) -> dict[RunState, int]:
        return dict(Counter(run.state for run in self._state.runs.rows.values() if run.pipeline == pipeline))

    def task_counts(self, pipeline: str) -> dict[TaskState, int]:
        tasks = self._state.all_tasks.rows.values()
        return dict(Counter(task.state for task in tasks if task.pipeline == pipeline))

    def queued_count(self) -> int:
        return sum(map(len, self._state.queue.values()))

    def running_count(self) -> int:
        return self._state.running_count(None)

    def events(
        self, *, after: int, dataset: str | None, state: EventState | None, limit: int
    ) -> list[EventRow]:
        found = (
            row
            for (seq,), row in sorted(self._state.events.rows.items())
            if seq > after
            and state in (None, row.state)
            and (dataset is None or any(arrival.dataset == dataset for arrival in self.arrivals(seq)))
        )
        return list(islice(found, limit))

    def arrivals(self, seq: int) -> list[ArrivalRow]:
        places = self._state.arrivals_of_event.get(seq, [])
        return [self._state.arrivals.rows[seq, *place] for place in places]

    def arrivals_of(self, dataset: str, partition: str, *, limit: int) -> list[ArrivalRow]:
        newest_first = self._state.arrivals_of_partition.get((dataset, partition), [])[:limit]
        return [self._state.arrivals.rows[-seq, dataset, partition, part] for seq, part in newest_first]

    def partitions(self, dataset: str, *, after: str | None, limit: int) -> list[PartitionRow]:
        highest_first = reversed(self._state.partitions_of_dataset.get(dataset, []))
        keys = (key for (key,) in highest_first if after is None or key < after)
        return [self._state.all_partitions.rows[dataset, key] for key in islice(keys, limit)]

    def partition_counts(self, dataset: str) -> tuple[int, int]:
        keys = self._state.partitions_of_dataset.get(dataset, [])
        ready = sum(self._state.all_partitions.rows[dataset, *key].ready for key in keys)
        return ready, len(keys) - ready

    def newest(self, dataset: str) -> PartitionRow | None:
        return self._state.newest_ready(dataset, None)

    def sensors(self) -> list[SensorRow]:
        return [row for _, row in sorted(self._state.sensors.rows.items())]
