"""What the rules would make of an event that nobody has stored."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from heapq import nsmallest
from typing import Self

from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import ReadingError
from sensorflow.core.lineage import is_lineage, output_documents
from sensorflow.core.matching import Looks
from sensorflow.core.messages import EventState
from sensorflow.core.reading import read_rule, read_text, read_time
from sensorflow.core.vocabulary import Event, JsonValue, SensorDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleMatch:
    """What one sensor's rule makes of an event."""

    sensor: SensorDefinition
    #: `accepted`; `rejected`: taken and not to be read; `unmatched`: not taken.
    state: EventState
    partition: str = ""
    part: str | None = None
    #: Where the rule reads them itself.
    id: str | None = None
    time: str | None = None
    #: Of what is not accepted: why, as the first field that does not fit.
    reason: str | None = None
    #: How many fields of the pattern do not fit.
    misses: int = 0

    @classmethod
    def missed(cls, sensor: SensorDefinition, reason: str, misses: int = 1) -> Self:
        """Return that a rule does not take an event."""
        return cls(sensor=sensor, state=EventState.UNMATCHED, reason=reason, misses=misses)


@dataclass(frozen=True, slots=True)
class Matched:
    """What all rules make of an event."""

    #: Those that take it, then those that nearly do.
    rules: tuple[RuleMatch, ...]
    #: How many more do not take it.
    more: int

    @classmethod
    def of(cls, rules: Iterable[RuleMatch], most: int) -> Self:
        """Keep all rules that take an event, and so many of those that do not."""
        found = list(rules)
        missed = [each for each in found if each.state is EventState.UNMATCHED]
        nearest = nsmallest(most, missed, key=lambda each: each.misses)
        taking = [each for each in found if each.state is not EventState.UNMATCHED]
        return cls((*taking, *nearest), len(missed) - len(nearest))

    @property
    def state(self) -> EventState:
        """What would become of the event."""
        states = {rule.state for rule in self.rules}
        found = (state for state in (EventState.ACCEPTED, EventState.REJECTED) if state in states)
        return next(found, EventState.UNMATCHED)


def match_posted(definitions: Definitions, event: Event) -> list[RuleMatch]:
    """Ask the rules of all sensors that read what is posted.

    Raises:
        ReadingError: it has larger arrays than so many rules can look through.
    """
    found: list[RuleMatch] = []
    looks = Looks()
    for document in output_documents(event) if is_lineage(event) else (event.document(),):
        if is_lineage(event):
            asked, taken = definitions.lineage, definitions.take_lineage(document, looks)
        else:
            asked, taken = definitions.posted, definitions.take(document, None)
        keys = {_key(sensor) for sensor in taken}
        found += [_read(definitions, sensor, document) for sensor in taken]
        found += _missed(definitions, [each for each in asked if _key(each) not in keys], document)
    return found


def match_seen(definitions: Definitions, event: Event, sensor: SensorDefinition) -> RuleMatch:
    """Ask the rule of the sensor that would see an event.

    Raises:
        ReadingError: it has more in its arrays than all rules look at.
    """
    document = event.document()
    if definitions.take(document, _key(sensor)):
        return _read(definitions, sensor, document, is_own=True)
    return next(_missed(definitions, (sensor,), document))


def _read(
    definitions: Definitions, sensor: SensorDefinition, document: JsonValue, *, is_own: bool = False
) -> RuleMatch:
    rule = sensor.rule
    try:
        # A sensor names the events that it sees; what is posted has a name.
        own_id = read_text(rule.id, document) if is_own and rule.id is not None else None
        own_time = read_time(rule.time, document) if is_own and rule.time is not None else None
        partition, part = read_rule(rule, definitions.datasets[rule.dataset], document)
    except ReadingError as error:
        return RuleMatch(sensor=sensor, state=EventState.REJECTED, reason=str(error))
    return RuleMatch(
        sensor=sensor,
        state=EventState.ACCEPTED,
        partition=partition,
        part=part,
        id=own_id,
        time=own_time,
    )


def _missed(
    definitions: Definitions, sensors: Collection[SensorDefinition], document: dict[str, JsonValue]
) -> Iterator[RuleMatch]:
    for sensor in sensors:
        pattern = definitions.patterns[_key(sensor)]
        reason = pattern.first_mismatch(document)
        assert reason is not None, "the index and the pattern agree"
        yield RuleMatch.missed(sensor, reason, pattern.misses(document))


def _key(sensor: SensorDefinition) -> tuple[str, str]:
    return sensor.pipeline, sensor.name
