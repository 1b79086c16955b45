"""What the page says, and in which words: what somebody who is called at half past six reads first."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Opener, Site
from tests.browser.home import DAY, customers, emit, failed_run, orders, ready, run_id, run_is
from tests.operating import get, post

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

#: It runs until somebody writes to `gate`.
COPIES = """\
name: copies
partition: none
tasks: {copy: {inputs: [{dataset: table, partitions: latest}], run: cat gate}}
"""


async def test_the_list_of_runs_says_what_failed_and_what_is_missing_in_one_line(
    opened: Opener, busy_site: Site
) -> None:
    page = await opened(busy_site.url, "#/runs?pipeline=sales")
    await expect(page.get_by_role("row", name=DAY)).to_contain_text("check: exit status 1: no checked.ok")
    waiting = page.get_by_role("row", name="2026-03-09")
    await expect(waiting).to_contain_text("waiting for orders 2026-03-09: part us is missing")
    await expect(waiting).not_to_contain_text("it comes from")
    await expect(waiting).not_to_contain_text("waiting for task")


async def test_instants_in_what_the_service_says_are_shown_in_the_way_that_is_chosen(
    opened: Opener, busy_site: Site
) -> None:
    page = await opened(busy_site.url, "#/runs?pipeline=flaky")
    row = page.get_by_role("row", name="2026-03-02")
    await expect(row).to_contain_text(re.compile(r"retry 1 of 3 in \d+ min, after: exit status 7"))
    await page.get_by_role("button", name="Times").click()
    await page.get_by_role("button", name="Times: zone").click()
    await expect(row).to_contain_text(re.compile(r"retry 1 of 3 at \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ, after"))


async def test_times_of_runs_are_shown_in_the_zone_of_their_pipeline(opened: Opener, busy_site: Site) -> None:
    page = await opened(busy_site.url, "#/runs")
    await page.get_by_role("button", name="Times").click()
    for run, zone in ((DAY, r" Europe/Berlin$"), ("acme", r"\dZ$")):
        await expect(page.get_by_role("row", name=run).get_by_role("time")).to_have_text(re.compile(zone))


async def test_the_log_of_what_failed_is_open_until_somebody_closes_it(site: Site, opened: Opener) -> None:
    run = await failed_run(site.client, site.service)
    page = await opened(site.url, f"#/runs/{run}")
    log = page.get_by_role("region", name="Log of check")
    await expect(log).to_contain_text("no checked.ok")
    await log.get_by_role("button", name="close").click()
    await expect(log).to_have_count(0)
    await page.reload()
    await expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
    await expect(log).to_have_count(0)


async def test_a_run_that_was_cancelled_says_when_and_why(opened: Opener, busy_site: Site) -> None:
    page = await opened(busy_site.url, f"#/runs/{run_id(busy_site.service, 'sales', '2026-03-20')}")
    why = page.get_by_role("region", name="Why")
    await expect(why).to_contain_text("It was cancelled")
    await expect(why).to_contain_text("not needed")


async def test_the_cause_stands_first_and_what_only_comes_after_it_is_folded(
    site: Site, opened: Opener
) -> None:
    await orders(site.client, DAY)
    run = await run_is(site.service, "sales", DAY, "waiting")
    page = await opened(site.url, f"#/runs/{run}")
    why = page.get_by_role("region", name="Why")
    await expect(why).to_contain_text(f"waiting for customers {DAY}")
    await expect(why.get_by_text("waiting for task enrich")).not_to_be_visible()
    await why.get_by_text("check, publish come after that").click()
    await expect(why.get_by_text("waiting for task enrich")).to_be_visible()


async def test_commands_in_what_the_service_says_look_like_commands(site: Site, opened: Opener) -> None:
    run = await failed_run(site.client, site.service)
    page = await opened(site.url, f"#/runs/{run}")
    await page.get_by_text("publish comes after that").click()
    command = page.get_by_role("region", name="Why").get_by_role("code")
    await expect(command).to_have_text(f"sensorflow retry sales/{DAY}")


async def test_a_run_names_the_events_that_made_its_inputs_and_what_has_come_since(
    site: Site, opened: Opener
) -> None:
    await orders(site.client, DAY)
    await customers(site.client, DAY)
    run = await run_is(site.service, "sales", DAY, "failed")
    page = await opened(site.url, f"#/runs/{run}")
    taken = page.get_by_role("listitem").filter(has_text="by load")
    await expect(taken).to_contain_text("version 1, made by event 1, event 2")
    await expect(taken.get_by_role("link", name="event 2")).to_have_attribute("href", "#/events/2")
    await emit(site.client, "orders.exported", {"day": DAY, "region": "us", "rows": 7})
    await expect(taken).to_contain_text("version 1, of which version 2 has come since by event 1, event 4")


async def test_somebody_says_on_the_page_that_a_partition_is_there(site: Site, opened: Opener) -> None:
    page = await opened(site.url, f"#/datasets/rates?partition={DAY}")
    await expect(page.get_by_text(f"sensorflow ready rates {DAY}")).to_be_visible()
    await page.get_by_role("button", name="Say it is there").click()
    dialog = page.get_by_role("dialog", name="Say it is there")
    await expect(dialog.get_by_label("Partition")).to_have_value(DAY)
    await dialog.get_by_text("The same from a terminal").click()
    await expect(dialog.locator("pre").first).to_have_text(f"sensorflow ready rates {DAY}")
    await dialog.get_by_role("button", name="Say it is there").click()
    await expect(page.get_by_role("row", name=DAY)).to_contain_text("ready")
    _, found = await get(site.client, "datasets/rates/partitions")
    assert [each["partition"] for each in found["items"]] == [DAY]


async def test_a_sensor_says_how_long_after_it_happened_its_last_event_came(
    site: Site, opened: Opener
) -> None:
    page = await opened(site.url, "#/sensors")
    row = page.get_by_role("row", name="sales/customers_posted")
    await emit(site.client, "customers.exported", {"day": DAY}, time="2026-03-09T01:00:00Z")
    await expect(row.get_by_role("cell").nth(4)).to_have_text(re.compile(r"^\d+ d \d+ h$"))
    await customers(site.client, "2026-03-09")
    await expect(row.get_by_role("cell").nth(4)).to_have_text("")


async def test_what_a_run_without_partitions_collects_for_the_next_is_shown_as_it_comes(
    site: Site, opened: Opener
) -> None:
    (site.home / "pipelines" / "copies.yaml").write_text(COPIES)
    await post(site.client, "reload", {})
    await ready(site.client, "table")
    run = await run_is(site.service, "copies", "", "running")
    page = await opened(site.url, f"#/runs/{run}")
    await ready(site.client, "table")
    await expect(page.get_by_text("collects for its next start: 1 arrival of table")).to_be_visible()
    await ready(site.client, "table")
    await expect(page.get_by_text("collects for its next start: 2 arrivals of table")).to_be_visible()


async def test_a_pipeline_that_never_ran_says_the_next_command(site: Site, opened: Opener) -> None:
    page = await opened(site.url, "#/pipelines/catalogue")
    await expect(page.get_by_text("There is no run yet")).to_be_visible()
    await expect(page.get_by_text("sensorflow run catalogue")).to_be_visible()
    await ready(site.client, "articles")
    await expect(page.get_by_role("region", name="Partitions")).to_contain_text("succeeded")


async def test_the_text_of_a_timeline_is_as_large_as_all_other_text(site: Site, opened: Opener) -> None:
    run = await failed_run(site.client, site.service)
    for width in (390, 1900):
        page = await opened(site.url, f"#/runs/{run}", viewport={"width": width, "height": 900})
        name = page.locator(".timeline text").first
        await expect(name).to_be_visible()
        box = await name.bounding_box()
        assert box is not None and 8 < box["height"] < 20
