"""The demo's task code, feeder and sensor kind, on the week that was cut from the real year."""

import asyncio
import csv
import importlib.util
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from statistics import fmean
from types import ModuleType, SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook

from pipelines.jobs import check, delays, feed, load_flights, load_weather, results, warehouse, week
from sensorflow.clock import SystemClock
from sensorflow.core.vocabulary import Event
from sensorflow.ports import Batch, SensorContext

ROOT = Path(__file__).resolve().parents[2]
DAYS = [file.stem for file in feed.flight_files()]
NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home with the accepted days in it, as the working folder."""
    monkeypatch.chdir(tmp_path)
    feed.lay_down_accepted_days(tmp_path, Counter())
    return tmp_path


def context(day: str, *, flights: int | None = None) -> SimpleNamespace:
    """A context as the service makes it once all inputs of the day have arrived."""
    file = feed.SOURCE / "flights" / f"{day}.csv"
    total = json.loads(feed.control_total(file))
    weather: dict[str, Any] = {}
    for message in feed.weather_messages(random.Random(1), 20):
        event = json.loads(message.payload)
        hour = datetime.fromisoformat(event["data"]["hour"])
        if hour.astimezone(NEW_YORK).date().isoformat() == day:
            partition = weather.setdefault(
                hour.astimezone(UTC).strftime("%Y-%m-%dT%HZ"), {"version": 1, "events": {}}
            )
            partition["events"][event["id"]] = event
    weather = {
        key: {**partition, "events": list(partition["events"].values())} for key, partition in weather.items()
    }
    return SimpleNamespace(
        pipeline="flight_delays",
        run_id=f"run-of-{day}",
        partition=day,
        attempt=1,
        inputs={
            "flights": {day: {"version": 1, "events": [{"path": str(file)}]}},
            "weather": weather,
            "airlines": {"": {"version": 1, "events": [{"data": {"airlines": AIRLINES}}]}},
            "flight_counts": {
                day: {
                    "version": 1,
                    "events": [{"data": total if flights is None else {"day": day, "flights": flights}}],
                }
            },
        },
        missing=[],
    )


AIRLINES = [
    {"carrier": carrier, "name": name}
    for carrier, name in (
        line.split(",") for line in (feed.SOURCE / "airlines.csv").read_text("utf-8").splitlines()[1:]
    )
]


def run_day(day: str) -> None:
    """Run all tasks of the day that make its result."""
    of_day = context(day)
    load_flights.load(day, of_day)
    load_weather.load(day, of_day)
    delays.load_airlines(of_day)
    delays.join(of_day)
    check.check(of_day)
    delays.publish(of_day)


def all_rows() -> dict[str, list[str]]:
    with warehouse.transaction() as opened:
        tables = [row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        selects = {name: f"SELECT * FROM {name}" for name in tables}  # noqa: S608 - names of ours
        return {name: sorted(str(tuple(row)) for row in opened.execute(sql)) for name, sql in selects.items()}


def test_running_a_day_again_changes_nothing_and_leaves_other_days_alone(home: Path) -> None:
    run_day("2013-03-04")
    run_day("2013-03-07")
    once = all_rows()
    run_day("2013-03-04")
    assert all_rows() == once
    assert len(once["flights"]) == 977 + 980
    assert len(once["airlines"]) == 16


def test_the_day_of_the_clock_change_has_23_hours_of_weather(home: Path) -> None:
    run_day("2013-03-10")
    assert [(row["airport"], row["flights"], row["weather_hours"]) for row in results.published(home)] == [
        ("EWR", 326, 23),
        ("JFK", 315, 23),
        ("LGA", 267, 23),
    ]


def test_the_result_is_what_the_files_say(home: Path) -> None:
    run_day("2013-03-09")
    with (feed.SOURCE / "flights" / "2013-03-09.csv").open(encoding="utf-8", newline="") as file:
        flights = [row for row in csv.DictReader(file) if row["origin"] == "JFK"]
    with (feed.SOURCE / "weather.csv").open(encoding="utf-8", newline="") as file:
        # Standard time: the day lies between 05Z and 05Z.
        hours = [
            row
            for row in csv.DictReader(file)
            if row["origin"] == "JFK" and "2013-03-09T05" <= row["time_hour"] < "2013-03-10T05"
        ]
    by_carrier: dict[str, list[int]] = {}
    for row in flights:
        if row["dep_delay"] != "NA":
            by_carrier.setdefault(row["carrier"], []).append(int(row["dep_delay"]))
    slowest = max(
        (key for key in by_carrier if len(by_carrier[key]) >= 10), key=lambda key: fmean(by_carrier[key])
    )
    assert results.published(home)[1] == {
        "day": "2013-03-09",
        "airport": "JFK",
        "flights": len(flights),
        "cancelled": sum(row["dep_time"] == "NA" for row in flights),
        "mean_departure_delay_min": pytest.approx(fmean(chain(*by_carrier.values())), abs=0.006),
        "slowest_airline": next(airline["name"] for airline in AIRLINES if airline["carrier"] == slowest),
        "mean_temperature_f": pytest.approx(fmean(float(row["temp"]) for row in hours), abs=0.006),
        "mean_wind_mph": pytest.approx(fmean(float(row["wind_speed"]) for row in hours), abs=0.006),
        "weather_hours": 24,
    }


def test_a_day_goes_on_without_the_two_airports_that_never_reported_an_hour(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_day = context("2013-03-05")
    of_day.missing = [{"dataset": "weather", "partition": "2013-03-05T06Z", "parts": ["JFK", "LGA"]}]
    load_weather.load("2013-03-05", of_day)
    assert capsys.readouterr().out.splitlines() == [
        "2013-03-05: 70 airport-hours of weather, 2 missing",
        "2013-03-05: without 2013-03-05T06Z of JFK, LGA",
    ]


def test_a_day_of_which_more_weather_is_missing_than_a_mean_can_bear_fails(home: Path) -> None:
    of_day = context("2013-03-05")
    of_day.missing = [
        {"dataset": "weather", "partition": "2013-03-05T06Z", "parts": ["JFK", "LGA"]},
        {"dataset": "weather", "partition": "2013-03-05T07Z", "parts": []},
    ]
    with pytest.raises(SystemExit, match="5 airport-hours of weather are missing"):
        load_weather.load("2013-03-05", of_day)
    assert not Path("warehouse").exists()


def test_the_check_fails_a_day_of_many_cancellations_until_somebody_accepts_it(home: Path) -> None:
    with pytest.raises(SystemExit) as failed:
        run_day("2013-03-08")
    assert "180 of 979 flights (18.4%) were cancelled" in str(failed.value)
    advice = "echo 2013-03-08 >> landing/accepted_days.csv && sensorflow retry flight_delays/2013-03-08"
    assert advice in str(failed.value)
    assert results.published(home) == []

    said = advice.split(" && ", maxsplit=1)[0]
    subprocess.run(["sh", "-c", said], check=True)
    check.check(context("2013-03-08"))
    delays.publish(context("2013-03-08"))
    assert {row["day"] for row in results.published(home)} == {"2013-03-08"}


def test_only_the_two_days_of_the_storm_need_acceptance_and_one_has_it(home: Path) -> None:
    failed = []
    for day in DAYS:
        try:
            run_day(day)
        except SystemExit:
            failed.append(day)
    assert failed == ["2013-03-08"]
    (home / "landing" / "accepted_days.csv").unlink()
    with pytest.raises(SystemExit, match="2013-03-06: 180 of 972"):
        check.check(context("2013-03-06"))


def test_the_check_fails_where_the_flights_differ_from_the_control_total(home: Path) -> None:
    load_flights.load("2013-03-04", context("2013-03-04"))
    with pytest.raises(SystemExit, match="977 flights were loaded, but the control total says 978"):
        check.check(context("2013-03-04", flights=978))


def test_the_published_table_is_ordered_and_complete(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for day in ("2013-03-09", "2013-03-04"):
        run_day(day)
    capsys.readouterr()
    results.main(["--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [(row["day"], row["airport"]) for row in rows] == [
        (day, airport) for day in ("2013-03-04", "2013-03-09") for airport in ("EWR", "JFK", "LGA")
    ]
    assert all(value is not None for row in rows for value in row.values())
    results.main([])
    assert "2013-03-09" in capsys.readouterr().out


def test_the_table_of_a_home_that_has_published_nothing_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.main(["--json", "--home", str(tmp_path)])
    assert json.loads(capsys.readouterr().out) == []


def test_the_week_adds_up_the_published_days_that_it_was_given(home: Path) -> None:
    for day in ("2013-03-04", "2013-03-05", "2013-03-07"):
        run_day(day)
    of_week = SimpleNamespace(
        partition="2013-W10", inputs={"flight_delays_daily": {"2013-03-04": {}, "2013-03-07": {}}}
    )
    for _ in range(2):
        week.summarise(of_week)
        week.report(of_week)
    lines = (home / "warehouse" / "week_2013-W10.csv").read_text("utf-8").splitlines()
    assert lines[0].startswith("week,airport,days,flights,cancelled")
    read = [line.split(",") for line in lines[1:]]
    assert [row[:3] for row in read] == [["2013-W10", airport, "2"] for airport in ("EWR", "JFK", "LGA")]
    assert sum(int(row[3]) for row in read) == 977 + 980
    worst = {
        airport: max(
            (
                row
                for row in results.published(home)
                if row["airport"] == airport and row["day"] != "2013-03-05"
            ),
            key=lambda row: row["mean_departure_delay_min"],
        )["day"]
        for airport in ("EWR", "JFK", "LGA")
    }
    assert {row[1]: row[6] for row in read} == worst


def test_command_tasks_work_as_processes_at_once_from_what_the_service_hands_them(home: Path) -> None:
    started = []
    for day in DAYS:
        file = home / f"{day}.json"
        file.write_text(json.dumps(vars(context(day))), "utf-8")
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SENSORFLOW_CONTEXT_FILE": str(file),
            "SENSORFLOW_PARTITION": day,
            "SENSORFLOW_ATTEMPT": "1",
        }
        for arguments in (["pipelines.jobs.load_flights", day], ["pipelines.jobs.load_weather"]):
            started.append(
                subprocess.Popen([sys.executable, "-m", *arguments], env=env, stderr=subprocess.PIPE)
            )
    failures = [error for process in started if (error := process.communicate()[1])]
    assert [b"2013-03-07: this first attempt fails on purpose" in error for error in failures] == [True]
    with warehouse.transaction() as opened:
        assert opened.execute("SELECT count(*) FROM flights").fetchone()[0] == 6546
        assert opened.execute("SELECT count(*) FROM weather").fetchone()[0] == 499 - 72


def test_the_feeder_sends_the_same_for_the_same_seed_and_the_same_ids_for_any() -> None:
    first, again, other = (feed.weather_messages(random.Random(seed), 20) for seed in (1, 1, 2))
    assert first == again
    assert [message.payload for message in first] != [message.payload for message in other]
    assert {message.payload for message in first} == {message.payload for message in other}
    assert len({json.loads(message.payload)["id"] for message in first}) == 499
    assert 10 <= len(first) - 499 <= 45


def test_the_feeders_signature_is_the_one_of_standard_webhooks() -> None:
    now = int(SystemClock().now())
    headers = feed.signature(feed.DEMO_SECRET, "msg_1", now, b'{"airlines": []}')
    assert Webhook(feed.DEMO_SECRET).verify(b'{"airlines": []}', headers) == {"airlines": []}
    assert feed.DEMO_SECRET in (ROOT / "sensors" / "shared.yaml").read_text("utf-8")


def test_a_file_that_is_there_already_is_left_alone_and_half_a_one_is_written_anew(home: Path) -> None:
    source = feed.flight_files()[0]
    landing = home / "landing" / "flights"

    def land() -> Counter[str]:
        counts: Counter[str] = Counter()
        asyncio.run(feed.land_file(source, landing, 0, feed.rename_into_place, counts))
        return counts

    assert land() == {"files renamed into place": 1}
    unchanged = (landing / source.name).stat()
    assert land() == {"files there already": 1}
    assert (landing / source.name).stat() == unchanged
    (landing / source.name).write_bytes(source.read_bytes()[:1000])
    assert land() == {"files renamed into place": 1}


def test_a_feeder_that_was_stopped_in_a_journal_line_writes_the_line_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAUSE_BETWEEN_PIECES_S", 0)
    lines = [feed.control_total(file) for file in feed.flight_files()]
    journal = home / "landing" / "journal" / "flight_counts.jsonl"
    journal.parent.mkdir()
    journal.write_bytes(lines[3] + lines[4][:12])
    counts: Counter[str] = Counter()
    asyncio.run(feed.keep_journal(home, lines, [0.0] * 7, counts))
    assert sorted(journal.read_bytes().splitlines(keepends=True)) == lines
    assert counts == {"journal lines there already": 1, "journal lines appended": 6}


def sensor_module() -> ModuleType:
    """Load the sensor kind as the service does: by path."""
    spec = importlib.util.spec_from_file_location("journal", ROOT / "sensors" / "journal.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["journal"] = module
    spec.loader.exec_module(module)
    return module


class Follower:
    """A journal sensor at work on `home/counts.jsonl`."""

    def __init__(self, home: Path) -> None:
        kind = sensor_module().SENSORS["journal"]
        self.reports: asyncio.Queue[str | None] = asyncio.Queue()
        options = kind.Options.model_validate({"path": "counts.jsonl", "every": "1ms"})
        place = SensorContext(
            pipeline="flight_delays",
            name="counts",
            home=home,
            instance="test",
            report=self.reports.put_nowait,
        )
        self.events: AsyncIterator[Batch] = kind(options, place).events()
        self.journal = home / "counts.jsonl"

    async def batch(self) -> list[Event]:
        return list((await asyncio.wait_for(anext(self.events), timeout=10)).events)


def line(day: int) -> bytes:
    return json.dumps({"day": f"2013-03-{day:02}"}).encode() + b"\n"


def days(events: list[Event]) -> list[str]:
    return [event.data["day"][-2:] for event in events]


async def test_a_half_written_line_waits_for_its_end(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    follower.journal.write_bytes(line(4) + line(5)[:7])
    first = await follower.batch()
    assert days(first) == ["04"]
    assert (first[0].source, first[0].subject) == ("/journal/flight_delays/counts", "counts.jsonl")
    assert first[0].id is not None and first[0].id.startswith("counts.jsonl#1@")
    with follower.journal.open("ab") as file:
        file.write(line(5)[7:] + line(6))
    assert days(await follower.batch()) == ["05", "06"]


async def test_reading_again_after_a_restart_gives_the_same_ids(tmp_path: Path) -> None:
    (tmp_path / "counts.jsonl").write_bytes(line(4) + line(5))
    before = await Follower(tmp_path).batch()
    after = await Follower(tmp_path).batch()
    assert [event.id for event in before] == [event.id for event in after]
    assert len({event.id for event in before}) == 2


async def test_a_journal_that_was_truncated_is_read_from_its_start(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    follower.journal.write_bytes(line(4) + line(5))
    before = await follower.batch()
    follower.journal.write_bytes(line(6))
    after = await follower.batch()
    assert days(after) == ["06"]
    assert after[0].id not in [event.id for event in before]


async def test_a_journal_that_was_replaced_by_a_longer_one_is_read_from_its_start(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    follower.journal.write_bytes(line(4))
    await follower.batch()
    (tmp_path / "fresh").write_bytes(line(6) + line(7) + line(8))
    (tmp_path / "fresh").replace(follower.journal)
    assert days(await follower.batch()) == ["06", "07", "08"]


async def test_a_journal_that_is_not_there_yet_is_said_and_waited_for(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    waiting = asyncio.ensure_future(follower.batch())
    assert await follower.reports.get() == "counts.jsonl does not exist yet"
    follower.journal.write_bytes(line(4))
    assert days(await waiting) == ["04"]
    assert await follower.reports.get() is None


async def test_a_line_that_is_no_json_is_kept_as_text(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    follower.journal.write_bytes(b"hello \xff\n" + line(4))
    assert [event.data for event in await follower.batch()] == [
        {"text": "hello \ufffd"},
        {"day": "2013-03-04"},
    ]


@pytest.mark.parametrize("every", ["1", "soon", "0s", 1])
def test_a_journals_duration_is_spelled_as_everywhere(every: object) -> None:
    with pytest.raises(ValidationError, match=r"a duration (such as 500ms, 30s, 10m, 2h or 1d|above 0)"):
        sensor_module().JournalSensor.Options(path="counts.jsonl", every=every)


async def test_a_line_nested_deeper_than_json_can_be_read_does_not_stop_the_journal(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    follower.journal.write_bytes(b"[" * 100_000 + b"\n" + line(4))
    broken, whole = await follower.batch()
    assert set(broken.data) == {"text"}
    assert days([whole]) == ["04"]
