"""The schedule sensor under clocks that are set, leap and stop: no time is missed, none comes twice."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sensorflow.core.partitions import bounds
from sensorflow.core.vocabulary import Catchup, Event, Grain, Partitioning
from sensorflow.sensors.schedule import ScheduleSensor, newest_time, passed_over
from tests.asking import SettableClock, Told
from tests.observing import Observing

HOUR, DAY = 3600.0, 86_400.0
DAILY = Partitioning(Grain.DAILY, "America/New_York")


def instant(day: str, hour: float = 0.0) -> float:
    """Return an hour of a day, in UTC."""
    limits = bounds(Partitioning(Grain.DAILY), day)
    assert limits is not None
    return limits.start + hour * HOUR


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the sensor notice at once what a test does to its clock."""
    monkeypatch.setattr(ScheduleSensor, "look_s", 0.001)
    return


class Service(Told):
    """Answers as a service at a time, over restarts of the sensor."""

    clock: SettableClock

    def __init__(self, now: float, partitioning: Partitioning = DAILY, timezone: str = "UTC") -> None:
        super().__init__(clock=SettableClock(now), partitioning=partitioning, timezone=timezone)

    def sensor(self, home: Path, **options: object) -> Observing:
        return Observing(ScheduleSensor, options, home, service=self)


def ids(seen: Observing) -> list[str]:
    return [str(event.id) for event in seen.events]


def has(count: int) -> Callable[[Observing], bool]:
    return lambda so_far: len(so_far.events) >= count


async def test_a_time_of_the_cron_is_an_event_of_that_instant(tmp_path: Path) -> None:
    service = Service(instant("2026-03-08", 1))
    async with service.sensor(tmp_path, cron="0 2 * * *") as seen:
        await seen.until_well()
        service.clock.advance(HOUR)
        await seen.until_count(1)
    assert seen.events == [
        Event(
            source="/schedule/flights/landed",
            id="2026-03-08T02:00:00Z",
            time="2026-03-08T02:00:00Z",
            data={},
            # At 02:00 UTC it is the evening of the 7th in New York: the 6th is the newest that has ended.
            extensions={"partition": "2026-03-06"},
            content=seen.events[0].content,
            replaces="schedule",
        )
    ]


async def test_the_cron_goes_by_the_zone_of_the_file_or_its_own_also_where_clocks_are_set(
    tmp_path: Path,
) -> None:
    service = Service(instant("2026-03-07", 0), timezone="America/New_York")
    async with service.sensor(tmp_path, cron="30 2 * * *") as of_file:
        await of_file.until_well()
        for count in (1, 2, 3):
            service.clock.advance(DAY)
            await of_file.until_count(count)
    # On 8 March the clock of New York leaps over 02:30.
    assert ids(of_file) == ["2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]
    async with service.sensor(tmp_path, cron="30 2 * * *", timezone="Europe/Berlin") as own:
        await own.until_well()
        service.clock.advance(DAY)
        await own.until_count(1)
    assert ids(own) == ["2026-03-10T01:30:00Z"]


async def test_a_dataset_without_a_calendar_gets_no_partition(tmp_path: Path) -> None:
    service = Service(instant("2026-03-08"), Partitioning(Grain.NONE))
    async with service.sensor(tmp_path, every="10m") as seen:
        await seen.until_count(1)
    assert seen.events[0].extensions == {}


@pytest.mark.parametrize(
    ("catchup", "made_up_for"),
    [
        ("none", []),
        ("last", ["2026-03-08T05:00:00Z"]),
        ("all", [f"2026-03-08T0{hour}:00:00Z" for hour in (2, 3, 4, 5)]),
    ],
)
async def test_times_that_a_stop_missed_are_made_up_for_as_catchup_says(
    catchup: str, made_up_for: list[str], tmp_path: Path
) -> None:
    service = Service(instant("2026-03-08", 0.5))
    async with service.sensor(tmp_path, cron="0 * * * *", catchup=catchup) as before:
        await before.until_well()
        service.clock.advance(HOUR / 2)
        await before.until_count(1)
        service.keep(before.events)
    service.clock.advance(4.5 * HOUR)
    async with service.sensor(tmp_path, cron="0 * * * *", catchup=catchup) as after:
        await after.until(has(len(made_up_for)))
        service.clock.advance(HOUR / 2)
        await after.until(has(len(made_up_for) + 1))
    assert ids(before) == ["2026-03-08T01:00:00Z"]
    assert ids(after) == [*made_up_for, "2026-03-08T06:00:00Z"]


async def test_a_time_that_a_short_stop_fell_on_is_no_missed_one(tmp_path: Path) -> None:
    service = Service(instant("2026-03-08", 0.5))
    async with service.sensor(tmp_path, cron="0 * * * *") as before:
        await before.until_well()
        service.clock.advance(HOUR / 2)
        await before.until_count(1)
        service.keep(before.events)
    service.clock.advance(HOUR + 20)
    async with service.sensor(tmp_path, cron="0 * * * *") as after:
        await after.until_count(1)
    assert ids(after) == ["2026-03-08T02:00:00Z"]


async def test_what_was_not_committed_before_a_stop_comes_again_as_the_same_event(tmp_path: Path) -> None:
    service = Service(instant("2026-03-08", 0.5))
    async with service.sensor(tmp_path, cron="0 * * * *") as earlier:
        await earlier.until_well()
        service.clock.advance(HOUR / 2)
        await earlier.until_count(1)
        service.keep(earlier.events)
        earlier.hold_commits()
        service.clock.advance(HOUR)
        await earlier.until_count(2)
    async with service.sensor(tmp_path, cron="0 * * * *") as later:
        await later.until_count(1)
    assert later.events == earlier.events[1:]


async def test_a_clock_that_is_set_forward_by_an_hour_makes_no_time_of_the_cron_be_missed(
    tmp_path: Path,
) -> None:
    service = Service(instant("2026-03-08", 0.9))
    async with service.sensor(tmp_path, cron="*/20 * * * *") as seen:
        await seen.until_well()
        service.clock.advance(0.1 * HOUR)
        await seen.until_count(1)
        service.clock.set_by = HOUR
        await seen.until_count(4)
    assert ids(seen) == [f"2026-03-08T0{time}:00Z" for time in ("1:00", "1:20", "1:40", "2:00")]


async def test_a_clock_that_is_set_back_by_an_hour_makes_no_time_of_the_cron_come_twice(
    tmp_path: Path,
) -> None:
    service = Service(instant("2026-03-08", 0.9))
    async with service.sensor(tmp_path, cron="*/20 * * * *") as seen:
        await seen.until_well()
        service.clock.advance(0.1 * HOUR)
        await seen.until_count(1)
        service.keep(seen.events)
        service.clock.set_by = -HOUR
        service.clock.advance(HOUR)
        service.clock.advance(HOUR / 3)
        await seen.until_count(2)
    assert ids(seen) == ["2026-03-08T01:00:00Z", "2026-03-08T01:20:00Z"]


async def test_a_clock_that_was_years_ahead_and_is_right_again_keeps_no_cron_waiting(tmp_path: Path) -> None:
    service = Service(instant("2036-03-08", 0.9))
    async with service.sensor(tmp_path, cron="0 * * * *") as seen:
        await seen.until_well()
        service.clock.advance(0.1 * HOUR)
        await seen.until_count(1)
        service.clock.set_by = instant("2026-03-08") - instant("2036-03-08")
        await seen.until_well()
    service.keep(seen.events)
    async with service.sensor(tmp_path, cron="0 * * * *") as again:
        await again.until_well()
        service.clock.advance(HOUR)
        await again.until_count(1)
    assert ids(again) == ["2026-03-08T02:00:00Z"]


async def test_an_interval_begins_at_once_and_goes_by_the_time_that_passes(tmp_path: Path) -> None:
    service = Service(instant("2026-03-08", 1))
    async with service.sensor(tmp_path, every="10m") as seen:
        await seen.until_count(1)
        service.clock.advance(600)
        await seen.until_count(2)
        service.clock.set_by = HOUR  # No time has passed.
        service.clock.advance(600)
        await seen.until_count(3)
        service.clock.set_by = -HOUR
        for count in (4, 5, 6, 7, 8, 9):
            service.clock.advance(600)
            await seen.until_count(count)
    assert len(set(ids(seen))) == 9  # Each is an event of its own, though the clock shows its time again.
    assert ids(seen)[:4] == [
        "2026-03-08T01:00:00Z",
        "2026-03-08T01:10:00Z",
        "2026-03-08T02:20:00Z",
        "2026-03-08T00:30:00Z/1",
    ]


async def test_an_interval_goes_on_over_a_restart_where_it_was(tmp_path: Path) -> None:
    service = Service(instant("2026-03-08", 1))
    async with service.sensor(tmp_path, every="10m") as first:
        await first.until_count(1)
        service.keep(first.events)
    service.clock.advance(400)
    async with service.sensor(tmp_path, every="10m") as second:
        await second.until_well()
        service.clock.advance(199)
        await second.until_well()
        assert not second.events
        service.clock.advance(1)
        await second.until_count(1)
        service.keep(second.events)
    service.clock.advance(DAY)
    async with service.sensor(tmp_path, every="10m") as third:
        await third.until_count(1)  # After a long stop at once, and once.
    assert [*ids(second), *ids(third)] == ["2026-03-08T01:10:00Z", "2026-03-09T01:10:00Z"]


def test_what_another_cron_left_behind_is_not_made_up_for() -> None:
    assert passed_over("0 * * * *", "UTC", Catchup.ALL, 0.0, 10 * HOUR) == 0.0
    assert passed_over("0 * * * *", "UTC", Catchup.NONE, 0.0, 10 * HOUR + 61) == 10 * HOUR + 1
    assert passed_over("0 * * * *", "UTC", Catchup.LAST, 0.0, 10.5 * HOUR) == 10 * HOUR - 1
    assert passed_over("0 * * * *", "UTC", Catchup.ALL, 3 * DAY, HOUR) == HOUR


@pytest.mark.parametrize(
    ("cron", "after", "until", "expected"),
    [
        ("* * * * *", 0.0, 400 * DAY, 400 * DAY),
        ("0 0 1 1 *", 0.0, 400 * DAY, 365 * DAY),
        ("0 0 1 1 *", 370 * DAY, 400 * DAY, 370 * DAY),
        ("* * 1 1 *", 0.0, 400 * DAY, 366 * DAY - 60),
    ],
)
def test_the_newest_time_is_found_however_long_the_stop(
    cron: str, after: float, until: float, expected: float
) -> None:
    assert newest_time(cron, "UTC", after, until) == expected
