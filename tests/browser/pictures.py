"""Draws the page for the documents: `python -m tests.browser.pictures URL`, of a service that ran the demo.

Each picture is drawn light and dark, as `docs/page-NAME-light.png`.
"""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Literal
from urllib.request import urlopen

from playwright.async_api import Page, async_playwright, expect

from tests.browser.conftest import chromium

DOCS = Path(__file__).parents[2] / "docs"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTH = 1200


def first(url: str, query: str) -> str:
    """Return the id of the first run that a query finds."""
    with urlopen(f"{url}/api/v1/runs?{query}") as answer:
        return str(json.load(answer)["items"][0]["id"])


async def draw(page: Page, place: str, height: int, path: Path) -> None:
    await page.set_viewport_size({"width": WIDTH, "height": height})
    await page.goto("about:blank")
    await page.goto(place)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await expect(page.get_by_text(re.compile("^(Reading|Drawing|Rehearsing) "))).to_have_count(0)
    await expect(page.get_by_role("status").get_by_text("live")).to_be_visible()
    await page.screenshot(path=path, animations="disabled")


async def main(url: str) -> None:
    places = {
        "overview": ("#/", 480),
        "pipeline": ("#/pipelines/flight_delays?partition=2013-03-08", 620),
        "run": (f"#/runs/{first(url, 'state=failed')}?task=check", 760),
        "what-if": ("#/pipelines/flight_delays/what-if?partition=2013-03-08&fail=check", 860),
    }
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium())
        for scheme in SCHEMES:
            context = await browser.new_context(color_scheme=scheme, reduced_motion="reduce")
            page = await context.new_page()
            for name, (place, height) in places.items():
                await draw(page, f"{url}/{place}", height, DOCS / f"page-{name}-{scheme}.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1].rstrip("/")))
