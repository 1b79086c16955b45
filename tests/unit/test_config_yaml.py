# ruff: noqa: E501 - files and messages stand on one line each, as users see them
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sensorflow.config.yaml import Document, Place, read_yaml
from sensorflow.core.errors import Problem
from sensorflow.core.vocabulary import JsonValue
from tests.home_files import problems


def read(text: str) -> Document:
    mistakes: list[Problem] = []
    document = read_yaml("f.yaml", text, mistakes)
    assert mistakes == []
    assert document is not None
    return document


def mistakes(text: str) -> list[str]:
    found: list[Problem] = []
    read_yaml("f.yaml", text, found)
    return [str(problem) for problem in found]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("NO", "NO"),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0o17", 15),
        ("017", 17),
        ("0x1F", 31),
        ("-12", -12),
        ("+1", 1),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("1:30:00", "1:30:00"),
        ("2013-01-01", "2013-01-01"),
        ("2013-01-01T05:00:00Z", "2013-01-01T05:00:00Z"),
        ("1.50", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("1.2.3", "1.2.3"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_a_scalar_means_what_the_core_schema_of_yaml_1_2_says(scalar: str, value: JsonValue) -> None:
    assert read(f"a: {scalar}\n").tree == {"a": value}


def test_nothing_becomes_text_or_number_behind_keys_that_hold_text() -> None:
    text = (
        "start: 2013\nend: ~\nx: {parts: [01, 1, true], env: {A: 1.50, B: null, C: '2'}, run: [a, 010, no]}\n"
    )
    assert read(text).tree == {
        "start": "2013",
        "end": "~",
        "x": {
            "parts": ["01", "1", "true"],
            "env": {"A": "1.50", "B": "null", "C": "2"},
            "run": ["a", "010", "no"],
        },
    }


def test_match_means_numbers_also_below_a_key_that_holds_text_elsewhere() -> None:
    text = "sensors: {s: {match: {data: {keys: [1], env: [true]}}, keys: [1]}}\n"
    section = read(text).tree["sensors"]["s"]
    assert section == {"match": {"data": {"keys": [1], "env": [True]}}, "keys": ["1"]}


def test_a_task_may_have_the_name_of_a_key() -> None:
    text = "tasks: {run: {priority: 1}, env: {priority: 2}, match: {run: [1]}}\n"
    assert read(text).tree == {
        "tasks": {"run": {"priority": 1}, "env": {"priority": 2}, "match": {"run": ["1"]}}
    }


def test_keys_are_the_text_that_is_written() -> None:
    assert read("1: a\ntrue: b\n2013-01-01: c\n").tree == {"1": "a", "true": "b", "2013-01-01": "c"}


def test_every_value_and_key_has_its_place() -> None:
    document = read("tasks:\n  load:\n    retries: {max: 3}\n    after: [a, b]\n")
    assert document.keys["tasks", "load", "retries", "max"] == Place(3, 15)
    assert document.values["tasks", "load", "retries", "max"] == Place(3, 20)
    assert document.values["tasks", "load", "after", 1] == Place(4, 16)
    assert document.keys["tasks", "load"] == Place(2, 3)


def test_what_is_not_there_is_shown_at_the_key_of_its_parent() -> None:
    document = read("sensors:\n  f:\n    type: file\n")
    assert str(document.problem(("sensors", "f", "dataset"), "m")) == "f.yaml:2:3: sensors.f.dataset: m"


def test_an_anchor_is_the_value_it_names_at_every_alias() -> None:
    assert read("a: &x [1, 01]\nb: *x\nenv: *x\n").tree == {"a": [1, 1], "b": [1, 1], "env": ["1", "01"]}


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: a: expected each key once, found it again (first at 1:1)"),
        (
            "x:\n  - {a: 1, a: 2}\n",
            "f.yaml:2:12: x.0.a: expected each key once, found it again (first at 2:6)",
        ),
        ("%YAML 1.1\n---\na: 1\n", "f.yaml:1:1: expected YAML 1.2 without directives, found one"),
        ("# c\n%YAML 1.2\n---\na: 1\n", "f.yaml:2:1: expected YAML 1.2 without directives, found one"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: expected one document a file, found a second one"),
        ("a:\n\tb: 1\n", "f.yaml:2:1: expected spaces, found a tab"),
        ("a: b: c\n", 'f.yaml:1:5: expected one "key: value" a line, found another ":" (quote the text)'),
        (
            "a:\n   b: 1\n  c: 2\n",
            "f.yaml:3:3: expected a line that is indented as those above, found another indentation",
        ),
        (
            "a: [1, 2\n",
            "f.yaml:2:1: expected YAML 1.2, found a mistake: expected ',' or ']', but got '<stream end>'",
        ),
        ('a: "b\n', "f.yaml:2:1: expected a closing quote, found the end of the file"),
        ("a: *x\n", "f.yaml:1:4: expected an anchor that ends above, found *x"),
        ("a: &x [*x]\n", "f.yaml:1:8: expected an anchor that ends above, found *x"),
        ("a: !!str 01\n", 'f.yaml:1:4: expected no tags, found "tag:yaml.org,2002:str"'),
        (
            "a: !!python/object:os.system x\n",
            'f.yaml:1:4: expected no tags, found "tag:yaml.org,2002:python/object:os.system"',
        ),
        ("? [a]\n: 1\n", "f.yaml:1:3: expected a text as key, found something else"),
        ("a: b\x00c\n", "f.yaml:1:5: expected printable text, found the character U+0000"),
        ('a: "\\ud800"\n', "f.yaml:1:4: expected text, found half of a surrogate pair"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, mistake: str) -> None:
    assert mistakes(text) == [mistake]


def test_too_deep_and_too_much_is_refused() -> None:
    assert "at most 60 levels" in mistakes("[" * 5000)[0]
    billion_laughs = "a0: &a0 [x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
    )
    assert "at most 100000 values" in mistakes(billion_laughs)[0]


def test_too_deep_by_aliases_is_refused() -> None:
    deep = "".join(f"a{n}: &a{n} {'[' * 40}{f'*a{n - 1}' if n else 'x'}{']' * 40}\n" for n in range(40))
    assert "60 levels" in mistakes(deep)[0]


WORDS = st.sampled_from(
    ["tasks:", "sensors:", "datasets:", "  a:", "    run: x", "  - ", "{", "}", "[", "]", "&a ", "*a", "!!int ", "\n", " ",
     "\t", "'", '"', "|", ">", "%YAML 1.1\n---\n", "\\U99999999", "${A}", "${", "type: file", "match: {a: [1]}", ": ", "? ",
     "name: p", "partition: hourly", "inputs: [a]", "---", "...", "#", "1", "~", "after: [a]"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(WORDS).map("".join)))
@example('"\\U99999999"')
@example("tasks: {a: {run: x, inputs: [{dataset: d, partitions: {last: 1}}]}}")
@example("!<tag:yaml.org,2002:str> a")
@example("tasks: {a: }")
@example("- 1")
@example("'")
def test_any_text_is_definitions_or_an_error_that_says_where(text: str) -> None:
    for file in ("pipelines/p.yaml", "sensors/s.yaml"):
        assert all(p.file == file and p.line > 0 and p.column > 0 for p in problems({file: text}))


def test_keys_of_partitions_are_the_text_that_is_written_and_counts_are_numbers() -> None:
    tree = read(
        "tasks: {partitions: {priority: 1, inputs: [{partitions: {region: [01, 1], shop: 7, day: {last: 7}}},"
        " {partitions: {last: 07}}]}}"
    ).tree
    named, counted = tree["tasks"]["partitions"]["inputs"]
    assert named["partitions"] == {"region": ["01", "1"], "shop": "7", "day": {"last": 7}}
    assert counted["partitions"] == {"last": 7}
    assert tree["tasks"]["partitions"]["priority"] == 1
