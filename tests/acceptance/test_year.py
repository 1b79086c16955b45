"""A year of real flights and weather through the core, against an oracle of a few lines."""

import csv
import gzip
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from sensorflow.core.commands import StartAttempt
from sensorflow.core.messages import EventState, Observed
from sensorflow.core.vocabulary import Event
from sensorflow.home import load_home
from sensorflow.testing import FakeClock, VirtualService

pytestmark = pytest.mark.slow

YEAR = Path(__file__).parent / "year"
AIRPORTS = {"EWR", "JFK", "LGA"}
NEW_YORK = ZoneInfo("America/New_York")

PIPELINES = {
    "strict.yaml": """
name: strict
timezone: America/New_York
start: 2013-01-01
end: 2013-12-31
datasets:
  weather:
    partition: hourly
    complete: {parts: [EWR, JFK, LGA]}
sensors:
  flights: {type: events, match: {type: [flights]}, partition: data.day, dataset: flights}
  weather: {type: events, match: {type: [weather]}, partition: data.hour, part: data.airport,
    dataset: weather}
tasks:
  load_flights: {inputs: [flights], run: "true"}
  load_weather: {inputs: [{dataset: weather, partitions: all}], run: "true"}
  join: {after: [load_flights, load_weather], run: "true", outputs: [joined]}
""",
    "patient.yaml": """
name: patient
timezone: America/New_York
start: 2013-01-01
end: 2013-12-31
tasks:
  join:
    inputs: [flights, {dataset: weather, partitions: all, optional_after: 6h}]
    run: "true"
""",
    "weeks.yaml": """
name: weeks
partition: weekly
timezone: America/New_York
tasks:
  sum: {inputs: [{dataset: joined, partitions: all}], run: "true"}
""",
}


class Year(NamedTuple):
    """What the CSVs hold."""

    days: set[str]
    #: UTC hour -> airports that reported.
    weather: dict[str, set[str]]


@pytest.fixture(scope="module")
def year() -> Year:
    weather: dict[str, set[str]] = defaultdict(set)
    with gzip.open(YEAR / "weather.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            weather[row["time_hour"][:13] + "Z"].add(row["origin"])
    with gzip.open(YEAR / "flights.csv.gz", "rt") as file:
        days = {row["day"] for row in csv.DictReader(file)}
    return Year(days, weather)


def hours_of(day: date) -> list[str]:
    """The UTC hours whose start lies in a New York day, found by looking at every hour near it."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    around = [noon + timedelta(hours=hour) for hour in range(-24, 48)]
    return [hour.strftime("%Y-%m-%dT%HZ") for hour in around if hour.astimezone(NEW_YORK).date() == day]


def replay(tmp_path: Path, year: Year, seed: int) -> VirtualService:
    """Send all events of the year, shuffled and every twentieth twice, and let every attempt succeed."""
    (tmp_path / "pipelines").mkdir()
    for name, text in PIPELINES.items():
        (tmp_path / "pipelines" / name).write_text(text)
    definitions = load_home(tmp_path, {}, {}).definitions
    flow = VirtualService(definitions, clock=FakeClock(datetime(2014, 2, 1, tzinfo=UTC).timestamp()))
    events = [Event(source="/flights", id=day, type="flights", data={"day": day}) for day in year.days]
    events += [
        Event(
            source="/weather", id=f"{airport}/{hour}", type="weather", data={"hour": hour, "airport": airport}
        )
        for hour, airports in year.weather.items()
        for airport in airports
    ]
    chance = random.Random(seed)
    again = chance.sample(events, len(events) // 20)
    sent = events + again
    chance.shuffle(sent)
    duplicates = ended = 0
    for event in sent:
        receipt = flow.send(Observed(event=event))
        assert receipt is not None
        duplicates += receipt.state is EventState.DUPLICATE
        while ended < len(flow.started):
            flow.end(flow.started[ended])
            ended += 1
    assert duplicates == len(again)
    flow.pass_time(7 * 3600)
    flow.end_all()
    return flow


def consumed(order: StartAttempt, dataset: str) -> dict[str, int]:
    return {key: shown["version"] for key, shown in order.inputs.get(dataset, {}).items()}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_year_fires_exactly_what_the_csvs_say(tmp_path: Path, year: Year, seed: int) -> None:
    assert (len(year.days), sum(map(len, year.weather.values()))) == (365, 26_115)
    flow = replay(tmp_path, year, seed)
    started = {(order.pipeline, order.partition, order.task): order for order in flow.started}
    assert len(started) == len(flow.started), "a task fired twice"

    days = [date.fromisoformat(day) for day in sorted(year.days)]
    assert [len(hours_of(date(2013, *day))) for day in ((3, 10), (7, 4), (11, 3))] == [23, 24, 25]
    whole = {d.isoformat() for d in days if all(year.weather.get(hour) == AIRPORTS for hour in hours_of(d))}
    weeks = {
        monday.strftime("%G-W%V")
        for monday in days
        if monday.weekday() == 0 and all((monday + timedelta(n)).isoformat() in whole for n in range(7))
    }
    expected = {("strict", day, task) for day in whole for task in ("load_weather", "join")}
    expected |= {("strict", day, "load_flights") for day in year.days}
    expected |= {("patient", day, "join") for day in year.days}
    expected |= {("weeks", week, "sum") for week in weeks}
    assert set(started) == expected
    assert 300 < len(whole) < 365
    assert 30 < len(weeks) < 52

    for day in whole:
        order = started["strict", day, "load_weather"]
        assert consumed(order, "weather") == dict.fromkeys(hours_of(date.fromisoformat(day)), 1)
    for day in year.days:
        order = started["patient", day, "join"]
        holes = {
            hour: sorted(AIRPORTS - year.weather.get(hour, set()))
            for hour in hours_of(date.fromisoformat(day))
            if year.weather.get(hour) != AIRPORTS
        }
        assert {gap["partition"]: gap["parts"] for gap in order.missing} == holes
    for week in weeks:
        monday = date.fromisocalendar(2013, int(week[-2:]), 1)
        expected_days = {(monday + timedelta(n)).isoformat() for n in range(7)}
        assert set(consumed(started["weeks", week, "sum"], "joined")) == expected_days


def test_what_did_not_fire_in_the_year_says_which_hour_it_waits_for(tmp_path: Path, year: Year) -> None:
    flow = replay(tmp_path, year, seed=3)
    waits = {task.name: task.waiting_for for task in flow.why("strict", "2013-03-05").tasks}
    (hole,) = waits["load_weather"]
    assert (hole.partition, hole.parts_missing) == ("2013-03-05T06Z", ("JFK", "LGA"))
    assert hole.text.startswith(
        "waiting for weather 2013-03-05T06Z: parts JFK and LGA are missing; it comes from sensor weather"
    )
    assert [wait.text for wait in waits["join"]] == ["waiting for task load_weather, which is waiting"]
