# ruff: noqa: E501 - files and messages stand on one line each, as users see them
"""The sections of the sensors `http` and `schedule`: what is right, and what is said where it is wrong."""

import pytest

from sensorflow.config.sources import HttpOptions, ScheduleOptions, UrlTemplate
from sensorflow.core.messages import Observed, Receipt
from sensorflow.core.vocabulary import Catchup, Event, Grain, Partitioning
from sensorflow.testing import VirtualService
from tests.home_files import pipeline, wrong_in_pipeline

TASKS = "tasks: {a: {run: x, inputs: [d]}}\n"
DURATION = "a duration such as 500ms, 30s, 10m, 2h or 1d"


def http(options: str, head: str = "") -> str:
    return head + TASKS + "sensors: {s: {type: http, dataset: d, " + options + "}}"


def schedule(options: str, head: str = "") -> str:
    return head + TASKS + "sensors: {s: {type: schedule, dataset: d, " + options + "}}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (http("partition: data.d"), "2:11: sensors.s.url: expected this key, found nothing"),
        (http("url: 'ftp://h/{partition}'"), '2:44: sensors.s.url: expected a URL of http or https with a host, found "ftp://h/{partition}"'),
        (http('url: "http://{partition}.com/"'), '2:44: sensors.s.url: expected a URL with placeholders only behind its host, found "http://{partition}.com/"'),
        (http('url: "http://h/{part}/{partition}"'), '2:44: sensors.s.url: expected no braces but those of {partition}, {partition:FORMAT} or {partition.NAME}, found "http://h/{part}/{partition}"'),
        (http('url: "http://h/{partition:%Q}"'), '2:44: sensors.s.url: expected a format of %Y %y %m %d %b %j %G %V %u %H %M %S, found "{partition:%Q}"'),
        (http('url: "http://h/{partition:}"'), '2:44: sensors.s.url: expected a format of %Y %y %m %d %b %j %G %V %u %H %M %S, found "{partition:}"'),
        (http('url: "http://h/{partition:%}"'), '2:44: sensors.s.url: expected a format of %Y %y %m %d %b %j %G %V %u %H %M %S, found "{partition:%}"'),
        (http('url: "http://h/{partition}", every: 50ms'), '2:75: sensors.s.every: expected a duration of at least 100ms, found "50ms"'),
        (http('url: "http://h/{partition}", every: 60'), f"2:75: sensors.s.every: expected {DURATION}, found 60"),
        (http('url: "http://h/{partition}", timeout: 0s'), '2:77: sensors.s.timeout: expected a duration of at least 100ms, found "0s"'),
        (http('url: "http://h/{partition}", version: "a..b"'), '2:77: sensors.s.version: expected a path into the event such as data.rows[0].day, found "a..b"'),
        (http('url: "http://h/{partition}", headers: {"a b": c}'), '2:78: sensors.s.headers.a b: expected a header\'s name, found "a b"'),
        (http('url: "http://h/{partition}", headers: {If-None-Match: c}'), '2:78: sensors.s.headers.If-None-Match: expected a header other than accept-encoding, host, if-modified-since, if-none-match, found "If-None-Match"'),
        (http('url: "http://h/{partition}", headers: {A: 1}'), "2:81: sensors.s.headers.A: expected text of one line, found 1"),
        (http('url: "http://h/{partition}", evry: 1m'), '2:68: sensors.s.evry: expected a known key, found "evry"; did you mean "every"?'),
        (http("url: http://h/a"), "2:11: sensors.s.partition: expected a path into the event such as data.day, because d is daily in UTC, found nothing"),
        (http('url: "http://h/{partition}"', "partition: none\n"), '3:44: sensors.s.url: expected no placeholder, because d has no partitions, found "{partition}"'),
        (http('url: "http://h/{partition.region}"'), '2:44: sensors.s.url: expected a dimension of d, which has none, found "{partition.region}"'),
        (http('url: "http://h/{partition.r}"', "partition: {several: {day: daily, region: {keys: [eu]}}}\n"), '3:44: sensors.s.url: expected a dimension of d, which has day, region, found "{partition.r}"'),
        (http('url: "http://h/{partition:%Y}"', "partition: key\n"), '3:44: sensors.s.url: expected no format for keys that are no dates, found "{partition:%Y}"'),
        (schedule("every: 10m, cron: '@daily'"), "2:14: sensors.s: expected one of cron and every, found both"),
        (schedule("partition: time"), "2:14: sensors.s: expected one of cron and every, found none of them"),
        (schedule("every: 10m, catchup: all"), '2:14: sensors.s: expected "cron" beside "catchup", found "every"'),
        (schedule("every: 10m, timezone: UTC"), '2:14: sensors.s: expected "cron" beside "timezone", found "every"'),
        (schedule("every: 500ms"), '2:50: sensors.s.every: expected a duration of at least 1s, found "500ms"'),
        (schedule("cron: '0 25 * * *'"), '2:49: sensors.s.cron: expected an hour of 0-23, found "25" in "0 25 * * *"'),
        (schedule("cron: '@daily', catchup: some"), '2:68: sensors.s.catchup: expected one of none, last, all, found "some"'),
        (schedule("cron: '@daily', timezone: Berlin"), '2:69: sensors.s.timezone: expected a time zone such as Europe/Berlin (is it Europe/Berlin?), found "Berlin"'),
        (schedule("every: 10m", "partition: {keys: [a]}\n"), "3:11: sensors.s.partition: expected a path into the event such as data.day, because d is keys a, found nothing"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(text: str, problem: str) -> None:
    assert wrong_in_pipeline(text) == [problem]


def test_a_secret_of_a_url_is_not_told() -> None:
    text = http('url: "http://h/{oops}?key=${KEY}", partition: data.d')
    (problem,) = wrong_in_pipeline(text, {"KEY": "canary-value"})
    assert "canary" not in problem
    options = HttpOptions(url="http://h/?key=canary-value", headers={"A": "canary-value"})
    assert "canary" not in repr(options)


def test_the_defaults_are_those_that_are_told() -> None:
    sensor = pipeline(http('url: "http://h/{partition}"')).definitions.sensors["p", "s"]
    assert sensor.options == HttpOptions(url="http://h/{partition}", every="60s", timeout="30s")
    assert sensor.rule.partition == "partition"
    sensor = pipeline(schedule("cron: '0 2 * * *'")).definitions.sensors["p", "s"]
    assert sensor.options == ScheduleOptions(cron="0 2 * * *", timezone=None, catchup=Catchup.NONE)
    assert sensor.rule.partition == "partition"


@pytest.mark.parametrize(
    ("head", "is_told"),
    [
        ("", True),
        ("start: 2026-01-01\n", False),
        ("datasets: {d: {expect: 90m}}\n", False),
        ("partition: key\n", False),
    ],
)
def test_a_url_that_is_polled_from_no_day_on_is_a_note(head: str, is_told: bool) -> None:
    found = pipeline(http('url: "http://h/{partition}"', head)).warnings
    message = "polls for the newest ended partition of d and for what open runs wait for; "
    assert [message in str(note) for note in found] == [True] * is_told
    assert pipeline(http("url: http://h/a, partition: data.d")).warnings == []


@pytest.mark.parametrize(
    ("match", "is_told"),
    [("", True), (", match: {dataset: [a/b]}", False), (", match: {data: {job: {name: [j]}}}", False)],
)
def test_a_rule_that_takes_every_output_of_every_run_is_a_note(match: str, is_told: bool) -> None:
    found = pipeline(
        f"tasks: {{t: {{inputs: [d], run: x}}}}\nsensors: {{s: {{type: openlineage, dataset: d{match}}}}}\n"
    ).warnings
    message = 'sensors.s.type: takes every output of every run for d; match: {dataset: ["namespace/name"]} says which'
    assert [message in str(note) for note in found] == [True] * is_told


def test_what_a_sensor_says_of_its_partition_wins() -> None:
    sensor = pipeline(http('url: "http://h/{partition}", partition: data.d')).definitions.sensors["p", "s"]
    assert sensor.rule.partition == "data.d"
    sensor = pipeline(schedule("every: 1h, partition: time")).definitions.sensors["p", "s"]
    assert sensor.rule.partition == "time"
    whole = pipeline(http("url: http://h/a", "partition: none\n")).definitions.sensors["p", "s"]
    assert whole.rule.partition is None


@pytest.mark.parametrize(
    ("template", "partitioning", "key", "url"),
    [
        ("http://h/{partition}", Partitioning(Grain.DAILY), "2026-03-08", "http://h/2026-03-08"),
        ("http://h/{partition:%Y/%m/%d}.csv", Partitioning(Grain.DAILY), "2026-03-08", "http://h/2026/03/08.csv"),
        ("http://h/{partition:%Y/%j}", Partitioning(Grain.DAILY, "Asia/Tokyo"), "2026-03-08", "http://h/2026/067"),
        ("http://h/{partition:%Y%m%dT%H}", Partitioning(Grain.HOURLY, "Asia/Tokyo"), "2026-03-08T05Z", "http://h/20260308T05"),
        ("http://h/{partition}", Partitioning(Grain.HOURLY), "2026-03-08T05Z", "http://h/2026-03-08T05Z"),
        ("http://h/{partition:%G-%V}", Partitioning(Grain.WEEKLY), "2026-W05", "http://h/2026-05"),
        ("http://h/{partition:%b}?x=%7B", Partitioning(Grain.MONTHLY), "2026-02", "http://h/Feb?x=%7B"),
        ("http://h/a b?q={partition}#f", Partitioning(Grain.KEY), "a/b:=+1", "http://h/a%20b?q=a%2Fb%3A%3D%2B1#f"),
        ("http://me:pass@h:1/{partition}", Partitioning(Grain.KEY), "../x", "http://me:pass@h:1/..%2Fx"),
        (
            "http://h/{partition.region}/{partition.day:%Y}?{partition}",
            Partitioning(Grain.SEVERAL, dimensions=(("day", Partitioning(Grain.DAILY)), ("region", Partitioning(Grain.KEY)))),
            "2026-03-08|e/u",
            "http://h/e%2Fu/2026?2026-03-08%7Ce%2Fu",
        ),
    ],
)  # fmt: skip
def test_a_url_holds_its_partition_percent_encoded(
    template: str, partitioning: Partitioning, key: str, url: str
) -> None:
    assert str(UrlTemplate(template).url(partitioning, key)) == url


def test_of_several_dimensions_the_url_names_the_whole_partition() -> None:
    head = "partition: {several: {day: daily, region: {keys: [eu, us]}}}\n"
    compiled = pipeline(http('url: "http://h/{partition.day}/{partition.region}"', head))
    service = VirtualService(compiled.definitions)
    event = Event(source="/http/p/s", id="u@1", extensions={"partition": "2026-03-08|eu"})
    receipt = service.send(Observed(event=event, sensor=("p", "s")))
    assert isinstance(receipt, Receipt) and receipt.arrivals[0].partition == "2026-03-08|eu"


def test_what_a_sensor_wants_to_know_again_is_kept_in_the_commit_of_its_event() -> None:
    service = VirtualService(pipeline(http("url: http://h/a", "partition: none\n")).definitions)
    for n in (1, 2):
        event = Event(source="/http/p/s", id=f"u@{n}", content=f"state {n}", replaces="u")
        service.send(Observed(event=event, sensor=("p", "s")))
        kept = service.store.reader.content("/http/p/s", "u")
        assert kept is not None and (kept.digest, kept.seq) == (f"state {n}", n)
    again = service.send(Observed(event=event, sensor=("p", "s")))
    assert isinstance(again, Receipt) and again.state == "duplicate"
