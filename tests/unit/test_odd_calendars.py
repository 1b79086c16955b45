"""Pipelines over the oddest days, weeks and zones there are, against the clock of the zone itself."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from sensorflow.core.errors import PartitionError
from sensorflow.core.states import AttemptState, RunState
from sensorflow.core.vocabulary import Grain, Partitioning, Selection
from tests.flows import (
    DAILY,
    HOURLY,
    KEY,
    MONTHLY,
    WEEKLY,
    dataset,
    partitions_fired,
    pipeline,
    reads,
    run_of,
    same,
    service,
    task,
    waits,
)

APIA = Partitioning(Grain.DAILY, "Pacific/Apia")
REGIONS = Partitioning(Grain.KEYS, keys=("eu", "us"))


def several(**dimensions: Partitioning) -> Partitioning:
    return Partitioning(Grain.SEVERAL, dimensions=tuple(dimensions.items()))


def hours_of(day: date, timezone: str) -> list[str]:
    """Return the UTC hours whose start the clock of a zone shows on a day: each one near it is asked."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    around = [midnight + timedelta(hours=hour) for hour in range(-26, 54)]
    return [f"{hour:%Y-%m-%dT%H}Z" for hour in around if hour.astimezone(ZoneInfo(timezone)).date() == day]


@pytest.mark.parametrize(
    ("timezone", "day"),
    [
        ("Australia/Lord_Howe", "2026-04-05"),  # The clock is set by half an hour.
        ("Australia/Lord_Howe", "2026-10-04"),
        ("Asia/Kathmandu", "2026-06-01"),  # 5:45 ahead.
        ("Pacific/Chatham", "2026-04-05"),
        ("Pacific/Apia", "2011-12-29"),  # The day after it was left out.
        ("Pacific/Apia", "2011-12-31"),
        ("America/Sao_Paulo", "2018-11-04"),  # Midnight was leapt over.
        ("America/Havana", "2026-03-08"),
        ("Asia/Beirut", "2026-03-29"),
        ("Africa/Cairo", "2026-04-24"),
        ("America/New_York", "2026-11-01"),
    ],
)
def test_a_day_fires_with_its_last_hour_whatever_its_clock_does(timezone: str, day: str) -> None:
    daily = Partitioning(Grain.DAILY, timezone)
    flow = service(
        pipeline("p", task("load", reads("h", Selection.ALL)), partitioning=daily),
        datasets=(dataset("h", HOURLY),),
    )
    *hours, last = hours_of(date.fromisoformat(day), timezone)
    for hour in hours:
        flow.ready("h", hour)
    assert partitions_fired(flow) == []
    assert [wait.partition for wait in waits(flow, "p", day, "load")] == [last]
    flow.ready("h", last)
    assert partitions_fired(flow) == [day]


def test_a_week_whose_sunday_has_23_hours_needs_167_of_them() -> None:
    weekly = Partitioning(Grain.WEEKLY, "America/New_York")
    flow = service(
        pipeline("p", task("load", reads("h", Selection.ALL)), partitioning=weekly),
        datasets=(dataset("h", HOURLY),),
    )
    days = [date(2026, 3, 2) + timedelta(days) for days in range(7)]
    hours = [hour for day in days for hour in hours_of(day, "America/New_York")]
    assert len(hours) == 167
    for hour in reversed(hours):
        assert partitions_fired(flow) == []
        flow.ready("h", hour)
    assert partitions_fired(flow) == ["2026-W10"]


def test_the_day_that_a_zone_left_out_is_in_nobodys_way() -> None:
    flow = service(
        pipeline("one", task("one", same("d")), partitioning=APIA, start="2011-12-28", sequential=True),
        pipeline("both", task("both", same("d"), reads("d", Selection.OFFSET, count=-1)), partitioning=APIA),
        pipeline(
            "week",
            task("week", reads("d", Selection.ALL)),
            partitioning=Partitioning(Grain.WEEKLY, "Pacific/Apia"),
        ),
        datasets=(dataset("d", APIA),),
    )
    with pytest.raises(PartitionError):
        flow.ready("d", "2011-12-30")
    for day in ("2012-01-01", "2011-12-31", "2011-12-29", "2011-12-28", "2011-12-27", "2011-12-26"):
        flow.ready("d", day)
    flow.end_all()
    in_order = ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01"]
    assert partitions_fired(flow, "one") == in_order
    assert sorted(partitions_fired(flow, "both")) == ["2011-12-27", *in_order]
    assert partitions_fired(flow, "week") == ["2011-W52"]


def test_week_53_lies_between_the_years_and_in_the_month_of_its_thursday() -> None:
    flow = service(
        pipeline("w", task("week", reads("a", Selection.ALL), outputs=("weeks",)), partitioning=WEEKLY),
        pipeline(
            "l", task("three", reads("weeks", Selection.LAST, count=3), same("weeks")), partitioning=WEEKLY
        ),
        pipeline("m", task("month", reads("weeks", Selection.ALL)), partitioning=MONTHLY),
        datasets=(dataset("weeks", WEEKLY),),
    )
    for days in range(6 * 7):
        flow.ready("a", (date(2020, 11, 30) + timedelta(days)).isoformat())
        flow.end_all()
    weeks = ["2020-W49", "2020-W50", "2020-W51", "2020-W52", "2020-W53", "2021-W01"]
    assert partitions_fired(flow, "week") == weeks
    assert partitions_fired(flow, "three") == weeks[2:]
    assert partitions_fired(flow, "month") == ["2020-12"]
    with pytest.raises(PartitionError):
        flow.ready("weeks", "2021-W53")


def test_dimensions_of_the_calendar_meet_whatever_they_are_called_and_cut_into() -> None:
    flow = service(
        pipeline(
            "p",
            task("load", reads("h", Selection.ALL)),
            partitioning=several(day=DAILY, region=REGIONS),
        ),
        datasets=(dataset("h", several(hour=HOURLY, region=REGIONS)),),
    )
    for hour in range(24):
        for region in ("eu", "us"):
            if (hour, region) != (7, "us"):
                flow.ready("h", f"2026-06-01T{hour:02}Z|{region}")
    assert partitions_fired(flow) == ["2026-06-01|eu"]
    (wait,) = waits(flow, "p", "2026-06-01|us", "load")
    assert wait.partition == "2026-06-01T07Z|us"


def test_a_day_that_all_customers_read_wakes_those_there_are_and_is_late_for_them_alone() -> None:
    own = several(day=DAILY, customer=KEY)
    flow = service(
        pipeline("p", task("load", same("a"), same("orders")), partitioning=own),
        datasets=(dataset("orders", own),),
    )
    flow.ready("a", "2026-06-01")
    assert partitions_fired(flow) == []
    flow.ready("orders", "2026-06-01|c1")
    flow.ready("orders", "2026-06-02|c2")
    flow.ready("a", "2026-06-02")
    assert partitions_fired(flow) == ["2026-06-01|c1", "2026-06-02|c2"]
    flow.end_all()
    flow.ready("a", "2026-06-01")
    assert run_of(flow, "p", "2026-06-01|c1").stale
    assert not run_of(flow, "p", "2026-06-02|c2").stale


def test_the_latest_is_that_of_all_keys_that_both_sides_have() -> None:
    shop = Partitioning(Grain.KEYS, keys=("a", "b"))
    flow = service(
        pipeline(
            "p",
            task("load", same("x"), reads("prices", Selection.LATEST)),
            partitioning=several(day=DAILY, region=REGIONS, shop=shop),
        ),
        datasets=(
            dataset("x", several(day=DAILY, region=REGIONS, shop=shop)),
            dataset("prices", several(shop=shop, day=DAILY, region=REGIONS)),
        ),
    )
    flow.ready("prices", "a|2026-05-30|us")
    flow.ready("prices", "b|2026-05-30|eu")
    flow.ready("x", "2026-06-01|eu|a")
    assert partitions_fired(flow) == []
    flow.ready("prices", "a|2026-05-30|eu")
    assert partitions_fired(flow) == ["2026-06-01|eu|a"]


def test_a_skipped_day_keeps_its_week_waiting() -> None:
    flow = service(
        pipeline("d", task("day", same("a"), outputs=("days",))),
        pipeline("w", task("week", reads("days", Selection.ALL)), partitioning=WEEKLY),
        datasets=(dataset("days"),),
    )
    for days in range(7):
        flow.ready("a", (date(2026, 6, 1) + timedelta(days)).isoformat())
    first, *others = flow.running()
    flow.end(first, AttemptState.SKIPPED)
    for order in others:
        flow.end(order)
    assert run_of(flow, "w", "2026-W23").state is RunState.WAITING
    assert [wait.partition for wait in waits(flow, "w", "2026-W23", "week")] == ["2026-06-01"]
