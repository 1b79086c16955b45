"""How long a failed attempt waits for the next one."""

from sensorflow.core.vocabulary import RetryPolicy


def retry_delay_s(policy: RetryPolicy, attempt: int, jitter: float) -> float:
    """Return the seconds to wait after a failed attempt.

    The delay grows by `backoff` with every attempt up to `max_delay_s`. The jitter comes on top of
    that, so that what has reached the cap is spread out too: it is never above
    `max_delay_s * (1 + policy.jitter)`.

    Args:
        policy: How the task is tried again.
        attempt: The attempt that failed, from 1.
        jitter: A number in [0, 1) that the caller drew.

    Raises:
        ValueError: attempt is below 1, or jitter is outside of [0, 1).
    """
    if attempt < 1:
        raise ValueError(f"expected an attempt from 1, found {attempt}")
    if not 0 <= jitter < 1:
        raise ValueError(f"expected a jitter in [0, 1), found {jitter}")
    return _delay_s(policy, attempt) * (1 + policy.jitter * jitter)


def longest_delay_s(policy: RetryPolicy, attempt: int) -> float:
    """Return the longest that `retry_delay_s` can draw after an attempt."""
    return _delay_s(policy, attempt) * (1 + policy.jitter)


def _delay_s(policy: RetryPolicy, attempt: int) -> float:
    try:
        growth = policy.backoff ** (attempt - 1)
    except OverflowError:
        growth = float("inf")
    # Nothing grows out of no delay, and 0 * inf is no number.
    return min(policy.delay_s * growth, policy.max_delay_s) if policy.delay_s else 0.0
