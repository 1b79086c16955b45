"""Partitions of several dimensions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core.errors import PartitionError
from sensorflow.core.partitions import (
    Bounds,
    beside_calendar,
    between,
    bounds,
    calendar_of,
    comparable,
    containing,
    dimension_keys,
    inside,
    is_finer,
    join_key,
    partition_at,
    partitions_of,
    read_partition,
    shifted,
)
from sensorflow.core.vocabulary import Grain, JsonValue, Partitioning

NEW_YORK = "America/New_York"
DAILY = Partitioning(Grain.DAILY, NEW_YORK)
REGIONS = Partitioning(Grain.KEYS, keys=("eu", "us"))
FREE = Partitioning(Grain.KEY)


def several(**dimensions: Partitioning) -> Partitioning:
    return Partitioning(Grain.SEVERAL, dimensions=tuple(dimensions.items()))


DAY_REGION = several(day=DAILY, region=REGIONS)
REGION_DAY_ORDER = several(region=REGIONS, day=DAILY, order=FREE)
REGION_ORDER = several(region=REGIONS, order=FREE)


# Reading


@pytest.mark.parametrize(
    ("partitioning", "value", "key"),
    [
        (DAY_REGION, "2013-01-01|eu", "2013-01-01|eu"),
        (DAY_REGION, "2013-01-01T04:59:59Z|us", "2012-12-31|us"),
        (DAY_REGION, "20130101|us", "2013-01-01|us"),
        (DAY_REGION, {"day": "2013-01-01", "region": "eu"}, "2013-01-01|eu"),
        (DAY_REGION, {"region": "eu", "day": "2013-01-01T12:00:00+00:00"}, "2013-01-01|eu"),
        (REGION_DAY_ORDER, {"order": 7, "day": "2013-01-01", "region": "us"}, "us|2013-01-01|7"),
        (REGION_ORDER, "eu|a:1", "eu|a:1"),
        (several(region=REGIONS), "eu", "eu"),
    ],
)
def test_each_dimension_is_read_on_its_own_and_they_are_joined_in_their_order(
    partitioning: Partitioning, value: JsonValue, key: str
) -> None:
    assert read_partition(partitioning, value) == key
    assert read_partition(partitioning, key) == key


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("2013-01-01", 'expected day|region, found "2013-01-01"'),
        ("2013-01-01|eu|us", 'expected day|region, found "2013-01-01|eu|us"'),
        ("", 'expected day|region, found ""'),
        ("2013-01-01|", 'region: expected one of eu, us, found ""'),
        ("2013-01-01|apac", 'region: expected one of eu, us, found "apac"'),
        ("eu|2013-01-01", 'day: expected a day such as 2013-01-01 or an ISO 8601 instant, found "eu"'),
        ({"day": "2013-01-01"}, "region: expected the key of this dimension, found none"),
        ({"day": "2013-01-01", "region": None}, "region: expected one of eu, us, found null"),
        ({"day": {"day": "x"}, "region": "eu"},
         "day: expected a day such as 2013-01-01 or an ISO 8601 instant, found an object"),
        ({"day": "2013-01-01", "region": "eu", "area": "x"},
         'expected no dimensions but day, region, found "area"'),
        (None, "expected day|region, or an object with these fields, found null"),
        (["2013-01-01", "eu"], "expected day|region, or an object with these fields, found an array of 2"),
        (20130101, "expected day|region, or an object with these fields, found 20130101"),
    ],
)  # fmt: skip
def test_what_is_no_partition_is_refused_and_the_dimension_is_named(value: JsonValue, message: str) -> None:
    with pytest.raises(PartitionError) as refused:
        read_partition(DAY_REGION, value)
    assert str(refused.value) == message


def test_a_listed_key_that_would_read_as_two_is_refused() -> None:
    partitioning = several(region=Partitioning(Grain.KEYS, keys=("a|b",)), order=FREE)
    with pytest.raises(PartitionError) as refused:
        read_partition(partitioning, {"region": "a|b", "order": "c"})
    assert str(refused.value) == 'region: expected a key without |, found "a|b"'


@given(st.recursive(
    st.none() | st.integers() | st.text(max_size=20) | st.sampled_from(["eu", "2013-01-01", "eu|a"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["day", "region", "order", ""]), inner, max_size=3),
    max_leaves=5,
))  # fmt: skip
def test_whatever_is_read_it_is_a_partition_or_a_partition_error(value: JsonValue) -> None:
    for partitioning in (DAY_REGION, REGION_DAY_ORDER, REGION_ORDER):
        try:
            key = read_partition(partitioning, value)
        except PartitionError:
            continue
        assert read_partition(partitioning, key) == key
        assert read_partition(partitioning, dimension_keys(partitioning, key)) == key


# Keys of dimensions


def test_a_key_is_taken_apart_and_joined_again() -> None:
    keys = dimension_keys(REGION_DAY_ORDER, "us|2013-01-01|7")
    assert keys == {"region": "us", "day": "2013-01-01", "order": "7"}
    assert list(keys) == ["region", "day", "order"]
    assert join_key(REGION_DAY_ORDER, dict(reversed(keys.items()))) == "us|2013-01-01|7"


@pytest.mark.parametrize("partitioning", [DAILY, REGIONS, FREE, Partitioning(Grain.NONE)])
def test_a_single_grain_has_no_dimensions(partitioning: Partitioning) -> None:
    assert dimension_keys(partitioning, "2013-01-01") == {}


@pytest.mark.parametrize("key", ["eu", "eu|2013-01-01", "eu|2013-01-01|a|b", ""])
def test_a_key_of_more_or_fewer_dimensions_is_refused(key: str) -> None:
    for operation in (dimension_keys, bounds, lambda cut, key: shifted(cut, key, 1)):
        with pytest.raises(PartitionError) as refused:
            operation(REGION_DAY_ORDER, key)
        assert str(refused.value) == f'expected region|day|order, found "{key}"'


# The dimension of the calendar


def test_the_calendar_is_the_grain_or_the_dimension_that_has_places_in_time() -> None:
    assert calendar_of(DAILY) is DAILY
    assert calendar_of(DAY_REGION) is DAILY
    assert calendar_of(REGION_DAY_ORDER) is DAILY
    assert [calendar_of(cut) for cut in (REGION_ORDER, REGIONS, FREE, Partitioning(Grain.NONE))] == [None] * 4
    assert not comparable(Grain.SEVERAL, Grain.SEVERAL) and not is_finer(Grain.SEVERAL, Grain.DAILY)


def test_beside_the_calendar_are_the_keys_of_all_other_dimensions() -> None:
    assert beside_calendar(REGION_DAY_ORDER, "us|2013-01-01|7") == "us|7"
    assert beside_calendar(REGION_ORDER, "eu|a:1") == "eu|a:1"
    assert beside_calendar(DAILY, "2013-01-01") == ""


def test_bounds_are_those_of_the_dimension_of_the_calendar() -> None:
    assert bounds(DAY_REGION, "2013-03-10|eu") == bounds(DAILY, "2013-03-10")
    assert bounds(REGION_DAY_ORDER, "us|1970-01-02|x") == Bounds(104_400, 190_800)
    assert bounds(REGION_ORDER, "eu|x") is None
    with pytest.raises(PartitionError, match=r"^expected a day such as 2013-01-01, spelled as that"):
        bounds(DAY_REGION, "eu|2013-03-10")


def test_a_shift_moves_the_calendar_and_leaves_the_rest() -> None:
    assert shifted(DAY_REGION, "2013-03-01|eu", -1) == "2013-02-28|eu"
    assert shifted(REGION_DAY_ORDER, "us|2013-12-31|a", 2) == "us|2014-01-02|a"


def test_a_range_holds_the_days_of_one_region() -> None:
    assert list(between(DAY_REGION, "2013-02-28|eu", "2013-03-01|eu")) == ["2013-02-28|eu", "2013-03-01|eu"]
    assert list(between(DAY_REGION, "2013-03-01|eu", "2013-02-28|eu")) == []
    with pytest.raises(PartitionError) as refused:
        between(DAY_REGION, "2013-02-28|eu", "2013-03-01|us")
    assert str(refused.value) == 'region: expected one key, found "eu" and "us"'


def test_without_a_calendar_there_are_no_neighbours() -> None:
    for operation in (
        lambda: shifted(REGION_ORDER, "eu|a", 1),
        lambda: between(REGION_ORDER, "eu|a", "eu|a"),
    ):
        with pytest.raises(PartitionError) as refused:
            operation()
        assert str(refused.value) == (
            "expected a dimension that is hourly, daily, weekly or monthly, found none"
        )


def test_an_instant_alone_is_in_no_partition_of_several_dimensions() -> None:
    for operation in (
        lambda: partition_at(DAY_REGION, 0),
        lambda: inside(DAY_REGION, "2013-01-01|eu", Partitioning(Grain.HOURLY)),
        lambda: containing(Partitioning(Grain.HOURLY), "2013-01-01T05Z", DAY_REGION),
    ):
        with pytest.raises(PartitionError, match="found one of grain several"):
            operation()


def test_the_partitions_of_a_day_are_one_for_each_combination_of_the_listed_keys() -> None:
    stores = Partitioning(Grain.KEYS, keys=("1", "2"))
    assert partitions_of(DAILY, "2013-01-01") == ("2013-01-01",)
    assert partitions_of(DAY_REGION, "2013-01-01") == ("2013-01-01|eu", "2013-01-01|us")
    assert partitions_of(several(region=REGIONS, day=DAILY, store=stores), "2013-01-01") == (
        "eu|2013-01-01|1",
        "eu|2013-01-01|2",
        "us|2013-01-01|1",
        "us|2013-01-01|2",
    )
    assert partitions_of(REGION_DAY_ORDER, "2013-01-01") is None
