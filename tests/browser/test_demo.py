"""The demo as people watch it: a week of flights and weather runs on the page, live."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.conftest import Opener

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PATIENCE_MS = 120_000.0


@pytest_asyncio.fixture(loop_scope="session")
async def demo(tmp_path: Path, opened: Opener) -> AsyncIterator[str]:
    """Start the demo in a copy of the repository's home, and give its address before the week begins."""
    for folder in ("pipelines", "sensors"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sensorflow", "--home", str(tmp_path), "demo", "--port", "0"),
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    said = (await process.stdout.readline()).decode()
    found = re.search(r"http://[\d.:]+", said)
    assert found, said
    rest = asyncio.create_task(process.stdout.read())
    yield found[0]
    await opened.close()
    process.terminate()
    await rest
    await process.wait()


async def test_the_week_of_the_demo_is_seen_to_run_and_to_end_without_a_reload(
    opened: Opener, demo: str
) -> None:
    page = await opened(demo, "#/runs?pipeline=flight_delays")
    await page.evaluate("() => (window.stays = true)")
    days = page.locator("[data-row]")
    await expect(days.filter(has_text="succeeded")).to_have_count(6, timeout=PATIENCE_MS)
    failed = days.filter(has_text="failed")
    await expect(failed).to_have_count(1)
    await expect(failed).to_contain_text("2013-03-08")
    await failed.get_by_role("link").first.click()
    await expect(page.get_by_role("region", name="Why")).to_contain_text("180 of 979 flights")
    await expect(page.locator('[data-node="publish"]')).to_have_class(re.compile(r"\bis-blocked\b"))
    assert await page.evaluate("() => window.stays") is True
