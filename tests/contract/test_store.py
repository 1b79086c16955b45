"""What every store must do with transactions, events, partitions and runs; each test runs against all."""

from typing import Any

import pytest

from sensorflow.core.messages import EventState
from sensorflow.core.state import ContentRow, FiringRow, PipelineRow, State, WatermarkRow
from sensorflow.core.states import RunState, TaskState
from sensorflow.ports import Store, StoreError
from sensorflow.store.memory import MemoryStore
from tests.store_answers import answers
from tests.store_rows import (
    alert_row,
    arrival_row,
    attempt_row,
    backfill_row,
    event_row,
    operation_row,
    part_row,
    partition_row,
    put_event,
    run_row,
    sensor_row,
    task_row,
    timer_row,
)


async def test_what_is_put_is_seen_before_and_after_the_commit(store: Store, state: State) -> None:
    rows: dict[str, Any] = {
        "event": event_row(1),
        "partition": partition_row("2013-03-10", withdrawn=True),
        "run": run_row("r1", forced=True, pending=("load", "join"), backfill="b1"),
        "task": task_row("r1", "load", lane="b1", outdated=True),
        "attempt": attempt_row("r1", "load", token="secret"),
        "sensor": sensor_row("p", "s"),
        "content": ContentRow(source="/mqtt", key="topic", digest="d", seq=1, expires_at=5.0),
        "timer": timer_row("quiet/orders/2013-03-10", 5.0),
        "pipeline": PipelineRow(name="p", paused=True, paused_in_file=False),
        "backfill": backfill_row("b1"),
        "alert": alert_row("a1", cause="late/orders"),
        "watermark": WatermarkRow(pipeline="p", task="load", dataset="orders", seq=7),
    }
    state.add_event(rows["event"])
    state.put_partition(rows["partition"])
    state.put_run(rows["run"])
    state.put_task(rows["task"])
    state.put_attempt(rows["attempt"])
    state.put_sensor(rows["sensor"])
    state.put_content(rows["content"])
    state.put_timer(rows["timer"])
    state.put_pipeline(rows["pipeline"])
    state.put_backfill(rows["backfill"])
    state.put_alert(rows["alert"])
    state.put_watermark(rows["watermark"])

    def read(view: State) -> dict[str, object]:
        assert view.identity("/erp", "event-1") == 1
        return {
            "event": view.event(1),
            "partition": view.partition("orders", "2013-03-10"),
            "run": view.run("r1"),
            "task": view.task("r1", "load"),
            "attempt": view.attempt("r1", "load", 1),
            "sensor": view.sensor("p", "s"),
            "content": view.content("/mqtt", "topic"),
            "timer": view.timer("quiet/orders/2013-03-10"),
            "pipeline": view.pipeline("p"),
            "backfill": view.backfill("b1"),
            "alert": view.open_alert("late/orders"),
            "watermark": rows["watermark"]._replace(seq=view.watermark("p", "load", "orders")),
        }

    assert read(state) == rows
    await store.commit()
    assert read(store.reader) == rows


def test_what_was_never_put_is_not_there(state: State) -> None:
    assert state.identity("/erp", "x") is None
    assert state.event(1) is None
    assert state.partition("orders", "x") is None
    assert state.partitions("orders", ["x"]) == {}
    assert state.newest_ready("orders", None) is None
    assert state.newest_arrival("orders") is None
    assert state.parts("orders", "x") == {}
    assert state.run("x") is None
    assert state.run_of("p", "x") is None
    assert state.run_of("p", "") is None
    assert state.task("x", "load") is None
    assert state.tasks("x") == {}
    assert state.runs_between("p", since=None, before=None, after="", limit=5) == []
    assert state.backfill_runs("x", after="", limit=5) == []
    assert state.queued_lanes() == []
    assert state.next_queued("p", "", None) is None
    assert state.running() == []
    assert state.attempts("x") == []
    assert state.attempt_of("x") is None
    assert state.last_seq() == 0
    assert state.arrivals(1) == []
    assert state.ready_arrivals_since("orders", 0, 5) == 0
    assert state.pipeline("p") is None
    assert state.watermark("p", "load", "orders") == 0
    assert state.backfill("x") is None
    assert state.open_alert("x") is None
    assert state.timer("x") is None
    assert state.next_timer_at() is None
    assert state.due_timers(1e12, 10) == []
    assert state.sensor("p", "s") is None
    assert state.content("/mqtt", "x") is None
    state.drop_timer("x")
    state.drop_parts("orders", "x", None)


async def test_a_rollback_takes_back_all_that_was_put(store: Store, state: State) -> None:
    put_event(state)
    state.put_part(part_row("EWR"))
    state.put_alert(alert_row("a1", cause="late/orders"))
    state.put_timer(timer_row("kept", 5.0))
    state.put_task(task_row("r1", "load"))
    await store.commit()
    before = answers(store.reader, store)

    again = store.begin()
    assert put_event(again) == 2
    again.put_partition(partition_row("key-000000001", version=7))
    again.put_task(task_row("r1", "load", state=TaskState.SUCCEEDED))
    again.put_attempt(attempt_row("r1", "load"))
    again.put_timer(timer_row("new", 1.0))
    again.drop_timer("kept")
    again.add_firing(FiringRow(run_id="r1", generation=1, task="load", fired_at=1.0))
    again.replace_event(event_row(1, state=EventState.REJECTED))
    again.drop_parts("orders", "2013-03-10", None)
    again.put_alert(alert_row("a1", cause="late/orders", resolved_at=9.0))
    again.put_alert(alert_row("a2", cause="late/orders"))
    again.add_operation(operation_row("o1"))
    again.put_pipeline(PipelineRow(name="daily_sales", paused=True, paused_in_file=False))
    again.put_backfill(backfill_row("b1"))
    again.put_watermark(WatermarkRow(pipeline="p", task="load", dataset="orders", seq=7))
    assert again.next_timer_at() == 1.0
    assert again.queued_lanes() == []
    assert again.last_seq() == 2
    store.rollback()

    assert answers(store.reader, store) == before
    once_more = store.begin()
    assert once_more.last_seq() == 1
    assert once_more.next_seq() == 2
    once_more.add_operation(operation_row("o1"))
    once_more.add_firing(FiringRow(run_id="r1", generation=1, task="load", fired_at=1.0))
    assert once_more.next_queued("daily_sales", "", None) == task_row("r1", "load")


def test_rows_are_put_only_inside_a_transaction(store: Store) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        store.reader.put_run(run_row("r1"))
    with pytest.raises(RuntimeError, match="transaction"):
        store.reader.next_seq()
    with pytest.raises(RuntimeError, match="transaction"):
        store.reader.drop_timer("x")
    with pytest.raises(RuntimeError, match="transaction"):
        store.reader.add_operation(operation_row("o1"))


async def test_there_is_one_transaction_at_a_time(store: Store, state: State) -> None:
    with pytest.raises(RuntimeError, match="open already"):
        store.begin()
    await store.commit()
    with pytest.raises(RuntimeError, match="no transaction"):
        await store.commit()
    store.rollback()
    store.begin()


def test_instance_tells_stores_apart(store: Store) -> None:
    assert store.instance == store.instance != MemoryStore().instance


def test_an_identity_is_kept_once(store: Store, state: State) -> None:
    state.add_event(event_row(1, id="same"))
    with pytest.raises(StoreError):
        state.add_event(event_row(2, id="same"))
    state.add_event(event_row(3, id="same", source="/other"))


async def test_an_identity_of_an_earlier_transaction_is_not_replaced(store: Store, state: State) -> None:
    state.add_event(event_row(1, id="same"))
    await store.commit()

    async def add_again() -> None:
        store.begin().add_event(event_row(2, id="same"))
        await store.commit()

    with pytest.raises(StoreError):
        await add_again()
    store.rollback()
    assert store.reader.identity("/erp", "same") == 1


def test_numbers_count_up(state: State) -> None:
    assert [state.next_seq() for _ in range(3)] == [1, 2, 3]


async def test_the_last_number_is_that_of_the_newest_event(store: Store, state: State) -> None:
    for seq in (1, 2):
        put_event(state)
        assert state.last_seq() == seq
    await store.commit()
    assert store.reader.last_seq() == 2


async def test_a_redriven_event_changes_its_state_and_reason_and_nothing_else(
    store: Store, state: State
) -> None:
    rejected = event_row(1, state=EventState.REJECTED)._replace(reason="no date in it")
    state.add_event(rejected)
    state.replace_event(rejected._replace(reason="still no date in it"))
    assert state.event(1) == rejected._replace(reason="still no date in it")
    await store.commit()
    again = store.begin()
    again.replace_event(event_row(1, id="other")._replace(received_at=5.0))
    await store.commit()
    assert store.reader.event(1) == event_row(1)
    assert store.listing.events(after=0, dataset=None, state=EventState.REJECTED, limit=5) == []
    with pytest.raises(StoreError, match="event 2 is not there"):
        store.begin().replace_event(event_row(2))


_HALF = "half-\ud800"


def test_text_that_is_no_unicode_is_refused_as_such(state: State) -> None:
    event = event_row(1)
    for change in ({"source": _HALF}, {"subject": _HALF}, {"time": _HALF}, {"type": _HALF}):
        with pytest.raises(ValueError, match=r'surrogate pair in "half-\\ud800"'):
            state.add_event(event._replace(event=event.event._replace(**change)))
    for refused in (
        lambda: state.add_event(event_row(1, id=_HALF)),
        lambda: state.identity("/erp", _HALF),
        lambda: state.content(_HALF, "key"),
        lambda: state.put_part(part_row(_HALF)),
        lambda: state.attempt_of(_HALF),
    ):
        with pytest.raises(ValueError, match="surrogate pair"):
            refused()
    state.add_event(event)
    state.put_part(part_row("Zürich \U0001f3d4"))


def test_arrivals_of_an_event_come_by_dataset_partition_and_part(state: State) -> None:
    rows = [arrival_row(1, dataset=dataset, part=part) for dataset in "ab" for part in ("EWR", "JFK")]
    for row in reversed(rows):
        state.add_arrival(row)
    state.add_arrival(arrival_row(2))
    assert state.arrivals(1) == rows


def test_arrivals_that_left_their_partition_ready_are_counted_above_a_number(state: State) -> None:
    state.add_arrival(arrival_row(1))
    state.add_arrival(arrival_row(2, ready=False))
    state.add_arrival(arrival_row(3, partition="a"))
    state.add_arrival(arrival_row(3, partition="b"))
    state.add_arrival(arrival_row(4, dataset="fares"))
    counts = [state.ready_arrivals_since("orders", seq, 10) for seq in range(4)]
    assert counts == [3, 2, 2, 0]
    assert state.ready_arrivals_since("orders", 0, 2) == 2
    assert state.ready_arrivals_since("absent", 0, 2) == 0


def test_the_newest_ready_partition_is_found_not_after_a_bound(state: State) -> None:
    for day in range(5):
        state.put_partition(partition_row(f"2013-01-0{day + 1}", start=float(day), version=day != 4))
    for bound, day in ((None, "04"), (2.0, "03"), (2.5, "03"), (99.0, "04")):
        newest = state.newest_ready("orders", bound)
        assert newest and newest.partition == f"2013-01-{day}"
    assert state.newest_ready("orders", -1.0) is None
    state.put_partition(partition_row("2013-01-04", start=3.0, version=0))
    newest = state.newest_ready("orders", None)
    assert newest and newest.partition == "2013-01-03"


def test_the_newest_ready_partition_is_found_among_those_of_the_same_other_keys(state: State) -> None:
    for day, region in ((1, "eu"), (2, "us"), (3, "eu"), (4, "us")):
        state.put_partition(partition_row(f"2013-01-0{day}|{region}", start=float(day), beside=region))
    for bound, partition in ((None, "2013-01-03|eu"), (2.0, "2013-01-01|eu"), (0.0, None)):
        newest = state.newest_ready("orders", bound, "eu")
        assert (newest.partition if newest else None) == partition
    state.put_partition(partition_row("2013-01-03|eu", start=3.0, version=0, beside="eu"))
    newest = state.newest_ready("orders", None, "eu")
    assert newest and newest.partition == "2013-01-01|eu"
    state.put_partition(partition_row("b|eu", start=None, beside="b|eu"))
    newest = state.newest_ready("orders", 0.0, "b|eu")
    assert newest and newest.partition == "b|eu"
    assert state.newest_ready("orders", None, "asia") is None


def test_of_partitions_without_bounds_the_newest_is_the_one_that_became_ready_last(state: State) -> None:
    state.put_partition(partition_row("a", start=None, ready_at=30.0))
    state.put_partition(partition_row("b", start=None, ready_at=20.0))
    state.put_partition(partition_row("c", start=None, version=0))
    for bound in (None, 5.0):
        newest = state.newest_ready("orders", bound)
        assert newest and newest.partition == "a"


def test_a_withdrawn_partition_is_not_ready_until_its_next_arrival(state: State) -> None:
    for start in (0.0, None):
        state.put_partition(partition_row("a", start=start, ready_at=10.0))
        state.put_partition(partition_row("b", start=start and 1.0, ready_at=20.0, withdrawn=True))
        newest = state.newest_ready("orders", None)
        assert newest and newest.partition == "a"
        state.put_partition(partition_row("a", start=start, withdrawn=True))
        assert state.newest_ready("orders", None) is None
        state.put_partition(partition_row("b", start=start, version=2, ready_at=30.0))
        newest = state.newest_ready("orders", None)
        assert newest and (newest.partition, newest.version) == ("b", 2)


def test_the_newest_arrival_counts_partitions_that_are_not_ready(state: State) -> None:
    for seq, (key, version) in enumerate([("a", 1), ("b", 0), ("a", 2)], start=1):
        state.put_partition(partition_row(key, version=version))
        state.add_arrival(arrival_row(seq, partition=key, ready=version > 0))
        newest = state.newest_arrival("orders")
        assert newest and newest.partition == key
    state.drop_event(3)
    newest = state.newest_arrival("orders")
    assert newest and newest.partition == "a", "what is no longer kept has come all the same"


def test_partitions_are_found_by_many_keys(state: State) -> None:
    for key in ("a", "b", "c"):
        state.put_partition(partition_row(key))
    keys = [*(f"missing-{n}" for n in range(2000)), "c", "a"]
    assert list(state.partitions("orders", keys)) == ["c", "a"]
    assert state.partitions("other", keys) == {}


def test_parts_are_those_of_their_partition(state: State) -> None:
    state.put_part(part_row("EWR", seq=1))
    state.put_part(part_row("JFK", seq=2))
    state.put_part(part_row("EWR", seq=3, version=2))
    state.put_part(part_row("LGA", partition="2013-03-11"))
    expected = {"EWR": part_row("EWR", seq=3, version=2), "JFK": part_row("JFK", seq=2)}
    assert state.parts("orders", "2013-03-10") == expected


async def test_parts_are_dropped_one_by_one_or_all_together(store: Store, state: State) -> None:
    for part in ("EWR", "JFK", "LGA"):
        state.put_part(part_row(part))
    state.put_part(part_row("EWR", partition="2013-03-11"))
    state.drop_parts("orders", "2013-03-10", "JFK")
    state.drop_parts("orders", "2013-03-10", "absent")
    assert set(state.parts("orders", "2013-03-10")) == {"EWR", "LGA"}
    await store.commit()
    again = store.begin()
    again.put_part(part_row("JFK"))
    again.drop_parts("orders", "2013-03-10", None)
    assert again.parts("orders", "2013-03-10") == {}
    assert set(again.parts("orders", "2013-03-11")) == {"EWR"}


def test_a_run_is_found_by_its_partition(state: State) -> None:
    state.put_run(run_row("r1", partition="d1"))
    state.put_run(run_row("r2", partition="d1", pipeline="other"))
    found = state.run_of("daily_sales", "d1")
    assert found and found.id == "r1"
    assert state.run_of("daily_sales", "d2") is None


async def test_a_partition_has_one_run(store: Store, state: State) -> None:
    state.put_run(run_row("r1", partition="d1"))

    async def put_another() -> None:
        state.put_run(run_row("r2", partition="d1"))
        await store.commit()

    with pytest.raises(StoreError):
        await put_another()


def test_a_pipeline_without_partitions_has_many_runs_and_the_newest_is_found(state: State) -> None:
    for run_id in ("r1", "r3", "r2"):
        state.put_run(run_row(run_id, partition="", start=None))
    found = state.run_of("daily_sales", "")
    assert found and found.id == "r3"


def test_open_runs_come_by_id_and_in_pages(state: State) -> None:
    for n in range(6):
        state.put_run(run_row(f"r{n}", start=float(10 - n)))
    state.put_run(run_row("r7", start=None))
    state.put_run(run_row("r8", pipeline="other"))
    state.put_run(run_row("r1", start=9.0, state=RunState.SUCCEEDED))
    state.put_run(run_row("r2", start=8.0, state=RunState.FAILED))

    def ids(since: float | None, before: float | None, after: str = "", limit: int = 100) -> str:
        runs = state.open_runs("daily_sales", since=since, before=before, after=after, limit=limit)
        return " ".join(run.id for run in runs)

    assert ids(None, None) == "r0 r2 r3 r4 r5 r7"
    assert ids(None, None, after="r2", limit=2) == "r3 r4"
    assert ids(8.0, 10.0) == "r2"
    assert ids(8.0, 10.5) == "r0 r2"
    assert ids(None, 8.0) == "r3 r4 r5"
    assert ids(7.0, None, after="r0") == "r2 r3"
    assert ids(5.0, 9.0, after="r2", limit=2) == "r3 r4"


def test_open_runs_of_a_long_range_come_by_id_too(state: State) -> None:
    for n in range(2500):
        kind = RunState.WAITING if n % 2 else RunState.FAILED
        state.put_run(run_row(f"r{n:05d}", start=float(5000 - n), state=kind))
    runs = state.open_runs("daily_sales", since=0.0, before=4999.0, after="r00004", limit=500)
    assert [run.id for run in runs] == [f"r{n:05d}" for n in range(5, 505)]


def test_runs_in_any_state_come_by_id_and_in_pages(state: State) -> None:
    for n, kind in enumerate(RunState):
        state.put_run(run_row(f"r{n}", start=float(10 - n), state=kind))
    state.put_run(run_row("r7", start=None))
    state.put_run(run_row("r8", pipeline="other"))

    def ids(since: float | None, before: float | None, after: str = "", limit: int = 100) -> str:
        runs = state.runs_between("daily_sales", since=since, before=before, after=after, limit=limit)
        return " ".join(run.id for run in runs)

    assert ids(None, None) == "r0 r1 r2 r3 r4 r7"
    assert ids(None, None, after="r1", limit=2) == "r2 r3"
    assert ids(8.0, 10.0) == "r1 r2"
    assert ids(None, 9.0) == "r2 r3 r4"
    assert ids(7.0, None, after="r0", limit=2) == "r1 r2"


def test_runs_in_any_state_of_a_long_range_come_by_id_too(state: State) -> None:
    kinds = list(RunState)
    for n in range(2500):
        state.put_run(run_row(f"r{n:05d}", start=float(5000 - n), state=kinds[n % len(kinds)]))
    runs = state.runs_between("daily_sales", since=0.0, before=4999.0, after="r00004", limit=500)
    assert [run.id for run in runs] == [f"r{n:05d}" for n in range(5, 505)]


def test_runs_of_a_backfill_come_by_id_and_in_pages(state: State) -> None:
    for n, kind in enumerate(RunState):
        state.put_run(run_row(f"r{n}", state=kind, backfill="b1"))
    state.put_run(run_row("r7", backfill="b2"))
    state.put_run(run_row("r8"))
    state.put_run(run_row("r0"))
    assert [run.id for run in state.backfill_runs("b1", after="", limit=10)] == ["r1", "r2", "r3", "r4"]
    assert [run.id for run in state.backfill_runs("b1", after="r1", limit=2)] == ["r2", "r3"]
    assert state.backfill_runs("", after="", limit=10) == []


def test_active_runs_are_those_that_are_marked_so(state: State) -> None:
    state.put_run(run_row("r1", active=True))
    state.put_run(run_row("r2", active=False))
    state.put_run(run_row("r3", active=True))
    state.put_run(run_row("r3", active=False, state=RunState.SUCCEEDED))
    assert state.active_runs("daily_sales") == [run_row("r1", active=True)]
    assert state.active_runs("other") == []
