"""Definitions at random: all grains of the naive calendar, all selections, chains, groups, limits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

from sensorflow.core.definitions import Definitions
from sensorflow.core.vocabulary import (
    DatasetDefinition,
    DatasetInput,
    Grain,
    Input,
    InputGroup,
    LatePolicy,
    Partitioning,
    PipelineDefinition,
    RetryPolicy,
    Selection,
    TaskDefinition,
    When,
)
from tests.flows import dataset, pipeline, reads, task

_ORDER = (Grain.HOURLY, Grain.DAILY, Grain.WEEKLY)
_GRAINS = (*[Grain.DAILY] * 4, Grain.HOURLY, Grain.WEEKLY, Grain.KEY, Grain.NONE, Grain.NONE)
_STARTS = {Grain.HOURLY: "2026-06-01T01Z", Grain.DAILY: "2026-06-01", Grain.WEEKLY: "2026-W23"}
_RETRIES = RetryPolicy(max=1, delay_s=10, backoff=1, jitter=0)

#: Partitions of which arrivals are, by grain.
KEYS = {
    Grain.HOURLY: ("2026-06-01T00Z", "2026-06-01T01Z", "2026-06-01T23Z", "2026-05-31T23Z"),
    Grain.DAILY: ("2026-06-01", "2026-06-02", "2026-05-31"),
    Grain.WEEKLY: ("2026-W23", "2026-W22"),
    Grain.KEY: ("k1", "k2"),
    Grain.NONE: ("",),
}
#: What comes in one go now and then: all that is in a coarser partition.
WHOLES = {
    Grain.HOURLY: tuple(f"2026-06-01T{hour:02}Z" for hour in range(24)),
    Grain.DAILY: tuple(f"2026-06-{day:02}" for day in range(1, 8)),
}

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[Any]], Any]


class Choices(Protocol):
    """What decides by chance."""

    def number(self, low: int, high: int) -> int: ...
    def yes(self) -> bool: ...
    def one(self, options: Sequence[T]) -> T: ...
    def some(self, options: Sequence[T], most: int) -> list[T]:
        """Choose up to so many different ones."""


class _Drawn:
    """Hypothesis as what decides."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def number(self, low: int, high: int) -> int:
        return int(self._draw(st.integers(low, high)))

    def yes(self) -> bool:
        return bool(self._draw(st.booleans()))

    def one(self, options: Sequence[T]) -> T:
        chosen: T = self._draw(st.sampled_from(options))
        return chosen

    def some(self, options: Sequence[T], most: int) -> list[T]:
        return list(self._draw(st.lists(st.sampled_from(options), unique=True, max_size=most)))


@st.composite
def homes(draw: Draw) -> Definitions:
    return make_home(_Drawn(draw))


@st.composite
def changed(draw: Draw, home: Definitions) -> Definitions:
    return change_home(_Drawn(draw), home)


def part_of(dataset: DatasetDefinition, which: int) -> str | None:
    """Return a part that an arrival of the dataset may be of."""
    if dataset.complete.parts:
        return (*sorted(dataset.complete.parts) * 3, None)[which % 7]
    return ("x", "y", None, None)[which % 4] if dataset.complete.count else None


def make_home(choices: Choices) -> Definitions:
    """Make up to three datasets from outside, and up to three pipelines that may feed those behind them."""
    # The first is there for pipelines without partitions, too: what these make of quiet is not said here.
    datasets = {f"d{n}": _dataset(choices, f"d{n}", quiet=n > 0) for n in range(choices.number(1, 3))}
    pipelines: dict[str, PipelineDefinition] = {}
    for n in range(choices.number(1, 3)):
        made = _pipeline(choices, f"p{n}", datasets)
        pipelines[made.name] = made
        for output in (name for each in made.tasks.values() for name in each.outputs):
            datasets[output] = dataset(output, made.partitioning)
    return Definitions(pipelines=pipelines, datasets=datasets, sensors={})


def change_home(choices: Choices, home: Definitions) -> Definitions:
    """Make an edit of one pipeline: a task or an input more or less."""
    old = home.pipelines[choices.one(sorted(home.pipelines))]
    tasks = dict(old.tasks)
    name = choices.one(sorted(tasks))
    # A pipeline reads no output of its own or of those behind it, so that there is no cycle.
    known = {
        key: each for key, each in home.datasets.items() if key.startswith("d") or key[1:] < old.name[1:]
    }
    match choices.one(["more", "fewer", "input", "no input"]):
        case "more":
            new = f"t{max(int(each[1:]) for each in tasks) + 10}"
            tasks[new] = _task(choices, new, old.partitioning.grain, known, [name])
        case "fewer" if len(tasks) > 1:
            del tasks[name]
            for each in tasks.values():
                above = tuple(upstream for upstream in each.after if upstream != name)
                tasks[each.name] = replace(each, after=above, when=each.when if above else When.ALL_SUCCEEDED)
        case "input":
            more = _leaf(choices, old.partitioning.grain, known)
            tasks[name] = replace(tasks[name], inputs=(*tasks[name].inputs, more))
        case "no input":
            tasks[name] = replace(tasks[name], inputs=tasks[name].inputs[1:])
    pipelines = {**home.pipelines, old.name: replace(old, tasks=tasks)}
    return Definitions(pipelines=pipelines, datasets=home.datasets, sensors={})


def _dataset(choices: Choices, name: str, *, quiet: bool) -> DatasetDefinition:
    grain = choices.one(_GRAINS)
    ways = [{}, {}, {}, {"parts": ("x", "y")}, {"count": 2}, *([{"quiet_s": 15.0}] if quiet else [])]
    complete = choices.one(ways)
    return dataset(name, Partitioning(grain), **complete)


def _pipeline(choices: Choices, name: str, datasets: dict[str, DatasetDefinition]) -> PipelineDefinition:
    grain = choices.one(_GRAINS)
    tasks: list[TaskDefinition] = []
    for n in range(choices.number(1, 4)):
        made = _task(choices, f"t{n}", grain, datasets, [each.name for each in tasks])
        tasks.append(made)
    if choices.yes():
        tasks[-1] = replace(tasks[-1], outputs=(f"o{name[1:]}",))
    start = _STARTS.get(grain) if choices.one([False, False, True]) else None
    return pipeline(
        name,
        *tasks,
        partitioning=Partitioning(grain),
        start=start,
        sequential=start is not None and choices.yes(),
        late=choices.one(list(LatePolicy)),
        concurrency=choices.one([8, 1, 2]),
        max_active_runs=choices.one([16, 1, 2]),
    )


def _task(
    choices: Choices, name: str, own: Grain, datasets: dict[str, DatasetDefinition], above: list[str]
) -> TaskDefinition:
    after = tuple(choices.some(above, 2)) if above else ()
    at_least = 0 if after else 1
    inputs = [_input(choices, own, datasets) for _ in range(choices.number(at_least, 2))]
    return task(
        name,
        *inputs,
        after=after,
        when=choices.one([When.ALL_SUCCEEDED, *When]) if after else When.ALL_SUCCEEDED,
        skipped_blocks=choices.one([False, False, True]),
        retries=choices.one([RetryPolicy(), _RETRIES]),
        priority=choices.number(0, 1),
    )


def _input(choices: Choices, own: Grain, datasets: dict[str, DatasetDefinition]) -> Input:
    if choices.number(0, 3):
        return _leaf(choices, own, datasets)
    members: list[Input] = [_leaf(choices, own, datasets) for _ in range(choices.number(1, 3))]
    if choices.number(0, 3) == 3:
        members.append(InputGroup(needed=1, members=(_leaf(choices, own, datasets),)))
    return InputGroup(needed=choices.number(1, len(members)), members=tuple(members))


def _leaf(choices: Choices, own: Grain, datasets: dict[str, DatasetDefinition]) -> DatasetInput:
    """Draw an input that the two grains allow; those that make runs are the likelier ones."""
    usable = [
        each
        for each in datasets.values()
        # What a pipeline without partitions makes of quiet is said in a test of its own.
        if own is not Grain.NONE or each.complete.quiet_s is None
    ]
    read = choices.one(usable)
    theirs = read.partitioning.grain
    selection, options = choices.one(_choices(own, theirs))
    if own is not Grain.NONE:
        options = {**options, "optional_after_s": choices.one([None, None, None, 20.0])}
    return reads(read.name, selection, **options)


def _choices(own: Grain, theirs: Grain) -> list[tuple[Selection, dict[str, object]]]:
    latest: tuple[Selection, dict[str, object]] = (Selection.LATEST, {})
    if own is theirs and own is not Grain.NONE:
        same: list[tuple[Selection, dict[str, object]]] = [(Selection.SAME, {})] * 4
        if own is Grain.KEY:
            return [*same, latest]
        return [
            *same,
            latest,
            (Selection.LAST, {"count": 2}),
            (Selection.LAST, {"count": 3, "at_least": 2}),
            (Selection.OFFSET, {"count": -1}),
            (Selection.OFFSET, {"count": 1}),
        ]
    if own not in _ORDER or theirs not in _ORDER:
        return [latest]
    if _ORDER.index(theirs) < _ORDER.index(own):
        every: dict[str, object] = {"at_least": 3} if (own, theirs) == (Grain.WEEKLY, Grain.HOURLY) else {}
        return [
            (Selection.ALL, every),
            (Selection.ALL, {"at_least": 2}),
            (Selection.LAST, {"count": 2}),
            latest,
        ]
    return [(Selection.CONTAINING, {}), (Selection.CONTAINING, {}), (Selection.OFFSET, {"count": -1}), latest]
