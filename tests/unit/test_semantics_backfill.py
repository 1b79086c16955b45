"""The rules of backfills, reloads, callbacks and the file's pause."""

from dataclasses import replace

import pytest

from sensorflow.core.backfills import Step, plan
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import ConflictError, NotFoundError, PartitionError
from sensorflow.core.messages import (
    CalledBack,
    CancelBackfill,
    CancelRun,
    Made,
    Only,
    PausePipeline,
    Reviewed,
    StartBackfill,
    WithdrawPartition,
)
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import HttpCall, LatePolicy, PipelineDefinition, RetryPolicy, TaskDefinition
from sensorflow.testing import VirtualService
from tests.flows import (
    KEY,
    dataset,
    fail,
    fired,
    make,
    partitions_fired,
    pipeline,
    run_of,
    same,
    service,
    task,
    waits,
)

DAY = "2026-06-01"
DAYS = ("2026-05-01", "2026-05-02", "2026-05-03")


def backfill(flow: VirtualService, *partitions: str, **options: object) -> str:
    options.setdefault("max_active", 10)
    message = StartBackfill(pipeline="p", partitions=partitions or DAYS, **options)  # type: ignore[arg-type]
    made = flow.send(message)
    assert isinstance(made, Made)
    return made.id


def edit(flow: VirtualService, *pipelines: PipelineDefinition) -> None:
    """Reload with other pipelines."""
    flow.definitions = Definitions(
        pipelines={p.name: p for p in pipelines},
        datasets=flow.definitions.datasets,
        sensors=flow.definitions.sensors,
    )
    flow.send(Reviewed())
    flow.pass_time(0)


# Backfill


def test_all_runs_are_there_when_a_backfill_is_answered() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    backfill(flow)
    assert [run_of(flow, "p", day).trigger for day in DAYS] == ["backfill"] * 3
    assert {run_of(flow, "p", day).state for day in DAYS} == {RunState.WAITING}


def test_at_most_max_active_of_its_runs_fire_at_once_in_order() -> None:
    flow = service(pipeline("p", task("load"), task("next", after=("load",))))
    backfill(flow, max_active=2)
    assert partitions_fired(flow) == list(DAYS[:2])
    (wait,) = waits(flow, "p", DAYS[2], "load")
    assert wait.kind == "slot"
    flow.end(flow.running()[0])
    assert fired(flow)[2:] == [("next", DAYS[0])]
    flow.end(flow.running()[-1])
    assert fired(flow)[3:] == [("load", DAYS[2])]


def test_a_backfill_does_not_hold_back_what_comes_live() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    backfill(flow, max_active=1, force=True)
    flow.ready("a", DAY)
    assert partitions_fired(flow) == [DAYS[0], DAY]


def test_newest_first_fires_the_newest_first() -> None:
    flow = service(pipeline("p", task("load")))
    backfill(flow, *reversed(DAYS), order="newest", max_active=1)
    flow.end_all()
    assert partitions_fired(flow) == list(reversed(DAYS))


def test_a_sequential_pipeline_is_not_filled_from_the_newest() -> None:
    flow = service(pipeline("p", task("load"), sequential=True, start=DAYS[0]))
    with pytest.raises(ConflictError, match="sequential"):
        backfill(flow, *reversed(DAYS), order="newest")


def test_a_backfill_outside_start_and_end_or_of_too_many_partitions_is_refused_as_a_whole() -> None:
    flow = service(pipeline("p", task("load"), start=DAYS[1]), pipeline("k", task("load"), partitioning=KEY))
    with pytest.raises(PartitionError, match=DAYS[0]):
        backfill(flow)
    assert flow.run_of("p", DAYS[1]) is None
    many = tuple(f"k{number}" for number in range(10_001))
    with pytest.raises(PartitionError, match="10000"):
        flow.send(StartBackfill(pipeline="k", partitions=many))


def test_missing_adopts_what_waits_and_leaves_what_has_started() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAYS[0])
    flow.end_all()
    make(flow, "p", DAYS[1])
    adopted = run_of(flow, "p", DAYS[1]).id
    name = backfill(flow)
    run = run_of(flow, "p", DAYS[1])
    assert (run.id, run.backfill, run.trigger) == (adopted, name, "manual")
    assert run_of(flow, "p", DAYS[0]).backfill == ""
    assert run_of(flow, "p", DAYS[0]).generation == 1


def test_failed_retries_only_what_has_failed_in_its_generation() -> None:
    flow = service(pipeline("p", task("load", same("a")), task("next", after=("load",))))
    for day in DAYS[:2]:
        flow.ready("a", day)
    first, second = flow.running()
    fail(flow, first)
    flow.end(second)
    flow.end_all()
    backfill(flow, only=Only.FAILED)
    flow.end_all()
    assert [(o.task, o.partition, o.generation) for o in flow.started[3:]] == [
        ("load", DAYS[0], 1),
        ("next", DAYS[0], 1),
    ]
    assert flow.run_of("p", DAYS[2]) is None


def test_failed_retries_what_was_cancelled_in_a_failed_run_as_a_retry_does() -> None:
    flow = service(pipeline("p", task("bad", same("a")), task("slow", same("a"))))
    flow.ready("a", DAYS[0])
    bad, slow = flow.running()
    fail(flow, bad)
    flow.send(CancelRun(run_id=bad.run_id))
    flow.end(slow, AttemptState.CANCELLED)
    backfill(flow, only=Only.FAILED)
    assert sorted(order.task for order in flow.running()) == ["bad", "slow"]


def test_all_runs_every_one_again_a_running_one_after_its_end() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAYS[0])
    flow.end_all()
    flow.ready("a", DAYS[1])
    backfill(flow, only=Only.ALL)
    assert [(order.partition, order.generation) for order in flow.started] == [
        (DAYS[0], 1),
        (DAYS[1], 1),
        (DAYS[0], 2),
    ]
    flow.end(flow.started[1])
    assert (flow.started[-1].partition, flow.started[-1].generation) == (DAYS[1], 2)
    assert run_of(flow, "p", DAYS[2]).state is RunState.WAITING


def test_the_cancel_of_a_backfill_takes_back_what_it_made_and_has_not_started() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    make(flow, "p", DAYS[1])
    flow.ready("a", DAYS[0])
    flow.end_all()
    name = backfill(flow, *DAYS, "2026-05-04", max_active=1)
    flow.ready("a", "2026-05-04")
    flow.send(CancelBackfill(backfill=name, reason="wrong range"))
    states = [run_of(flow, "p", day).state for day in (*DAYS, "2026-05-04")]
    assert states == [RunState.SUCCEEDED, RunState.WAITING, RunState.CANCELLED, RunState.RUNNING]
    with pytest.raises(ConflictError, match="already"):
        flow.send(CancelBackfill(backfill=name))
    with pytest.raises(NotFoundError):
        flow.send(CancelBackfill(backfill="nowhere"))


def test_the_cancel_of_a_backfill_takes_back_generations_that_have_not_started() -> None:
    flow = service(pipeline("p", task("load")))
    for day in DAYS:
        make(flow, "p", day)
    flow.end_all()
    name = backfill(flow, only=Only.ALL, max_active=1)
    assert partitions_fired(flow) == [*DAYS, DAYS[0]]
    flow.send(CancelBackfill(backfill=name))
    flow.end_all()
    assert partitions_fired(flow) == [*DAYS, DAYS[0]]


def test_the_cancel_of_a_backfill_takes_back_the_generation_that_waits_for_a_runs_end() -> None:
    flow = service(pipeline("p", task("load")))
    make(flow, "p", DAYS[0])
    name = backfill(flow, DAYS[0], only=Only.ALL)
    flow.send(CancelBackfill(backfill=name))
    flow.end_all()
    assert [order.generation for order in flow.started] == [1]


def test_a_dry_run_lists_what_would_be_done_and_changes_nothing() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAYS[0])
    flow.end_all()
    make(flow, "p", DAYS[1])
    for only, steps in (
        (Only.MISSING, [Step.SKIP, Step.ADOPT, Step.MAKE]),
        (Only.FAILED, [Step.SKIP] * 3),
        (Only.ALL, [Step.RERUN, Step.ADOPT, Step.MAKE]),
    ):
        planned = plan(flow.definitions, flow.store.reader, "p", DAYS, only)
        assert [(each.partition, each.action) for each in planned] == list(zip(DAYS, steps, strict=True))
    assert flow.run_of("p", DAYS[2]) is None


def test_a_task_that_waits_in_an_active_run_is_not_held_back_by_its_backfills_limit() -> None:
    flow = service(
        pipeline(
            "p",
            task("one", retries=RetryPolicy(max=1, delay_s=600)),
            task("two"),
            concurrency=1,
            max_active_runs=1,
        )
    )
    make(flow, "p", DAYS[0])
    (one,) = flow.running()
    backfill(flow, DAYS[0], only=Only.ALL)
    fail(flow, one)
    assert {order.task for order in flow.started} == {"one", "two"}


# Reload


def test_nothing_that_was_fired_is_fired_again_because_a_file_was_edited() -> None:
    flow = service(pipeline("p", task("load", same("a")), late=LatePolicy.RERUN))
    flow.ready("a", DAY)
    flow.end_all()
    edited = pipeline(
        "p", task("load", same("a"), same("b"), priority=3), task("new", same("a")), late=LatePolicy.RERUN
    )
    edit(flow, edited)
    assert fired(flow) == [("load", DAY)]
    flow.ready("a", DAY)
    assert run_of(flow, "p", DAY).generation == 2


def test_an_open_run_takes_a_new_task_and_a_new_input() -> None:
    flow = service(pipeline("p", task("load", same("a")), task("join", same("b"), after=("load",))))
    flow.ready("a", DAY)
    flow.end_all()
    edit(
        flow,
        pipeline(
            "p",
            task("load", same("a")),
            task("join", same("b"), same("c"), after=("load",)),
            task("new", after=("load",)),
        ),
    )
    assert fired(flow) == [("load", DAY), ("new", DAY)]
    flow.ready("b", DAY)
    assert len(flow.started) == 2
    flow.ready("c", DAY)
    assert fired(flow)[2:] == [("join", DAY)]


def test_a_task_that_was_removed_while_it_ran_ends_and_its_run_goes_on() -> None:
    flow = service(pipeline("p", task("old", same("a")), task("load", same("a"))))
    flow.ready("a", DAY)
    edit(flow, pipeline("p", task("load", same("a"))))
    for order in flow.running():
        flow.end(order)
    assert run_of(flow, "p", DAY).state is RunState.SUCCEEDED


def test_a_task_that_was_renamed_while_it_ran_begins_only_when_its_old_self_has_ended() -> None:
    flow = service(pipeline("p", task("old", same("a")), task("b", same("b"))))
    flow.ready("a", DAY)
    edit(flow, pipeline("p", task("new", same("a")), task("b", same("b"))))
    flow.ready("b", DAY)
    assert fired(flow) == [("old", DAY)]
    for name in ("new", "b"):
        (wait,) = waits(flow, "p", DAY, name)
        assert (wait.kind, wait.task, wait.state) == ("task", "old", TaskState.RUNNING)
        assert (
            wait.text
            == "waiting for the end of task old, which still runs though the file no longer names it"
        )
    flow.end(flow.started[0])
    assert fired(flow)[1:] == [("b", DAY), ("new", DAY)]
    flow.end_all()
    assert run_of(flow, "p", DAY).state is RunState.SUCCEEDED


def test_what_is_forced_does_not_begin_beside_a_task_that_the_file_no_longer_names_either() -> None:
    flow = service(pipeline("p", task("old", same("a")), task("b", same("b"))))
    flow.ready("a", DAY)
    backfill(flow, DAY, only=Only.ALL, force=True)
    edit(flow, pipeline("p", task("new", same("a")), task("b", same("b"))))
    assert fired(flow) == [("old", DAY), ("b", DAY)]
    fail(flow, flow.started[0])
    assert ("new", DAY) in fired(flow)


def test_a_cancel_stops_what_still_runs_though_the_file_no_longer_names_it() -> None:
    flow = service(pipeline("p", task("old", same("a")), task("load", same("a"))))
    flow.ready("a", DAY)
    edit(flow, pipeline("p", task("load", same("a"))))
    flow.end(next(order for order in flow.started if order.task == "load"))
    assert run_of(flow, "p", DAY).state is RunState.RUNNING
    flow.send(CancelRun(run_id=run_of(flow, "p", DAY).id))
    assert [stop.task for stop in flow.stopped] == ["old"]


def test_an_ended_run_is_not_cancelled_because_an_edit_added_a_task() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    flow.end_all()
    edit(flow, pipeline("p", task("load", same("a")), task("new", same("b"))))
    with pytest.raises(ConflictError, match="it is succeeded"):
        flow.send(CancelRun(run_id=run_of(flow, "p", DAY).id))
    assert run_of(flow, "p", DAY).state is RunState.SUCCEEDED


def test_a_retrying_task_that_was_removed_does_not_keep_its_run_from_ending() -> None:
    flow = service(
        pipeline("p", task("old", same("a"), retries=RetryPolicy(max=5, delay_s=60)), task("load", same("a")))
    )
    flow.ready("a", DAY)
    for order in flow.running():
        if order.task == "old":
            fail(flow, order)
    edit(flow, pipeline("p", task("load", same("a"))))
    flow.end_all()
    flow.pass_time(120)
    assert run_of(flow, "p", DAY).state is RunState.SUCCEEDED
    assert len(flow.started) == 2


def test_a_pipeline_that_is_gone_starts_nothing_and_its_attempts_end_in_peace() -> None:
    flow = service(
        pipeline("p", task("load", same("a")), task("next", after=("load",))),
        pipeline("q", task("q", same("b"))),
    )
    flow.ready("a", DAY)
    edit(flow, pipeline("q", task("q", same("b"))))
    flow.end(flow.started[0])
    flow.ready("a", "2026-06-02")
    assert fired(flow) == [("load", DAY)]


def test_a_rise_of_a_limit_lets_start_what_was_held_back() -> None:
    flow = service(pipeline("p", task("load", same("a")), max_active_runs=1))
    for day in DAYS:
        flow.ready("a", day)
    edit(flow, pipeline("p", task("load", same("a")), max_active_runs=3))
    assert partitions_fired(flow) == list(DAYS)


# Pause in the file


def test_paused_in_the_file_is_the_state_at_first_sight_and_when_its_value_changes() -> None:
    load = task("load", same("a"))
    flow = service(pipeline("p", load, paused=True))
    flow.send(Reviewed())
    flow.ready("a", DAYS[0])
    assert fired(flow) == []
    flow.send(PausePipeline(pipeline="p", paused=False))
    assert partitions_fired(flow) == [DAYS[0]]
    edit(flow, pipeline("p", load, paused=True, description="edited"))
    flow.ready("a", DAYS[1])
    assert partitions_fired(flow) == list(DAYS[:2])
    edit(flow, pipeline("p", load, paused=False))
    edit(flow, pipeline("p", load, paused=True))
    flow.ready("a", DAYS[2])
    assert partitions_fired(flow) == list(DAYS[:2])


# Callbacks


def calls(name: str, **options: object) -> TaskDefinition:
    action = HttpCall(url="http://127.0.0.1:9/", callback=True, lease_s=600.0)
    return replace(task(name, same("a"), **options), action=action)


def called(flow: VirtualService, state: AttemptState, number: int = -1, error: str | None = None) -> None:
    token = flow.started[number].token
    assert token is not None
    flow.send(CalledBack(token=token, state=state, error=error))


@pytest.mark.parametrize(
    ("word", "state"),
    [
        (AttemptState.SUCCEEDED, TaskState.SUCCEEDED),
        (AttemptState.SKIPPED, TaskState.SKIPPED),
        (AttemptState.FAILED, TaskState.FAILED),
    ],
)
def test_a_callback_ends_the_attempt_that_its_token_names_and_a_repeat_changes_nothing(
    word: AttemptState, state: TaskState
) -> None:
    flow = service(pipeline("p", calls("load")))
    flow.ready("a", DAY)
    for _ in range(2):
        called(flow, word)
        assert flow.task_states("p", DAY) == {"load": state}
    assert len(flow.started) == 1


def test_running_renews_the_lease_and_one_that_lapses_is_a_failure() -> None:
    flow = service(pipeline("p", calls("load")))
    flow.ready("a", DAY)
    flow.pass_time(599)
    called(flow, AttemptState.RUNNING)
    flow.pass_time(599)
    assert flow.task_states("p", DAY) == {"load": TaskState.RUNNING}
    flow.pass_time(1)
    assert flow.task_states("p", DAY) == {"load": TaskState.FAILED}
    assert "lease" in flow.alerts[0].text


def test_the_token_of_an_attempt_that_is_no_longer_current_is_in_conflict() -> None:
    flow = service(pipeline("p", calls("load", retries=RetryPolicy(max=1, delay_s=5, jitter=0))))
    flow.ready("a", DAY)
    flow.pass_time(605)
    assert len(flow.started) == 2
    assert flow.started[0].token != flow.started[1].token
    with pytest.raises(ConflictError, match="no longer current"):
        called(flow, AttemptState.SUCCEEDED, 0)
    with pytest.raises(ConflictError):
        called(flow, AttemptState.RUNNING, 0)
    called(flow, AttemptState.SUCCEEDED)
    assert flow.task_states("p", DAY) == {"load": TaskState.SUCCEEDED}
    with pytest.raises(NotFoundError):
        flow.send(CalledBack(token="guessed", state=AttemptState.SUCCEEDED))


def test_a_callback_to_a_cancelled_run_is_in_conflict() -> None:
    flow = service(pipeline("p", calls("load")))
    flow.ready("a", DAY)
    flow.send(CancelRun(run_id=run_of(flow, "p", DAY).id))
    flow.end(flow.started[0], AttemptState.CANCELLED)
    with pytest.raises(ConflictError):
        called(flow, AttemptState.SUCCEEDED)


def test_a_withdrawn_partition_holds_a_backfill_back() -> None:
    flow = service(pipeline("p", task("load", same("w"))), datasets=(dataset("w"),))
    flow.send(PausePipeline(pipeline="p", paused=True))
    flow.ready("w", DAYS[0])
    flow.send(CancelRun(run_id=run_of(flow, "p", DAYS[0]).id))
    flow.send(WithdrawPartition(dataset="w", partition=DAYS[0]))
    flow.send(PausePipeline(pipeline="p", paused=False))
    backfill(flow, DAYS[0], only=Only.ALL)
    assert fired(flow) == []
    flow.ready("w", DAYS[0])
    assert partitions_fired(flow) == [DAYS[0]]
