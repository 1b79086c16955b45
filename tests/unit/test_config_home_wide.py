# ruff: noqa: E501 - files and messages stand on one line each, as users see them
"""What can be seen only over all files: datasets, names taken twice, cycles, inputs that nothing feeds."""

import pytest

from sensorflow.core.vocabulary import Completeness, Grain, Partitioning
from tests.home_files import compiled, pipeline, wrong, wrong_in_pipeline

NEW_YORK = Partitioning(Grain.DAILY, "America/New_York")


def warnings(files: dict[str, str]) -> list[str]:
    return [str(warning) for warning in compiled(files).warnings]


# Datasets


def test_a_dataset_is_what_the_pipeline_that_outputs_it_is() -> None:
    found = compiled(
        {
            "pipelines/a.yaml": "timezone: America/New_York\ntasks: {t: {run: x, outputs: [made]}}",
            "pipelines/b.yaml": "partition: monthly\ntasks: {t: {run: x, inputs: [made]}}",
        }
    )
    assert found.definitions.datasets["made"].partitioning == NEW_YORK


def test_a_dataset_that_nothing_outputs_is_what_its_reader_is() -> None:
    found = pipeline("timezone: America/New_York\ntasks: {t: {run: x, inputs: [read]}}")
    assert found.definitions.datasets["read"].partitioning == NEW_YORK


def test_a_definition_says_only_what_differs_from_its_pipeline() -> None:
    datasets = pipeline(
        """
        timezone: America/New_York
        datasets:
          counted: {complete: {count: 3}}
          months: {partition: monthly}
          there: {timezone: Europe/Berlin}
          hours: {partition: hourly}
        tasks: {t: {run: x}}
        """
    ).definitions.datasets
    assert datasets["counted"].partitioning == NEW_YORK
    assert datasets["counted"].complete == Completeness(count=3)
    assert datasets["months"].partitioning == Partitioning(Grain.MONTHLY, "America/New_York")
    assert datasets["there"].partitioning == Partitioning(Grain.DAILY, "Europe/Berlin")
    assert datasets["hours"].partitioning == Partitioning(Grain.HOURLY)


def test_a_definition_anywhere_beats_what_readers_would_make_of_it() -> None:
    found = compiled(
        {
            "pipelines/a.yaml": "tasks: {t: {run: x, inputs: [d]}}",
            "pipelines/b.yaml": "partition: hourly\ntasks: {t: {run: x, inputs: [d]}}",
            "sensors/s.yaml": "datasets: {d: {partition: daily, timezone: UTC}}",
        }
    )
    assert found.definitions.datasets["d"].partitioning == Partitioning(Grain.DAILY)


def test_a_shared_dataset_is_in_utc_where_it_does_not_say() -> None:
    found = compiled(
        {
            "pipelines/a.yaml": "timezone: America/New_York\ntasks: {t: {run: x, inputs: [{dataset: d, partitions: all}]}}",
            "sensors/s.yaml": "datasets: {d: {partition: daily}}",
        }
    )
    assert found.definitions.datasets["d"].partitioning == Partitioning(Grain.DAILY, "UTC")


def test_the_same_definition_may_stand_in_two_files() -> None:
    text = "datasets: {d: {partition: weekly, complete: {parts: [a, b]}}}\ntasks: {t: {run: x}}"
    assert wrong({"pipelines/a.yaml": text, "pipelines/b.yaml": text}) == []


def test_two_definitions_that_differ_name_both_places() -> None:
    assert wrong(
        {
            "pipelines/a.yaml": "datasets:\n  d: {partition: weekly}\ntasks: {t: {run: x}}",
            "sensors/s.yaml": "datasets: {d: {partition: weekly, timezone: Europe/Berlin, complete: {count: 2}}}",
        }
    ) == [
        "sensors/s.yaml:1:12: datasets.d: expected d to be weekly in UTC, as at pipelines/a.yaml:2:3, "
        "found weekly in Europe/Berlin with a count of 2"
    ]


def test_two_readers_of_different_grain_name_both_places() -> None:
    assert wrong(
        {
            "pipelines/a.yaml": "tasks: {t: {run: x, inputs: [d]}}",
            "pipelines/b.yaml": "partition: hourly\ntasks: {t: {run: x, inputs: [d]}}",
        }
    ) == [
        "pipelines/b.yaml:2:30: tasks.t.inputs.0: expected d to be daily in UTC, as at pipelines/a.yaml:1:30, "
        'found hourly; say under "datasets" what d is'
    ]


def test_an_output_has_the_grain_of_its_pipeline_or_none() -> None:
    text = "datasets: {{o: {{partition: {}}}}}\ntasks: {{t: {{run: x, outputs: [o]}}}}"
    assert wrong_in_pipeline(text.format("none")) == []
    assert wrong_in_pipeline(text.format("hourly")) == [
        "2:31: tasks.t.outputs.0: expected an output that is daily in UTC as its pipeline, or none, "
        "found hourly at pipelines/p.yaml:1:12"
    ]


def test_a_shared_sensor_feeds_a_dataset_that_something_defines() -> None:
    assert wrong({"sensors/s.yaml": "sensors: {s: {type: events, dataset: d, partition: id}}"}) == [
        'sensors/s.yaml:1:38: sensors.s.dataset: expected a dataset that a file defines or reads, found "d"'
    ]


def test_nothing_is_said_about_grains_that_a_broken_file_may_define() -> None:
    assert wrong(
        {
            "pipelines/a.yaml": "tasks: {t: {run: x, inputs: [{dataset: d, partitions: all}]}}",
            "pipelines/b.yaml": "partition: key\ntasks: {t: {run: x, inputs: [d]}}",
            "sensors/s.yaml": "datasets: {d: {partition: hourli}}",
        }
    ) == [
        "sensors/s.yaml:1:27: datasets.d.partition: expected one of none, hourly, daily, weekly, monthly, key, "
        '{keys: [...]} or {several: {...}}, found "hourli"'
    ]


_NO_GRAIN = "expected one of none, hourly, daily, weekly, monthly, key, {keys: [...]} or {several: {...}}"


def test_all_that_is_wrong_is_told_at_once_though_a_grain_is_broken() -> None:
    assert wrong(
        {
            "pipelines/a.yaml": "partition: dayly\ntasks: {t: {run: x, inputs: [d, {dataset: e, partitions: all}]}}",
            "pipelines/b.yaml": "tasks: {t: {run: x, inputs: [f, {dataset: d, partitions: all}]}}",
            "pipelines/c.yaml": "partition: hourly\ntasks: {t: {run: x, inputs: [f]}}",
            "pipelines/g.yaml": (
                "datasets: {g: {partition: yearly}, h: {partition: monthly}}\n"
                "tasks: {t: {run: x, inputs: [{dataset: g, partitions: all}, {dataset: h, partitions: all}]}}"
            ),
            "sensors/s.yaml": "sensors: {s: {type: events, dataset: lonely, partition: id}}",
        }
    ) == [
        f'pipelines/a.yaml:1:12: partition: {_NO_GRAIN}, found "dayly"',
        "pipelines/c.yaml:2:30: tasks.t.inputs.0: expected f to be daily in UTC, as at pipelines/b.yaml:1:30, "
        'found hourly; say under "datasets" what f is',
        f'pipelines/g.yaml:1:27: datasets.g.partition: {_NO_GRAIN}, found "yearly"',
        "pipelines/g.yaml:2:86: tasks.t.inputs.1.partitions: expected one of containing, latest, {last: n}, "
        "{offset: n}, because h is monthly in UTC, the pipeline daily in UTC, found all",
        'sensors/s.yaml:1:38: sensors.s.dataset: expected a dataset that a file defines or reads, found "lonely"',
    ]


def test_of_a_file_that_cannot_be_read_at_all_nothing_is_expected_but_what_others_say_outright_holds() -> (
    None
):
    assert wrong(
        {
            "pipelines/a.yaml": "tasks: {t: {run: x",
            "pipelines/b.yaml": (
                "datasets: {h: {partition: monthly}}\n"
                "tasks: {t: {run: x, inputs: [{dataset: d, partitions: all}, {dataset: h, partitions: all}]}}"
            ),
        }
    )[1:] == [
        "pipelines/b.yaml:2:86: tasks.t.inputs.1.partitions: expected one of containing, latest, {last: n}, "
        "{offset: n}, because h is monthly in UTC, the pipeline daily in UTC, found all"
    ]


# How a pipeline reads a dataset


@pytest.mark.parametrize(
    ("own", "theirs", "selection"),
    [
        ("daily", "daily", "same"),
        ("daily", "hourly", "all"),
        ("daily", "monthly", "containing"),
        ("monthly", "weekly", "all"),
        ("daily", "none", "latest"),
        ("key", "none", "latest"),
        ("key", "key", "same"),
        ("{keys: [a, b]}", "{keys: [a, b]}", "same"),
    ],
)
def test_the_grains_say_how_a_dataset_is_read(own: str, theirs: str, selection: str) -> None:
    (found,) = pipeline(
        f"partition: {own}\ndatasets: {{d: {{partition: {theirs}}}}}\ntasks: {{t: {{run: x, inputs: [d]}}}}"
    ).definitions.pipelines.values()
    (read,) = found.tasks["t"].inputs
    assert getattr(read, "selection", None) == selection


CALENDAR = "latest, {last: n}, {offset: n}"


@pytest.mark.parametrize(
    ("own", "theirs", "item", "problem"),
    [
        (
            "daily",
            "{partition: key}",
            "d",
            '0: expected "partitions" with one of latest, because d is key, the pipeline daily in UTC, found nothing',
        ),
        (
            "daily",
            "{partition: daily, timezone: Asia/Tokyo}",
            "d",
            f'0: expected "partitions" with one of same, all, containing, {CALENDAR}, because d is daily in Asia/Tokyo, '
            "the pipeline daily in UTC, found nothing",
        ),
        (
            "{keys: [a, b]}",
            "{partition: {keys: [a]}}",
            "d",
            '0: expected "partitions" with one of latest, because d is keys a, the pipeline keys a, b, found nothing',
        ),
        (
            "daily",
            "{partition: monthly}",
            "{dataset: d, partitions: all}",
            f"0.partitions: expected one of containing, {CALENDAR}, because d is monthly in UTC, the pipeline daily in UTC, "
            "found all",
        ),
        (
            "daily",
            "{partition: hourly}",
            "{dataset: d, partitions: same}",
            f"0.partitions: expected one of all, {CALENDAR}, because d is hourly, the pipeline daily in UTC, found same",
        ),
        (
            "daily",
            "{partition: none}",
            "{dataset: d, partitions: {last: 2}}",
            "0.partitions: expected one of latest, because d is none, the pipeline daily in UTC, found {last: n}",
        ),
        (
            "daily",
            "{partition: daily}",
            "{dataset: d, at_least: 1}",
            "0.at_least: expected this only with all or {last: n}, found it with same",
        ),
        (
            "daily",
            "{partition: daily}",
            "{dataset: d, partitions: {last: 2}, at_least: 3}",
            "0.at_least: expected at most 2, as many as are read, found 3",
        ),
    ],
)  # fmt: skip
def test_a_reading_that_the_grains_do_not_allow_is_refused(
    own: str, theirs: str, item: str, problem: str
) -> None:
    (found,) = wrong_in_pipeline(
        f"partition: {own}\ndatasets: {{d: {theirs}}}\ntasks: {{t: {{run: x, inputs: [{item}]}}}}"
    )
    assert found.split(": tasks.t.inputs.")[1] == problem


# Names


def test_two_pipelines_of_one_name_are_refused() -> None:
    assert wrong(
        {"pipelines/a.yaml": "tasks: {t: {run: x}}", "pipelines/b.yml": "name: a\ntasks: {t: {run: x}}"}
    ) == [
        'pipelines/b.yml:1:7: name: expected another name than that of the pipeline at pipelines/a.yaml:1:1, found "a"'
    ]


def test_a_file_whose_stem_is_no_name_needs_a_name() -> None:
    text = "tasks: {t: {run: x}}"
    (found,) = wrong({"pipelines/my pipeline.yaml": text})
    assert found.startswith("pipelines/my pipeline.yaml:1:1: name: expected a name of A-Za-z0-9_- ")
    assert wrong({"pipelines/my pipeline.yaml": f"name: mine\n{text}"}) == []


def test_two_shared_sensors_of_one_name_are_refused_and_one_of_a_pipeline_is_not() -> None:
    sensors = "sensors: {s: {type: events, dataset: d, partition: id}}"
    files = {
        "pipelines/a.yaml": f"{sensors}\ntasks: {{t: {{run: x, inputs: [d]}}}}",
        "sensors/a.yaml": sensors,
    }
    assert wrong(files) == []
    assert wrong({**files, "sensors/b.yaml": sensors}) == [
        'sensors/b.yaml:1:11: sensors.s: expected another name than that of the sensor at sensors/a.yaml:1:11, found "s"'
    ]


def test_two_tasks_that_output_one_dataset_are_refused() -> None:
    files = {
        "pipelines/a.yaml": "tasks: {t: {run: x, outputs: [o]}}",
        "pipelines/b.yaml": "tasks: {u: {run: x, outputs: [o]}}",
    }
    assert wrong(files) == [
        "pipelines/b.yaml:1:31: tasks.u.outputs.0: expected one task that outputs o, found a second beside a.t at "
        "pipelines/a.yaml:1:31"
    ]


# Cycles


def test_a_cycle_of_tasks_names_its_members_in_the_order_of_running() -> None:
    assert wrong_in_pipeline(
        """\
        tasks:
          first: {run: x}
          a: {run: x, after: [first, c]}
          b: {run: x, after: [a]}
          c: {run: x, after: [b]}
          d: {run: x, after: [c]}
        """
    ) == [
        "3:15: tasks.a.after: expected tasks that wait for each other without a cycle, found a -> b -> c -> a"
    ]


def test_a_task_that_waits_for_itself_is_a_cycle() -> None:
    assert wrong_in_pipeline("tasks: {a: {run: x, after: [a]}}") == [
        "1:21: tasks.a.after: expected tasks that wait for each other without a cycle, found a -> a"
    ]


def test_a_cycle_of_pipelines_names_them_and_their_datasets() -> None:
    assert wrong(
        {
            "pipelines/a.yaml": "tasks: {t: {run: x, inputs: [z], outputs: [x]}}",
            "pipelines/b.yaml": "tasks: {t: {run: x, inputs: [x], outputs: [y]}}",
            "pipelines/c.yaml": "tasks: {t: {run: x, inputs: [{any: [w, y]}], outputs: [z]}}",
            "pipelines/d.yaml": "tasks: {t: {run: x, inputs: [x]}}",
        }
    ) == [
        "pipelines/a.yaml:1:30: tasks.t.inputs.0: expected pipelines that wait for each other without a cycle, "
        "found a -(x)-> b -(y)-> c -(z)-> a"
    ]


def test_a_task_that_reads_what_comes_of_it_is_a_cycle() -> None:
    assert wrong_in_pipeline(
        "tasks:\n  a: {run: x, inputs: [o]}\n  b: {run: x, after: [a], outputs: [o]}\n"
    ) == [
        "2:3: tasks.a: expected tasks that wait for each other without a cycle, found a -> b -> a by outputs and inputs"
    ]


def test_reading_the_own_output_of_an_earlier_partition_is_no_cycle() -> None:
    text = "tasks: {t: {run: x, inputs: [d, {dataset: o, partitions: {offset: -1}}], outputs: [o]}}"
    assert wrong_in_pipeline(text) == []


# Warnings


def test_an_input_that_nothing_feeds_is_a_warning() -> None:
    files = {
        "pipelines/a.yaml": "tasks:\n  t: {run: x, inputs: [d]}\n  u: {run: x, inputs: [{any: [d, d]}]}\n"
    }
    assert warnings(files) == [
        "pipelines/a.yaml:2:24: tasks.t.inputs.0: no sensor and no output feeds d: "
        "only POST /api/v1/ready makes it ready"
    ]
    fed = {**files, "sensors/s.yaml": "sensors: {s: {type: events, dataset: d, partition: id}}"}
    assert warnings(fed) == []


def test_a_pipeline_of_which_nothing_makes_runs_is_a_warning() -> None:
    text = """
        datasets: {d: {partition: monthly}}
        sensors: {s: {type: events, dataset: d, partition: id}}
        tasks: {t: {run: x, inputs: [d]}}
    """
    (found,) = warnings({"pipelines/a.yaml": text})
    assert found.endswith(
        "tasks: nothing makes runs of this pipeline: expected an input read by same or all, or a schedule, found containing"
    )
