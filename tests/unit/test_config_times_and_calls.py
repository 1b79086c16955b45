# ruff: noqa: E501 - files and messages stand on one line each, as users see them
"""What a file says about time, order and operation of a pipeline, and about the servers that its tasks call."""

import pytest

from sensorflow.core.vocabulary import (
    Catchup,
    Completeness,
    DatasetInput,
    Expectation,
    Grain,
    HttpCall,
    LatePolicy,
    Partitioning,
    PipelineDefinition,
    Selection,
    TaskDefinition,
)
from tests.home_files import compiled, pipeline, wrong, wrong_in_pipeline


def definition(text: str) -> PipelineDefinition:
    (found,) = pipeline(text).definitions.pipelines.values()
    return found


def task(text: str, environ: dict[str, str] | None = None) -> TaskDefinition:
    (found,) = pipeline(text, environ).definitions.pipelines.values()
    return found.tasks["t"]


def warnings(text: str) -> list[str]:
    fed = "sensors: {s: {type: events, dataset: d, partition: data.d}}\n"
    return [str(warning).removeprefix("pipelines/p.yaml:") for warning in pipeline(fed + text).warnings]


# Time and order


def test_a_pipeline_says_when_and_in_which_order_it_runs() -> None:
    found = definition(
        """
        start: 2013-01-01
        late: rerun
        schedule: 0 2 * * *
        catchup: last
        sequential: true
        paused: true
        expire: 2d
        tasks: {t: {run: x}}
        """
    )
    assert (found.late, found.schedule, found.catchup) == (LatePolicy.RERUN, "0 2 * * *", Catchup.LAST)
    assert (found.sequential, found.paused, found.expire_s) == (True, True, 172_800.0)


def test_without_a_word_a_pipeline_runs_as_its_data_comes() -> None:
    found = definition("tasks: {t: {run: x}}")
    assert (found.schedule, found.catchup, found.expire_s) == (None, Catchup.NONE, None)
    assert (found.sequential, found.paused) == (False, False)


def test_a_pipeline_without_partitions_can_have_a_schedule_and_an_order() -> None:
    found = definition("partition: none\nschedule: '@daily'\nsequential: true\ntasks: {t: {run: x}}")
    assert (found.partitioning.grain, found.schedule, found.sequential) == (Grain.NONE, "@daily", True)


def test_a_sequential_pipeline_may_read_its_own_output_of_the_partition_before() -> None:
    text = """
        sequential: true
        start: 2013-01-01
        tasks: {t: {run: x, inputs: [d, {dataset: o, partitions: {offset: -1}}], outputs: [o]}}
    """
    assert wrong_in_pipeline(text) == []


def test_a_broken_start_is_the_only_thing_said_about_it() -> None:
    (found,) = wrong_in_pipeline("tasks: {t: {run: x}}\nsequential: true\nstart: [1]")
    assert found.startswith("3:8: start: expected text")


def test_catchup_without_a_schedule_is_a_warning() -> None:
    assert warnings("tasks: {t: {run: x, inputs: [d]}}\ncatchup: all\n") == [
        "3:1: catchup: has no effect without a schedule"
    ]
    assert warnings("tasks: {t: {run: x, inputs: [d]}}\ncatchup: none\n") == []


# Pipelines without partitions


def test_a_pipeline_without_partitions_reads_the_newest_of_every_dataset() -> None:
    found = definition(
        """
        partition: none
        datasets: {d: {partition: daily}, k: {partition: key}}
        tasks: {t: {run: x, inputs: [d, k, n, {dataset: n, partitions: same}, {dataset: d, partitions: latest}]}}
        """
    )
    selections = [item.selection for item in found.tasks["t"].inputs if isinstance(item, DatasetInput)]
    assert selections == [Selection.LATEST] * 3 + [Selection.SAME, Selection.LATEST]


def test_a_dataset_that_only_a_pipeline_without_partitions_reads_has_none() -> None:
    found = pipeline("partition: none\ntasks: {t: {run: x, inputs: [d]}}").definitions
    assert found.datasets["d"].partitioning == Partitioning(Grain.NONE)


def test_without_partitions_there_is_nothing_the_same() -> None:
    text = "partition: none\ndatasets: {d: {partition: daily}}\ntasks: {t: {run: x, inputs: [{dataset: d, partitions: same}]}}"
    assert wrong_in_pipeline(text) == [
        "3:55: tasks.t.inputs.0.partitions: expected one of latest, because d is daily in UTC, the pipeline none, found same"
    ]


def test_a_policy_for_late_data_has_no_effect_without_partitions() -> None:
    text = (
        "datasets: {d: {partition: daily}}\nlate: rerun\npartition: none\ntasks: {t: {run: x, inputs: [d]}}\n"
    )
    assert warnings(text) == ["3:1: late: has no effect for a pipeline without partitions"]


# What makes runs


def test_only_waking_inputs_need_a_schedule() -> None:
    text = "datasets: {d: {partition: monthly}}\ntasks: {t: {run: x, inputs: [d]}}\n"
    (found,) = warnings(text)
    assert "nothing makes runs of this pipeline" in found
    assert warnings(text + "schedule: 0 2 * * *\n") == []


def test_any_input_makes_runs_of_a_pipeline_without_partitions() -> None:
    text = "datasets: {d: {partition: daily}}\npartition: none\ntasks: {t: {run: x, inputs: [d]}}\n"
    assert warnings(text) == []
    (found,) = [str(warning) for warning in pipeline("partition: none\ntasks: {t: {run: x}}").warnings]
    assert found.endswith(
        "nothing makes runs of this pipeline: expected an input, or a schedule, found no inputs"
    )


# Bounds that do not meet


@pytest.mark.parametrize(
    ("own", "theirs", "why"),
    [
        (
            "timezone: Asia/Kolkata",
            "partition: hourly",
            "an hour lies in two partitions that are daily in Asia/Kolkata; it belongs to that of its start",
        ),
        (
            "timezone: Australia/Lord_Howe\npartition: monthly",
            "partition: hourly",
            "an hour lies in two partitions that are monthly in Australia/Lord_Howe; it belongs to that of its start",
        ),
        (
            "partition: hourly",
            "{partition: daily, timezone: Asia/Kathmandu}",
            "an hour lies in two partitions that are daily in Asia/Kathmandu; it belongs to that of its start",
        ),
        ("partition: monthly", "partition: weekly", "a week lies in two months; it belongs to that of its Thursday"),
        ("partition: weekly", "partition: monthly", "a week lies in two months; it belongs to that of its Thursday"),
        (
            "partition: monthly",
            "{partition: daily, timezone: Asia/Tokyo}",
            "a partition that is daily in Asia/Tokyo lies in two that are monthly in UTC; it belongs to that of its start",
        ),
        (
            "timezone: America/New_York\nstart: 1880-01-01\nend: 1880-12-31",
            "partition: hourly",
            "an hour lies in two partitions that are daily in America/New_York; it belongs to that of its start",
        ),
        ("timezone: America/New_York", "partition: hourly", None),
        ("timezone: America/Caracas\nstart: 2017-01-01", "partition: hourly", None),
        ("partition: monthly\ntimezone: Asia/Kolkata", "{partition: daily, timezone: Asia/Kolkata}", None),
        ("partition: monthly\ntimezone: Asia/Kolkata", "partition: none", None),
    ],
)  # fmt: skip
def test_bounds_that_straddle_are_a_warning(own: str, theirs: str, why: str | None) -> None:
    theirs = theirs.strip("{}")
    sensor = "sensors: {s: {type: events, dataset: d, partition: data.d}}" if "none" not in theirs else ""
    found = pipeline(f"{own}\n{sensor}\ndatasets: {{d: {{{theirs}}}}}\ntasks: {{t: {{run: x, inputs: [d]}}}}")
    straddling = [w.message for w in found.warnings if w.message.startswith("bounds straddle")]
    assert straddling == ([] if why is None else [f"bounds straddle: {why}"])


def test_what_is_read_by_latest_does_not_straddle() -> None:
    text = "timezone: Asia/Kolkata\ndatasets: {h: {partition: hourly}}\ntasks: {t: {run: x, inputs: [d, {dataset: h, partitions: latest}]}}"
    assert not [w for w in pipeline(text).warnings if "straddle" in w.message]


# Datasets


def test_a_dataset_is_complete_when_nothing_more_comes() -> None:
    found = pipeline(
        """
        datasets:
          a: {complete: {quiet: 30s}}
          b: {complete: {parts: [x, y], quiet: 1m}}
          c: {complete: {count: 3, quiet: 1m}}
        tasks: {t: {run: x}}
        """
    ).definitions.datasets
    assert found["a"].complete == Completeness(quiet_s=30.0)
    assert found["b"].complete == Completeness(parts=frozenset({"x", "y"}), quiet_s=60.0)
    assert found["c"].complete == Completeness(count=3, quiet_s=60.0)


def test_a_dataset_is_expected_at_a_clock_time_or_so_long_after_the_partition() -> None:
    found = pipeline(
        """
        timezone: America/New_York
        datasets:
          a: {expect: 02:30}
          b: {expect: 90m}
          c: {expect: "23:59", partition: monthly, timezone: Asia/Tokyo}
        tasks: {t: {run: x}}
        """
    ).definitions.datasets
    assert found["a"].expect == Expectation(clock_s=9000)
    assert found["b"].expect == Expectation(after_s=5400.0)
    assert found["c"].expect == Expectation(clock_s=86_340)
    assert found["c"].partitioning == Partitioning(Grain.MONTHLY, "Asia/Tokyo")


def test_a_clock_time_is_one_of_the_zone_also_where_partitions_are_utc_hours() -> None:
    text = "timezone: America/New_York\ndatasets: {{d: {{partition: hourly, expect: {}}}}}\ntasks: {{t: {{run: x, inputs: [d], outputs: [o]}}}}"
    clock = pipeline(text.format('"02:00"')).definitions.datasets["d"]
    assert clock.partitioning == Partitioning(Grain.HOURLY, "America/New_York")
    after = pipeline(text.format("1h")).definitions.datasets["d"]
    assert after.partitioning == Partitioning(Grain.HOURLY)


def test_an_output_may_have_a_clock_time() -> None:
    text = 'timezone: America/New_York\npartition: hourly\ndatasets: {o: {expect: "02:00"}}\ntasks: {t: {run: x, outputs: [o]}}'
    assert wrong_in_pipeline(text) == []


def test_definitions_that_differ_in_what_is_expected_name_both_places() -> None:
    text = "datasets: {{d: {{complete: {{quiet: 30s}}, expect: {}}}}}\ntasks: {{t: {{run: x}}}}"
    assert wrong({"pipelines/a.yaml": text.format("02:30"), "pipelines/b.yaml": text.format("1h")}) == [
        "pipelines/b.yaml:1:12: datasets.d: expected d to be daily in UTC with a quiet of 30 s, expected at 02:30 in UTC, "
        "as at pipelines/a.yaml:1:12, found daily in UTC with a quiet of 30 s, expected 1 h after the partition's end"
    ]


# Tasks


def test_an_arrival_may_be_too_old_to_count() -> None:
    found = task("tasks: {t: {run: x, inputs: [{dataset: d, max_age: 24h}]}}")
    assert found.inputs == (DatasetInput(dataset="d", selection=Selection.SAME, max_age_s=86_400.0),)


def test_a_task_says_whether_a_skipped_one_above_blocks_it() -> None:
    assert task("tasks: {t: {run: x, skipped: block}}").skipped_blocks
    assert not task("tasks: {t: {run: x}}").skipped_blocks


def test_a_priority_for_all_tasks_gives_way_to_the_own_one() -> None:
    found = definition("defaults: {priority: 5}\ntasks: {a: {run: x}, b: {run: x, priority: 0}}")
    assert (found.tasks["a"].priority, found.tasks["b"].priority) == (5, 0)


def test_a_task_can_ask_a_server() -> None:
    found = task(
        """
        tasks:
          t:
            http:
              url: https://${HOST}:8443/days/{partition}?token=${TOKEN}&try={attempt}
              method: PUT
              headers: {Authorization: "Bearer ${TOKEN}", X-Day: "$${day}"}
              wait: callback
              lease: 5m
              allow_private: true
        """,
        {"HOST": "jobs.example.com", "TOKEN": "s3cret"},
    )
    assert found.action == HttpCall(
        url="https://jobs.example.com:8443/days/{partition}?token=s3cret&try={attempt}",
        method="PUT",
        headers={"Authorization": "Bearer s3cret", "X-Day": "${day}"},
        callback=True,
        lease_s=300.0,
        allow_private=True,
    )


def test_a_call_has_defaults_and_its_secrets_are_known() -> None:
    found = compiled({"pipelines/p.yaml": "tasks: {t: {http: {url: 'http://[::1]/${S}'}}}"}, {"S": "x"})
    assert found.definitions.pipelines["p"].tasks["t"].action == HttpCall(url="http://[::1]/x")
    assert found.secret_names == {"S"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://{partition}.example.com/", "placeholders only behind its host"),
        ("https://{pipeline}@example.com/", "placeholders only behind its host"),
        ("https://example.com:{attempt}/", "placeholders only behind its host"),
        ("https://{partition.region}/", "placeholders only behind its host"),
        ("ftp://example.com/", "http or https"),
        ("file:///etc/passwd", "http or https"),
        ("//example.com/", "http or https"),
        ("http:/example.com", "http or https"),
        ("http://:80/", "http or https"),
        ("http://example.com:99999/", "a URL such as"),
        ("http://[::1/", "a URL such as"),
        ("http://example.com\\\\@evil.example/", "a URL such as"),
        ("http://example.com/a b", "a URL such as"),
        ("http://example.com/\\n", "a URL such as"),
        ("", "a URL of http or https"),
    ],
)
def test_a_url_names_its_host_literally(url: str, expected: str) -> None:
    (found,) = wrong_in_pipeline(f'tasks: {{t: {{http: {{url: "{url}"}}}}}}')
    assert found.startswith("1:25: tasks.t.http.url: expected")
    assert expected in found


def test_no_error_in_a_call_shows_what_came_from_the_environment() -> None:
    text = 'tasks: {t: {http: {url: "http://${S}/", headers: {A: "${S}", "${S}": x}}}}'
    found = "".join(wrong_in_pipeline(text, {"S": "c4nary\nvalue"}))
    assert "tasks.t.http.url" in found
    assert "tasks.t.http.headers.A" in found
    assert "c4na" not in found


def test_an_unset_name_in_a_call_is_an_error() -> None:
    assert wrong_in_pipeline('tasks: {t: {http: {url: "http://${NOPE}/"}}}') == [
        "1:25: tasks.t.http.url: expected the environment variable NOPE to be set, found it unset"
    ]
