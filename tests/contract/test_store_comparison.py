"""Random sequences of steps: all stores answer the same."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from sensorflow.core.messages import EventState
from sensorflow.core.state import AttemptRow, PipelineRow, RunRow, State, WatermarkRow
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.store import sqlite_rows
from sensorflow.store.memory import MemoryStore
from sensorflow.store.sqlite import SqliteStore
from tests.store_answers import IDS, KEYS, NAMES, TIMES, answers, questions
from tests.store_rows import (
    alert_row,
    arrival_row,
    attempt_row,
    backfill_row,
    event_row,
    operation_row,
    part_row,
    partition_row,
    run_row,
    sensor_row,
    task_row,
    timer_row,
)

_names, _ids, _keys, _times = map(st.sampled_from, (NAMES, IDS, KEYS, TIMES))
_starts = st.none() | _times
_lanes = st.sampled_from(["", "a"])
_partitions = _ids.map("of-{}".format)

Step: TypeAlias = tuple[str, Any]


def _attempt(run_id: str, task: str, number: int, *, has_token: bool, **rest: Any) -> AttemptRow:
    return attempt_row(run_id, task, number, token=f"{run_id}/{task}/{number}" if has_token else None, **rest)


def _run(run_id: str, **rest: Any) -> RunRow:
    """Return a run that keeps its pipeline and its partition, as runs do; one has no partition."""
    place = IDS.index(run_id)
    return run_row(run_id, pipeline=NAMES[place % len(NAMES)], partition=None if place else "", **rest)


_steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("put_event"), st.tuples(_names, st.sampled_from(EventState))),
    st.tuples(
        st.just("put_partition"),
        st.builds(
            partition_row,
            _keys,
            dataset=_names,
            start=_starts,
            version=st.integers(0, 2),
            last_at=_times,
            ready_at=_times,
            withdrawn=st.booleans(),
            arrivals=st.integers(0, 1),
            whole=st.integers(0, 1),
        ),
    ),
    st.tuples(st.just("put_part"), st.builds(part_row, _names, partition=_keys, seq=st.integers(1, 5))),
    st.tuples(
        st.just("put_run"),
        st.builds(
            _run,
            _ids,
            start=_starts,
            state=st.sampled_from(RunState),
            active=st.booleans(),
            backfill=_lanes,
            pending=st.sampled_from([(), ("load", "join")]),
        ),
    ),
    st.tuples(
        st.just("put_task"),
        st.builds(
            task_row,
            _ids,
            _names,
            pipeline=_names,
            state=st.sampled_from(TaskState),
            priority=st.integers(-1, 1),
            queued_at=_starts,
            lane=_lanes,
        ),
    ),
    st.tuples(
        st.just("put_attempt"),
        st.builds(
            _attempt,
            _ids,
            _names,
            st.integers(1, 11),
            pipeline=_names,
            state=st.sampled_from(AttemptState),
            has_token=st.booleans(),
        ),
    ),
    st.tuples(st.just("put_timer"), st.builds(timer_row, _names, _times)),
    st.tuples(st.just("drop_timer"), _names),
    st.tuples(st.just("drop_run"), _ids),
    st.tuples(st.just("drop_parts"), st.tuples(_names, _keys, st.none() | _names)),
    st.tuples(st.just("replace_event"), st.tuples(st.integers(1, 3), st.sampled_from(EventState))),
    st.tuples(
        st.just("put_pipeline"),
        st.builds(PipelineRow, name=_names, paused=st.booleans(), paused_in_file=st.booleans()),
    ),
    st.tuples(
        st.just("put_watermark"),
        st.builds(WatermarkRow, pipeline=_names, task=_names, dataset=_names, seq=st.integers(1, 9)),
    ),
    st.tuples(st.just("put_backfill"), st.builds(backfill_row, _names, cancelled_at=_starts)),
    st.tuples(st.just("put_alert"), st.builds(alert_row, _names, opened_at=_times, resolved_at=_starts)),
    st.tuples(st.just("add_operation"), st.builds(operation_row, st.uuids().map(str), run_id=_names)),
    st.tuples(st.just("put_sensor"), st.builds(sensor_row, _names, _names)),
    st.tuples(
        st.just("foresee"), st.tuples(*(st.lists(st.tuples(_names, _keys | _partitions)) for _ in range(3)))
    ),
    st.tuples(st.just("ask"), st.integers(0, 100)),
    st.tuples(st.just("commit"), st.booleans()),
    st.tuples(st.just("rollback"), st.none()),
)


def take(step: Step, state: State) -> object:
    name, value = step
    if name == "put_event":
        dataset, kind = value
        seq = state.next_seq()
        state.add_event(event_row(seq, state=kind))
        for part in NAMES:
            ready = bool(seq % 2) or part == "b"
            row = arrival_row(seq, dataset=dataset, partition=KEYS[seq % 3], part=part, ready=ready)
            state.add_arrival(row)
        return seq
    if name == "replace_event":
        seq, kind = value
        return state.replace_event(event_row(seq, state=kind)) if state.event(seq) else None
    if name == "drop_parts":
        return state.drop_parts(*value)
    if name == "foresee":
        identities, partitions, runs = value
        return state.foresee(identities, partitions, [pair for pair in runs if pair[1]])
    if name == "ask":
        asked = questions(state)
        return asked[value * len(asked) // 101]()
    return getattr(state, name)(value)


async def compare(steps: list[Step], folder: Path) -> None:
    memory, sqlite = MemoryStore(), SqliteStore(folder / "state.db")
    views = [memory.begin(), sqlite.begin()]
    try:
        for step in [*steps, ("commit", True)]:
            if step[0] not in {"commit", "rollback"}:
                first, second = (take(step, view) for view in views)
                assert first == second
                continue
            if step[0] == "commit":
                await memory.commit()
                await sqlite.commit(busy=step[1])
            else:
                memory.rollback()
                sqlite.rollback()
            assert answers(memory.reader, memory) == answers(sqlite.reader, sqlite)
            views = [memory.begin(), sqlite.begin()]
    finally:
        memory.close()
        sqlite.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(_steps, max_size=30))
def test_memory_and_sqlite_answer_the_same(steps: list[Step]) -> None:
    # What is remembered is let go of as soon as there is something else.
    with TemporaryDirectory() as folder, patch.multiple(sqlite_rows, KNOWN=1, _SPARE=0):
        asyncio.run(compare(steps, Path(folder)))
