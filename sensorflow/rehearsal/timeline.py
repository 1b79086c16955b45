"""What a rehearsal tells: each thing that happened, when, and to what, in the order in which it did."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from sensorflow.core.commands import StartAttempt
from sensorflow.core.messages import Arrival, Receipt
from sensorflow.core.state import (
    AlertRow,
    ArrivalRow,
    EventRow,
    PartitionRow,
    PipelineRow,
    RunRow,
    State,
    TaskRow,
)
from sensorflow.core.states import RunState, TaskState

#: States of a task that are told when it comes to them.
_TOLD = frozenset(
    {
        TaskState.RETRYING,
        TaskState.SUCCEEDED,
        TaskState.SKIPPED,
        TaskState.FAILED,
        TaskState.BLOCKED,
        TaskState.CANCELLED,
    }
)
_OVER = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. What does not apply is None."""

    at: float
    #: `event`, `held`, `refused`, `ready`, `run`, `rerun`, `stale`, `ended`, `fired`, `retried`, `waiting`,
    #: the states of a task, `paused`, `resumed`, `alert` or `resolved`.
    kind: str
    source: str | None = None
    id: str | None = None
    seq: int | None = None
    #: Of an event, or of the run that has ended.
    state: str | None = None
    arrivals: tuple[Arrival, ...] | None = None
    dataset: str | None = None
    pipeline: str | None = None
    partition: str | None = None
    run: str | None = None
    generation: int | None = None
    trigger: str | None = None
    task: str | None = None
    attempt: int | None = None
    idempotency_key: str | None = None
    next_attempt_at: float | None = None
    #: Why, in words.
    text: str | None = None


class _Watched:
    """A state that notes every row that is put. What it does not know itself, the state does."""

    def __init__(self, state: State, noted: list[Any]) -> None:
        self._state = state
        self._noted = noted

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._state, name)
        if name.startswith(("put_", "add_")):
            found = _noting(found, self._noted)
        self.__dict__[name] = found  # It is asked for thousands of times.
        return found


def _noting(put: Callable[[Any], None], noted: list[Any]) -> Callable[[Any], None]:
    def note(row: Any) -> None:
        put(row)
        noted.append(row)

    return note


@dataclass(slots=True)
class Timeline:
    """Makes entries of the rows that decisions put."""

    entries: list[Entry] = field(default_factory=list)
    _at: float = 0.0
    _noted: list[Any] = field(default_factory=list)
    _watched: tuple[State, State] | None = None
    _runs: dict[str, RunRow] = field(default_factory=dict)
    _tasks: dict[tuple[str, str], TaskState] = field(default_factory=dict)
    _paused: dict[str, bool] = field(default_factory=dict)
    _alerts: dict[str, AlertRow] = field(default_factory=dict)
    _fired: set[str] = field(default_factory=set)

    def begin(self, at: float) -> None:
        """Begin with what happens at a time."""
        self._at = at
        self._noted.clear()

    def watched(self, state: State) -> State:
        """Return a state that tells this timeline what is put into it."""
        if self._watched is None or self._watched[0] is not state:
            self._watched = (state, cast("State", _Watched(state, self._noted)))
        return self._watched[1]

    def tell(self, state: State) -> None:
        """Make entries of what was put since `begin`."""
        arrivals: dict[int, list[Arrival]] = {}
        arrived: set[tuple[str, str]] = set()
        for row in self._noted:
            if isinstance(row, ArrivalRow):
                arrived.add((row.dataset, row.partition))
                arrivals.setdefault(row.seq, []).append(
                    Arrival(
                        dataset=row.dataset,
                        partition=row.partition,
                        part=row.part or None,
                        version=row.version,
                    )
                )
        for row in self._noted:
            match row:
                case EventRow():
                    self._event(row, tuple(arrivals.get(row.seq, ())))
                case PartitionRow() if (row.dataset, row.partition) not in arrived:
                    self._add("ready", dataset=row.dataset, partition=row.partition)
                case RunRow():
                    self._run(row)
                case TaskRow():
                    self._task(row, state)
                case PipelineRow():
                    self._pipeline(row)
                case AlertRow():
                    self._alert(row)

    def event(self, receipt: Receipt, kind: str = "event") -> None:
        """Tell of an event by what it was answered, where nothing was stored of it."""
        self._add(
            kind,
            source=receipt.source,
            id=receipt.id,
            seq=receipt.seq if kind == "event" else None,
            state=receipt.state if kind == "event" else None,
            arrivals=receipt.arrivals,
            text=receipt.reason,
        )

    def refused(self, reason: str, *, source: str | None = None, id: str | None = None) -> None:
        """Tell of what the service would refuse."""
        self._add("refused", source=source, id=id, text=reason)

    def started(self, order: StartAttempt) -> None:
        """Tell of an attempt: the first of a firing, or another one of it."""
        kind = "retried" if order.idempotency_key in self._fired else "fired"
        self._fired.add(order.idempotency_key)
        self._add(
            kind,
            pipeline=order.pipeline,
            partition=order.partition,
            run=order.run_id,
            generation=order.generation,
            task=order.task,
            attempt=order.number,
            idempotency_key=order.idempotency_key,
            text=_without(order),
        )

    def _event(self, row: EventRow, arrivals: tuple[Arrival, ...]) -> None:
        self._add(
            "event",
            source=row.event.source,
            id=row.id,
            seq=row.seq,
            state=row.state,
            arrivals=arrivals,
            text=row.reason,
        )

    def _run(self, row: RunRow) -> None:
        before = self._runs.get(row.id)
        self._runs[row.id] = row
        if before is None:
            self._of_run("run", row, trigger=row.trigger)
            return
        if row.generation > before.generation:
            self._of_run("rerun", row)
        if row.stale and not before.stale:
            self._of_run("stale", row)
        if row.state in _OVER and row.state is not before.state:
            self._of_run("ended", row, state=row.state)

    def _task(self, row: TaskRow, state: State) -> None:
        key = (row.run_id, row.task)
        before = self._tasks.get(key)
        self._tasks[key] = row.state
        if row.state is before:
            return
        lost = row.state is TaskState.WAITING and before is TaskState.QUEUED
        if row.state not in _TOLD and not lost:
            return
        run = self._runs.get(row.run_id) or state.run(row.run_id)
        error = None
        if row.state in (TaskState.RETRYING, TaskState.FAILED):
            attempt = state.attempt(row.run_id, row.task, row.attempts)
            error = attempt.error if attempt else None
        self._add(
            row.state.value,
            pipeline=row.pipeline,
            partition=run.partition if run else None,
            run=row.run_id,
            generation=row.generation,
            task=row.task,
            attempt=row.attempts or None,
            next_attempt_at=row.next_attempt_at,
            text=error,
        )

    def _pipeline(self, row: PipelineRow) -> None:
        if row.paused is not self._paused.get(row.name, False):
            self._add("paused" if row.paused else "resumed", pipeline=row.name)
        self._paused[row.name] = row.paused

    def _alert(self, row: AlertRow) -> None:
        """Tell of an alert when it is opened and resolved, and of partitions that it gains and loses."""
        before = self._alerts.get(row.id)
        self._alerts[row.id] = row
        kind, text = "alert" if row.resolved_at is None else "resolved", row.text
        if before is not None and row.resolved_at is None:
            if more := [key for key in row.partitions if key not in before.partitions]:
                text = f"{row.dataset} is late: {', '.join(more)}"
            elif fewer := [key for key in before.partitions if key not in row.partitions]:
                kind, text = "resolved", f"{row.dataset} is late: {', '.join(fewer)}"
            else:
                return
        self._add(
            kind,
            dataset=row.dataset or None,
            pipeline=row.pipeline or None,
            run=row.run_id or None,
            text=text,
        )

    def _of_run(self, kind: str, row: RunRow, **more: Any) -> None:
        self._add(
            kind,
            pipeline=row.pipeline,
            partition=row.partition,
            run=row.id,
            generation=row.generation,
            **more,
        )

    def _add(self, kind: str, **what: Any) -> None:
        self.entries.append(Entry(at=self._at, kind=kind, **what))


def _without(order: StartAttempt) -> str | None:
    """Say what an attempt starts without."""
    names = [f"{each['dataset']} {each['partition'] or ''}".strip() for each in order.missing]
    return f"without {', '.join(names)}" if names else None
