"""How soon the page shows something useful: its first list, painted.

`python -m bench.page [--loads 20] [--runs 10000] [--pipelines 100]`: serves a home with one pipeline of so
many runs and others of sixty each, all waiting, and opens places of the page in Chromium, with an empty cache
and with one that knows the page; beside it, in turn, what the same browser takes to paint one line of text
that the same service answers.
"""

import argparse
import asyncio
import json
import statistics
import urllib.request
from datetime import date, timedelta
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, async_playwright

from bench.services import home_of, sensorflow
from tests.browser.conftest import chromium

PLACES = ("#/", "#/runs", "#/pipelines/hours")
_BARE = "healthz"
_RECENT = 60
_PIPELINE = "name: NAME\npartition: GRAIN\ntasks: {load: {inputs: [NAME_in], run: ['true']}}\n"
#: Notes when the first row of a list, or any text where there is no page, has been painted.
_WATCH = """
window.painted = new Promise((resolve) => {
  new MutationObserver((_, observer) => {
    if (!document.querySelector("[data-row], pre")) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
  }).observe(document, { childList: true, subtree: true });
});
"""


def fill(port: int, runs: int, names: list[str]) -> None:
    """Make the runs; they wait, as nothing comes."""
    hours = [f"{date(2024, 1, 1) + timedelta(days=n // 24)}T{n % 24:02}Z" for n in (0, runs - 1)]
    days = [str(date(2026, 1, 1) + timedelta(days=n)) for n in (0, _RECENT - 1)]
    for name, (first, last) in {"hours": hours, **dict.fromkeys(names, days)}.items():
        body = json.dumps({"pipeline": name, "from": first, "to": last}).encode()
        url, headers = f"http://127.0.0.1:{port}/api/v1/backfills", {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(url, body, headers)).close()


async def painted_ms(context: BrowserContext, url: str) -> float:
    """Open a place in a tab of its own and return after how many milliseconds its list was painted."""
    page = await context.new_page()
    await page.goto(url, wait_until="commit")
    found = await page.evaluate("window.painted")
    await page.close()
    return float(found)


async def context_of(browser: Browser) -> BrowserContext:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    await context.add_init_script(_WATCH)
    return context


async def measure(url: str, loads: int) -> dict[str, list[float]]:
    """Open everything in turn, so often, and return the times of each."""
    found: dict[str, list[float]] = {}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium())
        known = await context_of(browser)
        await painted_ms(known, f"{url}/#/")
        for _ in range(loads):
            for place in (_BARE, *PLACES):
                fresh = await context_of(browser)
                for kind, context in (("empty cache", fresh), ("known", known)):
                    took = await painted_ms(context, f"{url}/{place}")
                    found.setdefault(f"{place} ({kind})", []).append(took)
                await fresh.close()
        await browser.close()
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--loads", type=int, default=20)
    asked.add_argument("--runs", type=int, default=10_000)
    asked.add_argument("--pipelines", type=int, default=100)
    given = asked.parse_args()
    names = [f"days_{number:03}" for number in range(given.pipelines)]
    grains = {"hours": "hourly", **dict.fromkeys(names, "daily")}
    files = {
        f"pipelines/{name}.yaml": _PIPELINE.replace("NAME", name).replace("GRAIN", grain)
        for name, grain in grains.items()
    }
    with home_of(files) as home, sensorflow(home) as (port, _):
        fill(port, given.runs, names)
        found = asyncio.run(measure(f"http://127.0.0.1:{port}", given.loads))
    load = Path("/proc/loadavg").read_text().split()[0]
    what = f"{given.runs} runs and {len(names)} pipelines of {_RECENT}"
    print(f"{what}; {given.loads} loads each; load of the machine {load}")
    for name, times in found.items():
        print(f"{name:32} {statistics.median(times):4.0f} ms ({min(times):.0f} to {max(times):.0f})")


if __name__ == "__main__":
    main()
