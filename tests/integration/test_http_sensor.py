"""The http sensor at real servers: what is new at a URL is one event, whatever is restarted."""

import asyncio
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from sensorflow.core.vocabulary import Grain, Partitioning
from sensorflow.sensors import polling, targets
from sensorflow.sensors.http import HttpSensor
from sensorflow.sensors.polling import retry_after_s
from tests.asking import Told
from tests.integration.receiver import answering, header, receiving
from tests.integration.site import Site, asked, asked_again
from tests.observing import Observing

DAILY = Partitioning(Grain.DAILY)


def observing(url: str, home: Path, service: Told | None = None, **options: object) -> Observing:
    chosen = {"url": url, "every": "100ms", **options}
    return Observing(HttpSensor, chosen, home, service=service or Told())


# One URL


async def test_what_is_there_first_is_an_event_with_the_url_and_the_body(tmp_path: Path) -> None:
    site = Site()
    site.put("/rates.json", {"EUR": 1.1}, ETag='"a"', Set_Cookie="session=1", X_Made_By="ecb")
    async with receiving(site.answer) as server, observing(f"{server.url}/rates.json", tmp_path) as seen:
        await seen.until_count(1)
        await seen.until_well()
    (event,) = seen.events
    assert (event.source, event.id) == ("/http/flights/landed", f"{server.url}/rates.json@1")
    assert (event.subject, event.data) == (f"{server.url}/rates.json", {"EUR": 1.1})
    assert event.extensions["headers"]["x-made-by"] == "ecb"
    assert "set-cookie" not in event.extensions["headers"] and "partition" not in event.extensions


async def test_what_has_not_changed_is_asked_for_by_its_validators_and_is_no_event(tmp_path: Path) -> None:
    site, modified = Site(), "Wed, 21 Oct 2015 07:28:00 GMT"
    site.put("/a", b"x", ETag='"a"', Last_Modified=modified)
    async with receiving(site.answer) as server, observing(f"{server.url}/a", tmp_path) as seen:
        await asked(server, 4)
    assert len(seen.events) == 1
    assert [header(each, "If-None-Match") for each in server.requests[:3]] == [None, '"a"', '"a"']
    assert header(server.requests[1], "If-Modified-Since") == modified


@pytest.mark.parametrize(
    ("before", "after", "is_new"),
    [
        ((b"1", {"ETag": '"a"'}), (b"2", {"ETag": '"b"'}), True),
        ((b"1", {"ETag": '"a"'}), (b"1", {"ETag": '"b"'}), True),
        ((b"1", {"ETag": '"a"'}), (b"1", {"ETag": 'W/"a"'}), False),
        ((b"1", {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}), (b"2", {}), True),
        ((b"1", {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}), (b"1", {}), False),
        ((b"1", {}), (b"1", {}), False),
        ((b"1", {}), (b"2", {}), True),
    ],
)
async def test_a_change_is_another_validator_or_without_one_another_content(
    before: tuple[bytes, dict[str, str]], after: tuple[bytes, dict[str, str]], is_new: bool, tmp_path: Path
) -> None:
    site = Site()
    site.pages["/a"] = before

    async def forgetful(request: web.Request) -> web.Response:
        body, headers = site.pages["/a"]  # Knows no conditions: everything is sent again.
        return web.Response(body=body, headers=headers)

    async with receiving(forgetful) as server, observing(f"{server.url}/a", tmp_path) as seen:
        await seen.until_count(1)
        site.pages["/a"] = after
        await asked_again(server)
        site.pages["/a"] = (b"the last", {"ETag": '"last"'})
        await seen.until(lambda so_far: so_far.events[-1].data == {"sha256": digest(b"the last"), "size": 8})
    assert [event.id for event in seen.events] == [f"{server.url}/a@{n}" for n in range(1, 3 + is_new)]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def test_with_a_version_path_only_another_version_is_new(tmp_path: Path) -> None:
    site = Site()
    site.put("/a", {"meta": {"rev": 7}, "at": 1}, ETag='"1"')
    async with (
        receiving(site.answer) as server,
        observing(f"{server.url}/a", tmp_path, version="meta.rev") as seen,
    ):
        await seen.until_count(1)
        site.put("/a", {"meta": {"rev": 7}, "at": 2}, ETag='"2"')
        await asked_again(server)
        await asked_again(server)
        # What was new but no new version is asked for by its own validators from then on.
        assert header(server.requests[-1], "If-None-Match") == '"2"'
        site.put("/a", {"meta": {"rev": 8}, "at": 3}, ETag='"3"')
        await seen.until_count(2)
    assert [event.data["at"] for event in seen.events] == [1, 3]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"meta": {}}', "its answer has no version: meta.rev: expected a field rev"),
        (b"<html>", "its answer is no JSON"),
    ],
)
async def test_an_answer_without_the_version_is_told(body: bytes, words: str, tmp_path: Path) -> None:
    site = Site({"/a": (body, {})})
    async with (
        receiving(site.answer) as server,
        observing(f"{server.url}/a", tmp_path, version="meta.rev") as seen,
    ):
        await seen.until(lambda so_far: any(words in str(each) for each in so_far.reports))
        site.put("/a", {"meta": {"rev": 1}})
        await seen.until_count(1)
        await seen.until_well()


@pytest.mark.parametrize("status", [202, 204, 404, 410])
async def test_what_is_not_there_yet_is_waited_for(status: int, tmp_path: Path) -> None:
    site = Site(status=status)
    async with receiving(site.answer) as server, observing(f"{server.url}/a", tmp_path) as seen:
        await asked(server, 2)
        await seen.until_well()
        site.put("/a", {})
        await seen.until_count(1)
    assert set(seen.reports) == {None}


async def test_a_restart_neither_tells_of_a_state_twice_nor_misses_a_change(tmp_path: Path) -> None:
    site, service = Site(), Told()
    site.put("/a", 1, ETag='"1"')
    async with receiving(site.answer) as server:
        async with observing(f"{server.url}/a", tmp_path, service) as lost:
            lost.hold_commits()
            await lost.until_count(1)
        async with observing(f"{server.url}/a", tmp_path, service) as first:
            await first.until_count(1)
            service.keep(first.events)
        assert [event.id for event in lost.events] == [event.id for event in first.events]
        before = len(server.requests)
        async with observing(f"{server.url}/a", tmp_path, service) as second:
            await asked(server, before + 2)
            assert not second.events
            assert header(server.requests[before], "If-None-Match") == '"1"'
        site.put("/a", 2, ETag='"2"')
        async with observing(f"{server.url}/a", tmp_path, service) as third:
            await third.until_count(1)
    assert third.events[0].id == f"{server.url}/a@2"


async def test_a_body_that_is_too_long_is_known_by_its_validator_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "BODY_LIMIT", 1000)
    site = Site()
    site.put("/a", b"x" * 2000)
    async with receiving(site.answer) as server, observing(f"{server.url}/a", tmp_path) as seen:
        await seen.until(lambda so_far: any("has no validator" in str(each) for each in so_far.reports))
        site.put("/a", b"x" * 2000, ETag='"a"')
        await seen.until_count(1)
    assert seen.events[0].data == {"sha256": None, "size": 2000}


async def test_json_beyond_a_mebibyte_is_no_data_of_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "DATA_LIMIT", 10)
    site = Site()
    site.put("/a", {"rev": 1, "rows": [1, 2, 3]})
    async with (
        receiving(site.answer) as server,
        observing(f"{server.url}/a", tmp_path, version="rev") as seen,
    ):
        await seen.until_count(1)
    assert seen.events[0].data["size"] == 29


async def test_a_header_of_strange_bytes_can_be_stored(tmp_path: Path) -> None:
    async def raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nETag: "\xff"\r\nX-A: \xe9\r\nContent-Length: 1\r\n\r\n1')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(raw, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"
    async with server, observing(url, tmp_path) as seen:
        await seen.until_count(1)
    (event,) = seen.events
    assert json.dumps(event.extensions).encode() and event.extensions["headers"]["x-a"] == "\\xe9"


# Trouble


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_asks_for_a_pause_is_left_alone(status: int, tmp_path: Path) -> None:
    service = Told(partitioning=DAILY)
    service.partitions = ["2026-03-08", "2026-03-07"]
    async with (
        receiving(answering(status, **{"Retry-After": "1"})) as server,
        observing(server.url + "/{partition}", tmp_path, service) as seen,
    ):
        await seen.until(lambda so_far: len(so_far.reports) == 1)
        assert len(server.requests) == 1  # The other partition is of the same server.
        await asked(server, 2)
    assert str(seen.reports[0]).startswith(f"{server.url}: it answered {status} ")
    assert str(seen.reports[0]).endswith(", next try in 1 s")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "99999999999"}, 86_400.0),
        (
            {
                "Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT",
                "Date": "Wed, 21 Oct 2015 07:27:00 GMT",
            },
            60.0,
        ),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT", "Date": "Wed, 21 Oct 2015 07:29:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, 0.0),
        ({"Retry-After": "-5"}, 0.0),
        ({}, 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_by_the_servers_own_clock(
    headers: dict[str, str], seconds: float
) -> None:
    assert retry_after_s(headers) == seconds


async def test_an_error_of_one_partition_keeps_no_other_from_being_polled(tmp_path: Path) -> None:
    service = Told(partitioning=DAILY)
    service.partitions = ["2026-03-08", "2026-03-07", "2026-03-06"]
    site = Site()
    site.put("/2026-03-07", {})

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=500) if request.path == "/2026-03-08" else await site.answer(request)

    async with (
        receiving(answer) as server,
        observing(server.url + "/{partition}", tmp_path, service) as seen,
    ):
        await seen.until_count(1)
        site.put("/2026-03-06", {})
        await seen.until_count(2)
        words = f"{server.url} for 2026-03-08: it answered 500 Internal Server Error, next try in "
        await seen.until(lambda so_far: str(so_far.reports[-1]).startswith(words))
        service.partitions = []
        await seen.until_well()


async def test_a_server_that_is_down_is_named_without_secrets_and_tried_again(
    free_port: int, tmp_path: Path
) -> None:
    url = f"http://reader:hunter2secret@127.0.0.1:{free_port}/a?key=hunter2secret"
    async with observing(url, tmp_path) as seen:
        await seen.until(lambda so_far: len(so_far.reports) >= 2)
    first, second, *_ = map(str, seen.reports)
    assert first.startswith(f"http://127.0.0.1:{free_port}: Connection refused, next try in ")
    assert float(first.split()[-2]) < float(second.split()[-2])
    assert "hunter2secret" not in repr(seen.reports)


async def test_an_answer_that_does_not_come_is_not_waited_for_beyond_the_timeout(tmp_path: Path) -> None:
    async def silent(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with receiving(silent) as server, observing(server.url, tmp_path, timeout="100ms") as seen:
        await seen.until(lambda so_far: "no answer in time" in str(so_far.reports[-1:]))


async def test_redirects_are_followed_at_the_same_server_only(tmp_path: Path) -> None:
    site, other = Site(), Site()
    site.put("/new", {"moved": True})
    other.put("/new", {"stolen": True})
    async with receiving(other.answer) as elsewhere:
        goal = ["/new"]

        async def answer(request: web.Request) -> web.Response:
            if request.path == "/old":
                raise web.HTTPFound(goal[0])
            return await site.answer(request)

        async with receiving(answer) as server, observing(f"{server.url}/old", tmp_path) as seen:
            await seen.until_count(1)
            goal[0] = f"{elsewhere.url}/new"
            await seen.until(lambda so_far: f"redirects to GET {elsewhere.url}" in str(so_far.reports[-1]))
        assert not elsewhere.requests
    assert seen.events[0].data == {"moved": True} and len(seen.events) == 1


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "100.100.100.200", "[::ffff:169.254.169.254]"]
)
async def test_addresses_where_clouds_keep_secrets_are_refused(host: str, tmp_path: Path) -> None:
    async with observing(f"http://{host}/latest/meta-data", tmp_path) as seen:
        await seen.until(lambda so_far: "addresses are refused" in str(so_far.reports[-1:]))


async def test_secrets_are_sent_and_told_to_nobody(tmp_path: Path) -> None:
    site = Site()
    site.put("/a", {})
    async with receiving(site.answer) as server:
        url = server.url.replace("//", "//reader:login-of-me@") + "/a?key=canary-of-url"
        service = Told(secrets=["canary-of-url", "canary-of-head", "login-of-me"])
        headers = {"Authorization": "Bearer canary-of-head"}
        async with observing(url, tmp_path, service, headers={"X-Key": "canary-of-head"}) as seen:
            await seen.until_count(1)
        async with observing(f"{server.url}/a", tmp_path, service, headers=headers) as again:
            await again.until_count(1)
    first, *_, last = server.requests
    assert first.target == "/a?key=canary-of-url" and header(first, "X-Key") == "canary-of-head"
    assert header(first, "Authorization").startswith("Basic ")
    assert header(last, "Authorization") == "Bearer canary-of-head"
    for secret in ("canary", "login-of-me"):
        assert secret not in repr(seen.events) + repr(seen.reports)
    assert seen.events[0].id == f"{server.url}/a?key=***@1"


# Partitions


async def test_partitions_are_asked_for_one_by_one_percent_encoded_behind_the_host(tmp_path: Path) -> None:
    service = Told(partitioning=Partitioning(Grain.KEY))
    service.partitions = ["a/b:c", "x=1+2"]
    site = Site()
    async with (
        receiving(site.answer) as server,
        observing(server.url + "/d/{partition}?p={partition}", tmp_path, service) as seen,
    ):
        await asked(server, 2)
        await seen.until_well()
    assert [each.target for each in server.requests[:2]] == [
        "/d/a%2Fb%3Ac?p=a%2Fb%3Ac",
        "/d/x%3D1%2B2?p=x%3D1%2B2",
    ]


async def test_the_newest_hundred_are_polled_again_and_again_and_older_ones_once_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "NEWEST", 2)
    service = Told(partitioning=DAILY)
    service.partitions = [f"2026-03-0{day}" for day in range(6, 0, -1)]
    async with (
        receiving(Site().answer) as server,
        observing(server.url + "/{partition}", tmp_path, service),
    ):
        await asked(server, 14)
        paths = [each.target for each in server.requests]
        assert sorted(path for path in set(paths) if paths.count(path) == 1) == [
            f"/2026-03-0{day}" for day in range(1, 5)
        ]
        assert paths[:2] == ["/2026-03-06", "/2026-03-05"]
        # An older one that is among the newest now has its turn at once.
        service.partitions = ["2026-03-02", "2026-03-01"]
        await asked(server, len(server.requests) + 6)
    assert {each.target for each in server.requests[-4:]} == {"/2026-03-02", "/2026-03-01"}


async def test_a_server_gets_one_request_at_a_time_whoever_asks(tmp_path: Path) -> None:
    at_once, most = 0, 0
    gate = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await gate.wait()
        at_once -= 1
        return web.Response(text="x")

    async with (
        receiving(answer) as server,
        observing(f"{server.url}/a", tmp_path) as one,
        observing(f"{server.url}/b", tmp_path) as other,
    ):
        await asked(server, 1)
        gate.set()
        await one.until_count(1)
        await other.until_count(1)
        await asked(server, 6)
    assert most == 1


# A server that nobody here wrote


async def test_the_web_server_of_python_is_polled_by_last_modified(tmp_path: Path, free_port: int) -> None:
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "rates.json").write_text('{"EUR": 1.1}')
    command = [sys.executable, "-u", "-m", "http.server", str(free_port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--directory", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        await asyncio.to_thread(process.stdout.readline)  # It says that it listens.
        async with observing(f"http://127.0.0.1:{free_port}/rates.json", tmp_path) as seen:
            await seen.until_count(1)
            lines = [await asyncio.to_thread(process.stderr.readline) for _ in range(3)]
    finally:
        process.kill()
        process.communicate()
    assert [line.split('" ')[1][:3] for line in lines] == ["200", "304", "304"]
    assert seen.events[0].data == {"EUR": 1.1}
