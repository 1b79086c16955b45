"""The rules of time: what is optional, how old data may be, what is expected, schedules, order and expiry."""

from dataclasses import replace
from datetime import datetime

import pytest

from sensorflow.core.messages import (
    CancelRun,
    MakeRun,
    MarkTask,
    PausePipeline,
    RetryTasks,
    Reviewed,
    TimersDue,
    WithdrawPartition,
)
from sensorflow.core.states import RunState, TaskState
from sensorflow.core.vocabulary import (
    Catchup,
    Expectation,
    Grain,
    LatePolicy,
    Partitioning,
    RetryPolicy,
    Selection,
)
from sensorflow.testing import VirtualService
from tests.flows import (
    DAILY,
    HOURLY,
    KEY,
    NOW,
    WHOLE,
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
DAY_S = 86_400
REGIONS = Partitioning(Grain.KEYS, keys=("eu", "us"))
BOTH = Partitioning(Grain.SEVERAL, dimensions=(("day", DAILY), ("region", REGIONS)))


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def stopped_for(flow: VirtualService, seconds: float) -> None:
    """Let time pass without anybody who looks at timers, then start again."""
    flow.clock.advance(seconds)
    flow.send(Reviewed())
    flow.pass_time(0)


# optional_after


def test_what_is_optional_is_waited_for_after_the_partitions_end() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b", optional_after_s=3600.0))))
    flow.ready("a", "2026-06-03")  # Ends 24 hours from now.
    flow.pass_time(DAY_S + 3599)
    assert fired(flow) == []
    flow.pass_time(1)
    assert fired(flow) == [("load", "2026-06-03")]


def test_a_run_of_an_old_partition_waits_as_long_after_it_was_made() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b", optional_after_s=3600.0))))
    flow.ready("a", "2020-01-01")
    flow.pass_time(3599)
    assert fired(flow) == []
    flow.pass_time(1)
    (order,) = flow.started
    assert order.missing == ({"dataset": "b", "partition": "2020-01-01", "parts": []},)


def test_two_inputs_become_optional_each_at_its_own_time() -> None:
    flow = service(
        pipeline(
            "p",
            task("load", same("a"), same("b", optional_after_s=10.0), same("c", optional_after_s=20.0)),
        )
    )
    flow.ready("a", DAY)
    flow.pass_time(19)
    assert fired(flow) == []
    flow.pass_time(1)
    assert [each["dataset"] for each in flow.started[0].missing] == ["b", "c"]


def test_the_next_generation_of_a_run_waits_for_what_is_optional_until_its_time_too() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b", optional_after_s=3600.0))))
    flow.ready("a", DAY)
    flow.ready("b", DAY)
    flow.end_all()
    flow.send(WithdrawPartition(dataset="b", partition=DAY))
    make(flow, "p", DAY)
    assert len(flow.started) == 1
    flow.pass_time(3600)
    assert len(flow.started) == 2


# max_age


def test_an_arrival_that_is_too_old_does_not_count_and_why_says_so() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b", max_age_s=3600.0))))
    flow.ready("b", DAY)
    flow.pass_time(3601)
    flow.ready("a", DAY)
    assert fired(flow) == []
    (wait,) = waits(flow, "p", DAY, "load")
    assert "1 h" in wait.text
    flow.ready("b", DAY)
    assert fired(flow) == [("load", DAY)]


def test_the_age_counts_at_the_start_of_the_attempt_not_when_it_was_queued() -> None:
    flow = service(pipeline("p", task("load", same("a", max_age_s=3600.0))), workers=1)
    flow.ready("a", "2026-06-01")
    flow.ready("a", "2026-06-02")
    flow.pass_time(3601)
    flow.end(flow.running()[0])
    assert partitions_fired(flow) == ["2026-06-01"]
    assert flow.task_states("p", "2026-06-02") == {"load": TaskState.WAITING}


def test_the_age_lapses_by_a_timer_and_why_says_so_though_no_slot_was_free() -> None:
    ages = task("load", same("a", max_age_s=60.0), same("b", max_age_s=7200.0))
    busy = pipeline("q", task("busy", same("c")))
    flow = service(busy, pipeline("p", ages, task("plain", same("a"))), workers=1)
    flow.ready("c", DAY)
    flow.ready("a", DAY)
    flow.ready("b", DAY)
    assert flow.task_states("p", DAY) == {"load": TaskState.QUEUED, "plain": TaskState.QUEUED}
    flow.pass_time(60)
    assert flow.task_states("p", DAY)["load"] is TaskState.QUEUED, "at its last moment it counts"
    flow.pass_time(1)
    assert flow.task_states("p", DAY) == {"load": TaskState.WAITING, "plain": TaskState.QUEUED}
    (wait,) = waits(flow, "p", DAY, "load")
    assert f"waiting for a {DAY}: what is there is 1 min 1 s old, at most 1 min counts" in wait.text
    flow.ready("a", DAY)
    flow.pass_time(30)
    assert flow.task_states("p", DAY)["load"] is TaskState.QUEUED
    flow.end_all()
    assert [task for task, _ in fired(flow)] == ["busy", "plain", "load"]


def test_an_age_that_lapses_during_a_pause_lets_nothing_start_at_its_end() -> None:
    flow = service(pipeline("p", task("load", same("a", max_age_s=60.0))))
    flow.send(PausePipeline(pipeline="p", paused=True))
    flow.ready("a", DAY)
    flow.pass_time(3600)
    assert [wait.kind for wait in waits(flow, "p", DAY, "load")] == ["dataset", "paused"]
    flow.send(PausePipeline(pipeline="p", paused=False))
    assert fired(flow) == []
    flow.ready("a", DAY)
    assert fired(flow) == [("load", DAY)]


def test_no_age_lapses_for_what_has_begun_or_is_forced() -> None:
    ages = task("load", same("a", max_age_s=60.0), retries=RetryPolicy(max=1, delay_s=10.0))
    flow = service(pipeline("p", ages))
    flow.ready("a", DAY)
    fail(flow, flow.started[0])
    flow.send(PausePipeline(pipeline="p", paused=True))
    flow.ready("a", "2026-06-02")
    make(flow, "p", "2026-06-03", force=True)
    flow.pass_time(3600)
    states = [flow.task_states("p", f"2026-06-0{day}")["load"] for day in (1, 2, 3)]
    assert states == [TaskState.QUEUED, TaskState.WAITING, TaskState.QUEUED]
    flow.send(PausePipeline(pipeline="p", paused=False))
    assert sorted(partitions_fired(flow)) == [DAY, DAY, "2026-06-03"]


def test_an_age_that_lapses_opens_no_run_that_has_ended_for_a_task_that_was_added_since() -> None:
    ages = task("load", same("a", max_age_s=60.0))
    flow = service(pipeline("p", ages), workers=0)
    flow.ready("a", DAY)
    flow.workers = 1
    flow.ready("b", DAY)
    flow.end_all()
    assert run_of(flow, "p", DAY).state == "succeeded"
    flow.definitions = replace(
        flow.definitions, pipelines={"p": pipeline("p", ages, task("more", after=("load",)))}
    )
    flow.pass_time(3600)
    assert run_of(flow, "p", DAY).state == "succeeded"


def test_without_partitions_the_age_lapses_too() -> None:
    load = task("load", reads("w", Selection.LATEST, max_age_s=60.0))
    flow = service(pipeline("p", load, partitioning=WHOLE), datasets=(dataset("w", WHOLE),), workers=0)
    flow.ready("w")
    assert flow.task_states("p", "") == {"load": TaskState.QUEUED}
    flow.pass_time(61)
    (wait,) = waits(flow, "p", "", "load")
    assert wait.text.startswith("waiting for w: what is there is 1 min 1 s old, at most 1 min counts")


def test_the_age_of_a_run_whose_pipeline_is_gone_is_nobodys_concern() -> None:
    flow = service(pipeline("p", task("load", same("a", max_age_s=60.0))), workers=0)
    flow.ready("a", DAY)
    flow.definitions = replace(flow.definitions, pipelines={})
    flow.pass_time(3600)
    assert flow.store.reader.next_timer_at() is None


def test_the_latest_that_is_too_old_is_told_with_its_age() -> None:
    flow = service(pipeline("p", task("load", same("a"), reads("b", Selection.LATEST, max_age_s=60.0))))
    flow.ready("b", "2026-05-30")
    flow.pass_time(3600)
    flow.ready("a", DAY)
    (wait,) = waits(flow, "p", DAY, "load")
    assert f"any partition of b not after {DAY}: what is there is 1 h old, at most 1 min counts" in wait.text
    flow.ready("b", "2026-05-29")
    assert fired(flow) == [], "the newest is what is read, and that one is too old"
    flow.ready("b", "2026-05-30")
    assert fired(flow) == [("load", DAY)]


# expect


def test_one_alert_lists_all_missing_partitions_of_a_dataset_and_ends_with_the_last_of_them() -> None:
    flow = service(
        pipeline("p", task("load", same("w"))), datasets=(dataset("w", expect=Expectation(after_s=60.0)),)
    )
    flow.send(Reviewed())
    flow.pass_time(2 * DAY_S + 60)
    (alert,) = flow.alerts
    assert (alert.kind, alert.dataset) == ("late", "w")
    row = flow.store.reader.open_alert("late/w")
    assert row is not None
    assert row.partitions == ("2026-06-02", "2026-06-03", "2026-06-04")
    for day in ("2026-06-02", "2026-06-04"):
        flow.ready("w", day)
    assert len(flow.alerts) == 1
    flow.ready("w", "2026-06-03")
    assert [alert.resolved for alert in flow.alerts] == [False, True]


def test_of_what_is_expected_a_part_is_not_enough() -> None:
    parts = dataset("w", parts=("x", "y"), expect=Expectation(after_s=60.0))
    flow = service(pipeline("p", task("load", same("w"))), datasets=(parts,))
    flow.send(Reviewed())
    flow.ready("w", "2026-06-02", part="x")
    flow.pass_time(60)
    assert [alert.partitions for alert in flow.alerts] == [("2026-06-02",)]
    flow.ready("w", "2026-06-02", part="y")
    assert [alert.resolved for alert in flow.alerts] == [False, True]


def test_what_is_there_in_time_raises_no_alert() -> None:
    flow = service(
        pipeline("p", task("load", same("w"))), datasets=(dataset("w", expect=Expectation(after_s=3600.0)),)
    )
    flow.send(Reviewed())
    flow.ready("w", "2026-06-02")
    flow.pass_time(DAY_S)
    assert flow.alerts == []


def test_partitions_expected_before_the_expectation_was_loaded_raise_no_alert_but_show_their_time() -> None:
    flow = service(
        pipeline("p", task("load", same("w"))), datasets=(dataset("w", expect=Expectation(after_s=0.0)),)
    )
    flow.send(Reviewed())
    flow.pass_time(60)
    assert flow.alerts == []
    (wait,) = waits(flow, "p", DAY, "load")
    assert (wait.expected_at, wait.late) == (at("2026-06-02T00:00:00Z"), True)


def test_only_partitions_inside_start_and_end_of_a_pipeline_that_reads_it_are_expected() -> None:
    flow = service(
        pipeline("p", task("load", same("w")), start="2026-06-04", end="2026-06-05"),
        datasets=(dataset("w", expect=Expectation(after_s=60.0)),),
    )
    flow.send(Reviewed())
    flow.pass_time(6 * DAY_S)
    row = flow.store.reader.open_alert("late/w")
    assert row is not None
    assert row.partitions == ("2026-06-04", "2026-06-05")


def test_expected_partitions_of_a_time_without_the_service_raise_their_alert_at_its_start() -> None:
    flow = service(
        pipeline("p", task("load", same("w"))), datasets=(dataset("w", expect=Expectation(after_s=60.0)),)
    )
    flow.send(Reviewed())
    stopped_for(flow, 2 * DAY_S + 60)
    row = flow.store.reader.open_alert("late/w")
    assert row is not None
    assert row.partitions == ("2026-06-02", "2026-06-03", "2026-06-04")


def test_an_expectation_that_was_edited_is_a_new_one_and_raises_no_alert_for_older_partitions() -> None:
    reads_w = pipeline("p", task("load", same("w")))
    flow = service(reads_w, datasets=(dataset("w", expect=Expectation(after_s=DAY_S)),))
    flow.send(Reviewed())
    flow.pass_time(DAY_S - 60)
    edited = dataset("w", expect=Expectation(after_s=3600.0))
    flow.definitions = replace(flow.definitions, datasets={**flow.definitions.datasets, "w": edited})
    flow.send(Reviewed())
    flow.pass_time(0)
    assert flow.alerts == [], "2026-06-02 was expected an hour after its end, before the edit"
    flow.pass_time(60 + 3600)
    row = flow.store.reader.open_alert("late/w")
    assert row is not None
    assert row.partitions == ("2026-06-03",)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-03-28", "2026-03-29T01:00:00Z"),
        ("2026-10-24", "2026-10-25T00:30:00Z"),
        (DAY, "2026-06-02T00:30:00Z"),
    ],
)
def test_a_clock_time_is_the_first_such_time_even_where_a_day_skips_it_or_has_it_twice(
    day: str, expected: str
) -> None:
    berlin = Partitioning(Grain.DAILY, "Europe/Berlin")
    flow = service(
        pipeline("p", task("load", same("w")), partitioning=berlin),
        datasets=(dataset("w", berlin, expect=Expectation(clock_s=2 * 3600 + 1800)),),
    )
    (wait,) = waits(flow, "p", day, "load")
    assert wait.expected_at == at(expected)


def test_of_several_dimensions_every_key_of_the_day_is_expected() -> None:
    flow = service(
        pipeline("p", task("load", same("w")), partitioning=BOTH),
        datasets=(dataset("w", BOTH, expect=Expectation(after_s=60.0)),),
    )
    flow.send(Reviewed())
    flow.ready("w", "2026-06-02|us")
    flow.pass_time(DAY_S + 60)
    row = flow.store.reader.open_alert("late/w")
    assert row is not None
    assert row.partitions == ("2026-06-02|eu", "2026-06-03|eu", "2026-06-03|us")


# schedule


def test_a_schedule_makes_the_run_of_the_newest_ended_partition_which_waits_for_its_inputs() -> None:
    flow = service(pipeline("p", task("prepare"), task("load", same("a")), schedule="0 2 * * *"))
    flow.send(Reviewed())
    flow.pass_time(2 * 3600 - 1)
    assert flow.run_of("p", "2026-06-02") is None
    flow.pass_time(1)
    assert run_of(flow, "p", "2026-06-02").trigger == "schedule"
    assert fired(flow) == [("prepare", "2026-06-02")]
    flow.ready("a", "2026-06-02")
    assert fired(flow)[1:] == [("load", "2026-06-02")]


def test_every_run_waits_for_the_time_of_its_partition_however_it_was_made() -> None:
    flow = service(pipeline("p", task("load", same("a")), schedule="0 2 * * *"))
    flow.ready("a", "2026-06-02")
    make(flow, "p", "2026-06-03")
    flow.ready("a", "2026-06-03")
    assert fired(flow) == []
    (wait,) = waits(flow, "p", "2026-06-03", "load")
    assert (wait.kind, wait.until) == ("time", at("2026-06-04T02:00:00Z"))
    flow.pass_time(2 * 3600)
    assert partitions_fired(flow) == ["2026-06-02"]
    flow.pass_time(DAY_S)
    assert partitions_fired(flow) == ["2026-06-02", "2026-06-03"]


def test_a_time_that_is_past_holds_nobody() -> None:
    flow = service(pipeline("p", task("load", same("a")), schedule="0 2 * * *"))
    flow.ready("a", "2026-05-01")
    assert partitions_fired(flow) == ["2026-05-01"]


def test_a_schedule_makes_no_second_run() -> None:
    flow = service(pipeline("p", task("load", same("a")), schedule="0 2,4,6 * * *"))
    flow.send(Reviewed())
    flow.ready("a", "2026-06-02")
    flow.pass_time(12 * 3600)
    assert partitions_fired(flow) == ["2026-06-02"]
    assert run_of(flow, "p", "2026-06-02").generation == 1


@pytest.mark.parametrize(
    ("catchup", "made"),
    [
        (Catchup.NONE, []),
        (Catchup.LAST, ["2026-06-04"]),
        (Catchup.ALL, ["2026-06-02", "2026-06-03", "2026-06-04"]),
    ],
)
def test_missed_schedule_times_are_made_up_for_as_the_pipeline_says(
    catchup: Catchup, made: list[str]
) -> None:
    flow = service(pipeline("p", task("load"), schedule="0 2 * * *", catchup=catchup))
    flow.send(Reviewed())
    stopped_for(flow, 2 * DAY_S + 12 * 3600)
    assert partitions_fired(flow) == made
    flow.pass_time(DAY_S)
    assert partitions_fired(flow) == [*made, "2026-06-05"]


@pytest.mark.parametrize("hours", [499, 500, 501, 1200])
def test_however_many_times_were_missed_only_the_newest_is_made_up_for(hours: int) -> None:
    flow = service(
        pipeline("p", task("load"), partitioning=HOURLY, schedule="0 * * * *", catchup=Catchup.LAST)
    )
    flow.send(Reviewed())
    flow.pass_time(1800)
    flow.end_all()
    before = len(flow.started)
    stopped_for(flow, hours * 3600)
    assert len(flow.started) - before == 1


@pytest.mark.parametrize("hours", [500, 1200])
def test_however_many_times_were_missed_all_are_made_up_for(hours: int) -> None:
    flow = service(
        pipeline(
            "p",
            task("load"),
            partitioning=HOURLY,
            schedule="0 * * * *",
            catchup=Catchup.ALL,
            max_active_runs=10_000,
            concurrency=10_000,
        ),
        workers=10_000,
    )
    flow.send(Reviewed())
    flow.pass_time(1800)
    before = len(flow.started)
    stopped_for(flow, hours * 3600)
    assert len(flow.started) - before == hours


def test_a_restart_and_a_clock_that_jumps_neither_double_nor_skip_a_schedule_time() -> None:
    flow = service(pipeline("p", task("load"), schedule="0 2 * * *"))
    flow.send(Reviewed())
    flow.pass_time(2 * 3600)
    flow.end_all()
    for _ in range(3):
        flow.send(Reviewed())
        flow.send(TimersDue())
    flow.clock = type(flow.clock)(flow.clock.now() - 3600)
    flow.send(Reviewed())
    flow.pass_time(2 * 3600)
    assert partitions_fired(flow) == ["2026-06-02"]
    flow.pass_time(DAY_S)
    assert partitions_fired(flow) == ["2026-06-02", "2026-06-03"]


def test_a_schedule_that_was_edited_goes_by_its_new_times() -> None:
    flow = service(pipeline("p", task("load"), schedule="0 2 * * *"))
    flow.send(Reviewed())
    edited = pipeline("p", task("load"), schedule="0 5 * * *")
    flow.definitions = replace(flow.definitions, pipelines={"p": edited})
    flow.send(Reviewed())
    flow.pass_time(5 * 3600 - 1)
    assert fired(flow) == []
    flow.pass_time(1)
    assert partitions_fired(flow) == ["2026-06-02"]


def test_schedule_times_that_come_during_a_pause_make_their_runs_which_start_at_its_end() -> None:
    flow = service(pipeline("p", task("load"), schedule="0 2 * * *"))
    flow.send(Reviewed())
    flow.send(PausePipeline(pipeline="p", paused=True))
    flow.pass_time(2 * DAY_S)
    assert [run_of(flow, "p", f"2026-06-0{day}").state for day in (2, 3)] == [RunState.RUNNING] * 2
    assert fired(flow) == []
    flow.send(PausePipeline(pipeline="p", paused=False))
    assert partitions_fired(flow) == ["2026-06-02", "2026-06-03"]


def test_a_schedule_without_partitions_makes_a_run_each_time() -> None:
    flow = service(pipeline("p", task("load"), partitioning=WHOLE, schedule="0 * * * *"))
    flow.clock.advance(1800)
    flow.send(Reviewed())
    for _ in range(3):
        flow.pass_time(3600)
        flow.end_all()
    assert len({order.run_id for order in flow.started}) == 3


def test_a_schedule_without_partitions_makes_a_run_after_a_failed_one_and_none_beside_one_that_goes() -> None:
    flow = service(pipeline("p", task("load"), partitioning=WHOLE, schedule="0 * * * *"))
    flow.clock.advance(1800)
    flow.send(Reviewed())
    flow.pass_time(2 * 3600)
    assert len(flow.started) == 1
    fail(flow, flow.started[0])
    flow.pass_time(3600)
    assert len({order.run_id for order in flow.started}) == 2


def test_a_scheduled_run_without_partitions_waits_for_news_of_every_input() -> None:
    flow = service(
        pipeline("p", task("load", reads("w", Selection.LATEST)), partitioning=WHOLE, schedule="0 * * * *"),
        datasets=(dataset("w", WHOLE),),
    )
    flow.send(Reviewed())
    flow.pass_time(3600)
    assert run_of(flow, "p").state is RunState.WAITING
    flow.ready("w")
    assert fired(flow) == [("load", "")]


def test_a_schedule_makes_no_run_outside_start_and_end() -> None:
    flow = service(pipeline("p", task("load"), schedule="0 2 * * *", start="2026-06-03", end="2026-06-03"))
    flow.send(Reviewed())
    flow.pass_time(5 * DAY_S)
    assert partitions_fired(flow) == ["2026-06-03"]


def test_a_schedule_of_several_dimensions_makes_a_run_for_every_key_in_its_zone() -> None:
    tokyo = Partitioning(
        Grain.SEVERAL, dimensions=(("day", Partitioning(Grain.DAILY, "Asia/Tokyo")), ("region", REGIONS))
    )
    tokyo = Partitioning(Grain.SEVERAL, "Asia/Tokyo", dimensions=tokyo.dimensions)
    flow = service(pipeline("p", task("load"), partitioning=tokyo, schedule="0 2 * * *", start="2026-06-01"))
    flow.send(Reviewed())
    flow.pass_time(DAY_S)
    # 2026-06-04T02:00+09:00, the first such time after now, is 17 hours away.
    assert sorted(partitions_fired(flow)) == ["2026-06-03|eu", "2026-06-03|us"]


# sequential


def test_a_partition_waits_for_the_success_of_the_one_before_and_the_first_for_none() -> None:
    flow = service(pipeline("p", task("load", same("a")), sequential=True, start="2026-06-01"))
    flow.ready("a", "2026-06-02")
    (wait,) = waits(flow, "p", "2026-06-02", "load")
    assert (wait.kind, wait.partition) == ("previous", "2026-06-01")
    flow.ready("a", "2026-06-01")
    assert partitions_fired(flow) == ["2026-06-01"]
    flow.end(flow.running()[0])
    assert partitions_fired(flow) == ["2026-06-01", "2026-06-02"]


def test_a_failure_holds_the_next_partition_until_it_is_repaired() -> None:
    flow = service(pipeline("p", task("load", same("a")), sequential=True, start="2026-06-01"))
    for day in ("2026-06-01", "2026-06-02"):
        flow.ready("a", day)
    fail(flow, flow.running()[0])
    assert partitions_fired(flow) == ["2026-06-01"]
    flow.send(RetryTasks(run_id=run_of(flow, "p", "2026-06-01").id))
    flow.end_all()
    assert partitions_fired(flow) == ["2026-06-01", "2026-06-01", "2026-06-02"]


def test_a_partition_goes_on_when_the_failure_before_it_is_marked_as_done() -> None:
    flow = service(pipeline("p", task("load", same("a")), start="2026-06-01", sequential=True))
    for day in ("2026-06-03", "2026-06-02", "2026-06-01"):
        flow.ready("a", day)
    fail(flow, flow.started[0])
    assert partitions_fired(flow) == ["2026-06-01"]
    run_id = run_of(flow, "p", "2026-06-01").id
    flow.send(MarkTask(run_id=run_id, task="load", state=TaskState.SUCCEEDED))
    assert partitions_fired(flow) == ["2026-06-01", "2026-06-02"]
    assert [alert.resolved for alert in flow.alerts] == [False, True]


def test_what_is_queued_waits_again_when_the_partition_before_it_is_opened_again() -> None:
    options = {"sequential": True, "start": "2026-06-01", "late": LatePolicy.RERUN}
    flow = service(pipeline("p", task("load", same("a")), **options))
    flow.ready("a", "2026-06-01")
    flow.end_all()
    flow.send(PausePipeline(pipeline="p", paused=True))
    flow.ready("a", "2026-06-02")
    flow.ready("a", "2026-06-01")
    flow.send(PausePipeline(pipeline="p", paused=False))
    assert partitions_fired(flow) == ["2026-06-01", "2026-06-01"]
    assert [wait.kind for wait in waits(flow, "p", "2026-06-02", "load")] == ["previous"]
    flow.end(flow.running()[0])
    assert partitions_fired(flow) == ["2026-06-01", "2026-06-01", "2026-06-02"]


def test_sequential_without_partitions_makes_the_next_run_after_the_previous_has_ended() -> None:
    flow = service(
        pipeline("p", task("load", reads("w", Selection.LATEST)), partitioning=WHOLE, sequential=True),
        datasets=(dataset("w", WHOLE),),
    )
    flow.ready("w")
    flow.ready("w")
    assert len(flow.started) == 1
    fail(flow, flow.running()[0])
    assert len(flow.started) == 2


def test_sequential_in_several_dimensions_waits_for_the_same_keys_day_before() -> None:
    flow = service(
        pipeline("p", task("load", same("w")), partitioning=BOTH, sequential=True, start="2026-06-01"),
        datasets=(dataset("w", BOTH),),
    )
    for key in ("2026-06-02|eu", "2026-06-02|us", "2026-06-01|eu"):
        flow.ready("w", key)
    flow.end_all()
    assert partitions_fired(flow) == ["2026-06-01|eu", "2026-06-02|eu"]


# expire


def test_a_run_that_waited_too_long_is_cancelled_and_its_missing_inputs_named() -> None:
    flow = service(pipeline("p", task("join", same("a"), same("b")), expire_s=3600.0))
    flow.ready("a", DAY)
    flow.pass_time(3599)
    assert run_of(flow, "p", DAY).state is RunState.WAITING
    flow.pass_time(1)
    run = run_of(flow, "p", DAY)
    assert run.state is RunState.CANCELLED
    (kept,) = flow.store.listing.operations(run.id)
    assert kept.kind == "expire"
    assert f"b {DAY}" in (kept.reason or "")
    flow.ready("b", DAY)
    assert fired(flow) == []


def test_a_run_that_is_going_does_not_expire() -> None:
    flow = service(pipeline("p", task("load", same("a")), expire_s=3600.0))
    flow.ready("a", DAY)
    flow.pass_time(7200)
    assert run_of(flow, "p", DAY).state is RunState.RUNNING


def test_a_run_that_waits_again_after_it_went_expires_so_long_after_that() -> None:
    both = pipeline("p", task("load", same("a")), task("join", same("b")), expire_s=3600.0)
    flow = service(both)
    flow.ready("a", DAY)
    flow.pass_time(5000)
    flow.end_all()
    flow.pass_time(3599)
    assert run_of(flow, "p", DAY).state is RunState.WAITING
    flow.pass_time(1)
    assert run_of(flow, "p", DAY).state is RunState.CANCELLED


def test_a_next_generation_that_waits_expires_too() -> None:
    flow = service(pipeline("p", task("load", same("a")), expire_s=3600.0))
    flow.ready("a", DAY)
    flow.end_all()
    flow.pass_time(DAY_S)
    flow.send(WithdrawPartition(dataset="a", partition=DAY, part=None, reason="wrong"))
    assert make(flow, "p", DAY).state is RunState.WAITING
    flow.pass_time(3600)
    assert run_of(flow, "p", DAY).state is RunState.CANCELLED


def test_an_expiry_that_a_reload_adds_or_changes_holds_for_runs_that_wait() -> None:
    waiting = pipeline("p", task("join", same("a"), same("b")))

    def edited(flow: VirtualService, expire_s: float | None) -> None:
        flow.definitions = replace(flow.definitions, pipelines={"p": replace(waiting, expire_s=expire_s)})
        flow.send(Reviewed())
        flow.pass_time(0)

    flow = service(waiting)
    flow.ready("a", DAY)
    flow.pass_time(1000)
    edited(flow, 3600.0)
    edited(flow, 2000.0)
    flow.pass_time(999)
    assert run_of(flow, "p", DAY).state is RunState.WAITING
    edited(flow, 3000.0)
    flow.pass_time(1000)
    assert run_of(flow, "p", DAY).state is RunState.WAITING
    edited(flow, 60.0)
    assert run_of(flow, "p", DAY).state is RunState.CANCELLED


# Several dimensions


def test_dimensions_of_the_same_name_meet_and_others_do_not_narrow() -> None:
    flow = service(
        pipeline("p", task("load", same("w"), same("r"), same("d")), partitioning=BOTH),
        datasets=(
            dataset("w", BOTH),
            dataset("r", Partitioning(Grain.SEVERAL, dimensions=(("region", REGIONS),))),
            dataset("d", DAILY),
        ),
    )
    flow.ready("w", {"day": DAY, "region": "eu"})
    flow.ready("w", {"day": DAY, "region": "us"})
    flow.ready("r", "us")
    assert fired(flow) == []
    flow.ready("d", DAY)
    assert fired(flow) == [("load", f"{DAY}|us")]
    order = flow.started[0]
    assert order.dimensions == {"day": DAY, "region": "us"}
    assert order.partition_start is not None
    assert order.partition_start.startswith(f"{DAY}T00:00:00")


def test_a_dimension_that_only_the_dataset_has_needs_all_of_its_keys() -> None:
    flow = service(
        pipeline(
            "p",
            task("every", same("w")),
            task("one", reads("w", Selection.SAME, dimensions={"region": ("eu",)})),
        ),
        datasets=(dataset("w", BOTH),),
    )
    flow.ready("w", f"{DAY}|eu")
    assert fired(flow) == [("one", DAY)]
    flow.ready("w", f"{DAY}|us")
    assert fired(flow)[1:] == [("every", DAY)]


def test_start_and_end_of_several_dimensions_are_of_the_calendar() -> None:
    flow = service(
        pipeline("p", task("load", same("w")), partitioning=BOTH, start="2026-06-02", end="2026-06-03"),
        datasets=(dataset("w", BOTH),),
    )
    for day in range(1, 5):
        flow.ready("w", f"2026-06-0{day}|eu")
    assert partitions_fired(flow) == ["2026-06-02|eu", "2026-06-03|eu"]


def test_last_in_several_dimensions_asks_for_nothing_before_the_start() -> None:
    last = reads("w", Selection.LAST, count=3)
    flow = service(
        pipeline("p", task("load", last), partitioning=BOTH, start=DAY), datasets=(dataset("w", BOTH),)
    )
    make(flow, "p", "2026-06-02|eu")
    asked = [wait.partition for wait in waits(flow, "p", "2026-06-02|eu", "load")]
    assert asked == [f"{DAY}|eu", "2026-06-02|eu"]


def test_a_late_version_of_one_key_concerns_that_keys_run_alone() -> None:
    flow = service(
        pipeline("p", task("load", same("w")), partitioning=BOTH, late=LatePolicy.RERUN),
        datasets=(dataset("w", BOTH),),
    )
    for region in ("eu", "us"):
        flow.ready("w", f"{DAY}|{region}")
    flow.end_all()
    flow.ready("w", f"{DAY}|us")
    flow.end_all()
    assert [run_of(flow, "p", f"{DAY}|{region}").generation for region in ("eu", "us")] == [1, 2]


def test_the_output_of_several_dimensions_fires_those_below_key_by_key() -> None:
    flow = service(
        pipeline("p", task("load", same("w"), outputs=("made",)), partitioning=BOTH),
        pipeline("q", task("read", same("made"))),
        datasets=(dataset("w", BOTH), dataset("made", BOTH)),
    )
    flow.ready("w", f"{DAY}|eu")
    flow.end_all()
    assert partitions_fired(flow, "read") == []
    flow.ready("w", f"{DAY}|us")
    flow.end_all()
    assert partitions_fired(flow, "read") == [DAY]


def test_a_free_keys_run_has_no_time_to_wait_for() -> None:
    flow = service(
        pipeline("p", task("load", same("k", optional_after_s=60.0)), partitioning=KEY),
        datasets=(dataset("k", KEY),),
    )
    flow.send(MakeRun(pipeline="p", partition="batch-1"))
    assert flow.clock.now() == NOW
    flow.pass_time(59)
    assert fired(flow) == []
    flow.pass_time(1)
    assert fired(flow) == [("load", "batch-1")]


def test_the_timers_of_a_cancelled_run_start_nothing() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b", optional_after_s=60.0))))
    flow.ready("a", DAY)
    flow.send(CancelRun(run_id=run_of(flow, "p", DAY).id))
    flow.pass_time(120)
    assert fired(flow) == []


def test_the_latest_of_several_dimensions_is_that_of_the_same_keys() -> None:
    joined = task("join", same("a"), reads("b", Selection.LATEST))
    flow = service(
        pipeline("p", joined, partitioning=BOTH),
        datasets=(dataset("a", BOTH), dataset("b", BOTH)),
    )
    flow.ready("b", "2026-05-30|us")
    flow.ready("a", "2026-06-01|eu")
    flow.ready("b", "2026-06-02|eu")
    (wait,) = waits(flow, "p", "2026-06-01|eu", "join")
    assert wait.text.startswith("waiting for any partition of b of eu not after 2026-06-01|eu")
    flow.ready("b", "2026-05-29|eu")
    (order,) = flow.started
    assert (order.partition, list(order.inputs["b"])) == ("2026-06-01|eu", ["2026-05-29|eu"])
