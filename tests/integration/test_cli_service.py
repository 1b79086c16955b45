"""The command line against the real service, each call a process of its own."""

import asyncio
import contextlib
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

pytestmark = pytest.mark.slow

DAY = "2026-03-08"
Cli = Callable[..., Awaitable[tuple[int, str, str]]]
#: Where the tests run in the background SIGINT is ignored, and that is inherited.
INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from sensorflow.cli import main; main()"
)


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


async def follow_too_early(service: Running, task: str) -> asyncio.subprocess.Process:
    """Follow the log of a task that has not started, and return once that was said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sensorflow", "logs", f"sales/{DAY}", task, "-f"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "SENSORFLOW_URL": service.url},
    )
    assert process.stderr is not None
    said = await process.stderr.readline()
    assert said.decode() == f"{task} has not started yet; its log comes when it does\n"
    return process


async def test_a_log_that_is_followed_too_early_is_waited_for(cli: Cli, service: Running) -> None:
    await cli("ready", "orders", DAY, "--part", "eu")
    following = await follow_too_early(service, "load")
    await cli("ready", "orders", DAY)
    assert await following.communicate() == (f"orders of {DAY}\n".encode(), b"")
    assert following.returncode == 0


async def test_a_log_that_never_comes_is_not_waited_for_for_ever(cli: Cli, service: Running) -> None:
    await cli("ready", "orders", DAY, "--part", "eu")
    following = await follow_too_early(service, "deliver")
    await cli("cancel", f"sales/{DAY}")
    out, err = await following.communicate()
    assert (following.returncode, out) == (3, b"")
    assert "deliver has not run; `why` says why not" in err.decode()


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


async def test_a_later_piece_without_any_event_is_told_with_the_counts_of_the_others(cli: Cli) -> None:
    lines = [json.dumps(event(f"n{n}", "eu")) for n in range(1000)] + ["{}", "", "no JSON"]
    code, out, _ = await cli("emit", "-", "--json", stdin="\n".join(lines).encode())
    answer = json.loads(out)
    assert (code, answer["accepted"], answer["invalid"]) == (1, 1000, 2)
    assert [invalid["index"] for invalid in answer["events"][1000:]] == [1000, 1002]
    assert all("expected" in invalid["reason"] for invalid in answer["events"][1000:])
    code, out, err = await cli("emit", "-", stdin=b"{}\n{}\n")
    assert (code, out, "nothing is stored" in err) == (1, "", True)


async def test_an_operator_runs_pauses_marks_withdraws_and_cancels_by_verbs(
    cli: Cli, service: Running
) -> None:
    assert await cli("pause", "sales", "--reason", "a pause") == (0, "sales is paused\n", "")
    code, out, _ = await cli("status")
    assert (code, "paused" in out.splitlines()[3].split()) == (0, True)
    code, out, err = await cli("run", "sales", DAY)
    assert (code, out.splitlines()[0].split()[2:]) == (
        0,
        ["of", "sales", DAY, "is", "waiting,", "generation", "1"],
    )
    assert f"sensorflow why sales {DAY}" in err
    assert (await cli("ready", "orders", DAY, "-q"))[0] == 0
    code, out, _ = await cli("withdraw", "orders", DAY, "--reason", "the wrong day")
    assert (code, out.startswith(f"orders {DAY} is withdrawn")) == (0, True)
    assert (await cli("mark", f"sales/{DAY}", "load", "skipped", "--reason", "by hand"))[0] == 0
    assert await cli("resume", "sales") == (0, "sales is not paused\n", "")
    await until(service, lambda: task_state(service, DAY, "check") == "failed")

    code, out, _ = await cli("status")
    assert (code, "alert failed since" in out) == (0, True)
    code, out, _ = await cli("cancel", f"sales/{DAY}", "--reason", "enough", "--json")
    run = json.loads(out)
    assert (code, [each["kind"] for each in run["operations"]]) == (0, ["run", "mark", "cancel"])
    assert run["operations"][2]["reason"] == "enough"


async def test_events_are_listed_and_a_rejected_one_can_be_read_again(cli: Cli) -> None:
    batch = [event("good", "eu"), event("bad", "asia")]
    assert (await cli("emit", "-", "-q", stdin=json.dumps(batch).encode()))[0] == 1
    code, out, _ = await cli("events")
    header, good, bad = out.splitlines()
    assert (code, header.split()[:3]) == (0, ["SEQ", "RECEIVED", "STATE"])
    assert f"orders {DAY} part eu" in good and "asia" in bad
    code, out, _ = await cli("events", "--state", "rejected", "--json")
    (rejected,) = json.loads(out)["items"]
    assert (code, rejected["seq"]) == (0, 2)
    code, out, err = await cli("events", "--limit", "1")
    assert (code, out.splitlines()[1].split()[0], "before 2" in err) == (0, "2", True)
    code, out, err = await cli("events", "--limit", "1", "--after", "0")
    assert (code, out.splitlines()[1].split()[0], "--after 1" in err) == (0, "1", True)
    code, out, _ = await cli("events", "--after", "2", "--dataset", "orders", "--json")
    assert json.loads(out)["items"] == []
    code, out, _ = await cli("redrive", "2")
    assert (code, out.startswith("event 2 rejected")) == (1, True)
    assert (await cli("redrive", "1"))[0] == 0


async def test_a_reload_of_wrong_files_exits_4_and_says_where(cli: Cli, service: Running) -> None:
    code, out, _ = await cli("reload")
    assert (code, out) == (0, "reloaded: 1 pipelines\n")
    file = service.home.path / "pipelines" / "sales.yaml"
    file.write_text(file.read_text().replace("partition: daily", "partition: dayly"))
    code, out, err = await cli("reload")
    assert (code, out) == (4, "")
    assert "pipelines/sales.yaml:3:" in err and "dayly" in err


async def test_a_dry_run_lists_what_a_backfill_would_do(cli: Cli) -> None:
    arguments = ("backfill", "sales", "2026-03-01", "2026-03-03", "--dry-run")
    code, out, err = await cli(*arguments)
    assert (code, [line.split()[:2] for line in out.splitlines()[1:]]) == (
        0,
        [[f"2026-03-0{day}", "make"] for day in (1, 2, 3)],
    )
    assert "orders 2026-03-01" in out and "delivered 2026-03-01" in out and "3 of 3 partitions" in err
    plan = json.loads((await cli(*arguments, "--order", "newest", "--json"))[1])
    assert (plan["total"], plan["items"][0]["partition"]) == (3, "2026-03-03")
    assert json.loads((await cli("runs", "--json"))[1])["items"] == []


async def test_a_backfill_is_watched_to_its_end_and_its_failures_fail_the_verb(
    cli: Cli, service: Running
) -> None:
    (service.home.path / "checked.ok").touch()
    assert (await cli("ready", "pushed", "-q"))[0] == 0
    for day in ("2026-03-01", "2026-03-02"):
        for dataset in ("orders", "delivered"):
            await cli("ready", dataset, day, "-q")
        await until(service, lambda day=day: task_state(service, day, "publish") == "succeeded")
    arguments = ("backfill", "sales", "2026-03-01", "2026-03-02", "--only", "all", "--wait")
    code, out, err = await cli(*arguments, "--max-active", "1")
    first, last = out.splitlines()
    assert (code, first.split()[2:], last) == (
        0,
        ["of", "sales:", "2", "runs,", "at", "most", "1", "at", "once"],
        "succeeded: 2 succeeded",
    )
    assert "running" in err or "succeeded" in err
    (service.home.path / "checked.ok").unlink()
    code, out, _ = await cli(*arguments, "--json")
    assert (code, json.loads(out)["runs"]["failed"]) == (1, 2)


def everything_shown(terminal: int) -> bytes:
    """Return what is written to a terminal until nobody has it open any more."""
    seen = b""
    with os.fdopen(terminal, "rb", buffering=0) as screen, contextlib.suppress(OSError):
        while chunk := screen.read(4096):
            seen += chunk
    return seen


async def test_who_looks_at_a_terminal_sees_a_bar_of_a_backfill(cli: Cli, service: Running) -> None:
    for dataset in ("orders", "delivered", "pushed"):
        await cli("ready", dataset, *((DAY,) if dataset != "pushed" else ()), "-q")
    await until(service, lambda: task_state(service, DAY, "check") == "failed")
    ours, theirs = os.openpty()
    watching = asyncio.create_task(asyncio.to_thread(everything_shown, ours))
    with os.fdopen(theirs, "wb") as terminal:
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "sensorflow",
                "backfill",
                "sales",
                DAY,
                DAY,
                "--only",
                "failed",
                "--wait",
            ),
            stdout=asyncio.subprocess.PIPE,
            stderr=terminal,
            env={**os.environ, "SENSORFLOW_URL": service.url, "TERM": "xterm"},
        )
        out, _ = await asyncio.wait_for(process.communicate(), 30)
    seen = await watching
    assert (process.returncode, out.splitlines()[-1]) == (1, b"failed: 1 failed")
    assert b"sales" in seen and b"1/1" in seen and b"1 failed" in seen


async def test_a_backfill_goes_on_when_nobody_watches_and_is_cancelled_by_its_id(
    cli: Cli, service: Running
) -> None:
    code, out, _ = await cli("backfill", "sales", "2026-03-01", "2026-03-02", "--no-wait", "--json")
    backfill = json.loads(out)
    assert (code, backfill["state"], backfill["total"]) == (0, "waiting", 2)
    code, out, _ = await cli("runs", "--backfill", backfill["id"], "--json")
    assert (code, len(json.loads(out)["items"])) == (0, 2)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", INTERRUPTIBLE, "backfill", "sales", "2026-03-03", "2026-03-03", "--wait"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "SENSORFLOW_URL": service.url},
    )
    assert process.stdout is not None and process.stderr is not None
    watched = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
    process.send_signal(signal.SIGINT)
    out_bytes, err_bytes = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, watched) == (130, "1 waiting\n")
    name = out_bytes.decode().split()[1]
    assert f"sensorflow cancel {name}" in err_bytes.decode() and "Traceback" not in err_bytes.decode()
    for each in (name, backfill["id"]):
        code, out, _ = await cli("cancel", each)
        assert (code, out.split()[:4]) == (0, ["backfill", each, "is", "cancelled:"])


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

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", INTERRUPTIBLE, "runs", "--url", url),
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
