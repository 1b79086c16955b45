"""How a rule reads values out of an event: by path, regex, format, date and default; and what it cannot."""

from collections.abc import Mapping
from typing import Any

import pytest

from sensorflow.core.errors import ReadingError
from sensorflow.core.messages import EventState, Observed
from sensorflow.core.reading import read_rule, read_text, read_time, read_value
from sensorflow.core.vocabulary import DatasetDefinition, Event, Grain, Partitioning, Reshaped, Rule
from tests.flows import mqtt_sensor, pipeline, receive, same, service, task

NEW_YORK = Partitioning(Grain.DAILY, "America/New_York")
EVENT: dict[str, Any] = {
    "subject": "lake/orders/dt=2013-03-10/part-0.parquet",
    "topic": ["weather", "EWR", "observed"],
    "headers": {"x-day": "2013-03-10"},
    "data": {
        "d": "10.03.2013",
        "at": "2013-03-10T02:30:00+09:00",
        "log": "10/Mar/2013:23:15:00 -0700",
        "week": "2013-W10",
        "number": 20130310,
        "nothing": None,
        "long": "x" * 2_000,
    },
}


def read(source: str | Reshaped | Mapping[str, str | Reshaped], cut: Partitioning = NEW_YORK) -> str:
    dataset = DatasetDefinition(name="d", partitioning=cut)
    partition, _ = read_rule(Rule(dataset="d", partition=source), dataset, EVENT)
    return partition


@pytest.mark.parametrize(
    ("source", "cut", "partition"),
    [
        ("headers.x-day", NEW_YORK, "2013-03-10"),
        ("topic[1]", Partitioning(Grain.KEY), "EWR"),
        (Reshaped(path="subject", regex="dt=([0-9-]+)"), NEW_YORK, "2013-03-10"),
        (Reshaped(path="data.d", format="%d.%m.%Y"), NEW_YORK, "2013-03-10"),
        (Reshaped(path="data.number", format="%Y%m%d"), NEW_YORK, "2013-03-10"),
        (Reshaped(path="data.log", format="%d/%b/%Y:%H:%M:%S %z"), NEW_YORK, "2013-03-11"),
        (
            Reshaped(path="data.log", format="%d/%b/%Y:%H:%M:%S %z"),
            Partitioning(Grain.HOURLY),
            "2013-03-11T06Z",
        ),
        (Reshaped(path="data.log", regex="([^ ]+)", format="%d/%b/%Y:%H:%M:%S"), NEW_YORK, "2013-03-10"),
        (Reshaped(path="data.week", format="%G-W%V"), Partitioning(Grain.WEEKLY), "2013-W10"),
        (Reshaped(path="data.d", regex=r"([0-9]{2}\.[0-9]{4})", format="%m.%Y"), Partitioning(Grain.MONTHLY),
         "2013-03"),
        ("data.at", NEW_YORK, "2013-03-09"),
        (Reshaped(path="data.at", as_date=True), NEW_YORK, "2013-03-10"),
        (Reshaped(path="data.missing", default="2013-01-01"), NEW_YORK, "2013-01-01"),
        (Reshaped(path="data.nothing", format="%d.%m.%Y", default="2013-01-01"), NEW_YORK, "2013-01-01"),
        (Reshaped(path="data.d.deeper", otherwise=Reshaped(path="headers.x-day")), NEW_YORK, "2013-03-10"),
    ],
)  # fmt: skip
def test_a_partition_is_read_as_the_rule_says(
    source: str | Reshaped, cut: Partitioning, partition: str
) -> None:
    assert read(source, cut) == partition


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            Reshaped(path="subject", regex="day=([0-9-]+)"),
            "subject: expected a text that fits day=([0-9-]+), "
            'found "lake/orders/dt=2013-03-10/part-0.parquet"',
        ),
        (
            Reshaped(path="subject", regex="dt=(x*)"),
            'subject: expected a text that fits dt=(x*), found "lake/orders/dt=2013-03-10/part-0.parquet"',
        ),
        (
            Reshaped(path="headers.x-day", format="%d.%m.%Y"),
            'headers.x-day: expected a date as %d.%m.%Y, found "2013-03-10"',
        ),
        (
            Reshaped(path="data.d", as_date=True),
            'data.d: expected a date or an instant as 2013-03-10T05:00:00Z, found "10.03.2013"',
        ),
        (
            Reshaped(path="data.long", regex="(x)"),
            "data.long: expected a text of at most 1000 characters, found 2000",
        ),
        (
            Reshaped(path="data.missing", regex="(x)"),
            "data.missing: expected a field missing, found only at, d, log, long, nothing, number, week",
        ),
        (Reshaped(path="data.nothing", regex="(x)"), "data.nothing: expected a text, found null"),
        (Reshaped(path="topic", format="%Y"), "topic: expected a text, found an array of 3"),
        (
            Reshaped(path="data.d", default="2013-01-01"),
            'data.d: expected a day such as 2013-01-01 or an ISO 8601 instant, found "10.03.2013"',
        ),
    ],
)
def test_what_cannot_be_read_is_said_in_words(source: Reshaped, reason: str) -> None:
    with pytest.raises(ReadingError) as refused:
        read(source)
    assert str(refused.value) == reason


def test_each_dimension_is_read_in_its_own_way() -> None:
    cut = Partitioning(
        Grain.SEVERAL,
        dimensions=(("day", NEW_YORK), ("region", Partitioning(Grain.KEYS, keys=("EWR", "none")))),
    )
    day = Reshaped(path="data.d", format="%d.%m.%Y")
    assert read({"day": day, "region": "topic[1]"}, cut) == "2013-03-10|EWR"
    assert read({"day": day, "region": Reshaped(path="data.r", default="none")}, cut) == "2013-03-10|none"


def test_part_and_id_are_texts_and_a_time_is_one_of_iso_8601() -> None:
    assert read_text(Reshaped(path="subject", regex="(part-[0-9]+)"), EVENT) == "part-0"
    assert read_text("data.number", EVENT) == "20130310"
    assert read_value(Reshaped(path="data.number"), EVENT) == (20130310, "data.number")
    assert read_time("data.at", EVENT) == "2013-03-10T02:30:00+09:00"
    assert read_time(Reshaped(path="data.d", format="%d.%m.%Y"), EVENT) == "2013-03-10"
    with pytest.raises(ReadingError, match=r"data\.d: expected a date or an instant"):
        read_time("data.d", EVENT)


def observed(data: Any) -> Observed:
    event = Event(source="/mqtt/p/s", id=None, subject="a/b", data=data, content=repr(data))
    return Observed(event=event, sensor=("p", "s"))


def test_an_id_and_a_time_that_are_reshaped_are_the_events_own() -> None:
    rule = Rule(
        dataset="a",
        partition="data.day",
        id=Reshaped(path="data.key", regex="order ([0-9]+)"),
        time=Reshaped(path="data.at", format="%Y%m%d"),
    )
    flow = service(pipeline("p", task("load", same("a"))), sensors=(mqtt_sensor(rule),))
    first = receive(flow, observed({"day": "2026-06-01", "key": "order 7", "at": "20260602"}))
    again = receive(flow, observed({"day": "2026-06-03", "key": "order 7 again", "at": "20260603"}))
    assert (first.id, first.state, again.state) == ("7", EventState.ACCEPTED, EventState.DUPLICATE)
    stored = flow.store.reader.event(first.seq)
    assert stored is not None
    assert stored.event.time == "2026-06-02"
    unread = receive(flow, observed({"day": "2026-06-01", "key": "invoice", "at": "20260602"}))
    assert unread.state is EventState.REJECTED
    assert unread.reason == (
        'sensor p/s could not read it: data.key: expected a text that fits order ([0-9]+), found "invoice"'
    )
