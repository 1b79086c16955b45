"""What is removed when it is old enough, what is kept although it is, and what then follows."""

from dataclasses import replace

import pytest

from sensorflow.core import retention
from sensorflow.core.backfills import Step, plan
from sensorflow.core.errors import NotFoundError
from sensorflow.core.messages import (
    CancelBackfill,
    ClockSet,
    EventState,
    Only,
    RetryTasks,
    Reviewed,
    StartBackfill,
    WithdrawPartition,
)
from sensorflow.core.state import ContentRow
from sensorflow.core.states import RunState
from sensorflow.core.vocabulary import (
    DatasetDefinition,
    Grain,
    LatePolicy,
    Partitioning,
    PipelineDefinition,
    Retention,
    Rule,
    Selection,
    SensorDefinition,
)
from sensorflow.testing import FakeClock, VirtualService
from tests.flows import (
    DAILY,
    KEY,
    MONTHLY,
    WHOLE,
    dataset,
    fail,
    fired,
    make,
    mqtt_sensor,
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

BY_DAY_AND_CUSTOMER = Partitioning(Grain.SEVERAL, dimensions=(("day", DAILY), ("customer", KEY)))
DAY_S = 86_400.0
DAYS = ("2026-06-01", "2026-06-02", "2026-06-03")


def keeping(flow: VirtualService, **kept_s: float) -> VirtualService:
    """Let a service keep what is over for so long, from now on."""
    flow.retention = Retention(**kept_s)
    flow.send(Reviewed())
    return flow


def events(flow: VirtualService) -> list[int]:
    return [mark.seq for mark in flow.store.reader.event_marks(0, 10_000)]


def sales(*tasks: str, **options: object) -> PipelineDefinition:
    return pipeline("sales", *(task(name, same("a")) for name in tasks or ("load",)), **options)


# --- events ---


def test_an_event_goes_when_it_is_old_enough_and_its_identity_stays() -> None:
    flow = keeping(service(sales()), events_s=10 * DAY_S)
    for day in DAYS:
        flow.ready("a", day, event_id=day)
    flow.end_all()
    flow.pass_time(9 * DAY_S)
    assert events(flow) == [1, 2, 3]
    flow.pass_time(2 * DAY_S)
    assert events(flow) == [3]  # The newest, which tells what the dataset has got to.
    assert flow.store.reader.arrivals(1) == []
    again = flow.ready("a", DAYS[0], event_id=DAYS[0])
    assert (again.state, again.seq, again.id) == (EventState.DUPLICATE, 1, DAYS[0])
    assert flow.store.reader.last_seq() == 3
    assert len(fired(flow)) == 3


def test_an_event_is_kept_for_as_long_as_a_run_waits_that_is_to_read_it() -> None:
    flow = keeping(service(pipeline("p", task("join", same("a"), same("b")))), events_s=DAY_S)
    for day in DAYS:
        flow.ready("a", day)
    flow.pass_time(100 * DAY_S)
    assert events(flow) == [1, 2, 3]
    flow.ready("b", DAYS[0])
    (order,) = flow.started
    assert order.inputs["a"][DAYS[0]]["events"][0]["id"] == "event-1"
    flow.end_all()
    flow.pass_time(3 * DAY_S)
    assert events(flow) == [2, 3, 4]


def test_of_what_a_part_has_been_replaced_by_only_the_newest_is_kept_for_a_run_that_waits() -> None:
    flow = service(pipeline("p", task("join", same("a"), same("b"))))
    keeping(flow, events_s=DAY_S)
    for _ in range(3):
        flow.ready("a", DAYS[0])
    flow.ready("a", DAYS[1])
    flow.pass_time(3 * DAY_S)
    assert events(flow) == [3, 4]


def test_what_a_run_to_come_reads_of_the_past_is_kept() -> None:
    months = DatasetDefinition(name="m", partitioning=MONTHLY)
    year = pipeline("year", task("sum", reads("m", Selection.LAST, count=3)), partitioning=MONTHLY)
    flow = keeping(service(year, datasets=(months,)), events_s=DAY_S)
    for month in ("2026-02", "2026-03", "2026-04", "2026-05"):
        flow.ready("m", month)
    flow.pass_time(10 * DAY_S)
    assert events(flow) == [3, 4]  # June reads April to June; it begins to be read when it has ended.


def test_the_newest_that_tasks_read_by_latest_is_kept_for_ever() -> None:
    rates = dataset("rates", WHOLE)
    flow = service(
        pipeline("p", task("load", same("a"), reads("rates", Selection.LATEST))), datasets=(rates,)
    )
    keeping(flow, events_s=DAY_S)
    flow.ready("rates")
    flow.ready("rates")
    flow.pass_time(400 * DAY_S)
    assert events(flow) == [2]
    flow.ready("a", DAYS[0])
    assert flow.started[0].inputs["rates"][""]["events"][0]["id"] == "event-2"


def test_what_an_older_run_may_read_by_latest_is_kept_until_it_has_ended() -> None:
    flow = service(pipeline("p", task("load", same("a"), reads("b", Selection.LATEST))))
    keeping(flow, events_s=DAY_S)
    for day in DAYS:
        flow.ready("b", day)
    make(flow, "p", DAYS[1])
    flow.pass_time(10 * DAY_S)
    assert events(flow) == [1, 2, 3]
    flow.ready("a", DAYS[1])
    flow.end_all()
    flow.pass_time(10 * DAY_S)
    assert events(flow) == [3, 4]


def test_what_is_not_ready_is_no_latest() -> None:
    parts = dataset("b", parts=("x", "y"))
    flow = service(pipeline("p", task("load", same("a"), reads("b", Selection.LATEST))), datasets=(parts,))
    keeping(flow, events_s=DAY_S)
    flow.ready("b", DAYS[0], part="x")
    flow.ready("b", DAYS[1], part="x")
    flow.ready("b", DAYS[1], part="y")
    make(flow, "p", DAYS[0])
    flow.pass_time(10 * DAY_S)
    assert events(flow) == [2, 3]


def test_news_of_a_pipeline_without_partitions_is_kept_however_old() -> None:
    flow = service(
        pipeline(
            "whole",
            task("fold", reads("a", Selection.LATEST), reads("b", Selection.LATEST)),
            partitioning=WHOLE,
        )
    )
    keeping(flow, events_s=DAY_S)
    flow.ready("a", DAYS[0])
    flow.ready("a", DAYS[1])
    flow.pass_time(100 * DAY_S)
    flow.ready("b", DAYS[0])
    assert fired(flow) == [("fold", "")]


def test_the_newest_news_is_kept_though_an_older_partition_brought_it() -> None:
    both = (reads("a", Selection.LATEST), reads("b", Selection.LATEST))
    flow = keeping(service(pipeline("whole", task("fold", *both), partitioning=WHOLE)), events_s=DAY_S)
    for name in ("a", "b"):
        flow.ready(name, DAYS[1])
    flow.end_all()
    flow.ready("a", DAYS[0])  # News, though the newest partition is the other.
    flow.pass_time(100 * DAY_S)
    flow.ready("b", DAYS[2])
    assert fired(flow) == [("fold", "")] * 2


def test_a_run_whose_dimensions_cannot_be_listed_keeps_what_it_may_read() -> None:
    own = dataset("own", BY_DAY_AND_CUSTOMER)
    load = task("load", same("own"), reads("a", Selection.SAME))
    flow = service(pipeline("p", load, partitioning=BY_DAY_AND_CUSTOMER), datasets=(own,))
    keeping(flow, events_s=DAY_S)
    flow.ready("a", "2026-06-01")
    flow.ready("a", "2026-06-02")
    make(flow, "p", "2026-06-01|c")
    flow.pass_time(10 * DAY_S)
    assert events(flow) == [1, 2]


def test_what_no_file_reads_or_names_goes() -> None:
    flow = service(sales())
    for day in DAYS:
        flow.ready("b", day)
    flow.definitions = replace(flow.definitions, datasets={"a": flow.definitions.datasets["a"]})
    keeping(flow, events_s=DAY_S)
    flow.pass_time(3 * DAY_S)
    assert events(flow) == [3]


def test_what_came_when_its_dataset_was_cut_otherwise_goes() -> None:
    flow = service(sales())
    for day in DAYS:
        flow.ready("a", day)
    flow.end_all()
    flow.definitions = replace(flow.definitions, datasets={"a": dataset("a", BY_DAY_AND_CUSTOMER)})
    keeping(flow, events_s=DAY_S)
    flow.pass_time(3 * DAY_S)
    assert events(flow) == [3]


def test_what_was_taken_back_lets_its_event_go() -> None:
    flow = keeping(service(sales()), events_s=DAY_S)
    flow.ready("a", DAYS[0])
    flow.end_all()
    flow.send(WithdrawPartition(dataset="a", partition=DAYS[0]))
    flow.pass_time(3 * DAY_S)
    assert events(flow) == []


def test_what_why_tells_of_a_rejected_event_is_kept_and_what_is_older_goes() -> None:
    flow = keeping(service(sales(), sensors=(by_day(),)), events_s=DAY_S)
    for bad in ("x", "y"):
        assert receive(flow, seen({"day": bad})).state is EventState.REJECTED
    flow.pass_time(5 * DAY_S)
    assert events(flow) == [2]


def by_day(dedupe_s: float = 60.0) -> SensorDefinition:
    return mqtt_sensor(Rule(dataset="a", partition="data.day"), dedupe_s=dedupe_s)


def test_content_is_forgotten_with_its_event_but_not_before_its_time_is_over() -> None:
    flow = service(sales(), sensors=(by_day(dedupe_s=3 * DAY_S),))
    keeping(flow, events_s=DAY_S)
    first = receive(flow, seen({"day": DAYS[0]}))
    receive(flow, seen({"day": DAYS[1]}))
    flow.end_all()
    flow.pass_time(2 * DAY_S)
    assert events(flow) == [1, 2]
    assert receive(flow, seen({"day": DAYS[0]})).seq == first.seq
    flow.pass_time(2 * DAY_S)
    assert events(flow) == [2]
    assert content(flow, DAYS[0]) is None
    assert content(flow, DAYS[1]) is not None


def test_content_that_is_one_event_until_it_changes_is_known_for_ever() -> None:
    flow = keeping(service(sales(), sensors=(by_day(),)), events_s=DAY_S)
    first = receive(flow, seen({"day": DAYS[0]}, replaces="retained"))
    receive(flow, seen({"day": DAYS[1]}))
    flow.end_all()
    flow.pass_time(3 * DAY_S)
    assert events(flow) == [2]
    again = receive(flow, seen({"day": DAYS[0]}, replaces="retained"))
    assert (again.seq, again.id, again.state) == (1, first.id, EventState.DUPLICATE)


def content(flow: VirtualService, day: str) -> ContentRow | None:
    return flow.store.reader.content("/mqtt/p/s", str({"day": day}))


def test_more_events_than_one_look_takes_go_in_one_sweep_with_pauses() -> None:
    flow = keeping(service(sales()), events_s=DAY_S)
    for number in range(450):
        flow.ready("a", f"2025-{1 + number // 28 % 12:02}-{1 + number % 28:02}", event_id=str(number))
    flow.end_all()
    flow.pass_time(DAY_S - 1)
    assert len(events(flow)) == 450
    flow.pass_time(3700)
    assert len(events(flow)) == 1


def test_events_that_leave_much_room_go_one_by_one_with_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_ROOM", -1)  # In memory none leaves any.
    flow = keeping(service(sales()), events_s=DAY_S)
    for day in DAYS:
        flow.ready("a", day)
    flow.end_all()
    timer = flow.store.reader.timer("retention/events")
    assert timer is not None
    flow.pass_time(DAY_S + 3599)
    seen = [events(flow)]
    while len(seen[-1]) > 1:
        flow.pass_time(0.01)
        if events(flow) != seen[-1]:
            seen.append(events(flow))
    assert seen == [[1, 2, 3], [2, 3], [3]]


# --- runs ---


def test_a_run_goes_with_all_that_is_of_it_and_its_partition_does_not_fire_again() -> None:
    flow = keeping(service(sales()), runs_s=10 * DAY_S)
    flow.ready("a", DAYS[0])
    flow.end_all()
    run = run_of(flow, "sales", DAYS[0])
    flow.pass_time(11 * DAY_S)
    reader = flow.store.reader
    assert reader.run(run.id) is None
    assert flow.run_of("sales", DAYS[0]) is None
    assert (reader.tasks(run.id), reader.attempts(run.id)) == ({}, [])
    assert reader.firing(run.id, 1, "load") is None
    assert flow.logs_removed == [run.id]
    flow.ready("a", DAYS[0])
    assert len(flow.started) == 1
    assert flow.run_of("sales", DAYS[0]) is None
    with pytest.raises(NotFoundError):
        flow.send(RetryTasks(run_id=run.id))


def test_why_says_that_the_run_was_removed_and_what_runs_it_again() -> None:
    flow = keeping(service(sales()), runs_s=DAY_S)
    flow.ready("a", DAYS[0])
    flow.end_all()
    flow.pass_time(3 * DAY_S)
    (wait,) = waits(flow, "sales", DAYS[0], "load")
    assert wait.text == (
        "its run, succeeded, has ended so long ago that it is not kept any more; "
        f"`sensorflow run sales/{DAYS[0]}` runs it again"
    )
    run = make(flow, "sales", DAYS[0])
    assert run.generation == 2
    assert [order.idempotency_key for order in flow.started][-1] == f"{run.id}/2/load"


def test_under_rerun_a_late_arrival_runs_a_removed_run_again_as_its_next_generation() -> None:
    flow = keeping(service(sales(late=LatePolicy.RERUN)), runs_s=DAY_S)
    flow.ready("a", DAYS[0])
    flow.end_all()
    flow.pass_time(3 * DAY_S)
    flow.ready("a", DAYS[0])
    assert [order.generation for order in flow.started] == [1, 2]
    flow.end_all()
    flow.pass_time(3 * DAY_S)
    flow.ready("a", DAYS[0])
    assert [order.generation for order in flow.started] == [1, 2, 3]


def test_an_open_or_failed_run_is_never_removed() -> None:
    flow = keeping(service(pipeline("p", task("join", same("a"), same("b")))), runs_s=DAY_S, logs_s=DAY_S)
    flow.ready("a", DAYS[0])
    flow.ready("a", DAYS[1])
    flow.ready("b", DAYS[1])
    fail(flow, flow.started[0])
    flow.pass_time(100 * DAY_S)
    assert [run_of(flow, "p", day).state for day in DAYS[:2]] == [RunState.WAITING, RunState.FAILED]
    assert flow.logs_removed == []


def test_the_success_of_a_removed_run_still_lets_the_next_of_a_sequential_pipeline_begin() -> None:
    flow = service(sales(sequential=True, start=DAYS[0]))
    keeping(flow, runs_s=DAY_S)
    flow.ready("a", DAYS[0])
    flow.end_all()
    flow.pass_time(3 * DAY_S)
    flow.ready("a", DAYS[1])
    assert [order.partition for order in flow.started] == [DAYS[0], DAYS[1]]


def test_a_schedule_makes_no_second_run_of_a_partition_whose_run_was_removed() -> None:
    flow = service(sales(schedule="0 * * * *"))  # Each hour: the newest day that has ended.
    keeping(flow, runs_s=60.0)
    flow.pass_time(3600)
    flow.ready("a", DAYS[1])
    flow.end_all()
    flow.pass_time(4 * 3600)
    assert flow.run_of("sales", DAYS[1]) is None
    assert fired(flow) == [("load", DAYS[1])]


def test_a_backfill_of_what_is_missing_leaves_out_what_was_removed_and_all_takes_it() -> None:
    flow = keeping(service(sales()), runs_s=DAY_S)
    flow.ready("a", DAYS[0])
    flow.end_all()
    flow.pass_time(3 * DAY_S)
    reader = flow.store.reader
    for only, step in ((Only.MISSING, Step.SKIP), (Only.FAILED, Step.SKIP), (Only.ALL, Step.MAKE)):
        (planned,) = plan(flow.definitions, reader, "sales", DAYS[:1], only)
        assert (planned.action, planned.state) == (step, RunState.SUCCEEDED)
    flow.send(StartBackfill(pipeline="sales", partitions=DAYS[:1], only=Only.ALL))
    assert run_of(flow, "sales", DAYS[0]).generation == 2


def test_what_a_cancelled_backfill_made_is_removed_as_if_it_never_was() -> None:
    flow = keeping(service(sales()), runs_s=DAY_S)
    made = flow.send(StartBackfill(pipeline="sales", partitions=DAYS[:1]))
    assert made is not None
    flow.send(CancelBackfill(backfill=made.id))
    flow.pass_time(3 * DAY_S)
    assert flow.run_of("sales", DAYS[0]) is None
    assert flow.store.reader.past_run("sales", DAYS[0]) is None
    flow.ready("a", DAYS[0])
    assert len(flow.started) == 1


def test_of_a_pipeline_without_partitions_the_newest_run_stays() -> None:
    flow = service(pipeline("whole", task("fold", reads("a", Selection.LATEST)), partitioning=WHOLE))
    keeping(flow, runs_s=DAY_S)
    for day in DAYS:
        flow.ready("a", day)
        flow.end_all()
    newest = run_of(flow, "whole")
    flow.pass_time(10 * DAY_S)
    rows = flow.store.listing.runs(pipeline=None, partition=None, state=None, before=None, limit=9)
    assert [row.id for row in rows] == [newest.id]
    assert len(flow.logs_removed) == 2


def test_more_runs_than_one_look_takes_go_and_alerts_that_are_over_with_them() -> None:
    flow = keeping(service(sales(partitioning=KEY), datasets=(dataset("a", KEY),)), runs_s=DAY_S)
    for number in range(120):
        flow.ready("a", f"k-{number}")
    failed = flow.started[0]
    fail(flow, failed)
    flow.send(RetryTasks(run_id=failed.run_id))
    flow.end_all()
    flow.pass_time(DAY_S + 3700)
    listing = flow.store.listing
    assert listing.runs(pipeline=None, partition=None, state=None, before=None, limit=9) == []
    assert listing.alerts(open_only=False, before=None, limit=9) == []
    assert len(flow.logs_removed) == 120


# --- logs ---


def test_logs_go_before_their_runs_and_once() -> None:
    flow = keeping(service(sales()), logs_s=DAY_S)
    flow.ready("a", DAYS[0])
    flow.end_all()
    flow.pass_time(5 * DAY_S)
    run = run_of(flow, "sales", DAYS[0])
    assert flow.logs_removed == [run.id]
    flow.ready("a", DAYS[1])
    flow.end_all()
    flow.pass_time(5 * DAY_S)
    assert flow.logs_removed == [run.id, run_of(flow, "sales", DAYS[1]).id]


# --- timers ---


def test_what_is_kept_for_ever_has_no_timer() -> None:
    flow = keeping(service(sales()), events_s=DAY_S)
    assert flow.store.reader.timer("retention/events") is not None
    keeping(flow)
    assert flow.store.reader.timer("retention/events") is None


def test_who_is_started_again_and_again_still_removes_what_is_old() -> None:
    flow = keeping(service(sales()), events_s=DAY_S)
    flow.ready("a", DAYS[0])
    flow.ready("a", DAYS[1])
    flow.end_all()
    for _ in range(100):
        flow.pass_time(1800)
        flow.send(Reviewed())
    assert events(flow) == [2]


def test_who_keeps_less_from_now_on_looks_sooner() -> None:
    flow = keeping(service(sales()), events_s=90 * DAY_S)
    flow.ready("a", DAYS[0])
    flow.ready("a", DAYS[1])
    flow.end_all()
    keeping(flow, events_s=10.0)
    flow.pass_time(12)
    assert events(flow) == [2]


def test_a_timer_of_what_is_kept_for_ever_by_now_removes_nothing() -> None:
    flow = keeping(service(sales()), events_s=DAY_S)
    flow.ready("a", DAYS[0])
    flow.ready("a", DAYS[1])
    flow.end_all()
    flow.retention = Retention()
    flow.pass_time(5 * DAY_S)
    assert events(flow) == [1, 2]


def test_a_clock_that_is_set_back_does_not_put_the_next_look_off() -> None:
    flow = keeping(service(sales()), events_s=90 * DAY_S)
    flow.clock = FakeClock(flow.clock.now() - DAY_S)
    flow.send(ClockSet(by_s=-DAY_S))
    timer = flow.store.reader.timer("retention/events")
    assert timer is not None
    assert timer.due_at <= flow.clock.now()
