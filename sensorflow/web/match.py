"""What the rules would make of an event: which take it, what each reads, and why the others do not."""

import asyncio
from http import HTTPStatus

from aiohttp import web
from pydantic import ValidationError

from sensorflow.config.scripts import EventStep
from sensorflow.config.stories import source_of
from sensorflow.core.definitions import Definitions
from sensorflow.core.judging import Matched, RuleMatch, match_posted, match_seen
from sensorflow.core.messages import EventState
from sensorflow.core.vocabulary import Event, JsonValue, Scope, SensorDefinition
from sensorflow.ports import WouldSee
from sensorflow.web.access import caller_of
from sensorflow.web.api import API
from sensorflow.web.bodies import json_of, read_body, require_type
from sensorflow.web.cloudevents import NoEventError, read_structured
from sensorflow.web.events import sees_event
from sensorflow.web.formats import AnyJson
from sensorflow.web.lineage import read_lineage
from sensorflow.web.parameters import NumberFromZero, Query, TextParameter
from sensorflow.web.problems import bad_request, not_found, places, unprocessable
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import OptionalText, Schema, answer
from sensorflow.web.sensors import sensor_name

JSON = "application/json"
STRUCTURED = "application/cloudevents+json"
#: So many rules that do not take an event are told at most.
MOST_MISSED = 20
#: By these an OpenLineage event is known; no CloudEvent has one of them.
_OF_LINEAGE = frozenset({"eventTime", "eventType", "run", "job"})

#: Sensor kinds to which all comes that is posted; the others see what is their own.
_POSTED = ("events", "openlineage")

routes = Routes("Trying")


class MatchQuery(Query):
    """What the event is, where the body does not say it."""

    #: As `pipeline/sensor`: it sees the event, and of a webhook the body is what is sent to it.
    sensor: TextParameter = None
    #: Of a file, relative to the home; without a body.
    path: TextParameter = None
    #: Of an MQTT message, whose payload is the body.
    topic: TextParameter = None
    #: The `seq` of a stored event; without a body.
    seq: NumberFromZero | None = None


class RuleSchema(Schema):
    """What a sensor's rule makes of an event."""

    #: As `pipeline/sensor`.
    sensor: str
    type: str
    dataset: str
    #: `accepted`; `rejected`: it takes the event and cannot read it; `unmatched`: it does not take it.
    state: EventState
    #: What it reads; absent where it reads nothing.
    partition: OptionalText = None
    part: OptionalText = None
    id: OptionalText = None
    time: OptionalText = None
    #: Why it is not accepted: the first field that does not fit, or what cannot be read.
    reason: OptionalText = None


class MatchAnswer(Schema):
    """What would become of an event; nothing of it is kept."""

    #: As the service would keep it.
    state: EventState
    #: Those that take it first, then those that nearly do.
    rules: list[RuleSchema]
    #: How many more do not take it.
    more: int


@routes.post(
    "/api/v1/match",
    scope=Scope.READ,
    limited=True,
    answers=MatchAnswer,
    accepts={JSON: AnyJson, STRUCTURED: AnyJson},
    problems={
        HTTPStatus.BAD_REQUEST: "the body is no JSON, or no CloudEvent",
        HTTPStatus.NOT_FOUND: "there is no such sensor, or no such event",
        HTTPStatus.UNPROCESSABLE_ENTITY: "the body is JSON and no event",
    },
)
async def match(request: web.Request, query: MatchQuery) -> web.Response:
    """Say which rules take an event, what each reads, and why the others do not. Nothing is kept."""
    api, caller = request.app[API], caller_of(request)
    body = await read_body(request, api.body_limit)
    if query.path is None and query.topic is None and query.seq is None:
        require_type(request, JSON, STRUCTURED)
    definitions = await asyncio.to_thread(caller.part_of, api.definitions())
    if query.seq is not None:
        row = api.store.reader.event(query.seq)
        if row is None or not sees_event(api, caller, row):
            raise not_found(f"there is no event {query.seq}")
        matched = await asyncio.to_thread(_stored, definitions, row.event, row.sensor)
    else:
        # With thousands of rules, to say why each does not take it takes a while.
        matched = await asyncio.to_thread(matched_by, definitions, api.would_see, query, body)
    return answer(match_answer(matched))


def matched_by(definitions: Definitions, would_see: WouldSee, query: MatchQuery, body: bytes) -> Matched:
    """Ask the rules of what a body is, in the light of the query.

    Raises:
        ProblemError: it is no event, or there is no such sensor.
    """
    named = None if query.sensor is None else _named(definitions, query.sensor)
    sensors = list(definitions.sensors.values()) if named is None else [named]
    document = None if query.path is not None or query.topic is not None else json_of(body)
    if document is not None and (named is None or named.kind in _POSTED):
        event = read_event(document, None)
        seer = _seer(definitions, event)
        rules = match_posted(definitions, event) if seer is None else [match_seen(definitions, event, seer)]
        return Matched.of((rule for rule in rules if named in (None, rule.sensor)), MOST_MISSED)
    seen: list[tuple[SensorDefinition, Event | str]] = []
    is_event = isinstance(document, dict) and "specversion" in document
    if not is_event:
        seen = would_see(sensors, path=query.path, topic=query.topic, body=body)
    if not seen and named is not None:
        if document is None:
            what = "path" if query.path is not None else "topic"
            raise unprocessable(f"{query.sensor}: a sensor of type {named.kind} sees no {what}")
        seen = [(named, read_event(document, named))]
    return Matched.of((_judged(definitions, *each) for each in seen), MOST_MISSED)


def match_answer(matched: Matched) -> MatchAnswer:
    """Return what the rules make of an event as it is answered."""
    return MatchAnswer(
        state=matched.state, rules=[_schema(rule) for rule in matched.rules], more=matched.more
    )


def read_event(document: JsonValue, sensor: SensorDefinition | None) -> Event:
    """Return the event that a document is: a CloudEvent, of which much may be left out, or of OpenLineage.

    Args:
        sensor: Whose source the event has where it names none.

    Raises:
        ProblemError: it is none.
    """
    if isinstance(document, dict) and "specversion" in document:
        try:
            return read_structured(document)
        except NoEventError as error:
            raise bad_request(str(error), *error.errors) from None
    if isinstance(document, dict) and document.keys() & _OF_LINEAGE:
        return read_lineage(document)
    try:
        told = EventStep.model_validate(document)
    except ValidationError as error:
        found = places(error)
        first = found[0]
        detail = f"{first.where or 'the body'}: expected {first.expected}, found {first.found}"
        raise unprocessable(detail, *found) from None
    return Event(
        source=told.source or ("/match" if sensor is None else source_of(sensor)),
        id=told.id,
        type=told.type or "dev.sensorflow.observed",
        subject=told.subject,
        time=told.time,
        data=told.data,
        extensions=told.extensions,
    )


def _named(definitions: Definitions, name: str) -> SensorDefinition:
    pipeline, _, own = name.partition("/")
    found = definitions.sensors.get((pipeline, own))
    if found is None:
        raise not_found(f'there is no sensor "{name}"; a name is PIPELINE/SENSOR, of a shared one -/SENSOR')
    return found


def _seer(definitions: Definitions, event: Event) -> SensorDefinition | None:
    """Return the sensor whose source an event has; None where it is posted."""
    _, _, key = event.source.removeprefix("/").partition("/")
    pipeline, _, name = key.partition("/")
    found = definitions.sensors.get((pipeline, name))
    return found if found is not None and source_of(found) == event.source else None


def _stored(definitions: Definitions, event: Event, seen_by: tuple[str, str] | None) -> Matched:
    if seen_by is None:
        return Matched.of(match_posted(definitions, event), MOST_MISSED)
    sensor = definitions.sensors.get(seen_by)
    if sensor is None:
        raise not_found(f"sensor {sensor_name(seen_by)}, which saw this event, is not defined, or no longer")
    return Matched.of([match_seen(definitions, event, sensor)], MOST_MISSED)


def _judged(definitions: Definitions, sensor: SensorDefinition, seen: Event | str) -> RuleMatch:
    if isinstance(seen, str):
        return RuleMatch.missed(sensor, seen)
    return match_seen(definitions, seen, sensor)


def _schema(rule: RuleMatch) -> RuleSchema:
    return RuleSchema(
        sensor=sensor_name((rule.sensor.pipeline, rule.sensor.name)),
        type=rule.sensor.kind,
        dataset=rule.sensor.rule.dataset,
        state=rule.state,
        partition=rule.partition or None,
        part=rule.part,
        id=rule.id,
        time=rule.time,
        reason=rule.reason,
    )
