"""All that a store can be asked about the few names that the tests of stores use."""

from typing import Any

from sensorflow.core.messages import EventState
from sensorflow.core.state import State
from sensorflow.core.states import RunState
from sensorflow.ports import Store

NAMES = ["a", "b"]
IDS = ["r1", "r2", "r3"]
KEYS = ["2013-01-01", "2013-01-02", "é|x"]
TIMES = [0.0, 1.5, 2.0]


def questions(state: State) -> list[Any]:
    """Return all that decisions can ask about the few names that the tests use."""
    names, keys = [*NAMES, "orders", "daily_sales"], [*KEYS, "", "2013-03-10", "key-000000001"]
    bounds = [None, *TIMES]
    return [
        *(lambda name=name, key=key: state.partition(name, key) for name in names for key in keys),
        *(lambda name=name, key=key: state.parts(name, key) for name in names for key in keys),
        *(lambda name=name, key=key: state.run_of(name, key) for name in names for key in keys),
        *(lambda name=name: state.partitions(name, keys) for name in names),
        *(lambda name=name, at=at: state.newest_ready(name, at) for name in names for at in bounds),
        *(lambda name=name, at=at: state.newest_ready(name, at, "é") for name in names for at in bounds),
        *(lambda name=name: state.newest_arrival(name) for name in names),
        *(
            lambda ask=ask, name=name, since=since, before=before, limit=limit: ask(
                name, since=since, before=before, after="r1" if limit == 1 else "", limit=limit
            )
            for ask in (state.open_runs, state.runs_between)
            for name in names
            for since in bounds
            for before in bounds
            for limit in (1, 10)
        ),
        *(lambda name=name: state.active_runs(name) for name in names),
        *(lambda run=run: (state.run(run), state.tasks(run), state.attempts(run)) for run in IDS),
        *(
            lambda run=run: {each: set(names) for each, names in state.tasks_by_state(run).items()}
            for run in IDS
        ),
        *(lambda name=name: state.backfill_runs(name, after="r1", limit=2) for name in names),
        *(
            lambda name=name, lane=lane, run=run: state.next_queued(name, lane, run)
            for name in names
            for lane in ("", "a")
            for run in [None, *IDS]
        ),
        *(lambda run=run, name=name: state.task(run, name) for run in IDS for name in names),
        *(lambda run=run, name=name: state.attempt(run, name, 1) for run in IDS for name in names),
        state.queued_lanes,
        state.running,
        *(lambda name=name: state.running_count(name) for name in [None, *names]),
        state.next_timer_at,
        *(lambda at=at: state.due_timers(at, 10) for at in TIMES),
        *(lambda seq=seq: state.event(seq) for seq in range(4)),
        *(lambda seq=seq: state.identity("/erp", f"event-{seq}") for seq in range(4)),
        *(lambda name=name: state.sensor(name, "a") for name in names),
        state.last_seq,
        *(lambda seq=seq: state.arrivals(seq) for seq in range(4)),
        *(
            lambda name=name, seq=seq, limit=limit: state.ready_arrivals_since(name, seq, limit)
            for name in names
            for seq in range(4)
            for limit in (1, 100)
        ),
        *(lambda token=token: state.attempt_of(token) for token in ("r1/a/1", "r2/b/1", "r3/a/2")),
        *(lambda name=name: (state.timer(name), state.pipeline(name)) for name in names),
        *(lambda name=name: (state.backfill(name), state.watermark(name, "a", "b")) for name in names),
        *(lambda name=name: state.open_alert(f"late/{name}") for name in names),
    ]


def answers(state: State, store: Store) -> list[Any]:
    """Return what a store has to say when no transaction is open."""
    listing, names = store.listing, [*NAMES, "orders", "daily_sales"]
    runs = [
        listing.runs(
            pipeline=name, partition=partition, state=kind, before=before, limit=2, backfill=backfill
        )
        for name, backfill in [(None, None), *((name, None) for name in names), (None, "a"), ("a", "a")]
        for partition in (None, "", "r1")
        for kind in (None, *RunState)
        for before in (None, "r3")
    ]
    events = [
        listing.events(after=after, before=before, dataset=name, state=kind, limit=2)
        for name in [None, *names]
        for kind in (None, *EventState)
        for after, before in ((0, None), (2, None), (0, 9), (0, 3))
    ]
    lists = [
        (
            listing.partitions(name, after=None, limit=5),
            listing.partitions(name, after="2013-01-02", limit=5),
            listing.partition_counts(name),
            listing.newest(name),
            listing.run_counts(name),
            listing.task_counts(name),
            listing.last_run(name),
            listing.backfill_counts(name),
            listing.operations(name),
        )
        for name in names
    ]
    counts = (listing.queued_count(), listing.running_count(), listing.sensors(), listing.pipelines())
    pages = [
        (
            listing.backfills(before=before, limit=1),
            listing.alerts(open_only=False, before=before, limit=2),
            listing.alerts(open_only=True, before=before, limit=2),
        )
        for before in (None, "a", "b")
    ]
    arrivals = [listing.arrivals(seq) for seq in range(5)]
    return [*(ask() for ask in questions(state)), *runs, *events, *lists, *counts, *pages, *arrivals]
