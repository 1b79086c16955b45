"""The table of transitions, and what a run's tasks make of the run."""

from itertools import product

import pytest

from sensorflow.core.states import (
    ENDED,
    GOING,
    TRANSITIONS,
    AttemptState,
    RunState,
    TaskEvent,
    TaskState,
    TransitionError,
    next_state,
    run_state,
)
from tests.states_page import MEANINGS, PAGE, page

S, E = TaskState, TaskEvent


def test_the_page_of_states_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.states_page`"
    assert set(MEANINGS) == set(E)


@pytest.mark.parametrize(("state", "event"), list(product(S, E)))
def test_a_task_changes_by_the_table_or_not_at_all(state: TaskState, event: TaskEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(TransitionError, match=f"^a {state} task cannot take {event}$"):
            next_state(state, event)


def test_the_words_of_states_are_those_that_stores_and_clients_hold() -> None:
    assert [*TaskState] == (
        ["waiting", "queued", "running", "retrying", "succeeded", "failed", "blocked", "skipped", "cancelled"]
    )
    assert [*AttemptState] == ["running", "succeeded", "failed", "skipped", "cancelled", "interrupted"]
    assert [*RunState] == ["waiting", "running", "succeeded", "failed", "cancelled"]


def test_a_task_that_runs_is_the_only_one_that_can_succeed_fail_skip_or_be_interrupted() -> None:
    for event in (E.SUCCEEDED, E.SKIPPED, E.FAILED, E.EXHAUSTED, E.INTERRUPTED):
        assert [state for state in S if (state, event) in TRANSITIONS] == [S.RUNNING]


def test_an_interruption_puts_a_task_back_into_the_queue_and_a_failure_into_the_delay() -> None:
    assert next_state(S.RUNNING, E.INTERRUPTED) is S.QUEUED
    assert next_state(S.RUNNING, E.FAILED) is S.RETRYING
    assert next_state(S.RETRYING, E.DELAY_OVER) is S.QUEUED
    assert next_state(S.RUNNING, E.EXHAUSTED) is S.FAILED


def test_only_a_waiting_task_fires_and_only_a_queued_one_starts() -> None:
    assert [state for state in S if (state, E.INPUTS_READY) in TRANSITIONS] == [S.WAITING]
    assert [state for state in S if (state, E.STARTED) in TRANSITIONS] == [S.QUEUED]


def test_what_has_not_ended_can_be_cancelled_and_what_has_cannot() -> None:
    for state in S:
        assert ((state, E.CANCELLED) in TRANSITIONS) == (state not in ENDED)


def test_what_has_ended_can_be_reopened_and_nothing_else() -> None:
    for state in S:
        assert ((state, E.REOPENED) in TRANSITIONS) == (state in ENDED)


def test_what_runs_or_is_done_is_never_marked() -> None:
    for event, after in ((E.MARKED_SUCCEEDED, S.SUCCEEDED), (E.MARKED_SKIPPED, S.SKIPPED)):
        for state in S:
            marked = TRANSITIONS.get((state, event))
            assert marked == (None if state in (S.RUNNING, S.SUCCEEDED, S.SKIPPED) else after)


def test_every_state_waits_goes_or_has_ended() -> None:
    assert {S.WAITING} | GOING | ENDED == set(S)
    assert not GOING & ENDED


@pytest.mark.parametrize("going", sorted(GOING))
@pytest.mark.parametrize("other", list(S))
def test_a_run_with_a_task_that_goes_is_running_whatever_else(going: TaskState, other: TaskState) -> None:
    assert run_state([other, going]) is RunState.RUNNING


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([S.FAILED, S.WAITING, S.CANCELLED, S.SUCCEEDED], RunState.FAILED),
        ([S.BLOCKED, S.WAITING, S.CANCELLED, S.SUCCEEDED], RunState.FAILED),
        ([S.WAITING, S.CANCELLED, S.SUCCEEDED], RunState.WAITING),
        ([S.CANCELLED, S.SUCCEEDED], RunState.CANCELLED),
        ([S.SUCCEEDED, S.SKIPPED], RunState.SUCCEEDED),
        ([S.SKIPPED], RunState.SUCCEEDED),
        ([], RunState.SUCCEEDED),
    ],
)
def test_a_run_is_the_first_state_that_fits(tasks: list[TaskState], expected: RunState) -> None:
    assert run_state(tasks) is expected
    assert run_state(reversed(tasks)) is expected
