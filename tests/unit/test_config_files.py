# ruff: noqa: E501 - files and messages stand on one line each, as users see them
"""What one file says, and every way in which it can be wrong."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.config.kinds import WebhookOptions, WebhookScheme
from sensorflow.core.vocabulary import (
    SHARED,
    Command,
    Completeness,
    DatasetInput,
    Grain,
    InputGroup,
    LatePolicy,
    Partitioning,
    PythonFunction,
    RetryPolicy,
    Selection,
    When,
)
from tests.home_files import compiled, pipeline, problems, wrong, wrong_in_pipeline

#: The contract's example, without what this version has not.
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
defaults: {retries: {max: 2}, timeout: 1h}
datasets:
  weather:
    partition: hourly
    complete: {parts: [EWR, JFK, LGA]}
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
    run: [python, report.py]
"""
SECRET = "whsec_bm90LWEtc2VjcmV0"


def test_the_example_of_the_contract_means_what_it_says() -> None:
    found = pipeline(EXAMPLE, {"AIRLINES_SECRET": SECRET})
    assert found.warnings == []
    assert found.secret_names == {"AIRLINES_SECRET"}
    flights = found.definitions.pipelines["flight_delays"]
    assert flights.partitioning == Partitioning(Grain.DAILY, "America/New_York")
    assert (flights.start, flights.end, flights.late) == ("2013-01-01", "2013-12-31", LatePolicy.STALE)
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
    assert datasets["weather"].partitioning == Partitioning(Grain.HOURLY)
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


HEAD = "tasks: {a: {run: x, inputs: [d]}}\n"
GRAINS = "none, hourly, daily, weekly, monthly, key or {keys: [...]}"
DURATION = "a duration such as 500ms, 30s, 10m, 2h or 1d"
ITEM = "a dataset's name, {dataset: ...}, {any: [...]}, {all: [...]} or {at_least: n, of: [...]}"
NAME = "a name of A-Za-z0-9_- that does not start with -"
NOT_YET = "not supported yet by this version"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- 1", "1:1: expected a mapping, found a list"),
        ("", "1:1: expected a mapping, found nothing"),
        ("{}", "1:1: tasks: expected at least one task, found nothing"),
        ("name: p\ntasks: {}\n", "2:8: tasks: expected at least one task, found nothing"),
        ("tasks: [a]", "1:8: tasks: expected a mapping, found a list"),
        ("tasks: {a: x}", '1:12: tasks.a: expected a mapping, found "x"'),
        ("tasks: {a: }", "1:11: tasks.a: expected a mapping, found nothing"),
        ("tasks: {a b: {run: x}}", f'1:9: tasks.a b: expected {NAME}, found "a b"'),
        ("tasks: {-a: {run: x}}", f'1:9: tasks.-a: expected {NAME}, found "-a"'),
        (HEAD + "name: 1", f"2:7: name: expected {NAME}, found 1"),
        (HEAD + "name: a/b", f'2:7: name: expected {NAME}, found "a/b"'),
        (HEAD + "description: 5", "2:14: description: expected text, found 5"),
        (HEAD + "partition: dayly", f'2:12: partition: expected one of {GRAINS}, found "dayly"'),
        (HEAD + "partition: {keys: []}", "2:19: partition.keys: expected a list of at least 1, found an empty list"),
        (HEAD + "partition: {keys: [a, a]}", '2:19: partition.keys: expected each item once, found "a" twice'),
        (
            HEAD + "partition: {keys: [a, b c]}",
            "2:23: partition.keys.1: expected a key of A-Za-z0-9._:/=+- that starts with a letter or digit, "
            'found "b c"',
        ),
        (HEAD + "partition: none", f'2:12: partition: "none" for a pipeline: {NOT_YET}'),
        (HEAD + "partition: {several: {a: daily}}", f'2:12: partition: "several": {NOT_YET}'),
        (
            HEAD + "timezone: Europe/Berlim",
            '2:11: timezone: expected a time zone such as Europe/Berlin (is it Europe/Berlin?), found "Europe/Berlim"',
        ),
        (HEAD + "timezone: ../../etc", '2:11: timezone: expected a time zone such as Europe/Berlin, found "../../etc"'),
        (HEAD + "timezone: 1", "2:11: timezone: expected a time zone such as Europe/Berlin, found 1"),
        (HEAD + "start: 2013-13-01", '2:8: start: expected a day such as 2013-01-01, found "2013-13-01"'),
        (HEAD + "start: 1", '2:8: start: expected a day such as 2013-01-01 or an ISO 8601 instant, found "1"'),
        (
            HEAD + "start: 2013-02-01\nend: 2013-01-31",
            '3:6: end: expected a partition not before start, which is "2013-02-01", found "2013-01-31"',
        ),
        (HEAD + "partition: key\nstart: a", '3:8: start: expected no start for the grain key, found "a"'),
        (HEAD + "late: rerun", f'2:7: late: "rerun": {NOT_YET}'),
        (HEAD + "late: never", '2:7: late: expected one of ignore, stale, found "never"'),
        (HEAD + "late: [stale]", "2:7: late: expected one of ignore, stale, found a list"),
        (HEAD + "max_active_runs: 0", "2:18: max_active_runs: expected a whole number >= 1, found 0"),
        (HEAD + "concurrency: true", "2:14: concurrency: expected a whole number >= 1, found true"),
        (HEAD + "concurency: 1", '2:1: concurency: expected a known key, found "concurency"; did you mean "concurrency"?'),
        (HEAD + "schedule: '0 2 * * *'", f"2:1: schedule: {NOT_YET}"),
        (HEAD + "catchup: none", f"2:1: catchup: {NOT_YET}"),
        (HEAD + "sequential: false", f"2:1: sequential: {NOT_YET}"),
        (HEAD + "paused: false", f"2:1: paused: {NOT_YET}"),
        (HEAD + "defaults: {retry: 1}", '2:12: defaults.retry: expected a known key, found "retry"; did you mean "retries"?'),
        (HEAD + "defaults: {timeout: 0s}", '2:21: defaults.timeout: expected a duration above 0, found "0s"'),
        # Tasks.
        ("tasks: {a: {}}", '1:9: tasks.a: expected "run" or "python", found neither'),
        ("tasks: {a: {run: x, python: 'a:b'}}", '1:9: tasks.a: expected one of "run" and "python", found both'),
        (
            "tasks: {a: {run: []}}",
            "1:18: tasks.a.run: expected a shell line or a list of a program and its arguments, found an empty list",
        ),
        (
            "tasks: {a: {run: [x, [y]]}}",
            "1:18: tasks.a.run: expected a shell line or a list of a program and its arguments, found a list",
        ),
        ("tasks: {a: {run: }}", '1:9: tasks.a: expected "run" or "python", found neither'),
        (
            "tasks: {a: {python: pipelines/jobs.py}}",
            "1:21: tasks.a.python: expected a function such as pipelines.jobs.delays:join, "
            'found "pipelines/jobs.py"',
        ),
        (
            "tasks: {a: {python: 'a.class:b'}}",
            '1:21: tasks.a.python: expected a function such as pipelines.jobs.delays:join, found "a.class:b"',
        ),
        ("tasks: {a: {run: x, timeout: 10}}", f"1:30: tasks.a.timeout: expected {DURATION}, found 10"),
        ("tasks: {a: {run: x, timeout: 10 s}}", f'1:30: tasks.a.timeout: expected {DURATION}, found "10 s"'),
        ("tasks: {a: {run: x, priority: 1.5}}", "1:31: tasks.a.priority: expected a whole number, found 1.5"),
        (
            "tasks: {a: {run: x, when: always}}",
            "1:27: tasks.a.when: expected one of all_succeeded, all_ended, any_failed, any_succeeded, "
            'found "always"',
        ),
        ("tasks: {a: {run: x, http: {}}}", f"1:21: tasks.a.http: {NOT_YET}"),
        (
            "tasks:\n  load:\n    run: x\n    retries: {max: three}",
            '4:20: tasks.load.retries.max: expected a whole number >= 0, found "three"',
        ),
        ("tasks: {a: {run: x, retries: 3}}", "1:30: tasks.a.retries: expected a mapping, found 3"),
        ("tasks: {a: {run: x, retries: {max: -1}}}", "1:36: tasks.a.retries.max: expected a whole number >= 0, found -1"),
        (
            "tasks: {a: {run: x, retries: {backoff: .inf}}}",
            "1:40: tasks.a.retries.backoff: expected a number >= 1, found inf",
        ),
        (
            "tasks: {a: {run: x, retries: {jitter: 2}}}",
            "1:39: tasks.a.retries.jitter: expected a number from 0 to 1, found 2",
        ),
        (
            "tasks: {a: {run: x, env: {A B: 1}}}",
            '1:27: tasks.a.env.A B: expected the name of an environment variable, found "A B"',
        ),
        (
            "tasks: {a: {run: x, env: {SENSORFLOW_TASK: 1}}}",
            "1:27: tasks.a.env.SENSORFLOW_TASK: expected a name that does not start with SENSORFLOW_, "
            'which is reserved, found "SENSORFLOW_TASK"',
        ),
        ("tasks: {a: {run: x, env: {A: [1]}}}", "1:30: tasks.a.env.A: expected text, found a list"),
        ("tasks: {a: {run: x, outputs: [o, o]}}", '1:30: tasks.a.outputs: expected each item once, found "o" twice'),
        ("tasks: {a: {run: x, after: b}}", '1:28: tasks.a.after: expected a list, found "b"'),
        (
            "tasks: {load: {run: x}, b: {run: x, after: [laod]}}",
            '1:45: tasks.b.after.0: expected a task of this pipeline, found "laod"; did you mean "load"?',
        ),
        # Inputs.
        ("tasks: {a: {run: x, inputs: d}}", '1:29: tasks.a.inputs: expected a list, found "d"'),
        ("tasks: {a: {run: x, inputs: [5]}}", f"1:30: tasks.a.inputs.0: expected {ITEM}, found 5"),
        ("tasks: {a: {run: x, inputs: [{}]}}", "1:30: tasks.a.inputs.0.dataset: expected this key, found nothing"),
        ("tasks: {a: {run: x, inputs: [a b]}}", f'1:30: tasks.a.inputs.0: expected {NAME}, found "a b"'),
        (
            "tasks: {a: {run: x, inputs: [{dataset: d, partitions: some}]}}",
            "1:55: tasks.a.inputs.0.partitions: expected one of same, all, containing, latest, {last: n} or "
            '{offset: n}, found "some"',
        ),
        (
            "tasks: {a: {run: x, inputs: [{dataset: d, partitions: {last: 0}}]}}",
            "1:62: tasks.a.inputs.0.partitions.last: expected a whole number >= 1, found 0",
        ),
        (
            "tasks: {a: {run: x, inputs: [{dataset: d, partitions: {offset: 0}}]}}",
            "1:64: tasks.a.inputs.0.partitions.offset: expected a whole number other than 0, found 0",
        ),
        (
            "tasks: {a: {run: x, inputs: [{dataset: d, partitions: {region: all}}]}}",
            f"1:55: tasks.a.inputs.0.partitions: a mapping of dimensions: {NOT_YET}",
        ),
        (
            "tasks: {a: {run: x, inputs: [{any: [{all: d}]}]}}",
            '1:43: tasks.a.inputs.0.any.0.all: expected a list, found "d"',
        ),
        (
            "tasks: {a: {run: x, inputs: [{any: [d], or: 1}]}}",
            '1:41: tasks.a.inputs.0.or: expected one of the keys dataset, partitions, at_least, optional_after, any, '
            'all, of, found "or"',
        ),
        (
            "tasks: {a: {run: x, inputs: [{at_least: 3, of: [d]}]}}",
            "1:41: tasks.a.inputs.0.at_least: expected at most 1, as many as of lists, found 3",
        ),
        ("tasks: {a: {run: x, inputs: [{dataset: d, max_age: 1h}]}}", f"1:43: tasks.a.inputs.0.max_age: {NOT_YET}"),
        # Datasets.
        (HEAD + "datasets: {d: daily}", '2:15: datasets.d: expected a mapping, found "daily"'),
        (HEAD + "datasets: {d: {expect: 90m}}", f"2:16: datasets.d.expect: {NOT_YET}"),
        (HEAD + "datasets: {d: {complete: {quiet: 3s}}}", f"2:27: datasets.d.complete.quiet: {NOT_YET}"),
        (
            HEAD + "datasets: {d: {complete: {}}}",
            "2:26: datasets.d.complete: expected one of parts and count, found neither",
        ),
        (
            HEAD + "datasets: {d: {complete: {count: 1, parts: [a]}}}",
            "2:26: datasets.d.complete: expected one of parts and count, found both",
        ),
        (
            HEAD + "datasets: {d: {complete: {parts: [1, 01, 1]}}}",
            '2:34: datasets.d.complete.parts: expected each item once, found "1" twice',
        ),
        # Sensors.
        (HEAD + "sensors: {s: {dataset: d}}", "2:11: sensors.s.type: expected this key, found nothing"),
        (
            HEAD + "sensors: {s: {type: events, partition: id}}",
            "2:11: sensors.s.dataset: expected this key, found nothing",
        ),
        (
            HEAD + "sensors: {s: {type: flie, dataset: d, partition: id}}",
            "2:21: sensors.s.type: expected one of the sensor kinds events, file, mqtt, webhook, "
            'found "flie"; did you mean "file"?',
        ),
        (HEAD + "sensors: {s: {type: http, dataset: d, partition: id}}", f'2:21: sensors.s.type: "http": {NOT_YET}'),
        (
            HEAD + "sensors: {s: {type: events, dataset: d}}",
            "2:11: sensors.s.partition: expected a path into the event such as data.day, because d is daily in UTC, "
            "found nothing",
        ),
        (
            HEAD + "datasets: {d: {partition: none}}\nsensors: {s: {type: events, dataset: d, partition: id}}",
            '3:52: sensors.s.partition: expected no partition, because d has none, found "id"',
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: a..b}}",
            '2:52: sensors.s.partition: expected a path into the event such as data.rows[0].day, found "a..b"',
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {path: data.d, as: date}}}",
            f"2:52: sensors.s.partition: a mapping: {NOT_YET}",
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: id, dedupe: 10}}",
            f"2:64: sensors.s.dedupe: expected {DURATION}, found 10",
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: id, every: 1s}}",
            "2:56: sensors.s.every: expected one of the keys type, dataset, match, partition, part, id, time, dedupe, "
            'found "every"',
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: id, match: x}}",
            '2:63: sensors.s.match: expected a mapping, found "x"',
        ),
        (
            HEAD + "sensors:\n  s:\n    type: events\n    dataset: d\n    partition: id\n    match: {data: {a.b: [{numeric: ['>']}]}}",
            "7:36: sensors.s.match.data.a.b.0.numeric: ",
        ),
        (
            HEAD + "sensors: {s: {type: file, dataset: d, path: 'x/{partition}', setle: 1s}}",
            '2:62: sensors.s.setle: expected a known key, found "setle"; did you mean "settle"?',
        ),
        (
            HEAD + "sensors: {s: {type: webhook, dataset: d, partition: data.day}}",
            "2:11: sensors.s.auth: expected this key, found nothing",
        ),
        (
            HEAD + "sensors: {s: {type: webhook, dataset: d, partition: data.day, auth: github}}",
            '2:69: sensors.s.auth: expected a secret too: {scheme: github, secret: ...}, found "github"',
        ),
        (
            HEAD + "sensors: {s: {type: webhook, dataset: d, partition: data.day, auth: {scheme: githup, secret: x}}}",
            "2:78: sensors.s.auth.scheme: expected one of none, github, bearer, standard-webhooks, hmac-sha256, "
            'found "githup"',
        ),
        (
            HEAD + "sensors: {s: {type: webhook, dataset: d, partition: data.day, auth: {scheme: hmac-sha256, secret: x}}}",
            "2:69: sensors.s.auth: expected a header for the scheme hmac-sha256, found a mapping",
        ),
        (
            HEAD + "sensors: {s: {type: webhook, dataset: d, partition: data.day, auth: {scheme: bearer, secret: []}}}",
            "2:94: sensors.s.auth.secret: expected a secret or a list of secrets, found an empty list",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, problem: str) -> None:
    (found,) = wrong_in_pipeline(text)
    assert found.startswith(problem)
    assert found == problem or problem.endswith(": ")


@pytest.mark.parametrize(
    "argv",
    [
        ["sh", "-c", "echo {partition}"],
        ["/bin/bash", "-lc", "echo {run_id}"],
        ["env", "A=1", "bash", "-o", "pipefail", "-ec", "x; echo {task}"],
        ["bash", "-c", "-e", "echo {attempt}"],
    ],
)
def test_a_placeholder_is_never_pasted_into_a_shell_line(argv: list[str]) -> None:
    (found,) = wrong_in_pipeline(json.dumps({"tasks": {"a": {"run": argv}}}))
    assert "tasks.a.run: expected no placeholder behind a shell's -c" in found
    assert found.endswith(f'found "{argv[-1]}"')


@pytest.mark.parametrize(
    "argv",
    [
        ["sh", "-c", 'echo "$1"', "-", "{partition}"],
        ["sh", "-c", "awk '{print $1}' ${SENSORFLOW_PARTITION}.csv {}"],
        ["sh", "script.sh", "{partition}"],
        ["python", "-c", "import sys", "{partition}"],
    ],
)
def test_a_placeholder_that_a_shell_does_not_read_as_code_is_fine(argv: list[str]) -> None:
    (found,) = pipeline(json.dumps({"tasks": {"a": {"run": argv}}})).definitions.pipelines.values()
    assert found.tasks["a"].action == Command(tuple(argv))


def test_a_shared_dataset_says_how_it_is_cut() -> None:
    assert wrong({"sensors/s.yaml": "datasets: {d: {}}"}) == [
        "sensors/s.yaml:1:12: datasets.d.partition: expected this key, found nothing"
    ]


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
    ["name", "partition", "timezone", "start", "end", "late", "defaults", "datasets", "sensors", "tasks", "inputs", "after", "run", "python", "outputs", "retries", "max", "delay", "env", "type", "dataset", "match", "path", "auth", "scheme", "secret", "keys", "complete", "parts", "count", "any", "all", "of", "at_least", "last", "offset", "partitions", "optional_after", "a", "b", "d"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.floats(allow_nan=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | NAMES, inner, max_size=4),
)
TASK = st.fixed_dictionaries(
    {"run": NAMES},
    optional=dict.fromkeys(("inputs", "after", "outputs", "retries", "env", "timeout"), VALUES),
)
SENSOR = st.fixed_dictionaries(
    {"type": st.sampled_from(["file", "mqtt", "events", "webhook"]), "dataset": NAMES},
    optional=dict.fromkeys(("path", "url", "topic", "match", "partition", "part", "auth", "dedupe"), VALUES),
)
FILES = st.fixed_dictionaries(
    {"tasks": st.dictionaries(NAMES, TASK | VALUES, max_size=3)},
    optional={
        "sensors": st.dictionaries(NAMES, SENSOR | VALUES, max_size=3) | VALUES,
        **dict.fromkeys(("partition", "timezone", "start", "end", "datasets", "defaults", "late"), VALUES),
    },
)


@given(FILES, VALUES)
def test_any_values_at_any_place_are_definitions_or_errors(file: dict[str, Any], shared: object) -> None:
    files = {"pipelines/p.yaml": json.dumps(file), "sensors/s.yaml": json.dumps(shared)}
    assert all(problem.file in files for problem in problems(files))
