"""The rules of late data, of pipelines without partitions, of what becomes of a dataset, and of redrives."""

from dataclasses import replace

import pytest

from sensorflow.core.errors import NotFoundError
from sensorflow.core.explain import explain_run
from sensorflow.core.messages import (
    AttemptEnded,
    CancelRun,
    EventState,
    MakeRun,
    MarkTask,
    Redrive,
    RetryTasks,
    WithdrawPartition,
)
from sensorflow.core.state import RunRow
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import (
    DatasetInput,
    InputGroup,
    LatePolicy,
    PipelineDefinition,
    RetryPolicy,
    Rule,
    Selection,
    When,
)
from sensorflow.testing import VirtualService
from tests.flows import (
    HOURLY,
    WEEKLY,
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


# Late


@pytest.mark.parametrize(
    ("item", "key"),
    [
        (same("w"), DAY),
        (reads("h", Selection.ALL, at_least=1), f"{DAY}T05Z"),
        (reads("week", Selection.CONTAINING), "2026-W23"),
        (reads("w", Selection.LAST, count=2, at_least=1), "2026-05-31"),
        (reads("w", Selection.OFFSET, count=-1), "2026-05-31"),
    ],
)
def test_a_newer_version_of_what_was_consumed_is_late(item: DatasetInput, key: str) -> None:
    flow = service(
        pipeline("p", task("load", item)),
        datasets=(dataset("w"), dataset("h", HOURLY), dataset("week", WEEKLY)),
    )
    make(flow, "p", DAY)
    flow.ready(item.dataset, key)
    flow.end_all()
    assert run_of(flow, "p", DAY).stale is False
    flow.ready(item.dataset, key)
    assert (run_of(flow, "p", DAY).stale, len(flow.started)) == (True, 1)


def test_an_arrival_that_a_task_went_without_by_at_least_is_late() -> None:
    flow = service(
        pipeline("p", task("load", reads("h", Selection.ALL, at_least=1))), datasets=(dataset("h", HOURLY),)
    )
    flow.ready("h", f"{DAY}T05Z")
    flow.end_all()
    flow.ready("h", f"{DAY}T06Z")
    assert run_of(flow, "p", DAY).stale is True


def test_an_arrival_that_a_task_went_without_by_any_is_late() -> None:
    flow = service(pipeline("p", task("load", InputGroup(needed=1, members=(same("a"), same("b"))))))
    flow.ready("a", DAY)
    flow.end_all()
    flow.ready("b", DAY)
    assert run_of(flow, "p", DAY).stale is True


def test_what_an_attempt_read_that_failed_is_not_consumed_by_a_task_that_is_marked_as_done() -> None:
    flow = service(pipeline("p", task("load", same("a")), late=LatePolicy.RERUN))
    flow.ready("a", DAY)
    fail(flow, flow.running()[0])
    run = run_of(flow, "p", DAY)
    flow.send(MarkTask(run_id=run.id, task="load", state=TaskState.SUCCEEDED))
    flow.ready("a", DAY)
    assert (run_of(flow, "p", DAY).generation, len(flow.started)) == (1, 1)


def test_the_versions_of_the_last_successful_attempt_are_consumed_though_a_later_one_failed() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    flow.end_all()
    make(flow, "p", DAY)
    fail(flow, flow.running()[0])
    flow.send(MarkTask(run_id=run_of(flow, "p", DAY).id, task="load", state=TaskState.SUCCEEDED))
    assert run_of(flow, "p", DAY).stale is False
    flow.ready("a", DAY)
    assert run_of(flow, "p", DAY).stale is True


@pytest.mark.parametrize("policy", [LatePolicy.STALE, LatePolicy.RERUN])
def test_what_was_read_by_latest_is_pinned(policy: LatePolicy) -> None:
    flow = service(
        pipeline(
            "p",
            task("early", same("a"), reads("w", Selection.LATEST)),
            task("waiting", same("c")),
            late=policy,
        ),
        datasets=(dataset("w"),),
    )
    flow.ready("w", "2026-05-01")
    flow.ready("a", DAY)
    flow.end_all()
    flow.ready("w", "2026-05-01")
    flow.ready("w", "2026-05-20")
    run = run_of(flow, "p", DAY)
    assert (run.state, run.stale, run.generation, len(flow.started)) == (RunState.WAITING, False, 1, 1)


def test_ignore_leaves_no_mark() -> None:
    flow = service(
        pipeline("p", task("load", same("a")), task("slow", same("b")), late=LatePolicy.IGNORE),
    )
    flow.ready("a", DAY)
    flow.ready("a", DAY)
    flow.end_all()
    flow.ready("a", DAY)
    flow.ready("b", DAY)
    flow.end_all()
    flow.ready("a", DAY)
    run = run_of(flow, "p", DAY)
    assert (run.state, run.stale, run.generation) == (RunState.SUCCEEDED, False, 1)
    assert [order.task for order in flow.started] == ["load", "slow"]


def test_stale_is_the_mark_until_the_next_generation() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    flow.end_all()
    flow.ready("a", DAY)
    assert run_of(flow, "p", DAY).stale is True
    make(flow, "p", DAY)
    run = run_of(flow, "p", DAY)
    assert (run.stale, run.generation) == (False, 2)


def test_a_version_that_comes_while_its_consumer_runs_makes_the_run_stale_at_its_end() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    flow.ready("a", DAY)
    flow.end_all()
    assert run_of(flow, "p", DAY).stale is True


def test_rerun_runs_the_consumers_and_what_is_below_them_and_nothing_else() -> None:
    flow = service(
        pipeline(
            "p",
            task("load_a", same("a")),
            task("load_b", same("b")),
            task("join", after=("load_a", "load_b")),
            late=LatePolicy.RERUN,
        )
    )
    flow.ready("a", DAY)
    flow.ready("b", DAY)
    flow.end_all()
    flow.ready("b", DAY)
    flow.end_all()
    assert [(order.task, order.generation, order.number) for order in flow.started[3:]] == [
        ("load_b", 2, 2),
        ("join", 2, 2),
    ]


def test_all_versions_that_come_while_a_generation_goes_make_one_next_one_started_when_it_has_ended() -> None:
    flow = service(
        pipeline(
            "p",
            task("load_a", same("a")),
            task("load_b", same("b")),
            task("slow", after=("load_a", "load_b")),
            late=LatePolicy.RERUN,
        )
    )
    flow.ready("a", DAY)
    flow.ready("b", DAY)
    for order in flow.running():
        flow.end(order)
    for name in ("a", "b", "a"):
        flow.ready(name, DAY)
    assert [order.task for order in flow.running()] == ["slow"]
    flow.end(flow.running()[0])
    assert sorted((order.task, order.generation) for order in flow.running()) == [
        ("load_a", 2),
        ("load_b", 2),
    ]
    flow.end_all()
    assert run_of(flow, "p", DAY).generation == 2


def test_duplicates_make_no_generation() -> None:
    flow = service(pipeline("p", task("load", same("a")), late=LatePolicy.RERUN))
    flow.ready("a", DAY, event_id="x")
    flow.end_all()
    assert flow.ready("a", DAY, event_id="x").state is EventState.DUPLICATE
    assert run_of(flow, "p", DAY).generation == 1


@pytest.mark.parametrize(
    ("policy", "generation"), [(LatePolicy.IGNORE, 1), (LatePolicy.STALE, 1), (LatePolicy.RERUN, 2)]
)
def test_a_version_that_comes_for_a_failed_task_runs_it_again_only_under_rerun(
    policy: LatePolicy, generation: int
) -> None:
    flow = service(
        pipeline(
            "p",
            task("load", same("a")),
            task("other", same("b")),
            task("join", after=("load", "other")),
            late=policy,
        )
    )
    flow.ready("a", DAY)
    flow.ready("b", DAY)
    for order in flow.running():
        fail(flow, order)
    flow.ready("a", DAY)
    run = run_of(flow, "p", DAY)
    assert (run.generation, run.stale) == (generation, False)
    flow.end_all()
    again = sorted(order.task for order in flow.started[2:])
    assert again == (["join", "load", "other"] if policy is LatePolicy.RERUN else [])


def test_what_was_cancelled_is_not_run_by_the_next_generation_of_others() -> None:
    flow = service(pipeline("p", task("load", same("a")), task("other", same("b")), late=LatePolicy.RERUN))
    flow.ready("a", DAY)
    flow.end_all()
    flow.send(CancelRun(run_id=run_of(flow, "p", DAY).id))
    flow.ready("a", DAY)
    flow.end_all()
    assert [(order.task, order.generation) for order in flow.started] == [("load", 1), ("load", 2)]
    assert flow.task_states("p", DAY) == {"load": TaskState.SUCCEEDED, "other": TaskState.CANCELLED}


def crash(flow: VirtualService) -> None:
    """Let the service die under the one attempt that runs."""
    (order,) = flow.running()
    ended = AttemptEnded(
        run_id=order.run_id,
        task=order.task,
        number=order.number,
        state=AttemptState.INTERRUPTED,
        crashed=True,
    )
    flow.send(ended)


def test_a_next_generation_has_its_retries_and_its_crashes_anew() -> None:
    once = RetryPolicy(max=1, delay_s=5, jitter=0)
    flow = service(pipeline("p", task("load", same("a"), retries=once), late=LatePolicy.RERUN))
    for _ in range(2):
        flow.ready("a", DAY)
        for _ in range(4):
            crash(flow)
        fail(flow, flow.running()[0])
        assert flow.task_states("p", DAY) == {"load": TaskState.RETRYING}
        flow.pass_time(5)
        crash(flow)
        flow.end_all()
    assert run_of(flow, "p", DAY).generation == 2


def test_a_version_that_came_while_the_attempt_ran_that_failed_makes_the_next_generation() -> None:
    flow = service(pipeline("p", task("load", same("a")), late=LatePolicy.RERUN))
    flow.ready("a", DAY)
    (order,) = flow.running()
    flow.ready("a", DAY)
    fail(flow, order)
    assert [order.generation for order in flow.started] == [1, 2]


def test_a_retry_that_took_the_newer_version_makes_no_further_generation() -> None:
    flow = service(
        pipeline(
            "p",
            task("load", same("a"), retries=RetryPolicy(max=1, delay_s=5, jitter=0)),
            late=LatePolicy.RERUN,
        )
    )
    flow.ready("a", DAY)
    (order,) = flow.running()
    flow.ready("a", DAY)
    fail(flow, order)
    flow.pass_time(5)
    flow.end_all()
    run = run_of(flow, "p", DAY)
    assert (run.generation, run.state, len(flow.started)) == (1, RunState.SUCCEEDED, 2)


def test_a_new_generation_makes_its_outputs_one_version_newer_for_those_below() -> None:
    flow = service(
        pipeline("p", task("load", same("a"), outputs=("b",)), late=LatePolicy.RERUN),
        pipeline("q", task("read", same("b"))),
    )
    flow.ready("a", DAY)
    flow.end_all()
    flow.ready("a", DAY)
    flow.end_all()
    row = flow.store.reader.partition("b", DAY)
    assert row is not None
    assert row.version == 2
    run = run_of(flow, "q", DAY)
    assert (run.stale, run.generation) == (True, 1)


# Pipelines without partitions


def whole(*tasks: object, **options: object) -> PipelineDefinition:
    return pipeline("p", *tasks, partitioning=WHOLE, **options)  # type: ignore[arg-type]


def without_partitions(*pipelines: PipelineDefinition) -> VirtualService:
    return service(*pipelines, datasets=(dataset("v", WHOLE), dataset("w", WHOLE), dataset("a")))


def test_the_first_arrival_makes_the_waiting_run_and_its_tasks_start_as_their_own_inputs_have_news() -> None:
    flow = without_partitions(
        whole(task("load_v", reads("v", Selection.LATEST)), task("load_w", reads("w", Selection.LATEST)))
    )
    flow.ready("v")
    assert [order.task for order in flow.started] == ["load_v"]
    flow.end_all()
    assert run_of(flow, "p").state is RunState.WAITING
    flow.ready("w")
    assert [order.task for order in flow.started] == ["load_v", "load_w"]
    assert len({order.run_id for order in flow.started}) == 1


def test_a_run_starts_when_every_input_has_news_since_it_was_last_consumed() -> None:
    flow = without_partitions(whole(task("join", reads("v", Selection.LATEST), reads("w", Selection.LATEST))))
    flow.ready("v")
    flow.ready("w")
    flow.end_all()
    flow.ready("v")
    flow.ready("v")
    assert len(flow.started) == 1
    assert "newer arrival of w" in waits(flow, "p", "", "join")[0].text
    flow.ready("w")
    assert [order.inputs["v"][""]["arrivals"] for order in flow.started] == [1, 2]
    assert [order.inputs["w"][""]["arrivals"] for order in flow.started] == [1, 1]
    assert {order.generation for order in flow.started} == {1}


def collected(flow: VirtualService, run: RunRow | None = None) -> dict[str, dict[str, int]]:
    """Return, by task, the arrivals that its next start takes as one."""
    now = flow.clock.now()
    why = explain_run(flow.definitions, flow.store.reader, run, 100, now) if run else flow.why("p", "")
    return {each.name: dict(each.collected) for each in why.tasks}


def test_what_a_run_without_partitions_collects_is_told_while_it_waits_and_while_it_goes() -> None:
    inputs = reads("v", Selection.LATEST), reads("w", Selection.LATEST)
    flow = without_partitions(whole(task("join", *inputs), task("report", after=("join",))))
    flow.ready("v")
    flow.ready("v")
    assert collected(flow) == {"join": {"v": 2}, "report": {}}
    flow.ready("w")
    assert collected(flow) == {"join": {}, "report": {}}, "it has started, and consumed them"
    for _ in range(3):
        flow.ready("v")
    first = run_of(flow, "p")
    assert collected(flow) == {"join": {"v": 3}, "report": {}}
    assert len(flow.started) == 1
    flow.end_all()
    assert run_of(flow, "p").id != first.id
    assert collected(flow) == {"join": {"v": 3}, "report": {}}
    assert collected(flow, first) == {"join": {}, "report": {}}, "it collects no more"
    flow.ready("w")
    assert flow.started[-1].inputs["v"][""]["arrivals"] == 3


def test_what_came_since_an_ended_run_without_partitions_is_told_of_the_next_one() -> None:
    flow = without_partitions(whole(task("load", reads("v", Selection.LATEST))))
    flow.ready("v")
    flow.ready("v")
    flow.send(CancelRun(run_id=run_of(flow, "p").id))
    flow.end(flow.started[0], AttemptState.CANCELLED)
    assert collected(flow) == {"load": {"v": 1}}


def test_a_pipeline_without_partitions_takes_the_newest_of_all_partitions_of_a_dataset() -> None:
    flow = without_partitions(whole(task("load", reads("a", Selection.LATEST))))
    flow.ready("a", "2026-06-10")
    assert list(flow.started[0].inputs["a"]) == ["2026-06-10"]
    flow.end_all()
    flow.ready("a", "2026-06-01")
    assert len(flow.started) == 2
    assert list(flow.started[1].inputs["a"]) == ["2026-06-10"]


def test_late_does_not_apply_without_partitions() -> None:
    flow = without_partitions(
        whole(
            task("load", reads("v", Selection.LATEST)),
            task("slow", reads("w", Selection.LATEST)),
            late=LatePolicy.RERUN,
        )
    )
    flow.ready("v")
    flow.ready("w")
    flow.ready("v")
    for order in flow.running():
        flow.end(order)
    runs = {order.run_id for order in flow.started}
    assert [order.task for order in flow.started] == ["load", "slow", "load"]
    assert len(runs) == 2
    assert {order.generation for order in flow.started} == {1}
    assert all(run.stale is False for run in map(flow.store.reader.run, runs) if run)


def test_what_came_while_a_run_went_that_failed_makes_the_next_run() -> None:
    flow = without_partitions(whole(task("load", reads("v", Selection.LATEST))))
    flow.ready("v")
    (order,) = flow.running()
    flow.ready("v")
    fail(flow, order)
    assert len({order.run_id for order in flow.started}) == 2


def test_an_older_run_that_is_tried_again_makes_no_further_run_beside_the_newest() -> None:
    flow = without_partitions(whole(task("join", reads("v", Selection.LATEST), reads("w", Selection.LATEST))))
    flow.ready("v")
    flow.ready("w")
    fail(flow, flow.started[0])
    flow.ready("v")
    newest = run_of(flow, "p")
    assert newest.state is RunState.WAITING
    flow.send(RetryTasks(run_id=flow.started[0].run_id))
    flow.ready("v")
    flow.end_all()
    assert run_of(flow, "p").id == newest.id
    flow.ready("w")
    assert flow.started[-1].run_id == newest.id


def test_what_came_while_a_run_went_that_was_cancelled_is_not_lost() -> None:
    flow = without_partitions(whole(task("load", reads("v", Selection.LATEST))))
    flow.ready("v")
    (order,) = flow.running()
    flow.ready("v")
    flow.send(CancelRun(run_id=order.run_id))
    flow.end(order, AttemptState.CANCELLED)
    flow.end_all()
    flow.ready("v")
    assert flow.started[-1].run_id != order.run_id
    assert sum(each.inputs["v"][""]["arrivals"] for each in flow.started) == 3


@pytest.mark.parametrize("when", [When.ALL_SUCCEEDED, When.ANY_FAILED])
def test_what_a_task_was_passed_over_for_makes_no_next_run_by_itself(when: When) -> None:
    flow = without_partitions(
        whole(task("fetch"), task("load", reads("v", Selection.LATEST), after=("fetch",), when=when))
    )
    flow.ready("v")
    for order in flow.running():
        if when is When.ALL_SUCCEEDED:
            fail(flow, order)
        else:
            flow.end(order)
    assert [order.task for order in flow.started] == ["fetch"], "else it is fetched for ever"
    flow.ready("v")
    assert [order.task for order in flow.started] == ["fetch", "fetch"]
    for order in flow.running():
        if when is When.ALL_SUCCEEDED:
            flow.end(order)
        else:
            fail(flow, order)
    assert flow.started[-1].inputs["v"][""]["arrivals"] == 2


def test_what_came_after_a_task_skipped_itself_makes_the_next_run() -> None:
    flow = without_partitions(
        whole(task("load", reads("v", Selection.LATEST)), task("other", reads("w", Selection.LATEST)))
    )
    flow.ready("v")
    flow.ready("w")
    load, other = flow.running()
    flow.end(load, AttemptState.SKIPPED)
    flow.ready("v")
    flow.end(other)
    assert [order.task for order in flow.started] == ["load", "other", "load"]


def test_a_retry_without_partitions_reads_what_there_is_and_waits_for_no_news() -> None:
    flow = without_partitions(
        whole(task("load", reads("v", Selection.LATEST), retries=RetryPolicy(max=1, delay_s=5, jitter=0)))
    )
    flow.ready("v")
    fail(flow, flow.running()[0])
    flow.pass_time(5)
    flow.end_all()
    assert len(flow.started) == 2
    assert len({order.run_id for order in flow.started}) == 1


# Completeness


def test_count_counts_distinct_parts_where_parts_are_read() -> None:
    flow = service(pipeline("p", task("load", same("w"))), datasets=(dataset("w", count=2),))
    flow.ready("w", DAY, part="x")
    flow.ready("w", DAY, part="x")
    assert fired(flow) == []
    flow.ready("w", DAY, part="y")
    assert fired(flow) == [("load", DAY)]


def test_an_arrival_without_part_is_all_parts_at_once() -> None:
    flow = service(pipeline("p", task("load", same("w"))), datasets=(dataset("w", parts=("x", "y")),))
    flow.ready("w", DAY)
    assert fired(flow) == [("load", DAY)]


def test_what_comes_after_completion_is_a_new_version_and_readiness_stays() -> None:
    flow = service(pipeline("p", task("load", same("w"))), datasets=(dataset("w", parts=("x", "y")),))
    versions = []
    for part in ("x", "y", "x", "y"):
        flow.ready("w", DAY, part=part)
        row = flow.store.reader.partition("w", DAY)
        assert row is not None
        versions.append((row.version, row.ready))
    assert versions == [(0, False), (1, True), (2, True), (3, True)]


def test_a_partition_keeps_one_event_for_each_part_the_newest() -> None:
    flow = service(pipeline("p", task("load", same("w"))), datasets=(dataset("w", parts=("x", "y")),))
    flow.ready("w", DAY, part="x", event_id="x1")
    flow.ready("w", DAY, part="x", event_id="x2")
    flow.ready("w", DAY, part="y", event_id="y1")
    events = flow.started[0].inputs["w"][DAY]["events"]
    assert sorted((event["part"], event["id"]) for event in events) == [("x", "x2"), ("y", "y1")]


def test_quiet_runs_from_the_last_arrival() -> None:
    flow = service(pipeline("p", task("load", same("w"))), datasets=(dataset("w", quiet_s=30.0),))
    flow.ready("w", DAY)
    flow.pass_time(20)
    flow.ready("w", DAY)
    flow.pass_time(29)
    assert fired(flow) == []
    flow.pass_time(1)
    assert fired(flow) == [("load", DAY)]


def test_later_arrivals_are_one_new_version_after_the_next_quiet_time() -> None:
    flow = service(
        pipeline("p", task("load", same("w")), late=LatePolicy.RERUN), datasets=(dataset("w", quiet_s=30.0),)
    )
    flow.ready("w", DAY)
    flow.pass_time(30)
    flow.end_all()
    for _ in range(3):
        flow.ready("w", DAY)
        flow.pass_time(10)
    assert run_of(flow, "p", DAY).generation == 1
    flow.pass_time(20)
    flow.end_all()
    row = flow.store.reader.partition("w", DAY)
    assert row is not None
    assert (row.version, run_of(flow, "p", DAY).generation) == (2, 2)


def test_quiet_without_partitions_folds_the_arrivals_of_one_quiet_time_into_one_run() -> None:
    flow = service(
        whole(task("load", reads("w", Selection.LATEST))), datasets=(dataset("w", WHOLE, quiet_s=30.0),)
    )
    for _ in range(3):
        flow.ready("w")
    assert fired(flow) == []
    flow.pass_time(30)
    flow.end_all()
    assert [order.inputs["w"][""]["arrivals"] for order in flow.started] == [3]
    flow.ready("w")
    assert len(flow.started) == 1
    flow.pass_time(30)
    assert len(flow.started) == 2


# Outputs


def test_an_output_has_its_pipelines_partition_or_none() -> None:
    flow = service(
        pipeline("p", task("load", same("a"), outputs=("b", "w"))), datasets=(dataset("w", WHOLE),)
    )
    flow.ready("a", DAY)
    flow.end_all()
    assert flow.store.reader.partition("b", DAY) is not None
    assert flow.store.reader.partition("w", "") is not None


def test_an_output_is_an_arrival_of_all_parts() -> None:
    flow = service(
        pipeline("p", task("load", same("a"), outputs=("b",))),
        pipeline("q", task("read", same("b"))),
        datasets=(dataset("b", parts=("x", "y")),),
    )
    flow.ready("a", DAY)
    flow.end_all()
    assert fired(flow) == [("load", DAY), ("read", DAY)]


def test_an_outputs_event_names_the_run_the_generation_and_the_task() -> None:
    flow = service(
        pipeline("p", task("load", same("a"), outputs=("b",))), pipeline("q", task("read", same("b")))
    )
    flow.ready("a", DAY)
    flow.end_all()
    run = run_of(flow, "p", DAY)
    (event,) = flow.started[-1].inputs["b"][DAY]["events"]
    assert (event["source"], event["id"]) == ("/pipelines/p", f"{run.id}/1/load/b")
    stored = flow.store.reader.event(2)
    assert stored is not None
    assert (stored.event.subject, stored.event.data) == ("b", {})


# Withdraw


def test_what_was_withdrawn_is_missing_until_its_next_arrival() -> None:
    flow = service(pipeline("p", task("join", same("a"), same("b"))))
    flow.ready("a", DAY)
    flow.send(WithdrawPartition(dataset="a", partition=DAY, reason="wrong currency"))
    flow.ready("b", DAY)
    assert fired(flow) == []
    assert "taken back" in waits(flow, "p", DAY, "join")[0].text
    flow.ready("a", DAY)
    assert fired(flow) == [("join", DAY)]
    assert flow.started[0].inputs["a"][DAY]["version"] == 2


def test_a_part_that_was_withdrawn_is_the_only_one_that_is_missing() -> None:
    flow = service(
        pipeline("p", task("join", same("w"), same("b"))), datasets=(dataset("w", parts=("x", "y")),)
    )
    for part in ("x", "y"):
        flow.ready("w", DAY, part=part)
    flow.send(WithdrawPartition(dataset="w", partition=DAY, part="x"))
    flow.ready("b", DAY)
    flow.ready("w", DAY, part="y")
    assert fired(flow) == []
    assert waits(flow, "p", DAY, "join")[0].parts_missing == ("x",)
    flow.ready("w", DAY, part="x")
    assert fired(flow) == [("join", DAY)]


@pytest.mark.parametrize("selection", [Selection.SAME, Selection.LATEST])
def test_a_run_that_used_what_is_withdrawn_becomes_stale_and_nothing_is_undone(selection: Selection) -> None:
    flow = service(pipeline("p", task("load", reads("a", selection), same("b"))))
    flow.ready("a", DAY)
    flow.ready("b", DAY)
    flow.end_all()
    flow.send(WithdrawPartition(dataset="a", partition=DAY))
    run = run_of(flow, "p", DAY)
    assert (run.stale, run.state, len(flow.started)) == (True, RunState.SUCCEEDED, 1)


def test_the_arrival_after_a_withdrawal_is_a_newer_version_under_rerun() -> None:
    flow = service(pipeline("p", task("load", same("a")), late=LatePolicy.RERUN))
    flow.ready("a", DAY)
    flow.end_all()
    flow.send(WithdrawPartition(dataset="a", partition=DAY))
    assert len(flow.started) == 1
    flow.ready("a", DAY)
    flow.end_all()
    run = run_of(flow, "p", DAY)
    assert (run.generation, run.stale) == (2, False)


def test_only_what_is_there_can_be_withdrawn() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    with pytest.raises(NotFoundError, match=f"nothing of a {DAY}"):
        flow.send(WithdrawPartition(dataset="a", partition=DAY))


def test_what_was_withdrawn_is_not_the_latest() -> None:
    flow = service(pipeline("p", task("load", same("a"), reads("b", Selection.LATEST))))
    flow.ready("b", "2026-05-01")
    flow.ready("b", "2026-05-02")
    flow.send(WithdrawPartition(dataset="b", partition="2026-05-02"))
    flow.ready("a", DAY)
    assert list(flow.started[0].inputs["b"]) == ["2026-05-01"]


# Redrive


def test_a_redrive_adds_only_arrivals_that_are_new() -> None:
    flow = service(
        pipeline("p", task("load", same("a"))),
        sensors=(mqtt_sensor(Rule(dataset="a", partition="data.day")),),
    )
    receipt = receive(flow, seen({"day": DAY, "other": "2026-06-02"}))
    flow.end_all()
    again = flow.send(Redrive(seq=receipt.seq))
    assert again is not None
    assert again.arrivals == ()  # type: ignore[union-attr]
    flow.definitions = replace(
        flow.definitions, sensors={("p", "s"): mqtt_sensor(Rule(dataset="a", partition="data.other"))}
    )
    flow.send(Redrive(seq=receipt.seq))
    assert partitions_fired(flow) == [DAY, "2026-06-02"]
    with pytest.raises(NotFoundError):
        flow.send(Redrive(seq=999))


def test_an_event_with_an_arrival_stays_accepted_though_no_rule_reads_it_any_more() -> None:
    flow = service(
        pipeline("p", task("load", same("a"))),
        sensors=(mqtt_sensor(Rule(dataset="a", partition="data.day")),),
    )
    receipt = receive(flow, seen({"day": DAY}))
    broken = mqtt_sensor(Rule(dataset="a", partition="data.date"))
    flow.definitions = replace(flow.definitions, sensors={("p", "s"): broken})
    flow.send(Redrive(seq=receipt.seq))
    stored = flow.store.reader.event(receipt.seq)
    assert stored is not None
    assert stored.state is EventState.ACCEPTED
    assert stored.reason is not None and "data.date" in stored.reason


def test_an_event_that_some_rules_could_not_read_is_accepted_and_names_them() -> None:
    sensors = tuple(
        replace(mqtt_sensor(Rule(dataset="a", partition=f"data.{name}")), name=name, kind="events")
        for name in ("day", "date")
    )
    flow = service(pipeline("p", task("load", same("a"))), sensors=sensors)
    message = seen({"day": DAY}, id="1")._replace(sensor=None)
    receipt = receive(flow, message)
    assert receipt.state is EventState.ACCEPTED
    assert "p/date could not read it" in (receipt.reason or "")


def test_a_part_that_is_not_listed_is_rejected() -> None:
    flow = service(
        pipeline("p", task("load", same("w"))),
        datasets=(dataset("w", parts=("x", "y")),),
        sensors=(mqtt_sensor(Rule(dataset="w", partition="data.day", part="data.part")),),
    )
    receipt = receive(flow, seen({"day": DAY, "part": "z"}))
    assert receipt.state is EventState.REJECTED
    assert flow.store.reader.partition("w", DAY) is None


def test_an_event_that_was_posted_without_an_id_is_new_each_time_without_dedupe() -> None:
    flow = service(
        pipeline("p", task("load", same("a"))),
        sensors=(mqtt_sensor(Rule(dataset="a", partition="data.day"), dedupe_s=0.0),),
    )
    states = [receive(flow, seen({"day": DAY})).state for _ in range(2)]
    assert states == [EventState.ACCEPTED] * 2


def test_the_run_by_hand_of_a_pipeline_without_partitions_waits_for_news() -> None:
    flow = without_partitions(whole(task("load", reads("v", Selection.LATEST))))
    flow.ready("v")
    flow.end_all()
    flow.send(MakeRun(pipeline="p", partition=""))
    assert len(flow.started) == 1
    assert flow.task_states("p", "") == {"load": TaskState.WAITING}
    flow.ready("v")
    assert len(flow.started) == 2
