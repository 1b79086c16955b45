"""What every store must do; each test runs against all of them."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorflow.core.messages import EventState
from sensorflow.core.state import ContentRow, DoubleFiringError, FiringRow, State
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.ports import Store, StoreError
from sensorflow.store.memory import MemoryStore
from sensorflow.store.sqlite import SqliteStore
from tests.store_rows import (
    arrival_row,
    attempt_row,
    event_row,
    part_row,
    partition_row,
    put_event,
    run_row,
    sensor_row,
    task_row,
    timer_row,
)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "state.db")
    yield made
    made.close()


@pytest.fixture
def state(store: Store) -> State:
    return store.begin()


async def test_what_is_put_is_seen_before_and_after_the_commit(store: Store, state: State) -> None:
    rows = {
        "event": event_row(1),
        "partition": partition_row("2013-03-10"),
        "run": run_row("r1"),
        "task": task_row("r1", "load"),
        "attempt": attempt_row("r1", "load"),
        "sensor": sensor_row("p", "s"),
        "content": ContentRow(source="/mqtt", key="topic", digest="d", seq=1, expires_at=5.0),
    }
    state.add_event(rows["event"])
    state.put_partition(rows["partition"])
    state.put_run(rows["run"])
    state.put_task(rows["task"])
    state.put_attempt(rows["attempt"])
    state.put_sensor(rows["sensor"])
    state.put_content(rows["content"])

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
    assert state.queued_pipelines() == []
    assert state.next_queued("p", None) is None
    assert state.running() == []
    assert state.attempts("x") == []
    assert state.next_timer_at() is None
    assert state.due_timers(1e12, 10) == []
    assert state.sensor("p", "s") is None
    assert state.content("/mqtt", "x") is None
    state.drop_timer("x")


async def test_a_rollback_takes_back_all_that_was_put(store: Store, state: State) -> None:
    put_event(state)
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
    assert again.next_timer_at() == 1.0
    assert again.queued_pipelines() == []
    store.rollback()

    assert answers(store.reader, store) == before
    once_more = store.begin()
    assert once_more.next_seq() == 2
    once_more.add_firing(FiringRow(run_id="r1", generation=1, task="load", fired_at=1.0))
    assert once_more.next_queued("daily_sales", None) == task_row("r1", "load")


def test_rows_are_put_only_inside_a_transaction(store: Store) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        store.reader.put_run(run_row("r1"))
    with pytest.raises(RuntimeError, match="transaction"):
        store.reader.next_seq()
    with pytest.raises(RuntimeError, match="transaction"):
        store.reader.drop_timer("x")


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


def test_of_partitions_without_bounds_the_newest_is_the_one_that_became_ready_last(state: State) -> None:
    state.put_partition(partition_row("a", start=None, ready_at=30.0))
    state.put_partition(partition_row("b", start=None, ready_at=20.0))
    state.put_partition(partition_row("c", start=None, version=0))
    for bound in (None, 5.0):
        newest = state.newest_ready("orders", bound)
        assert newest and newest.partition == "a"


def test_the_newest_arrival_counts_partitions_that_are_not_ready(state: State) -> None:
    state.put_partition(partition_row("a", last_at=10.0))
    state.put_partition(partition_row("b", last_at=20.0, version=0))
    newest = state.newest_arrival("orders")
    assert newest and newest.partition == "b"
    state.put_partition(partition_row("a", last_at=30.0))
    newest = state.newest_arrival("orders")
    assert newest and newest.partition == "a"


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


def test_active_runs_are_those_that_are_marked_so(state: State) -> None:
    state.put_run(run_row("r1", active=True))
    state.put_run(run_row("r2", active=False))
    state.put_run(run_row("r3", active=True))
    state.put_run(run_row("r3", active=False, state=RunState.SUCCEEDED))
    assert state.active_runs("daily_sales") == [run_row("r1", active=True)]
    assert state.active_runs("other") == []


def test_the_queue_is_by_priority_then_age_then_name(state: State) -> None:
    state.put_task(task_row("r2", "young", queued_at=20.0))
    state.put_task(task_row("r2", "b", queued_at=10.0))
    state.put_task(task_row("r1", "a", queued_at=10.0))
    state.put_task(task_row("r3", "urgent", queued_at=30.0, priority=5))
    state.put_task(task_row("r3", "done", queued_at=1.0, priority=9, state=TaskState.SUCCEEDED))
    assert state.queued_pipelines() == ["daily_sales"]
    of_run = state.next_queued("daily_sales", "r2")
    assert of_run and of_run.task == "b"
    line = []
    while row := state.next_queued("daily_sales", None):
        line.append(row.task)
        state.put_task(replace(row, state=TaskState.RUNNING))
    assert line == ["urgent", "a", "b", "young"]
    assert state.queued_pipelines() == []


def test_pipelines_with_queued_tasks_are_each_named_once(state: State) -> None:
    for n in range(10):
        state.put_task(task_row(f"r{n}", "load", pipeline="b" if n % 2 else "a"))
    state.put_task(task_row("r11", "load", pipeline="c", state=TaskState.RUNNING))
    assert state.queued_pipelines() == ["a", "b"]


def test_tasks_are_those_of_their_run(state: State) -> None:
    state.put_task(task_row("r1", "load"))
    state.put_task(task_row("r1", "join", state=TaskState.BLOCKED))
    state.put_task(task_row("r2", "load"))
    assert set(state.tasks("r1")) == {"load", "join"}
    assert state.tasks("r1")["join"].state is TaskState.BLOCKED


def test_running_attempts_are_found_and_counted(state: State) -> None:
    state.put_attempt(attempt_row("r1", "load"))
    state.put_attempt(attempt_row("r1", "load", state=AttemptState.FAILED))
    state.put_attempt(attempt_row("r1", "load", 2))
    state.put_attempt(attempt_row("r2", "load", pipeline="other"))
    assert [(row.run_id, row.number) for row in state.running()] == [("r1", 2), ("r2", 1)]
    assert state.running_count(None) == 2
    assert state.running_count("daily_sales") == 1
    assert state.running_count("absent") == 0


def test_attempts_of_a_run_come_by_task_and_number(state: State) -> None:
    for task, number in (("load", 10), ("load", 9), ("join", 1)):
        state.put_attempt(attempt_row("r1", task, number))
    assert [(row.task, row.number) for row in state.attempts("r1")] == [
        ("join", 1),
        ("load", 9),
        ("load", 10),
    ]


async def test_a_task_fires_once_in_a_generation(store: Store, state: State) -> None:
    firing = FiringRow(run_id="r1", generation=1, task="load", fired_at=1.0)
    state.add_firing(firing)
    with pytest.raises(DoubleFiringError):
        state.add_firing(firing)
    await store.commit()
    with pytest.raises(DoubleFiringError):
        store.begin().add_firing(replace(firing, fired_at=2.0))
    store.rollback()
    store.begin().add_firing(replace(firing, generation=2))


def test_timers_come_when_due_and_the_later_row_of_a_key_counts(state: State) -> None:
    state.put_timer(timer_row("b", 20.0))
    state.put_timer(timer_row("a", 20.0))
    state.put_timer(timer_row("c", 5.0))
    assert state.next_timer_at() == 5.0
    state.put_timer(timer_row("c", 30.0))
    assert state.next_timer_at() == 20.0
    assert [timer.key for timer in state.due_timers(20.0, 10)] == ["a", "b"]
    assert [timer.key for timer in state.due_timers(99.0, 2)] == ["a", "b"]
    assert state.due_timers(19.9, 10) == []
    state.drop_timer("a")
    state.drop_timer("b")
    assert state.next_timer_at() == 30.0


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


async def test_events_are_listed_by_number_and_what_is_asked(store: Store, state: State) -> None:
    kinds = [EventState.ACCEPTED, EventState.REJECTED, EventState.ACCEPTED, EventState.UNMATCHED]
    for seq, kind in enumerate(kinds, start=1):
        state.add_event(event_row(seq, state=kind))
    state.add_arrival(arrival_row(1, part="EWR"))
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
    assert [row.part for row in store.listing.arrivals(1)] == ["EWR", "JFK"]
    assert [row.dataset for row in store.listing.arrivals(3)] == ["fares", "orders"]
    newest = store.listing.arrivals_of("orders", "2013-03-10", limit=2)
    assert [(row.seq, row.part) for row in newest] == [(3, ""), (1, "EWR")]


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


# --- Random sequences: both stores answer the same. ---

_NAMES = ["a", "b"]
_IDS = ["r1", "r2", "r3"]
_KEYS = ["2013-01-01", "2013-01-02", "é|x"]
_TIMES = [0.0, 1.5, 2.0]
_names, _ids, _keys, _times = map(st.sampled_from, (_NAMES, _IDS, _KEYS, _TIMES))
_starts = st.none() | _times

Step: TypeAlias = tuple[str, Any]

_steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("put_event"), st.tuples(_names, st.sampled_from(EventState))),
    st.tuples(
        st.just("put_partition"),
        st.builds(
            partition_row,
            _keys,
            dataset=_names,
            start=_starts,
            version=st.integers(0, 2),
            last_at=_times,
            ready_at=_times,
        ),
    ),
    st.tuples(st.just("put_part"), st.builds(part_row, _names, partition=_keys, seq=st.integers(1, 5))),
    st.tuples(
        st.just("put_run"),
        st.builds(
            run_row,
            _ids,
            pipeline=_names,
            partition=st.just(""),
            start=_starts,
            state=st.sampled_from(RunState),
            active=st.booleans(),
        ),
    ),
    st.tuples(
        st.just("put_task"),
        st.builds(
            task_row,
            _ids,
            _names,
            pipeline=_names,
            state=st.sampled_from(TaskState),
            priority=st.integers(-1, 1),
            queued_at=_starts,
        ),
    ),
    st.tuples(
        st.just("put_attempt"),
        st.builds(
            attempt_row,
            _ids,
            _names,
            st.integers(1, 11),
            pipeline=_names,
            state=st.sampled_from(AttemptState),
        ),
    ),
    st.tuples(st.just("put_timer"), st.builds(timer_row, _names, _times)),
    st.tuples(st.just("drop_timer"), _names),
    st.tuples(st.just("put_sensor"), st.builds(sensor_row, _names, _names)),
    st.tuples(st.just("ask"), st.integers(0, 100)),
    st.tuples(st.just("commit"), st.booleans()),
    st.tuples(st.just("rollback"), st.none()),
)


def questions(state: State) -> list[Any]:
    """Return all that decisions can ask about the few names that the tests use."""
    names, keys = [*_NAMES, "orders", "daily_sales"], [*_KEYS, "", "2013-03-10", "key-000000001"]
    bounds = [None, *_TIMES]
    return [
        *(lambda name=name, key=key: state.partition(name, key) for name in names for key in keys),
        *(lambda name=name, key=key: state.parts(name, key) for name in names for key in keys),
        *(lambda name=name, key=key: state.run_of(name, key) for name in names for key in keys),
        *(lambda name=name: state.partitions(name, keys) for name in names),
        *(lambda name=name, at=at: state.newest_ready(name, at) for name in names for at in bounds),
        *(lambda name=name: state.newest_arrival(name) for name in names),
        *(
            lambda name=name, since=since, before=before, limit=limit: state.open_runs(
                name, since=since, before=before, after="r1" if limit == 1 else "", limit=limit
            )
            for name in names
            for since in bounds
            for before in bounds
            for limit in (1, 10)
        ),
        *(lambda name=name: state.active_runs(name) for name in names),
        *(lambda run=run: (state.run(run), state.tasks(run), state.attempts(run)) for run in _IDS),
        *(lambda name=name, run=run: state.next_queued(name, run) for name in names for run in [None, *_IDS]),
        *(lambda run=run, name=name: state.task(run, name) for run in _IDS for name in names),
        *(lambda run=run, name=name: state.attempt(run, name, 1) for run in _IDS for name in names),
        state.queued_pipelines,
        state.running,
        *(lambda name=name: state.running_count(name) for name in [None, *names]),
        state.next_timer_at,
        *(lambda at=at: state.due_timers(at, 10) for at in _TIMES),
        *(lambda seq=seq: state.event(seq) for seq in range(4)),
        *(lambda seq=seq: state.identity("/erp", f"event-{seq}") for seq in range(4)),
        *(lambda name=name: state.sensor(name, "a") for name in names),
    ]


def answers(state: State, store: Store) -> list[Any]:
    """Return what a store has to say when no transaction is open."""
    listing, names = store.listing, [*_NAMES, "orders", "daily_sales"]
    runs = [
        listing.runs(pipeline=name, partition=partition, state=kind, before=before, limit=2)
        for name in [None, *names]
        for partition in (None, "", "r1")
        for kind in (None, *RunState)
        for before in (None, "r3")
    ]
    events = [
        listing.events(after=after, dataset=name, state=kind, limit=2)
        for name in [None, *names]
        for kind in (None, *EventState)
        for after in (0, 2)
    ]
    lists = [
        (
            listing.partitions(name, after=None, limit=5),
            listing.partitions(name, after="2013-01-02", limit=5),
            listing.partition_counts(name),
            listing.newest(name),
            listing.run_counts(name),
            listing.task_counts(name),
            listing.last_run(name),
            [listing.arrivals_of(name, key, limit=2) for key in _KEYS],
        )
        for name in names
    ]
    counts = (listing.queued_count(), listing.running_count(), listing.sensors())
    arrivals = [listing.arrivals(seq) for seq in range(5)]
    return [*(ask() for ask in questions(state)), *runs, *events, *lists, *counts, *arrivals]


def take(step: Step, state: State) -> object:
    name, value = step
    if name == "put_event":
        dataset, kind = value
        seq = state.next_seq()
        state.add_event(event_row(seq, state=kind))
        for part in _NAMES:
            state.add_arrival(arrival_row(seq, dataset=dataset, partition=_KEYS[seq % 3], part=part))
        return seq
    if name == "ask":
        asked = questions(state)
        return asked[value * len(asked) // 101]()
    return getattr(state, name)(value)


async def compare(steps: list[Step], folder: Path) -> None:
    memory, sqlite = MemoryStore(), SqliteStore(folder / "state.db")
    views = [memory.begin(), sqlite.begin()]
    try:
        for step in [*steps, ("commit", True)]:
            if step[0] not in {"commit", "rollback"}:
                first, second = (take(step, view) for view in views)
                assert first == second
                continue
            if step[0] == "commit":
                await memory.commit()
                await sqlite.commit(busy=step[1])
            else:
                memory.rollback()
                sqlite.rollback()
            assert answers(memory.reader, memory) == answers(sqlite.reader, sqlite)
            views = [memory.begin(), sqlite.begin()]
    finally:
        memory.close()
        sqlite.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(_steps, max_size=30))
def test_memory_and_sqlite_answer_the_same(steps: list[Step]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(compare(steps, Path(folder)))
