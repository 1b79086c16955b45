"""What a group of decisions changed, for those who watch."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sensorflow.core.messages import Message, Reviewed, SensorReported
from sensorflow.core.state import (
    AlertRow,
    ArrivalRow,
    BackfillRow,
    EventRow,
    PartitionRow,
    PipelineRow,
    RunRow,
    SensorRow,
    State,
    TaskRow,
)
from sensorflow.core.vocabulary import SHARED


@dataclass(slots=True)
class Changes:
    """The rows of one commit, the last of each key."""

    events: dict[int, EventRow] = field(default_factory=dict)
    #: By event: the datasets that it brought something.
    arrivals: dict[int, set[str]] = field(default_factory=dict)
    partitions: dict[tuple[str, str], PartitionRow] = field(default_factory=dict)
    runs: dict[str, RunRow] = field(default_factory=dict)
    #: By run and task.
    tasks: dict[str, dict[str, TaskRow]] = field(default_factory=dict)
    pipelines: dict[str, PipelineRow] = field(default_factory=dict)
    backfills: dict[str, BackfillRow] = field(default_factory=dict)
    alerts: dict[str, AlertRow] = field(default_factory=dict)
    #: Those that brought something, or of which it is known anew how they do.
    sensors: set[tuple[str, str]] = field(default_factory=set)
    #: The files were read again.
    definitions: bool = False

    def note(self, messages: Iterable[Message]) -> None:
        """Add what messages change beside rows."""
        for message in messages:
            if isinstance(message, SensorReported):
                self.sensors.add((message.pipeline or SHARED, message.sensor))
            elif isinstance(message, Reviewed):
                self.definitions = True


class WatchedState:
    """A `State` that notes what is put; all else goes to the one that it stands before."""

    def __init__(self, state: State) -> None:
        self.changes = Changes()
        self._state = state

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def add_event(self, row: EventRow) -> None:
        self._state.add_event(row)
        self.changes.events[row.seq] = row

    def replace_event(self, row: EventRow) -> None:
        self._state.replace_event(row)
        self.changes.events[row.seq] = row

    def add_arrival(self, row: ArrivalRow) -> None:
        self._state.add_arrival(row)
        self.changes.arrivals.setdefault(row.seq, set()).add(row.dataset)

    def put_partition(self, row: PartitionRow) -> None:
        self._state.put_partition(row)
        self.changes.partitions[row.dataset, row.partition] = row

    def put_run(self, row: RunRow) -> None:
        self._state.put_run(row)
        self.changes.runs[row.id] = row

    def put_task(self, row: TaskRow) -> None:
        self._state.put_task(row)
        self.changes.tasks.setdefault(row.run_id, {})[row.task] = row

    def put_pipeline(self, row: PipelineRow) -> None:
        self._state.put_pipeline(row)
        self.changes.pipelines[row.name] = row

    def put_backfill(self, row: BackfillRow) -> None:
        self._state.put_backfill(row)
        self.changes.backfills[row.id] = row

    def put_alert(self, row: AlertRow) -> None:
        self._state.put_alert(row)
        self.changes.alerts[row.id] = row

    def put_sensor(self, row: SensorRow) -> None:
        self._state.put_sensor(row)
        self.changes.sensors.add((row.pipeline, row.name))
