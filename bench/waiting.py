"""What an event costs that hits one of many waiting runs: 100 waiting task runs against 1,000,000.

`python -m bench.waiting [--large 1000000] [--events 4000] [--repeat 5]`: decisions and synced commits
of the SQLite store in groups of 64, the two stores in turn; prints medians and the ratio.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sensorflow.core.decide import decide, dispatch
from sensorflow.core.definitions import Definitions
from sensorflow.core.messages import DeclaredReady, Message, Moment
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import (
    Command,
    DatasetDefinition,
    DatasetInput,
    Event,
    Grain,
    Partitioning,
    PipelineDefinition,
    Selection,
    TaskDefinition,
)
from sensorflow.store.sqlite import SqliteStore

#: Tasks of each run; all of them wait for the same two inputs.
TASKS = 10
FILL_GROUP, GROUP = 1_000, 64


def definitions() -> Definitions:
    """Return a pipeline by key whose ten tasks wait for two inputs."""
    by_key = Partitioning(Grain.KEY)
    inputs = tuple(DatasetInput(dataset=name, selection=Selection.SAME) for name in ("paid", "packed"))
    tasks = {
        f"task{number}": TaskDefinition(name=f"task{number}", action=Command(argv=("true",)), inputs=inputs)
        for number in range(TASKS)
    }
    return Definitions(
        pipelines={"orders": PipelineDefinition(name="orders", partitioning=by_key, tasks=tasks)},
        datasets={name: DatasetDefinition(name=name, partitioning=by_key) for name in ("paid", "packed")},
        sensors={},
    )


class Filled:
    """A store with so many waiting task runs, and events that hit them."""

    def __init__(self, folder: Path, waiting: int) -> None:
        self.definitions = definitions()
        self.store = SqliteStore(folder / f"{waiting}.db")
        self.runs = max(1, waiting // TASKS)
        self._ids = iter(range(10**9))
        self._events = iter(range(10**9))
        self._chance = random.Random(1)

    async def fill(self) -> None:
        """Let one of the two inputs of every run arrive."""
        for begin in range(0, self.runs, FILL_GROUP):
            keys = range(begin, min(begin + FILL_GROUP, self.runs))
            await self._group([self._paid(key) for key in keys])

    async def seconds_an_event(self, events: int) -> float:
        """Send events to random waiting runs and return what each costs."""
        messages = [self._paid(self._chance.randrange(self.runs)) for _ in range(events)]
        started = time.perf_counter()
        for begin in range(0, events, GROUP):
            await self._group(messages[begin : begin + GROUP])
        return (time.perf_counter() - started) / events

    def _paid(self, key: int) -> DeclaredReady:
        event = Event(source="/ready/paid", id=f"{next(self._events):012}")
        return DeclaredReady(event=event, dataset="paid", partition=f"order-{key}")

    async def _group(self, messages: Sequence[Message]) -> None:
        moment = Moment(now=1.8e9, new_id=lambda: f"{next(self._ids):012}", new_token=str, draw=float)
        turn = Turn(self.definitions, self.store.begin(), moment)
        for message in messages:
            decide(turn, message)
        dispatch(turn, 4)
        await self.store.commit()


async def measure(large: int, events: int, repeat: int) -> None:
    """Print what an event costs with few and with many waiting task runs."""
    with tempfile.TemporaryDirectory() as folder:
        stores = {waiting: Filled(Path(folder), waiting) for waiting in (100, large)}
        for waiting, filled in stores.items():
            started = time.perf_counter()
            await filled.fill()
            print(f"{waiting:,} waiting task runs made in {time.perf_counter() - started:.1f} s", flush=True)
        costs: dict[int, list[float]] = {waiting: [] for waiting in stores}
        for _ in range(repeat):
            for waiting, filled in stores.items():
                costs[waiting].append(await filled.seconds_an_event(events))
        few, many = (statistics.median(costs[waiting]) for waiting in stores)
        print(f"an event costs {few * 1e6:.0f} us with 100, {many * 1e6:.0f} us with {large:,}: ", end="")
        print(f"ratio {many / few:.2f}")
        for filled in stores.values():
            filled.store.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=4_000)
    parser.add_argument("--repeat", type=int, default=5)
    words = parser.parse_args()
    asyncio.run(measure(words.large, words.events, words.repeat))


if __name__ == "__main__":
    main()
