"""Which rows a group of events will be decided by, told to the state before they are asked for one by one."""

from collections.abc import Sequence
from typing import TypeAlias

from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import SensorflowError
from sensorflow.core.ingest import Reading, read
from sensorflow.core.messages import DeclaredReady, Message, Observed
from sensorflow.core.turn import Turn

#: Of fewer messages the rows are as soon asked for one by one.
_FEW = 4

_EVENTS = (Observed, DeclaredReady)

_Pair: TypeAlias = tuple[str, str]


def foresee(turn: Turn, messages: Sequence[Message]) -> Sequence[Message | Reading]:
    """Read what the events among the messages say, and let the state read at once what they concern.

    It changes nothing of what is decided, only how often the store is asked.

    Returns:
        The messages in their order, an event as what was read of it.
    """
    if len(messages) < _FEW:
        return messages
    # Dictionaries, for they keep the order and hold each once.
    identities: dict[_Pair, None] = {}
    partitions: dict[_Pair, None] = {}
    runs: dict[_Pair, None] = {}
    known: list[Message | Reading] = []
    for message in messages:
        if not isinstance(message, _EVENTS):
            known.append(message)
            continue
        try:
            reading = read(turn.definitions, message)
        except SensorflowError:
            known.append(message)  # `decide` will say it where it is answered.
            continue
        known.append(reading)
        event = reading.event
        if event.id is not None:
            identities[event.source, event.id] = None
        for claim in reading.claims:
            partitions[claim.dataset, claim.partition] = None
            _concerned(turn.definitions, claim.dataset, claim.partition, partitions, runs)
    turn.state.foresee(identities, partitions, runs)
    return known


def _concerned(
    definitions: Definitions,
    dataset: str,
    partition: str,
    partitions: dict[_Pair, None],
    runs: dict[_Pair, None],
) -> None:
    """Add the runs that read a partition as their own, and what else they read as their own."""
    for reader in definitions.readers.get(dataset, ()):
        if not reader.own_partition:
            continue
        runs[reader.pipeline.name, partition] = None
        for task, datasets in definitions.graphs[reader.pipeline.name].own_partition_of.items():
            # A new run is asked for all of its tasks, and each for its inputs until one is missing.
            for other in datasets if task in reader.tasks else datasets[:1]:
                partitions[other, partition] = None
