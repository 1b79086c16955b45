"""What each action shows for a terminal is what the command line takes."""

import asyncio
import re
import shlex
import sys
from asyncio.subprocess import DEVNULL, PIPE

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Opener, Site
from tests.browser.home import DAY, run_id
from tests.operating import get

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

#: Places, and the labels of the actions that each has.
ACTIONS = {
    "#/runs/FAILED": {"Retry", "Run again", "Run this one again", "Mark succeeded", "Mark skipped"},
    "#/runs/WAITING": {"Force", "Cancel", "Mark succeeded", "Mark skipped"},
    "#/pipelines/sales?partition=2026-03-25": {"Pause", "Make its run", "Backfill …"},
    "#/pipelines/partners": {"Resume", "Backfill …"},
    f"#/datasets/orders?partition={DAY}": {"Say it is there", "Withdraw"},
    "#/datasets/articles": {"Say it is there", "Withdraw"},
    "#/events/REJECTED": {"Redrive"},
    "#/backfills/BACKFILL": {"Cancel backfill"},
}


#: Some actions are folded.
OPEN_ALL = "() => document.querySelectorAll('main details').forEach((each) => (each.open = true))"


async def commands(page: Page, label: str) -> list[str]:
    """Open the question of an action and return the lines that it shows for a terminal."""
    await page.get_by_role("button", name=label, exact=True).first.click()
    dialog = page.get_by_role("dialog")
    if await dialog.get_by_label("Partitions").count():
        await dialog.get_by_label("Partitions").fill("acme,other")
    if await dialog.get_by_label("What of it").count():
        await dialog.get_by_label("What of it").select_option("eu")
    if await dialog.get_by_label("Reason").count():
        await dialog.get_by_label("Reason").fill("it's so")
    await dialog.get_by_text("The same from a terminal").click()
    found = await dialog.locator("pre").all_inner_texts()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    return found


async def test_each_command_that_the_page_shows_is_one_that_the_command_line_takes(
    opened: Opener, busy_site: Site
) -> None:
    _, backfills = await get(busy_site.client, "backfills")
    _, rejected = await get(busy_site.client, "events?state=rejected")
    names = {
        "FAILED": run_id(busy_site.service, "sales", DAY),
        "WAITING": run_id(busy_site.service, "sales", "2026-03-09"),
        "BACKFILL": backfills["items"][0]["id"],
        "REJECTED": str(rejected["items"][0]["seq"]),
    }
    shown: set[str] = set()
    for place, labels in ACTIONS.items():
        page = await opened(busy_site.url, re.sub("[A-Z]{6,}", lambda word: names[word[0]], place))
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(
            page.get_by_role("button", name=min(labels), exact=True, include_hidden=True)
        ).not_to_have_count(0)
        await page.evaluate(OPEN_ALL)
        for label in labels:
            command, curl = await commands(page, label)
            assert curl.startswith("curl -X POST"), curl
            shown.add(command)
    assert {command.split()[1] for command in shown} == {
        *("retry", "run", "mark", "cancel", "pause", "resume", "backfill", "ready", "withdraw", "redrive")
    }
    for command in shown:
        # Help is given where all before it is understood.
        words = [*shlex.split(command)[1:], "--help"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sensorflow", *words, stdout=DEVNULL, stderr=PIPE
        )
        _, wrong = await process.communicate()
        assert process.returncode == 0, (command, wrong)
