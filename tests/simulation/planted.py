"""Bugs that could have been made, as patches of one simulation: the checks must find each."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sensorflow.core import gates, timekeeping
from sensorflow.core.attempts import Attempts, lease_timer
from sensorflow.core.decide import decide
from sensorflow.core.errors import SensorflowError
from sensorflow.core.messages import AttemptEnded, CalledBack, LostAttempt, Message, Moment, Observed
from sensorflow.core.readiness import Readiness
from sensorflow.core.schedules import next_time
from sensorflow.core.state import AttemptRow, PartitionRow, TimerRow
from sensorflow.core.states import AttemptState
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import DatasetInput, Event
from sensorflow.ports import StoreError
from sensorflow.sensors.supervision import _Supervised
from sensorflow.service import Outcome, Service, _Letter
from sensorflow.store.sqlite import SqliteStore
from sensorflow.store.sqlite_rows import Groups, KnownRows, Rows
from sensorflow.store.sqlite_state import SqliteState
from tests.simulation.loop import time_passes
from tests.simulation.processes import SimulatedExecutor

#: (owner, name, what stands there instead)
Patch = tuple[Any, str, Any]

_decide = Service._decide
_schedule_due = timekeeping.schedule_due
_take_over = Service._take_over
_submit_all = Service.submit_all
_commit = SqliteStore.commit
_store = _Supervised._store
_open_state = SqliteState.__init__
_identity, _content = SqliteState.identity, SqliteState.content
_called_back, _lease = Attempts.called_back, Attempts._lease


def _perform_as_decided(self: Service, state: Any, letters: list[_Letter]) -> Any:
    answers, orders = _decide(self, state, letters)
    for order in orders:
        self._perform(order)
    return answers, []


def _answer_as_decided(self: Service, state: Any, letters: list[_Letter]) -> Any:
    answers, orders = _decide(self, state, letters)
    for letter, given in zip(letters, answers, strict=True):
        if letter.answered is not None and not letter.answered.done():
            letter.answered.set_result(given)
    return answers, orders


async def _commit_after_a_while(self: SqliteStore, *, busy: bool = False) -> None:
    await time_passes(0.005)
    await _commit(self, busy=busy)


async def _join_the_open_transaction(self: Service, messages: Sequence[Message]) -> list[Outcome]:
    store = self.store
    assert isinstance(store, SqliteStore)
    if not store._writing.is_open:
        return await _submit_all(self, messages)
    moment = Moment(now=self._clock.now(), new_id=str, new_token=str, draw=lambda: 0.0)
    turn = Turn(self.definitions, store._writing, moment)
    answers: list[Outcome] = [decide(turn, message) for message in messages]
    await self.next_commit()
    return answers


async def _do_not_wait_for_the_thread(self: SqliteStore) -> None:
    self._committer.submit(self._writer.execute, "COMMIT")


async def _take_it_for_stored(self: SqliteStore, *, busy: bool = False) -> None:
    try:
        await _commit(self, busy=busy)
    except StoreError:
        return


def _any_partition(self: Readiness, item: DatasetInput) -> tuple[str, ...]:
    newest = self.state.newest_arrival(item.dataset)
    return (newest.partition if newest else self.partition,)


def _open_and_note(self: Any, *arguments: Any, **options: Any) -> None:
    _open_state(self, *arguments, **options)
    self.forgets_up_to = self._seq


def _new_identity(self: Any, source: str, event_id: str) -> int | None:
    seq = _identity(self, source, event_id)
    return seq if seq is not None and seq > self.forgets_up_to else None


def _new_content(self: Any, source: str, key: str) -> Any:
    row = _content(self, source, key)
    return row if row is not None and row.seq > self.forgets_up_to else None


async def _take_over_without_retries(self: Service) -> None:
    store = self.store
    assert isinstance(store, SqliteStore)
    store.begin()
    store._writer.execute("DELETE FROM timers WHERE kind = 'retry'")
    await store.commit()
    await _take_over(self)


async def _leave_it_running(self: SimulatedExecutor, lost: Sequence[LostAttempt]) -> None:
    return


def _from_now_on(turn: Turn, timer: TimerRow, on_time_s: float = 0.0) -> None:
    if turn.now - timer.due_at > timekeeping.ON_TIME_S:
        pipeline = turn.definitions.pipelines[timer.pipeline]
        following = next_time(pipeline.schedule or "", pipeline.partitioning.timezone, turn.now)
        timekeeping._put_schedule(turn, pipeline, following)
    else:
        _schedule_due(turn, timer, on_time_s)


async def _store_in_the_background(self: Any, events: Sequence[Event]) -> None:
    self.storing = asyncio.create_task(_store(self, events))


async def _store_or_drop(self: _Supervised, events: Sequence[Event]) -> None:
    key = (self.definition.pipeline, self.definition.name)
    try:
        await self._submit([Observed(event=event, sensor=key) for event in events])
    except SensorflowError:
        return


def _forget_unwritten(self: Rows[Any]) -> None:
    self.unwritten.clear()


def _lease_once(self: Attempts, attempt: AttemptRow, last_s: float) -> None:
    if self.turn.state.timer(lease_timer(attempt)) is None:
        _lease(self, attempt, last_s)


def _take_any_word(self: Attempts, message: CalledBack) -> None:
    state = self.turn.state
    attempt = state.attempt_of(message.token)
    task = state.task(attempt.run_id, attempt.task) if attempt else None
    if attempt is None or task is None or message.state is AttemptState.RUNNING:
        _called_back(self, message)
    else:
        self.ended(
            AttemptEnded(run_id=task.run_id, task=task.task, number=task.attempts, state=message.state)
        )


BUGS: dict[str, tuple[Patch, ...]] = {
    "a task is fired, then marked": ((Service, "_decide", _perform_as_decided),),
    "a transaction is open while something else is awaited": (
        (SqliteStore, "commit", _commit_after_a_while),
        (Service, "submit_all", _join_the_open_transaction),
    ),
    "an event is acknowledged before the commit": ((Service, "_decide", _answer_as_decided),),
    "commits are out of order with what follows them": (
        (SqliteStore, "_commit_in_thread", _do_not_wait_for_the_thread),
    ),
    "a failed commit is taken for a good one": ((SqliteStore, "commit", _take_it_for_stored),),
    "a rollback keeps what memory knows": (
        (KnownRows, "forget", _forget_unwritten),
        (Groups, "forget", _forget_unwritten),
    ),
    "the join forgets the partition": ((Readiness, "selected", _any_partition),),
    "a restart forgets what it has seen": (
        (SqliteState, "__init__", _open_and_note),
        (SqliteState, "identity", _new_identity),
        (SqliteState, "content", _new_content),
    ),
    "a restart loses the timers of retries": ((Service, "_take_over", _take_over_without_retries),),
    "a lost attempt is started again while it runs": ((SimulatedExecutor, "rescue", _leave_it_running),),
    "a clock that jumps loses a schedule time": ((timekeeping, "schedule_due", _from_now_on),),
    "a sensor acknowledges what is not stored yet": ((_Supervised, "_store", _store_in_the_background),),
    "a sensor drops what the service refuses": ((_Supervised, "_store", _store_or_drop),),
    "a lease is not renewed": ((Attempts, "_lease", _lease_once),),
    "the word of an old attempt counts for the new one": ((Attempts, "called_back", _take_any_word),),
    "partitions pass each other": ((gates, "unfinished_before", lambda *_: None),),
    "a backfill forgets its limit": ((Attempts, "_is_full", lambda *_: False),),
    "a partition that was taken back counts": (
        (PartitionRow, "ready", property(lambda row: row.version > 0)),
    ),
    "an input that is too old counts": ((Readiness, "_counts", lambda self, item, row: row.ready),),
}


@contextmanager
def planted(bug: str) -> Iterator[None]:
    """Let a bug be there for a while."""
    undo: list[Callable[[], None]] = []
    for owner, name, instead in BUGS[bug]:
        before = getattr(owner, name)
        undo.append(lambda owner=owner, name=name, before=before: setattr(owner, name, before))
        setattr(owner, name, instead)
    try:
        yield
    finally:
        for each in undo:
            each()
