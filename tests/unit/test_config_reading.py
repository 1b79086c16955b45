# ruff: noqa: E501 - files and messages stand on one line each, as users see them
"""How rules read values, as files say it: what is meant, and what is wrong with where and why."""

import pytest

from sensorflow.core.vocabulary import Reshaped, Rule
from tests.home_files import compiled, pipeline, wrong, wrong_in_pipeline

HEAD = "tasks: {a: {run: x, inputs: [d]}}\n"
HOURLY = f"datasets: {{d: {{partition: hourly}}}}\n{HEAD}"
PARTS = f"datasets: {{d: {{complete: {{parts: [eu, 01]}}}}}}\n{HEAD}"


def rule_of(text: str) -> Rule:
    (sensor,) = pipeline(text).definitions.sensors.values()
    return sensor.rule


def test_a_value_may_be_read_by_path_regex_format_and_default() -> None:
    rule = rule_of(
        HEAD
        + """
sensors:
  s:
    type: mqtt
    url: mqtt://127.0.0.1
    topic: a/#
    dataset: d
    partition: {path: subject, regex: "/([0-9.]+)$", format: "%d.%m.%Y", default: 2013-01-01}
    part: {path: "topic[1]", default: 01}
    id: {path: data.key}
    time: {path: data.at, as: date}
"""
    )
    assert rule.partition == Reshaped(
        path="subject", regex="/([0-9.]+)$", format="%d.%m.%Y", default="2013-01-01"
    )
    assert rule.part == Reshaped(path="topic[1]", default="01")
    assert rule.id == "data.key"
    assert rule.time == Reshaped(path="data.at", as_date=True)


def test_each_dimension_may_be_read_in_its_own_way() -> None:
    rule = rule_of(
        """
partition: {several: {day: daily, region: key}}
tasks: {a: {run: x, inputs: [d]}}
sensors:
  s: {type: events, dataset: d, partition: {day: {path: data.d, as: date}, region: {path: data.r, default: 7}}}
"""
    )
    assert rule.partition == {
        "day": Reshaped(path="data.d", as_date=True),
        "region": Reshaped(path="data.r", default="7"),
    }


def test_a_file_path_that_a_dimension_reshapes_is_not_the_part_too() -> None:
    rule = rule_of(
        """
partition: {several: {day: daily, region: key}}
tasks: {a: {run: x, inputs: [d]}}
sensors:
  s:
    type: file
    path: "in/{partition}/{part}.csv"
    dataset: d
    partition: {day: data.captures.partition, region: {path: data.captures.part, regex: "^([a-z]+)"}}
"""
    )
    assert rule.part is None


def test_lineage_is_read_by_subset_and_nominal_time_unless_the_sensor_says_otherwise() -> None:
    files = {
        "sensors/s.yaml": """
            datasets:
              hours: {partition: hourly}
              days: {partition: daily}
              keyed: {partition: key}
              whole: {partition: none}
              both: {partition: {several: {day: weekly, region: {keys: [eu]}}}}
            sensors:
              hours: {type: openlineage, dataset: hours}
              days: {type: openlineage, dataset: days}
              keyed: {type: openlineage, dataset: keyed}
              whole: {type: openlineage, dataset: whole}
              both: {type: openlineage, dataset: both}
              own: {type: openlineage, dataset: days, partition: data.run.facets.own.day}
            """,
        "pipelines/p.yaml": "tasks: {a: {run: x, inputs: [days]}}",
    }
    rules = {name: sensor.rule for (_, name), sensor in compiled(files).definitions.sensors.items()}
    nominal = "data.run.facets.nominalTime.nominalStartTime"
    assert rules["hours"].partition == Reshaped(path="partition", otherwise=Reshaped(path=nominal))
    dated = Reshaped(path=nominal, as_date=True)
    assert rules["days"].partition == Reshaped(path="partition", otherwise=dated)
    assert rules["keyed"].partition == "partition"
    assert rules["whole"].partition is None
    assert rules["both"].partition == {
        "day": Reshaped(path="subset.day", otherwise=dated),
        "region": "subset.region",
    }
    assert rules["own"].partition == "data.run.facets.own.day"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {path: data.d, regex: '[0-9]+'}}}",
            '2:74: sensors.s.partition.regex: expected a regex with one group in round brackets, as dt=([0-9-]+), found none in "[0-9]+"',
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {path: data.d, regex: '(a'}}}",
            '2:74: sensors.s.partition.regex: expected a regex, found "(a": missing ), unterminated subpattern at position 0',
        ),
        (
            HEAD
            + "sensors: {s: {type: events, dataset: d, partition: id, part: {path: data.d, regex: '(?=x)(y)'}}}",
            "2:84: sensors.s.part.regex: expected a regex that takes linear time, found looking ahead or behind",
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {path: data.d, format: '%d.%m'}}}",
            '2:75: sensors.s.partition.format: expected a format that names a date once, as %Y/%m/%d, found "%d.%m"',
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {path: data.d, format: '%Q'}}}",
            "2:75: sensors.s.partition.format: expected directives of %Y %y %m %d %b %j %G %V %u %H %M %S %z %%, found %Q",
        ),
        (
            HEAD
            + "sensors: {s: {type: events, dataset: d, partition: {path: data.d, format: '%Y-%m-%d %z'}}}",
            "2:75: sensors.s.partition.format: expected a format that names a date once",
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {path: a..b, default: x}}}",
            "2:59: sensors.s.partition.path: expected a path into the event such as data.rows[0].day, found",
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {as: date}}}",
            "2:41: sensors.s.partition.path: expected this key, found nothing",
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {path: data.d, regexp: x}}}",
            '2:67: sensors.s.partition.regexp: expected a known key, found "regexp"; did you mean "regex"?',
        ),
        (
            HEAD + "sensors: {s: {type: events, dataset: d, partition: {path: data.d, default: soon}}}",
            '2:76: sensors.s.partition.default: expected a day such as 2013-01-01 or an ISO 8601 instant, found "soon"',
        ),
        (
            HOURLY + "sensors: {s: {type: events, dataset: d, partition: {path: data.d, as: date}}}",
            "3:71: sensors.s.partition.as: expected no date, because what is read is hourly, found date",
        ),
        (
            PARTS
            + "sensors: {s: {type: events, dataset: d, partition: id, part: {path: data.r, default: us}}}",
            '3:86: sensors.s.part.default: expected a part of d (01, eu), found "us"',
        ),
        (
            HEAD + "sensors: {s: {type: webhook, auth: none, dataset: d, partition: headers.X-Day}}",
            '2:65: sensors.s.partition: expected the header in lower case, as headers.x-day, found "headers.X-Day"',
        ),
        (
            HEAD + "sensors: {s: {type: openlineage, dataset: d, namespace: x}}",
            '2:46: sensors.s.namespace: expected one of the keys type, dataset, match, partition, part, id, time, dedupe, found "namespace"',
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, problem: str) -> None:
    (found,) = wrong_in_pipeline(text)
    assert found.startswith(problem), found


def test_a_default_of_a_dimension_is_read_as_the_dimension() -> None:
    (found,) = wrong(
        {
            "sensors/s.yaml": """
                datasets: {d: {partition: {several: {day: daily, region: {keys: [eu]}}}}}
                sensors:
                  s: {type: events, dataset: d, partition: {day: data.d, region: {path: data.r, default: us}}}
                """,
            "pipelines/p.yaml": "partition: none\ntasks: {a: {run: x, inputs: [{dataset: d, partitions: latest}]}}",
        }
    )
    assert found == 'sensors/s.yaml:4:90: sensors.s.partition.region.default: expected one of eu, found "us"'
