"""Processes of attempts, which outlive the service, and the executor that starts and stops them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sensorflow.core.commands import StartAttempt
from sensorflow.core.messages import AttemptEnded, AttemptStarted, LostAttempt
from sensorflow.core.states import AttemptState
from sensorflow.ports import AttemptKey
from tests.simulation.loop import time_passes
from tests.simulation.remote import Remote
from tests.simulation.world import World

_ENDS = (*[AttemptState.SUCCEEDED] * 12, *[AttemptState.FAILED] * 3, AttemptState.SKIPPED)


@dataclass(slots=True, eq=False)
class Process:
    """What runs an attempt."""

    key: AttemptKey
    #: Run, generation and task.
    firing: tuple[str, int, str]
    pid: int
    #: What is told of its end; an orphan's is told to nobody.
    told: Callable[[AttemptState], None]
    alive: bool = True
    #: How a stop makes it end.
    verdict: AttemptState | None = None


@dataclass(slots=True)
class Processes:
    """All processes of the machine."""

    world: World
    #: Where attempts are handed over to.
    remote: Remote
    alive: list[Process] = field(default_factory=list)

    def begin(self, order: StartAttempt, told: Callable[[AttemptState], None]) -> Process:
        """Start the process of an attempt."""
        key = (order.run_id, order.task, order.number)
        firing = (order.run_id, order.generation, order.task)
        for other in self.alive:
            if other.firing == firing:
                self.world.broken(f"R2: {key} begins while {other.key} of the same firing is alive")
        process = Process(key, firing, self.world.number(), told)
        self.alive.append(process)
        world = self.world
        if world.is_calm:
            world.after(world.random.uniform(0.01, 0.3), self.end, process, AttemptState.SUCCEEDED)
        else:
            longest_s = world.random.choice([0.1, 0.1, 1, 5, 40])
            world.after(world.random.uniform(0.005, longest_s), self.end, process, world.random.choice(_ENDS))
        return process

    def end(self, process: Process, state: AttemptState) -> None:
        """Let a process come to its end; one that was killed has come to it already."""
        if process.alive:
            process.alive = False
            self.alive.remove(process)
            process.told(process.verdict or state)

    def calm_down(self) -> None:
        """Let all that runs end soon."""
        for process in self.alive:
            self.world.after(self.world.random.uniform(0.01, 0.5), self.end, process, AttemptState.SUCCEEDED)
        self.remote.calm_down()


class SimulatedExecutor:
    """Runs attempts as the local executor does, for one life of the service."""

    def __init__(
        self,
        world: World,
        processes: Processes,
        report: Callable[[AttemptStarted | AttemptEnded], None],
        ordered: Callable[[StartAttempt], None],
    ) -> None:
        self._world = world
        self._processes = processes
        self._report_now = report
        self._ordered = ordered
        #: None while the process is being started.
        self._attempts: dict[AttemptKey, Process | None] = {}
        self._early_verdicts: dict[AttemptKey, AttemptState] = {}
        self._old: list[AttemptEnded] = []
        self._closing = False
        self._empty = asyncio.Event()
        #: False once the service is dead: then nobody hears of anything.
        self.lives = True

    def start(self, order: StartAttempt) -> None:
        self._ordered(order)
        key = (order.run_id, order.task, order.number)
        if key in self._attempts:
            return
        self._attempts[key] = None
        if self._closing:
            self._early_verdicts[key] = AttemptState.INTERRUPTED
        self._world.after(self._world.random.uniform(0.0005, 0.02), self._begin, order)
        if self._old and self._world.chance(0.1):  # An end that was told already is told again.
            self._report(self._world.random.choice(self._old))

    def stop(self, key: AttemptKey, reason: str) -> None:
        if key in self._attempts:
            self._stop(key, AttemptState.CANCELLED)
        else:
            self._report_end(key, AttemptState.CANCELLED)

    def remove_logs(self, run_ids: Sequence[str]) -> None:
        self._world.note(f"remove the logs of {len(run_ids)} runs")

    async def rescue(self, lost: Sequence[LostAttempt]) -> None:
        keys = {(each.run_id, each.task, each.number) for each in lost}
        await time_passes(self._world.random.uniform(0.001, 0.2))
        for process in [each for each in self._processes.alive if each.key in keys]:
            self._world.note(f"kill {process.key}, left behind by a dead service")
            await time_passes(self._world.random.choice([0.001, 0.01, 2.0]))
            self._processes.end(process, AttemptState.INTERRUPTED)

    async def close(self) -> None:
        self._closing = True
        for key in list(self._attempts):
            self._stop(key, AttemptState.INTERRUPTED)
        while self._attempts:
            self._empty.clear()
            await self._empty.wait()

    def _begin(self, order: StartAttempt) -> None:
        key = (order.run_id, order.task, order.number)
        if not self.lives:
            return
        if key in self._early_verdicts:
            self._ended(key, self._early_verdicts.pop(key))
            return
        if order.token is not None:
            self._hand_over(order)
            return
        process = self._processes.begin(order, lambda state: self._ended(key, state))
        self._attempts[key] = process
        self._report(
            AttemptStarted(
                run_id=order.run_id,
                task=order.task,
                number=order.number,
                pid=process.pid,
                pid_started=str(process.pid),
            )
        )

    def _hand_over(self, order: StartAttempt) -> None:
        """Ask somebody else to do the work; the request, or its answer, may be lost."""
        world, key = self._world, (order.run_id, order.task, order.number)
        if world.chance(0.1):
            self._ended(key, AttemptState.FAILED)
            return
        self._processes.remote.take(order)
        lost = AttemptState.FAILED if world.chance(0.1) else None
        world.after(world.random.uniform(0.0005, 0.05), self._handed_over, key, lost)

    def _handed_over(self, key: AttemptKey, state: AttemptState | None) -> None:
        """Let go of an attempt that goes on elsewhere, unless it was stopped or seems to have failed."""
        state = self._early_verdicts.pop(key, state)
        if state is not None:
            self._ended(key, state)
        elif self.lives:
            self._let_go(key)

    def _let_go(self, key: AttemptKey) -> None:
        del self._attempts[key]
        if not self._attempts:
            self._empty.set()

    def _stop(self, key: AttemptKey, state: AttemptState) -> None:
        process = self._attempts[key]
        if process is None:
            self._early_verdicts.setdefault(key, state)
        elif process.verdict is None:
            process.verdict = state
            grace_s = self._world.random.choice([0.001, 0.05, 3.0])
            self._world.after(grace_s, self._processes.end, process, state)

    def _ended(self, key: AttemptKey, state: AttemptState) -> None:
        if not self.lives:
            return
        self._report_end(key, state)
        self._let_go(key)

    def _report_end(self, key: AttemptKey, state: AttemptState) -> None:
        run_id, task, number = key
        ended = AttemptEnded(run_id=run_id, task=task, number=number, state=state)
        self._old.append(ended)
        self._report(ended)

    def _report(self, message: AttemptStarted | AttemptEnded) -> None:
        if self.lives:
            self._world.note(f"report {' '.join(str(field) for field in message if field is not None)}")
            self._report_now(message)
