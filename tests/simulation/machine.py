"""The machine that the service lives on: starts it, kills it, and starts it on the file that is left."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sensorflow.core.commands import StartAttempt
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import SensorflowError
from sensorflow.core.messages import (
    Answer,
    AttemptEnded,
    AttemptStarted,
    CalledBack,
    DeclaredReady,
    Message,
    Only,
)
from sensorflow.core.state import State
from sensorflow.core.states import RunState
from sensorflow.core.vocabulary import PipelineDefinition
from sensorflow.ports import StoreError
from sensorflow.sensors.mqtt import MqttSensor
from sensorflow.sensors.supervision import SensorSupervisor
from sensorflow.service import Service
from sensorflow.web.problems import from_domain
from tests.naive_calendar import previous_partition
from tests.simulation.disk import Disk, SimulatedStore
from tests.simulation.door import Door
from tests.simulation.ledger import Begun, Ledger
from tests.simulation.loop import VirtualLoop, time_passes
from tests.simulation.processes import Processes, SimulatedExecutor
from tests.simulation.remote import Remote
from tests.simulation.world import Crash, Stop, World


class Machine:
    """One life of the service after the other, on one virtual clock."""

    def __init__(self, world: World, ledger: Ledger, definitions: Definitions, *, workers: int) -> None:
        self.world = world
        self.ledger = ledger
        #: As the files say it now; a service that runs hears of a change by a reload.
        self.definitions = definitions
        self.disk = Disk(world)
        self.processes = Processes(world, Remote(world, ledger, self))
        #: After so many steps of the loop the process dies.
        self.dies_in_steps: int | None = None
        self.lives = 0
        self.store: SimulatedStore | None = None
        self.service: Service | None = None
        self._workers = workers
        self._loop: VirtualLoop | None = None
        self._executor: SimulatedExecutor | None = None
        self._supervisor: SensorSupervisor | None = None
        self._door: Door | None = None
        self._is_listening = False
        self._requests: set[asyncio.Task[None]] = set()
        self._pauses = False
        self.disk.died = self._note_death

    # --- life and death ---

    def live(self, seconds: float) -> None:
        """Let so much time pass."""
        until = self.world.elapsed + seconds
        self._pauses = False
        self.world.after(seconds, self._pause)
        while not self._pauses:
            if self._loop is None:
                self.world.do_next()
                continue
            try:
                self._loop.run_forever()
            except Stop:
                if self.world.violation is not None:
                    raise
                self._bury()
            else:
                self._complain()
        assert self.world.elapsed >= until

    def start(self) -> None:
        """Start the service, unless it runs."""
        if self._loop is not None:
            return
        self.lives += 1
        self.world.note(f"the service starts, life {self.lives}")
        self._loop = VirtualLoop(self.world, self._before_step)
        self.store = SimulatedStore(self.disk)
        self._requests = set()
        self._loop.create_task(self._serve(), name="serve")

    def kill(self) -> None:
        """Kill the service now, from the agenda."""
        if self._loop is not None:
            self.disk.keep()
            self._note_death("between two steps")
            raise Crash("between two steps")

    def stop(self) -> None:
        """Stop the service in good order, and start it again."""
        if self._loop is not None and self._is_listening:
            self._is_listening = False
            self._loop.create_task(self._stop(), name="stop")

    def reload(self, definitions: Definitions) -> None:
        """Change the files, and tell the service if it runs."""
        self.definitions = definitions
        self.world.note("the files are edited")
        if self._loop is not None and self._is_listening:
            self._loop.create_task(self._reload(definitions), name="reload")

    def close(self) -> None:
        """Let go of everything."""
        if self._loop is not None:
            self.disk.dies_at = None
            self._forget()
        self.disk.close()

    # --- what comes from outside ---

    def request(self, message: Message, answer: Callable[[int, Answer], None]) -> bool:
        """Take a request, answered once it is stored or refused; False: nobody listens.

        What programs say comes by HTTP, what operators say as the web would hand it on.
        """
        if self._loop is None or not self._is_listening:
            return False
        if isinstance(message, DeclaredReady | CalledBack):
            assert self._door is not None
            self._loop.call_soon(self._door.post, message, lambda status: answer(status, None))
            return True
        task = self._loop.create_task(self._answer(message, answer))
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        return True

    async def _answer(self, message: Message, answer: Callable[[int, Answer], None]) -> None:
        assert self.service is not None
        try:
            told = await self.service.submit(message)
        except SensorflowError as error:
            answer(from_domain(error).status, None)
        else:
            answer(202, told)

    @contextmanager
    def looking(self) -> Iterator[State]:
        """Give what is committed, whatever the disk refuses to the service."""
        assert self.store is not None
        refused, self.disk.refuses = self.disk.refuses, frozenset()
        try:
            yield self.store.reader
        finally:
            self.disk.refuses = refused

    # --- one life ---

    async def _serve(self) -> None:
        assert self.store is not None
        world = self.world

        def report(message: AttemptStarted | AttemptEnded) -> None:
            service.post(message)

        executor = SimulatedExecutor(world, self.processes, report, self._ordered)
        self._executor = executor
        service = Service(
            self.definitions, self.store, executor, world, workers=self._workers, tell=lambda alert: None
        )
        self.service = service
        loop = asyncio.create_task(service.run(), name="service")
        loop.add_done_callback(self._ended)
        await service.started.wait()
        self._supervisor = SensorSupervisor(service.submit_all, world)
        await self._watch()
        self._door = Door(world, service)
        await self._door.open()
        self._is_listening = True
        world.note("the service serves")
        if self.definitions is not service.definitions:  # They were edited while it started.
            await self._reload(self.definitions)

    async def _watch(self) -> None:
        assert self._supervisor is not None
        wanted = {key: (sensor, MqttSensor) for key, sensor in self.definitions.sensors.items()}
        await self._supervisor.run_only(wanted, home=Path(), instance="simulated")

    async def _reload(self, definitions: Definitions) -> None:
        assert self.service is not None
        try:
            await self.service.reload(definitions)
        except SensorflowError:
            self.world.note("the reload is refused; somebody tries again")
            await time_passes(0.5)
            await self._reload(self.definitions)
            return
        await self._watch()

    async def _stop(self) -> None:
        assert self.service is not None and self._executor is not None and self._supervisor is not None
        self.world.note("the service is told to stop")
        await self._supervisor.stop()
        self.service.hold()
        await self._executor.close()
        self.service.finish()

    def _ended(self, loop: "asyncio.Task[None]") -> None:
        if not loop.cancelled() and isinstance(loop.exception(), Stop):
            return
        failure = None if loop.cancelled() else loop.exception()
        # One that cannot read its file at the start says so and ends; somebody starts it again.
        if failure is not None and (self._supervisor is not None or not isinstance(failure, StoreError)):
            self.world.broken(f"R3: the service ended by itself: {failure!r}")
        self.disk.keep()
        self._note_death("stopped in good order")
        raise Crash("stopped")

    def _ordered(self, order: StartAttempt) -> None:
        assert self.store is not None and self.service is not None
        definitions = self.service.definitions
        with self.looking() as state:
            told = {place: _version(state, *place) for place in self.ledger.withdrawals}
            run = state.run(order.run_id)
            forced = run is not None and run.forced
            begun = Begun(order, definitions, state.last_seq(), self.world.now(), told, forced)
            self.ledger.started(begun)
            self._check_turn(state, definitions.pipelines[order.pipeline], order)
            self._check_backfill(state, order)

    def _check_turn(self, state: State, pipeline: PipelineDefinition, order: StartAttempt) -> None:
        """Object to a partition that begins before the one before it has ever succeeded."""
        previous = previous_partition(pipeline, order.partition)
        if previous is not None:
            row = state.run_of(pipeline.name, previous)
            if row is None or (row.generation == 1 and row.state is not RunState.SUCCEEDED):
                self.world.broken(f"R2: {order.pipeline} of {order.partition} began before {previous}")

    def _check_backfill(self, state: State, order: StartAttempt) -> None:
        """Object to more runs of a backfill at once than it may have."""
        run = state.run(order.run_id)
        asked = self.ledger.backfills.get(run.backfill) if run else None
        if run is None or asked is None or asked.only is Only.ALL:  # That takes in what is going already.
            return
        active = sum(each.backfill == run.backfill for each in state.active_runs(order.pipeline))
        if active > asked.max_active:
            self.world.broken(f"R2: backfill {run.backfill} of {asked.max_active} at once has {active}")

    def _before_step(self) -> None:
        if self.dies_in_steps is not None:
            self.dies_in_steps -= 1
            if self.dies_in_steps < 0:
                self.dies_in_steps = None
                self.kill()

    def _note_death(self, why: str) -> None:
        self.world.note(f"the service is dead: {why}")
        if self._executor is not None:
            self._executor.lives = False
        self._is_listening = False

    def _bury(self) -> None:
        """Drop all that was in memory; somebody starts the service again."""
        self._forget()
        away_s = 0.1 if self.world.is_calm else self.world.random.choice([0.01, 0.1, 1.0, 12.0])
        self.world.after(away_s, self.start)

    def _forget(self) -> None:
        assert self._loop is not None and self.store is not None
        if self._executor is not None:
            self._executor.lives = False
        self.store.let_go()
        self._loop.abandon()
        self.store.close()
        self._loop = self.store = self.service = self._executor = self._supervisor = None
        self._door = None
        self._is_listening = False

    def _pause(self) -> None:
        self._pauses = True
        if self._loop is not None:
            self._loop.stop()

    def _complain(self) -> None:
        assert self._loop is not None
        if self._loop.uncaught:
            self.world.broken(f"nobody caught {self._loop.uncaught[0]}")


def _version(state: State, dataset: str, partition: str) -> int:
    row = state.partition(dataset, partition)
    return 0 if row is None or row.withdrawn else row.version
