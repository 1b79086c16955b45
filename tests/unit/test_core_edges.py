"""What happens at the edges: the end of the calendar, more runs than one look finds, two causes at once."""

import gc
from dataclasses import replace

import pytest

from sensorflow.core.clocks import DAY_S, EARLIEST
from sensorflow.core.collector import look_seldom, without_collector
from sensorflow.core.errors import ConflictError, PartitionError, ReadingError
from sensorflow.core.gates import following
from sensorflow.core.matching import compile_pattern
from sensorflow.core.messages import (
    CancelBackfill,
    ClockSet,
    EventState,
    Made,
    MarkTask,
    RetryTasks,
    Reviewed,
    SensorReported,
    StartBackfill,
    WithdrawPartition,
)
from sensorflow.core.partitions import shifted
from sensorflow.core.reading import read_text, value_at
from sensorflow.core.regexes import compile_regex
from sensorflow.core.runs import WALK, within
from sensorflow.core.states import RunState, TaskState
from sensorflow.core.vocabulary import (
    Expectation,
    Grain,
    LatePolicy,
    Partitioning,
    RetryPolicy,
    Rule,
    Selection,
)
from sensorflow.store.memory_state import MemoryState
from sensorflow.testing import FakeClock
from tests.flows import (
    DAILY,
    KEY,
    MONTHLY,
    NOW,
    WHOLE,
    dataset,
    fail,
    fired,
    make,
    mqtt_sensor,
    partitions_fired,
    pipeline,
    reads,
    receive,
    run_of,
    same,
    seen,
    service,
    task,
    waits,
)

DAY = "2026-06-01"
REGIONS = Partitioning(Grain.KEYS, keys=("eu", "us"))


def days(count: int) -> tuple[str, ...]:
    """Return so many days from 2020 on."""

    return tuple(shifted(DAILY, "2020-01-01", n) for n in range(count))


# Sensors that are down


def test_a_sensor_that_is_down_is_told_once_until_it_is_well() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    for error in ("refused", "refused again"):
        flow.send(SensorReported(pipeline="p", sensor="s", error=error))
    row = flow.store.reader.open_alert("sensor_down/p/s")
    assert row is not None
    assert (row.text, row.pipeline, row.opened_at) == ("sensor p/s is down: refused", "p", NOW)
    flow.send(SensorReported(pipeline="p", sensor="s", error=None))
    assert flow.store.reader.open_alert("sensor_down/p/s") is None


# Explanations


def test_a_task_without_inputs_waits_for_an_arrival_or_a_word_to_make_its_run() -> None:
    flow = service(pipeline("p", task("prepare"), task("load", same("a"))))
    (wait,) = waits(flow, "p", DAY, "prepare")
    assert wait.text == f"there is no run yet: an arrival makes it, or `sensorflow run p/{DAY}`"


def test_a_run_that_its_backfill_holds_back_says_so() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    for day in ("2026-05-01", "2026-05-02"):
        make(flow, "p", day)
    made = flow.send(StartBackfill(pipeline="p", partitions=("2026-05-01", "2026-05-02"), max_active=1))
    assert isinstance(made, Made)
    flow.ready("a", "2026-05-01")
    flow.ready("a", "2026-05-02")
    (wait,) = waits(flow, "p", "2026-05-02", "load")
    assert wait.text == "queued: its backfill has as many active runs as its max_active, 1"


def test_what_a_raised_limit_lets_go_starts_next() -> None:
    flow = service(pipeline("p", task("load", same("a")), concurrency=1))
    for day in ("2026-05-01", "2026-05-02"):
        flow.ready("a", day)
    raised = pipeline("p", task("load", same("a")), concurrency=2)
    flow.definitions = replace(flow.definitions, pipelines={"p": raised})
    assert waits(flow, "p", "2026-05-02", "load")[0].text == "queued: it starts next"
    flow.send(Reviewed())
    assert len(flow.started) == 2


def test_tasks_that_wait_for_each_other_are_no_pipeline() -> None:
    with pytest.raises(ValueError, match=r"^the tasks of p form a cycle; `validate` names its members$"):
        service(pipeline("p", task("a", after=("b",)), task("b", after=("a",))))


def test_of_a_pipeline_without_partitions_the_next_run_is_explained_once_one_is_done() -> None:
    flow = service(
        pipeline("p", task("load", reads("w", Selection.LATEST)), partitioning=WHOLE),
        datasets=(dataset("w", WHOLE),),
    )
    flow.ready("w")
    assert flow.why("p", "").run is not None
    flow.end_all()
    why = flow.why("p", "")
    assert why.run is None
    assert [each.state for each in why.tasks] == [TaskState.WAITING]


def test_what_an_input_waits_for_says_from_when_on_it_is_optional() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b", optional_after_s=60))))
    flow.ready("a", DAY)
    (wait,) = waits(flow, "p", DAY, "load")
    assert wait.until == NOW + 60
    assert "from 2026-06-03T00:01:00+00:00 the task starts without it" in wait.text


# Backfills


def test_a_cancelled_backfill_takes_back_more_runs_than_one_look_finds() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    made = flow.send(StartBackfill(pipeline="p", partitions=days(WALK + 1), max_active=1))
    assert isinstance(made, Made)
    flow.send(CancelBackfill(backfill=made.id))
    states = {run_of(flow, "p", day).state for day in days(WALK + 1)}
    assert states == {RunState.CANCELLED}


@pytest.mark.parametrize(("late", "generations"), [(LatePolicy.RERUN, 2), (LatePolicy.STALE, 1)])
def test_what_a_run_of_a_cancelled_backfill_has_begun_keeps_newer_versions_only_where_they_rerun(
    late: LatePolicy, generations: int
) -> None:
    flow = service(pipeline("p", task("load", same("a")), late=late))
    made = flow.send(StartBackfill(pipeline="p", partitions=(DAY,)))
    assert isinstance(made, Made)
    flow.ready("a", DAY)
    flow.ready("a", DAY)
    flow.send(CancelBackfill(backfill=made.id))
    flow.end_all()
    assert run_of(flow, "p", DAY).generation == generations


# Readers


def test_two_tasks_that_went_without_the_same_version_make_one_generation() -> None:
    flow = service(pipeline("p", task("one", same("a")), task("two", same("a")), late=LatePolicy.RERUN))
    flow.ready("a", DAY)
    flow.end_all()
    flow.ready("a", DAY)
    flow.end_all()
    assert run_of(flow, "p", DAY).generation == 2
    assert len(flow.started) == 4


def test_a_task_that_was_only_marked_as_done_has_read_nothing_that_could_be_late() -> None:
    flow = service(pipeline("p", task("load", same("a")), late=LatePolicy.RERUN))
    run = make(flow, "p", DAY)
    flow.send(MarkTask(run_id=run.id, task="load", state=TaskState.SUCCEEDED))
    flow.ready("a", DAY)
    assert fired(flow) == []
    assert run_of(flow, "p", DAY).generation == 1


def test_an_arrival_reaches_all_runs_of_each_reader_though_one_look_does_not_find_them() -> None:
    month_of_all = reads("m", Selection.LATEST)
    flow = service(
        pipeline("p", task("load", same("a"), month_of_all)),
        pipeline("q", task("load", same("b"), month_of_all)),
        datasets=(dataset("m", MONTHLY),),
    )
    for day in days(WALK + 1):
        flow.ready("a", day)
    for day in days(2):
        flow.ready("b", day)
    flow.ready("m", "2019-12")
    flow.pass_time(0)
    found = [(order.pipeline, order.partition) for order in flow.started]
    assert set(partitions_fired(flow)) <= set(days(WALK + 1))
    assert ("p", days(1)[0]) in found
    assert ("q", days(1)[0]) in found
    flow.end_all()
    assert {(order.pipeline, order.partition) for order in flow.started} == {
        *(("p", day) for day in days(WALK + 1)),
        *(("q", day) for day in days(2)),
    }
    flow.send(WithdrawPartition(dataset="m", partition="2019-12"))
    assert all(run_of(flow, "p", day).stale for day in days(WALK + 1))


def test_keys_that_a_pipeline_has_instead_of_days_leave_its_old_runs_no_partition() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b"))))
    flow.ready("a", DAY)
    run = run_of(flow, "p", DAY)
    edited = pipeline("p", task("load"), partitioning=REGIONS)
    flow.definitions = replace(flow.definitions, pipelines={"p": edited})
    flow.send(Reviewed())
    flow.pass_time(0)
    row = flow.store.reader.run(run.id)
    assert row is not None
    assert row.state is RunState.CANCELLED


def test_what_has_no_place_in_time_lies_inside_of_every_start_and_end() -> None:
    assert within(pipeline("p", task("load"), partitioning=REGIONS, start="2026-01-01"), "eu")


# What is taken back


def test_taking_back_marks_every_run_that_used_it_also_those_without_partitions() -> None:
    by_customer = Partitioning(Grain.SEVERAL, dimensions=(("day", DAILY), ("customer", KEY)))
    flow = service(
        pipeline("whole", task("load", reads("a", Selection.LATEST)), partitioning=WHOLE),
        pipeline("both", task("load", same("a"), same("k")), partitioning=by_customer),
        datasets=(dataset("k", by_customer),),
    )
    flow.ready("a", DAY)
    flow.ready("k", f"{DAY}|c-1")
    flow.end_all()
    flow.send(WithdrawPartition(dataset="a", partition=DAY))
    assert run_of(flow, "both", f"{DAY}|c-1").stale
    assert [order.pipeline for order in flow.started] == ["whole", "both"]


# The calendar's end


def test_after_the_calendars_last_day_none_follows() -> None:
    steady = pipeline("p", task("load", same("a")), sequential=True, start="9999-12-29")
    assert following(steady, "9999-12-29") == "9999-12-30"
    assert following(steady, "9999-12-30") is None
    assert following(pipeline("p", task("load")), DAY) is None


def test_after_the_calendars_last_day_none_is_expected() -> None:
    flow = service(
        pipeline("p", task("load", same("w"))), datasets=(dataset("w", expect=Expectation(after_s=60.0)),)
    )
    flow.clock.advance(253_402_128_000.0 - NOW)  # 9999-12-29
    flow.send(Reviewed())
    flow.pass_time(2 * DAY_S + 120)
    row = flow.store.reader.open_alert("late/w")
    assert row is not None
    assert row.partitions[-1] == "9999-12-30"
    assert flow.store.reader.next_timer_at() is None


def test_before_the_calendars_first_day_has_ended_a_schedule_makes_no_run() -> None:
    flow = service(pipeline("p", task("load"), schedule="0 2 * * *"))
    flow.clock = FakeClock(EARLIEST)
    flow.send(Reviewed())
    flow.pass_time(2 * 3600)
    assert flow.started == []
    flow.pass_time(DAY_S)
    assert partitions_fired(flow) == ["0001-01-02"]


def test_a_schedule_and_an_expectation_that_the_file_took_away_come_to_nothing() -> None:
    flow = service(
        pipeline("p", task("load", same("w")), schedule="0 2 * * *"),
        datasets=(dataset("w", expect=Expectation(after_s=60.0)),),
    )
    flow.send(Reviewed())
    edited = pipeline("p", task("load", same("w")))
    flow.definitions = replace(
        flow.definitions,
        pipelines={"p": edited},
        datasets={**flow.definitions.datasets, "w": dataset("w")},
    )
    flow.pass_time(2 * DAY_S)
    assert flow.run_of("p", "2026-06-02") is None
    assert flow.store.reader.open_alert("late/w") is None
    assert flow.store.reader.next_timer_at() is None


def test_of_free_keys_none_is_expected_because_they_cannot_be_listed() -> None:
    by_customer = Partitioning(Grain.SEVERAL, dimensions=(("day", DAILY), ("customer", KEY)))
    flow = service(
        pipeline("p", task("load", same("w")), partitioning=by_customer),
        datasets=(dataset("w", by_customer, expect=Expectation(after_s=60.0)),),
    )
    flow.send(Reviewed())
    flow.pass_time(2 * DAY_S)
    assert flow.store.reader.open_alert("late/w") is None


# What an attempt is given


async def test_an_event_that_is_no_longer_kept_is_given_by_its_number() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b"))))
    seq = flow.ready("a", DAY).seq
    state = flow.store.begin()
    assert isinstance(state, MemoryState)
    state._drop(state.events, seq)  # As if it were older than events are kept.
    await flow.store.commit()
    flow.ready("b", DAY)
    assert flow.started[0].inputs["a"][DAY] == {"version": 1, "events": [{"seq": seq}]}


def test_the_event_of_a_file_is_given_with_its_path() -> None:
    flow = service(
        pipeline("p", task("load", same("a"))),
        sensors=(mqtt_sensor(Rule(dataset="a", partition="data.day")),),
    )
    observed = seen({"day": DAY, "path": "in/1.csv"})
    told = observed.event._replace(source="/file/p/s", id="in/1.csv@1")
    flow.send(observed._replace(event=told))
    (event,) = flow.started[0].inputs["a"][DAY]["events"]
    assert event["path"] == "in/1.csv"


# Reading


@pytest.mark.parametrize("found", [[], ["x"], "text", None])
def test_a_place_that_an_array_does_not_have_is_refused(found: object) -> None:
    with pytest.raises(ReadingError, match=r"^rows\[1\]: expected an array of at least 2, found "):
        value_at({"rows": found}, "rows[1]")  # type: ignore[dict-item]


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(ReadingError, match=r"^id: expected a text, found half a character in "):
        read_text("id", {"id": "a\ud800"})


def test_a_group_that_captures_nothing_is_read_as_what_is_in_it() -> None:
    assert compile_regex("(?:ab)+(c)").captured("ababc") == "c"


def test_a_regex_of_what_takes_no_linear_time_is_refused() -> None:
    with pytest.raises(ReadingError, match="expected a regex"):
        compile_regex(r"(a)\1")


@pytest.mark.parametrize(
    ("numeric", "words"),
    [(["=", 5], "= 5"), ([">", 1, "<=", 3], "> 1 and <= 3"), (["<", 3], "< 3"), ([">=", 2], ">= 2")],
)
def test_a_number_that_does_not_fit_is_told_with_its_limits(numeric: list[object], words: str) -> None:
    pattern = compile_pattern({"data": {"n": [{"numeric": numeric}]}})  # type: ignore[dict-item]
    reason = pattern.first_mismatch({"data": {"n": -7}} if numeric != ["<", 3] else {"data": {"n": 9}})
    assert reason is not None
    assert words in reason


# A word from outside


def test_a_dataset_with_partitions_is_not_made_ready_without_one() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    with pytest.raises(PartitionError, match=r"^expected a partition: a is daily, found none$"):
        flow.ready("a")


def test_a_task_that_runs_is_not_retried_and_one_that_is_done_runs_again_when_its_run_has_ended() -> None:
    flow = service(pipeline("p", task("one", same("a")), task("two", same("a"))))
    flow.ready("a", DAY)
    one, _ = flow.started
    with pytest.raises(ConflictError, match=r"^task two is running; it runs by itself as soon as it can$"):
        flow.send(RetryTasks(run_id=one.run_id, tasks=("two",)))
    flow.end(one)
    flow.send(RetryTasks(run_id=one.run_id, tasks=("one",)))
    assert len(flow.started) == 2
    flow.end_all()
    assert [(order.task, order.generation) for order in flow.started[2:]] == [("one", 2)]


def test_what_is_forced_waits_for_no_input_but_for_what_is_above() -> None:
    flow = service(pipeline("p", task("one", same("a")), task("two", same("b"), after=("one",))))
    make(flow, "p", DAY, force=True)
    (wait,) = waits(flow, "p", DAY, "two")
    assert (wait.kind, wait.task) == ("task", "one")


def test_what_is_not_quiet_yet_says_when_it_is_complete() -> None:
    flow = service(pipeline("p", task("load", same("q"))), datasets=(dataset("q", quiet_s=60),))
    flow.ready("q", DAY)
    (wait,) = waits(flow, "p", DAY, "load")
    assert "it is complete 1 min after its last arrival" in wait.text


def test_a_clock_that_was_set_hurries_what_no_file_names_and_no_schedule_that_is_not_due() -> None:
    retried = task("load", same("a"), retries=RetryPolicy(max=1, delay_s=600))
    flow = service(pipeline("p", retried), pipeline("q", task("nightly"), schedule="0 2 * * *"))
    flow.send(Reviewed())
    flow.ready("a", DAY)
    fail(flow, flow.started[0])
    flow.definitions = replace(
        flow.definitions, pipelines={"p": pipeline("p", task("other")), "q": flow.definitions.pipelines["q"]}
    )
    flow.send(ClockSet(by_s=5.0))
    assert flow.store.reader.next_timer_at() == NOW
    assert flow.run_of("q", "2026-06-02") is None


def test_a_collector_that_was_off_stays_off() -> None:
    assert gc.isenabled()
    with without_collector():
        assert not gc.isenabled()
        with without_collector():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_looks_seldom_passes_over_what_is_there() -> None:
    thresholds = gc.get_threshold()
    try:
        look_seldom()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] > thresholds[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def test_an_event_that_a_rule_or_the_service_breaks_on_is_rejected_with_what_broke() -> None:
    flow = service(pipeline("p", task("load", same("a"))), sensors=(mqtt_sensor(Rule(dataset="gone")),))
    broken = receive(flow, seen({"day": "2026-06-01"}))
    assert (broken.state, broken.reason) == (
        EventState.REJECTED,
        "sensor p/s could not read it: it could not be handled (KeyError: 'gone')",
    )
    kept = receive(flow, seen({"day": "2026-06-02"})._replace(quarantined="it broke the turn"))
    assert (kept.state, kept.reason) == (EventState.REJECTED, "it broke the turn")
