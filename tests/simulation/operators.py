"""People who retry, cancel, make, withdraw and backfill, whatever goes wrong meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass

from sensorflow.core.messages import (
    Answer,
    CancelBackfill,
    CancelRun,
    Made,
    MakeRun,
    Message,
    Only,
    PausePipeline,
    RetryTasks,
    StartBackfill,
    WithdrawPartition,
)
from sensorflow.core.state import RunRow
from sensorflow.core.vocabulary import Grain
from tests.random_homes import KEYS, WHOLES
from tests.simulation.ledger import Ledger
from tests.simulation.machine import Machine
from tests.simulation.world import World


@dataclass(slots=True)
class Operators:
    """Ask for something now and then, and remember what they were told."""

    world: World
    ledger: Ledger
    machine: Machine

    def operate(self) -> None:
        """Do one thing of several."""
        store = self.machine.store
        if store is None or "read" in self.machine.disk.refuses:
            return
        runs = store.listing.runs(pipeline=None, partition=None, state=None, before=None, limit=50)
        doings: list[Callable[[list[RunRow]], None]] = [
            *[self._about_a_run] * 4,
            *[self._make_run] * 2,
            *[self._withdraw] * 2,
            *[self._backfill] * 2,
            self._cancel_backfill,
        ]
        self.world.random.choice(doings)(runs)

    def pause(self, pipeline: str) -> None:
        self._ask(PausePipeline(pipeline=pipeline, paused=True))

    def _about_a_run(self, runs: list[RunRow]) -> None:
        if runs:
            run = self.world.random.choice(runs).id
            retry = RetryTasks(run_id=run)
            self._ask(self.world.random.choice([retry, retry, CancelRun(run_id=run)]))

    def _make_run(self, _: list[RunRow]) -> None:
        chance = self.world.random
        definition = chance.choice(list(self.machine.definitions.pipelines.values()))
        partition = chance.choice(KEYS[definition.partitioning.grain])
        self._ask(MakeRun(pipeline=definition.name, partition=partition, force=chance.random() < 0.3))

    def _withdraw(self, _: list[RunRow]) -> None:
        chance = self.world.random
        facts = [fact for fact in self.ledger.facts if fact.acknowledged]
        if facts:
            fact = chance.choice(facts)
            part = fact.part if chance.random() < 0.3 else None
            self.ledger.withdrawals.add((fact.dataset, fact.partition))
            self._ask(WithdrawPartition(dataset=fact.dataset, partition=fact.partition, part=part))

    def _backfill(self, _: list[RunRow]) -> None:
        chance = self.world.random
        pipelines = [
            each
            for each in self.machine.definitions.pipelines.values()
            if each.partitioning.grain is not Grain.NONE
        ]
        if not pipelines:
            return
        definition = chance.choice(pipelines)
        grain = definition.partitioning.grain
        keys = sorted({*KEYS[grain], *WHOLES.get(grain, ())[:7]})
        message = StartBackfill(
            pipeline=definition.name,
            partitions=tuple(keys[chance.randrange(len(keys)) :]),
            only=chance.choice(list(Only)),
            max_active=chance.choice([1, 2]),
            force=chance.random() < 0.2,
        )
        self._ask(message)

    def _cancel_backfill(self, _: list[RunRow]) -> None:
        if self.ledger.backfills:
            self._ask(CancelBackfill(backfill=self.world.random.choice(sorted(self.ledger.backfills))))

    def _ask(self, message: Message) -> None:
        self.world.note(f"an operator asks for {message}")

        def answered(status: int, answer: Answer) -> None:
            if status == 202:
                self._told(message, answer)

        self.machine.request(message, answered)

    def _told(self, message: Message, answer: Answer) -> None:
        """Keep what the store must show from now on."""
        kept = self.ledger.operations
        match message:
            case RetryTasks():
                kept["retry", message.run_id, "", ""] += 1
            case CancelRun():
                kept["cancel", message.run_id, "", ""] += 1
            case MakeRun() if isinstance(answer, Made):
                kept["run", answer.id, "", ""] += 1
            case WithdrawPartition():
                kept["withdraw", "", message.dataset, message.partition] += 1
            case StartBackfill() if isinstance(answer, Made):
                self.ledger.backfills[answer.id] = message
                self._check_backfill(message)

    def _check_backfill(self, message: StartBackfill) -> None:
        """All runs are there when the answer is given."""
        with self.machine.looking() as state:
            for partition in message.partitions:
                if message.only is not Only.FAILED and state.run_of(message.pipeline, partition) is None:
                    self.world.broken(f"R1: {message} was acknowledged, and {partition} has no run")
