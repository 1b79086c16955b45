"""A clock that is set while the service runs: no span is longer for it, no schedule time missed or double."""

import pytest

from sensorflow.core.messages import ClockSet, Reviewed
from sensorflow.core.states import TaskState
from sensorflow.core.vocabulary import Catchup, RetryPolicy
from sensorflow.testing import FakeClock, VirtualService
from tests.flows import DAILY, HOURLY, NOW, dataset, fail, fired, make, pipeline, run_of, same, service, task

HOUR_S = 3_600
DAY = "2026-06-01"


def set_clock(flow: VirtualService, by_s: float) -> None:
    """Set the clock, as the service notices it."""
    flow.clock = FakeClock(flow.clock.now() + by_s)
    flow.send(ClockSet(by_s=by_s))


def failed_once() -> VirtualService:
    retries = RetryPolicy(max=1, delay_s=10, backoff=1, jitter=0)
    flow = service(pipeline("p", task("load", same("a"), retries=retries)))
    flow.ready("a", DAY)
    fail(flow, flow.started[0])
    return flow


def hourly(schedule: str, catchup: Catchup = Catchup.NONE) -> VirtualService:
    flow = service(pipeline("p", task("tick"), partitioning=HOURLY, schedule=schedule, catchup=catchup))
    flow.send(Reviewed())
    return flow


def test_a_retry_is_not_put_off_by_a_clock_that_is_set_back() -> None:
    flow = failed_once()
    set_clock(flow, -HOUR_S)
    row = flow.store.reader.task(run_of(flow, "p", DAY).id, "load")
    assert row is not None and row.next_attempt_at == NOW - HOUR_S + 10
    flow.pass_time(10)
    assert len(flow.started) == 2


def test_a_retry_is_not_put_off_by_a_clock_that_was_set_back_while_no_service_ran() -> None:
    flow = failed_once()
    flow.clock = FakeClock(NOW - HOUR_S)
    flow.send(Reviewed())
    flow.pass_time(10)
    assert len(flow.started) == 2


def test_a_dataset_is_complete_when_it_is_quiet_though_the_clock_is_set_back() -> None:
    flow = service(pipeline("p", task("load", same("a"))), datasets=(dataset("a", DAILY, quiet_s=30.0),))
    flow.ready("a", DAY)
    set_clock(flow, -HOUR_S)
    flow.pass_time(29)
    assert fired(flow) == []
    flow.pass_time(1)
    assert fired(flow) == [("load", DAY)]


def test_a_task_whose_optional_input_a_clock_set_back_wants_again_does_not_wait_for_ever() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b", optional_after_s=20.0))), workers=0)
    flow.ready("a", DAY)
    flow.pass_time(20)
    assert flow.task_states("p", DAY) == {"load": TaskState.QUEUED}
    flow.workers = 1
    set_clock(flow, -HOUR_S)
    assert flow.task_states("p", DAY) == {"load": TaskState.WAITING}
    set_clock(flow, HOUR_S)
    flow.pass_time(0)
    assert fired(flow) == [("load", DAY)]


def test_a_time_that_has_passed_and_comes_again_is_waited_for_again() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b", optional_after_s=20.0))))
    make(flow, "p", DAY)
    flow.pass_time(20)
    set_clock(flow, -HOUR_S)
    flow.pass_time(0)
    flow.ready("a", DAY)
    assert fired(flow) == []
    flow.pass_time(HOUR_S)
    assert fired(flow) == [("load", DAY)]


def test_a_retry_of_a_task_that_no_file_defines_any_more_is_not_waited_for() -> None:
    flow = failed_once()
    flow.definitions = service(pipeline("q", task("other", same("a")))).definitions
    set_clock(flow, -HOUR_S)
    flow.pass_time(0)
    row = flow.store.reader.task(run_of(flow, "p", DAY).id, "load")
    assert row is not None and row.state is TaskState.QUEUED


@pytest.mark.parametrize("catchup", list(Catchup))
def test_a_schedule_time_that_the_clock_leaps_over_is_not_missed(catchup: Catchup) -> None:
    flow = hourly("10 * * * *", catchup)
    flow.pass_time(60)
    set_clock(flow, HOUR_S)
    assert fired(flow) == [("tick", "2026-06-02T23Z")]


def test_a_schedule_time_that_the_clock_shows_twice_fires_once() -> None:
    flow = hourly("10 * * * *")
    flow.pass_time(11 * 60)
    set_clock(flow, -HOUR_S)
    flow.pass_time(HOUR_S)
    assert fired(flow) == [("tick", "2026-06-02T23Z")]


def test_what_was_queued_at_its_schedule_time_stays_queued_when_the_clock_is_set_back() -> None:
    flow = hourly("10 * * * *")
    flow.workers = 0
    flow.pass_time(11 * 60)
    set_clock(flow, -HOUR_S)
    flow.workers = 1
    flow.pass_time(0)
    assert fired(flow) == [("tick", "2026-06-02T23Z")]


def test_a_clock_that_leaps_over_two_days_counts_as_a_stop() -> None:
    flow = hourly("10 * * * *")
    set_clock(flow, 48 * HOUR_S)
    flow.pass_time(0)
    assert fired(flow) == []
