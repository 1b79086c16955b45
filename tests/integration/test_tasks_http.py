"""Http tasks against real servers, through the executor."""

import asyncio
import json
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web

from sensorflow import http_client
from sensorflow.core.states import AttemptState
from sensorflow.core.vocabulary import HttpCall
from sensorflow.executor.attempt_files import attempt_files, log_path
from sensorflow.tasks import http
from sensorflow.tasks.http import HttpKind, request_url
from tests.integration.attempts import LIMIT_S, Bench, Signal, callback_url, key, open_descriptors, order
from tests.integration.receiver import NamesLeadTo, answering, header, receiving, silent


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.executor.close()


async def test_an_answer_of_2xx_is_success_and_its_body_is_the_attempts_log(bench: Bench) -> None:
    async with receiving(answering(201, "reported 42 flights\n")) as server:
        asked = order(HttpCall(url=f"{server.url}/report"))

        ended = await bench.run(asked)

    assert (ended.state, ended.exit_code, ended.error) == (AttemptState.SUCCEEDED, 0, None)
    assert bench.log(asked) == "reported 42 flights\n"
    assert bench.reports.started == {}


async def test_the_request_carries_the_context_as_the_context_file_has_it(bench: Bench) -> None:
    async with receiving(answering()) as server:
        action = HttpCall(url=f"{server.url}/report", method="PUT", headers={"X-Team": "flights"})
        asked = order(action, inputs={"flights": {"2013-03-10": {"version": 1, "events": []}}})

        await bench.run(asked)

    (request,) = server.requests
    assert request.method == "PUT"
    assert json.loads(request.body) == json.loads(
        Path(attempt_files(bench.home, *key(asked)).context).read_text()
    )
    assert "callback" not in json.loads(request.body)
    assert header(request, "Content-Type") == "application/json"
    assert header(request, "X-Team") == "flights"


async def test_a_get_has_no_body(bench: Bench) -> None:
    async with receiving(answering()) as server:
        await bench.run(order(HttpCall(url=server.url, method="GET")))

    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("GET", "/", b"")
    assert header(request, "Content-Length") is None


async def test_every_attempt_of_a_firing_carries_the_same_idempotency_key(bench: Bench) -> None:
    async with receiving(answering(503)) as server:
        call = HttpCall(url=server.url, headers={"idempotency-key": "of the file"})

        await bench.run(order(call, number=1))
        await bench.run(order(call, number=2))

    assert [header(request, "Idempotency-Key") for request in server.requests] == ["key-1", "key-1"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (503, "\n  too\tbusy \r\ncome back", "HTTP 503: too busy"),
        (404, "", "HTTP 404: Not Found"),
        (400, "x" * 5000, "HTTP 400: " + "x" * 300),
        (304, "", "HTTP 304: Not Modified"),
        (302, "no location", "HTTP 302: no location"),
    ],
)
async def test_any_other_answer_is_a_failure_told_by_its_first_line(
    bench: Bench, status: int, body: str, error: str
) -> None:
    async with receiving(answering(status, body)) as server:
        asked = order(HttpCall(url=server.url))

        ended = await bench.run(asked)

    assert (ended.state, ended.exit_code, ended.error) == (AttemptState.FAILED, 1, error)
    assert bench.log(asked).replace("\r", "") == body.replace("\r", "")


async def test_the_log_shows_the_body_as_it_comes(bench: Bench) -> None:
    seen = asyncio.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half\n")
        await seen.wait()
        await response.write(b"done\n")
        return response

    async with receiving(slowly) as server:
        asked = order(HttpCall(url=server.url))
        path = log_path(bench.home, *key(asked))
        path.parent.mkdir(parents=True)
        log = Signal(path)  # Says when something is written to it.
        bench.executor.start(asked)

        assert await log.line() == "half"
        assert not bench.reports.ended
        seen.set()

        assert await log.line() == "done"
        assert (await bench.reports.end_of(key(asked))).state == AttemptState.SUCCEEDED
        log.close()


async def test_of_a_huge_body_the_beginning_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_KEPT_BYTES", 10)
    async with receiving(answering(200, "0123456789" * 50_000)) as server:
        asked = order(HttpCall(url=server.url))

        ended = await bench.run(asked)

    assert ended.state == AttemptState.SUCCEEDED
    assert bench.log(asked) == "0123456789\n... what comes after 10 bytes is not kept\n"


async def test_a_body_of_just_the_kept_size_is_kept_without_a_remark(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "BODY_KEPT_BYTES", 10)
    async with receiving(answering(200, "0123456789")) as server:
        asked = order(HttpCall(url=server.url))

        await bench.run(asked)

    assert bench.log(asked) == "0123456789"


def callback_call(url: str) -> HttpCall:
    return HttpCall(url=url, callback=True)


async def test_a_call_with_a_callback_is_handed_over_and_has_not_ended(bench: Bench) -> None:
    async with receiving(answering(202, "job 17 accepted\n")) as server:
        asked = order(callback_call(server.url), token="token-1", timeout_s=0.5)

        await bench.hand_over(asked)
        await bench.executor.close()

    assert bench.reports.all == []
    (request,) = server.requests
    assert json.loads(request.body)["callback"] == callback_url("token-1")
    assert bench.log(asked) == (
        "handed over (HTTP 202): it ends by a call of the callback URL; a stop is not passed on\n"
        "job 17 accepted\n"
    )
    assert "token-1" not in Path(attempt_files(bench.home, *key(asked)).context).read_text()


async def test_a_handed_over_attempt_that_is_stopped_is_cancelled_at_once(bench: Bench) -> None:
    async with receiving(answering(202)) as server:
        asked = order(callback_call(server.url), token="token-1")
        await bench.hand_over(asked)

        bench.executor.stop(key(asked), "the run was cancelled")

    ended = bench.reports.ended[key(asked)]
    assert ended.state == AttemptState.CANCELLED
    assert ended.error == "the run was cancelled; who works on it is not told"


async def test_a_call_with_a_callback_that_is_refused_has_failed(bench: Bench) -> None:
    async with receiving(answering(409, "already at work")) as server:
        ended = await bench.run(order(callback_call(server.url), token="token-1"))

    assert (ended.state, ended.error) == (AttemptState.FAILED, "HTTP 409: already at work")


async def test_a_request_that_takes_longer_than_the_tasks_timeout_is_broken_off(bench: Bench) -> None:
    async with receiving(silent) as server:
        ended = await bench.run(order(HttpCall(url=server.url), timeout_s=0.3))
        async with asyncio.timeout(LIMIT_S):
            await server.broken_off.wait()

    assert (ended.state, ended.error) == (AttemptState.FAILED, "timed out after 0.3 s")


@pytest.mark.parametrize("call", [HttpCall(url=""), callback_call("")])
async def test_a_stop_breaks_the_request_off(bench: Bench, call: HttpCall) -> None:
    async with receiving(silent) as server:
        asked = order(HttpCall(url=server.url, callback=call.callback), token="token-1")
        bench.executor.start(asked)
        await server.came.wait()

        bench.executor.stop(key(asked), "no longer needed")
        ended = await bench.reports.end_of(key(asked))
        async with asyncio.timeout(LIMIT_S):
            await server.broken_off.wait()

    assert (ended.state, ended.error) == (AttemptState.CANCELLED, "no longer needed")


async def test_a_close_interrupts_a_request_that_is_out(bench: Bench) -> None:
    async with receiving(silent) as server:
        asked = order(callback_call(server.url), token="token-1")
        bench.executor.start(asked)
        await server.came.wait()

        await bench.executor.close()

    assert bench.reports.ended[key(asked)].state == AttemptState.INTERRUPTED


async def test_a_redirect_within_the_server_is_followed_with_method_and_body(bench: Bench) -> None:
    async def moved(request: web.Request) -> web.Response:
        if request.path == "/report":
            raise web.HTTPPermanentRedirect("/report/")
        return web.Response(text="at the new place")

    async with receiving(moved) as server:
        asked = order(HttpCall(url=f"{server.url}/report"))
        ended = await bench.run(asked)

    assert ended.state == AttemptState.SUCCEEDED
    first, second = server.requests
    assert (second.method, second.target, second.body) == ("POST", "/report/", first.body)
    assert bench.log(asked) == "at the new place"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_redirect_to_another_host_or_port_is_not_followed(bench: Bench, host: str) -> None:
    async with receiving(answering()) as other:
        elsewhere = f"http://{host}:{other.port}"
        redirect = answering(307, Location=f"http://user:password@{host}:{other.port}/path?secret=1")
        async with receiving(redirect) as server:
            ended = await bench.run(order(HttpCall(url=server.url)))

    assert other.requests == []
    assert ended.state == AttemptState.FAILED
    assert ended.error == (
        f"{server.url}: it redirects to POST {elsewhere}; expected POST at the same host and port"
    )


async def test_a_redirect_that_would_lose_the_body_is_not_followed(bench: Bench) -> None:
    async with receiving(answering(302, Location="/login")) as server:
        ended = await bench.run(order(HttpCall(url=server.url)))

    assert len(server.requests) == 1
    assert (
        ended.error
        == f"{server.url}: it redirects to GET {server.url}; expected POST at the same host and port"
    )


async def test_endless_redirects_end(bench: Bench) -> None:
    async with receiving(answering(307, Location="/again")) as server:
        ended = await bench.run(order(HttpCall(url=server.url)))

    assert ended.error == f"{server.url}: it redirects too often"


REFUSED = "link-local and metadata addresses are refused unless allow_private is set"


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "169.254.170.2",
        "100.100.100.200",
    ],
)
async def test_link_local_and_metadata_addresses_are_refused(bench: Bench, host: str) -> None:
    ended = await bench.run(order(HttpCall(url=f"http://{host}/latest/meta-data")))

    assert (ended.state, ended.error) == (AttemptState.FAILED, f"http://{host}: {REFUSED}")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_name_that_leads_to_a_metadata_address_is_refused(tmp_path: Path, scheme: str) -> None:
    bench = Bench(tmp_path, http=HttpKind(callback_url, resolver=NamesLeadTo("169.254.169.254", "fe80::1")))

    ended = await bench.run(order(HttpCall(url=f"{scheme}://innocent.example/")))

    assert ended.error == f"{scheme}://innocent.example: {REFUSED}"
    await bench.executor.close()


async def test_of_several_addresses_only_the_harmless_ones_are_tried(tmp_path: Path) -> None:
    bench = Bench(tmp_path, http=HttpKind(callback_url, resolver=NamesLeadTo("169.254.169.254", "127.0.0.1")))

    async with receiving(answering()) as server:
        ended = await bench.run(order(HttpCall(url=f"http://innocent.example:{server.port}/")))

    assert ended.state == AttemptState.SUCCEEDED
    await bench.executor.close()


async def test_what_is_refused_can_be_allowed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "METADATA_ADDRESSES", {ip_address("127.0.0.1")})
    async with receiving(answering()) as server:
        refused = await bench.run(order(HttpCall(url=server.url)))
        allowed = await bench.run(order(HttpCall(url=server.url, allow_private=True), number=2))

    assert refused.error == f"{server.url}: {REFUSED}"
    assert allowed.state == AttemptState.SUCCEEDED


async def test_a_server_that_is_not_there_is_told_without_credentials(bench: Bench, free_port: int) -> None:
    url = f"http://user:password@127.0.0.1:{free_port}/path-secret?token=query-secret"

    ended = await bench.run(order(HttpCall(url=url)))

    assert ended.state == AttemptState.FAILED
    assert ended.error == f"http://127.0.0.1:{free_port}: Connection refused"


async def test_a_name_that_does_not_exist_is_told(bench: Bench) -> None:
    ended = await bench.run(order(HttpCall(url="http://no-such-host.invalid/")))

    assert ended.error is not None and ended.error.startswith("http://no-such-host.invalid: ")
    assert "Errno" not in ended.error


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
    """Answer a request with some bytes and close the connection."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(answer)
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "it closed the connection without an answer"),
        (b"220 mail.example ESMTP\r\n\r\n", "its answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf an ans", "its answer broke off"),
        (
            b"HTTP/1.1 307 X\r\nLocation: gopher://x\r\n\r\n",
            "it redirects to what is no http:// or https:// URL",
        ),
    ],
)
async def test_a_server_that_breaks_off_or_talks_nonsense_is_a_failure_in_words(
    bench: Bench, answer: bytes, error: str
) -> None:
    server = await asyncio.start_server(lambda r, w: hang_up(r, w, answer), "127.0.0.1")
    async with server:
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ended = await bench.run(order(HttpCall(url=origin, method="GET")))

    assert (ended.state, ended.error) == (AttemptState.FAILED, f"{origin}: {error}")


async def test_a_server_without_tls_is_told(bench: Bench) -> None:
    async with receiving(answering()) as server:
        ended = await bench.run(order(HttpCall(url=f"https://127.0.0.1:{server.port}/")))

    assert ended.error is not None and ended.error.startswith(
        f"https://127.0.0.1:{server.port}: TLS failed: "
    )


HOSTILE = ["a/../../b", "@evil.example", "?x=1&y#z", "%2F..", "ü b+c", "{task}", "a\r\nX-Evil: 1", "\\\\evil"]


@pytest.mark.parametrize("payload", HOSTILE)
async def test_a_value_in_the_url_is_encoded_and_stays_one_piece(bench: Bench, payload: str) -> None:
    seen: list[tuple[str, str]] = []

    async def look(request: web.Request) -> web.Response:
        seen.append((request.match_info["path"], request.query["region"]))
        return web.Response()

    async with receiving(look) as server:
        asked = order(
            HttpCall(url=f"{server.url}/x:{{partition}}/end?region={{partition.region}}&{{other}}=ä b"),
            partition=payload,
            dimensions={"region": payload},
        )
        assert (await bench.run(asked)).state == AttemptState.SUCCEEDED

    assert seen == [(f"x:{payload}/end", payload)]
    (request,) = server.requests
    assert request.target.endswith("&%7Bother%7D=%C3%A4%20b")
    assert request.target.count("/") == 2
    assert header(request, "X-Evil") is None


def test_scheme_host_and_port_come_from_the_file_alone() -> None:
    asked = order(HttpCall(url=""), partition="@evil.example/")

    assert str(request_url("http://user:p%40ss@good.example:81?{partition}", asked)) == (
        "http://user:p%40ss@good.example:81/?%40evil.example%2F"
    )
    for template in ("http://{partition}/", "http://x{partition}", "http://good:{attempt}/", "{partition}"):
        with pytest.raises(ValueError, match=r"expected placeholders only behind the host"):
            request_url(template, asked)


@pytest.mark.parametrize(
    "template", ["ftp://host/secret", "host/secret", "http:///secret", "http://h:secret/", ""]
)
def test_what_is_no_http_url_is_refused_without_being_quoted(template: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a URL as http://host/path or https://host/path$"):
        request_url(template, order(HttpCall(url="")))


async def test_user_and_password_of_the_url_are_sent_as_basic_authorization(bench: Bench) -> None:
    async with receiving(answering()) as server:
        await bench.run(order(HttpCall(url=f"http://user:password@127.0.0.1:{server.port}/a%2Fb")))

    (request,) = server.requests
    assert header(request, "Authorization") == "Basic dXNlcjpwYXNzd29yZA=="
    assert request.target == "/a%2Fb"


async def test_requests_leave_no_descriptor(bench: Bench) -> None:
    descriptors = open_descriptors()
    async with receiving(answering()) as server, receiving(silent) as endless:
        for number in range(20):
            await bench.run(order(HttpCall(url=server.url), number=number))
            await bench.run(order(HttpCall(url="http://169.254.169.254"), number=number, task="refused"))
            stopped = order(HttpCall(url=endless.url), number=number, task="stopped")
            bench.executor.start(stopped)
            await endless.came.wait()
            endless.came.clear()
            bench.executor.stop(key(stopped), "enough")
            await bench.reports.end_of(key(stopped))
        # What the servers hold of the same connections is closed with them.
    assert open_descriptors() == descriptors
