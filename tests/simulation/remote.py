"""Who works on what was handed over to them, and calls back: late, twice, or never."""

from dataclasses import dataclass, field

from sensorflow.core.commands import StartAttempt
from sensorflow.core.messages import Answer, CalledBack
from sensorflow.core.states import AttemptState
from sensorflow.core.vocabulary import HttpCall
from tests.simulation.ledger import Ledger
from tests.simulation.senders import Server
from tests.simulation.world import World

_ENDS = (*[AttemptState.SUCCEEDED] * 6, AttemptState.FAILED, AttemptState.SKIPPED)
_TIMEOUT_S = 3.0


@dataclass(slots=True, eq=False)
class Work:
    """What somebody works on."""

    token: str
    key: tuple[str, str, int]
    lease_s: float
    #: Neither says that it goes on, nor ever calls back.
    silent: bool
    #: What it ends with; None while it goes on.
    end: AttemptState | None = None
    #: The end was answered, well or not: nothing more is to be said.
    is_done: bool = False


@dataclass(slots=True)
class Remote:
    """All who work for the service elsewhere."""

    world: World
    ledger: Ledger
    server: Server
    works: list[Work] = field(default_factory=list)

    def take(self, order: StartAttempt) -> None:
        """Begin to work on an attempt."""
        world = self.world
        assert isinstance(order.action, HttpCall) and order.token is not None
        key = (order.run_id, order.task, order.number)
        work = Work(order.token, key, order.action.lease_s, silent=world.chance(0.15))
        self.works.append(work)
        world.note(f"{key} is handed over{', and never heard of' if work.silent else ''}")
        if world.is_calm:
            world.after(world.random.uniform(0.01, 0.3), self._end, work, AttemptState.SUCCEEDED)
            return
        if not world.chance(0.2):
            self._beat(work)
        longest_s = world.random.choice([0.1, 1.0, 5.0, 40.0])
        world.after(world.random.uniform(0.005, longest_s), self._end, work, world.random.choice(_ENDS))

    def calm_down(self) -> None:
        """Let all that is worked on end soon."""
        for work in self.works:
            self.world.after(self.world.random.uniform(0.01, 0.5), self._end, work, AttemptState.SUCCEEDED)

    def _beat(self, work: Work) -> None:
        """Say that it goes on, and again in a third of its lease."""
        if work.end is None and not work.silent:
            self._send(work, AttemptState.RUNNING)
            self.world.after(work.lease_s / 3, self._beat, work)

    def _end(self, work: Work, state: AttemptState) -> None:
        if work.end is None and not work.silent:
            work.end = state
            self._say_end(work)

    def _say_end(self, work: Work) -> None:
        """Call back, and again if no good answer comes in time."""
        if not work.is_done:
            assert work.end is not None
            self._send(work, work.end)
            wait_s = 0.3 if self.world.is_calm else _TIMEOUT_S * self.world.random.random()
            self.world.after(wait_s + 0.05, self._say_end, work)

    def _send(self, work: Work, state: AttemptState) -> None:
        for _ in range(2 if self.world.chance(0.1) else 1):
            if not self.world.chance(0.1):
                slow = self.world.chance(0.1)
                delay_s = self.world.random.uniform(0.0005, 2.0 if slow else 0.02)
                self.world.after(delay_s, self._arrive, work, state)

    def _arrive(self, work: Work, state: AttemptState) -> None:
        at = self.world.now()

        def answered(status: int, _: Answer) -> None:
            if status == 200:
                self.ledger.called_back(work.key, state, at)
            if state is not AttemptState.RUNNING and status in (200, 409) and not self.world.chance(0.15):
                work.is_done = True

        self.server.request(CalledBack(token=work.token, state=state), answered)
