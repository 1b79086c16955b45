"""Where an input stands, at its edges: groups, ages, news, and what `latest` takes."""

from sensorflow.core.readiness import missing_parts
from sensorflow.core.selection import shared_keys
from sensorflow.core.vocabulary import DatasetInput, Grain, InputGroup, Partitioning, Selection
from sensorflow.store.memory import MemoryStore
from tests.flows import (
    DAILY,
    KEY,
    NOW,
    WHOLE,
    dataset,
    fired,
    make,
    pipeline,
    reads,
    same,
    service,
    task,
    waits,
)
from tests.store_rows import part_row, partition_row

DAY = "2026-06-01"
EU_AND_CUSTOMER = Partitioning(
    Grain.SEVERAL,
    dimensions=(("day", DAILY), ("region", Partitioning(Grain.KEYS, keys=("eu", "us"))), ("customer", KEY)),
)


def newest(name: str, **options: object) -> DatasetInput:
    return reads(name, Selection.LATEST, **options)


def test_a_partition_that_arrived_as_a_whole_has_no_part_missing() -> None:
    parted, state = dataset("orders", parts=("eu", "us")), MemoryStore().begin()
    row = partition_row(DAY, version=0)
    state.put_part(part_row("us", partition=DAY))
    assert missing_parts(parted, state, row._replace(whole=1)) == ()
    assert missing_parts(parted, state, row) == ("eu",)
    assert missing_parts(parted, state, None) == ("eu", "us")
    assert missing_parts(dataset("b"), state, row) == ()


def test_the_newest_arrival_is_young_enough_up_to_the_last_moment_of_its_age() -> None:
    for age_s, starts in ((3600.0, True), (3600.5, False)):
        flow = service(pipeline("p", task("load", same("a", max_age_s=3600.0), same("b"))))
        flow.ready("a", DAY)
        flow.clock.advance(age_s)
        flow.ready("b", DAY)
        assert bool(flow.started) is starts


def test_any_of_several_whole_datasets_fires_by_the_news_of_its_own_task() -> None:
    group = InputGroup(needed=1, members=(newest("v"), newest("w")))
    flow = service(
        pipeline("p", task("load", group), partitioning=WHOLE),
        datasets=(dataset("v", WHOLE), dataset("w", WHOLE)),
    )
    flow.ready("v")
    flow.end_all()
    flow.ready("w")
    flow.end_all()
    assert fired(flow) == [("load", "")] * 2
    assert len(waits(flow, "p", "", "load")) >= 1


def test_two_tasks_without_partitions_each_wait_for_what_they_have_not_consumed_themselves() -> None:
    flow = service(
        pipeline("p", task("one", newest("v")), task("both", newest("v"), newest("w")), partitioning=WHOLE),
        datasets=(dataset("v", WHOLE), dataset("w", WHOLE)),
    )
    flow.ready("v")
    assert [order.task for order in flow.started] == ["one"]
    flow.end_all()
    flow.ready("w")
    flow.end_all()
    assert [order.task for order in flow.started] == ["one", "both"]
    assert [order.inputs["v"][""]["arrivals"] for order in flow.started] == [1, 1]


def test_what_one_task_has_consumed_is_still_there_for_another() -> None:
    flow = service(
        pipeline(
            "p",
            task("one", newest("v"), newest("x")),
            task("two", newest("v"), newest("w")),
            partitioning=WHOLE,
        ),
        datasets=tuple(dataset(name, WHOLE) for name in "vwx"),
    )
    for name in "vwvx":
        flow.ready(name)
        flow.end_all()
    assert [order.task for order in flow.started] == ["two", "one"]
    assert [wait.dataset for wait in waits(flow, "p", "", "one")] == ["v", "x"]
    assert [wait.dataset for wait in waits(flow, "p", "", "two")] == ["w"]


def test_what_is_enough_of_a_group_is_said_with_what_is_there() -> None:
    group = InputGroup(needed=2, members=(same("a"), same("b"), same("c")))
    flow = service(pipeline("p", task("load", group)))
    flow.ready("a", DAY)
    texts = [wait.text for wait in waits(flow, "p", DAY, "load")]
    assert len(texts) == 2
    assert all("(2 of 3 such inputs are enough, 1 there)" in text for text in texts)


def test_a_whole_dataset_that_is_gone_without_is_named_by_its_one_partition() -> None:
    flow = service(
        pipeline(
            "p", task("load", same("a"), newest("w", optional_after_s=0), newest("b", optional_after_s=0))
        ),
        datasets=(dataset("w", WHOLE),),
    )
    flow.ready("a", DAY)
    (order,) = flow.started
    assert list(order.missing) == [
        {"dataset": "w", "partition": "", "parts": []},
        {"dataset": "b", "partition": None, "parts": []},
    ]


def test_the_time_after_which_an_input_is_optional_is_over_at_that_very_moment() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b", optional_after_s=60))))
    flow.ready("a", DAY)
    assert fired(flow) == []
    assert flow.store.reader.next_timer_at() == NOW + 60
    flow.pass_time(59.5)
    assert fired(flow) == []
    flow.pass_time(0.5)
    assert fired(flow) == [("load", DAY)]


def test_latest_of_free_keys_is_the_newest_of_all_whatever_key_the_run_has() -> None:
    flow = service(pipeline("p", task("load", newest("k")), partitioning=KEY), datasets=(dataset("k", KEY),))
    flow.ready("k", "one")
    make(flow, "p", "two")
    assert [list(order.inputs["k"]) for order in flow.started] == [["one"]]


def test_latest_is_narrowed_by_every_dimension_that_both_sides_have_beside_the_calendar() -> None:
    own, key = EU_AND_CUSTOMER, f"{DAY}|eu|c-1"
    assert shared_keys(own, key, EU_AND_CUSTOMER) == "eu|c-1"
    assert shared_keys(KEY, "c-1", KEY) is None
    assert shared_keys(DAILY, DAY, EU_AND_CUSTOMER) is None
    assert shared_keys(own, key, DAILY) is None


def test_the_quiet_of_one_whole_dataset_holds_its_own_news_back_and_no_others() -> None:
    flow = service(
        pipeline("p", task("v", newest("v")), task("w", newest("w")), partitioning=WHOLE),
        datasets=(dataset("v", WHOLE), dataset("w", WHOLE, quiet_s=30.0)),
    )
    flow.ready("w")
    flow.pass_time(30)
    flow.end_all()
    flow.ready("v")
    flow.end_all()
    assert [order.task for order in flow.started] == ["w", "v"]
    flow.ready("w")
    flow.ready("v")
    assert [order.task for order in flow.started] == ["w", "v", "v"]
    flow.pass_time(30)
    assert [order.task for order in flow.started] == ["w", "v", "v", "w"]
