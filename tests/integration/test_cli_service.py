"""The command line against the real service, each call a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sensorflow.app import Running
from tests.serving import SECRETS, make_home, serving, task_state, until

DAY = "2026-03-08"
Cli = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    async with serving(make_home(tmp_path / "home")) as started:
        yield started


@pytest.fixture
def cli(service: Running) -> Cli:
    async def call(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sensorflow", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "SENSORFLOW_URL": service.url},
        )
        out, err = await asyncio.wait_for(process.communicate(stdin), 30)
        return process.returncode or 0, out.decode(), err.decode()

    return call


def event(event_id: str, region: str, day: str = DAY) -> dict[str, Any]:
    data = {"day": day, "region": region}
    return {"specversion": "1.0", "id": event_id, "source": "/erp", "type": "orders.exported", "data": data}


async def test_the_story_of_a_day_is_told_by_the_verbs(cli: Cli, service: Running) -> None:
    assert await cli("ready", "orders", DAY, "--part", "eu", "--id", "first") == (
        0,
        f"event 1 accepted -> orders {DAY} part eu (version 1)\n",
        "",
    )
    code, out, _ = await cli("why", "sales", DAY, "load")
    assert code == 0
    assert "us" in out and "orders" in out and "waiting" in out and "check" not in out

    code, out, _ = await cli("emit", "-", stdin=json.dumps(event("e1", "us")).encode())
    assert (code, out) == (0, f"event 2 accepted -> orders {DAY} part us (version 1)\n")
    await until(service, lambda: task_state(service, DAY, "check") == "failed")

    code, out, _ = await cli("logs", f"sales/{DAY}", "check")
    assert (code, out) == (0, "no checked.ok\n")
    code, out, _ = await cli("why", "sales")
    assert code == 0 and "task check failed" in out
    code, out, _ = await cli("runs", "sales", "--state", "failed", "--json")
    (run,) = json.loads(out)["items"]
    assert run["partition"] == DAY
    code, out, _ = await cli("status")
    assert code == 0 and service.url in out and f"{DAY} failed" in out

    (service.home.path / "checked.ok").touch()
    code, out, _ = await cli("retry", f"sales/{DAY}", "--reason", "the file is there")
    assert code == 0 and "check" in out
    await until(service, lambda: task_state(service, DAY, "publish") == "succeeded")
    code, out, err = await cli("logs", run["id"], "check", "-f", "--attempt", "2")
    assert (code, out, err) == (0, "", "")


async def test_a_table_is_plain_aligned_text_where_nobody_looks(cli: Cli) -> None:
    await cli("ready", "delivered", DAY)
    code, out, err = await cli("runs")
    header, row = out.splitlines()
    assert (code, err) == (0, "")
    assert header.split() == ["PIPELINE", "PARTITION", "STATE", "TASKS", "CREATED", "ENDED", "ID"]
    assert header.index("PARTITION") == row.index(DAY)


async def test_a_duplicate_is_done_and_a_rejected_or_invalid_event_fails_the_verb(
    cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(json.dumps(event(name, "eu")) for name in ("a", "b", "a")) + "\n")
    code, out, err = await cli("emit", str(file))
    assert (code, [line.split()[2] for line in out.splitlines()]) == (
        0,
        ["accepted", "accepted", "duplicate"],
    )
    assert "2 accepted, 1 duplicates" in err
    assert (await cli("-q", "emit", str(file)))[::2] == (0, "")

    file.write_text(json.dumps([event("c", "asia"), {"id": "d"}, event("e", "us")]))
    code, out, _ = await cli("emit", str(file), "--json")
    answer = json.loads(out)
    assert (code, answer["accepted"], answer["rejected"], answer["invalid"]) == (1, 1, 1, 1)
    assert answer["events"][1]["index"] == 1


async def test_many_events_are_sent_in_pieces_and_told_as_one(cli: Cli, service: Running) -> None:
    lines = [json.dumps(event(f"n{n}", "eu")) for n in range(2500)]
    lines[2100] = "{}"
    code, out, _ = await cli("emit", "-", "--json", stdin="\n".join(lines).encode())
    answer = json.loads(out)
    assert (code, answer["accepted"], answer["invalid"], len(answer["events"])) == (1, 2499, 1, 2500)
    assert answer["events"][2100]["index"] == 2100


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("ready", "nobody", DAY), 3),
        (("ready", "orders", "someday"), 1),
        (("ready", "orders"), 1),
        (("why", "nobody"), 3),
        (("why", "sales", DAY, "nobody"), 3),
        (("why", "sales", "someday"), 2),
        (("why", "sales", "2026-05-05"), 0),
        (("why", "sales"), 0),
        (("logs", "none", "load"), 3),
        (("logs", "sales/2026-05-05", "load"), 3),
        (("logs", "nobody/2026-05-05", "load"), 3),
        (("retry", "none"), 3),
        (("runs", "nobody"), 2),
    ],
)
async def test_the_exit_code_tells_what_went_wrong(cli: Cli, arguments: tuple[str, ...], code: int) -> None:
    found, out, err = await cli(*arguments)
    assert found == code
    if code:
        assert (out, bool(err), "Traceback" in err) == ("", True, False)


async def test_what_is_no_sensorflow_is_not_mistaken_for_one(cli: Cli) -> None:
    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(stranger, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        code, _, err = await cli("runs", "--url", f"http://127.0.0.1:{port}")
    assert (code, "no sensorflow" in err) == (5, True)


async def test_an_interrupted_verb_exits_130() -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    # Where the tests run in the background SIGINT is ignored, and that is inherited.
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", start + "from sensorflow.cli import main; main()", "runs", "--url", url),
            stderr=asyncio.subprocess.PIPE,
        )
        await asyncio.wait_for(asked.wait(), 20)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, b"Traceback" in err) == (130, False)


async def test_the_token_is_shown_to_the_service_and_to_nobody_else(cli: Cli) -> None:
    heard: list[bytes] = []

    async def redirecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(redirecting, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        code, _, err = await cli("runs", "--token", "canary", "--url", f"http://127.0.0.1:{port}")
    assert (code, len(heard), "canary" in err) == (5, 1, False)
    assert b"Authorization: Bearer canary" in heard[0]
