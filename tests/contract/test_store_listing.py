"""What every store must list and count for people; each test runs against all of them."""

from typing import Any

from sensorflow.core.messages import EventState
from sensorflow.core.state import PipelineRow, State
from sensorflow.core.states import RunState, TaskState
from sensorflow.ports import Store
from tests.store_rows import (
    alert_row,
    arrival_row,
    attempt_row,
    backfill_row,
    event_row,
    operation_row,
    partition_row,
    run_row,
    sensor_row,
    task_row,
)


async def test_runs_are_listed_newest_first_by_what_is_asked(store: Store, state: State) -> None:
    state.put_run(run_row("r1", partition="d1", state=RunState.SUCCEEDED))
    state.put_run(run_row("r2", partition="d2"))
    state.put_run(run_row("r3", partition="d1", pipeline="other"))
    state.put_run(run_row("r4", partition="", pipeline="whole"))
    state.put_run(run_row("r5", partition="d5", state=RunState.FAILED))
    state.put_task(task_row("r1", "load"))
    state.put_task(task_row("r1", "join", state=TaskState.BLOCKED))
    state.put_attempt(attempt_row("r1", "load"))
    await store.commit()

    def ids(before: str | None = None, limit: int = 10, **asked: Any) -> str:
        wanted = {"pipeline": None, "partition": None, "state": None, **asked}
        return " ".join(run.id for run in store.listing.runs(before=before, limit=limit, **wanted))

    assert ids() == "r5 r4 r3 r2 r1"
    assert ids(before="r4", limit=2) == "r3 r2"
    assert ids(pipeline="daily_sales") == "r5 r2 r1"
    assert ids(pipeline="daily_sales", before="r5", limit=1) == "r2"
    assert ids(partition="d1") == "r3 r1"
    assert ids(partition="d1", before="r3") == "r1"
    assert ids(partition="") == "r4"
    assert ids(partition="", pipeline="daily_sales") == ""
    assert ids(state=RunState.WAITING) == "r4 r3 r2"
    assert ids(partition="d1", state=RunState.WAITING) == "r3"
    assert ids(pipeline="absent") == ""
    last = store.listing.last_run("daily_sales")
    assert last and last.id == "r5"
    assert store.listing.last_run("absent") is None
    counts = {RunState.SUCCEEDED: 1, RunState.WAITING: 1, RunState.FAILED: 1}
    assert store.listing.run_counts("daily_sales") == counts
    assert store.listing.task_counts("daily_sales") == {TaskState.QUEUED: 1, TaskState.BLOCKED: 1}
    assert (store.listing.queued_count(), store.listing.running_count()) == (1, 1)


async def test_runs_are_listed_by_partition_the_highest_first(store: Store, state: State) -> None:
    for number, partition in enumerate(["d2", "d3", "", "d1"]):
        state.put_run(run_row(f"r{number}", partition=partition))
    state.put_run(run_row("r9", partition="d9", pipeline="other"))
    await store.commit()

    def listed(before: str | None = None, limit: int = 10) -> list[str]:
        rows = store.listing.runs_by_partition("daily_sales", before=before, limit=limit)
        return [row.partition for row in rows]

    assert listed() == ["d3", "d2", "d1"]
    assert listed(limit=2) == ["d3", "d2"]
    assert listed(before="d2") == ["d1"]


async def test_events_are_counted_between_instants(store: Store, state: State) -> None:
    assert store.listing.event_counts([0.0, 10.0]) == [(0, 0)]
    kinds = [EventState.ACCEPTED, EventState.REJECTED, EventState.UNMATCHED, EventState.REJECTED]
    for seq, (at, kind) in enumerate(zip([5.0, 10.0, 19.5, 30.0], kinds, strict=True), start=1):
        state.add_event(event_row(seq, state=kind)._replace(received_at=at))
    await store.commit()

    assert store.listing.event_counts([0.0, 10.0, 20.0, 30.0, 40.0]) == [(1, 0), (2, 1), (0, 0), (1, 1)]
    assert store.listing.event_counts([6.0, 30.0]) == [(2, 1)]
    assert store.listing.event_counts([40.0, 50.0]) == [(0, 0)]
    assert store.listing.event_counts([0.0]) == []


async def test_events_are_listed_by_number_and_what_is_asked(store: Store, state: State) -> None:
    kinds = [EventState.ACCEPTED, EventState.REJECTED, EventState.ACCEPTED, EventState.UNMATCHED]
    for seq, kind in enumerate(kinds, start=1):
        state.add_event(event_row(seq, state=kind))
    state.add_arrival(arrival_row(1, part="EWR", ready=False))
    state.add_arrival(arrival_row(1, part="JFK"))
    state.add_arrival(arrival_row(3, dataset="fares"))
    state.add_arrival(arrival_row(3))
    await store.commit()

    def seqs(after: int = 0, limit: int = 10, **asked: Any) -> list[int]:
        wanted = {"dataset": None, "state": None, **asked}
        return [row.seq for row in store.listing.events(after=after, limit=limit, **wanted)]

    assert seqs() == [1, 2, 3, 4]
    assert seqs(after=1, limit=2) == [2, 3]
    assert seqs(dataset="orders") == [1, 3]
    assert seqs(dataset="orders", limit=1) == [1]
    assert seqs(dataset="orders", after=1) == [3]
    assert seqs(dataset="fares", state=EventState.REJECTED) == []
    assert seqs(state=EventState.ACCEPTED) == [1, 3]
    assert seqs(state=EventState.REJECTED) == [2]
    assert seqs(state=EventState.UNMATCHED, after=4) == []
    assert seqs(before=9, limit=2) == [4, 3]
    assert seqs(before=4, after=1) == [3, 2]
    assert seqs(before=9, dataset="orders") == [3, 1]
    assert seqs(before=3, dataset="orders", limit=1) == [1]
    assert seqs(before=9, state=EventState.ACCEPTED, limit=1) == [3]
    assert seqs(before=9, state=EventState.REJECTED) == [2]
    assert seqs(before=2, state=EventState.REJECTED) == []
    assert [row.part for row in store.listing.arrivals(1)] == ["EWR", "JFK"]
    assert [row.dataset for row in store.listing.arrivals(3)] == ["fares", "orders"]


async def test_partitions_are_listed_from_the_highest_key_down(store: Store, state: State) -> None:
    for day in range(1, 5):
        state.put_partition(partition_row(f"2013-01-0{day}", start=float(day), version=day % 2))
    state.put_sensor(sensor_row("b", "s"))
    state.put_sensor(sensor_row("a", "z"))
    await store.commit()

    def keys(after: str | None, limit: int) -> list[str]:
        rows = store.listing.partitions("orders", after=after, limit=limit)
        return [row.partition[-2:] for row in rows]

    assert keys(None, 3) == ["04", "03", "02"]
    assert keys("2013-01-02", 3) == ["01"]
    assert store.listing.partition_counts("orders") == (2, 2)
    assert store.listing.partition_counts("absent") == (0, 0)
    newest = store.listing.newest("orders")
    assert newest and newest.partition == "2013-01-03"
    assert [row.pipeline for row in store.listing.sensors()] == ["a", "b"]


async def test_a_withdrawn_partition_counts_as_partial_while_something_of_it_is_there(
    store: Store, state: State
) -> None:
    state.put_partition(partition_row("ready"))
    state.put_partition(partition_row("partial", version=0))
    state.put_partition(partition_row("gone", withdrawn=True, arrivals=0))
    state.put_partition(partition_row("gone before it was ready", version=0, withdrawn=True, arrivals=0))
    state.put_partition(partition_row("coming back", withdrawn=True))
    await store.commit()
    assert store.listing.partition_counts("orders") == (1, 2)


async def test_backfills_are_listed_newest_first_with_their_runs(store: Store, state: State) -> None:
    for id in ("b1", "b3", "b2"):
        state.put_backfill(backfill_row(id))
    state.put_backfill(backfill_row("b1", cancelled_at=5.0))
    for n, kind in enumerate([RunState.WAITING, RunState.RUNNING, RunState.WAITING, RunState.FAILED]):
        state.put_run(run_row(f"r{n}", state=kind, backfill="b1"))
    state.put_run(run_row("r4", pipeline="other", backfill="b2"))
    state.put_run(run_row("r5"))
    await store.commit()
    listing = store.listing
    assert [row.id for row in listing.backfills(before=None, limit=10)] == ["b3", "b2", "b1"]
    assert listing.backfills(before="b2", limit=10) == [backfill_row("b1", cancelled_at=5.0)]
    assert [row.id for row in listing.backfills(before="b3", limit=1)] == ["b2"]
    counts = {RunState.WAITING: 2, RunState.RUNNING: 1, RunState.FAILED: 1}
    assert listing.backfill_counts("b1") == counts
    assert listing.backfill_counts("b3") == listing.backfill_counts("") == {}

    def ids(before: str | None = None, limit: int = 10, backfill: str = "b1", **asked: Any) -> str:
        wanted = {"pipeline": None, "partition": None, "state": None, **asked}
        return " ".join(
            run.id for run in listing.runs(before=before, limit=limit, backfill=backfill, **wanted)
        )

    assert ids() == "r3 r2 r1 r0"
    assert ids(before="r3", limit=2) == "r2 r1"
    assert ids(state=RunState.WAITING) == "r2 r0"
    assert ids(partition="of-r1") == "r1"
    assert ids(pipeline="daily_sales", backfill="b2") == ""
    assert ids(pipeline="other", backfill="b2") == "r4"
    assert ids(backfill="") == ""


async def test_alerts_are_listed_by_when_they_were_opened(store: Store, state: State) -> None:
    state.put_alert(alert_row("late/b", opened_at=20.0))
    state.put_alert(alert_row("failed/z", opened_at=10.0))
    state.put_alert(alert_row("late/a", opened_at=20.0, resolved_at=25.0))
    state.put_alert(alert_row("sensor/a", opened_at=30.0))
    await store.commit()

    def ids(before: str | None = None, limit: int = 10, *, open_only: bool = False) -> list[str]:
        rows = store.listing.alerts(open_only=open_only, before=before, limit=limit)
        return [row.id for row in rows]

    assert ids() == ["sensor/a", "late/b", "late/a", "failed/z"]
    assert ids(limit=2) == ["sensor/a", "late/b"]
    assert ids(before="late/b", limit=1) == ["late/a"]
    assert ids(open_only=True) == ["sensor/a", "late/b", "failed/z"]
    assert ids(before="late/a", open_only=True) == ["failed/z"]
    assert ids(before="absent") == []


async def test_operations_of_a_run_and_words_on_pipelines_are_listed(store: Store, state: State) -> None:
    state.add_operation(operation_row("o3", at=1.0))
    state.add_operation(operation_row("o2", at=2.0))
    state.add_operation(operation_row("o1", at=2.0))
    state.add_operation(operation_row("o4", run_id="r2"))
    state.add_operation(operation_row("o5", run_id=""))
    for name in ("b", "a"):
        state.put_pipeline(PipelineRow(name=name, paused=False, paused_in_file=True))
    state.put_pipeline(PipelineRow(name="b", paused=True, paused_in_file=True))
    await store.commit()
    assert [row.id for row in store.listing.operations("r1")] == ["o3", "o1", "o2"]
    assert store.listing.operations("") == []
    assert [(row.name, row.paused) for row in store.listing.pipelines()] == [("a", False), ("b", True)]
