"""What the world has seen: facts that were sent and acknowledged, attempts that were started."""

from collections import Counter
from dataclasses import dataclass, field

from sensorflow.core.commands import StartAttempt
from sensorflow.core.definitions import Definitions
from sensorflow.core.messages import StartBackfill
from sensorflow.core.states import AttemptState
from tests.simulation.world import World


@dataclass(slots=True, eq=False)
class Fact:
    """Something that is true outside, and that the service is to be told."""

    number: int
    dataset: str
    partition: str
    part: str | None
    #: The sensor that brings it; empty where a client posts it.
    sensor: str
    acknowledged: bool = False

    @property
    def body(self) -> dict[str, object]:
        """What its event says."""
        return {"fact": self.number, "partition": self.partition, "part": self.part}

    def __str__(self) -> str:
        part = f" part {self.part}" if self.part else ""
        by = f"by {self.sensor}" if self.sensor else "posted"
        return f"fact {self.number} ({self.dataset} {self.partition}{part}, {by})"


@dataclass(slots=True)
class Begun:
    """An attempt that an executor was told to start."""

    order: StartAttempt
    definitions: Definitions
    #: The newest event that was committed then.
    seq: int
    at: float
    #: Of partitions that somebody had asked to be taken back: the version, 0 where that was so.
    told_versions: dict[tuple[str, str], int]
    #: Its run was to fire without inputs.
    forced: bool


@dataclass(slots=True)
class Ledger:
    """Keeps what was seen, and objects to what must never be seen."""

    world: World
    facts: list[Fact] = field(default_factory=list)
    #: By run, task and number.
    begun: dict[tuple[str, str, int], Begun] = field(default_factory=dict)
    #: By run, generation and task: the idempotency key.
    firings: dict[tuple[str, int, str], str] = field(default_factory=dict)
    #: By pipeline and partition: the run.
    runs: dict[tuple[str, str], str] = field(default_factory=dict)
    #: By run, task and number: how it ended, as somebody was told who called back.
    ends: dict[tuple[str, str, int], AttemptState] = field(default_factory=dict)
    #: By run, task and number: when the newest word came by which its lease was renewed.
    renewals: dict[tuple[str, str, int], float] = field(default_factory=dict)
    #: What operators were told is done, as the store is to keep it: kind, run, dataset, partition.
    operations: Counter[tuple[str, ...]] = field(default_factory=Counter)
    #: What somebody asked to be taken back, by dataset and key; perhaps it was.
    withdrawals: set[tuple[str, str]] = field(default_factory=set)
    #: By id: a backfill that its operator was told is made.
    backfills: dict[str, StartBackfill] = field(default_factory=dict)

    def acknowledged(self, fact: Fact) -> None:
        """Note that its sender need not send it again."""
        fact.acknowledged = True
        self.world.note(f"acknowledged {fact}")

    def called_back(self, key: tuple[str, str, int], state: AttemptState, at: float) -> None:
        """Note that who works on an attempt was told that the word was taken.

        Args:
            at: When it came.
        """
        self.world.note(f"taken: {key} is {state}")
        if state is AttemptState.RUNNING:
            self.renewals[key] = max(at, self.renewals.get(key, at))
        elif self.ends.setdefault(key, state) is not state:
            self.world.broken(f"R2: attempt {key} was taken as {self.ends[key]} and as {state}")

    def started(self, begun: Begun) -> None:
        """Note that an attempt was ordered.

        An order may be lost with the process that was to perform it, and comes never twice.
        """
        order = begun.order
        key = (order.run_id, order.task, order.number)
        firing = (order.run_id, order.generation, order.task)
        self.world.note(
            f"start {order.pipeline}.{order.task} of {order.partition or '-'}, "
            f"run {order.run_id}, attempt {order.number}, generation {order.generation}"
        )
        if key in self.begun:
            self.world.broken(f"R2: attempt {key} was ordered twice")
        if self.firings.setdefault(firing, order.idempotency_key) != order.idempotency_key:
            self.world.broken(f"R2: two idempotency keys of one firing {firing}")
        if sum(one == order.idempotency_key for one in self.firings.values()) > 1:
            self.world.broken(f"R2: two firings have the idempotency key {order.idempotency_key}")
        if order.partition:
            run = self.runs.setdefault((order.pipeline, order.partition), order.run_id)
            if run != order.run_id:
                self.world.broken(f"R2: {order.pipeline} of {order.partition} fired by two runs")
        self.begun[key] = begun
