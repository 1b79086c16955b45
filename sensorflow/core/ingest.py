"""What an event becomes at the door: a duplicate, a rejection, or arrivals of partitions."""

from dataclasses import dataclass, replace

from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import ReadingError
from sensorflow.core.messages import Arrival, DeclaredReady, EventState, Observed, Receipt
from sensorflow.core.partitions import bounds
from sensorflow.core.readiness import complete
from sensorflow.core.reading import read_rule, text_at
from sensorflow.core.state import (
    ArrivalRow,
    ContentRow,
    EventRow,
    PartitionRow,
    PartRow,
    SensorRow,
    State,
)
from sensorflow.core.vocabulary import Event, JsonValue, Rule, SensorDefinition

#: Content that is one event until it changes never expires by time.
_NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A partition that an arrival has changed, for those who wait for it."""

    row: PartitionRow
    #: It was not all there before this arrival and is now.
    became_ready: bool
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What a rule read: this event is an arrival of that."""

    dataset: str
    partition: str
    part: str | None
    sensor: tuple[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """An event as the rules read it, before the store is asked whether it is new."""

    event: Event
    sensor: tuple[str, str] | None
    claims: list[_Claim]
    state: EventState
    reason: str | None = None
    dedupe_s: float = 0.0


def observe(
    definitions: Definitions, state: State, message: Observed, now: float
) -> tuple[Receipt, list[Reached]]:
    """Store an event that a sensor saw or somebody posted, and what it makes of partitions."""
    event = message.event
    sensors = _reading_sensors(definitions, message)
    document = event.document()
    matched = [
        sensor
        for sensor in sensors
        if (pattern := definitions.patterns.get((sensor.pipeline, sensor.name))) is None
        or pattern.matches(document)
    ]
    claims: list[_Claim] = []
    reasons: list[str] = []
    for sensor in matched:
        try:
            if message.sensor is not None:
                event = _with_own_identity(event, sensor.rule, document)
            dataset = definitions.datasets[sensor.rule.dataset]
            partition, part = read_rule(sensor.rule, dataset, document)
        except ReadingError as error:
            reasons.append(f"sensor {_shown(sensor)} could not read it: {error}")
        else:
            key = (sensor.pipeline, sensor.name)
            claims.append(_Claim(dataset=dataset.name, partition=partition, part=part, sensor=key))
    if claims:
        outcome = EventState.ACCEPTED
    else:
        outcome = EventState.REJECTED if reasons else EventState.UNMATCHED
    seen_by = definitions.sensors.get(message.sensor) if message.sensor else None
    reading = _Reading(
        event=event,
        sensor=message.sensor,
        claims=claims,
        state=outcome,
        reason="; ".join(reasons) or None,
        dedupe_s=seen_by.dedupe_s if seen_by else 0.0,
    )
    return _store(definitions, state, reading, now)


def declare(
    definitions: Definitions, state: State, message: DeclaredReady, now: float
) -> tuple[Receipt, list[Reached]]:
    """Store what somebody says is ready. The partition has been read by `reading` already."""
    claim = _Claim(dataset=message.dataset, partition=message.partition, part=message.part, sensor=None)
    reading = _Reading(event=message.event, sensor=None, claims=[claim], state=EventState.ACCEPTED)
    return _store(definitions, state, reading, now)


def _with_own_identity(event: Event, rule: Rule, document: JsonValue) -> Event:
    """Return the event with the id and the time that the sensor's rule reads from it."""
    if rule.id is not None:
        event = replace(event, id=text_at(document, rule.id))
    if rule.time is not None:
        event = replace(event, time=text_at(document, rule.time))
    return event


def _reading_sensors(definitions: Definitions, message: Observed) -> tuple[SensorDefinition, ...]:
    if message.sensor is None:
        return definitions.posted
    sensor = definitions.sensors.get(message.sensor)
    return (sensor,) if sensor else ()


def _shown(sensor: SensorDefinition) -> str:
    return f"{sensor.pipeline}/{sensor.name}"


def _store(
    definitions: Definitions, state: State, reading: _Reading, now: float
) -> tuple[Receipt, list[Reached]]:
    event = reading.event
    first = _first_seq(state, event, reading.dedupe_s, now)
    if first is not None:
        _count(state, reading.sensor, EventState.DUPLICATE, first, now)
        return _duplicate(state, event, first), []
    seq = state.next_seq()
    event_id = event.id if event.id is not None else f"{event.content}-{seq}"
    state.add_event(
        EventRow(
            seq=seq,
            event=event,
            id=event_id,
            received_at=now,
            sensor=reading.sensor,
            state=reading.state,
            reason=reading.reason,
        )
    )
    if event.id is None:
        expires_at = _NEVER if event.replaces else now + reading.dedupe_s
        state.put_content(
            ContentRow(
                source=event.source,
                key=event.replaces or event.content,
                digest=event.content,
                seq=seq,
                expires_at=expires_at,
            )
        )
    arrived = [_arrive(definitions, state, claim, seq, now) for claim in reading.claims]
    _count(state, reading.sensor, reading.state, seq, now)
    receipt = Receipt(
        seq=seq,
        source=event.source,
        id=event_id,
        state=reading.state,
        arrivals=tuple(arrival for arrival, _ in arrived),
        reason=reading.reason,
    )
    return receipt, [reached for _, reached in arrived]


def _first_seq(state: State, event: Event, dedupe_s: float, now: float) -> int | None:
    """Return the number of the event that this one repeats."""
    if event.id is not None:
        return state.identity(event.source, event.id)
    if not event.replaces and dedupe_s <= 0:
        return None
    seen = state.content(event.source, event.replaces or event.content)
    if seen is None or seen.digest != event.content or now >= seen.expires_at:
        return None
    return seen.seq


def _duplicate(state: State, event: Event, first: int) -> Receipt:
    stored = state.event(first)
    reason = None
    if stored is not None and event.id is not None and stored.event.data != event.data:
        reason = f"its content differs from the first one's, event {first}; the first one counts"
    return Receipt(
        seq=first,
        source=event.source,
        id=stored.id if stored else event.id or event.content,
        state=EventState.DUPLICATE,
        reason=reason,
    )


def _arrive(
    definitions: Definitions, state: State, claim: _Claim, seq: int, now: float
) -> tuple[Arrival, Reached]:
    """Write what an arrival makes of its partition."""
    dataset = definitions.datasets[claim.dataset]
    part = claim.part or ""
    parts = state.parts(dataset.name, claim.partition)
    version = parts[part].version + 1 if part in parts else 1
    before = state.partition(dataset.name, claim.partition)
    arrivals = before.arrivals + 1 if before else 1
    was_ready = before is not None and before.ready
    is_ready = was_ready or complete(dataset, frozenset(parts) | {part}, arrivals)
    limits = bounds(dataset.partitioning, claim.partition)
    row = PartitionRow(
        dataset=dataset.name,
        partition=claim.partition,
        start=limits.start if limits else None,
        version=(before.version if before else 0) + (1 if is_ready else 0),
        arrivals=arrivals,
        first_at=before.first_at if before else now,
        last_at=now,
        ready_at=before.ready_at if before and was_ready else (now if is_ready else None),
    )
    state.put_partition(row)
    state.put_part(
        PartRow(dataset=dataset.name, partition=claim.partition, part=part, version=version, seq=seq)
    )
    state.add_arrival(
        ArrivalRow(
            seq=seq,
            dataset=dataset.name,
            partition=claim.partition,
            part=part,
            version=version,
            ready=is_ready,
            sensor=claim.sensor,
        )
    )
    arrival = Arrival(dataset=dataset.name, partition=claim.partition, part=claim.part, version=version)
    return arrival, Reached(row=row, became_ready=is_ready and not was_ready, seq=seq)


def _count(state: State, sensor: tuple[str, str] | None, outcome: EventState, seq: int, now: float) -> None:
    if sensor is None:
        return
    row = state.sensor(*sensor) or SensorRow(pipeline=sensor[0], name=sensor[1])
    state.put_sensor(
        replace(
            row,
            accepted=row.accepted + (outcome is EventState.ACCEPTED),
            duplicates=row.duplicates + (outcome is EventState.DUPLICATE),
            rejected=row.rejected + (outcome is EventState.REJECTED),
            unmatched=row.unmatched + (outcome is EventState.UNMATCHED),
            last_event_at=now,
            last_seq=seq,
        )
    )
