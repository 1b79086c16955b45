"""What a token allows: a scope, and where it is limited, the pipelines it is for."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sensorflow.core.definitions import Definitions, leaves
from sensorflow.core.errors import NotFoundError
from sensorflow.core.messages import CreateToken, Made, RevokeToken
from sensorflow.core.state import TokenRow
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import SHARED, Scope, SensorDefinition


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as that is known: what the token allows."""

    scope: Scope
    #: None: all pipelines.
    pipelines: frozenset[str] | None = None

    def sees(self, pipeline: str) -> bool:
        """Tell whether a pipeline, and what is of it, is there for this caller."""
        return self.pipelines is None or pipeline in self.pipelines

    def datasets(self, definitions: Definitions) -> frozenset[str] | None:
        """Return the datasets that the caller's pipelines read or write; None: all."""
        if self.pipelines is None:
            return None
        found = [definitions.pipelines[name] for name in self.pipelines if name in definitions.pipelines]
        tasks = [task for pipeline in found for task in pipeline.tasks.values()]
        read = {leaf.dataset for task in tasks for leaf in leaves(task.inputs)}
        return frozenset(read.union(*(task.outputs for task in tasks)))

    def sensors(self, definitions: Definitions) -> Mapping[tuple[str, str], SensorDefinition]:
        """Return the sensors of the caller's pipelines, and the shared ones that feed their datasets."""
        own = self.datasets(definitions)
        if own is None:
            return definitions.sensors
        return {
            key: sensor
            for key, sensor in definitions.sensors.items()
            if self.sees(sensor.pipeline) or (sensor.pipeline == SHARED and sensor.rule.dataset in own)
        }

    def part_of(self, definitions: Definitions) -> Definitions:
        """Return the definitions as if nothing stood in the files but what this caller sees."""
        own = self.datasets(definitions)
        if own is None:
            return definitions
        sensors = self.sensors(definitions)
        datasets = own.union(sensor.rule.dataset for sensor in sensors.values())
        return Definitions(
            {name: found for name, found in definitions.pipelines.items() if self.sees(name)},
            {name: definitions.datasets[name] for name in sorted(datasets)},
            sensors,
        )


def digest_of(token: str) -> str:
    """Return what is kept of a token. It has 256 bits of chance, so nothing needs to be salted or slow."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def create(turn: Turn, message: CreateToken) -> Made:
    """Keep what a token allows; from here on the service asks for one."""
    turn.state.add_token(
        TokenRow(
            id=message.id,
            digest=message.digest,
            scope=message.scope,
            pipelines=message.pipelines,
            created_at=turn.now,
        )
    )
    return Made(id=message.id)


def revoke(turn: Turn, message: RevokeToken) -> Made:
    """Forget a token.

    Raises:
        NotFoundError: there is none of this id.
    """
    if not turn.state.drop_token(message.id):
        raise NotFoundError(
            f'there is no token "{message.id}"; `sensorflow token list` shows those there are'
        )
    return Made(id=message.id, created=False)
