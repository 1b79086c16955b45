"""Regular expressions of rules: what they capture, with Python's own as the oracle, in how many steps."""

import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sensorflow.core.errors import ReadingError
from sensorflow.core.regexes import LONGEST_TEXT, MOST_STEPS, compile_regex

#: Pieces that match at least one character, so that a repeat of them has no empty turn: there Python's own
#: matcher and others differ in what a group keeps.
ATOMS = st.sampled_from(
    [*("a", "b", ".", "[ab]", "[^a]", "[a-b1-3]", "[^b-c]", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\."),
     *(r"[\d-]", r"[^\w]", "-", "ab", "(?:a|b)", "(?:ab|a)", "(?:a|ab|-)")]
)  # fmt: skip
REPEATS = st.sampled_from(["", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?", "{2,}"])
PIECES = st.tuples(ATOMS, REPEATS).map("".join)
SEQUENCES = st.lists(PIECES, max_size=3).map("".join)
PLACES = st.sampled_from(["", "", "", "^", "$", r"\b", r"\B", r"\A", r"\Z"])
BODIES = st.one_of(SEQUENCES, st.tuples(SEQUENCES, SEQUENCES).map("|".join))
PATTERNS = st.tuples(
    PLACES, SEQUENCES, PLACES, BODIES.map("({})".format), st.sampled_from(["", "?"]), SEQUENCES, PLACES
).map("".join)
#: Not empty: a value that is read never is, and what \B means there differs between versions of Python.
TEXTS = st.text(alphabet="ab1-. _\n\u00e9\u0663", min_size=1, max_size=12)


@settings(max_examples=1_000, deadline=None)
@given(PATTERNS, TEXTS)
def test_a_group_captures_what_pythons_own_would(pattern: str, text: str) -> None:
    found = re.search(pattern, text)
    assert compile_regex(pattern).captured(text) == (found[1] if found else None)


@settings(deadline=None)
@given(st.lists(st.tuples(PIECES, REPEATS.filter(bool)), min_size=1, max_size=3), TEXTS)
def test_repeats_inside_of_repeats_fit_where_pythons_own_do(pieces: list[tuple[str, str]], text: str) -> None:
    pattern = f"^{''.join(f'(?:{piece}){repeat}' for piece, repeat in pieces)}()$"
    try:
        found = re.search(pattern, text)
    except re.error:
        assume(False)
        raise
    assert (compile_regex(pattern).captured(text) is None) == (found is None)


@pytest.mark.parametrize(
    ("pattern", "text", "captured"),
    [
        ("dt=([0-9-]+)", "s3://lake/orders/dt=2013-03-10/part-0.parquet", "2013-03-10"),
        ("^weather/([^/]+)/", "weather/EWR/observed", "EWR"),
        ("(?P<day>[0-9]{8})", "orders_20130310.csv", "20130310"),
        (".*/(.*)", "a/b/c", "c"),
        ("(a)|b", "b", None),
        ("x(y)", "z", None),
        ("()", "", ""),
    ],
)
def test_a_regex_captures_its_group_in_the_first_place_that_fits(
    pattern: str, text: str, captured: str | None
) -> None:
    assert compile_regex(pattern).captured(text) == captured


class CountedText(str):
    """A text that counts how often a character of it is looked at."""

    __slots__ = ()
    looks = 0

    def __getitem__(self, place: Any) -> str:
        CountedText.looks += 1
        return super().__getitem__(place)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a+)+$", "((?:a|a)*)b", "(a*)a*a*a*a*a*a*a*b", "(.*a){20}b"])
def test_what_takes_pythons_own_for_ever_takes_each_step_at_each_place_once(pattern: str) -> None:
    CountedText.looks = 0
    assert compile_regex(pattern).captured(CountedText("a" * (LONGEST_TEXT - 1) + "!")) is None
    assert CountedText.looks <= LONGEST_TEXT * MOST_STEPS


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("[0-9]+", "one group in round brackets, as dt=([0-9-]+), found none"),
        ("(a)(b)", "found 2"),
        ("(a", "expected a regex, found"),
        ("[[a](b)", "expected a regex, found"),
        ("(?i)(a)", "without flags"),
        ("((?i:a))", "without flags, found some in a group"),
        (r"(a)\1", "linear time, found references back to a group"),
        ("(?=a)(a)", "looking ahead or behind"),
        ("(?<!a)(a)", "looking ahead or behind"),
        ("(a)(?(1)b|c)", "conditions on a group"),
        ("((?>a))", "atomic groups"),
        ("(a*+)", "possessive repeats"),
        ("(a{1000})", "at most 300 steps"),
        ("((?:a{100}){100})", "at most 300 steps"),
        ("((?:){4000000})", "at most 300 steps"),
        ("(a{0,9999})", "at most 300 steps"),
        ("(" + "a" * 300 + ")", "at most 200 characters, found 302"),
        ("(" * 99 + ")" * 99, "found 99"),
    ],
)
def test_a_regex_that_cannot_be_used_is_refused_in_words(pattern: str, words: str) -> None:
    with pytest.raises(ReadingError) as refused:
        compile_regex(pattern)
    assert words in str(refused.value)


def test_a_text_that_is_too_long_is_not_read() -> None:
    with pytest.raises(ReadingError, match="at most 1000 characters, found 1001"):
        compile_regex("(a)").captured("a" * 1_001)
