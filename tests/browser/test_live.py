"""What happens in the service is seen on the page as it happens, and done from the page."""

import asyncio
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.access import new_token
from tests.browser.conftest import Opener, Site
from tests.browser.home import DAY, customers, failed_run, orders, ready, run_id, run_is
from tests.operating import get

pytestmark = pytest.mark.asyncio(loop_scope="session")


def node(page: Page, name: str) -> Locator:
    """Return a node of the graph that is shown."""
    return page.locator(f'[data-node="{name}"]')


def state_of(name: str) -> re.Pattern[str]:
    return re.compile(rf"\bis-{name}\b")


async def test_an_event_turns_a_node_green_without_a_reload(site: Site, opened: Opener) -> None:
    await orders(site.client, DAY, "eu")
    run = await run_is(site.service, "sales", DAY, "waiting")
    page = await opened(site.url, f"#/runs/{run}")
    await page.evaluate("() => (window.stays = true)")
    await expect(node(page, "load")).to_have_class(state_of("waiting"))
    await orders(site.client, DAY, "us")
    await expect(node(page, "load")).to_have_class(state_of("succeeded"))
    await expect(node(page, "tell")).to_have_class(state_of("skipped"))
    assert await page.evaluate("() => window.stays") is True


async def test_a_run_that_waits_says_first_of_all_why_in_words(site: Site, opened: Opener) -> None:
    await orders(site.client, DAY, "eu")
    run = await run_is(site.service, "sales", DAY, "waiting")
    page = await opened(site.url, f"#/runs/{run}")
    why = page.get_by_role("region", name="Why")
    await expect(why).to_contain_text("Why it waits")
    _, told = await get(site.client, f"runs/{run}")
    for wait in told["tasks"][0]["waiting_for"]:
        # How long ago something came is another word a second later.
        await expect(why).to_contain_text(wait["text"].partition("; its last arrival")[0])
    await orders(site.client, DAY, "us")
    await expect(why).to_contain_text("customers")
    await expect(why).not_to_contain_text("orders")


async def test_a_failed_run_is_retried_from_the_page_and_the_reason_is_kept(
    site: Site, opened: Opener
) -> None:
    run = await failed_run(site.client, site.service)
    page = await opened(site.url, f"#/runs/{run}")
    await expect(page.get_by_role("region", name="Why")).to_contain_text("no checked.ok")
    (site.home / "checked.ok").touch()
    await page.get_by_role("button", name="Retry").click()
    dialog = page.get_by_role("dialog", name="Retry")
    await dialog.get_by_label("Reason").fill("the file is there now")
    await dialog.get_by_role("button", name="Retry").click()
    await expect(dialog).to_have_count(0)
    await expect(node(page, "publish")).to_have_class(state_of("succeeded"))
    await expect(page.get_by_text("the file is there now")).to_be_visible()
    _, told = await get(site.client, f"runs/{run}")
    (operation,) = told["operations"]
    assert (operation["kind"], operation["reason"]) == ("retry", "the file is there now")


async def test_an_action_that_is_refused_says_why_and_stays_open(site: Site, opened: Opener) -> None:
    run = await failed_run(site.client, site.service)
    token = await new_token(site.home, "read")
    page = await opened(site.url, f"#/runs/{run}", allowed="status of 40[13]")
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Go on").click()
    await page.get_by_role("button", name="Retry").click()
    dialog = page.get_by_role("dialog", name="Retry")
    await dialog.get_by_label("Reason").fill("kept while it is refused")
    await dialog.get_by_role("button", name="Retry").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("operate")
    await expect(dialog.get_by_label("Reason")).to_have_value("kept while it is refused")


async def test_each_action_shows_a_curl_and_a_command_that_do_the_same(site: Site, opened: Opener) -> None:
    run = await failed_run(site.client, site.service)
    page = await opened(site.url, f"#/runs/{run}")
    for label in ("Retry", "Run again"):
        await page.get_by_role("button", name=label, exact=True).click()
        dialog = page.get_by_role("dialog", name=label)
        await dialog.get_by_label("Reason").fill('it\'s a "test" & more')
        await dialog.get_by_text("The same from a terminal").click()
        command, curl = [await each.inner_text() for each in await dialog.locator("pre").all()]
        assert command.startswith("sensorflow ") and curl.startswith("curl -X POST ")
        if label == "Retry":
            await terminal(curl)
            _, told = await get(site.client, f"runs/{run}")
            assert told["operations"][-1]["reason"] == 'it\'s a "test" & more'
        await dialog.get_by_role("button", name="Not now").click()
    await run_is(site.service, "sales", DAY, "failed")
    (site.home / "checked.ok").touch()
    words = shlex.split(command)
    await terminal(shlex.join([sys.executable, "-m", "sensorflow", "--url", site.url, *words[1:]]))
    await run_is(site.service, "sales", DAY, "succeeded")


async def terminal(line: str) -> None:
    """Run a line in a shell, beside the service of this process."""
    process = await asyncio.create_subprocess_shell(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    told, wrong = await process.communicate()
    assert process.returncode == 0, (told, wrong)
    assert b'"status":4' not in told, told


async def test_the_log_of_a_running_task_follows_what_it_writes(site: Site, opened: Opener) -> None:
    await ready(site.client, "files", DAY)
    run = await run_is(site.service, "export", DAY, "running")
    page = await opened(site.url, f"#/runs/{run}?task=copy")
    log = page.get_by_role("region", name="Log of copy")
    await expect(log).to_contain_text("copying")
    with Path(site.home / "gate").open("w", buffering=1) as gate:
        for line in ("first file", "second file"):
            gate.write(f"{line}\n")
            await expect(log).to_contain_text(line)
    await expect(log).to_contain_text("done")
    await expect(node(page, "copy")).to_have_class(state_of("succeeded"))


@pytest.mark.slow
async def test_the_whole_log_is_saved_also_where_the_service_wants_a_token(
    site: Site, opened: Opener
) -> None:
    run = await failed_run(site.client, site.service)
    page = await opened(site.url, f"#/runs/{run}?task=check", allowed="status of 401")
    token = await new_token(site.home, "read")
    await page.reload()
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Go on").click()
    async with page.expect_download() as told:
        await page.get_by_role("button", name="save the whole").click()
    download = await told.value
    assert download.suggested_filename == f"sales-{DAY}-check-1.log"
    assert "no checked.ok" in (await download.path()).read_text()


@pytest.mark.slow
async def test_a_question_stays_open_while_what_it_is_about_changes(site: Site, opened: Opener) -> None:
    await orders(site.client, DAY, "eu")
    run = await run_is(site.service, "sales", DAY, "waiting")
    page = await opened(site.url, f"#/runs/{run}")
    await page.get_by_role("button", name="Force").click()
    dialog = page.get_by_role("dialog", name="Force")
    await dialog.get_by_label("Reason").fill("typed before")
    await orders(site.client, DAY, "us")
    await customers(site.client, DAY)
    await expect(node(page, "check")).to_have_class(state_of("failed"))
    # The place behind it has moved on, and its button is no longer there.
    await expect(page.get_by_role("button", name="Force", include_hidden=True)).to_have_count(1)
    await expect(dialog.get_by_label("Reason")).to_have_value("typed before")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.get_by_role("button", name="Retry").click()
    await page.evaluate("() => (location.hash = '#/runs')")
    await expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_backfill_is_drawn_over_partitions_and_its_plan_is_shown_first(
    site: Site, opened: Opener
) -> None:
    page = await opened(site.url, "#/pipelines/sales")
    first, last = (page.get_by_role("rowheader", name=day) for day in ("2026-03-30", "2026-03-27"))
    await first.scroll_into_view_if_needed()
    await first.hover()
    await page.mouse.down()
    await last.hover()
    await page.mouse.up()
    dialog = page.get_by_role("dialog", name="Backfill")
    await expect(dialog.get_by_label("From")).to_have_value("2026-03-27")
    await expect(dialog.get_by_label("to, included")).to_have_value("2026-03-30")
    await expect(dialog).to_contain_text("Would be done: 4 made")
    _, none = await get(site.client, "backfills")
    assert none["items"] == []
    await dialog.get_by_label("Reason").fill("they were never made")
    await dialog.get_by_role("button", name="Make 4 runs").click()
    await expect(page).to_have_url(re.compile("#/backfills/"))
    await expect(page.get_by_role("main")).to_contain_text("they were never made")
    _, made = await get(site.client, "backfills")
    assert [(each["from"], each["to"], each["total"]) for each in made["items"]] == [
        ("2026-03-27", "2026-03-30", 4)
    ]


@pytest.mark.slow
async def test_a_backfill_is_drawn_with_a_finger(site: Site, opened: Opener) -> None:
    phone: Any = {"has_touch": True, "is_mobile": True, "viewport": {"width": 390, "height": 800}}
    page = await opened(site.url, "#/pipelines/sales", **phone)
    handles = [
        page.get_by_role("row", name=re.compile(f"^{day}")).locator(".handle")
        for day in ("2026-03-30", "2026-03-29", "2026-03-28")
    ]
    await handles[1].scroll_into_view_if_needed()
    finger = await page.context.new_cdp_session(page)
    places = []
    for handle in handles:
        box = await handle.bounding_box()
        assert box is not None
        places.append({"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2})
    for kind, at in (("touchStart", places[:1]), ("touchMove", places[1:2]), ("touchMove", places[2:])):
        await finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
    await finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    dialog = page.get_by_role("dialog", name="Backfill")
    await expect(dialog.get_by_label("From")).to_have_value("2026-03-28")
    await expect(dialog.get_by_label("to, included")).to_have_value("2026-03-30")


async def test_a_pipeline_is_paused_and_resumed_from_its_page(site: Site, opened: Opener) -> None:
    page = await opened(site.url, "#/pipelines/sales")
    for now, then in (("Pause", "Resume"), ("Resume", "Pause")):
        await page.get_by_role("button", name=now).click()
        await page.get_by_role("dialog", name=now).get_by_role("button", name=now).click()
        await expect(page.get_by_role("button", name=then)).to_be_visible()
    _, told = await get(site.client, "pipelines/sales")
    assert told["paused"] is False


async def test_a_new_run_appears_in_the_list_of_runs(site: Site, opened: Opener) -> None:
    page = await opened(site.url, "#/runs?pipeline=sales")
    await expect(page.get_by_text("No run is so.")).to_be_visible()
    await orders(site.client, DAY)
    await customers(site.client, DAY)
    await expect(page.get_by_role("row", name=DAY)).to_contain_text("failed")
    assert run_id(site.service, "sales", DAY) in (
        await page.get_by_role("link", name=DAY).get_attribute("href") or ""
    )
