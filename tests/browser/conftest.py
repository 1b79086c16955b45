"""A real browser for the tests of the page, and what no page may do in any of them."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

from sensorflow.app import Running
from tests.browser.home import busy, make_home
from tests.serving import client_of, serving

#: Debian's name first; the others are those of other systems.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Return where the Chromium of this machine is."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Give a headless Chromium of this machine."""
    found = chromium()
    if found is None:
        pytest.skip(f"needs {' or '.join(BROWSERS)}: apt-get install chromium")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=found)
        yield started
        await started.close()


@dataclass(slots=True)
class Opener:
    """Opens pages, each in a context of its own, and keeps what the browser tells of those not well."""

    browser: Browser
    faults: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)

    async def __call__(self, url: str, place: str = "", *, allowed: str = "^$", **options: Any) -> Page:
        """Open a place of the page, as `#/runs`, at the url of a service.

        Args:
            allowed: What the browser may tell of it, as a regular expression.
        """
        context = await self.browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(10_000)
        self._contexts.append(context)

        def tell(fault: str) -> None:
            if not re.search(allowed, fault):
                self.faults.append(f"{place}: {fault}")

        def said(message: ConsoleMessage) -> None:
            # What the content security policy forbids is told here too.
            if message.type in ("error", "warning"):
                tell(f"{message.type}: {message.text}")

        def asked(request: Request) -> None:
            if not request.url.startswith((url, "data:", "blob:")):
                tell(f"asked another host: {request.url}")

        context.on("console", said)
        context.on("weberror", lambda error: tell(f"not caught: {error.error}"))
        context.on("dialog", lambda dialog: tell(f"a dialog opened: {dialog.message}"))
        context.on("request", asked)
        page = await context.new_page()
        await page.goto(f"{url}/{place}")
        return page

    async def close(self) -> None:
        while self._contexts:
            await self._contexts.pop().close()


@asynccontextmanager
async def opener(browser: Browser) -> AsyncIterator[Opener]:
    """Give what opens pages; afterwards none of them may have told of anything that is not well."""
    opens = Opener(browser)
    yield opens
    await opens.close()
    assert opens.faults == []


@pytest_asyncio.fixture(loop_scope="session")
async def opened(browser: Browser) -> AsyncIterator[Opener]:
    """Give what opens pages for one test."""
    async with opener(browser) as opens:
        yield opens


@dataclass(frozen=True, slots=True)
class Site:
    """A service that serves the page, and a client of it."""

    home: Path
    service: Running
    client: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return self.service.url


@pytest_asyncio.fixture(loop_scope="session")
async def site(tmp_path: Path, opened: Opener) -> AsyncIterator[Site]:
    """Give a service of one test, in which nothing has happened yet."""
    home = make_home(tmp_path / "home")
    async with serving(home) as service, client_of(service) as client:
        yield Site(home, service, client)
        await opened.close()  # Else they would tell that the service has gone.


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def busy_site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Give a service with something in every state, for tests that only look."""
    home = tmp_path_factory.mktemp("busy") / "home"
    async with busy(home) as (service, client):
        yield Site(home, service, client)
