# ruff: noqa: E501 - files and messages stand on one line each, as users see them
"""What one file says, and every way in which it can be wrong."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sensorflow.config.kinds import WebhookOptions, WebhookScheme
from sensorflow.core.vocabulary import (
    SHARED,
    Catchup,
    Command,
    Completeness,
    DatasetInput,
    Expectation,
    Grain,
    HttpCall,
    InputGroup,
    LatePolicy,
    Partitioning,
    PythonFunction,
    RetryPolicy,
    Selection,
    When,
)
from tests.home_files import compiled, pipeline, problems, wrong

#: The contract's example, without the sensor kinds that this version has not.
EXAMPLE = """\
name: flight_delays              # default: the file's stem
description: Mean departure delay per airport and day, beside the weather
partition: daily
timezone: America/New_York
start: 2013-01-01
end: 2013-12-31
late: stale
max_active_runs: 16
concurrency: 8
schedule: "0 2 * * *"
catchup: none
sequential: false
paused: false
defaults: {retries: {max: 2}, timeout: 1h}
datasets:
  weather:
    partition: hourly
    complete: {parts: [EWR, JFK, LGA]}
    expect: "02:00"
  airlines: {partition: none}
sensors:
  flights_file:
    type: file
    path: landing/flights/{partition}.csv
    dataset: flights
    settle: 1s
  weather_observed:
    type: mqtt
    url: mqtt://127.0.0.1:1883
    topic: weather/+/observed
    qos: 1
    match: {data: {rows: [{numeric: [">", 0]}]}}
    partition: data.hour
    part: data.station
    dataset: weather
  airlines_ready:
    type: webhook
    auth: {scheme: standard-webhooks, secret: "${AIRLINES_SECRET}"}
    dataset: airlines
  anything_posted:
    type: events
    match: {type: ["orders.exported"], source: [{prefix: "/erp/"}]}
    partition: data.business_date
    dataset: orders
tasks:
  load_flights:
    inputs: [flights]
    run: [python, pipelines/jobs/load_flights.py, "{partition}"]
  load_weather:
    inputs:
      - {dataset: weather, partitions: all}
    run: python pipelines/jobs/load_weather.py
    retries: {max: 3, delay: 5s, backoff: 2, max_delay: 5m, jitter: 0.1}
    timeout: 10m
    priority: 10
  join:
    after: [load_flights, load_weather]
    inputs: [{dataset: airlines, partitions: latest}]
    python: pipelines.jobs.delays:join
    outputs: [flight_delays_daily]
  report:
    after: [join]
    when: all_ended
    http: {url: "http://127.0.0.1:9000/report", method: POST}
"""
SECRET = "whsec_bm90LWEtc2VjcmV0"


def test_the_example_of_the_contract_means_what_it_says() -> None:
    found = pipeline(EXAMPLE, {"AIRLINES_SECRET": SECRET})
    assert found.warnings == []
    assert found.secret_names == {"AIRLINES_SECRET"}
    flights = found.definitions.pipelines["flight_delays"]
    assert flights.partitioning == Partitioning(Grain.DAILY, "America/New_York")
    assert (flights.start, flights.end, flights.late) == ("2013-01-01", "2013-12-31", LatePolicy.STALE)
    assert (flights.schedule, flights.catchup, flights.sequential) == ("0 2 * * *", Catchup.NONE, False)
    assert flights.file == "pipelines/p.yaml"
    load, weather, join, report = flights.tasks.values()
    assert load.action == Command(("python", "pipelines/jobs/load_flights.py", "{partition}"))
    assert load.inputs == (DatasetInput(dataset="flights", selection=Selection.SAME),)
    assert (load.retries, load.timeout_s) == (RetryPolicy(max=2), 3600.0)
    assert weather.action == Command(line="python pipelines/jobs/load_weather.py")
    assert weather.inputs == (DatasetInput(dataset="weather", selection=Selection.ALL),)
    assert weather.retries == RetryPolicy(max=3, delay_s=5.0, backoff=2.0, max_delay_s=300.0, jitter=0.1)
    assert (weather.timeout_s, weather.priority) == (600.0, 10)
    assert join.action == PythonFunction("pipelines.jobs.delays", "join")
    assert join.inputs == (DatasetInput(dataset="airlines", selection=Selection.LATEST),)
    assert join.outputs == ("flight_delays_daily",)
    assert (report.when, report.after) == (When.ALL_ENDED, ("join",))
    assert report.action == HttpCall(url="http://127.0.0.1:9000/report", method="POST")


def test_the_sensors_of_the_example_have_rules_and_options() -> None:
    sensors = pipeline(EXAMPLE, {"AIRLINES_SECRET": SECRET}).definitions.sensors
    file = sensors["flight_delays", "flights_file"]
    assert (file.kind, file.rule.partition, file.rule.part) == ("file", "data.captures.partition", None)
    assert file.dedupe_s == 600.0
    mqtt = sensors["flight_delays", "weather_observed"]
    assert mqtt.rule.match == {"data": {"rows": [{"numeric": [">", 0]}]}}
    assert (mqtt.rule.partition, mqtt.rule.part) == ("data.hour", "data.station")
    webhook = sensors["flight_delays", "airlines_ready"].options
    assert isinstance(webhook, WebhookOptions)
    assert (webhook.auth.scheme, webhook.auth.secrets) == (WebhookScheme.STANDARD_WEBHOOKS, (SECRET,))
    assert SECRET not in repr(sensors)


def test_the_datasets_of_the_example_have_grains_and_completeness() -> None:
    datasets = pipeline(EXAMPLE, {"AIRLINES_SECRET": SECRET}).definitions.datasets
    # The hours are those of UTC; the zone is that of the clock time.
    assert datasets["weather"].partitioning == Partitioning(Grain.HOURLY, "America/New_York")
    assert datasets["weather"].expect == Expectation(clock_s=7200)
    assert datasets["weather"].complete == Completeness(parts=frozenset({"EWR", "JFK", "LGA"}))
    assert datasets["airlines"].partitioning == Partitioning(Grain.NONE)
    for inferred in ("flights", "flight_delays_daily", "orders"):
        assert datasets[inferred].partitioning == Partitioning(Grain.DAILY, "America/New_York")


def test_the_smallest_pipeline_has_the_defaults() -> None:
    (found,) = pipeline("tasks: {a: {run: x}}").definitions.pipelines.values()
    assert (found.name, found.description, found.partitioning) == ("p", "", Partitioning(Grain.DAILY, "UTC"))
    assert (found.start, found.end, found.late) == (None, None, LatePolicy.STALE)
    assert (found.max_active_runs, found.concurrency) == (16, 8)
    task = found.tasks["a"]
    assert (task.retries, task.timeout_s, task.priority) == (RetryPolicy(), None, 0)
    assert task.when is When.ALL_SUCCEEDED


def test_a_task_takes_from_the_defaults_what_it_does_not_say() -> None:
    (found,) = pipeline(
        """
        defaults: {retries: {max: 2, delay: 1s}, timeout: 1h, env: {A: 1, B: 2}}
        tasks:
          a: {run: x, retries: {delay: 5s}, env: {B: 3}}
          b: {run: x, timeout: 1m}
        """
    ).definitions.pipelines.values()
    assert found.tasks["a"].retries == RetryPolicy(max=2, delay_s=5.0)
    assert (found.tasks["a"].timeout_s, found.tasks["b"].timeout_s) == (3600.0, 60.0)
    assert found.tasks["a"].env == {"A": "1", "B": "3"}


def test_what_is_written_stays_in_keys_parts_env_and_argv() -> None:
    found = pipeline(
        """
        partition: {keys: [01, 1, 'true', no]}
        datasets: {d: {complete: {parts: [01, true, 2013-01-01]}}}
        tasks: {a: {run: [echo, 01, true, 1.50, {}], inputs: [d], env: {NO: no, DAY: 2013-01-01}}}
        """.replace("{}", "'{other} {partition}'")
    ).definitions
    assert found.pipelines["p"].partitioning.keys == ("01", "1", "true", "no")
    assert found.datasets["d"].complete.parts == {"01", "true", "2013-01-01"}
    task = found.pipelines["p"].tasks["a"]
    assert task.action == Command(("echo", "01", "true", "1.50", "{other} {partition}"))
    assert task.env == {"NO": "no", "DAY": "2013-01-01"}


def test_inputs_nest_and_say_how_many_are_needed() -> None:
    (found,) = pipeline(
        """
        datasets: {h: {partition: hourly}, m: {partition: monthly}}
        tasks:
          a:
            run: x
            inputs:
              - d
              - {dataset: h, at_least: 20, optional_after: 6h}
              - any: [m, {all: [{dataset: d, partitions: {last: 7}}, {dataset: d, partitions: {offset: -1}}]}]
              - {at_least: 2, of: [d, h, {dataset: m, partitions: latest}]}
        """
    ).definitions.pipelines.values()
    d = DatasetInput(dataset="d", selection=Selection.SAME)
    m = DatasetInput(dataset="m", selection=Selection.CONTAINING)
    week = DatasetInput(dataset="d", selection=Selection.LAST, count=7)
    yesterday = DatasetInput(dataset="d", selection=Selection.OFFSET, count=-1)
    assert found.tasks["a"].inputs == (
        d,
        DatasetInput(dataset="h", selection=Selection.ALL, at_least=20, optional_after_s=21_600.0),
        InputGroup(needed=1, members=(m, InputGroup(needed=2, members=(week, yesterday)))),
        InputGroup(
            needed=2,
            members=(
                d,
                DatasetInput(dataset="h", selection=Selection.ALL),
                DatasetInput(dataset="m", selection=Selection.LATEST),
            ),
        ),
    )


def test_shared_sensors_have_no_pipeline() -> None:
    found = compiled(
        {
            "pipelines/p.yaml": "tasks: {a: {run: x, inputs: [d]}}",
            "sensors/s.yaml": """
                datasets: {d: {partition: daily}}
                sensors: {posted: {type: events, dataset: d, partition: subject}}
            """,
        }
    )
    assert found.definitions.sensors[SHARED, "posted"].rule.partition == "subject"
    assert found.definitions.datasets["d"].partitioning == Partitioning(Grain.DAILY, "UTC")


def test_a_file_sensor_reads_what_its_path_captures() -> None:
    sensors = pipeline(
        """
        datasets: {whole: {partition: none}}
        sensors:
          both: {type: file, path: "in/{partition:%Y/%m/%d}/{part}.csv", dataset: d}
          own: {type: file, path: "in/{partition}.csv", partition: data.mtime, dataset: d}
          whole: {type: file, path: "in/whole.csv", dataset: whole}
        tasks: {a: {run: x, inputs: [d, whole]}}
        """
    ).definitions.sensors
    rule = sensors["p", "both"].rule
    assert (rule.partition, rule.part) == ("data.captures.partition", "data.captures.part")
    assert sensors["p", "own"].rule.partition == "data.mtime"
    assert sensors["p", "whole"].rule.partition is None


def test_all_errors_of_all_files_are_told_at_once_by_place() -> None:
    found = wrong(
        {
            "pipelines/b.yaml": "tasks:\n\ta: 1",
            "pipelines/a.yaml": """\
                start: 2013-1-1
                late: never
                tasks:
                  b: {run: x, after: [a, c]}
                  a: {run: x, after: [b], retries: {max: x}}
                  d: {run: x, after: [d]}
            """,
            "sensors/s.yaml": """\
                sensors:
                  one: {type: file, dataset: d, dedupe: 1, setle: 1s, path: x.csv}
                  two: {type: events, dataset: d, match: {a: 1}, partition: id}
            """,
        }
    )
    places = [problem.split(": ")[0] + " " + problem.split(": ")[1] for problem in found]
    assert places == [
        "pipelines/a.yaml:1:8 start",
        "pipelines/a.yaml:2:7 late",
        "pipelines/a.yaml:4:26 tasks.b.after.1",
        "pipelines/a.yaml:5:42 tasks.a.retries.max",
        "pipelines/a.yaml:6:15 tasks.d.after",
        "pipelines/b.yaml:2:1 expected spaces, found a tab",
        "sensors/s.yaml:2:41 sensors.one.dedupe",
        "sensors/s.yaml:2:44 sensors.one.setle",
        "sensors/s.yaml:3:46 sensors.two.match.a",
    ]


NAMES = st.sampled_from(
    ["a", "b", "d", "p", "file", "daily", "hourly", "none", "2013-01-01", "x:y", "id", "1s", ""]
)
KEYS = st.sampled_from(
    ["name", "partition", "timezone", "start", "end", "late", "defaults", "datasets", "sensors", "tasks", "inputs", "after", "run", "python", "outputs", "retries", "max", "delay", "env", "type", "dataset", "match", "path", "auth", "scheme", "secret", "keys", "complete", "parts", "count", "any", "all", "of", "at_least", "last", "offset", "partitions", "optional_after", "max_age", "several", "region", "http", "url", "headers", "wait", "lease", "skipped", "expect", "quiet", "schedule", "catchup", "sequential", "paused", "expire", "a", "b", "d"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.floats(allow_nan=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | NAMES, inner, max_size=4),
)
CUTS = st.sampled_from(
    [
        *("none", "hourly", "daily", "monthly", "key"),
        {"keys": ["a", "b"]},
        {"several": {"d": "daily", "a": {"keys": ["a", "b"]}}},
        {"several": {"a": {"keys": ["a", "b"]}, "b": "key"}},
    ]
)
ITEMS = st.fixed_dictionaries(
    {"dataset": NAMES},
    optional={
        "partitions": st.sampled_from(
            ["same", "all", "latest", {"last": 2}, {"a": ["a"]}, {"d": "all", "b": "a"}]
        )
        | VALUES,
        "at_least": VALUES,
    },
)
TASK = st.fixed_dictionaries(
    {"run": NAMES, "inputs": st.lists(NAMES | ITEMS | VALUES, max_size=3) | VALUES},
    optional=dict.fromkeys(("after", "outputs", "retries", "env", "timeout", "http"), VALUES),
)
SENSOR = st.fixed_dictionaries(
    {"type": st.sampled_from(["file", "mqtt", "events", "webhook"]), "dataset": NAMES},
    optional=dict.fromkeys(("path", "url", "topic", "match", "partition", "part", "auth", "dedupe"), VALUES),
)
FILES = st.fixed_dictionaries(
    {"tasks": st.dictionaries(NAMES, TASK | VALUES, max_size=3)},
    optional={
        "sensors": st.dictionaries(NAMES, SENSOR | VALUES, max_size=3) | VALUES,
        **dict.fromkeys(
            ("timezone", "start", "end", "datasets", "defaults", "schedule", "sequential"), VALUES
        ),
        "partition": CUTS | VALUES,
        "datasets": st.dictionaries(NAMES, st.fixed_dictionaries({"partition": CUTS}) | VALUES) | VALUES,
    },
)


@given(FILES, VALUES)
def test_any_values_at_any_place_are_definitions_or_errors(file: dict[str, Any], shared: object) -> None:
    files = {"pipelines/p.yaml": json.dumps(file), "sensors/s.yaml": json.dumps(shared)}
    assert all(problem.file in files for problem in problems(files))
