"""What holds for every place: links that are permanent, keys, times, the token, the way back."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from tests.access import new_token
from tests.browser.conftest import Opener, Site
from tests.browser.home import make_home
from tests.serving import client_of, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def rows(page: Page) -> list[str]:
    return await page.locator("[data-row]").all_inner_texts()


async def test_filters_stand_in_the_address_and_a_reload_shows_the_same(
    opened: Opener, busy_site: Site
) -> None:
    page = await opened(busy_site.url, "#/runs")
    await expect(page.locator("[data-row]").nth(3)).to_be_visible()
    everything = await rows(page)
    await page.get_by_label("State").select_option("failed")
    await page.get_by_label("Pipeline").fill("sales")
    await page.get_by_label("Pipeline").press("Enter")
    await expect(page).to_have_url(re.compile(r"#/runs\?.*pipeline=sales"))
    await expect(page).to_have_url(re.compile(r"state=failed"))
    await expect(page.locator("[data-row]")).to_have_count(2)
    filtered = await page.get_by_role("row").get_by_role("link").all_inner_texts()
    assert len(everything) > 2
    await page.reload()
    await expect(page.locator("[data-row]")).to_have_count(2)
    assert await page.get_by_role("row").get_by_role("link").all_inner_texts() == filtered
    await expect(page.get_by_label("State")).to_have_value("failed")


async def test_keys_lead_everywhere(opened: Opener, busy_site: Site) -> None:
    page = await opened(busy_site.url)
    heading = page.get_by_role("heading", level=1)
    await expect(heading).to_be_visible()
    for key, place in {
        "r": "Runs",
        "d": "Datasets",
        "e": "Events",
        "s": "Sensors",
        "a": "Alerts",
        "b": "Backfills",
    }.items():
        await page.keyboard.press("g")
        await page.keyboard.press(key)
        await expect(heading).to_contain_text(place)
    await page.keyboard.press("g")
    await page.keyboard.press("o")
    await expect(page).to_have_url(re.compile(r"#/$"))


async def test_j_and_k_walk_over_the_rows_and_enter_opens_one(opened: Opener, busy_site: Site) -> None:
    page = await opened(busy_site.url, "#/runs?pipeline=sales")
    links = page.locator("[data-row] a")
    await expect(links.first).to_be_visible()
    for key, row in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        await page.keyboard.press(key)
        await expect(page.locator("[data-row]").nth(row).locator("a").first).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("#/runs/[0-9a-f-]+$"))


async def test_slash_searches_pipelines_and_datasets_and_opens_what_is_found(
    opened: Opener, busy_site: Site
) -> None:
    page = await opened(busy_site.url)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await page.keyboard.press("/")
    search = page.get_by_role("dialog", name="Search")
    await search.get_by_role("textbox").fill("cata")
    await expect(search.get_by_role("link", name="catalogue")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(search).to_have_count(0)
    await expect(page).to_have_url(re.compile("#/pipelines/catalogue$"))


@pytest.mark.slow
async def test_slash_leads_to_a_partition_of_a_pipeline(opened: Opener, busy_site: Site) -> None:
    page = await opened(busy_site.url)
    for typed in ("sales 2026-03-08", "sales/2026-03-09"):
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await page.keyboard.press("/")
        await page.get_by_role("dialog", name="Search").get_by_label("Search").fill(typed)
        first = page.get_by_role("dialog").get_by_role("link").first
        await expect(first).to_have_text(typed.replace("/", " "))
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(re.compile(rf"#/pipelines/sales\?partition={typed[6:]}$"))


async def test_a_question_mark_shows_the_keys_and_escape_closes_them(opened: Opener, busy_site: Site) -> None:
    page = await opened(busy_site.url)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_contain_text("next and previous row")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


async def test_t_changes_how_times_are_shown_and_the_choice_stays(opened: Opener, busy_site: Site) -> None:
    page = await opened(busy_site.url, "#/runs?pipeline=sales")
    times = page.locator("[data-row] time")
    await expect(times.first).to_have_text(re.compile("ago$|^now$"))
    await page.keyboard.press("t")
    await page.keyboard.press("t")
    await expect(times.first).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$"))
    await page.reload()
    await expect(times.first).to_have_text(re.compile("Z$"))


async def test_keys_that_are_typed_into_a_field_are_only_text(opened: Opener, busy_site: Site) -> None:
    page = await opened(busy_site.url, "#/runs")
    await page.get_by_label("Pipeline").press_sequentially("g/jr?")
    await expect(page.get_by_label("Pipeline")).to_have_value("g/jr?")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_token_is_asked_for_where_one_is_wanted_and_kept_for_the_tab(
    opened: Opener, tmp_path: Path
) -> None:
    home = make_home(tmp_path / "home")
    async with serving(home) as service, client_of(service):
        token = await new_token(home, "operate")
        page = await opened(service.url, "#/runs", allowed="status of 401")
        await expect(page.get_by_role("heading", name="This service asks for a token")).to_be_visible()
        await page.get_by_label("Token").fill("wrong")
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_label("Token")).to_have_value("")
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_role("heading", name="Runs")).to_be_visible()
        await expect(page.get_by_role("status").get_by_text("live")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("heading", name="Runs")).to_be_visible()
        assert await page.evaluate("() => [Object.values(sessionStorage), Object.values(localStorage)]") == [
            [token],
            [],
        ]
        await expect(page.locator("body")).not_to_contain_text(token)
        assert token not in page.url
        await page.context.close()


async def test_a_place_that_fails_says_so_and_the_others_can_be_reached(
    opened: Opener, busy_site: Site
) -> None:
    page = await opened(busy_site.url, "#/pipelines/sales/what-if?fail=%25E0")
    await expect(page.get_by_role("alert")).to_contain_text("URI malformed")
    await page.get_by_role("link", name="Runs").click()
    await expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_the_page_says_when_the_service_is_gone(opened: Opener, tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    async with serving(home) as service:
        page = await opened(service.url, "#/runs", allowed="Failed to load resource|ERR_")
        await expect(page.get_by_role("status").get_by_text("live")).to_be_visible()
    await expect(page.get_by_role("status").get_by_text("service not reached")).to_be_visible()


@pytest.mark.slow
async def test_the_page_says_when_the_service_cannot_take_events_and_when_it_can_again(
    opened: Opener, busy_site: Site
) -> None:
    page = await opened(busy_site.url, allowed="status of 503")
    await expect(page.get_by_role("status").get_by_text("live")).to_be_visible()

    async def refuse(route: Route) -> None:
        body = {"status": "not ready", "problems": {"store": "no space is left on the disk"}}
        await route.fulfill(status=503, json=body)

    await page.route("**/readyz", refuse)
    ask = "() => document.dispatchEvent(new Event('visibilitychange'))"
    await page.evaluate(ask)
    await expect(page.get_by_role("status").get_by_text("not ready")).to_be_visible()
    await expect(page.get_by_role("link", name="no space is left on the disk")).to_be_visible()
    await page.unroute("**/readyz")
    await page.evaluate(ask)
    await expect(page.get_by_role("status").get_by_text("live")).to_be_visible()
