"""What goes on where a file does not name any more what still has a timer, an attempt or a backfill."""

from dataclasses import replace

import pytest

from sensorflow.core.attempts import MISSED_S
from sensorflow.core.errors import ConflictError, NotFoundError
from sensorflow.core.explain import explain_run
from sensorflow.core.messages import (
    AttemptStarted,
    CalledBack,
    CancelBackfill,
    CancelRun,
    ClockSet,
    Made,
    RetryTasks,
    Reviewed,
    StartBackfill,
    TimersDue,
    WithdrawPartition,
)
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import HttpCall, PipelineDefinition, RetryPolicy
from sensorflow.testing import FakeClock, VirtualService
from tests.flows import NOW, dataset, fail, fired, make, pipeline, run_of, same, service, task

DAY = "2026-06-01"
ONCE_MORE = RetryPolicy(max=1, delay_s=10, backoff=1, max_delay_s=10, jitter=0)


def name_only(flow: VirtualService, *pipelines: PipelineDefinition) -> None:
    """Let the files name these pipelines and no others; nothing was looked at again yet."""
    flow.definitions = replace(flow.definitions, pipelines={each.name: each for each in pipelines})


def task_row_state(flow: VirtualService, run_id: str, name: str) -> TaskState:
    row = flow.store.reader.task(run_id, name)
    assert row is not None
    return row.state


def test_a_retry_whose_pipeline_is_gone_goes_on_when_the_pipeline_is_back() -> None:
    there = pipeline("p", task("load", same("a"), retries=ONCE_MORE))
    flow = service(there)
    flow.ready("a", DAY)
    run = run_of(flow, "p", DAY)
    fail(flow, flow.started[0])
    name_only(flow)
    flow.pass_time(11)
    assert task_row_state(flow, run.id, "load") is TaskState.QUEUED
    assert len(flow.started) == 1
    name_only(flow, there)
    flow.send(Reviewed())
    assert fired(flow) == [("load", DAY)] * 2


def test_a_delay_that_ends_after_its_run_was_cancelled_changes_nothing() -> None:
    flow = service(pipeline("p", task("load", same("a"), retries=ONCE_MORE)))
    flow.ready("a", DAY)
    fail(flow, flow.started[0])
    assert flow.task_states("p", DAY) == {"load": TaskState.RETRYING}
    flow.send(CancelRun(run_id=run_of(flow, "p", DAY).id))
    flow.pass_time(11)
    assert flow.task_states("p", DAY) == {"load": TaskState.CANCELLED}
    assert len(flow.started) == 1


def test_that_an_attempt_has_started_is_no_news_once_it_has_ended() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    (order,) = flow.started
    flow.end(order)
    flow.send(
        AttemptStarted(run_id=order.run_id, task="load", number=order.number, pid=7, pid_started="then")
    )
    attempt = flow.store.reader.attempt(order.run_id, "load", order.number)
    assert attempt is not None
    assert attempt.pid is None


def called(*, lease_s: float = 60) -> PipelineDefinition:
    call = HttpCall(url="http://127.0.0.1/", callback=True, lease_s=lease_s)
    return pipeline("p", replace(task("load", same("a")), action=call))


def test_the_word_that_work_goes_on_renews_the_last_lease_of_a_task_that_no_file_names() -> None:
    flow = service(called(lease_s=60))
    flow.ready("a", DAY)
    (order,) = flow.started
    assert order.token is not None
    name_only(flow)
    for _ in range(3):
        flow.pass_time(59)
        flow.send(CalledBack(token=order.token, state=AttemptState.RUNNING))
    assert flow.store.reader.next_timer_at() == flow.clock.now() + 60
    flow.send(CalledBack(token=order.token, state=AttemptState.SUCCEEDED))
    assert task_row_state(flow, order.run_id, "load") is TaskState.SUCCEEDED


def test_a_lease_is_as_long_as_the_file_says_when_it_is_renewed() -> None:
    flow = service(called(lease_s=60))
    flow.ready("a", DAY)
    token = flow.started[0].token
    assert token is not None
    name_only(flow, called(lease_s=600))
    flow.send(CalledBack(token=token, state=AttemptState.RUNNING))
    name_only(flow)
    flow.send(CalledBack(token=token, state=AttemptState.RUNNING))
    assert flow.store.reader.next_timer_at() == flow.clock.now() + 600


def test_a_lease_that_ran_out_while_the_service_was_down_is_given_anew_once() -> None:
    flow = service(called(lease_s=60))
    flow.ready("a", DAY)
    flow.clock.advance(60 + MISSED_S + 1)
    flow.send(TimersDue())
    assert flow.task_states("p", DAY) == {"load": TaskState.RUNNING}
    flow.pass_time(61)
    assert flow.task_states("p", DAY) == {"load": TaskState.FAILED}


def test_a_lease_goes_on_for_an_attempt_that_no_file_names() -> None:
    flow = service(called(lease_s=60))
    flow.ready("a", DAY)
    name_only(flow)
    flow.send(Reviewed())
    flow.pass_time(59)
    assert task_row_state(flow, flow.started[0].run_id, "load") is TaskState.RUNNING
    flow.pass_time(1)
    assert task_row_state(flow, flow.started[0].run_id, "load") is TaskState.CANCELLED


def test_a_lease_of_a_task_that_no_file_names_is_given_anew_too_where_it_ran_out_without_a_service() -> None:
    flow = service(called(lease_s=60))
    flow.ready("a", DAY)
    name_only(flow)
    flow.clock.advance(3_600)
    flow.pass_time(59)
    assert len(flow.store.reader.running()) == 1
    flow.pass_time(1)
    assert flow.store.reader.running() == []
    assert task_row_state(flow, flow.started[0].run_id, "load") is TaskState.CANCELLED


async def test_a_lease_that_an_older_version_wrote_down_is_as_long_as_one_is_without_a_word() -> None:
    flow = service(called(lease_s=60))
    flow.ready("a", DAY)
    (order,) = flow.started
    assert order.token is not None
    timer = flow.store.reader.timer(f"lease/{order.run_id}/load/1")
    assert timer is not None
    flow.store.begin().put_timer(timer._replace(after="1"))
    await flow.store.commit()
    name_only(flow)
    flow.send(CalledBack(token=order.token, state=AttemptState.RUNNING))
    assert flow.store.reader.next_timer_at() == flow.clock.now() + 600


def test_a_time_for_which_a_run_waited_passes_without_a_word_where_its_pipeline_is_gone() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b", optional_after_s=60))))
    flow.ready("a", DAY)
    run = run_of(flow, "p", DAY)
    name_only(flow)
    flow.pass_time(3600)
    assert fired(flow) == []
    assert run_of(flow, "p", DAY) == run


def test_the_quiet_of_a_dataset_that_no_file_names_completes_nothing() -> None:
    flow = service(pipeline("p", task("load", same("a"))), datasets=(dataset("a"), dataset("q", quiet_s=60)))
    flow.ready("q", DAY)
    named = {name: each for name, each in flow.definitions.datasets.items() if name != "q"}
    flow.definitions = replace(flow.definitions, datasets=named)
    flow.pass_time(61)
    row = flow.store.reader.partition("q", DAY)
    assert row is not None
    assert not row.ready


def test_the_quiet_of_what_is_complete_by_parts_by_now_completes_nothing() -> None:
    flow = service(pipeline("p", task("load", same("q"))), datasets=(dataset("q", quiet_s=60),))
    flow.ready("q", DAY, part="eu")
    by_parts = dataset("q", parts=("eu", "us"))
    flow.definitions = replace(flow.definitions, datasets={"q": by_parts})
    flow.pass_time(61)
    assert fired(flow) == []
    flow.ready("q", DAY, part="us")
    assert fired(flow) != []


def test_the_quiet_of_what_was_taken_back_completes_nothing() -> None:
    flow = service(pipeline("p", task("load", same("q"))), datasets=(dataset("q", quiet_s=60),))
    flow.ready("q", DAY)
    flow.send(WithdrawPartition(dataset="q", partition=DAY))
    flow.pass_time(61)
    assert fired(flow) == []


def test_a_reload_that_is_looked_at_after_the_next_one_finds_its_pipeline_gone() -> None:
    there = pipeline("p", task("load", same("a"), same("b")))
    flow = service(there)
    flow.ready("a", DAY)
    flow.send(Reviewed())
    name_only(flow)
    flow.pass_time(0)
    assert run_of(flow, "p", DAY).state is RunState.WAITING


def test_a_backfill_of_a_pipeline_that_is_gone_can_be_cancelled_and_leaves_its_runs_alone() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    made = flow.send(StartBackfill(pipeline="p", partitions=(DAY,)))
    assert isinstance(made, Made)
    name_only(flow)
    assert flow.send(CancelBackfill(backfill=made.id)) == Made(id=made.id, created=False)
    assert run_of(flow, "p", DAY).state is RunState.WAITING


def test_a_run_whose_pipeline_is_gone_is_neither_explained_nor_changed() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    run = make(flow, "p", DAY)
    name_only(flow)
    with pytest.raises(NotFoundError, match=r'^no file defines the pipeline "p" any more$'):
        explain_run(flow.definitions, flow.store.reader, run, flow.workers, flow.clock.now())
    with pytest.raises(ConflictError, match=r"^no file defines the pipeline p any more$"):
        flow.send(RetryTasks(run_id=run.id))


def test_a_lease_lasts_no_longer_than_it_is_though_the_clock_was_set_back() -> None:
    flow = service(called(lease_s=60))
    flow.ready("a", DAY)
    flow.clock = FakeClock(NOW - 3600)
    flow.send(ClockSet(by_s=-3600.0))
    assert flow.store.reader.next_timer_at() == NOW - 3600 + 60
