import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core.durations import describe_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("10m", 600),
        ("2h", 7200),
        ("1d", 86_400),
        ("0s", 0),
        ("007s", 7),
        ("999999999999d", 999_999_999_999 * 86_400),
    ],
)
def test_a_duration_is_a_whole_number_and_one_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "s",
        "1h30m",
        "1.5h",
        "-1s",
        "+1s",
        " 1s",
        "1s ",
        "1 s",
        "1S",
        "1w",
        "1s\n",
        "\u0661s",
        "1e3s",
        "9" * 13 + "s",
    ],
)
def test_anything_else_is_refused_with_what_was_expected_and_found(text: str) -> None:
    with pytest.raises(
        ValueError, match="expected a duration such as 500ms, 30s, 10m, 2h or 1d, found '"
    ) as refused:
        parse_duration(text)
    assert str(refused.value).endswith(repr(text))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.0004, "0 ms"),
        (0.5, "500 ms"),
        (0.9999, "999 ms"),
        (1, "1 s"),
        (45, "45 s"),
        (59.999, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (599, "9 min 59 s"),
        (600, "10 min"),
        (13 * 60 + 20, "13 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (2 * 3600 + 5 * 60 + 59, "2 h 5 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 day"),
        (86_400 + 7200 + 60, "1 day 2 h"),
        (3 * 86_400, "3 days"),
        (3 * 86_400 + 3599, "3 days"),
    ],
)
def test_a_duration_is_said_in_at_most_two_units_and_cut_off(seconds: float, words: str) -> None:
    assert describe_duration(seconds) == words


@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan"), float("inf")])
def test_what_is_no_length_of_time_is_not_described(seconds: float) -> None:
    with pytest.raises(ValueError, match="expected a duration of 0 s or more, found"):
        describe_duration(seconds)


_SPOKEN_S = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "day": 86_400, "days": 86_400}


@given(st.floats(min_value=0, max_value=1e9))
def test_what_is_said_is_never_more_than_what_has_passed_and_nearly_all_of_it(seconds: float) -> None:
    words = describe_duration(seconds).split()
    said_s = sum(int(count) * _SPOKEN_S[unit] for count, unit in zip(words[::2], words[1::2], strict=True))
    assert said_s <= seconds + 1e-9
    assert seconds - said_s < max(1, seconds / 10)
