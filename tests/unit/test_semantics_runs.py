"""The rules of runs: when one exists, what its state is, what is retried, forced, cancelled and marked."""

import pytest

from sensorflow.core.errors import ConflictError, NotFoundError, PartitionError
from sensorflow.core.messages import (
    AttemptEnded,
    CancelRun,
    MakeRun,
    MarkTask,
    PausePipeline,
    RetryTasks,
    WithdrawPartition,
)
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import Grain, LatePolicy, Partitioning, RetryPolicy, Selection, When
from tests.flows import (
    DAILY,
    HOURLY,
    MONTHLY,
    WEEKLY,
    dataset,
    fail,
    fired,
    make,
    partitions_fired,
    pipeline,
    reads,
    run_of,
    same,
    service,
    task,
    waits,
)

DAY = "2026-06-01"


# When a run exists


def test_the_first_arrival_of_same_makes_a_waiting_run() -> None:
    flow = service(pipeline("p", task("join", same("a"), same("b"))))
    flow.ready("a", DAY)
    run = run_of(flow, "p", DAY)
    assert (run.state, run.trigger, run.generation) == (RunState.WAITING, "event", 1)


def test_a_mere_part_of_a_partition_makes_its_run() -> None:
    flow = service(pipeline("p", task("load", same("w"))), datasets=(dataset("w", parts=("x", "y")),))
    flow.ready("w", DAY, part="x")
    assert run_of(flow, "p", DAY).state is RunState.WAITING


def test_the_first_of_all_the_hours_makes_the_run_of_their_day() -> None:
    flow = service(pipeline("p", task("load", reads("h", Selection.ALL))), datasets=(dataset("h", HOURLY),))
    flow.ready("h", f"{DAY}T23Z")
    assert run_of(flow, "p", DAY).state is RunState.WAITING


@pytest.mark.parametrize(
    ("selection", "cut", "key", "count"),
    [
        (Selection.CONTAINING, WEEKLY, "2026-W23", 0),
        (Selection.LATEST, DAILY, DAY, 0),
        (Selection.LAST, DAILY, DAY, 2),
        (Selection.OFFSET, DAILY, DAY, -1),
    ],
)
def test_other_selections_only_wake_runs_that_exist(
    selection: Selection, cut: Partitioning, key: str, count: int
) -> None:
    flow = service(
        pipeline("p", task("load", same("a"), reads("w", selection, count=count))),
        datasets=(dataset("w", cut),),
    )
    flow.ready("w", key)
    assert [flow.run_of("p", f"2026-06-0{day}") for day in range(1, 5)] == [None] * 4


def test_a_task_without_after_and_inputs_starts_as_soon_as_its_run_exists() -> None:
    flow = service(pipeline("p", task("prepare"), task("load", same("a"), same("b"))))
    flow.ready("a", DAY)
    assert fired(flow) == [("prepare", DAY)]


# latest, last, offset


def test_latest_compares_starts_as_instants_across_zones() -> None:
    tokyo = Partitioning(Grain.DAILY, "Asia/Tokyo")
    flow = service(
        pipeline("p", task("load", same("a"), reads("t", Selection.LATEST))), datasets=(dataset("t", tokyo),)
    )
    flow.ready("t", "2026-06-01")  # Begins 2026-05-31T15:00Z.
    flow.ready("t", "2026-06-02")  # Begins 2026-06-01T15:00Z, after the run's start.
    flow.ready("a", "2026-06-01")
    assert list(flow.started[0].inputs["t"]) == ["2026-06-01"]


def test_last_and_offset_of_finer_partitions_count_from_the_last_one_inside() -> None:
    flow = service(
        pipeline(
            "p",
            task("last", same("a"), reads("h", Selection.LAST, count=3)),
            task("offset", same("a"), reads("h", Selection.OFFSET, count=-24)),
        ),
        datasets=(dataset("h", HOURLY),),
    )
    flow.ready("a", DAY)
    assert [wait.partition for wait in waits(flow, "p", DAY, "last")] == [f"{DAY}T{h}Z" for h in (21, 22, 23)]
    assert [wait.partition for wait in waits(flow, "p", DAY, "offset")] == ["2026-05-31T23Z"]


def test_last_of_coarser_partitions_counts_from_the_one_that_contains_the_run() -> None:
    flow = service(
        pipeline("p", task("load", same("a"), reads("m", Selection.LAST, count=2))),
        datasets=(dataset("m", MONTHLY),),
    )
    flow.ready("a", DAY)
    flow.ready("m", "2026-06")
    assert [wait.partition for wait in waits(flow, "p", DAY, "load")] == ["2026-05"]
    flow.ready("m", "2026-05")
    assert partitions_fired(flow) == [DAY]


def test_partitions_before_the_start_of_the_producer_are_not_asked_for() -> None:
    flow = service(
        pipeline("maker", task("make", same("a"), outputs=("made",)), start="2026-06-01"),
        pipeline("p", task("mean", reads("made", Selection.LAST, count=7)), start="2026-01-01"),
        datasets=(dataset("made"),),
    )
    make(flow, "p", "2026-06-02")
    assert [wait.partition for wait in waits(flow, "p", "2026-06-02", "mean")] == ["2026-06-01", "2026-06-02"]


# State


def test_a_run_is_running_before_it_is_failed_and_failed_before_it_is_waiting() -> None:
    flow = service(pipeline("p", task("one", same("a")), task("two", same("a")), task("three", same("b"))))
    flow.ready("a", DAY)
    one, two = flow.running()
    fail(flow, one)
    assert run_of(flow, "p", DAY).state is RunState.RUNNING
    flow.end(two)
    assert flow.task_states("p", DAY)["three"] is TaskState.WAITING
    assert run_of(flow, "p", DAY).state is RunState.FAILED
    flow.ready("b", DAY)
    assert ("three", DAY) in fired(flow)
    assert run_of(flow, "p", DAY).state is RunState.RUNNING


def test_a_retrying_task_makes_its_run_running() -> None:
    flow = service(pipeline("p", task("load", same("a"), retries=RetryPolicy(max=1))))
    flow.ready("a", DAY)
    fail(flow, flow.running()[0])
    assert run_of(flow, "p", DAY).state is RunState.RUNNING


# Versions


def test_versions_are_taken_when_an_attempt_starts() -> None:
    flow = service(pipeline("p", task("load", same("a"), retries=RetryPolicy(max=1, delay_s=5, jitter=0))))
    flow.ready("a", DAY)
    fail(flow, flow.running()[0])
    flow.ready("a", DAY)
    flow.pass_time(5)
    flow.end_all()
    run = run_of(flow, "p", DAY)
    assert [attempt.consumed for attempt in flow.store.reader.attempts(run.id)] == [
        {"a": {DAY: 1}},
        {"a": {DAY: 2}},
    ]
    assert run.stale is False


def test_a_task_that_is_queued_does_not_start_when_its_input_was_taken_back_meanwhile() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.send(PausePipeline(pipeline="p", paused=True))
    flow.ready("a", DAY)
    flow.send(WithdrawPartition(dataset="a", partition=DAY))
    flow.send(PausePipeline(pipeline="p", paused=False))
    assert fired(flow) == []
    flow.ready("a", DAY)
    assert fired(flow) == [("load", DAY)]


# Retry


def test_a_retry_without_tasks_takes_every_failed_and_cancelled_task() -> None:
    flow = service(pipeline("p", task("bad", same("a")), task("slow", same("a"))))
    flow.ready("a", DAY)
    for order in flow.running():
        if order.task == "bad":
            fail(flow, order)
    run = run_of(flow, "p", DAY)
    flow.send(CancelRun(run_id=run.id))
    flow.end(flow.running()[0], AttemptState.CANCELLED)
    assert flow.task_states("p", DAY) == {"bad": TaskState.FAILED, "slow": TaskState.CANCELLED}
    flow.send(RetryTasks(run_id=run.id))
    assert sorted(order.task for order in flow.running()) == ["bad", "slow"]
    assert {order.generation for order in flow.started} == {1}
    flow.end_all()
    assert run_of(flow, "p", DAY).state is RunState.SUCCEEDED


def test_a_retry_gives_the_budget_of_retries_anew_and_counts_attempts_on() -> None:
    flow = service(pipeline("p", task("load", same("a"), retries=RetryPolicy(max=1, delay_s=5, jitter=0))))
    flow.ready("a", DAY)
    fail(flow, flow.running()[0])
    flow.pass_time(5)
    fail(flow, flow.running()[0])
    assert flow.task_states("p", DAY) == {"load": TaskState.FAILED}
    flow.send(RetryTasks(run_id=run_of(flow, "p", DAY).id))
    fail(flow, flow.running()[0])
    assert flow.task_states("p", DAY) == {"load": TaskState.RETRYING}
    flow.pass_time(5)
    assert [order.number for order in flow.started] == [1, 2, 3, 4]
    assert len({order.idempotency_key for order in flow.started}) == 1


def test_naming_a_succeeded_task_opens_the_next_generation_and_the_others_keep_state_and_attempts() -> None:
    flow = service(
        pipeline(
            "p", task("load", same("a")), task("other", same("a")), task("join", after=("load", "other"))
        )
    )
    flow.ready("a", DAY)
    flow.end_all()
    run = run_of(flow, "p", DAY)
    flow.send(RetryTasks(run_id=run.id, tasks=("load",)))
    flow.end_all()
    again = flow.started[3:]
    assert [(order.task, order.generation, order.number) for order in again] == [("load", 2, 2)]
    run = run_of(flow, "p", DAY)
    assert (run.generation, run.state) == (2, RunState.SUCCEEDED)
    attempts = [(row.task, row.number, row.generation) for row in flow.store.reader.attempts(run.id)]
    assert attempts == [("join", 1, 1), ("load", 1, 1), ("load", 2, 2), ("other", 1, 1)]


def test_naming_a_skipped_task_opens_the_next_generation() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    flow.end(flow.running()[0], AttemptState.SKIPPED)
    flow.send(RetryTasks(run_id=run_of(flow, "p", DAY).id, tasks=("load",)))
    assert [order.generation for order in flow.started] == [1, 2]
    assert flow.started[0].idempotency_key != flow.started[1].idempotency_key


def test_a_retry_of_a_cancelled_run_runs_it_to_its_end() -> None:
    flow = service(pipeline("p", task("load", same("a")), task("next", after=("load",))))
    flow.ready("a", DAY)
    run = run_of(flow, "p", DAY)
    flow.send(CancelRun(run_id=run.id))
    flow.end(flow.running()[0], AttemptState.CANCELLED)
    flow.send(RetryTasks(run_id=run.id))
    flow.end_all()
    assert set(flow.task_states("p", DAY).values()) == {TaskState.SUCCEEDED}


# POST /runs


def test_a_run_made_by_hand_waits_for_its_inputs_as_any_other() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    made = flow.send(MakeRun(pipeline="p", partition=DAY))
    assert made is not None
    assert made.created is True  # type: ignore[union-attr]
    assert (run_of(flow, "p", DAY).state, fired(flow)) == (RunState.WAITING, [])
    again = flow.send(MakeRun(pipeline="p", partition=DAY))
    assert again is not None
    assert (again.created, again.id) == (False, made.id)  # type: ignore[union-attr]
    flow.ready("a", DAY)
    assert partitions_fired(flow) == [DAY]


def test_force_fires_a_waiting_run_without_inputs_and_times_but_not_past_after() -> None:
    flow = service(
        pipeline("p", task("load", same("a")), task("join", same("b"), after=("load",)), schedule="0 2 * * *")
    )
    make(flow, "p", "2026-06-10")
    make(flow, "p", "2026-06-10", force=True)
    assert fired(flow) == [("load", "2026-06-10")]
    flow.end_all()
    assert fired(flow) == [("load", "2026-06-10"), ("join", "2026-06-10")]


def test_force_does_not_go_past_pause_and_limits() -> None:
    flow = service(pipeline("p", task("load", same("a")), max_active_runs=1))
    flow.send(PausePipeline(pipeline="p", paused=True))
    for day in ("2026-06-01", "2026-06-02"):
        make(flow, "p", day, force=True)
    assert fired(flow) == []
    flow.send(PausePipeline(pipeline="p", paused=False))
    assert partitions_fired(flow) == ["2026-06-01"]


def test_a_running_run_is_in_conflict_and_an_ended_one_runs_again_with_all_its_tasks() -> None:
    flow = service(pipeline("p", task("one", same("a")), task("two", after=("one",))))
    flow.ready("a", DAY)
    with pytest.raises(ConflictError, match="running"):
        flow.send(MakeRun(pipeline="p", partition=DAY))
    flow.end_all()
    make(flow, "p", DAY)
    flow.end_all()
    assert [(order.task, order.generation) for order in flow.started] == [
        ("one", 1),
        ("two", 1),
        ("one", 2),
        ("two", 2),
    ]


def test_a_next_generation_that_has_to_wait_waits_and_is_woken() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    flow.end_all()
    flow.send(WithdrawPartition(dataset="a", partition=DAY))
    make(flow, "p", DAY)
    run = run_of(flow, "p", DAY)
    assert (run.state, run.generation) == (RunState.WAITING, 2)
    flow.ready("a", DAY)
    assert [order.generation for order in flow.started] == [1, 2]


def test_a_run_outside_start_and_end_is_refused() -> None:
    flow = service(pipeline("p", task("load", same("a")), start="2026-06-01", end="2026-06-30"))
    for day in ("2026-05-31", "2026-07-01"):
        with pytest.raises(PartitionError, match="2026-06-01 to 2026-06-30"):
            flow.send(MakeRun(pipeline="p", partition=day))


# when


@pytest.mark.parametrize(
    ("when", "first", "expected"),
    [
        (When.ANY_FAILED, AttemptState.FAILED, TaskState.RUNNING),
        (When.ANY_SUCCEEDED, AttemptState.SUCCEEDED, TaskState.RUNNING),
        (When.ANY_SUCCEEDED, AttemptState.SKIPPED, TaskState.RUNNING),
        (When.ANY_FAILED, AttemptState.SUCCEEDED, TaskState.WAITING),
        (When.ANY_SUCCEEDED, AttemptState.FAILED, TaskState.WAITING),
        (When.ALL_ENDED, AttemptState.FAILED, TaskState.WAITING),
        (When.ALL_SUCCEEDED, AttemptState.SUCCEEDED, TaskState.WAITING),
    ],
)
def test_the_any_rules_decide_at_the_first_that_fits_and_the_others_when_all_have_ended(
    when: When, first: AttemptState, expected: TaskState
) -> None:
    flow = service(
        pipeline(
            "p",
            task("left", same("a")),
            task("right", same("a")),
            task("last", after=("left", "right"), when=when),
        )
    )
    flow.ready("a", DAY)
    flow.end(flow.running()[0], first)
    assert flow.task_states("p", DAY)["last"] is expected


@pytest.mark.parametrize(
    ("when", "ends", "expected"),
    [
        (When.ANY_SUCCEEDED, (AttemptState.FAILED, AttemptState.FAILED), TaskState.BLOCKED),
        (When.ANY_FAILED, (AttemptState.SUCCEEDED, AttemptState.SKIPPED), TaskState.SKIPPED),
        (When.ALL_SUCCEEDED, (AttemptState.SUCCEEDED, AttemptState.FAILED), TaskState.BLOCKED),
    ],
)
def test_a_rule_that_can_no_longer_hold_ends_its_task(
    when: When, ends: tuple[AttemptState, AttemptState], expected: TaskState
) -> None:
    flow = service(
        pipeline(
            "p",
            task("left", same("a")),
            task("right", same("a")),
            task("last", after=("left", "right"), when=when),
        )
    )
    flow.ready("a", DAY)
    for order, end in zip(flow.running(), ends, strict=True):
        flow.end(order, end)
    assert flow.task_states("p", DAY)["last"] is expected


def test_blocked_counts_as_failed() -> None:
    flow = service(
        pipeline(
            "p",
            task("load", same("a")),
            task("join", after=("load",)),
            task("clean_up", after=("join",), when=When.ANY_FAILED),
        )
    )
    flow.ready("a", DAY)
    fail(flow, flow.running()[0])
    assert flow.task_states("p", DAY)["clean_up"] is TaskState.RUNNING


def test_skipped_counts_as_failed_where_the_task_below_says_so() -> None:
    flow = service(pipeline("p", task("load", same("a")), task("join", after=("load",), skipped_blocks=True)))
    flow.ready("a", DAY)
    flow.end(flow.running()[0], AttemptState.SKIPPED)
    assert flow.task_states("p", DAY)["join"] is TaskState.BLOCKED


def test_what_is_below_a_cancelled_task_is_cancelled_except_where_all_ended_is_enough() -> None:
    flow = service(
        pipeline(
            "p",
            task("load", same("a")),
            *(task(when.value, after=("load",), when=when) for when in When),
        )
    )
    flow.ready("a", DAY)
    flow.end(flow.running()[0], AttemptState.CANCELLED)
    states = flow.task_states("p", DAY)
    assert states.pop("all_ended") is TaskState.RUNNING
    assert set(states.values()) == {TaskState.CANCELLED}


@pytest.mark.parametrize("when", [When.ALL_ENDED, When.ANY_FAILED])
def test_a_task_that_ran_after_a_failure_does_not_run_again_when_that_is_repaired(when: When) -> None:
    flow = service(pipeline("p", task("load", same("a")), task("report", after=("load",), when=when)))
    flow.ready("a", DAY)
    fail(flow, flow.running()[0])
    flow.end_all()
    flow.send(RetryTasks(run_id=run_of(flow, "p", DAY).id))
    flow.end_all()
    assert [order.task for order in flow.started] == ["load", "report", "load"]


# Limits and pause


def test_a_waiting_run_does_not_count_as_active() -> None:
    flow = service(
        pipeline("p", task("one", same("a")), task("two", same("b"), after=("one",)), max_active_runs=1)
    )
    for day in ("2026-06-01", "2026-06-02"):
        flow.ready("a", day)
    flow.end(flow.running()[0])
    assert partitions_fired(flow) == ["2026-06-01", "2026-06-02"]


def test_a_retrying_run_counts_as_active() -> None:
    flow = service(pipeline("p", task("load", same("a"), retries=RetryPolicy(max=1)), max_active_runs=1))
    for day in ("2026-06-01", "2026-06-02"):
        flow.ready("a", day)
    fail(flow, flow.running()[0])
    assert partitions_fired(flow) == ["2026-06-01"]
    (wait,) = waits(flow, "p", "2026-06-02", "load")
    assert (wait.kind, flow.task_states("p", "2026-06-02")) == ("slot", {"load": TaskState.QUEUED})


def test_the_services_workers_are_a_limit_of_all_pipelines() -> None:
    flow = service(pipeline("p", task("load", same("a"))), pipeline("q", task("read", same("a"))), workers=1)
    flow.ready("a", DAY)
    assert len(flow.running()) == 1
    held = "q" if flow.running()[0].pipeline == "p" else "p"
    (waiting,) = flow.why(held, DAY).tasks
    assert [wait.kind for wait in waiting.waiting_for] == ["slot"]


def test_while_paused_no_retry_starts_and_what_runs_runs_on() -> None:
    flow = service(
        pipeline(
            "p",
            task("load", same("a"), retries=RetryPolicy(max=1, delay_s=5, jitter=0)),
            task("slow", same("a"), outputs=("b",)),
            task("below", after=("slow",)),
        )
    )
    flow.ready("a", DAY)
    load, slow = sorted(flow.running(), key=lambda order: order.task)
    fail(flow, load)
    flow.send(PausePipeline(pipeline="p", paused=True))
    assert flow.stopped == []
    flow.pass_time(60)
    flow.end(slow)
    assert len(flow.started) == 2
    assert "paused" in [wait.kind for wait in waits(flow, "p", DAY, "load")]
    flow.send(PausePipeline(pipeline="p", paused=False))
    assert sorted(order.task for order in flow.running()) == ["below", "load"]


# Cancel and mark


def test_cancel_stops_what_runs_and_lets_nothing_more_start() -> None:
    flow = service(
        pipeline("p", task("load", same("a")), task("join", same("b")), task("last", after=("load",)))
    )
    flow.ready("a", DAY)
    run = run_of(flow, "p", DAY)
    flow.send(CancelRun(run_id=run.id, reason="wrong file"))
    assert [(order.task, order.number) for order in flow.stopped] == [("load", 1)]
    flow.end(flow.running()[0], AttemptState.CANCELLED)
    flow.ready("b", DAY)
    assert run_of(flow, "p", DAY).state is RunState.CANCELLED
    assert set(flow.task_states("p", DAY).values()) == {TaskState.CANCELLED}
    (kept,) = flow.store.listing.operations(run.id)
    assert (kept.kind, kept.reason) == ("cancel", "wrong file")


@pytest.mark.parametrize("state", [AttemptState.FAILED, AttemptState.INTERRUPTED])
def test_an_attempt_of_a_cancelled_run_is_not_tried_again_however_it_ends(state: AttemptState) -> None:
    flow = service(pipeline("p", task("load", same("a"), retries=RetryPolicy(max=3, delay_s=5))))
    flow.ready("a", DAY)
    flow.send(CancelRun(run_id=run_of(flow, "p", DAY).id))
    flow.end(flow.running()[0], state)
    flow.pass_time(60)
    assert len(flow.started) == 1
    assert flow.task_states("p", DAY) == {"load": TaskState.CANCELLED}


def test_a_cancelled_run_that_was_to_run_again_does_not() -> None:
    flow = service(pipeline("p", task("load", same("a")), late=LatePolicy.RERUN))
    flow.ready("a", DAY)
    flow.ready("a", DAY)
    flow.send(CancelRun(run_id=run_of(flow, "p", DAY).id))
    flow.end(flow.running()[0], AttemptState.CANCELLED)
    assert len(flow.started) == 1


def test_an_ended_run_cannot_be_cancelled() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    flow.end_all()
    with pytest.raises(ConflictError, match="has ended already"):
        flow.send(CancelRun(run_id=run_of(flow, "p", DAY).id))
    with pytest.raises(NotFoundError):
        flow.send(CancelRun(run_id="nowhere"))


def test_a_failed_run_can_be_cancelled_while_something_of_it_may_still_start() -> None:
    flow = service(
        pipeline("p", task("load", same("a")), task("other", same("b")), task("next", after=("load",)))
    )
    flow.ready("a", DAY)
    flow.end(flow.running()[0], AttemptState.FAILED)
    run_id = run_of(flow, "p", DAY).id
    flow.send(CancelRun(run_id=run_id))
    assert flow.task_states("p", DAY) == {
        "load": TaskState.FAILED,
        "other": TaskState.CANCELLED,
        "next": TaskState.BLOCKED,
    }
    with pytest.raises(ConflictError, match="has ended already: it is failed"):
        flow.send(CancelRun(run_id=run_id))


def test_a_task_marked_succeeded_makes_its_outputs_ready_and_unblocks_what_is_below() -> None:
    flow = service(
        pipeline("p", task("load", same("a"), outputs=("b",)), task("next", after=("load",))),
        pipeline("q", task("read", same("b"))),
    )
    flow.ready("a", DAY)
    fail(flow, flow.running()[0])
    run = run_of(flow, "p", DAY)
    flow.send(MarkTask(run_id=run.id, task="load", state=TaskState.SUCCEEDED, reason="loaded by hand"))
    assert sorted(order.task for order in flow.running()) == ["next", "read"]
    flow.end_all()
    assert run_of(flow, "p", DAY).state is RunState.SUCCEEDED


def test_a_task_marked_skipped_makes_no_outputs_ready() -> None:
    flow = service(
        pipeline("p", task("load", same("a"), outputs=("b",)), task("next", after=("load",))),
        pipeline("q", task("read", same("b"))),
    )
    make(flow, "p", DAY)
    flow.send(MarkTask(run_id=run_of(flow, "p", DAY).id, task="load", state=TaskState.SKIPPED))
    assert [order.task for order in flow.started] == ["next"]


def test_a_running_task_cannot_be_marked() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    with pytest.raises(ConflictError, match="running"):
        flow.send(MarkTask(run_id=run_of(flow, "p", DAY).id, task="load", state=TaskState.SUCCEEDED))


# Interrupted


def test_four_crashes_are_no_failure_and_an_orderly_stop_is_not_counted() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    for crashed in (True, False, True, False, True, True):
        (order,) = flow.running()
        flow.send(
            AttemptEnded(
                run_id=order.run_id,
                task="load",
                number=order.number,
                state=AttemptState.INTERRUPTED,
                crashed=crashed,
            )
        )
    assert flow.task_states("p", DAY) == {"load": TaskState.RUNNING}
