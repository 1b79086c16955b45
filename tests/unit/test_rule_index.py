import random
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensorflow.core.errors import ReadingError
from sensorflow.core.matching import MOST_LOOKS, Looks, compile_pattern
from sensorflow.core.rule_index import RuleIndex
from tests.naive_matching import fits

NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.text("aAbß", max_size=3)
NUMBERS = st.sampled_from([-1, 0, 1, 1.0, 2, 2.5, 10**400])
VALUES = st.one_of(TEXTS, NUMBERS, st.sampled_from([None, True, False]))
#: Deep enough for arrays in arrays, and for objects in arrays where a pattern wants a value.
FIELDS = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.dictionaries(NAMES, FIELDS, max_size=3)


def numeric(low: Any, high: Any, signs: tuple[str, str]) -> dict[str, Any]:
    low, high = sorted([low, high])
    return {"numeric": [signs[0], low, signs[1], high] if low < high else ["=", low]}


def form(names: list[str], operands: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda name, operand: {name: operand}, st.sampled_from(names), operands)


IN_ANY_CASE = st.builds(lambda text: {"equals-ignore-case": text}, TEXTS)
WILDCARDS = st.text("aAb*", max_size=4).filter(lambda text: "**" not in text)
TEXT_FORMS = st.one_of(
    form(["prefix", "suffix"], TEXTS | IN_ANY_CASE), IN_ANY_CASE, form(["wildcard"], WILDCARDS)
)
SIGNS = st.tuples(st.sampled_from([">", ">="]), st.sampled_from(["<", "<="]))
COMPARISONS = st.builds(
    lambda sign, limit: [sign, limit], st.sampled_from(["<", "<=", ">", ">=", "="]), NUMBERS
)
FORMS = st.one_of(
    VALUES,
    TEXT_FORMS,
    st.builds(numeric, NUMBERS, NUMBERS, SIGNS),
    form(["numeric"], COMPARISONS),
    form(["anything-but"], VALUES | st.lists(VALUES, min_size=1, max_size=3) | TEXT_FORMS),
    form(["exists"], st.booleans()),
)
LEAVES = st.lists(FORMS, min_size=1, max_size=3)
PATTERNS = st.recursive(
    st.dictionaries(NAMES, LEAVES, min_size=1, max_size=3),
    lambda inner: (
        st.dictionaries(NAMES, LEAVES | inner, min_size=1, max_size=3)
        | st.builds(
            lambda fields, either: {**fields, "$or": either},
            st.dictionaries(NAMES, LEAVES | inner, max_size=2),
            st.lists(inner, min_size=1, max_size=3),
        )
    ),
    max_leaves=6,
)
#: They have so much in common that they have to be told apart by more than one field.
ALIKE_LEAVES = st.lists(st.sampled_from(["a", "b", 1, True]), min_size=1, max_size=2)
ALIKE = st.dictionaries(NAMES, ALIKE_LEAVES, min_size=1)


def index_of(patterns: Sequence[dict[str, Any] | None]) -> RuleIndex:
    return RuleIndex([None if each is None else compile_pattern(each) for each in patterns])


def naively(patterns: Sequence[dict[str, Any] | None], event: dict[str, Any]) -> list[int]:
    return [place for place, each in enumerate(patterns) if each is None or fits(each, event)]


@settings(deadline=None)
@given(PATTERNS, EVENTS)
def test_a_pattern_means_what_the_naive_one_means(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    assert compile_pattern(pattern).matches(event) is fits(pattern, event)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.none() | PATTERNS | ALIKE, max_size=24), st.lists(EVENTS, min_size=1, max_size=6))
def test_the_index_finds_what_each_pattern_by_itself_takes(
    patterns: list[dict[str, Any] | None], events: list[dict[str, Any]]
) -> None:
    index = index_of(patterns)
    for event in events:
        assert index.matching(event) == naively(patterns, event)


def test_rules_without_a_pattern_take_every_event() -> None:
    assert index_of([None, {"a": [1]}, None]).matching({}) == [0, 2]
    assert index_of([]).matching({"a": 1}) == []


def test_a_rule_that_is_found_in_several_ways_is_told_once() -> None:
    rules = [{"a": ["xy", {"prefix": "x"}, {"suffix": "y"}, {"exists": True}]}] * 6
    rules += [{"$or": [{"a": ["xy"]}, {"b": [1]}, {"a": [{"anything-but": "z"}]}]}] * 6
    assert index_of(rules).matching({"a": "xy", "b": 1}) == list(range(12))
    assert index_of(rules).matching({"a": ["xy", "xy", "xz"]}) == list(range(12))


def test_fields_that_stand_in_different_objects_of_an_array_do_not_make_a_match() -> None:
    rules = [{"rows": {"id": [f"{place}"], "kind": ["a"]}} for place in range(20)]
    index = index_of(rules)
    assert index.matching({"rows": [{"id": "3", "kind": "b"}, {"id": "4", "kind": "a"}]}) == [4]
    assert index.matching({"rows": [[{"id": "3"}], {"kind": "a"}]}) == []


def test_a_negation_takes_an_array_with_any_other_value() -> None:
    index = index_of([{"a": [{"anything-but": ["x", f"{place}"]}]} for place in range(20)])
    everything = list(range(20))
    assert index.matching({"a": "z"}) == everything
    assert index.matching({"a": "3"}) == [place for place in everything if place != 3]
    assert index.matching({"a": "x"}) == []
    assert index.matching({"a": ["x", "3"]}) == [place for place in everything if place != 3]
    assert index.matching({"a": ["3", "4"]}) == everything
    assert index.matching({"a": []}) == index.matching({"a": [{}]}) == index.matching({}) == []


def test_ranges_are_found_by_their_limits_and_by_what_lies_between() -> None:
    rules = [{"a": [{"numeric": [">=", low, "<", low + 2]}]} for low in range(50)]
    rules += [{"a": [{"numeric": [">", 10**400]}]}, {"a": [{"numeric": ["<", 0.5]}]}]
    index = index_of(rules)
    for value in (-1, 0, 0.25, 1, 1.0, 25, 25.5, 51, 10**399, 10**401, True, "1", None, [3, 40.5]):
        assert index.matching({"a": value}) == naively(rules, {"a": value})


def test_rules_with_more_ways_to_hold_than_are_kept_apart_are_asked_as_a_whole() -> None:
    either = [{"$or": [{name: [value]} for value in range(9)]} for name in ("x", "y")]
    rules = [{"id": ["1"], "a": either[0], "b": either[1]} for _ in range(8)]
    index = index_of(rules)
    assert index.matching({"id": "1", "a": {"x": 3}, "b": {"y": 8}}) == list(range(8))
    assert index.matching({"id": "1", "a": [{"x": 9}, {"x": 3}], "b": {"y": 8}}) == list(range(8))
    assert index.matching({"id": "1", "a": {"x": 9}, "b": {"y": 8}}) == []


def test_events_may_be_nested_deeper_than_the_stack() -> None:
    arrays: Any = "a"
    objects: Any = "a"
    for _ in range(100_000):
        arrays, objects = [arrays], {"x": objects}
    index = index_of([{"x": ["a"]}, {"x": {"x": ["a"]}}] * 5)
    assert index.matching({"x": arrays}) == [0, 2, 4, 6, 8]
    assert index.matching(objects) == []


def steps_of(index: RuleIndex, event: dict[str, Any]) -> int:
    """Return how many functions, Python's own too, are called to find an event's rules."""
    steps = 0

    def count(_frame: Any, what: str, _argument: Any) -> None:
        nonlocal steps
        steps += what in ("call", "c_call")

    sys.setprofile(count)
    try:
        index.matching(event)
    finally:
        sys.setprofile(None)
    return steps


@pytest.mark.parametrize(
    "rule",
    [
        lambda place: {"type": ["t"], "data": {"table": [f"{place:04}"], "day": [{"exists": True}]}},
        lambda place: {"type": ["t"], "data": {"table": [{"prefix": f"{place:04}"}]}},
        lambda place: {"type": ["t"], "data": {"table": [{"suffix": f"{place:04}"}]}},
        lambda place: {"type": [{"anything-but": f"{place}"}], "data": {"table": [f"{place:04}"]}},
        lambda place: {"type": ["t", "u"], "data": {"table": [{"wildcard": f"{place:04}*"}]}},
        lambda place: {"type": ["t"], "data": {f"field{place}": [1], "table": [{"exists": True}]}},
        # No field tells it apart, all together do.
        lambda place: {
            "a": [place % 10],
            "b": [place // 10 % 10],
            "c": [place // 100 % 10],
            "d": [place // 1000],
        },
        lambda place: {"$or": [{"source": [f"{place}"]}, {"data": {"table": [f"{place:04}"]}}]},
    ],
)
def test_an_event_takes_as_many_steps_with_10_000_rules_as_with_10(rule: Any) -> None:
    few, all_ = (index_of([rule(place) for place in range(number)]) for number in (10, 10_000))
    draw = random.Random(1)
    for _ in range(20):
        place = draw.randrange(10)
        event = {"type": "t", "source": "s", "a": place, "b": 0, "c": 0, "d": 0}
        event["data"] = {"table": f"{place:04}", f"field{place}": 1, "day": "2026-03-08"}
        assert few.matching(event) == all_.matching(event) == [place]
        assert steps_of(all_, event) <= 2 * steps_of(few, event)


def test_a_thousand_negations_of_one_field_take_no_step_each() -> None:
    index = index_of([{"type": [{"anything-but": f"{place}"}]} for place in range(1_000)])
    assert len(index.matching({"type": "7"})) == 999
    assert steps_of(index, {"type": "7"}) < 50


def test_texts_that_are_looked_up_together_are_found_in_arrays_in_each_combination() -> None:
    rules = [
        {"a": [f"{place}"], "rows": {"b": [f"{place % 50}"]}, "c": {"d": [f"{place // 2}"]}}
        for place in range(100)
    ]
    index = index_of(rules)
    every = [f"{place}" for place in range(100)]
    for event in (
        {"a": "7", "rows": {"b": "7"}, "c": {"d": "3"}},
        {"a": ["7", ["8", 9]], "rows": {"b": ["7", "8"]}, "c": {"d": ["3", "4", {}]}},
        {"a": every, "rows": {"b": every}, "c": {"d": every}},
        {"a": ["7", "8"], "rows": [{"b": "7"}, {"b": "9"}, "b", {}], "c": {"d": ["3", "4"]}},
        {"a": every, "rows": [[{"b": "7"}, {"b": every}]], "c": [{"d": "1"}, {"d": every[:4]}]},
        {"a": "7", "rows": "b", "c": {"d": "3"}},
        {"a": "7", "rows": {"b": 7}, "c": {"d": "3"}},
        {"a": "7", "rows": {"b": "7"}, "c": [1, "d"]},
        {"a": "7"},
    ):
        assert index.matching(event) == naively(rules, event)


def test_a_text_that_holds_what_stands_between_texts_is_not_taken_for_two() -> None:
    rules = [{"a": [f"{place}"], "b": ["x\0y"]} for place in range(20)]
    rules += [{"a": [f"{place}\0x"], "b": ["y"]} for place in range(20)]
    rules += [{"a": [f"{place}"], "b": [f"y{place}"]} for place in range(40)]
    index = index_of(rules)
    events = [
        {"a": "3", "b": "x\0y"},
        {"a": "3\0x", "b": "y"},
        {"a": "3", "b": "y3"},
        {"a": "3\0y3", "b": ""},
    ]
    found = [index.matching(event) for event in events]
    assert found == [naively(rules, event) for event in events] == [[3], [23], [43], []]


def test_one_field_that_is_asked_for_twice_is_looked_up_twice() -> None:
    rules = [{"a": [f"{place}"], "$or": [{"a": [f"{place + 1}"]}]} for place in range(20)]
    index = index_of(rules)
    assert index.matching({"a": ["4", "5"]}) == [4]
    assert index.matching({"a": "4"}) == []


@pytest.mark.parametrize("end", ["prefix", "suffix"])
def test_of_texts_that_begin_or_end_alike_all_are_found(end: str) -> None:
    texts = ["", *("ab" * length for length in range(1, 20)), *(f"{n}abx{n}" for n in range(40)), "abxab"]
    rules = [{"a": [{end: text}]} for text in texts]
    index = index_of(rules)
    for value in ("", "a", "ab", "abab", "ab" * 30, "7abx7", "7abx7ab", "aba", "abxababab", "xab", 7):
        assert index.matching({"a": value}) == naively(rules, {"a": value})


def test_what_begins_as_no_prefix_is_not_looked_up_by_each_length() -> None:
    rules = [{"a": [{"prefix": f"/erp/{place % 10}/{'x' * (place % 30)}{place}"}]} for place in range(1_000)]
    index = index_of(rules)
    assert steps_of(index, {"a": "/crm/1/" + "x" * 40}) < 20
    assert index.matching({"a": "/erp/1/x1"}) == index.matching({"a": "/erp/1/x1/2026"}) == [1]


def test_the_elements_of_an_array_are_followed_once_whatever_many_of_them_lead_to() -> None:
    index = index_of([{"rows": {"kind": ["a"], "n": [{"numeric": [">", 0]}]}}] * 4)
    few, many = ({"rows": [{"kind": "a", "n": n - rows + 2} for n in range(rows)]} for rows in (20, 400))
    assert index.matching(few) == index.matching(many) == [0, 1, 2, 3]
    assert steps_of(index, many) <= 25 * steps_of(index, few)


ROWS = range(MOST_LOOKS // 100)


@pytest.mark.parametrize(
    ("rule", "event"),
    [
        # Each value of one array leads to a rule, which then looks through the other.
        (
            lambda place: {"a": [f"{place}"], "b": [{"prefix": f"x{place}"}]},
            {"a": [*map(str, ROWS)], "b": [*map(str, ROWS)]},
        ),
        # Each value of one array leads to all rules.
        (lambda place: {"a": [{"numeric": [">", -place]}]}, {"a": [*ROWS]}),
        # Each object of one array leads to all rules.
        (lambda place: {"rows": {"a": [{"numeric": [">", -place]}]}}, {"rows": [{"a": n} for n in ROWS]}),
        # Each rule looks through the objects.
        (
            lambda place: {"rows": {"a": [{"wildcard": f"{place}*y"}], "b": [1]}},
            {"rows": [{"a": f"{n}x", "b": 1} for n in ROWS]},
        ),
    ],
)
def test_an_event_with_larger_arrays_than_so_many_rules_can_look_through_is_given_up(
    rule: Any, event: dict[str, Any]
) -> None:
    assert len(index_of([rule(place) for place in range(4)]).matching(event)) in (0, 3, 4)
    with pytest.raises(ReadingError, match="500,000 elements at most"):
        index_of([rule(place) for place in range(200)]).matching(event)


def test_what_several_outputs_are_compared_with_counts_together() -> None:
    index, looks = index_of([{"a": [{"suffix": "y"}]}]), Looks()
    for _ in range(10):
        index.matching({"a": ["x"] * (MOST_LOOKS // 10)}, looks)
    with pytest.raises(ReadingError):
        index.matching({"a": ["x"] * (MOST_LOOKS // 10)}, looks)
