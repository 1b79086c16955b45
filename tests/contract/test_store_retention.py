"""What every store forgets of what is over, and what it does not."""

from sensorflow.core.messages import EventState
from sensorflow.core.state import ContentRow, EventMark, FiringRow, PastRunRow, State
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import Event
from sensorflow.ports import Store
from tests.store_rows import (
    alert_row,
    arrival_row,
    attempt_row,
    event_row,
    operation_row,
    put_event,
    run_row,
    task_row,
)


async def test_an_event_goes_with_its_arrivals_and_its_identity_and_number_stay(
    store: Store, state: State
) -> None:
    for _ in range(3):
        put_event(state)
    await store.commit()
    state = store.begin()
    state.drop_event(3)
    state.drop_event(2)
    await store.commit()
    reader = store.reader
    assert (reader.event(2), reader.arrivals(2)) == (None, [])
    assert [mark.seq for mark in reader.event_marks(0, 10)] == [1]
    assert reader.last_seq() == 3
    identity = event_row(3)
    assert reader.identity(identity.event.source, identity.id) == 3
    assert store.begin().next_seq() == 4
    store.rollback()


async def test_marks_tell_how_events_are_known_and_come_in_pages(store: Store, state: State) -> None:
    named = event_row(1)
    by_content = event_row(2, id="c-2", state=EventState.REJECTED)
    by_content = by_content._replace(event=Event(source="/mqtt", id=None, content="c"))
    placed = event_row(3, id="c-3")
    placed = placed._replace(event=Event(source="/http", id=None, content="c", replaces="url"))
    for row in (named, by_content, placed):
        state.add_event(row)
    state.put_content(ContentRow(source="/mqtt", key="c", digest="c", seq=2, expires_at=1.0))
    await store.commit()
    marks = store.reader.event_marks(0, 2)
    assert marks == [
        EventMark(1, "/erp", "", 1000.5, EventState.ACCEPTED),
        EventMark(2, "/mqtt", "c", 1000.5, EventState.REJECTED),
    ]
    assert store.reader.event_marks(2, 2) == [EventMark(3, "/http", "url", 1000.5, EventState.ACCEPTED)]
    state = store.begin()
    state.drop_content("/mqtt", "c")
    assert state.content("/mqtt", "c") is None
    await store.commit()


async def test_runs_that_have_ended_come_by_their_end(store: Store, state: State) -> None:
    for name, at, run_state in (
        ("r1", 30.0, RunState.SUCCEEDED),
        ("r2", 10.0, RunState.CANCELLED),
        ("r3", 10.0, RunState.SUCCEEDED),
        ("r4", 5.0, RunState.FAILED),
        ("r5", None, RunState.WAITING),
    ):
        state.put_run(run_row(name, state=run_state)._replace(ended_at=at, partition=name))
    await store.commit()
    ask = store.reader.runs_ended
    assert [run.id for run in ask((0.0, ""), 40.0, 9)] == ["r2", "r3", "r1"]
    assert [run.id for run in ask((0.0, ""), 30.0, 9)] == ["r2", "r3"]
    assert [run.id for run in ask((10.0, "r2"), 40.0, 1)] == ["r3"]


async def test_a_run_goes_with_all_that_is_of_it_and_no_other(store: Store, state: State) -> None:
    for run in ("r1", "r2"):
        state.put_run(run_row(run, state=RunState.SUCCEEDED)._replace(partition=run))
        state.put_task(task_row(run, "load", state=TaskState.SUCCEEDED))
        state.put_attempt(attempt_row(run, "load", state=AttemptState.SUCCEEDED, token=f"token-{run}"))
        state.add_firing(FiringRow(run, 1, "load", 1.0))
        state.add_operation(operation_row(f"o-{run}", run_id=run))
    await store.commit()
    state = store.begin()
    pipeline = run_row("r1").pipeline
    state.put_past_run(PastRunRow(pipeline, "r1", 3, RunState.SUCCEEDED))
    state.drop_run("r1")
    state.drop_run("r9")
    assert state.run("r1") is None
    assert state.run_of(pipeline, "r1") is None
    assert state.tasks("r1") == state.tasks_by_state("r1") == {}
    await store.commit()
    reader = store.reader
    assert (reader.run("r1"), reader.tasks("r1"), reader.attempts("r1")) == (None, {}, [])
    assert (reader.attempt_of("token-r1"), reader.firing("r1", 1, "load")) == (None, None)
    assert store.listing.operations("r1") == []
    assert reader.past_run(pipeline, "r1") == PastRunRow(pipeline, "r1", 3, RunState.SUCCEEDED)
    assert reader.past_run(pipeline, "r2") is None
    assert reader.run_of(pipeline, "r2") is not None
    assert len(reader.tasks("r2")) == len(reader.attempts("r2")) == len(store.listing.operations("r2")) == 1


async def test_what_was_dropped_is_there_again_when_the_transaction_is_undone(
    store: Store, state: State
) -> None:
    put_event(state)
    state.add_arrival(arrival_row(1, part="x"))
    state.put_run(run_row("r1", state=RunState.SUCCEEDED))
    state.put_task(task_row("r1", "load"))
    await store.commit()
    there = store.reader.arrivals(1)
    state = store.begin()
    state.drop_event(1)
    state.drop_run("r1")
    store.rollback()
    assert store.reader.event(1) is not None
    assert store.reader.arrivals(1) == there
    state = store.begin()
    assert state.run("r1") is not None
    assert list(state.tasks("r1")) == ["load"]
    store.rollback()


async def test_alerts_that_are_over_go_the_oldest_first(store: Store, state: State) -> None:
    for name, opened_at, resolved_at in (("a", 1.0, 2.0), ("b", 2.0, 3.0), ("c", 1.5, None), ("d", 3.0, 9.0)):
        row = alert_row(name, cause=f"late/{name}")
        state.put_alert(row._replace(opened_at=opened_at, resolved_at=resolved_at))
    assert state.drop_resolved_alerts(5.0, 1) == 1
    assert state.drop_resolved_alerts(5.0, 9) == 1
    assert state.drop_resolved_alerts(5.0, 9) == 0
    await store.commit()
    left = store.listing.alerts(open_only=False, before=None, limit=9)
    assert [row.id for row in left] == ["d", "c"]
