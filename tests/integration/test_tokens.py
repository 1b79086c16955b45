"""Tokens from outside: made and revoked by the API, by the command line, and where no service runs."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.app import CannotServeError, Running, running
from sensorflow.config.settings import load_settings
from sensorflow.core.state import TokenRow
from sensorflow.ports import StoreError
from sensorflow.store.sqlite_listing import SqliteListing
from tests.access import add_weather, bearer, control, new_token
from tests.serving import SECRETS, client_of, make_home, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    return add_weather(make_home(tmp_path / "home"))


@pytest.fixture
async def service(home: Path) -> AsyncIterator[Running]:
    async with serving(home) as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


async def cli(home: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sensorflow", "--home", str(home), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, out.decode(), err.decode()


async def asked(client: aiohttp.ClientSession, token: str | None) -> int:
    async with client.get("/api/v1/runs", headers=bearer(token) if token else {}) as response:
        return response.status


async def test_a_service_is_open_until_the_first_token_and_again_after_the_last(
    home: Path, client: aiohttp.ClientSession
) -> None:
    assert await asked(client, None) == 200
    status, made = await control(home, "POST", "/api/v1/tokens", {"scope": "read"})
    assert (status, made["scope"], made["pipelines"]) == (201, "read", None)
    assert await asked(client, None) == 401
    assert await asked(client, made["token"]) == 200
    status, gone = await control(home, "DELETE", f"/api/v1/tokens/{made['id']}")
    assert (status, gone["id"]) == (200, made["id"])
    assert await asked(client, None) == 200


async def test_a_revoked_token_is_good_for_nothing_at_once(home: Path, client: aiohttp.ClientSession) -> None:
    admin = await new_token(home, "admin")
    token = await new_token(home, "read")
    assert await asked(client, token) == 200
    _, page = await control(home, "GET", "/api/v1/tokens")
    async with client.delete(f"/api/v1/tokens/{page['items'][1]['id']}", headers=bearer(admin)) as response:
        assert response.status == 200
    assert await asked(client, token) == 401
    assert (await control(home, "DELETE", f"/api/v1/tokens/{page['items'][1]['id']}"))[0] == 404


@pytest.mark.parametrize("first", [True, False])
async def test_who_is_no_longer_admitted_hears_no_more(
    home: Path, service: Running, client: aiohttp.ClientSession, first: bool
) -> None:
    """A stream ends with its token, and one that began before there was any with the first."""
    token = None if first else await new_token(home, "read")
    async with client.get("/api/v1/stream", headers=bearer(token) if token else {}) as stream:
        assert stream.status == 200
        await stream.content.readuntil(b"\n\n")
        if first:
            await new_token(home, "read")
        else:
            _, page = await control(home, "GET", "/api/v1/tokens")
            await control(home, "DELETE", f"/api/v1/tokens/{page['items'][0]['id']}")
            await new_token(home, "read")
        await control(home, "POST", "/api/v1/pipelines/sales/pause", {})
        told = await asyncio.wait_for(stream.content.read(), 20)
        status, _ = await control(home, "POST", "/api/v1/pipelines/sales/resume", {})
        assert status == 200 and b"resume" not in told


async def test_what_is_kept_of_a_token_does_not_give_it_away(home: Path, service: Running) -> None:
    tokens = [await new_token(home, scope) for scope in ("read", "admin")]
    _, page = await control(home, "GET", "/api/v1/tokens")
    for token in tokens:
        secret = token.removeprefix("sf_")
        assert len(secret) == 43  # 256 bits in base64.
        assert secret not in json.dumps(page)
    kept = b"".join(file.read_bytes() for file in (home / ".sensorflow").glob("state.db*"))
    assert not any(token.removeprefix("sf_").encode() in kept for token in tokens)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "/scope"),
        ({"scope": "root"}, "/scope"),
        ({"scope": ["read"]}, "/scope"),
        ({"scope": "read", "pipelines": []}, "/pipelines"),
        ({"scope": "read", "pipelines": ["nobody"]}, "/pipelines/0"),
        ({"scope": "read", "pipelines": ["sales", ""]}, "/pipelines/1"),
        ({"scope": "admin", "pipelines": ["sales"]}, "/pipelines"),
        ({"scope": "read", "token": "mine"}, "/token"),
    ],
)
async def test_a_token_that_cannot_be_made_is_422_and_names_the_place(
    home: Path, service: Running, body: Any, where: str
) -> None:
    status, problem = await control(home, "POST", "/api/v1/tokens", body)
    assert (status, problem["errors"][0]["where"]) == (422, where)
    assert (await control(home, "GET", "/api/v1/tokens"))[1]["items"] == []


async def test_tokens_are_listed_in_pages(home: Path, service: Running) -> None:
    made = [await control(home, "POST", "/api/v1/tokens", {"scope": "emit"}) for _ in range(3)]
    _, first = await control(home, "GET", "/api/v1/tokens?limit=2")
    _, second = await control(home, "GET", f"/api/v1/tokens?limit=2&cursor={first['next']}")
    found = [item["id"] for item in [*first["items"], *second["items"]]]
    assert found == [answer["id"] for _, answer in made]
    assert second["next"] is None


async def test_tokens_outlive_the_service(home: Path) -> None:
    async with serving(home):
        token = await new_token(home, "read", "sales")
    async with serving(home) as service, client_of(service) as client:
        assert await asked(client, None) == 401
        assert await asked(client, token) == 200


# The command line


@pytest.mark.parametrize("serves", [True, False])
async def test_tokens_are_made_listed_and_revoked_by_verbs_whether_or_not_a_service_runs(
    home: Path, serves: bool
) -> None:
    stack = serving(home)
    if serves:
        await stack.__aenter__()
    try:
        code, out, _ = await cli(home, "token", "create", "--scope", "emit", "--pipeline", "sales", "--json")
        limited = json.loads(out)
        assert code == 0 and set(limited) == {"id", "token", "scope", "pipelines"}
        assert (limited["scope"], limited["pipelines"]) == ("emit", ["sales"])
        code, token, err = await cli(home, "token", "create", "--scope", "admin")
        assert (code, token.startswith("sf_")) == (0, True) and "not shown again" in err
        code, out, _ = await cli(home, "token", "list", "--json")
        items = json.loads(out)["items"]
        assert [(item["scope"], item["pipelines"]) for item in items] == [
            ("emit", ["sales"]),
            ("admin", None),
        ]
        code, out, _ = await cli(home, "token", "list")
        assert code == 0 and limited["id"] in out and limited["token"] not in out
        code, out, _ = await cli(home, "token", "revoke", limited["id"])
        assert (code, limited["id"] in out) == (0, True)
        code, _, err = await cli(home, "token", "revoke", limited["id"])
        assert code == 3 and "there is no token" in err
        code, _, err = await cli(home, "token", "create", "--scope", "read", "--pipeline", "nobody")
        assert code == 3 and "nobody" in err and "sales" in err
        code, _, err = await cli(home, "token", "create", "--scope", "admin", "--pipeline", "sales")
        assert code == 2 and "cannot be limited" in err
    finally:
        if serves:
            await stack.__aexit__(None, None, None)


async def test_a_verb_shows_its_token_and_says_what_to_do_without(home: Path, service: Running) -> None:
    token = await new_token(home, "read")
    url = {"SENSORFLOW_URL": service.url}
    code, _, err = await cli(home, "runs", **url)
    assert code == 1 and "SENSORFLOW_TOKEN" in err
    assert (await cli(home, "runs", SENSORFLOW_TOKEN=token, **url))[0] == 0
    assert (await cli(home, "runs", "--token", token, **url))[0] == 0
    code, _, err = await cli(home, "pause", "sales", "--token", token, **url)
    assert code == 1 and "scope operate" in err


async def test_a_token_is_made_for_a_home_that_was_never_served(tmp_path: Path) -> None:
    (tmp_path / "new" / "pipelines").mkdir(parents=True)
    assert (await cli(tmp_path / "new", "token", "create", "--scope", "admin"))[0] == 0
    assert (await cli(tmp_path / "absent", "token", "create", "--scope", "admin"))[0] == 3
    assert not (tmp_path / "absent").exists()


# The control socket


async def test_nobody_but_the_owner_can_open_the_control_socket(home: Path) -> None:
    path = home / ".sensorflow" / "control.sock"
    async with serving(home) as service:
        assert path.is_socket()
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o077 == 0
        await new_token(home, "emit")
        assert (await control(home, "POST", "/api/v1/reload"))[0] == 200
        assert service.url.startswith("http://127.0.0.1:")
    assert not path.exists()


async def test_a_socket_that_a_killed_service_left_is_no_obstacle(home: Path) -> None:
    folder = home / ".sensorflow"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "control.sock"))
    assert (await cli(home, "token", "list"))[0] == 0
    async with serving(home):
        assert (await control(home, "GET", "/api/v1/tokens"))[0] == 200


async def test_a_home_may_lie_deeper_than_the_address_of_a_socket_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    home = make_home(tmp_path / ("d" * 60) / ("e" * 60))
    async with serving(home) as service, client_of(service) as client:
        code, token, _ = await cli(home, "token", "create", "--scope", "read")
        assert code == 0
        assert await asked(client, token.strip()) == 200  # It came by the service: that knows it at once.


# Where others reach the service


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "flows.example.com"])
async def test_an_address_that_others_reach_is_refused_as_long_as_there_is_no_token(
    home: Path, host: str
) -> None:
    with pytest.raises(CannotServeError, match="sensorflow token create --scope admin"):
        async with running(home, load_settings(home, {}), host=host, port=0):
            pass


async def test_serve_says_how_to_get_the_first_token(home: Path) -> None:
    code, _, err = await cli(home, "serve", "--host", "0.0.0.0", "--port", "0")
    assert code == 1 and "sensorflow token create --scope admin" in err and "Traceback" not in err


async def test_an_address_that_others_reach_asks_for_a_token_also_after_the_last_is_revoked(
    home: Path,
) -> None:
    code, token, _ = await cli(home, "token", "create", "--scope", "read")
    assert code == 0
    async with running(home, load_settings(home, {}), host="0.0.0.0", port=0) as service:
        url = service.url.replace("0.0.0.0", "127.0.0.1")
        async with aiohttp.ClientSession(url) as client:
            assert [await asked(client, given) for given in (None, token.strip())] == [401, 200]
            _, page = await control(home, "GET", "/api/v1/tokens")
            await control(home, "DELETE", f"/api/v1/tokens/{page['items'][0]['id']}")
            assert [await asked(client, given) for given in (None, token.strip())] == [401, 401]


async def test_a_store_that_cannot_be_read_lets_nobody_in(
    home: Path, service: Running, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await new_token(home, "read")

    def broken(listing: SqliteListing) -> list[TokenRow]:
        raise StoreError("the store cannot be read: disk I/O error")

    await new_token(home, "emit")  # From here on the tokens have to be read anew.
    monkeypatch.setattr(SqliteListing, "tokens", broken)
    for given in (None, token):
        assert await asked(client, given) == 503
