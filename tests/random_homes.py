"""Definitions at random: all grains of the naive calendar, all selections, chains, groups, limits."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

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

Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def homes(draw: Draw) -> Definitions:
    """Draw up to three datasets from outside, and up to three pipelines that may feed those behind them."""
    datasets = {f"d{n}": _dataset(draw, f"d{n}") for n in range(draw(st.integers(1, 3)))}
    pipelines: dict[str, PipelineDefinition] = {}
    for n in range(draw(st.integers(1, 3))):
        made = _pipeline(draw, f"p{n}", datasets)
        pipelines[made.name] = made
        for output in (name for each in made.tasks.values() for name in each.outputs):
            datasets[output] = dataset(output, made.partitioning)
    return Definitions(pipelines=pipelines, datasets=datasets, sensors={})


@st.composite
def changed(draw: Draw, home: Definitions) -> Definitions:
    """Draw an edit of one pipeline: a task or an input more or less."""
    old = home.pipelines[draw(st.sampled_from(sorted(home.pipelines)))]
    tasks = dict(old.tasks)
    name = draw(st.sampled_from(sorted(tasks)))
    # A pipeline reads no output of its own or of those behind it, so that there is no cycle.
    known = {
        key: each for key, each in home.datasets.items() if key.startswith("d") or key[1:] < old.name[1:]
    }
    match draw(st.sampled_from(["more", "fewer", "input", "no input"])):
        case "more":
            new = f"t{max(int(each[1:]) for each in tasks) + 10}"
            tasks[new] = _task(draw, new, old.partitioning.grain, known, [name])
        case "fewer" if len(tasks) > 1:
            del tasks[name]
            for each in tasks.values():
                above = tuple(upstream for upstream in each.after if upstream != name)
                tasks[each.name] = replace(each, after=above, when=each.when if above else When.ALL_SUCCEEDED)
        case "input":
            more = _leaf(draw, old.partitioning.grain, known)
            tasks[name] = replace(tasks[name], inputs=(*tasks[name].inputs, more))
        case "no input":
            tasks[name] = replace(tasks[name], inputs=tasks[name].inputs[1:])
    pipelines = {**home.pipelines, old.name: replace(old, tasks=tasks)}
    return Definitions(pipelines=pipelines, datasets=home.datasets, sensors={})


def _dataset(draw: Draw, name: str) -> DatasetDefinition:
    grain = draw(st.sampled_from(_GRAINS))
    complete = draw(st.sampled_from([{}, {}, {}, {"parts": ("x", "y")}, {"count": 2}, {"quiet_s": 15.0}]))
    return dataset(name, Partitioning(grain), **complete)


def _pipeline(draw: Draw, name: str, datasets: dict[str, DatasetDefinition]) -> PipelineDefinition:
    grain = draw(st.sampled_from(_GRAINS))
    tasks: list[TaskDefinition] = []
    for n in range(draw(st.integers(1, 4))):
        made = _task(draw, f"t{n}", grain, datasets, [each.name for each in tasks])
        tasks.append(made)
    if draw(st.booleans()):
        tasks[-1] = replace(tasks[-1], outputs=(f"o{name[1:]}",))
    return pipeline(
        name,
        *tasks,
        partitioning=Partitioning(grain),
        start=_STARTS.get(grain) if draw(st.sampled_from([False, False, True])) else None,
        late=draw(st.sampled_from(LatePolicy)),
        concurrency=draw(st.sampled_from([8, 1, 2])),
        max_active_runs=draw(st.sampled_from([16, 1, 2])),
    )


def _task(
    draw: Draw, name: str, own: Grain, datasets: dict[str, DatasetDefinition], above: list[str]
) -> TaskDefinition:
    after = tuple(draw(st.lists(st.sampled_from(above), unique=True, max_size=2))) if above else ()
    at_least = 0 if after else 1
    inputs = [_input(draw, own, datasets) for _ in range(draw(st.integers(at_least, 2)))]
    return task(
        name,
        *inputs,
        after=after,
        when=draw(st.sampled_from([When.ALL_SUCCEEDED, *When])) if after else When.ALL_SUCCEEDED,
        skipped_blocks=draw(st.sampled_from([False, False, True])),
        retries=draw(st.sampled_from([RetryPolicy(), _RETRIES])),
        priority=draw(st.integers(0, 1)),
    )


def _input(draw: Draw, own: Grain, datasets: dict[str, DatasetDefinition]) -> Input:
    if draw(st.integers(0, 3)):
        return _leaf(draw, own, datasets)
    members: list[Input] = [_leaf(draw, own, datasets) for _ in range(draw(st.integers(1, 3)))]
    if draw(st.integers(0, 3)) == 3:
        members.append(InputGroup(needed=1, members=(_leaf(draw, own, datasets),)))
    return InputGroup(needed=draw(st.integers(1, len(members))), members=tuple(members))


def _leaf(draw: Draw, own: Grain, datasets: dict[str, DatasetDefinition]) -> DatasetInput:
    """Draw an input that the two grains allow; those that make runs are the likelier ones."""
    usable = [
        each
        for each in datasets.values()
        # What a pipeline without partitions makes of quiet is said in a test of its own.
        if own is not Grain.NONE or each.complete.quiet_s is None
    ]
    read = draw(st.sampled_from(usable or list(datasets.values())))
    theirs = read.partitioning.grain
    selection, options = draw(st.sampled_from(_choices(own, theirs)))
    if own is not Grain.NONE:
        options = {**options, "optional_after_s": draw(st.sampled_from([None, None, None, 20.0]))}
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
