"""Random stories, told with and without retention: what is removed changes no decision, no run's inputs.

RETENTION_SEEDS says how many; without it the same thirty are.
"""

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sensorflow.core.commands import StartAttempt
from sensorflow.core.definitions import Definitions
from sensorflow.core.messages import Reviewed
from sensorflow.core.states import AttemptState
from sensorflow.core.vocabulary import LatePolicy, Retention, Selection
from sensorflow.store.sqlite import SqliteStore
from sensorflow.testing import FakeClock, VirtualService
from tests.flows import NOW
from tests.naive import leaves
from tests.random_homes import KEYS, WHOLES, make_home, part_of
from tests.simulation.world import Choices

SEEDS, STEPS = int(os.environ.get("RETENTION_SEEDS", "30")), 60
_MAKES_RUNS = (Selection.SAME, Selection.ALL)
#: The first is told without.
EVENTS_GO = (Retention(), Retention(events_s=1.0))
ALL_GOES = (Retention(), Retention(events_s=1.0, runs_s=1.0, logs_s=1.0))


class Twins:
    """Two services to which the same happens; one of them removes what is old."""

    def __init__(self, home: Definitions, retentions: tuple[Retention, Retention], seed: int) -> None:
        self.chance = random.Random(seed)
        self.services = [VirtualService(home, clock=FakeClock(NOW), workers=3) for _ in retentions]
        for service, retention in zip(self.services, retentions, strict=True):
            service.retention = retention
            service.send(Reviewed())
        self.home = home

    def step(self) -> None:
        """Let one thing happen."""
        match self.chance.choice(["arrive"] * 4 + ["end"] * 4 + ["wait"] * 2 + ["start again"]):
            case "arrive":
                self._arrive()
            case "end" if running := self.services[0].running():
                place = self.chance.randrange(len(running))
                state = self.chance.choice([AttemptState.SUCCEEDED] * 4 + [AttemptState.FAILED])
                for service in self.services:
                    service.end(service.running()[place], state)
            case "wait":
                seconds = self.chance.choice([0.5, 3.0, 12.0, 40.0])
                for service in self.services:
                    service.pass_time(seconds)
            case "start again":
                for service in self.services:
                    service.send(Reviewed())

    def _arrive(self) -> None:
        outside = [each for name, each in self.home.datasets.items() if name.startswith("d")]
        dataset = self.chance.choice(outside)
        grain = dataset.partitioning.grain
        keys: tuple[str, ...] = (self.chance.choice(KEYS[grain]),)
        if grain in WHOLES and self.chance.random() < 0.2:
            keys = WHOLES[grain]
        part = part_of(dataset, self.chance.randrange(7))
        for key in keys:
            for service in self.services:
                service.ready(dataset.name, key or None, part=part)


def decided(order: StartAttempt) -> tuple[Any, ...]:
    """Return what an order says, but for what the events themselves held."""
    read = {
        dataset: {
            key: (shown["version"], [(event["seq"], event.get("part")) for event in shown["events"]])
            for key, shown in partitions.items()
        }
        for dataset, partitions in order.inputs.items()
    }
    return (order.idempotency_key, order.number, order.partition, read, order.missing)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_removal_of_events_changes_no_decision_and_no_open_run_goes_without_their_data(seed: int) -> None:
    home = make_home(Choices(random.Random(seed)))
    twins = Twins(home, EVENTS_GO, seed)
    for _ in range(STEPS):
        twins.step()
    kept, removed = (service.started for service in twins.services)
    assert list(map(decided, removed)) == list(map(decided, kept))
    for order, twin in zip(kept, removed, strict=True):
        task = home.pipelines[order.pipeline].tasks[order.task]
        own = {leaf.dataset for leaf in leaves(task.inputs) if leaf.selection in _MAKES_RUNS}
        if order.generation == 1:  # A run that was over and begins anew may go without.
            assert [twin.inputs.get(name) for name in own] == [order.inputs.get(name) for name in own]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_removal_of_runs_fires_nothing_that_was_not_fired_and_nothing_twice(
    seed: int, tmp_path: Path
) -> None:
    choices = Choices(random.Random(seed))
    home = make_home(choices)
    policy = choices.one([LatePolicy.IGNORE, LatePolicy.STALE])
    pipelines = {name: replace(each, late=policy) for name, each in home.pipelines.items()}
    twins = Twins(replace(home, pipelines=pipelines), ALL_GOES, seed)
    if seed % 6 == 0:  # It remembers rows beside the file's, and forgets those that were removed.
        twins.services[1].store = SqliteStore(tmp_path / "state.db")
        twins.services[1].send(Reviewed())
    for _ in range(STEPS):
        twins.step()
    twins.services[1].store.close()
    kept, removed = (service.started for service in twins.services)
    assert list(map(decided, removed)) == list(map(decided, kept))


def test_the_stories_remove_something() -> None:
    gone = 0
    for seed in range(20):
        twins = Twins(make_home(Choices(random.Random(seed))), ALL_GOES, seed)
        for _ in range(STEPS):
            twins.step()
        store = twins.services[1].store
        left = store.listing.runs(pipeline=None, partition=None, state=None, before=None, limit=1000)
        gone += len({order.run_id for order in twins.services[1].started} - {run.id for run in left})
    assert gone > 20
