"""Which paths fit a template, and what they capture."""

import time

import pytest

from sensorflow.sensors.template import PathTemplate


def captured(template: str, path: str) -> dict[str, str] | None:
    found = PathTemplate.parse(template).match(path)
    return None if found is None else dict(found)


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("landing/{partition}.csv", "landing/2013-03-10.csv", {"partition": "2013-03-10"}),
        ("landing/{partition}.csv", "landing/deeper/2013-03-10.csv", None),
        ("landing/{partition}.csv", "landing/.csv", None),
        ("landing/{partition}/{part}.csv", "landing/d1/EWR.csv", {"partition": "d1", "part": "EWR"}),
        ("in/{partition:%Y/%m/%d}.csv", "in/2013/03/10.csv", {"partition": "2013-03-10"}),
        ("in/{partition:%Y/%m/%d}/*.csv", "in/2013/3/9/any.csv", {"partition": "2013-03-09"}),
        (
            "in/{partition:%Y%m%d%H}-{part}.csv",
            "in/2013031005-EWR.csv",
            {"partition": "2013-03-10T05", "part": "EWR"},
        ),
        ("in/{partition:%Y%m%d_%H%M}.csv", "in/20130310_0530.csv", {"partition": "2013-03-10T05:30:00"}),
        ("in/{partition:%Y-%m}.csv", "in/2013-02.csv", {"partition": "2013-02-01"}),
        ("in/{partition:%G-W%V}.csv", "in/2013-W05.csv", {"partition": "2013-01-28"}),
        ("in/{partition:%Y/%j}.csv", "in/2013/069.csv", {"partition": "2013-03-10"}),
        ("in/{partition:%d%b%Y}.csv", "in/10Mar2013.csv", {"partition": "2013-03-10"}),
        ("in/{partition:%Y%%}.csv", "in/2013%.csv", {"partition": "2013-01-01"}),
        ("in/*/x.csv", "in/a/x.csv", {}),
        ("in/*/x.csv", "in/a/b/x.csv", None),
        ("in/*a*b*.csv", "in/xxaxxbxx.csv", {}),
        ("in/*a*b*.csv", "in/ba.csv", None),
        ("in/**/x.csv", "in/x.csv", {}),
        ("in/**/x.csv", "in/a/b/c/x.csv", {}),
        ("**/{partition}.csv", "a/b/d1.csv", {"partition": "d1"}),
        ("in/a[1].c?v", "in/a[1].c?v", {}),
        ("in/a[1].c?v", "in/a1.csv", None),
        ("in/{partition}.csv", "in/new\nline.csv", {"partition": "new\nline"}),
    ],
)
def test_a_path_is_captured_as_its_template_says(
    template: str, path: str, expected: dict[str, str] | None
) -> None:
    assert captured(template, path) == expected


@pytest.mark.parametrize(
    ("template", "path", "others"),
    [
        ("landing/{partition}.csv", "landing/d1.csv", ["landing/a", "elsewhere", "landings"]),
        (
            "in/{partition:%Y/%m/%d}/*.csv",
            "in/2013/03/09/any.csv",
            ["in/x", "in/2013/x", "in/2013/03/09/any.csv", "in/.2013"],
        ),
        ("in/{partition}_{part}/{partition}/x", "in/a_b_c/a/x", ["in/a", "in/a_b/c", "in/a_b.tmp"]),
        ("in/*/.done/x", "in/a/.done/x", ["in/.a", "in/a/done", "in/a/.done/x"]),
        ("a/**/b/{partition}.csv", "a/1/2/b/d1.csv", ["b", "b/1/2"]),
        ("a/**/.b/x.csv", "a/1/.b/x.csv", ["b"]),
        ("**/{partition}.csv", "a/b/c/d1.csv", []),
        ("x", "x", ["x", "y"]),
    ],
)
def test_a_folder_may_hold_a_path_only_if_its_own_levels_fit(
    template: str, path: str, others: list[str]
) -> None:
    read = PathTemplate.parse(template)
    assert read.match(path) is not None
    levels = path.split("/")
    folders = ["/".join(levels[:count]) for count in range(1, len(levels))]
    assert [folder for folder in folders if not read.may_hold(folder)] == []
    assert [folder for folder in others if read.may_hold(folder)] == []


def test_a_placeholder_used_twice_must_be_the_same_twice() -> None:
    assert captured("in/{partition}/{partition}_{part}.csv", "in/d1/d1_a.csv") == {
        "partition": "d1",
        "part": "a",
    }
    assert captured("in/{partition}/{partition}_{part}.csv", "in/d1/d2_a.csv") is None
    assert captured("in/{partition}_{part}/{partition}.csv", "in/a_b_c/a.csv") == {
        "partition": "a",
        "part": "b_c",
    }


def test_a_path_that_fits_but_is_no_date_is_captured_as_it_stands() -> None:
    assert captured("in/{partition:%Y/%m/%d}.csv", "in/2013/13/45.csv") == {"partition": "2013/13/45"}


@pytest.mark.parametrize(
    "path", ["in/.x.csv", "in/x.csv.tmp", "in/x.part", "in/.hidden/x.csv", "in/a.tmp/x.csv"]
)
def test_hidden_and_unfinished_names_do_not_fit(path: str) -> None:
    assert captured("in/*", path) is None
    assert captured("in/**/*", path) is None


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("in/.{partition}", "in/.x"),
        ("in/*.tmp", "in/x.tmp"),
        (".in/{part}.part", ".in/x.part"),
        (".a/*/b", ".a/x/b"),
    ],
)
def test_hidden_and_unfinished_names_fit_where_the_template_names_them(template: str, path: str) -> None:
    assert captured(template, path) is not None


@pytest.mark.parametrize(
    ("template", "root", "depth"),
    [
        ("landing/flights/{partition}.csv", "landing/flights", 1),
        ("landing/{partition:%Y/%m}/x.csv", "landing", 3),
        ("landing/**/x.csv", "landing", None),
        ("**/x.csv", "", None),
        ("x.csv", "", 1),
    ],
)
def test_the_root_is_the_folder_above_all_that_varies(template: str, root: str, depth: int | None) -> None:
    parsed = PathTemplate.parse(template)
    assert (parsed.root, parsed.depth) == (root, depth)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("", "found nothing"),
        ("/data/x.csv", "absolute path"),
        ("../x.csv", "'..'"),
        ("in/../../x.csv", "'..'"),
        ("in//x.csv", "empty levels"),
        ("in/", "empty levels"),
        ("in/{day}.csv", "'{day}'"),
        ("in/{partition", "'{' alone"),
        ("in/}.csv", "'}' alone"),
        ("in/{part:%Y}.csv", "without a format"),
        ("in/{partition:}.csv", "names a date"),
        ("in/{partition:%Q}.csv", "%Q"),
        ("in/{partition:%H}.csv", "names a date"),
        ("in/{partition:%Y-%d}.csv", "names a date"),
        ("in/{partition:%Y/%Y-%m-%d}.csv", "once"),
        ("in/{partition}/{partition:%Y}.csv", "one spelling"),
        ("in/{partition}{part}.csv", "between two"),
        ("in/{partition}*.csv", "between two"),
        ("in/*-{partition}-*.csv", "at most one *"),
        ("in/**", "file's name"),
        ("in/a**/x.csv", "alone"),
        ("in/***/x.csv", "'***'"),
        ("**/a/**/b/**/c", "at most two **"),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused_with_the_reason(template: str, words: str) -> None:
    with pytest.raises(ValueError, match="expected") as refusal:
        PathTemplate.parse(template)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("in/*a*a*a*a*a*a*b", f"in/{'a' * 250}"),
        ("**/a*a*b/**/c*a*d", "/".join(["aaaab"] * 700)),
        ("in/{partition}-{part}-*x", f"in/{'-' * 250}"),
        ("in/{partition}-*/{part}-*/{partition}", f"in/{'-' * 250}/{'-' * 250}/x"),
    ],
)
def test_no_name_makes_matching_take_long(template: str, path: str) -> None:
    parsed = PathTemplate.parse(template)
    began = time.process_time()
    assert parsed.match(path) is None
    assert time.process_time() - began < 2  # What multiplies would take hours.
