"""What peers get wrong, row by row of the product's own table: each test is one of their defects."""

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from sensorflow.app import Running
from sensorflow.core.messages import (
    EventState,
    Only,
    PausePipeline,
    Redrive,
    RetryTasks,
    Reviewed,
    StartBackfill,
)
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import (
    Expectation,
    Grain,
    InputGroup,
    LatePolicy,
    Partitioning,
    RetryPolicy,
    Rule,
    Selection,
)
from sensorflow.rehearsal.playing import Rehearsal
from sensorflow.rehearsal.story import Story, recorded
from sensorflow.testing import FakeClock
from tests.flows import (
    HOURLY,
    KEY,
    NOW,
    WHOLE,
    dataset,
    fail,
    fired,
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
from tests.serving import client_of, serving, until


# 1
def test_mondays_a_with_tuesdays_b_fires_nothing_and_two_whole_days_fire_two_runs() -> None:
    flow = service(pipeline("p", task("join", same("a"), same("b"))))
    flow.ready("a", "2026-06-01")
    flow.ready("b", "2026-06-02")
    assert fired(flow) == []
    flow = service(pipeline("p", task("join", same("a"), same("b"))))
    for name, day in (("a", "2026-06-01"), ("a", "2026-06-02"), ("b", "2026-06-01"), ("b", "2026-06-02")):
        flow.ready(name, day)
    assert fired(flow) == [("join", "2026-06-01"), ("join", "2026-06-02")]


# 2
def test_events_since_the_last_run_are_not_folded_into_one_and_none_but_the_newest_counts() -> None:
    flow = service(pipeline("p", task("load", same("a"))), workers=1)
    days = [f"2026-05-{day:02}" for day in range(1, 21)]
    for day in days:
        flow.ready("a", day)
    flow.end_all()
    assert partitions_fired(flow) == days


def test_a_pipeline_without_partitions_folds_what_came_since_its_last_run_and_says_how_many() -> None:
    flow = service(
        pipeline("p", task("load", reads("w", Selection.LATEST)), partitioning=WHOLE),
        datasets=(dataset("w", WHOLE),),
    )
    flow.ready("w")
    for _ in range(3):
        flow.ready("w")
    flow.end_all()
    assert [order.inputs["w"][""]["arrivals"] for order in flow.started] == [1, 3]


# 3
def test_an_update_between_a_runs_end_and_the_next_tick_is_not_lost() -> None:
    flow = service(
        pipeline("p", task("load", reads("w", Selection.LATEST)), partitioning=WHOLE),
        datasets=(dataset("w", WHOLE),),
    )
    flow.ready("w")
    (first,) = flow.running()
    flow.ready("w")
    flow.end(first)
    (second,) = flow.running()
    flow.end(second)
    flow.ready("w")
    assert [order.inputs["w"][""]["version"] for order in flow.started] == [1, 2, 3]
    assert len({order.run_id for order in flow.started}) == 3


# 4
async def test_an_event_is_not_acknowledged_before_it_is_on_disk(tmp_path: Path) -> None:
    home = write_home(tmp_path, "tasks: {load: {inputs: [orders], run: ['true']}}")
    async with serving(home) as running, client_of(running) as client:
        for number in range(1, 6):
            async with client.post(
                "/api/v1/ready", json={"dataset": "orders", "partition": f"k{number}"}
            ) as r:
                assert r.status == 202
                (event,) = (await r.json())["events"]
            # What another process sees is what a power cut would leave.
            with sqlite3.connect(f"file:{home / '.sensorflow' / 'state.db'}?mode=ro", uri=True) as other:
                (found,) = other.execute(
                    "SELECT count(*) FROM events WHERE seq = ?", (event["seq"],)
                ).fetchone()
            other.close()
            assert found == 1


# 5
async def test_a_redelivery_is_not_forgotten_by_a_restart_and_fires_no_duplicate(tmp_path: Path) -> None:
    home = write_home(tmp_path, "tasks: {load: {inputs: [orders], run: ['true']}}")
    body = {"dataset": "orders", "partition": "k1", "id": "delivery-1"}
    states = []
    for _ in range(2):
        async with serving(home) as running, client_of(running) as client:
            async with client.post("/api/v1/ready", json=body) as response:
                states.append((await response.json())["events"][0]["state"])
            reader = running.store.reader
            run = reader.run_of("p", "k1")
            assert run is not None
            await until(running, partial(succeeded, running, "k1"))
            assert [attempt.number for attempt in reader.attempts(run.id)] == [1]
    assert states == ["accepted", "duplicate"]


# 6
def test_events_for_a_paused_pipeline_are_not_dropped() -> None:
    flow = service(pipeline("p", task("join", same("a"), same("b"))))
    flow.send(PausePipeline(pipeline="p", paused=True))
    flow.ready("a", "2026-06-01")
    flow.ready("b", "2026-06-01")
    flow.ready("a", "2026-06-02")
    assert fired(flow) == []
    assert "paused" in [wait.kind for wait in waits(flow, "p", "2026-06-01", "join")]
    flow.send(PausePipeline(pipeline="p", paused=False))
    assert fired(flow) == [("join", "2026-06-01")]
    flow.ready("b", "2026-06-02")
    assert fired(flow)[1:] == [("join", "2026-06-02")]


# 7
def test_a_backfill_of_an_event_driven_pipeline_is_not_refused_and_waits_for_its_data() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.send(StartBackfill(pipeline="p", partitions=("2026-05-01", "2026-05-02"), max_active=2))
    assert [run_of(flow, "p", f"2026-05-0{day}").state for day in (1, 2)] == [RunState.WAITING] * 2
    assert fired(flow) == []
    flow.ready("a", "2026-05-02")
    assert fired(flow) == [("load", "2026-05-02")]


def test_a_forced_backfill_fires_without_its_data() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    days = ("2026-05-01", "2026-05-02")
    flow.send(StartBackfill(pipeline="p", partitions=days, max_active=2, force=True, only=Only.MISSING))
    assert partitions_fired(flow) == list(days)


# 8
def test_data_that_never_comes_is_not_silent_though_no_run_was_ever_made() -> None:
    flow = service(
        pipeline("p", task("load", same("w"))),
        datasets=(dataset("w", expect=Expectation(after_s=7200.0)),),
    )
    flow.send(Reviewed())
    flow.pass_time(86_400 + 7199)
    assert [alert.partitions for alert in flow.alerts] == [("2026-06-02",)]
    assert flow.alerts[0].kind == "late"
    assert flow.run_of("p", "2026-06-03") is None
    (wait,) = waits(flow, "p", "2026-06-02", "load")
    assert (wait.partition, wait.late) == ("2026-06-02", True)


# 9
def test_hundreds_of_runs_that_cannot_be_satisfied_do_not_block_newer_ones() -> None:
    flow = service(
        pipeline("p", task("join", same("x"), same("y")), partitioning=KEY),
        pipeline("other", task("load", same("x")), partitioning=KEY, paused=True),
        datasets=(dataset("x", KEY), dataset("y", KEY)),
    )
    for number in range(600):
        flow.ready("x", f"old-{number}")
    flow.ready("x", "new")
    flow.ready("y", "new")
    assert fired(flow) == [("join", "new")]
    assert flow.store.reader.next_timer_at() is None


def test_runs_that_wait_for_one_limit_do_not_block_those_of_other_pipelines() -> None:
    flow = service(
        pipeline("narrow", task("load", same("a")), max_active_runs=1),
        pipeline("wide", task("read", same("b"))),
        workers=3,
    )
    for day in range(1, 10):
        flow.ready("a", f"2026-05-0{day}")
    flow.ready("b", "2026-05-01")
    assert fired(flow) == [("load", "2026-05-01"), ("read", "2026-05-01")]


# 10
def test_several_inputs_are_joined_by_and_not_by_or() -> None:
    flow = service(
        pipeline("every", task("every", same("a"), same("b"), same("c"))),
        pipeline("any", task("any", InputGroup(needed=1, members=(same("a"), same("b"), same("c"))))),
        pipeline("two", task("two", InputGroup(needed=2, members=(same("a"), same("b"), same("c"))))),
    )
    flow.ready("a", "2026-06-01")
    assert fired(flow) == [("any", "2026-06-01")]
    flow.ready("b", "2026-06-01")
    assert fired(flow)[1:] == [("two", "2026-06-01")]
    flow.ready("c", "2026-06-01")
    assert fired(flow)[2:] == [("every", "2026-06-01")]


# 11
def test_the_partition_is_not_read_off_the_clock_at_which_the_event_arrived() -> None:
    rule = Rule(dataset="a", partition="data.day")
    flow = service(pipeline("p", task("load", same("a"))), sensors=(mqtt_sensor(rule),))
    for day in ("2026-05-01", "2026-06-10"):
        receipt = receive(flow, seen({"day": f"{day}T23:59:59Z"}, time="2026-06-03T00:00:00Z"))
        assert [arrival.partition for arrival in receipt.arrivals] == [day]
    assert partitions_fired(flow) == ["2026-05-01", "2026-06-10"]


# 12
@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-06-01", 24), ("2026-10-25", 25)])
def test_a_day_on_which_clocks_are_set_needs_exactly_the_hours_that_it_has(day: str, hours: int) -> None:
    zone = Partitioning(Grain.DAILY, "Europe/Berlin")
    flow = service(
        pipeline("p", task("load", reads("h", Selection.ALL)), partitioning=zone),
        datasets=(dataset("h", HOURLY),),
    )
    keys = [wait.partition for wait in waits(flow, "p", day, "load")]
    assert len(keys) == hours
    for key in keys:
        assert fired(flow) == []
        flow.ready("h", key)
    assert fired(flow) == [("load", day)]


@pytest.mark.parametrize(
    ("day", "instant"), [("2026-03-28", "2026-03-29T01:00:00Z"), ("2026-10-24", "2026-10-25T00:30:00Z")]
)
def test_a_schedule_neither_fires_twice_nor_at_a_time_that_does_not_exist(day: str, instant: str) -> None:
    zone = Partitioning(Grain.DAILY, "Europe/Berlin")
    flow = service(pipeline("p", task("load"), partitioning=zone, schedule="30 2 * * *"))
    flow.clock = FakeClock(datetime.fromisoformat(instant).timestamp() - 7200)
    flow.send(Reviewed())
    flow.pass_time(7199)
    assert fired(flow) == []
    flow.pass_time(1)
    assert fired(flow) == [("load", day)]
    flow.pass_time(20 * 3600)
    assert fired(flow) == [("load", day)]


# 13
@pytest.mark.parametrize(
    ("policy", "generation", "stale", "starts"),
    [(LatePolicy.IGNORE, 1, False, 2), (LatePolicy.STALE, 1, True, 2), (LatePolicy.RERUN, 2, False, 4)],
)
def test_late_data_neither_fires_unasked_nor_never_but_as_the_pipeline_says(
    policy: LatePolicy, generation: int, stale: bool, starts: int
) -> None:
    flow = service(
        pipeline("p", task("load", same("a")), task("join", after=("load",)), late=policy),
    )
    flow.ready("a", "2026-06-01")
    flow.end_all()
    flow.pass_time(86_400 * 30)
    flow.ready("a", "2026-06-01")
    flow.end_all()
    run = run_of(flow, "p", "2026-06-01")
    assert (run.generation, run.stale, len(flow.started)) == (generation, stale, starts)


def test_all_versions_that_come_while_a_generation_runs_make_one_next_generation() -> None:
    flow = service(pipeline("p", task("load", same("a")), late=LatePolicy.RERUN))
    flow.ready("a", "2026-06-01")
    for _ in range(5):
        flow.ready("a", "2026-06-01")
    flow.end_all()
    assert [order.generation for order in flow.started] == [1, 2]


# 14
def test_why_something_has_not_fired_is_not_left_to_guessing() -> None:
    rule = Rule(dataset="w", partition="data.day")
    flow = service(
        pipeline("p", task("join", same("a"), same("w"))),
        datasets=(dataset("w", expect=Expectation(after_s=3600.0)),),
        sensors=(mqtt_sensor(rule),),
    )
    receive(flow, seen({"day": "2026-06-02"}))
    flow.ready("a", "2026-06-01")
    (wait,) = waits(flow, "p", "2026-06-01", "join")
    assert (wait.kind, wait.dataset, wait.partition, wait.sensor) == ("dataset", "w", "2026-06-01", "s")
    assert wait.expected_at == datetime(2026, 6, 2, 1, tzinfo=UTC).timestamp()
    assert wait.late is True
    for words in ("w 2026-06-01", "comes from sensor s", "expected by", "late", "2026-06-02"):
        assert words in wait.text


def test_a_waiting_task_is_told_of_the_event_that_could_not_be_read() -> None:
    sensor = mqtt_sensor(Rule(dataset="a", partition="data.day"))
    flow = service(pipeline("p", task("load", same("a"))), sensors=(sensor,))
    receipt = receive(flow, seen({"day": "2026-06-31"}))
    (wait,) = waits(flow, "p", "2026-06-01", "load")
    assert f"event {receipt.seq} came just now and was rejected: sensor p/s could not read it" in wait.text
    flow.clock.advance(60)
    receive(flow, seen({"day": "2026-06-02"}))
    (wait,) = waits(flow, "p", "2026-06-01", "load")
    assert "rejected" not in wait.text and "the last that arrived is 2026-06-02" in wait.text


# 15
def test_an_event_that_a_rule_could_not_read_is_not_a_line_in_a_log_but_kept_and_redriven() -> None:
    sensor = mqtt_sensor(Rule(dataset="a", partition="data.day"))
    flow = service(pipeline("p", task("load", same("a"))), sensors=(sensor,))
    receipt = receive(flow, seen({"date": "2026-06-01"}))
    assert receipt.state is EventState.REJECTED
    assert "data.day" in (receipt.reason or "")
    mended = mqtt_sensor(Rule(dataset="a", partition="data.date"))
    flow.definitions = replace(flow.definitions, sensors={("p", "s"): mended})
    flow.send(Redrive(seq=receipt.seq))
    assert fired(flow) == [("load", "2026-06-01")]
    stored = flow.store.reader.event(receipt.seq)
    assert stored is not None
    assert stored.state is EventState.ACCEPTED


# 16
def test_a_rehearsal_says_what_would_have_fired_when_and_why_not_the_rest_and_executes_nothing() -> None:
    before = service(pipeline("p", task("load", same("a")), task("join", same("b"), after=("load",))))
    before.ready("a", "2026-06-01")
    before.clock.advance(3600)
    before.ready("b", "2026-06-01")
    before.end_all()
    assert fired(before) == [("load", "2026-06-01"), ("join", "2026-06-01")]
    listing = before.store.listing
    changed = service(
        pipeline("p", task("load", same("a")), task("join", same("b"), same("c"), after=("load",)))
    )
    happened = [
        step
        for row in listing.events(after=0, dataset=None, state=None, limit=10)
        for step in recorded(
            changed.definitions,
            row.received_at,
            row.event,
            row.sensor,
            [(each.dataset, each.partition, None, each.sensor) for each in listing.arrivals(row.seq)],
        )
    ]
    rehearsal = Rehearsal(
        changed.definitions, Story(begins_at=NOW, steps=tuple(happened)), changed.store, workers=4
    )
    list(rehearsal.play())
    firings = [(entry.task, entry.at) for entry in rehearsal.entries if entry.kind == "fired"]
    assert firings == [("load", NOW)]
    (run,) = rehearsal.runs()
    (join,) = (each for each in run.tasks if each.name == "join")
    (wait,) = join.waiting_for
    assert wait.text.startswith("waiting for c 2026-06-01")
    assert changed.started == []
    assert fired(before) == [("load", "2026-06-01"), ("join", "2026-06-01")]


# 17
async def test_an_events_values_are_never_pasted_into_a_shell(tmp_path: Path) -> None:
    home = write_home(
        tmp_path,
        """
tasks:
  argv: {inputs: [orders], run: [printf, "%s", "{partition}"]}
  line: {inputs: [orders], run: 'cat "$SENSORFLOW_CONTEXT_FILE"'}
""",
    )
    nasty = {"name": "$(touch owned); `touch owned`; {{ 1+1 }} '\"; touch owned"}
    body = {"dataset": "orders", "partition": "a=b:c+d", "data": nasty}
    async with serving(home) as running, client_of(running) as client:
        async with client.post("/api/v1/ready", json=body) as response:
            assert response.status == 202
        reader = running.store.reader
        await until(running, partial(succeeded, running, "a=b:c+d"))
        run = reader.run_of("p", "a=b:c+d")
        assert run is not None
        async with client.get(f"/api/v1/runs/{run.id}/tasks/argv/log") as response:
            assert await response.text() == "a=b:c+d"
        async with client.get(f"/api/v1/runs/{run.id}/tasks/line/log") as response:
            context = json.loads(await response.text())
    assert context["inputs"]["orders"]["a=b:c+d"]["events"][0]["data"] == nasty
    assert list(home.rglob("owned")) == []


# 18
def test_a_deploy_does_not_count_as_a_failed_attempt() -> None:
    flow = service(pipeline("p", task("load", same("a"), retries=RetryPolicy(max=1, delay_s=5))))
    flow.ready("a", "2026-06-01")
    for _ in range(7):
        flow.end(flow.running()[0], AttemptState.INTERRUPTED)
    fail(flow, flow.running()[0])
    assert flow.task_states("p", "2026-06-01") == {"load": TaskState.RETRYING}
    flow.pass_time(6)
    flow.end_all()
    assert flow.task_states("p", "2026-06-01") == {"load": TaskState.SUCCEEDED}
    assert len({order.idempotency_key for order in flow.started}) == 1


# 19
def test_alerts_are_in_the_open_version_and_end_when_their_cause_does() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", "2026-06-01")
    fail(flow, flow.running()[0], "no space left")
    (opened,) = flow.alerts
    assert (opened.kind, opened.pipeline, opened.resolved) == ("failed", "p", False)
    assert "no space left" in opened.text
    flow.send(RetryTasks(run_id=run_of(flow, "p", "2026-06-01").id))
    flow.end_all()
    assert [(alert.id, alert.resolved) for alert in flow.alerts] == [(opened.id, False), (opened.id, True)]


# 20
def test_an_event_does_not_wait_for_any_poll_but_fires_in_its_own_transaction() -> None:
    flow = service(pipeline("p", task("load", same("a"), outputs=("b",)), task("next", same("b"))))
    flow.ready("a", "2026-06-01")
    assert fired(flow) == [("load", "2026-06-01")]
    flow.end(flow.running()[0])
    assert fired(flow) == [("load", "2026-06-01"), ("next", "2026-06-01")]
    assert flow.clock.now() == NOW
    assert flow.store.reader.next_timer_at() is None


def write_home(folder: Path, tasks: str) -> Path:
    """Write a home with one pipeline of free keys that reads `orders`."""
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "p.yaml").write_text(f"name: p\npartition: key\n{tasks}\n")
    return folder


def succeeded(running: Running, partition: str) -> bool:
    run = running.store.reader.run_of("p", partition)
    return run is not None and run.state is RunState.SUCCEEDED
