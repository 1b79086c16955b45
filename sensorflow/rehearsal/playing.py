"""Plays a story through the decisions of the service.

The very `decide`, `dispatch` and `explain` of the service are asked, over a store of their own, so a
rehearsal cannot disagree with the service. Attempts end as the story says, else at once and well.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import heappop, heappush
from itertools import count

from sensorflow.core.commands import Order, StartAttempt, StopAttempt
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import SensorflowError
from sensorflow.core.explain import TaskWaits, explain_run
from sensorflow.core.messages import (
    Answer,
    AttemptEnded,
    DeclaredReady,
    EventState,
    Message,
    Moment,
    Observed,
    Receipt,
    Reviewed,
    TimersDue,
)
from sensorflow.core.state import AlertRow, RunRow
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.ports import Store
from sensorflow.rehearsal.story import Outcome, Refusal, Story
from sensorflow.rehearsal.timeline import Entry, Timeline
from sensorflow.rehearsal.virtual import take_turn

#: A rehearsal makes so many decisions at most, and says so where that was not enough.
MOST_DECISIONS = 100_000
#: So long after its last step a story goes on where nobody says until when: schedules never end.
HORIZON_S = 86_400.0


class Ending(StrEnum):
    """Why a rehearsal went no further."""

    NOTHING_DUE = "nothing_due"
    UNTIL = "until"
    MOST_DECISIONS = "most_decisions"


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedRun:
    """A run as it stands in the end."""

    run: RunRow
    #: In the order of the graph; of runs that are over, nothing waits.
    tasks: tuple[TaskWaits, ...]
    #: By task.
    attempts: Mapping[str, int]


@dataclass(slots=True)
class Rehearsal:
    """One story over one set of definitions; `play` it once, then ask."""

    definitions: Definitions
    story: Story
    #: Empty, and thrown away afterwards.
    store: Store
    workers: int
    most_decisions: int = MOST_DECISIONS
    now: float = field(init=False)
    decisions: int = field(init=False, default=0)
    ending: Ending | None = field(init=False, default=None)
    timeline: Timeline = field(init=False, default_factory=Timeline)
    #: Attempts that are to end: when, in which order, and how.
    _ends: list[tuple[float, int, AttemptEnded]] = field(init=False, default_factory=list)
    _next_step: int = field(init=False, default=0)
    _ids: Iterator[int] = field(init=False, default_factory=lambda: count(1))
    _order: Iterator[int] = field(init=False, default_factory=count)

    def __post_init__(self) -> None:
        self.now = self.story.begins_at

    @property
    def entries(self) -> list[Entry]:
        """What has happened, in order."""
        return self.timeline.entries

    def play(self) -> Iterator[None]:
        """Play the story; whoever has more to do may do it between two decisions."""
        self._decide(Reviewed())
        yield
        last = self.story.steps[-1].at if self.story.steps else self.story.begins_at
        until = max(last, self.now) + HORIZON_S if self.story.until is None else self.story.until
        while (due := self._due()) is not None and due[0] <= until:
            if self.decisions >= self.most_decisions:
                self.ending = Ending.MOST_DECISIONS
                return
            self.now = max(self.now, due[0])
            self._decide(self._take(due[1]))
            yield
        self.ending = Ending.NOTHING_DUE if due is None else Ending.UNTIL
        if due is not None or self.story.until is not None:
            self.now = max(self.now, until)

    def runs(self) -> Iterator[RehearsedRun]:
        """Yield every run as it stands now, and of those that are not over what each task waits for."""
        rows = self.store.listing.runs(
            pipeline=None, partition=None, state=None, before=None, limit=self.most_decisions * 1_000
        )
        for run in reversed(rows):
            tasks = self.store.reader.tasks(run.id)
            if run.state in (RunState.SUCCEEDED, RunState.CANCELLED):
                order = self.definitions.graphs[run.pipeline].order
                states = {name: tasks[name].state for name in order if name in tasks}
                found = tuple(
                    TaskWaits(name=name, state=states.get(name, TaskState.WAITING), waiting_for=())
                    for name in order
                )
            else:
                found = explain_run(self.definitions, self.store.reader, run, self.workers, self.now).tasks
            attempts = {name: task.attempts for name, task in tasks.items()}
            yield RehearsedRun(run=run, tasks=found, attempts=attempts)

    def alerts(self) -> list[AlertRow]:
        """Return the alerts that were raised, the oldest first, those that are resolved among them."""
        return self.store.listing.alerts(open_only=False, before=None, limit=self.most_decisions)[::-1]

    def _due(self) -> tuple[float, int] | None:
        """Return when something is due next, and what: 0 the end of an attempt, 1 a timer, 2 a step."""
        due: list[tuple[float, int]] = []
        if self._ends:
            due.append((self._ends[0][0], 0))
        if (timer_at := self.store.reader.next_timer_at()) is not None:
            due.append((max(timer_at, self.now), 1))
        if self._next_step < len(self.story.steps):
            due.append((max(self.story.steps[self._next_step].at, self.now), 2))
        return min(due, default=None)

    def _take(self, kind: int) -> Message | Refusal:
        if kind == 0:
            return heappop(self._ends)[2]
        if kind == 1:
            return TimersDue()
        self._next_step += 1
        return self.story.steps[self._next_step - 1].message

    def _decide(self, message: Message | Refusal) -> None:
        self.decisions += 1
        timeline = self.timeline
        timeline.begin(self.now)
        if isinstance(message, Refusal):
            timeline.refused(message.reason, source=message.source, id=message.id)
            return
        moment = Moment(now=self.now, new_id=self._new_id, new_token=self._new_id, draw=lambda: 0.0)
        try:
            answer, orders = take_turn(
                self.store,
                self.definitions,
                moment,
                message,
                self.workers,
                watched=timeline.watched,
                keeps=self._keeps,
            )
        except SensorflowError as error:
            event = message.event if isinstance(message, Observed | DeclaredReady) else None
            timeline.refused(
                str(error), source=event.source if event else None, id=event.id if event else None
            )
            return
        if isinstance(answer, Receipt) and not self._keeps(answer):
            timeline.event(answer, kind="held")
            return
        timeline.tell(self.store.reader)
        if isinstance(answer, Receipt) and answer.state is EventState.DUPLICATE:
            timeline.event(answer)
        for order in orders:
            self._perform(order)

    def _keeps(self, answer: Answer) -> bool:
        if not self.story.holds or not isinstance(answer, Receipt):
            return True
        return not any(hold.keeps_back(arrival) for hold in self.story.holds for arrival in answer.arrivals)

    def _perform(self, order: Order) -> None:
        """Let an attempt start, and end when its time has come."""
        if isinstance(order, StartAttempt):
            self.timeline.started(order)
            ends_at, end = self._end_of(order)
            heappush(self._ends, (ends_at, next(self._order), end))
        elif isinstance(order, StopAttempt):
            end = AttemptEnded(
                run_id=order.run_id,
                task=order.task,
                number=order.number,
                state=AttemptState.CANCELLED,
                error=order.reason,
            )
            heappush(self._ends, (self.now, next(self._order), end))

    def _end_of(self, order: StartAttempt) -> tuple[float, AttemptEnded]:
        """Return how an attempt ends, and when."""
        fitting = [outcome for outcome in self.story.outcomes if outcome.fits(order)]
        said = next((outcome for outcome in fitting if outcome.ends is not None), Outcome())
        takes_s = next((outcome.takes_s for outcome in fitting if outcome.takes_s is not None), 0.0)
        state, error = said.ends or AttemptState.SUCCEEDED, said.error
        if state is AttemptState.FAILED and error is None:
            error = "it is said to fail"
        if order.timeout_s is not None and takes_s > order.timeout_s:
            takes_s, state = order.timeout_s, AttemptState.FAILED
            error = f"timed out after {order.timeout_s:g} s"
        end = AttemptEnded(
            run_id=order.run_id, task=order.task, number=order.number, state=state, error=error
        )
        return self.now + takes_s, end

    def _new_id(self) -> str:
        return f"run-{next(self._ids):08}"
