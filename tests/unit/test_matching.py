import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core.errors import shown
from sensorflow.core.matching import MAX_DEPTH, Pattern, PatternError, compile_pattern


def matches(alternatives: list[Any], value: Any) -> bool:
    return compile_pattern({"x": alternatives}).matches({"x": value})


# Values


@pytest.mark.parametrize(
    ("alternatives", "value", "expected"),
    [
        (["a"], "a", True),
        (["a"], "A", False),
        (["a", "b"], "b", True),
        ([""], "", True),
        ([""], None, False),
        ([None], None, True),
        ([None], "", False),
        ([None], False, False),
        ([1], 1, True),
        ([1], 1.0, True),
        ([1.0], 1, True),
        ([300], 3.0e2, True),
        ([1], "1", False),
        ([1], True, False),
        ([True], 1, False),
        ([0], False, False),
        ([False], 0.0, False),
        ([True], True, True),
        ([False], True, False),
        ([10**400], 10**400, True),
        (["a", 1, None, True], True, True),
    ],
)
def test_a_value_matches_what_is_equal_and_of_its_kind(
    alternatives: list[Any], value: Any, expected: bool
) -> None:
    assert matches(alternatives, value) is expected


# Forms


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ({"prefix": "/erp/"}, "/erp/orders", True),
        ({"prefix": "/erp/"}, "/ERP/orders", False),
        ({"prefix": ""}, "", True),
        ({"prefix": "1"}, 12, False),
        ({"prefix": {"equals-ignore-case": "/erp/"}}, "/ERP/orders", True),
        ({"prefix": {"equals-ignore-case": "/erp/"}}, "x/ERP/", False),
        ({"suffix": ".png"}, "a.png", True),
        ({"suffix": ".png"}, "a.png.bak", False),
        ({"suffix": {"equals-ignore-case": ".PNG"}}, "a.png", True),
        ({"suffix": {"equals-ignore-case": ".PNG"}}, "a.jpg", False),
        ({"suffix": "e"}, True, False),
        ({"equals-ignore-case": "Straße"}, "STRASSE", True),
        ({"equals-ignore-case": "alice"}, "Alicia", False),
        ({"equals-ignore-case": "none"}, None, False),
        ({"anything-but": "a"}, "b", True),
        ({"anything-but": "a"}, "a", False),
        ({"anything-but": "a"}, None, True),
        ({"anything-but": 1}, 1.0, False),
        ({"anything-but": 1}, True, True),
        ({"anything-but": ["a", "b"]}, "b", False),
        ({"anything-but": ["a", "b"]}, "c", True),
        ({"anything-but": [1, "1", None, False]}, False, False),
        ({"anything-but": {"prefix": "us-"}}, "us-east", False),
        ({"anything-but": {"prefix": "us-"}}, "eu-west", True),
        ({"anything-but": {"prefix": "us-"}}, 5, True),
        ({"anything-but": {"prefix": ["us-", "eu-"]}}, "eu-west", False),
        ({"anything-but": {"prefix": {"equals-ignore-case": "us-"}}}, "US-east", False),
        ({"anything-but": {"suffix": ".png"}}, "a.png", False),
        ({"anything-but": {"suffix": [".png", ".jpg"]}}, "a.gif", True),
        ({"anything-but": {"wildcard": "*/lib/*"}}, "/usr/lib/x", False),
        ({"anything-but": {"wildcard": "*/lib/*"}}, "/usr/bin/x", True),
        ({"anything-but": {"equals-ignore-case": ["a", "b"]}}, "B", False),
        ({"exists": True}, None, True),
        ({"exists": True}, "", True),
        ({"exists": True}, [], False),
        ({"exists": False}, [], True),
        ({"exists": False}, 0, False),
        # Leaves alone exist, as the documentation of EventBridge says.
        ({"exists": True}, {"y": 1}, False),
        ({"exists": False}, {"y": 1}, True),
    ],
)
def test_each_form_holds_as_documented(form: dict[str, Any], value: Any, expected: bool) -> None:
    assert matches([form], value) is expected


@pytest.mark.parametrize(
    ("comparison", "holding", "failing"),
    [
        (["=", 3.018e2], [301.8], [301.7, "301.8"]),
        ([">", 0], [0.1, 10**400], [0, -1, True, None, "1"]),
        ([">=", 0], [0, 1, -0.0], [-1e-9, False]),
        (["<", 5], [4.999, -1], [5]),
        (["<=", 5], [5, 5.0], [5.001]),
        ([">", 0, "<=", 5], [1, 5], [0, 6]),
        ([">=", 2, "<", 3], [2, 2.5], [1.9, 3]),
        ([">=", 2, "<=", 2], [2], [1, 3]),
    ],
)
def test_numeric_compares_numbers_only(comparison: list[Any], holding: list[Any], failing: list[Any]) -> None:
    assert [value for value in holding + failing if matches([{"numeric": comparison}], value)] == holding


@pytest.mark.parametrize(
    ("wildcard", "holding", "failing"),
    [
        ("plain", ["plain"], ["plainer", "*", ""]),
        ("*", ["", "anything", "*"], []),
        ("a*", ["a", "ab"], ["ba", ""]),
        ("*a", ["a", "ba"], ["ab"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("ab*ba", ["abba", "abxba"], ["aba"]),
        ("*/lib/*", ["/lib/", "/usr/lib/x"], ["lib", "/lib"]),
        ("a*b*c", ["abc", "axbxc", "abbcc"], ["acb", "ac", "abcx"]),
        ("*ab*bc*", ["abbc", "xabxbcx"], ["abc"]),
        (r"a\*b", ["a*b"], ["axb", r"a\*b"]),
        (r"a\\*", ["a\\", "a\\b"], ["a*"]),
        (r"*\**", ["*", "a*b"], ["ab"]),
        ("ä*ö", ["äö", "äxö"], ["ao"]),
    ],
)
def test_a_wildcard_stands_for_any_text_also_none(
    wildcard: str, holding: list[str], failing: list[str]
) -> None:
    assert [text for text in holding + failing if matches([{"wildcard": wildcard}], text)] == holding
    assert not matches([{"wildcard": wildcard}], 5)


def _naive_wildcard(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_naive_wildcard(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and text[0] == pattern[0] and _naive_wildcard(pattern[1:], text[1:])


@given(st.text("ab*", max_size=8).filter(lambda text: "**" not in text), st.text("ab", max_size=10))
def test_wildcards_match_what_trying_everything_matches(pattern: str, text: str) -> None:
    assert matches([{"wildcard": pattern}], text) is _naive_wildcard(pattern, text)


def test_a_wildcard_takes_time_in_proportion_to_the_text() -> None:
    pattern = compile_pattern({"x": [{"wildcard": "*a" * 40 + "*b"}]})
    assert not pattern.matches({"x": "a" * 1_000_000})  # To try every split would never end.


# The shape


def test_every_field_must_match_and_others_do_not_matter() -> None:
    pattern = compile_pattern(
        {"type": ["orders.exported"], "data": {"region": ["eu"], "rows": [{"numeric": [">", 0]}]}}
    )
    event = {"type": "orders.exported", "more": 1, "data": {"region": "eu", "rows": 3, "x": {}}}
    assert pattern.matches(event)
    assert not pattern.matches({**event, "type": "orders.deleted"})
    assert not pattern.matches({**event, "data": {"region": "eu", "rows": 0}})
    assert not pattern.matches({**event, "data": {"region": "eu"}})


@pytest.mark.parametrize(
    "event", [{}, {"data": None}, {"data": 5}, {"data": {}}, {"data": []}, {"data": {"rows": {}}}]
)
def test_what_is_not_there_is_matched_by_exists_false_alone(event: dict[str, Any]) -> None:
    assert compile_pattern({"data": {"rows": [{"exists": False}]}}).matches(event)
    for form in (
        "x",
        None,
        {"exists": True},
        {"anything-but": "x"},
        {"anything-but": {"prefix": "x"}},
        {"prefix": ""},
    ):
        assert not compile_pattern({"data": {"rows": [form]}}).matches(event)


def test_absence_can_be_one_of_several_alternatives() -> None:
    pattern = compile_pattern({"x": [{"exists": False}, "a"]})
    assert pattern.matches({}) and pattern.matches({"x": "a"}) and not pattern.matches({"x": "b"})


@pytest.mark.parametrize(
    ("alternatives", "values", "expected"),
    [
        (["a"], ["b", "a"], True),
        (["a", "c"], ["b", "d"], False),
        (["a"], [], False),
        (["a"], [["b", ["a"]]], True),
        ([{"anything-but": "a"}], ["a", "b"], True),
        ([{"anything-but": "a"}], ["a", "a"], False),
        ([{"numeric": [">", 4]}], [1, {"y": 9}, 5], True),
        ([None], [None], True),
        ([{"exists": True}], [{}], False),
    ],
)
def test_an_array_matches_where_any_element_does(
    alternatives: list[Any], values: list[Any], expected: bool
) -> None:
    assert matches(alternatives, values) is expected


def test_one_object_of_an_array_must_fit_all_that_is_asked() -> None:
    pattern = compile_pattern({"data": {"rows": {"kind": ["a"], "count": [1]}}})
    assert pattern.matches({"data": {"rows": [{"kind": "b"}, {"kind": "a", "count": 1}]}})
    assert pattern.matches({"data": [{"rows": []}, {"rows": [[{"kind": "a", "count": 1}]]}]})
    assert not pattern.matches({"data": {"rows": [{"kind": "a", "count": 2}, {"kind": "b", "count": 1}]}})
    assert not pattern.matches({"data": {"rows": []}})
    assert not pattern.matches({"data": {"rows": ["a", 1]}})


def test_or_needs_one_of_its_patterns_beside_the_other_fields() -> None:
    pattern = compile_pattern(
        {"source": ["s"], "$or": [{"a": [1]}, {"b": [2], "$or": [{"c": [3]}, {"d": [4]}]}]}
    )
    assert pattern.matches({"source": "s", "a": 1})
    assert pattern.matches({"source": "s", "b": 2, "d": 4})
    assert not pattern.matches({"source": "s", "b": 2})
    assert not pattern.matches({"source": "s"})
    assert not pattern.matches({"a": 1})


def test_or_can_stand_alone_and_inside_an_object() -> None:
    pattern = compile_pattern({"data": {"$or": [{"a": [1]}, {"b": [2]}]}})
    assert pattern.matches({"data": {"b": 2}})
    assert pattern.matches({"data": [{"b": 1}, {"a": 1}]})
    assert not pattern.matches({"a": 1})
    assert compile_pattern({"$or": [{"a": [1]}]}).matches({"a": 1})


def test_events_may_be_nested_deeper_than_the_stack() -> None:
    arrays: Any = "a"
    objects: Any = "a"
    for _ in range(100_000):
        arrays, objects = [arrays], {"x": objects}
    pattern = compile_pattern({"x": ["a"]})
    assert pattern.matches({"x": arrays})
    assert not pattern.matches(objects)
    assert pattern.first_mismatch(objects) == 'x: expected "a", found an object'
    assert (
        compile_pattern({"x": {"y": ["a"]}}).first_mismatch({"x": arrays})
        == 'x.y: expected "a", found nothing'
    )


# In words


@pytest.mark.parametrize(
    ("pattern", "event", "words"),
    [
        (
            {"data": {"rows": [{"numeric": [">", 0]}]}},
            {"data": {"rows": 0}},
            "data.rows: expected > 0, found 0",
        ),
        (
            {"a": ["x", 1, None, True]},
            {"a": False},
            'a: expected "x" or 1 or null or true, found false',
        ),
        ({"a": ["x"]}, {}, 'a: expected "x", found nothing'),
        ({"a": {"b": ["x"]}}, {"a": 5}, 'a.b: expected "x", found nothing'),
        ({"a": ["x"]}, {"a": {"b": 1}}, 'a: expected "x", found an object'),
        ({"a": ["x"]}, {"a": []}, 'a: expected "x", found no value in the array'),
        ({"a": ["x"]}, {"a": ["y", None]}, 'a: expected "x", found "y", null'),
        ({"a": [0]}, {"a": [1, 2, 3, 4, 5]}, "a: expected 0, found 1, 2, 3, 4, 5"),
        ({"a": [0]}, {"a": [1, 2, 3, 4, 5, 6, 7]}, "a: expected 0, found 1, 2, 3, 4, 5 and 2 more"),
        ({"a": [1], "b": [2], "c": [3]}, {"a": 1, "c": 4}, "b: expected 2, found nothing"),
        ({"a": [{"numeric": [">=", 0, "<", 5.5]}]}, {"a": 9}, "a: expected >= 0 and < 5.5, found 9"),
        ({"a": [{"prefix": "x"}]}, {"a": "y"}, 'a: expected a text that starts with "x", found "y"'),
        (
            {"a": [{"suffix": {"equals-ignore-case": "x"}}]},
            {"a": "y"},
            'a: expected a text that ends with, in any case, "x", found "y"',
        ),
        ({"a": [{"wildcard": "x*"}]}, {"a": "y"}, 'a: expected a text like "x*", found "y"'),
        (
            {"a": [{"equals-ignore-case": "x"}]},
            {"a": "y"},
            'a: expected a text that is, in any case, "x", found "y"',
        ),
        ({"a": [{"anything-but": ["x", 1]}]}, {"a": "x"}, 'a: expected anything but "x" or 1, found "x"'),
        ({"a": [{"exists": True}]}, {"a": {}}, "a: expected any value, found an object"),
        ({"a": [{"exists": False}]}, {"a": 1}, "a: expected nothing, found 1"),
        (
            {"$or": [{"a": [1]}, {"b": {"c": [2]}}]},
            {"a": 2},
            "a: expected 1, found 2; and b.c: expected 2, found nothing",
        ),
        (
            {"rows": {"a": [1]}},
            {"rows": [{"a": 2}, {"a": 3}]},
            "rows: none of 2 elements fits; of the first, rows.a: expected 1, found 2",
        ),
    ],
)
def test_the_first_mismatch_says_where_what_was_expected_and_found(
    pattern: dict[str, Any], event: dict[str, Any], words: str
) -> None:
    assert compile_pattern(pattern).first_mismatch(event) == words


@pytest.mark.parametrize(
    ("pattern", "event"),
    [
        ({"a": [1]}, {"a": 1}),
        ({"a": {"b": [1]}}, {"a": [{"b": 2}, {"b": 1}]}),
        ({"a": [1], "$or": [{"b": [1]}, {"c": [1]}]}, {"a": 1, "c": 1}),
    ],
)
def test_an_event_that_matches_has_no_mismatch(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    assert compile_pattern(pattern).first_mismatch(event) is None


_NAMES = st.sampled_from(["a", "b", "c"])
_VALUES = st.sampled_from([None, True, False, 0, 1, 1.0, 2.5, "", "a", "ab", "B"])
_EVENTS = st.recursive(
    _VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=12,
)
_FORMS = st.one_of(
    _VALUES,
    st.sampled_from([{"exists": True}, {"exists": False}, {"prefix": "a"}, {"anything-but": ["a", 1]}]),
    st.sampled_from([{"numeric": [">", 0]}, {"wildcard": "*b"}, {"equals-ignore-case": "b"}]),
)
_LEAVES = st.lists(_FORMS, min_size=1, max_size=3)
_PATTERNS = st.recursive(
    st.dictionaries(_NAMES, _LEAVES, min_size=1, max_size=2),
    lambda inner: (
        st.dictionaries(_NAMES, _LEAVES | inner, min_size=1, max_size=3)
        | st.builds(lambda one, two: {"$or": [one, two]}, inner, inner)
    ),
    max_leaves=6,
)


@given(_PATTERNS, st.dictionaries(_NAMES, _EVENTS, max_size=3))
def test_matching_and_its_words_never_disagree(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    compiled = compile_pattern(json.loads(json.dumps(pattern)))
    assert compiled.matches(event) is (compiled.first_mismatch(event) is None)


@given(_PATTERNS, _PATTERNS, st.dictionaries(_NAMES, _EVENTS, max_size=3))
def test_or_is_one_or_the_other(one: dict[str, Any], two: dict[str, Any], event: dict[str, Any]) -> None:
    either = compile_pattern({"$or": [one, two]}).matches(event)
    assert either is (compile_pattern(one).matches(event) or compile_pattern(two).matches(event))


# Broken patterns


@pytest.mark.parametrize(
    ("pattern", "path", "message"),
    [
        ([], "", "expected an object with the fields to match, found an array of 0"),
        ({}, "", "expected at least one field to match, found an empty object"),
        ({"a": {"b": {}}}, "a.b", "expected at least one field to match, found an empty object"),
        ({1: ["x"]}, "", "expected field names that are text, found 1"),
        ({"a": "x"}, "a", 'expected a list of alternatives as ["x"], found "x" without brackets'),
        ({"a": {"b": None}}, "a.b", "expected a list of alternatives as [null], found null without brackets"),
        ({"a": []}, "a", "expected at least one alternative, found an empty list"),
        ({"a": ["x", ["y"]]}, "a[1]", "expected a text, number, true, false or null, found an array of 1"),
        ({"a": [float("nan")]}, "a[0]", "expected a text, number, true, false or null, found nan"),
        (
            {"a": [{}]},
            "a[0]",
            "expected one of prefix, suffix, wildcard, equals-ignore-case, anything-but, numeric, exists, "
            "found an empty object",
        ),
        (
            {"a": [{"cidr": "10.0.0.0/8"}]},
            "a[0]",
            "expected one of prefix, suffix, wildcard, equals-ignore-case, anything-but, numeric, exists, "
            "found cidr",
        ),
        (
            {"a": [{"prefix": "x", "suffix": "y"}]},
            "a[0]",
            "expected one of prefix, suffix, wildcard, equals-ignore-case, anything-but, numeric, exists, "
            "found prefix, suffix",
        ),
        ({"a": [{"prefix": 1}]}, "a[0].prefix", "expected a text, found 1"),
        ({"a": [{"suffix": None}]}, "a[0].suffix", "expected a text, found null"),
        (
            {"a": [{"prefix": {"wildcard": "x"}}]},
            "a[0].prefix",
            "expected one of equals-ignore-case, found wildcard",
        ),
        (
            {"a": [{"prefix": {"equals-ignore-case": 1}}]},
            "a[0].prefix.equals-ignore-case",
            "expected a text, found 1",
        ),
        ({"a": [{"equals-ignore-case": True}]}, "a[0].equals-ignore-case", "expected a text, found true"),
        ({"a": [{"wildcard": []}]}, "a[0].wildcard", "expected a text, found an array of 0"),
        (
            {"a": [{"wildcard": "x**"}]},
            "a[0].wildcard",
            'expected no two wildcards side by side, found "x**"',
        ),
        ({"a": [{"wildcard": "**"}]}, "a[0].wildcard", 'expected no two wildcards side by side, found "**"'),
        ({"a": [{"wildcard": r"x\y"}]}, "a[0].wildcard", r'expected * or \ behind a backslash, found "x\y"'),
        ({"a": [{"wildcard": "x\\"}]}, "a[0].wildcard", 'expected * or \\ behind a backslash, found "x\\"'),
        (
            {"a": [{"anything-but": []}]},
            "a[0].anything-but",
            "expected at least one value, found an empty list",
        ),
        (
            {"a": [{"anything-but": [[1]]}]},
            "a[0].anything-but",
            "expected a text, number, true, false or null, found an array of 1",
        ),
        (
            {"a": [{"anything-but": {"numeric": [">", 1]}}]},
            "a[0].anything-but",
            "expected one of prefix, suffix, wildcard, equals-ignore-case, found numeric",
        ),
        ({"a": [{"anything-but": {"prefix": [1]}}]}, "a[0].anything-but.prefix", "expected a text, found 1"),
        (
            {"a": [{"anything-but": {"suffix": []}}]},
            "a[0].anything-but.suffix",
            "expected at least one value, found an empty list",
        ),
        ({"a": [{"exists": "yes"}]}, "a[0].exists", 'expected true or false, found "yes"'),
        (
            {"a": [{"numeric": ">0"}]},
            "a[0].numeric",
            'expected a comparison as [">", 0] or [">=", 0, "<", 5], found ">0"',
        ),
        (
            {"a": [{"numeric": [">", 0, "<"]}]},
            "a[0].numeric",
            'expected a comparison as [">", 0] or [">=", 0, "<", 5], found an array of 3',
        ),
        ({"a": [{"numeric": ["!=", 0]}]}, "a[0].numeric", 'expected one of = < <= > >=, found "!="'),
        ({"a": [{"numeric": [0, ">"]}]}, "a[0].numeric", "expected one of = < <= > >=, found 0"),
        ({"a": [{"numeric": [">", "0"]}]}, "a[0].numeric", 'expected a number behind >, found "0"'),
        ({"a": [{"numeric": [">", True]}]}, "a[0].numeric", "expected a number behind >, found true"),
        ({"a": [{"numeric": [">", float("inf")]}]}, "a[0].numeric", "expected a number behind >, found inf"),
        (
            {"a": [{"numeric": ["<", 5, ">", 0]}]},
            "a[0].numeric",
            "expected a range as > or >= and then < or <=, found < 5 and > 0",
        ),
        (
            {"a": [{"numeric": [">", 5, "=", 7]}]},
            "a[0].numeric",
            "expected a range as > or >= and then < or <=, found > 5 and = 7",
        ),
        (
            {"a": [{"numeric": [">", 5, "<", 3]}]},
            "a[0].numeric",
            "expected a range that holds a number, found > 5 and < 3",
        ),
        (
            {"a": [{"numeric": [">=", 5, "<", 5]}]},
            "a[0].numeric",
            "expected a range that holds a number, found >= 5 and < 5",
        ),
        ({"$or": {"a": [1]}}, "$or", "expected a list of patterns, found an object"),
        ({"d": {"$or": []}}, "d.$or", "expected a list of patterns, found an array of 0"),
        ({"$or": [{"a": [1]}, {}]}, "$or[1]", "expected at least one field to match, found an empty object"),
        ({"$or": [1]}, "$or[0]", "expected an object with the fields to match, found 1"),
        (
            {"$or": [{"a": [{"prefix": 1}]}]},
            "$or[0].a[0].prefix",
            "expected a text, found 1",
        ),
    ],
)
def test_a_broken_pattern_says_where_what_was_expected_and_found(
    pattern: Any, path: str, message: str
) -> None:
    with pytest.raises(PatternError) as refused:
        compile_pattern(pattern)
    assert (refused.value.path, refused.value.message) == (path, message)
    assert str(refused.value) == (f"{path}: {message}" if path else message)


def _nested(levels: int, step: Any) -> Any:
    pattern: Any = {"a": [1]}
    for _ in range(levels - 1):
        pattern = step(pattern)
    return pattern


@pytest.mark.parametrize("step", [lambda inner: {"a": inner}, lambda inner: {"$or": [inner]}])
def test_a_pattern_is_at_most_so_many_levels_deep(step: Any) -> None:
    assert isinstance(compile_pattern(_nested(MAX_DEPTH, step)), Pattern)
    for levels in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(PatternError, match=f"expected at most {MAX_DEPTH} levels, found more"):
            compile_pattern(_nested(levels, step))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("Zürich", '"Zürich"'),
        ('say "x"', '"say "x""'),
        ("\x1b[2J\x9b\u202e\udc80\n", r'"\x1b[2J\x9b\u202e\udc80\n"'),
        ("x" * 80, '"' + "x" * 80 + '"'),
        ("x" * 81, '"' + "x" * 80 + '..."'),
        ({"a": 1}, "an object"),
        ([1, 2], "an array of 2"),
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (1.5, "1.5"),
    ],
)
def test_what_was_found_is_shown_short_and_harmless(value: Any, words: str) -> None:
    assert shown(value) == words


@pytest.mark.parametrize(
    ("event", "misses"),
    [
        ({"a": 1, "b": {"c": 1, "d": 1}, "e": 1}, 0),
        ({"a": 2, "b": {"c": 1, "d": 1}, "e": 1}, 1),
        ({"a": 2, "b": [{"c": 1, "d": 2}, {"c": 2, "d": 2}], "f": [2]}, 2),
        ({}, 4),
    ],
)
def test_the_fields_that_do_not_fit_are_counted_as_in_what_fits_best(
    event: dict[str, Any], misses: int
) -> None:
    pattern = {"a": [1], "b": {"c": [1], "d": [1]}, "$or": [{"e": [1]}, {"f": [2]}]}
    assert compile_pattern(pattern).misses(event) == misses
