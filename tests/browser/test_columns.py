"""The columns of the heat map: what is of one time stands in one column, and what is missing is seen."""

from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Opener, Site
from tests.browser.home import customers, orders, ready, run_is

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

_ASKED = """
async ([rows, count, now]) => {
  const { columns, edges } = await import("/page/any/columns.js");
  const newest = edges(rows, Date.parse(now));
  const told = (cell) => (cell === null ? "-" : cell ? cell.partition : "");
  return rows.map((row) => columns(row, count, newest[row.grain]).cells.map(told));
}
"""


def row(grain: str, *partitions: str) -> dict[str, Any]:
    return {"name": "x", "grain": grain, "recent": [{"partition": each} for each in partitions]}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [row("daily", "2026-03-02", "2026-02-28"), row("daily", "2026-03-01", "2026-02-27")],
            [["", "2026-02-28", "-", "2026-03-02"], ["2026-02-27", "-", "2026-03-01", "-"]],
        ),
        (
            [row("hourly", "2026-03-01T00Z", "2026-02-28T23Z"), row("hourly", "2026-02-28T23Z")],
            [["", "", "2026-02-28T23Z", "2026-03-01T00Z"], ["", "", "2026-02-28T23Z", "-"]],
        ),
        # 2020 has 53 weeks, 2021 has 52.
        (
            [row("weekly", "2021-W01", "2020-W53", "2020-W52"), row("weekly", "2020-W53")],
            [["", "2020-W52", "2020-W53", "2021-W01"], ["", "", "2020-W53", "-"]],
        ),
        (
            [row("weekly", "2022-W01", "2021-W52"), row("weekly", "2021-W52")],
            [["", "", "2021-W52", "2022-W01"], ["", "", "2021-W52", "-"]],
        ),
        (
            [row("monthly", "2026-01", "2025-11"), row("monthly", "2025-12")],
            [["", "2025-11", "-", "2026-01"], ["", "", "2025-12", "-"]],
        ),
        # What is of the future moves nobody else, and what has been still for long is seen all the same.
        (
            [
                row("daily", "2099-01-01", "2026-03-01"),
                row("daily", "2026-03-01"),
                row("daily", "2020-01-01"),
            ],
            [["", "", "2026-03-01", "2099-01-01"], ["", "", "", "2026-03-01"], ["", "", "", "2020-01-01"]],
        ),
        ([row("key", "b", "a"), row("none")], [["", "", "a", "b"], ["", "", "", ""]]),
    ],
)
async def test_partitions_of_one_time_stand_above_each_other(
    opened: Opener, busy_site: Site, rows: list[Any], expected: list[list[str]]
) -> None:
    page = await opened(busy_site.url)
    assert await page.evaluate(_ASKED, [rows, 4, "2026-03-02T12:00:00Z"]) == expected


async def test_a_pipeline_that_lags_behind_the_others_says_so(site: Site, opened: Opener) -> None:
    for day in ("2026-03-02", "2026-03-04"):
        await orders(site.client, day)
        await customers(site.client, day)
    await ready(site.client, "files", "2026-03-02")
    await run_is(site.service, "sales", "2026-03-04", "failed")
    page = await opened(site.url)
    lags = page.get_by_role("row", name="export").get_by_role("img")
    await expect(lags).to_have_accessible_name("export: of the newest 1 runs 1 running, 2 behind the newest")
