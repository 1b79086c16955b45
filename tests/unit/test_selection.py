"""Which partitions a run reads, and which runs read a partition: one is the inverse of the other."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorflow.core.partitions import (
    bounds,
    calendar_of,
    containing,
    dimension_keys,
    is_finer,
    join_key,
    partition_at,
    shifted,
)
from sensorflow.core.selection import reading_range, reading_runs, selected
from sensorflow.core.vocabulary import DatasetInput, Grain, Partitioning, Selection

NEW_YORK = "America/New_York"
APIA = "Pacific/Apia"
NONE = Partitioning(Grain.NONE)
HOURLY = Partitioning(Grain.HOURLY)
DAILY = Partitioning(Grain.DAILY)
WEEKLY = Partitioning(Grain.WEEKLY)
MONTHLY = Partitioning(Grain.MONTHLY)
NEW_YORK_DAYS = Partitioning(Grain.DAILY, NEW_YORK)
APIA_DAYS = Partitioning(Grain.DAILY, APIA)
FREE = Partitioning(Grain.KEY)
REGIONS = Partitioning(Grain.KEYS, keys=("eu", "us"))
EUROPE = Partitioning(Grain.KEYS, keys=("eu",))
STORES = Partitioning(Grain.KEYS, keys=("1", "2", "3"))
SAME, ALL, CONTAINING = Selection.SAME, Selection.ALL, Selection.CONTAINING
LATEST, LAST, OFFSET = Selection.LATEST, Selection.LAST, Selection.OFFSET


def several(**dimensions: Partitioning) -> Partitioning:
    return Partitioning(Grain.SEVERAL, dimensions=tuple(dimensions.items()))


def reads(
    selection: Selection, count: int = 0, dimensions: Mapping[str, tuple[str, ...]] | None = None
) -> DatasetInput:
    return DatasetInput(dataset="orders", selection=selection, count=count, dimensions=dimensions or {})


DAY_REGION = several(day=DAILY, region=REGIONS)
DATE_REGION = several(region=REGIONS, date=DAILY)
DAY_ORDER = several(day=DAILY, order=FREE)


# What a run reads


@pytest.mark.parametrize(
    ("own", "key", "item", "theirs", "expected"),
    [
        (DAILY, "2013-01-01", reads(SAME), DAILY, ["2013-01-01"]),
        (DAILY, "2013-01-01", reads(SAME), NEW_YORK_DAYS, ["2013-01-01"]),
        (DAILY, "2011-12-30", reads(SAME), APIA_DAYS, []),  # Apia skipped it: nothing to wait for.
        (FREE, "order-7", reads(SAME), FREE, ["order-7"]),
        (REGIONS, "eu", reads(SAME), REGIONS, ["eu"]),
        (REGIONS, "eu", reads(SAME), Partitioning(Grain.KEYS, "Asia/Tokyo", ("us",)), []),
        (NONE, "", reads(SAME), NONE, [""]),
        (WEEKLY, "2013-W01", reads(ALL), DAILY, [f"2012-12-{n}" for n in (31,)] + [
            f"2013-01-0{n}" for n in range(1, 7)]),
        (DAILY, "2013-01-01", reads(ALL), NEW_YORK_DAYS, ["2013-01-01"]),
        (HOURLY, "2013-01-01T04Z", reads(CONTAINING), NEW_YORK_DAYS, ["2012-12-31"]),
        (WEEKLY, "2013-W01", reads(CONTAINING), MONTHLY, ["2013-01"]),
        (DAILY, "2013-01-02", reads(LAST, 3), DAILY, ["2012-12-31", "2013-01-01", "2013-01-02"]),
        (DAILY, "2013-01-02", reads(LAST, 1), DAILY, ["2013-01-02"]),
        # Of finer ones they count from the last inside, of coarser ones from what contains the run.
        (DAILY, "2013-01-02", reads(LAST, 2), HOURLY, ["2013-01-02T22Z", "2013-01-02T23Z"]),
        (NEW_YORK_DAYS, "2013-01-02", reads(OFFSET, 1), HOURLY, ["2013-01-03T05Z"]),
        (DAILY, "2013-01-02", reads(LAST, 2), MONTHLY, ["2012-12", "2013-01"]),
        (DAILY, "2013-01-02", reads(OFFSET, -1), WEEKLY, ["2012-W52"]),
        (DAILY, "2013-01-02", reads(OFFSET, 0), NEW_YORK_DAYS, ["2013-01-01"]),
        (HOURLY, "2013-01-02T00Z", reads(LAST, 1), Partitioning(Grain.HOURLY, NEW_YORK), ["2013-01-02T00Z"]),
        (APIA_DAYS, "2011-12-31", reads(OFFSET, -1), APIA_DAYS, ["2011-12-29"]),
    ],
)  # fmt: skip
def test_a_run_reads_what_its_selection_says(
    own: Partitioning, key: str, item: DatasetInput, theirs: Partitioning, expected: list[str]
) -> None:
    assert selected(own, key, item, theirs) == tuple(expected)


@pytest.mark.parametrize(
    ("own", "key", "item", "theirs", "expected"),
    [
        # Calendars meet whatever they are called, the others by name, each side in its own order.
        (DAY_REGION, "2013-01-01|eu", reads(SAME), DAY_REGION, ["2013-01-01|eu"]),
        (DAY_REGION, "2013-01-01|eu", reads(SAME), DATE_REGION, ["eu|2013-01-01"]),
        (DAY_REGION, "2013-01-01|eu", reads(SAME), several(area=REGIONS, day=DAILY),
         ["eu|2013-01-01", "us|2013-01-01"]),
        (DAY_REGION, "2013-01-01|us", reads(LAST, 2), DATE_REGION, ["us|2012-12-31", "us|2013-01-01"]),
        (DAY_REGION, "2013-01-01|us", reads(CONTAINING), several(month=MONTHLY, region=REGIONS),
         ["2013-01|us"]),
        (DAY_REGION, "2013-01-01|us", reads(SAME), several(day=DAILY, region=EUROPE), []),
        (DAY_REGION, "2013-01-01|us", reads(SAME), several(day=DAILY, region=FREE), ["2013-01-01|us"]),
        # What the dataset lacks does not narrow.
        (DAY_REGION, "2013-01-01|eu", reads(SAME), DAILY, ["2013-01-01"]),
        (DAY_REGION, "2013-01-01|eu", reads(SAME), several(region=REGIONS), ["eu"]),
        (DAY_REGION, "2013-01-01|eu", reads(SAME), NONE, [""]),
        (DAY_ORDER, "2013-01-01|a", reads(SAME), DAILY, ["2013-01-01"]),
        # What only the dataset has needs all of its keys, or those that the input names.
        (DAILY, "2013-01-01", reads(SAME), DAY_REGION, ["2013-01-01|eu", "2013-01-01|us"]),
        (DAILY, "2013-01-01", reads(SAME, dimensions={"region": ("us",)}), DAY_REGION, ["2013-01-01|us"]),
        (DAILY, "2013-01-01", reads(SAME, dimensions={"order": ("a", "b")}), DAY_ORDER,
         ["2013-01-01|a", "2013-01-01|b"]),
        (DAY_REGION, "2013-01-01|eu", reads(SAME), REGIONS, ["eu", "us"]),
        (REGIONS, "eu", reads(SAME), several(region=REGIONS), ["eu", "us"]),
        (WEEKLY, "2013-W01", reads(LAST, 1), several(store=STORES, day=DAILY),
         ["1|2013-01-06", "2|2013-01-06", "3|2013-01-06"]),
    ],
)  # fmt: skip
def test_several_dimensions_meet_by_the_calendar_and_by_name(
    own: Partitioning, key: str, item: DatasetInput, theirs: Partitioning, expected: list[str]
) -> None:
    assert selected(own, key, item, theirs) == tuple(expected)


def test_all_of_a_finer_dimension_is_every_hour_of_the_day_for_the_same_region() -> None:
    own = several(day=NEW_YORK_DAYS, region=REGIONS)
    keys = selected(own, "2013-11-03|eu", reads(ALL), several(hour=HOURLY, region=REGIONS))
    assert len(keys) == 25
    assert (keys[0], keys[-1]) == ("2013-11-03T04Z|eu", "2013-11-04T04Z|eu")


@pytest.mark.parametrize(
    ("own", "key", "theirs", "theirs_key", "grain"),
    [
        (DAILY, "2013-01-01", DAY_ORDER, "2013-01-01|a", "key"),
        (REGIONS, "eu", DAY_REGION, "2013-01-01|eu", "daily"),
    ],
)
def test_a_dimension_that_cannot_be_listed_needs_its_keys_named(
    own: Partitioning, key: str, theirs: Partitioning, theirs_key: str, grain: str
) -> None:
    message = (
        f"^expected the input of orders to name keys of its dimension of grain {grain}, "
        "which the pipeline lacks$"
    )
    with pytest.raises(ValueError, match=message):
        selected(own, key, reads(SAME), theirs)
    with pytest.raises(ValueError, match=message):
        reading_runs(own, reads(SAME), theirs, theirs_key)


@pytest.mark.parametrize(
    ("own", "key", "item", "theirs"),
    [
        (DAILY, "0001-01-03", reads(LAST, 7), DAILY),
        (DAILY, "9999-12-30", reads(OFFSET, 1), DAILY),
        (DAILY, "0001-01-02", reads(CONTAINING), Partitioning(Grain.WEEKLY)),
        (DAILY, "9999-12-30", reads(ALL), Partitioning(Grain.DAILY, "Etc/GMT-14")),
    ],
)
def test_beyond_the_ends_of_the_calendar_nothing_is_read(
    own: Partitioning, key: str, item: DatasetInput, theirs: Partitioning
) -> None:
    assert selected(own, key, item, theirs) == ()


# Which runs read


@pytest.mark.parametrize(
    ("own", "item", "theirs", "key", "expected"),
    [
        (DAILY, reads(SAME), DAILY, "2013-01-01", ("2013-01-01",)),
        (APIA_DAYS, reads(SAME), DAILY, "2011-12-30", ()),
        (FREE, reads(SAME), FREE, "a", ("a",)),
        (NONE, reads(SAME), NONE, "", ("",)),
        (NEW_YORK_DAYS, reads(ALL), HOURLY, "2013-01-01T04Z", ("2012-12-31",)),
        (NEW_YORK_DAYS, reads(ALL), HOURLY, "0001-01-02T00Z", ()),  # No run begins before the calendar.
        (DAY_REGION, reads(SAME), DATE_REGION, "eu|2013-01-01", ("2013-01-01|eu",)),
        (DAY_REGION, reads(SAME), DAILY, "2013-01-01", ("2013-01-01|eu", "2013-01-01|us")),
        (
            DAY_REGION,
            reads(ALL),
            several(region=REGIONS, hour=HOURLY),
            "us|2013-01-01T23Z",
            ("2013-01-01|us",),
        ),
        (DAILY, reads(SAME), DAY_REGION, "2013-01-01|us", ("2013-01-01",)),
        (DAILY, reads(SAME, dimensions={"region": ("us",)}), DAY_REGION, "2013-01-01|us", ("2013-01-01",)),
        (DAILY, reads(SAME, dimensions={"region": ("us",)}), DAY_REGION, "2013-01-01|eu", ()),
        (DAY_REGION, reads(SAME), several(day=DAILY, region=FREE), "2013-01-01|apac", ()),
        # A free key, or a day, of which the dataset says nothing: the runs cannot be listed ...
        (DAY_ORDER, reads(SAME), DAILY, "2013-01-01", None),
        (DAY_REGION, reads(SAME), several(region=REGIONS), "eu", None),
        (DAY_REGION, reads(SAME), NONE, "", None),
        # ... except that there are none.
        (several(day=APIA_DAYS, order=FREE), reads(SAME), DAILY, "2011-12-30", ()),
    ],
)
def test_a_partition_is_read_by_the_runs_that_select_it(
    own: Partitioning,
    item: DatasetInput,
    theirs: Partitioning,
    key: str,
    expected: tuple[str, ...] | None,
) -> None:
    assert reading_runs(own, item, theirs, key) == expected


@pytest.mark.parametrize("selection", [CONTAINING, LATEST, LAST, OFFSET])
def test_only_same_and_all_name_the_runs(selection: Selection) -> None:
    with pytest.raises(AssertionError):
        reading_runs(DAILY, reads(selection, 1), DAILY, "2013-01-01")


def test_latest_selects_no_keys_of_its_own() -> None:
    with pytest.raises(AssertionError):
        selected(DAILY, "2013-01-01", reads(LATEST), DAILY)


# Between which starts


def days(first: str, end: str) -> tuple[float, float]:
    limits = bounds(DAILY, first), bounds(DAILY, end)
    assert limits[0] is not None and limits[1] is not None
    return limits[0].start, limits[1].start


@pytest.mark.parametrize(
    ("own", "item", "theirs", "key", "expected"),
    [
        (DAILY, reads(CONTAINING), MONTHLY, "2013-02", days("2013-02-01", "2013-03-01")),
        (DAILY, reads(LATEST), MONTHLY, "2013-02", (days("2013-02-01", "2013-02-01")[0], None)),
        (DAILY, reads(LATEST), DAY_REGION, "2013-02-01|eu", (days("2013-02-01", "2013-02-01")[0], None)),
        (DAILY, reads(LAST, 7), DAILY, "2013-02-01", days("2013-02-01", "2013-02-08")),
        (DAILY, reads(OFFSET, -2), DAILY, "2013-02-01", days("2013-02-03", "2013-02-04")),
        (DAILY, reads(OFFSET, 2), DAY_REGION, "2013-02-03|eu", days("2013-02-01", "2013-02-02")),
        (WEEKLY, reads(LAST, 7), DAILY, "2013-01-06", days("2012-12-31", "2013-01-14")),
        (MONTHLY, reads(LAST, 2), WEEKLY, "2013-W05", days("2013-01-01", "2013-03-01")),
        # A week may begin in the month before that of its Thursday.
        (WEEKLY, reads(CONTAINING), MONTHLY, "2013-01", days("2012-12-28", "2013-02-01")),
        # What cannot be listed by `same` and `all` is found by its day.
        (DAY_ORDER, reads(SAME), DAILY, "2013-01-01", days("2013-01-01", "2013-01-02")),
        (DAY_ORDER, reads(SAME), NEW_YORK_DAYS, "2013-01-01", days("2013-01-01", "2013-01-02")),
        (DAY_ORDER, reads(ALL), HOURLY, "2013-01-01T23Z", days("2013-01-01", "2013-01-02")),
        (DAY_REGION, reads(SAME), several(region=REGIONS), "eu", (None, None)),
        (FREE, reads(LATEST), DAILY, "2013-01-01", (None, None)),
        (NONE, reads(LATEST), DAILY, "2013-01-01", (None, None)),
        (DAILY, reads(LATEST), NONE, "", (None, None)),
        # At an end of the calendar.
        (DAILY, reads(OFFSET, -1), DAILY, "9999-12-30", (None, None)),
        (DAILY, reads(LAST, 2), DAILY, "9999-12-30", (None, None)),
        (NEW_YORK_DAYS, reads(LAST, 2), HOURLY, "0001-01-02T00Z", (None, None)),
    ],
)
def test_runs_that_may_read_a_partition_begin_in_a_range(
    own: Partitioning,
    item: DatasetInput,
    theirs: Partitioning,
    key: str,
    expected: tuple[float | None, float | None],
) -> None:
    assert reading_range(own, item, theirs, key) == expected


# Properties, over zones and the years 1970 to 2037

CALENDAR = (Grain.HOURLY, Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)
ZONES = st.sampled_from([
    "UTC", NEW_YORK, APIA, "America/St_Johns", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Kiritimati",
    "Pacific/Kwajalein", "America/Havana", "Asia/Tokyo",
])  # fmt: skip
CALENDARS = st.builds(Partitioning, st.sampled_from(CALENDAR), ZONES)
INSTANTS = st.integers(
    int(datetime(1970, 1, 3, tzinfo=UTC).timestamp()), int(datetime(2037, 12, 28, tzinfo=UTC).timestamp())
) | st.integers(
    int(datetime(2011, 12, 27, tzinfo=UTC).timestamp()), int(datetime(2012, 1, 2, tzinfo=UTC).timestamp())
)
#: Each of one name may be of listed keys here and free there.
OTHERS = {"region": (REGIONS, FREE), "store": (STORES,)}
FREE_KEYS = ("eu", "us", "1", "other")


@st.composite
def sides(draw: st.DrawFn, *, calendars: bool = True) -> Partitioning:
    """Draw a calendar alone, or one among other dimensions in any order."""
    dimensions: list[tuple[str, Partitioning]] = [
        (name, draw(st.sampled_from(cuts))) for name, cuts in OTHERS.items() if draw(st.booleans())
    ]
    if calendars:
        calendar = draw(CALENDARS)
        if not dimensions:
            return calendar
        dimensions.append((draw(st.sampled_from(["day", "date"])), calendar))
    elif not dimensions:
        return draw(st.sampled_from([NONE, FREE, REGIONS]))
    return Partitioning(Grain.SEVERAL, dimensions=tuple(draw(st.permutations(dimensions))))


def keys_near(partitioning: Partitioning, instant: int) -> list[str]:
    """Return some partitions of all dimensions, of the calendar those around an instant."""
    if partitioning.grain is Grain.SEVERAL:
        axes = [keys_near(each, instant) for _, each in partitioning.dimensions]
        names = [name for name, _ in partitioning.dimensions]
        return [join_key(partitioning, dict(zip(names, keys, strict=True))) for keys in product(*axes)]
    if partitioning.grain in CALENDAR:
        here = partition_at(partitioning, instant)
        return [shifted(partitioning, here, by) for by in (-1, 0, 1)]
    if partitioning.grain is Grain.NONE:
        return [""]
    return list(partitioning.keys or FREE_KEYS)


def input_for(own: Partitioning, theirs: Partitioning, item: DatasetInput) -> DatasetInput:
    """Return the input with the keys named that have to be."""
    if theirs.grain is Grain.SEVERAL and "region" in dict(theirs.dimensions):
        missing = own.grain is not Grain.SEVERAL or "region" not in dict(own.dimensions)
        if missing and dict(theirs.dimensions)["region"] is FREE:
            return reads(item.selection, item.count, {"region": ("us", "other")})
    return item


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Partitioning, Partitioning]:
    """Draw a pipeline's and a dataset's side; the dataset may lack the calendar."""
    own = draw(sides())
    theirs = draw(sides(calendars=draw(st.integers(0, 4)) > 0))
    if theirs.grain is Grain.KEY:  # Without a name it needs its keys named, which only dimensions can.
        theirs = NONE
    return own, theirs


@given(pairs(), INSTANTS, st.sampled_from([SAME, ALL]))
@settings(max_examples=250, deadline=None)
def test_a_run_selects_a_partition_just_where_the_partition_is_read_by_the_run(
    pair: tuple[Partitioning, Partitioning], instant: int, selection: Selection
) -> None:
    own, theirs = pair
    ours, calendar = calendar_of(own), calendar_of(theirs)
    assert ours is not None
    if calendar is not None:
        if selection is ALL and is_finer(ours.grain, calendar.grain):
            own, theirs = theirs, own
        elif selection is SAME and ours.grain is not calendar.grain:
            selection = ALL
            if is_finer(ours.grain, calendar.grain):
                own, theirs = theirs, own
    item = input_for(own, theirs, reads(selection))
    read = {run: set(selected(own, run, item, theirs)) for run in keys_near(own, instant)}
    edges = {key for keys in read.values() for key in (*sorted(keys)[:2], *sorted(keys)[-2:])}
    for key in sorted(edges.union(keys_near(theirs, instant))):
        readers = reading_runs(own, item, theirs, key)
        if readers is None:
            limits = reading_range(own, item, theirs, key)
            assert all(lies_in(own, run, *limits) for run, keys in read.items() if key in keys)
        else:
            assert {run for run, keys in read.items() if key in keys} == read.keys() & set(readers)
            assert all(key in selected(own, run, item, theirs) for run in readers if run not in read)


@given(pairs(), INSTANTS, st.sampled_from([CONTAINING, LAST, OFFSET]), st.integers(-40, 40))
@settings(max_examples=250, deadline=None)
def test_a_run_that_selects_a_partition_begins_in_the_range_of_its_readers(
    pair: tuple[Partitioning, Partitioning], instant: int, selection: Selection, count: int
) -> None:
    own, theirs = pair
    ours, calendar = calendar_of(own), calendar_of(theirs)
    assert ours is not None
    if selection is CONTAINING and calendar is not None and is_finer(calendar.grain, ours.grain):
        own, theirs = theirs, own
    item = input_for(own, theirs, reads(selection, max(abs(count), 1) if selection is LAST else count))
    for run in keys_near(own, instant):
        for key in selected(own, run, item, theirs):
            assert lies_in(own, run, *reading_range(own, item, theirs, key))


def lies_in(own: Partitioning, run: str, since: float | None, before: float | None) -> bool:
    limits = bounds(own, run)
    assert limits is not None
    return (since is None or since <= limits.start) and (before is None or limits.start < before)


@given(CALENDARS, CALENDARS, INSTANTS, st.integers(1, 30))
@settings(deadline=None)
def test_last_reads_what_the_offsets_up_to_it_read(
    own: Partitioning, theirs: Partitioning, instant: int, count: int
) -> None:
    run = partition_at(own, instant)
    each = [selected(own, run, reads(OFFSET, -back), theirs) for back in reversed(range(count))]
    assert selected(own, run, reads(LAST, count), theirs) == tuple(key for keys in each for key in keys)
    (base,) = each[-1]
    if is_finer(theirs.grain, own.grain):
        assert base == selected(own, run, reads(ALL), theirs)[-1]
    else:
        assert base == containing(own, run, theirs)


@given(sides(), INSTANTS)
@settings(deadline=None)
def test_a_side_reads_itself_one_to_one(partitioning: Partitioning, instant: int) -> None:
    for key in keys_near(partitioning, instant):
        assert selected(partitioning, key, reads(SAME), partitioning) == (key,)
        assert reading_runs(partitioning, reads(SAME), partitioning, key) == (key,)
        assert dimension_keys(partitioning, key) == {} or partitioning.grain is Grain.SEVERAL
