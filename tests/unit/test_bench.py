"""What the benches found is told as it was found."""

from pathlib import Path

import pytest

from bench.__main__ import BENCHES
from bench.comparison import Finding
from bench.report import draw, write

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"


def finding(value: float, *, at_most: bool) -> Finding:
    return Finding(
        row="P5",
        what="an event that hits a waiting run, 100 against 10",
        value=value,
        spread=(1.0, 3.0),
        bar=1.5,
        at_most=at_most,
        figures="10 us, 20 us",
        growth=((10, 10.0), (100, 20.0)),
    )


@pytest.mark.parametrize(
    ("value", "at_most", "is_met"), [(2, True, False), (1.5, True, True), (2, False, True)]
)
def test_a_bar_is_missed_on_its_own_side(value: float, at_most: bool, is_met: bool) -> None:
    found = finding(value, at_most=at_most)

    assert found.is_met is is_met
    assert ("missed" in str(found)) is not is_met


def test_the_page_keeps_what_people_wrote_around_what_was_measured(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(PAGE.read_text())
    before = page.read_text().partition("<!--")[0]

    for value in (1.25, 2.5):
        write(page, [finding(value, at_most=True)], {"python": "3.11"}, is_short=True)

    text = page.read_text()
    assert text.startswith(before)
    assert "performance-growth.svg" in text.rpartition("-->")[2]
    assert "| ≤ 1.5 | 2.5 **missed** |" in text
    assert "1.25" not in text


def test_a_page_without_a_place_for_what_was_measured_is_not_touched(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Speed\n")

    with pytest.raises(ValueError, match="expected the lines"):
        write(page, [], {}, is_short=False)

    assert page.read_text() == "# Speed\n"


def test_the_picture_names_what_grows_and_draws_each_point() -> None:
    picture = draw([finding(2, at_most=True)])

    assert "an event that hits a waiting run" in picture
    assert picture.count("<circle") == 2


def test_the_page_tells_of_every_bench() -> None:
    told = PAGE.read_text()

    for row, (bench, _, _) in BENCHES.items():
        assert f"| {row} | `{bench}` |" in told
        assert (ROOT / "bench" / f"{bench}.py").is_file()
