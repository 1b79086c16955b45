import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core.retries import retry_delay_s
from sensorflow.core.vocabulary import RetryPolicy


def test_the_delay_grows_by_the_backoff_up_to_the_cap() -> None:
    policy = RetryPolicy(delay_s=5, backoff=2, max_delay_s=30, jitter=0.1)
    assert [retry_delay_s(policy, attempt, 0) for attempt in (1, 2, 3, 4, 5)] == [5, 10, 20, 30, 30]


def test_jitter_adds_its_share_on_top_of_the_cap_too() -> None:
    policy = RetryPolicy(delay_s=5, backoff=2, max_delay_s=8, jitter=0.5)
    assert retry_delay_s(policy, 1, 0.5) == 6.25
    assert retry_delay_s(policy, 9, 0.5) == 10


def test_a_backoff_of_one_waits_the_same_every_time() -> None:
    policy = RetryPolicy(delay_s=7, backoff=1, jitter=0)
    assert {retry_delay_s(policy, attempt, 0.9) for attempt in (1, 2, 1000)} == {7}


def test_no_number_of_attempts_is_too_large() -> None:
    assert retry_delay_s(RetryPolicy(delay_s=1, max_delay_s=300), 10**6, 0) == 300


def test_no_delay_stays_no_delay() -> None:
    assert retry_delay_s(RetryPolicy(delay_s=0), 10**6, 0.5) == 0


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_count_from_one(attempt: int) -> None:
    with pytest.raises(ValueError, match=f"expected an attempt from 1, found {attempt}"):
        retry_delay_s(RetryPolicy(), attempt, 0)


@pytest.mark.parametrize("jitter", [-0.1, 1.0, float("nan")])
def test_jitter_is_a_share(jitter: float) -> None:
    with pytest.raises(ValueError, match=r"expected a jitter in \[0, 1\), found"):
        retry_delay_s(RetryPolicy(), 1, jitter)


@given(
    delay_s=st.floats(0, 1e6),
    backoff=st.floats(1, 100),
    max_delay_s=st.floats(0, 1e6),
    share=st.floats(0, 1),
    attempt=st.integers(1, 5000),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_a_delay_is_never_above_the_cap_and_its_jitter(
    delay_s: float, backoff: float, max_delay_s: float, share: float, attempt: int, jitter: float
) -> None:
    policy = RetryPolicy(delay_s=delay_s, backoff=backoff, max_delay_s=max_delay_s, jitter=share)
    waited_s = retry_delay_s(policy, attempt, jitter)
    assert 0 <= waited_s <= max_delay_s * (1 + share)
    assert waited_s >= retry_delay_s(policy, attempt, 0)
    assert retry_delay_s(policy, attempt + 1, jitter) >= waited_s
