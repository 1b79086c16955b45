"""Which partitions a sensor that polls is asked for."""

import pytest

from sensorflow.core.messages import Reviewed, WithdrawPartition
from sensorflow.core.partitions import bounds
from sensorflow.core.vocabulary import Grain, Partitioning
from sensorflow.sensors import asked
from sensorflow.sensors.asked import asked_for
from sensorflow.testing import FakeClock, VirtualService
from tests.home_files import compiled

DAILY = Partitioning(Grain.DAILY)
TASKS = "tasks: {a: {run: x, inputs: [fares]}}\n"


def at(day: str, hours: float = 12.0) -> float:
    """Return an instant of a day."""
    limits = bounds(DAILY, day)
    assert limits is not None
    return limits.start + hours * 3600


def serving(text: str, now: float, **more: str) -> VirtualService:
    files = {"pipelines/p.yaml": text} | {f"pipelines/{name}.yaml": each for name, each in more.items()}
    return VirtualService(compiled(files).definitions, clock=FakeClock(now))


def pages(service: VirtualService, dataset: str = "fares") -> list[list[str]]:
    return list(asked_for(service.definitions, service.store, dataset, service.clock.now()))


def all_asked(service: VirtualService, dataset: str = "fares") -> list[str]:
    return [key for page in pages(service, dataset) for key in page]


def test_asked_for_is_what_has_ended_since_the_start_and_is_not_ready_the_newest_first() -> None:
    service = serving("start: 2026-03-01\n" + TASKS, at("2026-03-05"))
    assert all_asked(service) == ["2026-03-04", "2026-03-03", "2026-03-02", "2026-03-01"]
    service.ready("fares", "2026-03-03")
    assert all_asked(service) == ["2026-03-04", "2026-03-02", "2026-03-01"]
    service.send(WithdrawPartition(dataset="fares", partition="2026-03-03", part=None, reason="bad"))
    assert "2026-03-03" in all_asked(service)


def test_nothing_is_asked_for_beyond_the_end_or_before_the_start() -> None:
    text = "start: 2026-03-01\nend: 2026-03-02\n" + TASKS
    assert all_asked(serving(text, at("2026-03-05"))) == ["2026-03-02", "2026-03-01"]
    assert all_asked(serving(text, at("2026-02-05"))) == []


def test_each_reader_asks_for_its_own_time() -> None:
    old = "start: 2020-01-01\nend: 2020-01-02\ntasks: {b: {run: x, inputs: [fares]}}\n"
    service = serving("start: 2026-03-01\n" + TASKS, at("2026-03-03"), old=old)
    assert all_asked(service) == ["2026-03-02", "2026-03-01", "2020-01-02", "2020-01-01"]


def test_without_start_and_expectation_the_newest_that_has_ended_is_asked_for() -> None:
    service = serving(TASKS, at("2026-03-05"))
    assert all_asked(service) == ["2026-03-04"]
    service.ready("fares", "2026-03-04")
    assert all_asked(service) == []


def test_what_is_late_is_asked_for() -> None:
    service = serving("datasets: {fares: {expect: 90m}}\n" + TASKS, at("2026-03-05"))
    service.send(Reviewed())
    service.pass_time(3 * 86_400)
    assert all_asked(service) == ["2026-03-07", "2026-03-06", "2026-03-05"]
    service.ready("fares", "2026-03-06")
    assert all_asked(service) == ["2026-03-07", "2026-03-05"]


def test_what_open_runs_wait_for_is_asked_for_whenever_it_is() -> None:
    text = "tasks: {a: {run: x, inputs: [fares, orders, {dataset: rates, partitions: {last: 2}}]}}\n"
    service = serving(text, at("2026-03-05"))
    service.ready("orders", "2027-01-01")
    service.ready("orders", "2020-01-01")
    assert all_asked(service) == ["2027-01-01", "2026-03-04", "2020-01-01"]
    assert all_asked(service, "rates") == [
        *("2027-01-01", "2026-12-31", "2026-03-04", "2020-01-01", "2019-12-31"),
    ]


def test_a_run_that_is_through_asks_for_nothing() -> None:
    service = serving(TASKS, at("2026-03-05"))
    service.ready("fares", "2020-01-01")
    service.end_all()
    assert all_asked(service) == ["2026-03-04"]


def test_runs_that_count_back_ask_for_nothing_before_the_start() -> None:
    text = (
        "start: 2026-03-03\ntasks: {a: {run: x, inputs: [orders, {dataset: fares, partitions: {last: 7}}]}}\n"
    )
    service = serving(text, at("2026-03-05"))
    service.ready("orders", "2026-03-04")
    assert all_asked(service) == ["2026-03-04", "2026-03-03"]


def test_what_has_become_too_old_for_a_run_that_waits_is_asked_for_again() -> None:
    text = "tasks: {a: {run: x, inputs: [orders, {dataset: fares, max_age: 1h}]}}\n"
    service = serving(text, at("2026-03-05"))
    service.ready("fares", "2026-03-04")
    assert all_asked(service) == []
    service.pass_time(7200)
    assert all_asked(service) == ["2026-03-04"]


def test_free_keys_are_asked_for_by_open_runs_the_newest_run_first() -> None:
    service = serving("partition: key\ntasks: {a: {run: x, inputs: [fares, orders]}}\n", at("2026-03-05"))
    for key in ("b", "a", "c"):
        service.ready("orders", key)
    assert all_asked(service) == ["c", "a", "b"]


def test_listed_keys_are_asked_for_always() -> None:
    service = serving(
        "partition: {keys: [eu, us]}\ntasks: {a: {run: x, inputs: [fares]}}\n", at("2026-03-05")
    )
    service.ready("fares", "eu")
    assert all_asked(service) == ["eu", "us"]


def test_of_several_dimensions_every_key_of_an_ended_day_is_asked_for() -> None:
    text = (
        "partition: {several: {day: daily, region: {keys: [eu, us]}}}\nstart: 2026-03-03\n"
        "tasks: {a: {run: x, inputs: [fares]}}\n"
    )
    service = serving(text, at("2026-03-05"))
    service.ready("fares", "2026-03-04|eu")
    assert all_asked(service) == ["2026-03-04|us", "2026-03-03|us", "2026-03-03|eu"]


def test_a_finer_dataset_is_asked_for_from_the_start_of_the_pipeline_on() -> None:
    text = (
        "timezone: America/New_York\nstart: 2026-03-08\ndatasets: {fares: {partition: hourly}}\n"
        "tasks: {a: {run: x, inputs: [fares]}}\n"
    )
    service = serving(text, at("2026-03-08", hours=7.5))
    assert all_asked(service) == ["2026-03-08T06Z", "2026-03-08T05Z"]


def test_nobody_asks_for_what_nobody_reads() -> None:
    service = VirtualService(
        compiled(
            {
                "pipelines/p.yaml": "tasks: {a: {run: x, inputs: [orders]}}\n",
                "sensors/s.yaml": "datasets: {fares: {partition: daily}}\n",
            }
        ).definitions,
        clock=FakeClock(at("2026-03-05")),
    )
    assert all_asked(service) == []


def test_pages_look_at_so_many_partitions_each_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "PAGE", 5)
    monkeypatch.setattr(asked, "ALL", 20)
    service = serving("start: 1990-01-01\n" + TASKS, at("2026-03-05"))
    found = pages(service)
    assert [len(page) for page in found] == [5, 5, 5, 5]
    for key in found[0]:
        service.ready("fares", key)
    assert pages(service)[:2] == [[], found[1]]


def test_a_pipeline_from_the_year_1_on_ends_with_the_calendar() -> None:
    service = serving("start: 0001-01-03\n" + TASKS, at("0001-01-06"))
    assert all_asked(service) == ["0001-01-05", "0001-01-04", "0001-01-03"]
