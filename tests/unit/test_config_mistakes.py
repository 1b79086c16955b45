# ruff: noqa: E501 - files and messages stand on one line each, as users see them
"""Every way in which one file can be wrong, and what is said about it."""

import json

import pytest

from sensorflow.core.vocabulary import Command
from tests.home_files import pipeline, wrong, wrong_in_pipeline

HEAD = "tasks: {a: {run: x, inputs: [d]}}\n"
GRAINS = "none, hourly, daily, weekly, monthly, key, {keys: [...]} or {several: {...}}"
DURATION = "a duration such as 500ms, 30s, 10m, 2h or 1d"
ITEM = "a dataset's name, {dataset: ...}, {any: [...]}, {all: [...]} or {at_least: n, of: [...]}"
NAME = "a name of A-Za-z0-9_- that does not start with -"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- 1", "1:1: expected a mapping, found a list"),
        (
            "tasks: {t: {run: x, inputs: [{any: [a], of: [b]}]}}",
            '1:41: tasks.t.inputs.0.of: expected no such key beside the others, found "of"',
        ),
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
        (HEAD + "partition: {several: {}}", "2:22: partition.several: expected at least one dimension, found an empty mapping"),
        (HEAD + "partition: {several: daily}", '2:22: partition.several: expected a mapping, found "daily"'),
        (
            HEAD + "partition: {several: {day: none}}",
            "2:28: partition.several.day: expected one of hourly, daily, weekly, monthly, key or {keys: [...]}, "
            'found "none"',
        ),
        (
            HEAD + "partition: {several: {day: daily, hour: hourly}}",
            "2:22: partition.several: expected at most one dimension of the calendar, found day and hour",
        ),
        (
            HEAD + "partition: {several: {day: daily, Day: key}}",
            "2:22: partition.several: expected names that differ in more than capital letters, found day, Day",
        ),
        (
            HEAD + "partition: {several: {the day: daily}}",
            "2:23: partition.several.the day: expected a dimension's name of A-Za-z0-9_ that starts with a letter, "
            'found "the day"',
        ),
        (
            HEAD + "partition: {several: {Start: daily}}",
            "2:23: partition.several.Start: expected a dimension's name other than start, end, last, offset, path, as, "
            'found "Start"',
        ),
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
        (HEAD + "partition: key\nstart: a", '3:8: start: expected no start for a pipeline that is key, found "a"'),
        (
            HEAD + "partition: {several: {a: key, b: key}}\nend: a",
            '3:6: end: expected no end for a pipeline that is several (a: key; b: key), found "a"',
        ),
        (HEAD + "late: never", '2:7: late: expected one of ignore, stale, rerun, found "never"'),
        (HEAD + "late: [stale]", "2:7: late: expected one of ignore, stale, rerun, found a list"),
        (HEAD + "max_active_runs: 0", "2:18: max_active_runs: expected a whole number >= 1, found 0"),
        (HEAD + "concurrency: true", "2:14: concurrency: expected a whole number >= 1, found true"),
        (HEAD + "concurency: 1", '2:1: concurency: expected a known key, found "concurency"; did you mean "concurrency"?'),
        (HEAD + "schedule: 5", '2:11: schedule: expected a cron line such as "0 2 * * *", found 5'),
        (
            HEAD + "schedule: 0 25 * * *",
            '2:11: schedule: expected an hour of 0-23, found "25" in "0 25 * * *"',
        ),
        (
            HEAD + "partition: key\nschedule: 0 2 * * *",
            '3:11: schedule: expected no schedule for a pipeline that is key, found "0 2 * * *"',
        ),
        (
            HEAD + "partition: {several: {day: daily, customer: key}}\nschedule: 0 2 * * *",
            "3:11: schedule: expected no schedule for a pipeline that is several (day: daily in UTC; customer: key), "
            'found "0 2 * * *"',
        ),
        (HEAD + "catchup: some", '2:10: catchup: expected one of none, last, all, found "some"'),
        (HEAD + "paused: 'no'", '2:9: paused: expected true or false, found "no"'),
        (HEAD + "expire: 0s", '2:9: expire: expected a duration above 0, found "0s"'),
        (
            HEAD + "sequential: true",
            '2:1: sequential: expected "start" beside it, which is the first partition, found none',
        ),
        (
            HEAD + "partition: {keys: [a, b]}\nsequential: true",
            "3:13: sequential: expected partitions of the calendar, or none, found a pipeline that is keys a, b",
        ),
        (HEAD + "sequential: true\nstart: 1", '3:8: start: expected a day such as 2013-01-01 or an ISO 8601 instant, found "1"'),
        (HEAD + "defaults: {retry: 1}", '2:12: defaults.retry: expected a known key, found "retry"; did you mean "retries"?'),
        (HEAD + "defaults: {timeout: 0s}", '2:21: defaults.timeout: expected a duration above 0, found "0s"'),
        # Tasks.
        ("tasks: {a: {}}", '1:9: tasks.a: expected one of "run", "python" and "http", found none'),
        (
            "tasks: {a: {run: x, http: {url: 'http://h'}}}",
            '1:9: tasks.a: expected one of "run", "python" and "http", found run and http',
        ),
        (
            "tasks: {a: {run: []}}",
            "1:18: tasks.a.run: expected a shell line or a list of a program and its arguments, found an empty list",
        ),
        (
            "tasks: {a: {run: [x, [y]]}}",
            "1:18: tasks.a.run: expected a shell line or a list of a program and its arguments, found a list",
        ),
        ("tasks: {a: {run: }}", '1:9: tasks.a: expected one of "run", "python" and "http", found none'),
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
        ("tasks: {a: {run: x, skipped: fail}}", '1:30: tasks.a.skipped: expected block, found "fail"'),
        ("tasks: {a: {http: 'http://h'}}", '1:19: tasks.a.http: expected a mapping, found "http://h"'),
        ("tasks: {a: {http: {}}}", "1:13: tasks.a.http.url: expected this key, found nothing"),
        (
            "tasks: {a: {http: {url: '{partition}'}}}",
            '1:25: tasks.a.http.url: expected a URL of http or https with a host, found "{partition}"',
        ),
        (
            "tasks: {a: {http: {url: 'http://h/', method: post}}}",
            '1:46: tasks.a.http.method: expected one of POST, PUT, PATCH, GET, DELETE, found "post"',
        ),
        (
            "tasks: {a: {http: {url: 'http://h/', headers: {A B: x}}}}",
            '1:48: tasks.a.http.headers.A B: expected a header\'s name, found "A B"',
        ),
        (
            "tasks: {a: {http: {url: 'http://h/', headers: {Content-Length: x}}}}",
            "1:48: tasks.a.http.headers.Content-Length: expected a header other than content-length and "
            'transfer-encoding, found "Content-Length"',
        ),
        (
            'tasks: {a: {http: {url: "http://h/", headers: {A: "b\\r\\nC: d"}}}}',
            '1:51: tasks.a.http.headers.A: expected text of one line, found "b\\r\\nC: d"',
        ),
        (
            "tasks: {a: {http: {url: 'http://h/', wait: answer}}}",
            '1:44: tasks.a.http.wait: expected callback, found "answer"',
        ),
        (
            "tasks: {a: {http: {url: 'http://h/', lease: 5m}}}",
            '1:19: tasks.a.http: expected "wait: callback" beside "lease", found no wait',
        ),
        (
            "tasks: {a: {http: {url: 'http://h/', body: x}}}",
            "1:38: tasks.a.http.body: expected one of the keys url, method, headers, wait, lease, allow_private, "
            'found "body"',
        ),
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
            "1:55: tasks.a.inputs.0.partitions: expected one of same, all, containing, latest, {last: n}, "
            '{offset: n} or a mapping of dimensions, found "some"',
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
            "1:55: tasks.a.inputs.0.partitions: expected one of same, all, containing, latest, {last: n}, {offset: n}, "
            "because d is daily in UTC, the pipeline daily in UTC, found a mapping",
        ),
        (
            "tasks: {a: {run: x, inputs: [{any: [{all: d}]}]}}",
            '1:43: tasks.a.inputs.0.any.0.all: expected a list, found "d"',
        ),
        (
            "tasks: {a: {run: x, inputs: [{any: [d], or: 1}]}}",
            "1:41: tasks.a.inputs.0.or: expected one of the keys dataset, partitions, at_least, optional_after, max_age, "
            'any, all, of, found "or"',
        ),
        (
            "tasks: {a: {run: x, inputs: [{at_least: 3, of: [d]}]}}",
            "1:41: tasks.a.inputs.0.at_least: expected at most 1, as many as of lists, found 3",
        ),
        (
            "tasks: {a: {run: x, inputs: [{dataset: d, max_age: 0s}]}}",
            '1:52: tasks.a.inputs.0.max_age: expected a duration above 0, found "0s"',
        ),
        (
            "tasks: {a: {run: x, inputs: [{dataset: d, partitions: {region: {keys: [a]}}}]}}",
            "1:64: tasks.a.inputs.0.partitions.region: expected same, all, containing, latest, {last: n}, {offset: n}, "
            "a key or a list of keys, found a mapping",
        ),
        (
            "tasks: {a: {run: x, inputs: [{dataset: d, partitions: {region: [a b]}}]}}",
            "1:65: tasks.a.inputs.0.partitions.region.0: expected a key of A-Za-z0-9._:/=+- that starts with a letter "
            'or digit, found "a b"',
        ),
        # Datasets.
        (HEAD + "datasets: {d: daily}", '2:15: datasets.d: expected a mapping, found "daily"'),
        (
            HEAD + "datasets: {d: {expect: 24:00}}",
            '2:24: datasets.d.expect: expected a clock time such as "02:00", or a duration after the partition\'s end '
            'such as 90m, found "24:00"',
        ),
        (
            HEAD + "datasets: {d: {expect: 90}}",
            '2:24: datasets.d.expect: expected a clock time such as "02:00", or a duration after the partition\'s end '
            "such as 90m, found 90",
        ),
        (
            HEAD + "datasets: {d: {partition: none, expect: 90m}}",
            "2:33: datasets.d.expect: expected this only of partitions of the calendar, found none",
        ),
        (
            HEAD + "partition: key\ndatasets: {d: {expect: 90m}}",
            "3:16: datasets.d.expect: expected this only of partitions of the calendar, found key",
        ),
        (
            HEAD + "datasets: {d: {complete: {quiet: 0s}}}",
            '2:34: datasets.d.complete.quiet: expected a duration above 0, found "0s"',
        ),
        (
            HEAD + "datasets: {d: {complete: {}}}",
            "2:26: datasets.d.complete: expected parts, count or quiet, found none of them",
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
            "2:21: sensors.s.type: expected one of the sensor kinds events, file, http, mqtt, openlineage, schedule, webhook, "
            'found "flie"; did you mean "file"?',
        ),
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
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {path: data.d, as: day}}}",
            '2:71: sensors.s.partition.as: expected date, found "day"',
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {day: a..b}}}",
            '2:58: sensors.s.partition.day: expected a path into the event such as data.rows[0].day, found "a..b"',
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {}}}",
            "2:52: sensors.s.partition: expected a path for each dimension, found an empty mapping",
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {day: data.d}}}",
            "2:52: sensors.s.partition: expected a path into the event such as data.day, because d is daily in UTC, "
            "found a mapping",
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
