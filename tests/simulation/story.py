"""One seed, one story: a home, what is sent, what goes wrong, and how it must stand in the end."""

import logging
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import structlog

from sensorflow import service as service_module
from sensorflow.core.messages import Answer, PausePipeline
from sensorflow.sensors import mqtt
from tests.random_homes import KEYS, WHOLES, part_of
from tests.simulation.checks import Checks
from tests.simulation.disk import IO_POINTS
from tests.simulation.homes import edited, make_story_home
from tests.simulation.ledger import Fact, Ledger
from tests.simulation.machine import Machine
from tests.simulation.operators import Operators
from tests.simulation.senders import Broker, Client, connecting
from tests.simulation.world import Choices, Violation, World

#: For so long things go wrong.
TROUBLE_S = 60.0
#: So long after that all that is ready must have fired.
CALM_S = 60.0


@dataclass(frozen=True, slots=True)
class Told:
    """How a story ended."""

    seed: int
    #: The promise that was broken, if one was.
    violation: str | None
    #: The same for the same seed, whenever and wherever it is told.
    trace: str
    facts: int
    lives: int
    attempts: int


def tell(seed: int, line: Callable[[str], None] | None = None) -> Told:
    """Tell the story of a seed.

    Args:
        line: Is given the trace, line by line.
    """
    world = World(seed, tell=line)
    with _quiet(), _no_other_chance(world):
        story = Story(world)
        mqtt.connected = connecting(story.broker)  # type: ignore[assignment]
        try:
            story.run()
        except Violation:
            world.note("the story ends here")
        finally:
            story.machine.close()
    ledger = story.ledger
    return Told(
        seed, world.violation, world.trace_hash(), len(ledger.facts), story.machine.lives, len(ledger.begun)
    )


class Story:
    """A story while it is told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.choices = Choices(world.random)
        self.ledger = Ledger(world)
        self.broker = Broker(world, self.ledger)
        self.edited: set[str] = set()
        self.machine = Machine(
            world,
            self.ledger,
            make_story_home(self.choices),
            workers=world.random.choice([100, 1, 2]),
        )
        self.operators = Operators(world, self.ledger, self.machine)
        self._paused: set[str] = set()
        self._jumped = False

    def run(self) -> None:
        """Let things go wrong, then let them calm down, and look."""
        for name, each in self.machine.definitions.pipelines.items():
            self.world.show(f"pipeline {name}: {each}")
        for name, dataset in self.machine.definitions.datasets.items():
            self.world.show(f"dataset {name}: {dataset}")
        self.machine.start()
        self._send_facts()
        self._plan_trouble()
        self.machine.live(TROUBLE_S)
        self._calm_down()
        self.machine.live(CALM_S)
        checks = Checks(self.world, self.machine, self.ledger, self.edited, jumped=self._jumped)
        for _ in range(30):
            if not checks.something_goes_on():
                break
            self.machine.live(2.0)
        checks.run()

    # --- what is sent ---

    def _send_facts(self) -> None:
        chance = self.world.random
        outside = [d for name, d in self.machine.definitions.datasets.items() if name.startswith("d")]
        for _ in range(chance.randint(3, 25)):
            dataset = chance.choice(outside)
            at = chance.uniform(0, TROUBLE_S)
            keys = KEYS[dataset.partitioning.grain]
            whole = WHOLES.get(dataset.partitioning.grain)
            keys = whole if whole and chance.random() < 0.15 else (chance.choice(keys),)
            spread_s = chance.choice([0.0, 0.0, 0.01, 5.0])
            for key in chance.sample(keys, len(keys)):
                part = part_of(dataset, chance.randrange(99))
                takes_part = bool(dataset.complete.parts or dataset.complete.count)
                by_sensor = chance.random() < 0.5 and takes_part == (part is not None)
                sensor = f"s_{dataset.name}" if by_sensor else ""
                fact = Fact(len(self.ledger.facts), dataset.name, key, part, sensor)
                self.ledger.facts.append(fact)
                self.world.after(at + chance.uniform(0, spread_s), self._send, fact)

    def _send(self, fact: Fact) -> None:
        self.world.note(f"send {fact}")
        if fact.sensor:
            self.broker.publish(fact)
        else:
            Client(self.world, self.ledger, self.machine, fact).send()

    # --- what goes wrong ---

    def _plan_trouble(self) -> None:
        chance = self.world.random
        troubles: list[Callable[[], None]] = [
            *[self._die_at_io] * 4,
            *[self._die_at_step] * 2,
            *[self._refuse_writes] * 2,
            *[self._freeze] * 2,
            *[self.operators.operate] * 4,
            self.machine.stop,
            self._jump,
            self._reload,
            self._pause,
        ]
        for _ in range(chance.randint(0, 10)):
            self.world.after(chance.uniform(0, TROUBLE_S * 0.97), chance.choice(troubles))

    def _die_at_io(self) -> None:
        point = self.world.random.choice(IO_POINTS)
        self.machine.disk.dies_at = (point, self.world.random.choice([0, 0, 1, 3, 10]))

    def _die_at_step(self) -> None:
        self.machine.dies_in_steps = self.world.random.choice([0, 1, 3, 10, 50])

    def _refuse_writes(self) -> None:
        chance = self.world.random
        refused = frozenset(chance.sample(["BEGIN", "write", "COMMIT", "read"], chance.randint(1, 3)))
        self.world.note(f"the disk refuses {', '.join(sorted(refused))}")
        self.machine.disk.refuses = refused
        self.machine.disk.lets_through = chance.choice([0, 0, 1, 5])
        self.world.after(chance.choice([0.001, 0.05, 1.0, 8.0]), self._take_writes)

    def _take_writes(self) -> None:
        self.machine.disk.refuses = frozenset()

    def _freeze(self) -> None:
        sensors = sorted(self.machine.definitions.sensors)
        self.broker.freeze(self.world.random.choice(sensors)[1], self.world.random.uniform(1, 30))

    def _jump(self) -> None:
        """Set the wall clock an hour wrong, or back."""
        self._jumped = True
        by = self.world.random.choice([3600.0, -3600.0])
        self.world.offset = 0.0 if self.world.offset else by
        self.world.note(f"the clock is set to {self.world.offset:+g} s")

    def _reload(self) -> None:
        old = self.machine.definitions
        home = edited(self.choices, old)
        self.edited |= {name for name, each in home.pipelines.items() if each != old.pipelines[name]}
        self.machine.reload(home)

    def _pause(self) -> None:
        name = self.world.random.choice(sorted(self.machine.definitions.pipelines))
        self._paused.add(name)
        self.operators.pause(name)

    # --- the end ---

    def _calm_down(self) -> None:
        world, machine = self.world, self.machine
        world.note("nothing goes wrong any more")
        world.is_calm = True
        if world.offset < 0 or world.random.random() < 0.5:
            world.offset = 0.0  # Else it was wrong before.
        machine.disk.dies_at = machine.dies_in_steps = None
        machine.processes.calm_down()
        self.broker.thaw()
        machine.start()
        for name in sorted(self._paused):
            self._resume(name)

    def _resume(self, name: str) -> None:
        """Ask until it is answered well."""

        def answered(status: int, _: Answer) -> None:
            if status != 202:
                self.world.after(0.2, self._resume, name)

        if not self.machine.request(PausePipeline(pipeline=name, paused=False), answered):
            self.world.after(0.2, self._resume, name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the log of the service to itself."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def _no_other_chance(world: World) -> Iterator[None]:
    """Take the ids and the lots that the service draws from the seed."""
    before, new_id, connected = random.getstate(), service_module._new_id, mqtt.connected
    random.seed(world.seed)
    service_module._new_id = lambda: f"{world.number():08}"
    tokens = SimpleNamespace(token_urlsafe=lambda: f"token-{world.number()}")
    service_module.secrets = tokens  # type: ignore[attr-defined]
    try:
        yield
    finally:
        random.setstate(before)
        service_module._new_id = new_id
        service_module.secrets = secrets  # type: ignore[attr-defined]
        mqtt.connected = connected
