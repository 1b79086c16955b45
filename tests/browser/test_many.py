"""Many runs and many tasks: the page asks for what it shows, and no more."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Route, expect

from tests.browser.conftest import Opener, Site
from tests.operating import post
from tests.serving import client_of, serving

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

RUNS = 10_000
TASKS = 1_000
#: More pipelines than fit on a screen.
PIPELINES = 45

HOURS = """\
name: hours
partition: hourly
start: 2025-01-01T00Z
tasks: {sum: {inputs: [readings], run: ["true"]}}
"""


DAYS = """\
name: NAME
start: 2026-03-01
tasks: {load: {inputs: [NAME_files], run: ["true"]}}
"""


def wide_pipeline() -> str:
    """Return a pipeline of many tasks: layers of forty, each task after three of the layer before."""
    lines = ["name: wide", "partition: none", "tasks:"]
    for number in range(TASKS):
        layer, place = divmod(number, 40)
        above = [f"t{(layer - 1) * 40 + (place + step) % 40}" for step in (0, 1, 7)] if layer else []
        rest = f"after: [{', '.join(above)}]" if above else "inputs: [{dataset: table, partitions: latest}]"
        lines.append(f'  t{number}: {{{rest}, run: ["true"]}}')
    return "\n".join(lines) + "\n"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def large(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Give a service with ten thousand runs, and a pipeline of a thousand tasks."""
    home: Path = tmp_path_factory.mktemp("large") / "home"
    (home / "pipelines").mkdir(parents=True)
    (home / "pipelines" / "hours.yaml").write_text(HOURS)
    (home / "pipelines" / "wide.yaml").write_text(wide_pipeline())
    for number in range(PIPELINES):
        name = f"days_{number:02}"
        (home / "pipelines" / f"{name}.yaml").write_text(DAYS.replace("NAME", name))
    async with serving(home) as service, client_of(service) as client:
        backfill = {"pipeline": "hours", "from": "2025-01-01T00Z", "to": "2026-02-21T15Z"}
        status, made = await post(client, "backfills", backfill)
        assert (status, made["total"]) == (201, RUNS)
        yield Site(home, service, client)


@pytest.mark.parametrize("place", ["#/", "#/runs", "#/pipelines/hours"])
async def test_the_first_list_of_ten_thousand_runs_is_there_without_reading_them_all(
    opened: Opener, large: Site, place: str
) -> None:
    page = await opened(large.url, "nothing", allowed="status of 404")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{large.url}/{place}", wait_until="commit")
    await page.locator("[data-row]").first.wait_for()
    await expect(page.get_by_role("status").get_by_text("live")).to_be_visible()
    assert len([url for url in asked if "/api/v1/" in url]) < 12
    rows = await page.locator("[data-row]").count()
    assert 0 < rows <= 500


async def test_the_first_pipelines_are_shown_while_the_rest_is_on_its_way(
    opened: Opener, large: Site
) -> None:
    page = await opened(large.url, "nothing", allowed="status of 404")
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await page.route(re.compile(r"/pipelines\?.*cursor="), hold)
    await page.goto(large.url)
    await expect(page.locator("[data-row]")).to_have_count(30)
    # What is not known yet is not told as a number.
    waiting = page.get_by_role("link", name="runs waiting")
    await expect(waiting).to_contain_text("…")
    await page.get_by_label("Pipelines").fill("wide")
    await expect(page.get_by_role("status").get_by_text("Reading the pipelines")).to_be_visible()
    held.set()
    await expect(waiting).to_contain_text(f"{RUNS:,}")
    await expect(page.locator("[data-row]")).to_have_count(1)
    await page.get_by_label("Pipelines").fill("")
    await expect(page.locator("[data-row]")).to_have_count(PIPELINES + 2)


async def test_of_a_run_of_a_thousand_tasks_those_that_matter_are_shown_first(
    opened: Opener, large: Site
) -> None:
    status, made = await post(large.client, "runs", {"pipeline": "wide"})
    assert status == 201
    await post(large.client, f"runs/{made['id']}/tasks/t500/mark", {"state": "skipped"})
    await post(large.client, f"runs/{made['id']}/tasks/t998/mark", {"state": "succeeded"})
    page = await opened(large.url, f"#/runs/{made['id']}?task=t998")
    rows = page.locator("tbody [data-row]")
    await expect(rows).to_have_count(100)
    await expect(rows.filter(has_text=re.compile("^t998"))).to_have_count(1)
    await expect(rows.filter(has_text=re.compile("^t500"))).to_have_count(0)
    await page.get_by_role("link", name=f"show all {TASKS}").click()
    await expect(rows).to_have_count(TASKS, timeout=30_000)


async def test_a_graph_of_a_thousand_tasks_is_drawn_and_a_task_is_found_in_it(
    opened: Opener, large: Site
) -> None:
    page = await opened(large.url, "#/pipelines/wide")
    await expect(page.get_by_role("button", name=re.compile("^task t"))).not_to_have_count(0, timeout=30_000)
    await page.get_by_label("Node to show the neighbourhood of").fill("t999")
    await page.get_by_label("Node to show the neighbourhood of").press("Enter")
    found = page.get_by_role("button", name=re.compile("^task t999,"))
    await expect(found).to_be_visible(timeout=30_000)
    await expect(page.get_by_role("region", name="Task t999")).to_contain_text("waiting for task t959")
