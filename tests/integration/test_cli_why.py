"""What `why` and `events` say to somebody who asks at 06:30."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sensorflow.app import Running
from sensorflow.core.messages import TimersDue
from sensorflow.testing import FakeClock
from tests.calling import asked, environment
from tests.serving import serving, until

pytestmark = pytest.mark.slow

FLIGHTS = """\
name: flights
partition: daily
timezone: America/New_York
start: 2026-03-01
datasets:
  weather: {partition: hourly, complete: {parts: [EWR, JFK]}}
  fares: {expect: "06:00"}
tasks:
  load: {inputs: [{dataset: weather, partitions: all}], run: ["true"]}
  price: {inputs: [fares], run: ["true"]}
"""
BATCHES = """\
name: batches
start: 2026-03-01
expire: 1h
tasks: {load: {inputs: [orders, customers], run: ["true"]}}
"""
WHOLE = """\
name: whole
partition: none
datasets: {list: {partition: none}, table: {partition: none}}
tasks: {join: {inputs: [list, table], run: "test -e go || cat gate"}}
"""
#: The day of spring in New York: it has 23 hours, from 05Z to 03Z.
DAY = "2026-03-08"
NOON = datetime.fromisoformat("2026-03-09T12:00:00+00:00").timestamp()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
async def service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> AsyncIterator[Running]:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "flights.yaml").write_text(FLIGHTS)
    (tmp_path / "pipelines" / "batches.yaml").write_text(BATCHES)
    (tmp_path / "pipelines" / "whole.yaml").write_text(WHOLE)
    os.mkfifo(tmp_path / "gate")
    monkeypatch.setattr("sensorflow.app.SystemClock", lambda: clock)
    # What the service logs must not stand on the stdout of the calls, which are made in its process.
    with capture_logs():
        async with serving(tmp_path) as started:
            yield started


async def said(service: Running, *arguments: str) -> list[str]:
    ended = await asked(service.url, *arguments)
    assert ended.code == 0, ended.err
    return ended.out.splitlines()


async def weather_arrives(service: Running) -> None:
    for hour in ("05", "06", "07"):
        await said(service, "ready", "weather", f"{DAY}T{hour}Z")
    await said(service, "ready", "weather", f"{DAY}T10Z", "--part", "EWR")


async def test_hours_that_are_missing_alike_are_told_as_one(service: Running) -> None:
    await weather_arrives(service)
    head, hours, nothing, part, price = await said(service, "why", "flights", DAY)
    assert head.startswith(f"flights {DAY} (run ")
    assert "waiting for weather: 20 of 23 hours are missing; " in hours
    assert f"  {DAY}T08Z to {DAY}T09Z, {DAY}T11Z to 2026-03-09T03Z: nothing of it has come" in nothing
    assert f"  {DAY}T10Z: part JFK is missing" in part
    assert f"fares {DAY}, expected by 2026-03-09T06:00:00-04:00, 2 h late" in price

    each = await said(service, "why", "flights", DAY, "load", "-v")
    assert len(each) == 1 + 20
    ended = await asked(service.url, "why", "flights", DAY, "load", "--json")
    assert len(json.loads(ended.out)["tasks"][0]["waiting_for"]) == 20
    (_, hours) = await said(service, "why", "flights", "2026-03-05", "load")
    assert "2026-03-05T05Z to 2026-03-06T04Z (24 hours)" in hours


async def test_a_late_partition_is_told_although_it_has_no_run(service: Running, clock: FakeClock) -> None:
    await weather_arrives(service)
    clock.advance(2 * 86_400)
    service.service.post(TimersDue())
    await until(service, lambda: service.store.reader.open_alert("late/fares"))
    heads = [line for line in await said(service, "why", "flights") if line.startswith("flights ")]
    assert [head.split(" (")[0] for head in heads] == [
        f"flights {DAY}",
        "flights 2026-03-10",
        "flights 2026-03-09",
    ]
    assert [head.endswith("(no run yet)") for head in heads] == [False, True, True]
    ended = await asked(service.url, "why", "flights", "--json")
    assert [answer["run"] is None for answer in json.loads(ended.out)["items"]] == [False, True, True]


async def test_an_expired_run_says_what_it_waited_for(service: Running, clock: FakeClock) -> None:
    await said(service, "ready", "orders", DAY)
    clock.advance(3601)
    service.service.post(TimersDue())
    await until(service, lambda: (run := service.store.reader.run_of("batches", DAY)) and not run.open)
    _, ending, *_ = await said(service, "why", "batches", DAY)
    assert ending.startswith("  it was expired at 2026-03-09T13:00:01Z: it waited for customers 2026-03-08")
    told = json.loads((await asked(service.url, "why", "batches", DAY, "--json")).out)["cancelled"]
    assert (told["kind"], told["at"]) == ("expire", "2026-03-09T13:00:01Z")
    assert told["reason"].startswith("expired: it waited for customers 2026-03-08")
    ended = await asked(service.url, "why", "batches")
    assert (ended.out, f"the newest, {DAY}, is cancelled" in ended.err) == ("", True)


async def test_a_cancelled_run_says_by_whose_word(service: Running) -> None:
    await said(service, "ready", "orders", DAY)
    await said(service, "cancel", f"batches/{DAY}", "--reason", "a holiday")
    _, ending, *_ = await said(service, "why", "batches", DAY)
    assert ending == "  it was cancelled at 2026-03-09T12:00:00Z: a holiday"
    told = json.loads((await asked(service.url, "why", "batches", DAY, "--json")).out)
    cancelled = {"at": "2026-03-09T12:00:00Z", "kind": "cancel", "reason": "a holiday"}
    assert told["cancelled"] == cancelled
    await said(service, "retry", f"batches/{DAY}")
    assert "cancelled" not in json.loads((await asked(service.url, "why", "batches", DAY, "--json")).out)


async def test_the_newest_events_are_shown_and_those_that_come_while_one_looks(service: Running) -> None:
    for number in range(60):
        await said(service, "ready", "orders", DAY, "--id", f"e{number}", "--source", "/test")
    rows = (await said(service, "events"))[1:]
    assert [int(row.split()[0]) for row in rows] == list(range(11, 61))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", INTERRUPTIBLE, "events", "-f", "--limit", "2", "--url", service.url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**environment(), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    seen = [await asyncio.wait_for(process.stdout.readline(), 30) for _ in range(2)]
    await said(service, "ready", "orders", DAY, "--id", "one more", "--source", "/test")
    seen.append(await asyncio.wait_for(process.stdout.readline(), 30))
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert [int(line.split()[0]) for line in seen] == [59, 60, 61]
    assert (process.returncode, b"Traceback" in err) == (130, False)


#: Where the tests run in the background SIGINT is ignored, and that is inherited.
INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from sensorflow.cli import main; main()"
)


async def test_what_a_run_without_partitions_collects_is_told_while_it_waits_and_while_it_goes(
    service: Running, tmp_path: Path
) -> None:
    await said(service, "ready", "list")
    await said(service, "ready", "list")
    _, waits, takes = await said(service, "why", "whole")
    assert "waiting for table" in waits
    assert takes.strip() == "it takes, as one: 2 arrivals of list"
    await said(service, "ready", "table")
    await said(service, "ready", "table")
    _, runs = await said(service, "why", "whole")
    assert runs.split(maxsplit=2) == ["join", "running", "the next run takes, as one: 1 arrival of table"]
    (run,) = json.loads("\n".join(await said(service, "runs", "whole", "--json")))["items"]
    assert run["tasks"][0]["collected"] == {"table": 1}
    (tmp_path / "go").touch()
    (tmp_path / "gate").write_text("")
