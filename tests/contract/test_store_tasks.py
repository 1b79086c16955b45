"""What every store must do with tasks, attempts, timers, alerts and operations; all stores are tested."""

import pytest

from sensorflow.core.state import DoubleFiringError, FiringRow, State
from sensorflow.core.states import AttemptState, TaskState
from sensorflow.ports import Store, StoreError
from tests.store_rows import alert_row, attempt_row, operation_row, task_row, timer_row


def test_the_queue_is_by_priority_then_age_then_name(state: State) -> None:
    state.put_task(task_row("r2", "young", queued_at=20.0))
    state.put_task(task_row("r2", "b", queued_at=10.0))
    state.put_task(task_row("r1", "a", queued_at=10.0))
    state.put_task(task_row("r3", "urgent", queued_at=30.0, priority=5))
    state.put_task(task_row("r3", "done", queued_at=1.0, priority=9, state=TaskState.SUCCEEDED))
    assert state.queued_lanes() == [("daily_sales", "")]
    of_run = state.next_queued("daily_sales", "", "r2")
    assert of_run and of_run.task == "b"
    line = []
    while row := state.next_queued("daily_sales", "", None):
        line.append(row.task)
        state.put_task(row._replace(state=TaskState.RUNNING))
    assert line == ["urgent", "a", "b", "young"]
    assert state.queued_lanes() == []


def test_lanes_with_queued_tasks_are_each_named_once(state: State) -> None:
    for n in range(12):
        state.put_task(task_row(f"r{n}", "load", pipeline="ab"[n % 2], lane=("", "x", "y")[n % 3]))
    state.put_task(task_row("r12", "load", pipeline="b", lane="z", state=TaskState.RUNNING))
    state.put_task(task_row("r13", "load", pipeline="c", lane="x"))
    lanes = [("a", ""), ("a", "x"), ("a", "y"), ("b", ""), ("b", "x"), ("b", "y"), ("c", "x")]
    assert state.queued_lanes() == lanes


def test_each_lane_has_a_line_of_its_own(state: State) -> None:
    state.put_task(task_row("r1", "load", queued_at=1.0))
    state.put_task(task_row("r2", "load", queued_at=3.0, lane="b1"))
    state.put_task(task_row("r3", "load", queued_at=2.0, lane="b1"))
    heads = [state.next_queued("daily_sales", lane, None) for lane in ("", "b1", "b2")]
    assert [row and row.run_id for row in heads] == ["r1", "r3", None]
    of_run = state.next_queued("daily_sales", "b1", "r2")
    assert of_run and of_run.run_id == "r2"
    assert state.next_queued("daily_sales", "", "r2") is None


def test_tasks_are_those_of_their_run(state: State) -> None:
    state.put_task(task_row("r1", "load"))
    state.put_task(task_row("r1", "join", state=TaskState.BLOCKED))
    state.put_task(task_row("r2", "load"))
    assert set(state.tasks("r1")) == {"load", "join"}
    assert state.tasks("r1")["join"].state is TaskState.BLOCKED


def test_the_tasks_of_a_run_are_told_by_their_state(state: State) -> None:
    assert state.tasks_by_state("r1") == {}
    for name in ("load", "join", "check"):
        state.put_task(task_row("r1", name))
    state.put_task(task_row("r2", "load"))
    assert by_state(state, "r1") == {TaskState.QUEUED: {"load", "join", "check"}}
    state.put_task(task_row("r1", "load", state=TaskState.RUNNING))
    state.put_task(task_row("r1", "join", state=TaskState.RUNNING, priority=1))
    state.put_task(task_row("r1", "join", state=TaskState.RUNNING, priority=2))
    assert by_state(state, "r1") == {TaskState.QUEUED: {"check"}, TaskState.RUNNING: {"load", "join"}}
    state.put_task(task_row("r1", "check", state=TaskState.FAILED))
    assert by_state(state, "r1") == {TaskState.FAILED: {"check"}, TaskState.RUNNING: {"load", "join"}}


async def test_the_states_of_tasks_are_as_before_where_a_transaction_is_undone(
    store: Store, state: State
) -> None:
    state.put_task(task_row("r1", "load"))
    await store.commit()
    again = store.begin()
    assert by_state(again, "r1") == {TaskState.QUEUED: {"load"}}
    again.put_task(task_row("r1", "load", state=TaskState.RUNNING))
    again.put_task(task_row("r1", "join"))
    again.put_task(task_row("r2", "load"))
    store.rollback()
    again = store.begin()
    assert by_state(again, "r1") == {TaskState.QUEUED: {"load"}} == by_state(store.reader, "r1")
    assert by_state(again, "r2") == {}


def test_who_holds_the_tasks_of_a_run_does_not_see_them_change(state: State) -> None:
    state.put_task(task_row("r1", "load"))
    held = state.tasks("r1")
    state.put_task(task_row("r1", "load", state=TaskState.RUNNING))
    state.put_task(task_row("r1", "join"))
    assert {name: row.state for name, row in held.items()} == {"load": TaskState.QUEUED}
    assert list(state.tasks("r1")) == ["join", "load"]


def by_state(state: State, run_id: str) -> dict[TaskState, set[str]]:
    return {each: set(names) for each, names in state.tasks_by_state(run_id).items()}


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


async def test_a_token_names_one_attempt(store: Store, state: State) -> None:
    state.put_attempt(attempt_row("r1", "load", token="one"))
    state.put_attempt(attempt_row("r1", "load", 2, token="two"))
    state.put_attempt(attempt_row("r1", "load", 3))
    state.put_attempt(attempt_row("r1", "load", token="one", state=AttemptState.FAILED))
    assert state.attempt_of("one") == attempt_row("r1", "load", token="one", state=AttemptState.FAILED)
    assert state.attempt_of("two") == attempt_row("r1", "load", 2, token="two")
    assert state.attempt_of("three") is None

    async def name_another() -> None:
        state.put_attempt(attempt_row("r2", "load", token="one"))
        await store.commit()

    with pytest.raises(StoreError):
        await name_another()


async def test_a_task_fires_once_in_a_generation(store: Store, state: State) -> None:
    firing = FiringRow(run_id="r1", generation=1, task="load", fired_at=1.0)
    state.add_firing(firing)
    with pytest.raises(DoubleFiringError):
        state.add_firing(firing)
    await store.commit()
    with pytest.raises(DoubleFiringError):
        store.begin().add_firing(firing._replace(fired_at=2.0))
    store.rollback()
    store.begin().add_firing(firing._replace(generation=2))


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


def test_timers_of_a_kind_are_those_whose_keys_begin_with_it(state: State) -> None:
    for key in ("retry/r2/load", "retry/r1/load", "retry", "retryx/1", "quiet/orders", "retry0"):
        state.put_timer(timer_row(key, 20.0))
    state.drop_timer("retry/r2/load")
    assert [timer.key for timer in state.timers_of("retry")] == ["retry/r1/load"]
    assert state.timers_of("walk") == []


def test_a_dropped_timer_is_gone_and_can_be_put_again(state: State) -> None:
    state.put_timer(timer_row("a", 20.0))
    assert state.timer("a") == timer_row("a", 20.0)
    assert state.next_timer_at() == 20.0
    state.put_timer(timer_row("a", 10.0))
    state.drop_timer("a")
    assert state.timer("a") is None
    assert state.next_timer_at() is None
    state.put_timer(timer_row("a", 30.0))
    assert state.timer("a") == timer_row("a", 30.0)


async def test_a_cause_has_one_open_alert(store: Store, state: State) -> None:
    state.put_alert(alert_row("a1", cause="late/orders"))
    assert state.open_alert("late/orders") == alert_row("a1", cause="late/orders")
    assert state.open_alert("late/fares") is None
    state.put_alert(alert_row("a1", cause="late/orders", resolved_at=5.0))
    assert state.open_alert("late/orders") is None
    state.put_alert(alert_row("a2", cause="late/orders"))
    assert state.open_alert("late/orders") == alert_row("a2", cause="late/orders")

    async def open_another() -> None:
        state.put_alert(alert_row("a3", cause="late/orders"))
        await store.commit()

    with pytest.raises(StoreError):
        await open_another()


async def test_an_operation_is_kept_once(store: Store, state: State) -> None:
    state.add_operation(operation_row("o1"))
    with pytest.raises(StoreError):
        state.add_operation(operation_row("o1", at=5.0))
    await store.commit()
    assert store.listing.operations("r1") == [operation_row("o1")]
