"""Every place of the page, of a service with something in every state: it shows itself, to everybody."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Opener, Site, opener
from tests.browser.home import DAY, run_id
from tests.operating import get

#: What makes the page wider than the window; what is in a box that scrolls does not.
TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll("body *")]
    .filter((each) => !each.closest(".scroll") && each.getBoundingClientRect().right > innerWidth)
    .map((each) => each.outerHTML.slice(0, 120))"""
#: Goes to a place, and comes back when it has been drawn for the first time.
GO = """(hash) => new Promise((done) => {
  const drawn = () => requestAnimationFrame(() => requestAnimationFrame(done));
  addEventListener("hashchange", drawn, { once: true });
  location.hash = hash;
})"""

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

PLACES = (
    "#/",
    "#/pipelines/sales",
    f"#/pipelines/sales?partition={DAY}",
    "#/pipelines/regions",
    "#/pipelines/catalogue",
    "#/pipelines/sales/what-if",
    "#/runs",
    "#/runs?pipeline=sales&state=failed",
    "#/runs/{failed}",
    "#/runs/{failed}?task=check",
    "#/runs/{waiting}",
    "#/runs/{running}?task=copy",
    "#/datasets",
    "#/datasets/orders",
    "#/datasets/costs",
    "#/events",
    "#/events?state=rejected",
    "#/events/1",
    "#/events/{rejected}",
    "#/playground",
    "#/sensors",
    "#/alerts",
    "#/alerts?state=all",
    "#/backfills",
    "#/backfills/{backfill}",
)


@dataclass(slots=True)
class Tab:
    """One page that goes from place to place; loading it anew at each takes longer than looking at it."""

    opens: Opener
    page: Page
    names: dict[str, str]
    at: str = "#/"

    async def go(self, place: str) -> Page:
        if place != self.at:
            self.at = place
            await self.page.evaluate(GO, place.format(**self.names))
            await settled(self.page)
        return self.page


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tab(browser: Browser, busy_site: Site) -> AsyncIterator[Tab]:
    async with opener(browser) as opens:
        page = await opens(busy_site.url, reduced_motion="reduce")
        await page.evaluate(f"() => {{ {AXE_SCRIPT} }}")
        yield Tab(opens, page, await names(busy_site))


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    """Give each place, and all tests of one after the other."""
    return str(request.param)


async def names(site: Site) -> dict[str, str]:
    """Return what stands in the places' braces."""
    _, rejected = await get(site.client, "events?state=rejected")
    _, backfills = await get(site.client, "backfills")
    return {
        "failed": run_id(site.service, "sales", DAY),
        "waiting": run_id(site.service, "sales", "2026-03-09"),
        "running": run_id(site.service, "export", "2026-03-02"),
        "rejected": str(rejected["items"][0]["seq"]),
        "backfill": backfills["items"][0]["id"],
    }


async def settled(page: Page) -> None:
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await expect(page.get_by_text(re.compile("^Reading "))).to_have_count(0)
    await expect(page.get_by_role("status").get_by_text("live")).to_be_visible()


def barriers(found: dict[str, Any]) -> list[str]:
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:200]} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


async def test_a_place_shows_itself_and_the_browser_has_nothing_to_say(tab: Tab, place: str) -> None:
    page = await tab.go(place)
    await expect(page.get_by_role("alert")).to_have_count(0)
    assert tab.opens.faults == []


@pytest.mark.slow
async def test_a_place_has_no_barriers_in_light_and_dark(tab: Tab, place: str) -> None:
    page = await tab.go(place)
    try:
        await page.emulate_media(color_scheme="dark")
        # Only colours are others then.
        dark = await page.evaluate("axe.run({runOnly: ['color-contrast'], resultTypes: ['violations']})")
    finally:
        await page.emulate_media(color_scheme="light")
    light = await page.evaluate("axe.run({resultTypes: ['violations']})")
    assert (barriers(light), barriers(dark)) == ([], [])


async def test_a_place_is_no_wider_than_a_phone(tab: Tab, place: str) -> None:
    page = await tab.go(place)
    await page.set_viewport_size({"width": 360, "height": 740})
    try:
        assert await page.evaluate(TOO_WIDE) == []
    finally:
        await page.set_viewport_size({"width": 1280, "height": 900})


async def test_a_place_that_is_none_says_so(opened: Opener, busy_site: Site) -> None:
    page = await opened(busy_site.url, "#/nowhere")
    await expect(page.get_by_text("There is no such place.")).to_be_visible()
