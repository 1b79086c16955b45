"""How many arrivals the core alone decides in a second: a three-input daily join, always new partitions.

`python -m bench.core [--arrivals 60000] [--repeat 5]`: one process, the store in memory, groups of 500.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from datetime import date, timedelta

from sensorflow.core.collector import look_seldom
from sensorflow.core.decide import decide, dispatch
from sensorflow.core.definitions import Definitions
from sensorflow.core.messages import DeclaredReady, Moment
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
from sensorflow.store.memory import MemoryStore

DATASETS = ("orders", "customers", "fares")
GROUP = 500


def join() -> Definitions:
    """Return a pipeline with one task that reads the same day of three datasets."""
    daily = Partitioning(Grain.DAILY)
    task = TaskDefinition(
        name="join",
        action=Command(argv=("true",)),
        inputs=tuple(DatasetInput(dataset=name, selection=Selection.SAME) for name in DATASETS),
    )
    return Definitions(
        pipelines={"sales": PipelineDefinition(name="sales", partitioning=daily, tasks={"join": task})},
        datasets={name: DatasetDefinition(name=name, partitioning=daily) for name in DATASETS},
        sensors={},
    )


def arrivals(number: int) -> Iterator[DeclaredReady]:
    """Yield so many arrivals; each day gets its three one after the other."""
    first = date(1, 6, 1)
    for index in range(number):
        dataset = DATASETS[index % 3]
        partition = (first + timedelta(days=index // 3)).isoformat()
        event = Event(source=f"/ready/{dataset}", id=partition)
        yield DeclaredReady(event=event, dataset=dataset, partition=partition)


def arrivals_a_second(number: int) -> float:
    """Decide so many arrivals in groups and return how many that are a second."""
    definitions, store = join(), MemoryStore()
    messages = list(arrivals(number))
    ids = iter(range(number))
    look_seldom()  # As the service does; what it is given is no work of the collector's.
    started = time.process_time()
    for begin in range(0, number, GROUP):
        moment = Moment(now=1.8e9, new_id=lambda: f"{next(ids):012}", new_token=str, draw=float)
        turn = Turn(definitions, store.begin(), moment)
        for message in messages[begin : begin + GROUP]:
            decide(turn, message)
        dispatch(turn, 4)
        commit(store)
    return number / (time.process_time() - started)


def commit(store: MemoryStore) -> None:
    """Commit; the store in memory has nothing to wait for."""
    try:
        store.commit().send(None)
    except StopIteration:
        return


def main() -> None:
    """Print the median of several repeats."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arrivals", type=int, default=60_000)
    parser.add_argument("--repeat", type=int, default=5)
    words = parser.parse_args()
    rates = [arrivals_a_second(words.arrivals) for _ in range(words.repeat)]
    print(
        f"arrivals decided a second: median {statistics.median(rates):,.0f} of {[f'{r:,.0f}' for r in rates]}"
    )


if __name__ == "__main__":
    main()
