"""Datasets, events, the playground and what-if: what they show is what the service holds and would decide."""

import json
import re

import pytest
from playwright.async_api import expect

from tests.access import new_token
from tests.browser.conftest import Opener, Site
from tests.browser.home import DAY, SALES, emit, orders, run_is
from tests.operating import get, post

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def test_events_appear_as_they_come_and_wait_while_the_list_is_paused(
    opened: Opener, site: Site
) -> None:
    await orders(site.client, DAY, "eu")
    page = await opened(site.url, "#/events")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(1)
    await emit(site.client, "orders.exported", {"day": "odd", "region": "eu"})
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("rejected")
    await page.get_by_role("button", name="Pause").click()
    await orders(site.client, DAY, "us")
    held = page.get_by_role("button", name="Show 1 new")
    await expect(held).to_be_visible()
    await expect(rows).to_have_count(2)
    await held.click()
    await expect(rows.first).to_contain_text(f"orders {DAY}")
    await page.get_by_label("State").select_option("rejected")
    await expect(rows).to_have_count(1)
    assert page.url.endswith("#/events?state=rejected")


async def test_events_that_come_do_not_move_the_row_under_the_pointer(opened: Opener, site: Site) -> None:
    await orders(site.client, DAY, "eu")
    page = await opened(site.url, "#/events")
    rows = page.locator("tbody tr")
    await rows.first.hover()
    await orders(site.client, DAY, "us")
    await expect(page.get_by_role("button", name="Show 1 new")).to_be_visible()
    await expect(rows).to_have_count(1)
    await page.get_by_role("heading", level=1).hover()
    await expect(rows).to_have_count(2)


async def test_an_event_that_no_rule_took_says_why_and_is_redriven_by_other_rules(
    opened: Opener, site: Site
) -> None:
    told = await emit(site.client, "orders.sent", {"day": DAY, "region": "eu"})
    page = await opened(site.url, f"#/events/{told['seq']}")
    await expect(page.get_by_text("unmatched").first).to_be_visible()
    await expect(page.get_by_role("row", name="sales/orders_posted")).to_contain_text("orders.exported")
    changed = SALES.replace("[orders.exported]", "[orders.exported, orders.sent]")
    (site.home / "pipelines" / "sales.yaml").write_text(changed)
    assert (await post(site.client, "reload", {}))[0] == 200
    await page.get_by_role("button", name="Redrive").click()
    await page.get_by_role("dialog").get_by_role("button", name="Redrive").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("accepted")
    await expect(page.get_by_role("link", name=f"orders {DAY}")).to_be_visible()
    run = await run_is(site.service, "sales", DAY, "waiting")
    await expect(page.locator(f'a[href="#/runs/{run}"]')).to_be_visible()


async def test_the_playground_says_which_rules_take_an_event_and_what_would_fire(
    opened: Opener, site: Site
) -> None:
    await orders(site.client, DAY, "us")
    page = await opened(site.url, "#/playground")
    event = {"type": "orders.exported", "data": {"day": DAY, "region": "eu"}}
    await page.get_by_label(re.compile("^The event")).fill(json.dumps(event))
    await page.get_by_role("button", name="Which rules take it?").click()
    await expect(page.get_by_role("row", name="sales/orders_posted")).to_contain_text("part eu")
    await page.get_by_role("button", name="Rehearse it").click()
    await expect(page.get_by_text("Nothing would fire")).to_be_visible()
    await page.get_by_label("as if").select_option("day")
    await page.get_by_role("button", name="Rehearse it").click()
    await expect(page.get_by_text("2 tasks would fire")).to_be_visible()
    await expect(page.get_by_text(f"waiting for customers {DAY}")).to_be_visible()
    _, events = await get(site.client, "events")
    assert len(events["items"]) == 1
    again = await opened(site.url, page.url.removeprefix(f"{site.url}/"))
    await expect(again.get_by_role("row", name="sales/orders_posted")).to_contain_text("part eu")


async def test_a_partition_says_which_parts_are_there_and_is_withdrawn_with_a_reason(
    opened: Opener, site: Site
) -> None:
    await orders(site.client, DAY, "eu")
    await orders(site.client, "2026-03-09", "us")
    page = await opened(site.url, f"#/datasets/orders?partition={DAY}")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(rows.get_by_title("us is missing")).to_be_visible()
    await orders(site.client, DAY, "us")
    await expect(rows.get_by_title("us is there")).to_be_visible()
    await rows.get_by_text("actions", exact=True).click()
    await rows.get_by_role("button", name="Withdraw").click()
    dialog = page.get_by_role("dialog", name="Withdraw")
    await dialog.get_by_label("What of it").select_option("us")
    await dialog.get_by_label("Reason").fill("cut off")
    await dialog.get_by_role("button", name="Withdraw").click()
    await expect(rows.get_by_title("us is missing")).to_be_visible()
    _, found = await get(site.client, f"datasets/orders/partitions?partition={DAY}")
    assert found["items"][0]["parts"] == ["eu"]


async def test_what_is_late_stands_in_the_list_of_datasets_and_in_its_strip(
    opened: Opener, busy_site: Site
) -> None:
    page = await opened(busy_site.url, "#/datasets?show=late")
    row = page.get_by_role("row", name=re.compile("^costs"))
    await expect(row.get_by_title("late", exact=True)).to_be_visible()
    await expect(row.get_by_role("img")).to_have_accessible_name(re.compile(r"[1-9]\d* late"))
    await expect(page.locator("tbody tr")).to_have_count(1)


async def test_what_if_lets_a_task_fail_and_executes_nothing(opened: Opener, site: Site) -> None:
    page = await opened(site.url, f"#/pipelines/sales/what-if?partition={DAY}")
    outcome = page.locator(".outcome")
    await expect(outcome).to_contain_text("succeeded")
    await page.locator('[data-node="task check"]').click()
    await expect(outcome).to_contain_text("failed check; blocked publish")
    assert "fail=check" in page.url
    await page.get_by_label("Retries").select_option("2")
    await expect(outcome).to_contain_text("check (3 attempts)")
    await page.get_by_role("button", name="From the start").click()
    await expect(page.locator('[data-node="task check"]')).to_have_class(re.compile("is-waiting"))
    while not await (step := page.get_by_role("button", name="Next")).is_disabled():
        await step.click()
    await expect(page.locator('[data-node="task publish"]')).to_have_class(re.compile("is-blocked"))
    waits = page.get_by_role("region", name="What waits")
    await expect(waits).to_contain_text("task check failed for good")
    _, runs = await get(site.client, "runs")
    assert runs["items"] == []


async def test_what_if_holds_an_input_and_says_what_waits_for_it(opened: Opener, site: Site) -> None:
    page = await opened(site.url, f"#/pipelines/sales/what-if?partition={DAY}")
    await page.get_by_label("How orders comes").select_option("without us")
    waits = page.get_by_role("region", name="What waits")
    await expect(waits).to_contain_text(f"waiting for orders {DAY}: part us is missing")
    await expect(page.locator('[data-node="dataset orders"]')).to_have_class(re.compile("is-partial"))
    await page.get_by_role("button", name="All goes well").click()
    await expect(waits).to_contain_text("Nothing.")


async def test_playground_and_what_if_serve_a_token_that_is_limited_to_a_pipeline(
    opened: Opener, site: Site
) -> None:
    await orders(site.client, DAY, "us")
    token = await new_token(site.home, "read", "sales")
    page = await opened(site.url, "#/playground", allowed="status of 40[13]")
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Go on").click()
    event = {"type": "orders.exported", "data": {"day": DAY, "region": "eu"}}
    await page.get_by_label(re.compile("^The event")).fill(json.dumps(event))
    await page.get_by_role("button", name="Which rules take it?").click()
    await expect(page.get_by_role("row", name="sales/orders_posted")).to_contain_text("part eu")
    await page.get_by_label("as if").select_option("day")
    await page.get_by_role("button", name="Rehearse it").click()
    await expect(page.get_by_text("2 tasks would fire")).to_be_visible()
    await page.evaluate(f"() => (location.hash = '#/pipelines/sales/what-if?partition={DAY}&fail=check')")
    await expect(page.locator(".outcome")).to_contain_text("blocked publish")
