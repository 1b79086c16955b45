"""What an event becomes at the door: a duplicate, a rejection, or arrivals of partitions."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import ForbiddenError, NotFoundError, ReadingError, UnknownDatasetError
from sensorflow.core.lineage import is_lineage, output_documents
from sensorflow.core.matching import Looks
from sensorflow.core.messages import (
    Arrival,
    DeclaredReady,
    EventState,
    Observed,
    Receipt,
    Redrive,
    WithdrawPartition,
)
from sensorflow.core.partitions import beside_calendar, start_of
from sensorflow.core.readiness import complete, quiet_timer
from sensorflow.core.reading import read_rule, read_text, read_time
from sensorflow.core.state import (
    ArrivalRow,
    ContentRow,
    EventRow,
    PartitionRow,
    PartRow,
    SensorRow,
    State,
    TimerRow,
)
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import DatasetDefinition, Event, JsonValue, Rule, SensorDefinition

#: Content that is one event until it changes never expires by time.
_NEVER = float("inf")
_NO_PARTS: Mapping[str, PartRow] = MappingProxyType({})
_NONE: frozenset[str] = frozenset()
#: So many reasons are kept of one event: one of lineage may have thousands of outputs.
_MOST_REASONS = 100


class Reached(NamedTuple):
    """A partition that an arrival has changed, for those who wait for it."""

    row: PartitionRow
    #: It was not all there before, and is now.
    became_ready: bool
    #: It has a new version.
    newer: bool = True


class Claim(NamedTuple):
    """What a rule read: this event is an arrival of that."""

    dataset: str
    partition: str
    part: str | None
    sensor: tuple[str, str] | None


class Reading(NamedTuple):
    """An event as the rules read it, before the store is asked whether it is new."""

    event: Event
    sensor: tuple[str, str] | None
    claims: list[Claim]
    state: EventState
    #: The sensors whose rules took it.
    matched: tuple[tuple[str, str], ...] = ()
    reason: str | None = None
    dedupe_s: float = 0.0


def read(definitions: Definitions, message: Observed | DeclaredReady) -> Reading:
    """Return what the rules read from an event that a sensor saw or somebody posted.

    Raises:
        ForbiddenError: it makes ready what its sender may not.
    """
    if isinstance(message, DeclaredReady):  # Its partition has been read by `reading` already.
        claim = Claim(message.dataset, message.partition, message.part, None)
        return Reading(message.event, None, [claim], EventState.ACCEPTED)
    if message.quarantined is not None:
        return Reading(message.event, message.sensor, [], EventState.REJECTED, (), message.quarantined)
    reading = _read(definitions, message.event, message.sensor)
    _require_own(definitions, reading, message.datasets)
    return reading


def _read(definitions: Definitions, event: Event, seen_by: tuple[str, str] | None) -> Reading:
    """Ask the rules of the sensor, or of all sensors for what is posted."""
    claims: list[Claim] = []
    reasons: list[str] = []
    try:
        taken = _taken(definitions, event, seen_by)
    except ReadingError as error:
        taken = []
        reasons.append(str(error))
    for sensor, document in taken:
        try:
            if seen_by is not None:
                event = _with_own_identity(event, sensor.rule, document)
            dataset = definitions.datasets[sensor.rule.dataset]
            partition, part = read_rule(sensor.rule, dataset, document)
        except ReadingError as error:
            reasons.append(f"{unreadable_by((sensor.pipeline, sensor.name))}: {error}")
        except Exception as error:  # noqa: BLE001 - a rule that breaks must not harm what others read
            reasons.append(f"{unreadable_by((sensor.pipeline, sensor.name))}: {broken_by(error)}")
        else:
            claims.append(Claim(dataset.name, partition, part, (sensor.pipeline, sensor.name)))
    if claims:
        outcome = EventState.ACCEPTED
    else:
        outcome = EventState.REJECTED if reasons else EventState.UNMATCHED
    definition = definitions.sensors.get(seen_by) if seen_by else None
    return Reading(
        event,
        seen_by,
        # Of one output a run may have made several hours of one day.
        claims if len(claims) < 2 else list(dict.fromkeys(claims)),
        outcome,
        tuple(dict.fromkeys([(sensor.pipeline, sensor.name) for sensor, _ in taken])),
        "; ".join([*dict.fromkeys(reasons)][:_MOST_REASONS]) or None,
        definition.dedupe_s if definition else 0.0,
    )


def _taken(
    definitions: Definitions, event: Event, seen_by: tuple[str, str] | None
) -> list[tuple[SensorDefinition, dict[str, JsonValue]]]:
    """Return the sensors whose rules take an event, each with what it sees of it."""
    if seen_by is None and is_lineage(event):
        looks = Looks()
        return [
            (sensor, document)
            for document in output_documents(event)
            for sensor in definitions.take_lineage(document, looks)
        ]
    document = event.document()
    return [(sensor, document) for sensor in definitions.take(document, seen_by)]


def broken_by(error: Exception) -> str:
    """Return why an event could not be handled, by a fault of ours."""
    return f"it could not be handled ({type(error).__name__}: {error})"


def _require_own(definitions: Definitions, reading: Reading, own: frozenset[str] | None) -> None:
    """Refuse an event that a rule for a dataset takes which its sender may not make ready."""
    if own is None:
        return
    found = {definitions.sensors[key].rule.dataset for key in reading.matched}
    if not found <= own:
        raise ForbiddenError(
            f"this token may emit {', '.join(sorted(own)) or 'nothing'}; "
            f"a rule reads this event for {', '.join(sorted(found - own))}"
        )


def redrive(turn: Turn, message: Redrive) -> tuple[Receipt, list[Reached]]:
    """Read a stored event again by the rules of now; only what is new of it arrives.

    Raises:
        NotFoundError: the event is not stored, or not any more.
        ForbiddenError: it makes ready what is not the operator's.
    """
    seq = message.seq
    row = turn.state.event(seq)
    if row is None:
        raise NotFoundError(f"there is no event {seq}")
    reading = _read(turn.definitions, row.event, row.sensor)
    _require_own(turn.definitions, reading, message.datasets)
    there = {(arrival.dataset, arrival.partition, arrival.part) for arrival in turn.state.arrivals(seq)}
    new = [c for c in reading.claims if (c.dataset, c.partition, c.part or "") not in there]
    outcome = EventState.ACCEPTED if there else reading.state
    turn.state.replace_event(row._replace(state=outcome, reason=reading.reason))
    arrivals, changes = _arrive_all(turn, new, seq)
    return Receipt(seq, row.event.source, row.id, outcome, arrivals, reading.reason), changes


def withdraw(turn: Turn, message: WithdrawPartition) -> PartitionRow:
    """Take back a partition, or a part of it, until the next arrival; return it as it is now.

    Raises:
        UnknownDatasetError: no file names the dataset.
        NotFoundError: nothing of the partition, or of the part, has arrived.
    """
    if message.dataset not in turn.definitions.datasets:
        raise UnknownDatasetError(f"no file names a dataset {message.dataset}")
    row = turn.state.partition(message.dataset, message.partition)
    parts = turn.state.parts(message.dataset, message.partition)
    whole = row is not None and row.whole > 0
    is_there = (parts or whole) if message.part is None else message.part in parts
    if row is None or not is_there:
        part = f" part {message.part}" if message.part is not None else ""
        raise NotFoundError(f"nothing of {message.dataset} {message.partition}{part} is there to take back")
    turn.state.drop_parts(message.dataset, message.partition, message.part)
    if message.part is None:
        row = row._replace(withdrawn=True, arrivals=0, whole=0, whole_seq=0)
    else:
        row = row._replace(withdrawn=True, arrivals=len(parts) - 1 + whole)
    turn.state.put_partition(row)
    return row


def fall_quiet(turn: Turn, dataset: str, partition: str) -> list[Reached]:
    """Complete a partition for which nothing has arrived for long enough."""
    before, parts = turn.state.partition(dataset, partition), turn.state.parts(dataset, partition)
    if before is None or not (parts or before.whole):
        return []
    definition = turn.definitions.datasets[dataset]
    if not complete(definition, parts.keys(), before.arrivals, whole=before.whole > 0):
        return []
    ready_at = before.ready_at if before.ready else turn.now
    row = before._replace(version=before.version + 1, ready_at=ready_at, withdrawn=False)
    turn.state.put_partition(row)
    return [Reached(row=row, became_ready=not before.ready)]


def _with_own_identity(event: Event, rule: Rule, document: JsonValue) -> Event:
    """Return the event with the id and the time that the sensor's rule reads from it."""
    if rule.id is not None:
        event = event._replace(id=read_text(rule.id, document))
    if rule.time is not None:
        event = event._replace(time=read_time(rule.time, document))
    return event


def unreadable_by(sensor: tuple[str, str]) -> str:
    """Return the words by which the reason of a rejected event names a sensor."""
    return f"sensor {sensor[0]}/{sensor[1]} could not read it"


def take(turn: Turn, reading: Reading) -> tuple[Receipt, list[Reached]]:
    """Store an event, and what it makes of partitions."""
    state, now = turn.state, turn.now
    event = reading.event
    first = _first_seq(state, event, reading.dedupe_s, now)
    if first is not None:
        _count(state, reading, EventState.DUPLICATE, first, now)
        return _duplicate(state, event, first), []
    seq = state.next_seq()
    event_id = _id_of(event, seq)
    state.add_event(EventRow(seq, event, event_id, now, reading.sensor, reading.state, reading.reason))
    if event.id is None or event.replaces:
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
    arrivals, changes = _arrive_all(turn, reading.claims, seq)
    _count(state, reading, reading.state, seq, now)
    return Receipt(seq, event.source, event_id, reading.state, arrivals, reading.reason), changes


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
        id=_id_of(event, first),
        state=EventState.DUPLICATE,
        reason=reason,
    )


def _arrive_all(turn: Turn, claims: Iterable[Claim], seq: int) -> tuple[tuple[Arrival, ...], list[Reached]]:
    arrivals, changes = [], []
    for claim in claims:
        arrival, reached = _arrive(turn, claim, seq)
        arrivals.append(arrival)
        changes.append(reached)
    return tuple(arrivals), changes


def _id_of(event: Event, seq: int) -> str:
    """Return what, beside its source, names the event of a number; its content does where it has no id."""
    return event.id if event.id is not None else f"{event.content}-{seq}"


def _arrive(turn: Turn, claim: Claim, seq: int) -> tuple[Arrival, Reached]:
    """Write what an arrival makes of its partition.

    Rows are made by position here: by name, or by `_replace`, takes twice and three times as long.
    """
    state, now = turn.state, turn.now
    name, key, part, sensor = claim
    dataset = turn.definitions.datasets[name]
    wanted = dataset.complete
    before = state.partition(name, key)
    if before is None:
        was_ready, version = False, 1
        newer = wanted.quiet_s is None and complete(dataset, {part} if part else _NONE, 1, whole=not part)
        row = PartitionRow(
            name,
            key,
            start_of(dataset.partitioning, key),
            int(newer),
            1,
            now,
            now,
            now if newer else None,
            False,
            beside_calendar(dataset.partitioning, key),
            0 if part else 1,
            0 if part else seq,
        )
    else:
        was_ready, whole, whole_seq = before.ready, before.whole, before.whole_seq
        parts: Mapping[str, PartRow] = _NO_PARTS
        if part or not was_ready:
            parts = state.parts(name, key)
        if part:
            version = parts[part].version + 1 if part in parts else 1
        else:  # Where it was taken back it counts on from the version of all.
            version = whole = (whole or before.version) + 1
            whole_seq = seq
        arrivals = before.arrivals + 1
        newer = wanted.quiet_s is None and (
            was_ready
            or complete(dataset, parts.keys() | {part} if part else parts.keys(), arrivals, whole=whole > 0)
        )
        row = PartitionRow(
            name,
            key,
            before.start,
            before.version + newer,
            arrivals,
            before.first_at,
            now,
            now if newer and not was_ready else before.ready_at,
            before.withdrawn and not newer,
            before.beside,
            whole,
            whole_seq,
        )
    if wanted.quiet_s is not None:
        _wait_for_quiet(turn, dataset, key)
    if part:
        state.put_part(PartRow(name, key, part, version, seq))
    state.put_partition(row)
    is_ready = row.ready or wanted.quiet_s is not None
    state.add_arrival(ArrivalRow(seq, name, key, part or "", version, is_ready, sensor))
    return Arrival(name, key, claim.part, version), Reached(row, newer and not was_ready, newer)


def _wait_for_quiet(turn: Turn, dataset: DatasetDefinition, partition: str) -> None:
    turn.state.put_timer(
        TimerRow(
            key=quiet_timer(dataset.name, partition),
            due_at=turn.now + (dataset.complete.quiet_s or 0.0),
            kind="quiet",
            dataset=dataset.name,
            partition=partition,
        )
    )


def _count(state: State, reading: Reading, outcome: EventState, seq: int, now: float) -> None:
    """Count an event for the sensor that saw it, or, of what was posted, for those that took it."""
    for pipeline, name in (reading.sensor,) if reading.sensor else reading.matched:
        row = state.sensor(pipeline, name) or SensorRow(pipeline, name)
        state.put_sensor(
            SensorRow(
                pipeline,
                name,
                row.accepted + (outcome is EventState.ACCEPTED),
                row.duplicates + (outcome is EventState.DUPLICATE),
                row.rejected + (outcome is EventState.REJECTED),
                row.unmatched + (outcome is EventState.UNMATCHED),
                now,
                seq,
                seq if outcome is EventState.REJECTED else row.last_rejected_seq,
            )
        )
