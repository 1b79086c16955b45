# ruff: noqa: E501 - files and messages stand on one line each, as users see them
"""Several dimensions: how they are cut, read by pipelines and named by rules."""

import json

import pytest

from sensorflow.core.vocabulary import Command, DatasetInput, Grain, Partitioning, Selection
from tests.home_files import compiled, pipeline, wrong_in_pipeline

DAY = Partitioning(Grain.DAILY, "America/New_York")
REGION = Partitioning(Grain.KEYS, keys=("eu", "us"))
DAY_REGION = "{several: {day: daily, region: {keys: [eu, us]}}}"


def read(own: str, theirs: str, item: str = "d") -> DatasetInput:
    (found,) = pipeline(definition(own, theirs, item)).definitions.pipelines.values()
    (leaf,) = found.tasks["t"].inputs
    assert isinstance(leaf, DatasetInput)
    return leaf


def refused(own: str, theirs: str, item: str = "d") -> str:
    (found,) = wrong_in_pipeline(definition(own, theirs, item))
    return found.split(": tasks.t.inputs.")[1]


def definition(own: str, theirs: str, item: str) -> str:
    return f"partition: {own}\ndatasets: {{d: {{partition: {theirs}}}}}\ntasks: {{t: {{run: x, inputs: [{item}]}}}}\n"


# How pipelines and datasets are cut


def test_a_pipeline_has_its_dimensions_in_their_order() -> None:
    found = pipeline(
        f"partition: {DAY_REGION}\ntimezone: America/New_York\ntasks: {{t: {{run: x, inputs: [d]}}}}"
    )
    own = found.definitions.pipelines["p"].partitioning
    dimensions = (("day", DAY), ("region", REGION))
    assert own == Partitioning(Grain.SEVERAL, "America/New_York", dimensions=dimensions)
    assert found.definitions.datasets["d"].partitioning == own


def test_keys_of_a_dimension_are_the_text_that_is_written() -> None:
    found = pipeline("partition: {several: {keys: {keys: [01, true]}, env: key}}\ntasks: {t: {run: x}}")
    named = dict(found.definitions.pipelines["p"].partitioning.dimensions)
    assert named == {"keys": Partitioning(Grain.KEYS, keys=("01", "true")), "env": Partitioning(Grain.KEY)}


def test_start_and_end_are_those_of_the_calendar() -> None:
    found = pipeline(f"partition: {DAY_REGION}\nstart: 20130101\nend: 2013-12-31\ntasks: {{t: {{run: x}}}}")
    own = found.definitions.pipelines["p"]
    assert (own.start, own.end) == ("2013-01-01", "2013-12-31")


def test_a_dataset_in_another_zone_has_all_of_its_dimensions_there() -> None:
    text = (
        f"partition: {DAY_REGION}\ndatasets: {{d: {{timezone: America/New_York}}}}\ntasks: {{t: {{run: x}}}}"
    )
    found = pipeline(text).definitions.datasets["d"].partitioning
    assert found.dimensions == (("day", DAY), ("region", REGION))


def test_the_zone_of_hours_says_nothing_but_for_a_clock_time() -> None:
    cut = "partition: {several: {hour: hourly, region: key}}"
    text = f"timezone: America/New_York\ndatasets: {{d: {{{cut}}}, e: {{{cut}, expect: 02:00}}}}\ntasks: {{t: {{run: x}}}}"
    datasets = pipeline(text).definitions.datasets
    hours = [dict(datasets[name].partitioning.dimensions)["hour"].timezone for name in ("d", "e")]
    assert hours == ["UTC", "America/New_York"]


def test_a_schedule_and_an_order_need_the_calendar_and_known_keys() -> None:
    extra = "schedule: 0 2 * * *\nsequential: true\nstart: 2013-01-01\ntasks: {t: {run: x}}"
    assert wrong_in_pipeline(f"partition: {DAY_REGION}\n{extra}") == []
    found = wrong_in_pipeline(f"partition: {{several: {{a: key, region: {{keys: [eu]}}}}}}\n{extra}")
    assert [problem.split(": ")[1] for problem in found] == ["schedule", "sequential", "start"]


def test_a_dataset_is_expected_only_by_the_calendar() -> None:
    text = "datasets: {{d: {{partition: {}, expect: 1h}}}}\ntasks: {{t: {{run: x}}}}"
    assert wrong_in_pipeline(text.format(DAY_REGION)) == []
    assert wrong_in_pipeline(text.format("{several: {a: key}}")) == [
        "1:48: datasets.d.expect: expected this only of partitions of the calendar, found several (a: key)"
    ]


# How a pipeline reads a dataset


@pytest.mark.parametrize(
    ("own", "theirs", "selection"),
    [
        (DAY_REGION, DAY_REGION, "same"),
        (DAY_REGION, "daily", "same"),
        (DAY_REGION, "hourly", "all"),
        (DAY_REGION, "monthly", "containing"),
        (DAY_REGION, "none", "latest"),
        (DAY_REGION, "{several: {hour: hourly, region: {keys: [us, eu, asia]}}}", "all"),
        (DAY_REGION, "{several: {region: key, month: monthly}}", "containing"),
        (DAY_REGION, "{several: {region: {keys: [eu, us]}}}", "same"),
        ("daily", DAY_REGION, "same"),
        ("monthly", DAY_REGION, "all"),
        ("none", DAY_REGION, "latest"),
        ("none", "{several: {day: daily, customer: key}}", "latest"),
        ("{several: {customer: key}}", "{several: {customer: key, region: {keys: [eu]}}}", "same"),
    ],
)
def test_the_dimensions_say_how_a_dataset_is_read(own: str, theirs: str, selection: str) -> None:
    assert read(own, theirs) == DatasetInput(dataset="d", selection=Selection(selection))


def test_some_keys_of_a_dimension_can_be_enough() -> None:
    theirs = "{several: {day: daily, region: {keys: [eu, us]}, shop: key}}"
    leaf = read("daily", theirs, "{dataset: d, partitions: {region: eu, shop: [01, 2]}}")
    assert leaf.selection is Selection.SAME
    assert leaf.dimensions == {"region": ("eu",), "shop": ("01", "2")}


def test_the_calendar_of_a_dataset_can_be_read_in_every_way() -> None:
    item = "{{dataset: d, partitions: {{day: {}, region: {}}}}}"
    leaf = read("daily", DAY_REGION, item.format("{last: 7}", "[us]"))
    assert (leaf.selection, leaf.count, leaf.dimensions) == (Selection.LAST, 7, {"region": ("us",)})
    leaf = read("monthly", DAY_REGION, item.format("all", "all"))
    assert (leaf.selection, leaf.dimensions) == (Selection.ALL, {})
    leaf = read(DAY_REGION, DAY_REGION, item.format("{offset: -1}", "same"))
    assert (leaf.selection, leaf.count, leaf.dimensions) == (Selection.OFFSET, -1, {})
    assert read("daily", DAY_REGION, "{dataset: d, partitions: {last: 2}}").count == 2


def test_so_many_of_the_keys_can_be_enough() -> None:
    assert read("daily", DAY_REGION, "{dataset: d, at_least: 1}").at_least == 1
    assert read("daily", DAY_REGION, "{dataset: d, at_least: 4, partitions: {last: 2}}").at_least == 4
    assert (
        refused("daily", DAY_REGION, "{dataset: d, at_least: 3}")
        == "0.at_least: expected at most 2, as many as are read, found 3"
    )


@pytest.mark.parametrize(
    ("own", "theirs", "item", "problem"),
    [
        (
            "{keys: [eu, us]}",
            DAY_REGION,
            "d",
            '0: expected "partitions" with one of latest, because d is several (day: daily in UTC; region: keys eu, us), '
            "the pipeline keys eu, us, found nothing",
        ),
        (
            DAY_REGION,
            "{several: {day: daily, region: {keys: [eu]}}}",
            "d",
            '0: expected "partitions" with one of latest, because d is several (day: daily in UTC; region: keys eu), '
            "the pipeline several (day: daily in UTC; region: keys eu, us), found nothing",
        ),
        (
            "daily",
            "{several: {day: daily, customer: key}}",
            "d",
            '0: expected "partitions" to name the keys of customer, as {customer: [a, b]}, because d is '
            "several (day: daily in UTC; customer: key), the pipeline daily in UTC, found none",
        ),
        (
            "daily",
            DAY_REGION,
            "{dataset: d, partitions: {regoin: [eu]}}",
            '0.partitions.regoin: expected a dimension of d (day, region), found "regoin"; did you mean "region"?',
        ),
        (
            "daily",
            DAY_REGION,
            "{dataset: d, partitions: {region: [eu, asia]}}",
            '0.partitions.region: expected keys of eu, us, found "asia"',
        ),
        (
            "daily",
            DAY_REGION,
            "{dataset: d, partitions: {day: 2013-01-01}}",
            '0.partitions.day: expected a way to read partitions that are daily in UTC, found "2013-01-01"',
        ),
        (
            "daily",
            DAY_REGION,
            "{dataset: d, partitions: {day: containing, region: latest}}",
            '0.partitions.region: expected all or keys, because only d has the dimension region, found "latest"',
        ),
        (
            "monthly",
            DAY_REGION,
            "{dataset: d, partitions: {day: same}}",
            "0.partitions.day: expected one of all, latest, {last: n}, {offset: n}, because d is several (day: daily in UTC; "
            "region: keys eu, us), the pipeline monthly in UTC, found same",
        ),
        (
            DAY_REGION,
            DAY_REGION,
            "{dataset: d, partitions: {region: [eu]}}",
            "0.partitions.region: expected same, because the pipeline has the dimension region too, found a list",
        ),
        (
            "{several: {day: daily, kind: key}}",
            "{several: {day: daily, kind: key, region: {keys: [eu, us]}}}",
            "{dataset: d, partitions: latest}",
            "0: expected, by the dimension region of d, a way to read that needs all of them, because d is "
            "several (day: daily in UTC; kind: key; region: keys eu, us), the pipeline several "
            "(day: daily in UTC; kind: key); found latest",
        ),
        (
            "daily",
            DAY_REGION,
            "{dataset: d, partitions: {day: latest, region: [eu]}}",
            "0: expected, by the dimension region of d, a way to read that needs all of them, because d is "
            "several (day: daily in UTC; region: keys eu, us), the pipeline daily in UTC; found latest",
        ),
    ],
)  # fmt: skip
def test_a_reading_that_the_dimensions_do_not_allow_is_refused(
    own: str, theirs: str, item: str, problem: str
) -> None:
    assert refused(own, theirs, item) == problem


def test_reading_the_own_output_of_the_day_before_is_no_cycle() -> None:
    item = "{dataset: o, partitions: {day: {offset: -1}}}"
    text = f"partition: {DAY_REGION}\ntasks: {{t: {{run: x, inputs: [d, {item}], outputs: [o]}}}}"
    assert wrong_in_pipeline(text) == []


@pytest.mark.parametrize(
    ("own", "theirs", "makes_runs"),
    [
        (DAY_REGION, "daily", True),
        (DAY_REGION, "{several: {region: {keys: [eu, us]}}}", False),
        ("{several: {day: daily, customer: key}}", "daily", False),
        ("{several: {day: daily, customer: key}}", "{several: {customer: key, hour: hourly}}", True),
    ],
)
def test_only_what_says_all_open_dimensions_makes_runs(own: str, theirs: str, makes_runs: bool) -> None:
    found = pipeline(definition(own, theirs, "d")).warnings
    assert makes_runs != any("nothing makes runs" in warning.message for warning in found)


# Rules


def test_a_rule_names_a_path_for_each_dimension() -> None:
    found = compiled(
        {
            "pipelines/p.yaml": "tasks: {t: {run: x, inputs: [d]}}",
            "sensors/s.yaml": f"""
                datasets: {{d: {{partition: {DAY_REGION}}}}}
                sensors:
                  posted: {{type: events, dataset: d, partition: {{day: data.d, region: data.r}}}}
                  file: {{type: file, dataset: d, path: "in/{{partition}}/{{part}}.csv", partition: {{day: data.captures.partition, region: data.captures.part}}}}
            """,
        }
    ).definitions.sensors
    assert found["-", "posted"].rule.partition == {"day": "data.d", "region": "data.r"}
    assert found["-", "file"].rule.part is None


@pytest.mark.parametrize(
    ("partition", "problem"),
    [
        (
            "data.d",
            "52: sensors.s.partition: expected a path for each dimension of d, as {day: data.day, region: data.region}, "
            'found "data.d"',
        ),
        (
            "{day: data.d}",
            "52: sensors.s.partition: expected a path for region too, a dimension of d, found none",
        ),
        (
            "{day: data.d, regoin: data.r, region: data.r}",
            '66: sensors.s.partition.regoin: expected a dimension of d (day, region), found "regoin"; '
            'did you mean "region"?',
        ),
    ],
)  # fmt: skip
def test_a_rule_that_does_not_name_each_dimension_is_refused(partition: str, problem: str) -> None:
    text = f"partition: {DAY_REGION}\nsensors: {{s: {{type: events, dataset: d, partition: {partition}}}}}\ntasks: {{t: {{run: x, inputs: [d]}}}}"
    assert [found.removeprefix("2:") for found in wrong_in_pipeline(text)] == [problem]


def test_a_rule_without_any_path_is_refused() -> None:
    text = f"partition: {DAY_REGION}\nsensors: {{s: {{type: events, dataset: d}}}}\ntasks: {{t: {{run: x, inputs: [d]}}}}"
    (found,) = wrong_in_pipeline(text)
    assert found.endswith("as {day: data.day, region: data.region}, found nothing")


# Placeholders


def test_a_dimension_is_never_pasted_into_a_shell_line() -> None:
    (found,) = wrong_in_pipeline(json.dumps({"tasks": {"t": {"run": ["sh", "-c", "x {partition.region}"]}}}))
    assert "expected no placeholder behind a shell's -c" in found
    found_task = (
        pipeline("tasks: {t: {run: [x, '{partition.region}']}}").definitions.pipelines["p"].tasks["t"]
    )
    assert found_task.action == Command(("x", "{partition.region}"))
