"""What editors are told of definition files: what is right passes, and what is wrong is pointed at."""

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sensorflow.config.file_schema import FILES, file_schema
from sensorflow.config.settings import Settings
from sensorflow.config.yaml import read_yaml
from sensorflow.home import sensor_options
from sensorflow.sensors import SENSORS
from tests import operating, serving

ROOT = Path(__file__).parents[2]
FULL = """\
name: flight_delays
partition: {several: {day: daily, region: {keys: [01, us]}}}
timezone: America/New_York
start: 2013-01-01
end: 2013-12-31
late: rerun
schedule: "0 2 * * *"
expire: 3d
defaults: {retries: {max: 2, delay: 5s, backoff: 2, jitter: 0.1}, timeout: 1h, env: {N: 1}}
datasets:
  weather: {partition: hourly, complete: {parts: [1, JFK]}, expect: "02:00"}
  fares: {complete: {quiet: 30s}, expect: 90m}
sensors:
  observed: {type: mqtt, url: "mqtt://127.0.0.1", topic: weather/+, qos: 1, dataset: weather}
  posted: {type: webhook, auth: {scheme: github, secret: [a, b]}, dataset: fares, dedupe: 0s}
  landed: {type: file, path: "landing/{partition}.csv", dataset: fares, settle: 2s}
  mine: {type: my_own, dataset: fares, whatever: 1}
tasks:
  load:
    inputs:
      - weather
      - {dataset: fares, partitions: {last: 7}, at_least: 2, optional_after: 6h}
      - {any: [a, {all: [b]}]}
    run: [python, load.py, 1, true]
  join: {after: [load], python: "jobs.delays:join", outputs: [daily], when: all_ended, env: {DAY: 01}}
  tell: {after: [join], http: {url: "http://127.0.0.1:9000", method: PUT}}
"""


def parsed(text: str) -> Any:
    problems: list[Any] = []
    document = read_yaml("it.yaml", text, problems)
    assert document is not None and problems == []
    return document.tree


def wrong(file: str, tree: Any, home: Path = ROOT) -> list[str]:
    """Return the places of what a schema finds wrong."""
    schema = file_schema(file, sensor_options(home, SENSORS))
    jsonschema.Draft7Validator.check_schema(schema)
    errors = jsonschema.Draft7Validator(schema).iter_errors(tree)
    return sorted({".".join(map(str, error.absolute_path)) for error in errors})


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.yaml")), ids=lambda path: path.name)
def test_the_pipelines_of_the_demo_pass(path: Path) -> None:
    assert wrong("pipeline", parsed(path.read_text())) == []


@pytest.mark.parametrize("path", sorted((ROOT / "sensors").glob("*.yaml")), ids=lambda path: path.name)
def test_the_shared_sensors_of_the_demo_pass(path: Path) -> None:
    assert wrong("sensors", parsed(path.read_text())) == []


@pytest.mark.parametrize(
    "text",
    [
        *(operating.GATED, operating.KEYED, operating.CHAIN, operating.WHOLE, operating.REGIONS),
        *(serving.SALES, FULL),
    ],
)
def test_what_the_service_takes_passes(text: str) -> None:
    assert wrong("pipeline", parsed(text)) == []


def test_shared_sensors_and_settings_that_the_service_takes_pass() -> None:
    assert wrong("sensors", parsed(serving.SHARED_SENSORS)) == []
    settings = (
        'port = 8600\nstop_grace = "30s"\n[[alerts]]\ntype = "webhook"\nurl = "https://a"\non = ["late"]\n'
    )
    assert wrong("settings", tomllib.loads(settings)) == []


@pytest.mark.parametrize(
    ("right", "mistake", "place"),
    [
        ("late: rerun", "late: later", "late"),
        ("expire: 3d", "expire: 3 days", "expire"),
        ("max: 2", "max: -2", "defaults.retries.max"),
        ("max: 2", "maximum: 2", "defaults.retries"),
        ("qos: 1", "qos: one", "sensors.observed.qos"),
        ("topic: weather/+", "topics: weather/+", "sensors.observed"),
        ("scheme: github", "scheme: gitlab", "sensors.posted.auth"),
        ("settle: 2s", "settle: 2", "sensors.landed.settle"),
        ("after: [load]", "afters: [load]", "tasks.join"),
        ("when: all_ended", "when: sometimes", "tasks.join.when"),
        ("at_least: 2", "at_least: 0", "tasks.load.inputs.1"),
        ("method: PUT", "method: LOOK", "tasks.tell.http"),
        ("{several:", "{severals:", "partition"),
    ],
)
def test_a_mistake_is_pointed_at(right: str, mistake: str, place: str) -> None:
    assert FULL.count(right) >= 1
    found = wrong("pipeline", parsed(FULL.replace(right, mistake, 1)))
    assert any(place.startswith(each) or each.startswith(place) for each in found), found


def test_settings_that_are_none_are_pointed_at() -> None:
    assert wrong("settings", {"prot": 1}) == [""]
    assert wrong("settings", {"port": 70_000}) == ["port"]


def test_a_sensor_kind_of_the_home_is_known_with_its_options(tmp_path: Path) -> None:
    (tmp_path / "sensors").mkdir()
    (tmp_path / "sensors" / "tide.py").write_text(
        "from pydantic import BaseModel\n"
        "class Tide:\n"
        "    class Options(BaseModel):\n"
        "        harbour: str\n"
        "    def __init__(self, options, context): ...\n"
        "    async def events(self):\n"
        "        yield\n"
        "SENSORS = {'tide': Tide}\n"
    )
    sensor = {"type": "tide", "dataset": "tides", "harbor": "x"}
    tree = {"tasks": {"load": {"run": "true"}}, "sensors": {"tides": sensor}}
    assert wrong("pipeline", tree, tmp_path) == ["sensors.tides"]
    sensor["harbour"] = sensor.pop("harbor")
    assert wrong("pipeline", tree, tmp_path) == []


@pytest.mark.parametrize("file", FILES)
def test_every_key_that_a_file_may_hold_can_be_completed(file: str) -> None:
    schema = file_schema(file, sensor_options(ROOT, SENSORS))
    assert set(schema["properties"]) == set(FILES[file].model_fields)


def test_durations_are_told_as_they_are_written() -> None:
    retries = file_schema("pipeline", {})["definitions"]["Retries"]["properties"]
    assert retries["delay"]["default"] == "10s"
    assert "description" in retries["max"]
    assert "secret_names" not in Settings.model_fields
