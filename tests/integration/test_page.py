"""The files of the page: sent packed, sent once, and all that the first module needs named at once."""

import gzip
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from posixpath import dirname, join, normpath

import aiohttp
import pytest
import pytest_asyncio

from tests.serving import SECRETS, client_of, make_home, serving


@pytest_asyncio.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[aiohttp.ClientSession]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    async with serving(make_home(tmp_path)) as service, client_of(service) as client:
        yield client


async def text_of(client: aiohttp.ClientSession, path: str) -> str:
    async with client.get(path) as response:
        assert response.status == 200, path
        return await response.text()


async def test_the_page_names_every_module_that_its_modules_ask_for(client: aiohttp.ClientSession) -> None:
    page = await text_of(client, "/")
    named = set(re.findall(r'<link rel="modulepreload" href="([^"]+)">', page))
    asked: set[str] = set()
    for path in named:
        text = await text_of(client, f"/{path}")
        asked |= {normpath(join(dirname(path), other)) for other in re.findall(r'from\s*"(\.[^"]+)"', text)}
    (first,) = re.findall(r'<script type="module" src="([^"]+)">', page)
    assert named == asked | {first}
    assert len(named) > 20


async def test_what_a_browser_has_is_not_sent_again_until_it_changes(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as response:
        etag = response.headers["ETag"]
        assert response.headers["Cache-Control"] == "no-cache"
        path = re.findall(r'src="([^"]+)"', await response.text())[0]
    async with client.get("/", headers={"If-None-Match": etag}) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert "Content-Security-Policy" in response.headers
    async with client.get("/", headers={"If-None-Match": 'W/"another"'}) as response:
        assert response.status == 200
    async with client.get(f"/{path}") as response:
        assert "immutable" in response.headers["Cache-Control"]
    # Who has the page of another version open gets a file of this one, and does not keep it for that.
    async with client.get(re.sub(r"page/\w+/", "/page/before/", path)) as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-cache")


@pytest.mark.parametrize("path", ["/", "/page/any/app.js", "/docs", "/docs/start.js"])
async def test_files_are_packed_for_whoever_can_unpack_them(client: aiohttp.ClientSession, path: str) -> None:
    answers: dict[str, Mapping[str, str]] = {}
    for accepted in ("gzip, br", "identity"):
        async with client.get(path, headers={"Accept-Encoding": accepted}) as response:
            assert response.headers["Vary"] == "Accept-Encoding"
            answers[accepted] = response.headers
            body = await response.read()
    packed, plain = answers.values()
    assert packed["Content-Encoding"] == "gzip" and "Content-Encoding" not in plain
    assert int(packed["Content-Length"]) == len(gzip.compress(body, mtime=0)) < int(plain["Content-Length"])
