"""What is kept no longer: events, runs and logs go some at a time, as soon as nobody needs them any more.

Each kind has a timer. When it is due, some rows are looked at, and the timer goes on behind them after a
pause, in which others have their turn; a while after the last of them it begins anew.
"""

from collections.abc import Callable

from sensorflow.core.commands import RemoveLogs
from sensorflow.core.definitions import Reader
from sensorflow.core.errors import PartitionError
from sensorflow.core.messages import EventState
from sensorflow.core.selection import reading_range, reading_runs
from sensorflow.core.state import (
    ArrivalRow,
    ContentRow,
    EventMark,
    PartitionRow,
    PastRunRow,
    RunRow,
    TimerRow,
)
from sensorflow.core.states import RunState
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import Grain, Retention, Selection

#: So many events, runs, or runs with logs are looked at in one transaction: some 10 ms.
_EVENTS, _RUNS, _LOGS = 200, 50, 200
#: In pages: of large events fewer go in one transaction.
_ROOM = 2_000
#: Between two transactions: what comes meanwhile is decided first.
_PAUSE_S = 0.05
#: Between two sweeps at most; sooner where little is kept.
_LONGEST_S = 3600.0
_SHORTEST_S = 1.0
#: Sorts before everything that has ended.
_FIRST = (0.0, "")
#: Of content that is one event until it changes: it tells from then on whether it has.
_NEVER = float("inf")


def set_up(turn: Turn) -> None:
    """Set the timers of what is not kept for ever, and drop those of what is."""
    for kind, kept_s in _kept_s(turn.retention).items():
        key = f"retention/{kind}"
        there = turn.state.timer(key)
        if kept_s is None:
            if there is not None:
                turn.state.drop_timer(key)
        elif there is None or there.due_at > turn.now + _every_s(kept_s):
            _look_again(turn, key, _every_s(kept_s), there.after if there else "")


def due(turn: Turn, timer: TimerRow) -> None:
    """Remove some of what is kept no longer, and go on later."""
    kind = timer.key.partition("/")[2]
    kept_s = _kept_s(turn.retention)[kind]
    if kept_s is not None:
        after, is_over = _SWEEPS[kind](turn, timer.after, turn.now - kept_s)
        _look_again(turn, timer.key, _every_s(kept_s) if is_over else _PAUSE_S, after)


def _kept_s(retention: Retention) -> dict[str, float | None]:
    return {"events": retention.events_s, "runs": retention.runs_s, "logs": retention.logs_s}


def _every_s(kept_s: float) -> float:
    return min(_LONGEST_S, max(_SHORTEST_S, kept_s / 10))


def _look_again(turn: Turn, key: str, after_s: float, after: str) -> None:
    turn.state.put_timer(TimerRow(key=key, due_at=turn.now + after_s, kind="retention", after=after))


# Each takes where the last look ended and the time before which things go, and returns where it ended
# itself, and whether it has seen all.


def _sweep_events(turn: Turn, after: str, before: float) -> tuple[str, bool]:
    marks = turn.state.event_marks(int(after or 0), _EVENTS)
    # Events are numbered as they come; a clock that was set may have put some out of order.
    old = [mark for mark in marks if mark.received_at < before]
    near_misses = _near_misses(turn) if any(mark.state is EventState.REJECTED for mark in old) else set()
    room = 0
    for mark in old:
        content = _content(turn, mark)
        is_known = content is not None and turn.now < content.expires_at < _NEVER
        if mark.seq in near_misses or is_known or _may_be_read(turn, mark):
            continue
        room += turn.state.drop_event(mark.seq)
        if content is not None and content.expires_at <= turn.now:
            turn.state.drop_content(content.source, content.key)
        if room > _ROOM:
            return str(mark.seq), False
    is_over = not old or len(marks) < _EVENTS
    return ("" if is_over else str(marks[-1].seq)), is_over


def _sweep_runs(turn: Turn, after: str, before: float) -> tuple[str, bool]:
    rows = turn.state.runs_ended(_place(after), before, _RUNS)
    gone = [run for run in rows if run.partition or _is_followed(turn, run)]
    for run in gone:
        if run.partition and not was_taken_back(turn, run):
            turn.state.put_past_run(PastRunRow(run.pipeline, run.partition, run.generation, run.state))
        turn.state.drop_run(run.id)
    if gone:
        turn.orders.append(RemoveLogs(tuple(run.id for run in gone)))
    alerts = turn.state.drop_resolved_alerts(before, _RUNS)
    is_over = len(rows) < _RUNS and alerts < _RUNS
    return ("" if is_over or not rows else _spelled(rows[-1])), is_over


def _sweep_logs(turn: Turn, after: str, before: float) -> tuple[str, bool]:
    rows = turn.state.runs_ended(_place(after), before, _LOGS)
    if rows:
        turn.orders.append(RemoveLogs(tuple(run.id for run in rows)))
    # The runs stay, so the next sweep goes on where this one ended.
    return (_spelled(rows[-1]) if rows else after), len(rows) < _LOGS


_SWEEPS: dict[str, Callable[[Turn, str, float], tuple[str, bool]]] = {
    "events": _sweep_events,
    "runs": _sweep_runs,
    "logs": _sweep_logs,
}


def _spelled(run: RunRow) -> str:
    return f"{run.ended_at!r} {run.id}"


def _place(after: str) -> tuple[float, str]:
    at, _, run_id = after.partition(" ")
    return (float(at), run_id) if at else _FIRST


# What an event is still needed for


def _near_misses(turn: Turn) -> set[int | None]:
    """Return the events of which `why` says that they came, and could not be read."""
    rows = (turn.state.sensor(*key) for key in turn.definitions.sensors)
    return {row.last_rejected_seq for row in rows if row is not None}


def _content(turn: Turn, mark: EventMark) -> ContentRow | None:
    """Return the content by which an event is known, where its id does not say which it is."""
    content = turn.state.content(mark.source, mark.content_key) if mark.content_key else None
    return content if content is not None and content.seq == mark.seq else None


def _may_be_read(turn: Turn, mark: EventMark) -> bool:
    """Tell whether a task that is yet to start may be shown an event: as the newest of what it reads."""
    for arrival in turn.state.arrivals(mark.seq):
        if _is_newest_news(turn, arrival):
            return True
        row = turn.state.partition(arrival.dataset, arrival.partition)
        if row is not None and mark.seq == _newest_seq(turn, row, arrival.part) and _is_read(turn, row):
            return True
    return False


def _newest_seq(turn: Turn, row: PartitionRow, part: str) -> int:
    """Return the event that brought a partition's part, or the whole, last; 0 where that was taken back."""
    if not part:
        return row.whole_seq
    newest = turn.state.parts(row.dataset, row.partition).get(part)
    return newest.seq if newest is not None else 0


def _is_newest_news(turn: Turn, arrival: ArrivalRow) -> bool:
    """Tell whether a pipeline without partitions may know by this arrival, and no later one, of news."""
    readers = turn.definitions.readers.get(arrival.dataset, ())
    return (
        arrival.ready
        and any(reader.pipeline.partitioning.grain is Grain.NONE for reader in readers)
        and not turn.state.ready_arrivals_since(arrival.dataset, arrival.seq, 1)
    )


def _is_read(turn: Turn, row: PartitionRow) -> bool:
    """Tell whether an open run or one that is yet to come reads a partition."""
    newest = turn.state.newest_ready(row.dataset, None, row.beside or None)
    if newest is not None and newest.partition == row.partition:
        return True
    readers = turn.definitions.readers.get(row.dataset, ())
    try:
        return any(_reads(turn, reader, row, newest) for reader in readers)
    except PartitionError:
        return False  # The dataset is cut otherwise now than when this arrived.


def _reads(turn: Turn, reader: Reader, row: PartitionRow, newest: PartitionRow | None) -> bool:
    pipeline, item, state = reader.pipeline, reader.input, turn.state
    if pipeline.partitioning.grain is Grain.NONE:
        return False  # It takes the newest.
    if item.selection is Selection.LATEST:
        if newest is None or row.start is None or not row.ready:
            return False
        # Runs that begin before the newest take it, or one that lies between.
        return bool(state.open_runs(pipeline.name, since=row.start, before=newest.start, after="", limit=1))
    theirs = turn.definitions.datasets[row.dataset].partitioning
    if item.selection in (Selection.SAME, Selection.ALL):
        keys = reading_runs(pipeline.partitioning, item, theirs, row.partition)
        if keys is not None:
            runs = (state.run_of(pipeline.name, key) for key in keys)
            return any(run is not None and run.open for run in runs)
    since, before = reading_range(pipeline.partitioning, item, theirs, row.partition)
    if before is not None and before > turn.now:
        return True
    return bool(state.open_runs(pipeline.name, since=since, before=before, after="", limit=1))


# What of a run is kept


def was_taken_back(turn: Turn, run: RunRow) -> bool:
    """Tell whether a cancelled backfill made the run and it never started: it is as if it was not."""
    if run.state is not RunState.CANCELLED or run.trigger != "backfill" or run.started_at is not None:
        return False
    backfill = turn.state.backfill(run.backfill)
    return run.generation == 1 and backfill is not None and backfill.cancelled_at is not None


def _is_followed(turn: Turn, run: RunRow) -> bool:
    """Tell whether a run of a pipeline without partitions is not the newest, which tells how it stands."""
    newest = turn.state.run_of(run.pipeline, "")
    return newest is not None and newest.id != run.id
