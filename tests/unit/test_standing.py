"""What the tasks above let a task do, rule by rule and for all states."""

from itertools import combinations_with_replacement, product

import pytest

from sensorflow.core.standing import Standing, standing
from sensorflow.core.states import ENDED, TaskState
from sensorflow.core.vocabulary import Command, TaskDefinition, When
from tests.naive import verdict

S = TaskState
PAIRS = list(combinations_with_replacement(S, 2))
TRIPLES = list(combinations_with_replacement(S, 3))

_AS_STATES = {
    Standing.WAIT: S.WAITING,
    Standing.GO: S.QUEUED,
    Standing.BLOCK: S.BLOCKED,
    Standing.SKIP: S.SKIPPED,
    Standing.CANCEL: S.CANCELLED,
}


def below(when: When, count: int, *, skipped_blocks: bool = False) -> TaskDefinition:
    after = tuple(f"t{n}" for n in range(count))
    return TaskDefinition(
        name="x", action=Command(argv=("true",)), after=after, when=when, skipped_blocks=skipped_blocks
    )


def stands(when: When, *above: TaskState, skipped_blocks: bool = False) -> Standing:
    task = below(when, len(above), skipped_blocks=skipped_blocks)
    return standing(task, {f"t{n}": state for n, state in enumerate(above)})


@pytest.mark.parametrize("when", [When.ALL_SUCCEEDED, When.ALL_ENDED])
def test_a_task_below_nothing_goes(when: When) -> None:
    assert stands(when) is Standing.GO


@pytest.mark.parametrize(
    ("when", "above", "expected"),
    [
        (When.ALL_SUCCEEDED, (S.SUCCEEDED, S.SKIPPED), Standing.GO),
        (When.ALL_SUCCEEDED, (S.SUCCEEDED, S.RUNNING), Standing.WAIT),
        (When.ALL_SUCCEEDED, (S.RUNNING, S.FAILED), Standing.BLOCK),
        (When.ALL_SUCCEEDED, (S.RUNNING, S.BLOCKED), Standing.BLOCK),
        (When.ALL_ENDED, (S.FAILED, S.CANCELLED, S.BLOCKED, S.SKIPPED, S.SUCCEEDED), Standing.GO),
        (When.ALL_ENDED, (S.FAILED, S.RETRYING), Standing.WAIT),
        (When.ANY_FAILED, (S.FAILED, S.RUNNING), Standing.GO),
        (When.ANY_FAILED, (S.BLOCKED, S.WAITING), Standing.GO),
        (When.ANY_FAILED, (S.SUCCEEDED, S.WAITING), Standing.WAIT),
        (When.ANY_FAILED, (S.SUCCEEDED, S.SKIPPED), Standing.SKIP),
        (When.ANY_SUCCEEDED, (S.SUCCEEDED, S.RUNNING), Standing.GO),
        (When.ANY_SUCCEEDED, (S.SKIPPED, S.FAILED), Standing.GO),
        (When.ANY_SUCCEEDED, (S.FAILED, S.QUEUED), Standing.WAIT),
        (When.ANY_SUCCEEDED, (S.FAILED, S.BLOCKED), Standing.BLOCK),
    ],
)
def test_a_rule_decides_at_the_first_end_that_fits(
    when: When, above: tuple[TaskState, ...], expected: Standing
) -> None:
    assert stands(when, *above) is expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (When.ALL_SUCCEEDED, Standing.BLOCK),
        (When.ALL_ENDED, Standing.GO),
        (When.ANY_FAILED, Standing.GO),
        (When.ANY_SUCCEEDED, Standing.BLOCK),
    ],
)
def test_a_skipped_task_above_counts_as_failed_where_the_task_says_so(when: When, expected: Standing) -> None:
    assert stands(when, S.SKIPPED, skipped_blocks=True) is expected


@pytest.mark.parametrize("other", list(S))
def test_what_is_cancelled_above_cancels_what_is_below_but_not_all_ended(other: TaskState) -> None:
    for when in (When.ALL_SUCCEEDED, When.ANY_FAILED, When.ANY_SUCCEEDED):
        assert stands(when, S.CANCELLED, other) is Standing.CANCEL
    assert stands(When.ALL_ENDED, S.CANCELLED, other) is (Standing.GO if other in ENDED else Standing.WAIT)


@pytest.mark.parametrize(("when", "skipped_blocks"), list(product(When, [False, True])))
def test_for_all_states_above_it_says_what_the_naive_model_says(when: When, skipped_blocks: bool) -> None:
    for above in [*((state,) for state in S), *PAIRS, *TRIPLES]:
        task = below(when, len(above), skipped_blocks=skipped_blocks)
        found = stands(when, *above, skipped_blocks=skipped_blocks)
        assert _AS_STATES[found] is verdict(task, list(above)), (when, above)


@pytest.mark.parametrize("when", list(When))
def test_once_it_has_decided_no_further_end_changes_its_word_unless_one_is_cancelled(when: When) -> None:
    for above in PAIRS:
        word = stands(when, *above)
        if word is Standing.WAIT or S.CANCELLED in above:
            continue
        for ended in (S.SUCCEEDED, S.FAILED, S.BLOCKED, S.SKIPPED):
            later = [state if state in ENDED else ended for state in above]
            assert stands(when, *later) is word, (above, later)
