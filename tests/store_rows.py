"""Rows for the tests of stores: each is whole, and what a test cares about is an argument."""

from sensorflow.core.messages import EventState
from sensorflow.core.state import (
    AlertRow,
    ArrivalRow,
    AttemptRow,
    BackfillRow,
    EventRow,
    OperationRow,
    PartitionRow,
    PartRow,
    RunRow,
    SensorRow,
    State,
    TaskRow,
    TimerRow,
)
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import Event


def event_row(
    seq: int, *, id: str = "", source: str = "/erp", state: EventState = EventState.ACCEPTED
) -> EventRow:
    identity = id or f"event-{seq}"
    event = Event(
        source=source,
        id=identity,
        subject="orders",
        time="2013-03-10T00:00:00Z",
        data={"rows": [1, 2.5, None, "\ud800 ü"], "nested": {"ok": True}},
        extensions={"headers": {"x-a": "b"}},
    )
    return EventRow(
        seq=seq, event=event, id=identity, received_at=1000.5, sensor=("p", "s"), state=state, reason=None
    )


def arrival_row(
    seq: int, *, dataset: str = "orders", partition: str = "2013-03-10", part: str = "", ready: bool = True
) -> ArrivalRow:
    return ArrivalRow(
        seq=seq, dataset=dataset, partition=partition, part=part, version=1, ready=ready, sensor=None
    )


def partition_row(
    partition: str,
    *,
    dataset: str = "orders",
    start: float | None = 0.0,
    version: int = 1,
    last_at: float = 1000.0,
    ready_at: float | None = 1000.0,
    withdrawn: bool = False,
    arrivals: int = 1,
    beside: str = "",
    whole: int = 0,
) -> PartitionRow:
    return PartitionRow(
        dataset=dataset,
        partition=partition,
        start=start,
        version=version,
        arrivals=arrivals,
        first_at=900.0,
        last_at=last_at,
        ready_at=ready_at if version else None,
        withdrawn=withdrawn,
        beside=beside,
        whole=whole,
        whole_seq=whole,
    )


def part_row(part: str, *, partition: str = "2013-03-10", seq: int = 1, version: int = 1) -> PartRow:
    return PartRow(dataset="orders", partition=partition, part=part, version=version, seq=seq)


def run_row(
    id: str,
    *,
    pipeline: str = "daily_sales",
    partition: str | None = None,
    start: float | None = 0.0,
    state: RunState = RunState.WAITING,
    active: bool = False,
    forced: bool = False,
    pending: tuple[str, ...] = (),
    backfill: str = "",
) -> RunRow:
    return RunRow(
        id=id,
        pipeline=pipeline,
        partition=f"of-{id}" if partition is None else partition,
        partition_start=start,
        generation=1,
        state=state,
        active=active,
        stale=False,
        trigger="event",
        created_at=1000.0,
        forced=forced,
        pending=pending,
        backfill=backfill,
    )


def task_row(
    run_id: str,
    task: str,
    *,
    pipeline: str = "daily_sales",
    state: TaskState = TaskState.QUEUED,
    priority: int = 0,
    queued_at: float | None = 1000.0,
    lane: str = "",
    outdated: bool = False,
) -> TaskRow:
    return TaskRow(
        run_id=run_id,
        task=task,
        pipeline=pipeline,
        state=state,
        generation=1,
        priority=priority,
        outdated=outdated,
        lane=lane,
        queued_at=queued_at,
    )


def attempt_row(
    run_id: str,
    task: str,
    number: int = 1,
    *,
    pipeline: str = "daily_sales",
    state: AttemptState = AttemptState.RUNNING,
    token: str | None = None,
) -> AttemptRow:
    return AttemptRow(
        run_id=run_id,
        task=task,
        number=number,
        pipeline=pipeline,
        generation=1,
        state=state,
        started_at=1000.0,
        token=token,
        consumed={"orders": {"2013-03-10": 2}},
    )


def timer_row(key: str, due_at: float) -> TimerRow:
    return TimerRow(
        key=key,
        due_at=due_at,
        kind="quiet",
        run_id="r1",
        task="load",
        dataset="orders",
        partition="2013-03-10",
        after="r0",
    )


def sensor_row(pipeline: str, name: str) -> SensorRow:
    return SensorRow(pipeline=pipeline, name=name, accepted=3, last_event_at=1000.0, last_seq=7)


def backfill_row(id: str, *, cancelled_at: float | None = None) -> BackfillRow:
    return BackfillRow(
        id=id,
        pipeline="daily_sales",
        first="2013-01-01",
        last="2013-01-31",
        only="missing",
        order="oldest",
        max_active=2,
        force=True,
        runs=31,
        created_at=1000.0,
        cancelled_at=cancelled_at,
        reason="the source was mended",
    )


def alert_row(
    id: str, *, cause: str = "", opened_at: float = 1000.0, resolved_at: float | None = None
) -> AlertRow:
    return AlertRow(
        id=id,
        cause=cause or f"late/{id}",
        kind="late",
        text="orders is late",
        dataset="orders",
        partitions=("2013-03-10", "2013-03-11"),
        opened_at=opened_at,
        resolved_at=resolved_at,
    )


def operation_row(id: str, *, run_id: str = "r1", at: float = 1000.0) -> OperationRow:
    return OperationRow(id=id, at=at, kind="retry", run_id=run_id, task="load", reason="disk was full")


def put_event(state: State) -> int:
    """Put an event with all that comes of it, and return its number."""
    seq = state.next_seq()
    state.add_event(event_row(seq))
    state.add_arrival(arrival_row(seq, partition=f"key-{seq:09d}"))
    state.put_part(part_row("", partition=f"key-{seq:09d}", seq=seq))
    state.put_partition(partition_row(f"key-{seq:09d}", start=float(seq)))
    state.put_run(run_row(f"run-{seq:09d}", start=float(seq)))
    return seq
