"""What fires, when, and what follows: the decisions over the in-memory store."""

from dataclasses import replace

import pytest

from sensorflow.core.errors import ConflictError, NotFoundError
from sensorflow.core.messages import AttemptEnded, EventState, RetryTasks, Reviewed
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import (
    Grain,
    InputGroup,
    LatePolicy,
    Partitioning,
    RetryPolicy,
    Rule,
    Selection,
    When,
)
from tests.flows import (
    HOURLY,
    NOW,
    WEEKLY,
    WHOLE,
    dataset,
    fail,
    fired,
    mqtt_sensor,
    pipeline,
    reads,
    receive,
    same,
    seen,
    service,
    task,
)


def test_a_join_is_per_partition_and_never_across() -> None:
    sales = service(pipeline("sales", task("join", same("a"), same("b"))))
    sales.ready("a", "2026-06-01")
    sales.ready("b", "2026-06-02")
    assert fired(sales) == []
    sales.ready("a", "2026-06-02")
    sales.ready("b", "2026-06-01")
    assert fired(sales) == [("join", "2026-06-02"), ("join", "2026-06-01")]


def test_a_redelivered_event_is_a_duplicate_and_fires_nothing() -> None:
    sales = service(pipeline("sales", task("load", same("a"))))
    first = sales.ready("a", "2026-06-01", event_id="x")
    again = sales.ready("a", "2026-06-01", event_id="x")
    assert (again.state, again.seq) == (EventState.DUPLICATE, first.seq)
    assert len(fired(sales)) == 1


def test_branches_start_together_and_the_join_waits_for_both() -> None:
    sales = service(
        pipeline(
            "sales", task("left", same("a")), task("right", same("b")), task("join", after=("left", "right"))
        )
    )
    sales.ready("a", "2026-06-01")
    sales.ready("b", "2026-06-01")
    left, right = sales.running()
    sales.end(left)
    assert sales.task_states("sales", "2026-06-01")["join"] is TaskState.WAITING
    sales.end(right)
    assert fired(sales)[-1] == ("join", "2026-06-01")
    sales.end_all()
    run = sales.run_of("sales", "2026-06-01")
    assert run is not None
    assert (run.state, run.ended_at) == (RunState.SUCCEEDED, NOW)


@pytest.mark.parametrize(("day", "hours"), [("2013-03-10", 23), ("2013-07-01", 24), ("2013-11-03", 25)])
def test_a_day_waits_for_exactly_its_own_hours(day: str, hours: int) -> None:
    zone = Partitioning(Grain.DAILY, "America/New_York")
    flow = service(
        pipeline("p", task("load", reads("h", Selection.ALL)), partitioning=zone),
        datasets=(dataset("h", HOURLY),),
    )
    flow.ready("h", f"{day}T12:00-04:00")
    (waits,) = flow.why("p", day).tasks
    assert len(waits.waiting_for) == hours - 1
    keys = [wait.partition for wait in waits.waiting_for]
    for key in keys[:-1]:
        flow.ready("h", key)
    assert fired(flow) == []
    flow.ready("h", keys[-1])
    assert fired(flow) == [("load", day)]


def test_parts_arrive_in_any_order_and_why_names_the_missing_ones() -> None:
    flow = service(
        pipeline("p", task("load", same("w"))), datasets=(dataset("w", parts=("EWR", "JFK", "LGA")),)
    )
    flow.ready("w", "2026-06-01", part="LGA")
    (wait,) = flow.why("p", "2026-06-01").tasks[0].waiting_for
    assert wait.parts_missing == ("EWR", "JFK")
    assert wait.text.startswith("waiting for w 2026-06-01: parts EWR and JFK are missing")
    flow.ready("w", "2026-06-01", part="EWR")
    flow.ready("w", "2026-06-01", part="EWR")
    assert fired(flow) == []
    flow.ready("w", "2026-06-01", part="JFK")
    assert fired(flow) == [("load", "2026-06-01")]


def test_a_count_is_of_events_where_there_are_no_parts() -> None:
    flow = service(pipeline("p", task("load", same("w"))), datasets=(dataset("w", count=3),))
    for expected in ([], [], [("load", "2026-06-01")]):
        flow.ready("w", "2026-06-01")
        assert fired(flow) == expected


def test_latest_wakes_the_runs_that_waited_for_it() -> None:
    flow = service(
        pipeline("p", task("join", same("a"), reads("ref", Selection.LATEST))),
        datasets=(dataset("ref", WHOLE),),
    )
    for day in ("2026-06-01", "2026-06-02"):
        flow.ready("a", day)
    assert fired(flow) == []
    flow.ready("ref")
    assert fired(flow) == [("join", "2026-06-01"), ("join", "2026-06-02")]
    flow.ready("a", "2026-06-03")
    assert fired(flow)[-1] == ("join", "2026-06-03")


def test_latest_takes_the_newest_that_is_not_after_the_run() -> None:
    flow = service(pipeline("p", task("join", same("a"), reads("b", Selection.LATEST))))
    flow.ready("a", "2026-06-02")
    flow.ready("b", "2026-06-03")
    assert fired(flow) == []
    flow.ready("b", "2026-05-20")
    (order,) = flow.started
    assert list(order.inputs["b"]) == ["2026-05-20"]


def test_containing_wakes_every_day_of_the_week() -> None:
    flow = service(
        pipeline("p", task("join", same("a"), reads("plan", Selection.CONTAINING))),
        datasets=(dataset("plan", WEEKLY),),
    )
    flow.ready("a", "2026-06-01")
    flow.ready("a", "2026-06-07")
    flow.ready("a", "2026-06-08")
    flow.ready("plan", "2026-W23")
    assert fired(flow) == [("join", "2026-06-01"), ("join", "2026-06-07")]


def test_last_and_offset_wait_for_the_days_before() -> None:
    flow = service(
        pipeline(
            "p",
            task("mean", same("a"), reads("b", Selection.LAST, count=3)),
            task("diff", same("a"), reads("c", Selection.OFFSET, count=-1)),
        )
    )
    flow.ready("a", "2026-06-03")
    flow.ready("b", "2026-06-03")
    flow.ready("b", "2026-06-01")
    flow.ready("c", "2026-06-03")
    assert fired(flow) == []
    flow.ready("c", "2026-06-02")
    flow.ready("b", "2026-06-02")
    assert fired(flow) == [("diff", "2026-06-03"), ("mean", "2026-06-03")]


def test_partitions_before_the_start_are_not_asked_for() -> None:
    flow = service(
        pipeline("p", task("mean", same("a"), reads("b", Selection.LAST, count=7)), start="2026-06-01")
    )
    flow.ready("a", "2026-06-02")
    flow.ready("b", "2026-06-01")
    flow.ready("b", "2026-06-02")
    assert fired(flow) == [("mean", "2026-06-02")]


def test_what_lies_before_the_start_is_not_asked_for_by_an_offset_either() -> None:
    before = reads("b", Selection.OFFSET, count=-1)
    flow = service(pipeline("p", task("diff", same("a"), before), start="2026-06-01"))
    flow.ready("a", "2026-06-02")
    flow.ready("a", "2026-06-01")
    assert fired(flow) == [("diff", "2026-06-01")]


def test_at_least_is_enough_and_says_so_before() -> None:
    flow = service(
        pipeline("p", task("load", reads("h", Selection.ALL, at_least=2))), datasets=(dataset("h", HOURLY),)
    )
    flow.ready("h", "2026-06-01T05Z")
    assert "at least 2 are needed, 1 are there" in flow.why("p", "2026-06-01").tasks[0].waiting_for[0].text
    flow.ready("h", "2026-06-01T07Z")
    assert fired(flow) == [("load", "2026-06-01")]


def test_any_of_several_inputs_is_enough_where_the_group_says_so() -> None:
    group = InputGroup(needed=1, members=(same("b"), same("c")))
    flow = service(pipeline("p", task("load", same("a"), group)))
    flow.ready("c", "2026-06-01")
    assert fired(flow) == []
    flow.ready("a", "2026-06-01")
    assert fired(flow) == [("load", "2026-06-01")]


def test_an_optional_input_is_waited_for_until_its_time_and_then_named_as_missing() -> None:
    flow = service(
        pipeline("p", task("load", same("a"), same("w", optional_after_s=20.0))),
        datasets=(dataset("w", parts=("EWR", "JFK")),),
    )
    flow.ready("a", "2026-06-01")
    flow.ready("w", "2026-06-01", part="EWR")
    flow.pass_time(19)
    assert fired(flow) == []
    flow.pass_time(1)
    (order,) = flow.started
    assert order.missing == ({"dataset": "w", "partition": "2026-06-01", "parts": ["JFK"]},)


def test_an_arrival_that_a_task_went_without_makes_its_run_stale() -> None:
    flow = service(
        pipeline("p", task("load", same("a"), same("w", optional_after_s=20.0))),
        datasets=(dataset("w", parts=("EWR", "JFK")),),
    )
    flow.ready("a", "2026-06-01")
    flow.pass_time(20)
    flow.end_all()
    flow.ready("w", "2026-06-01", part="JFK")
    run = flow.run_of("p", "2026-06-01")
    assert run is not None
    assert (run.stale, run.generation, len(flow.started)) == (True, 1, 1)


@pytest.mark.parametrize(("policy", "stale"), [(LatePolicy.STALE, True), (LatePolicy.IGNORE, False)])
def test_a_newer_version_of_a_consumed_input_is_marked_as_the_policy_says(
    policy: LatePolicy, stale: bool
) -> None:
    flow = service(pipeline("p", task("load", same("a")), late=policy))
    flow.ready("a", "2026-06-01")
    flow.end_all()
    flow.ready("a", "2026-06-01")
    run = flow.run_of("p", "2026-06-01")
    assert run is not None
    assert run.stale is stale
    assert len(flow.started) == 1


def test_events_outside_start_and_end_are_kept_and_fire_nothing() -> None:
    flow = service(pipeline("p", task("load", same("a")), start="2026-06-02", end="2026-06-03"))
    for day in ("2026-06-01", "2026-06-02", "2026-06-03", "2026-06-04"):
        assert flow.ready("a", day).state is EventState.ACCEPTED
    assert [partition for _, partition in fired(flow)] == ["2026-06-02", "2026-06-03"]
    (wait,) = flow.why("p", "2026-06-04").tasks[0].waiting_for
    assert "outside the pipeline's partitions, 2026-06-02 to 2026-06-03" in wait.text


def test_free_keys_meet_however_late() -> None:
    orders = Partitioning(Grain.KEY)
    flow = service(
        pipeline("p", task("ship", same("paid"), same("packed")), partitioning=orders),
        datasets=(dataset("paid", orders), dataset("packed", orders)),
    )
    flow.ready("paid", "order-1")
    for number in range(2, 50):
        flow.ready("paid", f"order-{number}")
    flow.pass_time(86_400 * 400)
    flow.ready("packed", "order-1")
    assert fired(flow) == [("ship", "order-1")]


def test_a_failed_task_is_retried_with_backoff_and_then_blocks_only_what_is_below() -> None:
    retries = RetryPolicy(max=2, delay_s=5, backoff=2, jitter=0)
    flow = service(
        pipeline(
            "p",
            task("load", same("a"), retries=retries),
            task("other", same("b")),
            task("join", after=("load",)),
            task("publish", after=("join",)),
        )
    )
    flow.ready("a", "2026-06-01")
    flow.ready("b", "2026-06-01")
    load, other = flow.running()
    fail(flow, load, "disk on fire")
    (wait,) = (
        flow.why("p", "2026-06-01").tasks[0].waiting_for or flow.why("p", "2026-06-01").tasks[1].waiting_for
    )
    assert wait.text == "retry 1 of 2 at 2026-06-03T00:00:05+00:00, after: disk on fire"
    flow.pass_time(5)
    assert [order.number for order in flow.running()] == [1, 2]
    fail(flow, flow.running()[-1])
    flow.pass_time(9)
    assert len(flow.running()) == 1
    flow.pass_time(1)
    fail(flow, flow.running()[-1])
    assert flow.task_states("p", "2026-06-01") == {
        "load": TaskState.FAILED,
        "other": TaskState.RUNNING,
        "join": TaskState.BLOCKED,
        "publish": TaskState.BLOCKED,
    }
    flow.end(other)
    run = flow.run_of("p", "2026-06-01")
    assert run is not None
    assert run.state is RunState.FAILED


def test_a_retry_runs_the_failed_task_again_and_what_was_blocked_below_it() -> None:
    flow = service(pipeline("p", task("check", same("a")), task("publish", after=("check",))))
    flow.ready("a", "2026-06-01")
    fail(flow, flow.running()[0], "too few rows")
    why = flow.why("p", "2026-06-01")
    assert "check failed for good: too few rows; `sensorflow retry p/2026-06-01` runs it again" in str(why)
    run = flow.run_of("p", "2026-06-01")
    assert run is not None
    flow.send(RetryTasks(run_id=run.id))
    again = flow.running()[0]
    assert (again.number, again.generation) == (2, 1)
    assert again.idempotency_key == flow.started[0].idempotency_key
    flow.end_all()
    assert set(flow.task_states("p", "2026-06-01").values()) == {TaskState.SUCCEEDED}


def test_a_retry_without_downstream_leaves_what_is_below_blocked() -> None:
    flow = service(pipeline("p", task("check", same("a")), task("publish", after=("check",))))
    flow.ready("a", "2026-06-01")
    fail(flow, flow.running()[0])
    run = flow.run_of("p", "2026-06-01")
    assert run is not None
    flow.send(RetryTasks(run_id=run.id, downstream=False))
    flow.end_all()
    assert flow.task_states("p", "2026-06-01")["publish"] is TaskState.BLOCKED


def test_a_retry_that_does_not_fit_says_why_and_changes_nothing() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", "2026-06-01")
    flow.end_all()
    run = flow.run_of("p", "2026-06-01")
    assert run is not None
    with pytest.raises(ConflictError, match="nothing to retry"):
        flow.send(RetryTasks(run_id=run.id))
    with pytest.raises(NotFoundError, match="no task extract"):
        flow.send(RetryTasks(run_id=run.id, tasks=("extract",)))
    with pytest.raises(NotFoundError, match="no run nowhere"):
        flow.send(RetryTasks(run_id="nowhere"))


@pytest.mark.parametrize(
    ("when", "left", "expected"),
    [
        (When.ALL_SUCCEEDED, AttemptState.FAILED, TaskState.BLOCKED),
        (When.ALL_SUCCEEDED, AttemptState.SKIPPED, TaskState.RUNNING),
        (When.ALL_ENDED, AttemptState.FAILED, TaskState.RUNNING),
        (When.ANY_FAILED, AttemptState.FAILED, TaskState.RUNNING),
        (When.ANY_FAILED, AttemptState.SUCCEEDED, TaskState.SKIPPED),
        (When.ANY_SUCCEEDED, AttemptState.FAILED, TaskState.RUNNING),
    ],
)
def test_when_decides_by_the_ends_above(when: When, left: AttemptState, expected: TaskState) -> None:
    flow = service(
        pipeline(
            "p",
            task("left", same("a")),
            task("right", same("a")),
            task("last", after=("left", "right"), when=when),
        )
    )
    flow.ready("a", "2026-06-01")
    first, second = sorted(flow.running(), key=lambda order: order.task)
    flow.end(first, left)
    flow.end(second)
    assert flow.task_states("p", "2026-06-01")["last"] is expected


def test_a_success_makes_outputs_ready_and_fires_other_pipelines_in_the_same_transaction() -> None:
    flow = service(
        pipeline("days", task("publish", same("a"), outputs=("daily",))),
        pipeline("weeks", task("sum", reads("daily", Selection.ALL)), partitioning=WEEKLY),
        datasets=(dataset("daily"),),
    )
    for day in range(1, 8):
        flow.ready("a", f"2026-06-0{day}")
    publishes = flow.running()
    for order in publishes[:-1]:
        flow.end(order)
    assert "weeks" not in {order.pipeline for order in flow.started}
    flow.end(publishes[-1])
    assert fired(flow)[-1] == ("sum", "2026-W23")


def test_a_skipped_task_makes_no_outputs_ready() -> None:
    flow = service(
        pipeline("days", task("publish", same("a"), outputs=("daily",))),
        pipeline("copy", task("copy", same("daily"))),
        datasets=(dataset("daily"),),
    )
    flow.ready("a", "2026-06-01")
    flow.end(flow.running()[0], AttemptState.SKIPPED)
    assert len(flow.started) == 1


def test_an_interruption_spends_no_retry_and_the_task_starts_again() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", "2026-06-01")
    flow.end(flow.running()[0], AttemptState.INTERRUPTED)
    assert [order.number for order in flow.started] == [1, 2]
    flow.end_all()
    assert flow.task_states("p", "2026-06-01") == {"load": TaskState.SUCCEEDED}


def test_the_fifth_crash_of_one_firing_is_a_failure() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", "2026-06-01")
    for _ in range(5):
        (order,) = flow.running()
        flow.send(
            AttemptEnded(
                run_id=order.run_id,
                task="load",
                number=order.number,
                state=AttemptState.INTERRUPTED,
                crashed=True,
            )
        )
    assert flow.task_states("p", "2026-06-01") == {"load": TaskState.FAILED}


def test_the_end_of_an_attempt_that_is_not_the_current_one_changes_nothing() -> None:
    flow = service(pipeline("p", task("load", same("a")), task("next", after=("load",))))
    flow.ready("a", "2026-06-01")
    first = flow.running()[0]
    flow.end(first, AttemptState.INTERRUPTED)
    flow.end(first, AttemptState.SUCCEEDED)
    assert [order.number for order in flow.running()] == [2]
    assert flow.task_states("p", "2026-06-01")["next"] is TaskState.WAITING


def test_a_free_worker_takes_the_highest_priority_first_then_the_oldest() -> None:
    flow = service(pipeline("p", task("slow", same("a")), task("urgent", same("b"), priority=5)), workers=1)
    for day in ("2026-06-01", "2026-06-02"):
        flow.ready("a", day)
        flow.pass_time(1)
        flow.ready("b", day)
    flow.end_all()
    assert fired(flow) == [
        ("slow", "2026-06-01"),
        ("urgent", "2026-06-01"),
        ("urgent", "2026-06-02"),
        ("slow", "2026-06-02"),
    ]


def test_a_free_worker_takes_the_highest_priority_of_all_pipelines() -> None:
    flow = service(
        pipeline("p", task("busy", same("c")), task("slow", same("a"))),
        pipeline("q", task("urgent", same("b"), priority=5)),
        workers=1,
    )
    for name in "cab":
        flow.ready(name, "2026-06-01")
        flow.pass_time(1)
    flow.end_all()
    assert [name for name, _ in fired(flow)] == ["busy", "urgent", "slow"]


def test_concurrency_and_active_runs_hold_tasks_back_and_why_says_so() -> None:
    flow = service(
        pipeline("narrow", task("one", same("a")), task("two", same("a")), concurrency=1),
        pipeline("few", task("load", same("b")), max_active_runs=1),
    )
    flow.ready("a", "2026-06-01")
    assert len(flow.running()) == 1
    texts = [wait.text for task in flow.why("narrow", "2026-06-01").tasks for wait in task.waiting_for]
    assert texts == ["queued: narrow runs as many tasks as its concurrency, 1"]
    flow.ready("b", "2026-06-01")
    flow.ready("b", "2026-06-02")
    assert [order.partition for order in flow.running() if order.pipeline == "few"] == ["2026-06-01"]
    (wait,) = flow.why("few", "2026-06-02").tasks[0].waiting_for
    assert wait.text == "queued: few has as many active runs as its max_active_runs, 1"
    flow.end_all()
    assert len(flow.started) == 4


def test_why_names_what_never_came_and_what_came_close() -> None:
    flow = service(pipeline("p", task("join", same("a"), same("b"))))
    assert "nothing of it has ever arrived" in flow.why("p", "2026-06-01").tasks[0].waiting_for[0].text
    flow.ready("a", "2026-06-01")
    flow.ready("b", "2026-06-02")
    flow.pass_time(780)
    (wait,) = flow.why("p", "2026-06-01").tasks[0].waiting_for
    assert wait.text == (
        "waiting for b 2026-06-01; only POST /api/v1/ready makes it ready; "
        "the last that arrived is 2026-06-02, 13 min ago"
    )


def test_an_event_that_a_rule_cannot_read_is_rejected_with_the_reason_and_kept() -> None:
    rule = Rule(dataset="a", partition="data.day")
    flow = service(pipeline("p", task("load", same("a"))), sensors=(mqtt_sensor(rule),))
    receipt = receive(flow, seen({"day": "soon"}, id="1"))
    assert receipt.state is EventState.REJECTED
    assert receipt.reason is not None
    assert receipt.reason.startswith("sensor p/s could not read it: data.day: ")
    assert '"soon"' in receipt.reason
    stored = flow.store.reader.event(receipt.seq)
    assert stored is not None
    assert (stored.state, stored.event.data) == (EventState.REJECTED, {"day": "soon"})


def test_an_event_that_no_rule_takes_is_unmatched() -> None:
    rule = Rule(dataset="a", partition="data.day", match={"data": {"rows": [{"numeric": [">", 0]}]}})
    flow = service(pipeline("p", task("load", same("a"))), sensors=(mqtt_sensor(rule),))
    empty = receive(flow, seen({"day": "2026-06-01", "rows": 0}, id="1"))
    full = receive(flow, seen({"day": "2026-06-01", "rows": 1}, id="2"))
    assert (empty.state, full.state) == (EventState.UNMATCHED, EventState.ACCEPTED)
    assert fired(flow) == [("load", "2026-06-01")]


def test_an_event_with_larger_arrays_than_so_many_rules_can_look_through_is_kept_as_rejected() -> None:
    rule = Rule(dataset="a", partition="data.day", match={"data": {"rows": {"n": [{"exists": True}]}}})
    sensors = tuple(replace(mqtt_sensor(rule), name=f"s{n}", kind="events") for n in range(600))
    flow = service(pipeline("p", task("load", same("a"))), sensors=sensors)
    rows = [{"n": 1}] * 1_000
    huge = receive(flow, seen({"day": "2026-06-01", "rows": rows}, id="1")._replace(sensor=None))
    assert huge.state is EventState.REJECTED
    assert huge.reason is not None and "500,000 elements at most" in huge.reason
    small = receive(flow, seen({"day": "2026-06-01", "rows": rows[:100]}, id="2")._replace(sensor=None))
    assert small.state is EventState.ACCEPTED


def test_content_without_an_id_counts_once_within_the_dedupe_time() -> None:
    rule = Rule(dataset="a", partition="data.day")
    flow = service(pipeline("p", task("load", same("a"))), sensors=(mqtt_sensor(rule, dedupe_s=600.0),))
    states = []
    for pause in (0, 1, 598, 1):
        flow.pass_time(pause)
        receipt = receive(flow, seen({"day": "2026-06-01"}))
        states.append(receipt.state)
    assert states == [EventState.ACCEPTED, EventState.DUPLICATE, EventState.DUPLICATE, EventState.ACCEPTED]


def test_a_retained_message_is_one_event_until_its_content_changes() -> None:
    rule = Rule(dataset="a", partition="data.day")
    flow = service(pipeline("p", task("load", same("a"))), sensors=(mqtt_sensor(rule),))
    states = []
    for day in ("2026-06-01", "2026-06-01", "2026-06-02", "2026-06-01"):
        receipt = receive(flow, seen({"day": day}, replaces="t"))
        states.append(receipt.state)
        flow.pass_time(86_400)
    assert states == [EventState.ACCEPTED, EventState.DUPLICATE, EventState.ACCEPTED, EventState.ACCEPTED]


def test_a_duplicate_with_other_content_says_so() -> None:
    rule = Rule(dataset="a", partition="data.day")
    flow = service(pipeline("p", task("load", same("a"))), sensors=(mqtt_sensor(rule),))
    flow.send(seen({"day": "2026-06-01"}, id="1"))
    receipt = receive(flow, seen({"day": "2026-06-02"}, id="1"))
    assert receipt.state is EventState.DUPLICATE
    assert receipt.reason == "its content differs from the first one's, event 1; the first one counts"


def test_an_edited_file_fires_nothing_again_and_wakes_what_it_now_lets_run() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b")), task("done", same("a"))))
    flow.ready("a", "2026-06-01")
    flow.end_all()
    edited = pipeline("p", task("load", same("a")), task("done", same("a")))
    flow.definitions = replace(flow.definitions, pipelines={"p": edited})
    flow.send(Reviewed())
    flow.pass_time(1)
    assert fired(flow) == [("done", "2026-06-01"), ("load", "2026-06-01")]


def test_a_task_that_the_file_no_longer_has_is_cancelled_instead_of_started() -> None:
    flow = service(pipeline("p", task("one", same("a")), task("two", same("a"))), workers=1)
    flow.ready("a", "2026-06-01")
    (running,) = flow.running()
    gone = "two" if running.task == "one" else "one"
    flow.definitions = replace(
        flow.definitions, pipelines={"p": pipeline("p", task(running.task, same("a")))}
    )
    flow.end(running)
    row = flow.store.reader.task(running.run_id, gone)
    assert row is not None
    assert row.state is TaskState.CANCELLED
    assert len(flow.started) == 1


def test_a_walk_over_many_open_runs_takes_several_transactions_and_forgets_none() -> None:
    flow = service(
        pipeline(
            "p",
            task("join", same("a"), reads("ref", Selection.LATEST)),
            partitioning=Partitioning(Grain.KEY),
            concurrency=10_000,
            max_active_runs=10_000,
        ),
        datasets=(dataset("a", Partitioning(Grain.KEY)), dataset("ref", WHOLE)),
        workers=10_000,
    )
    for number in range(1_201):
        flow.ready("a", f"k{number}")
    flow.ready("ref")
    assert len(flow.started) == 500
    flow.pass_time(0)
    assert len(flow.started) == 1_201
