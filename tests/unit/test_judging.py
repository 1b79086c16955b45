"""What the rules make of an event that nobody stores, and of a lineage event's outputs."""

from typing import Any

import pytest

from sensorflow.core.definitions import Definitions
from sensorflow.core.judging import Matched, RuleMatch, match_posted, match_seen
from sensorflow.core.lineage import default_partition
from sensorflow.core.messages import EventState, Observed, Receipt
from sensorflow.core.vocabulary import (
    Event,
    Grain,
    JsonValue,
    Partitioning,
    Reshaped,
    Rule,
    SensorDefinition,
)
from tests.flows import DAILY, HOURLY, KEY, WHOLE, dataset, pipeline, same, service, task

DAY = "2026-06-01"


def sensor(name: str, kind: str, **rule: Any) -> SensorDefinition:
    rule.setdefault("partition", "data.day")
    return SensorDefinition(pipeline="p", name=name, kind=kind, rule=Rule(dataset="a", **rule))


def definitions(*sensors: SensorDefinition) -> Definitions:
    flow = service(
        pipeline("p", task("load", same("a"))), sensors=sensors, datasets=(dataset("whole", WHOLE),)
    )
    return flow.definitions


def event(data: JsonValue, **options: Any) -> Event:
    return Event(source="/here", id="e", data=data, **options)


def lineage(*outputs: dict[str, Any], kind: str = "COMPLETE") -> Event:
    data = {"eventType": kind, "outputs": list(outputs)}
    return event(data, extensions={"outputs": [f"{o['namespace']}/{o['name']}" for o in outputs]})


def output(name: str, *partitions: JsonValue) -> dict[str, Any]:
    facet: dict[str, JsonValue] = {"outputCondition": {"partitions": list(partitions)}}
    return {"namespace": "warehouse", "name": name, "outputFacets": {"subset": facet}}


def states(found: list[RuleMatch]) -> dict[str, EventState]:
    return {each.sensor.name: each.state for each in found}


def test_each_rule_takes_a_posted_event_cannot_read_it_or_says_what_does_not_fit() -> None:
    given = definitions(
        sensor("fits", "events", match={"data": {"kind": ["order"]}}, part="data.part", id="data.key"),
        sensor("unreadable", "events", partition="data.date"),
        sensor("other", "events", match={"data": {"kind": ["invoice"]}}),
    )
    found = match_posted(given, event({"kind": "order", "day": DAY, "part": "eu", "key": "k"}))
    assert states(found) == {
        "fits": EventState.ACCEPTED,
        "unreadable": EventState.REJECTED,
        "other": EventState.UNMATCHED,
    }
    by_name = {each.sensor.name: each for each in found}
    assert (by_name["fits"].partition, by_name["fits"].part) == (DAY, "eu")
    assert by_name["fits"].id is None  # What is posted has its own.
    assert "data.date" in (by_name["unreadable"].reason or "")
    assert "data.kind" in (by_name["other"].reason or "")
    assert by_name["other"].misses == 1


def test_of_what_its_own_sensor_sees_a_rule_reads_id_and_time_too() -> None:
    seen = sensor("s", "mqtt", match={"data": {"kind": ["order"]}}, id="data.key", time="data.at")
    given = definitions(seen)
    taken = match_seen(given, event({"kind": "order", "day": DAY, "key": "k", "at": DAY}), seen)
    assert (taken.state, taken.partition, taken.id, taken.time) == (EventState.ACCEPTED, DAY, "k", DAY)
    unread = match_seen(given, event({"kind": "order", "day": DAY}), seen)
    assert unread.state is EventState.REJECTED
    missed = match_seen(given, event({"kind": "invoice"}), seen)
    assert missed.state is EventState.UNMATCHED


def test_all_that_take_an_event_are_kept_and_of_the_others_those_that_fit_most() -> None:
    one = sensor("one", "events")
    taken = RuleMatch(sensor=one, state=EventState.REJECTED, reason="unreadable")
    far, near = RuleMatch.missed(one, "far", 3), RuleMatch.missed(one, "near")
    matched = Matched.of(iter([far, taken, near]), 1)
    assert matched == Matched((taken, near), 1)
    assert matched.state is EventState.REJECTED
    assert Matched.of([far], 5).state is EventState.UNMATCHED
    accepted = RuleMatch(sensor=one, state=EventState.ACCEPTED)
    assert Matched.of([taken, accepted], 0).state is EventState.ACCEPTED


def test_a_lineage_event_is_seen_once_for_each_output_and_each_partition_of_it() -> None:
    by_day = sensor("l", "openlineage", match={"dataset": ["warehouse/a"]}, partition="partition")
    given = definitions(by_day)
    posted = lineage(
        output("a", {"dimensions": {"day": DAY}}, {"dimensions": {"day": "2026-06-02"}}), output("b")
    )
    found = match_posted(given, posted)
    assert [(each.partition, each.state) for each in found] == [
        (DAY, EventState.ACCEPTED),
        ("2026-06-02", EventState.ACCEPTED),
        ("", EventState.UNMATCHED),
    ]


def test_lineage_makes_the_partitions_of_its_outputs_ready_when_the_run_is_complete() -> None:
    rule = Rule(dataset="a", match={"dataset": ["warehouse/a"]}, partition="partition")
    reads = SensorDefinition(pipeline="p", name="l", kind="openlineage", rule=rule)
    flow = service(pipeline("p", task("load", same("a"))), sensors=(reads,))
    for kind, arrivals in (("START", 0), ("COMPLETE", 1)):
        told = lineage(output("a", {"dimensions": {"day": DAY}}), kind=kind)
        receipt = flow.send(
            Observed(event=Event(source="/jobs", id=kind, data=told.data, extensions=told.extensions))
        )
        assert isinstance(receipt, Receipt)
        assert len(receipt.arrivals) == arrivals
    assert [order.partition for order in flow.started] == [DAY]


@pytest.mark.parametrize(
    "partition",
    [None, "2026-06-01", {}, {"dimensions": []}, {"dimensions": {}}, {"dimensions": None}],
)
def test_a_subset_that_names_no_dimensions_is_none(partition: JsonValue) -> None:
    by_name = sensor("l", "openlineage", match={"dataset": ["warehouse/a"]}, partition="data.day")
    told = lineage(output("a", partition))
    (found,) = match_posted(definitions(by_name), told)
    assert found.state is EventState.REJECTED


@pytest.mark.parametrize(
    "facets", [None, [], {"subset": 1}, {"subset": {"outputCondition": {"partitions": 7}}}]
)
def test_an_output_without_a_readable_subset_is_seen_as_a_whole(facets: JsonValue) -> None:
    whole = sensor("l", "openlineage", match={"dataset": ["warehouse/a"]}, partition="subset.day")
    told = lineage({"namespace": "warehouse", "name": "a", "outputFacets": facets})
    (found,) = match_posted(definitions(whole), told)
    assert found.state is EventState.REJECTED


def test_a_subset_of_several_dimensions_is_read_by_their_names() -> None:
    cut = Partitioning(Grain.SEVERAL, dimensions=(("day", DAILY), ("customer", KEY)))
    of = default_partition(cut)
    assert isinstance(of, dict)
    rule = Rule(dataset="sales", match={"dataset": ["warehouse/sales"]}, partition=of)
    reads = SensorDefinition(pipeline="p", name="l", kind="openlineage", rule=rule)
    flow = service(
        pipeline("p", task("load", same("a"))), sensors=(reads,), datasets=(dataset("sales", cut),)
    )
    told = lineage(output("sales", {"dimensions": {"day": DAY, "customer": "c-1"}}))
    (found,) = match_posted(flow.definitions, told)
    assert found.partition == f"{DAY}|c-1"


def test_where_the_sensor_does_not_say_a_partition_stands_in_the_subset_or_is_the_nominal_time() -> None:
    assert default_partition(WHOLE) is None
    assert default_partition(KEY) == "partition"
    nominal = "data.run.facets.nominalTime.nominalStartTime"
    assert default_partition(DAILY) == Reshaped(
        path="partition", otherwise=Reshaped(path=nominal, as_date=True)
    )
    assert default_partition(HOURLY) == Reshaped(
        path="partition", otherwise=Reshaped(path=nominal, as_date=False)
    )
