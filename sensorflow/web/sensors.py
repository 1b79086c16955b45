"""Sensors: how each does, and what it has brought."""

from aiohttp import web

from sensorflow.core.state import SensorRow
from sensorflow.core.vocabulary import Scope, SensorDefinition
from sensorflow.web.access import caller_of
from sensorflow.web.api import API, Api
from sensorflow.web.parameters import PageQuery
from sensorflow.web.problems import not_found
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import Page, SensorSchema, answer, instant

routes = Routes("Sensors")


class SensorsQuery(PageQuery):
    """Which sensors are listed."""

    LIST = "sensors"


@routes.get("/api/v1/sensors", scope=Scope.READ, limited=True, answers=Page[SensorSchema])
async def list_sensors(request: web.Request, query: SensorsQuery) -> web.Response:
    """List the sensors by pipeline and name."""
    api = request.app[API]
    limit = query.limit
    after = query.cursor or ""
    seen = caller_of(request).sensors(api.definitions())
    found = {sensor_name(key): sensor for key, sensor in seen.items()}
    names = sorted(name for name in found if name > after)
    following = query.next(names[limit - 1]) if len(names) > limit else None
    items = [sensor_schema(api, found[name]) for name in names[:limit]]
    return answer(Page[SensorSchema](items=items, next=following))


@routes.get("/api/v1/sensors/{pipeline}/{sensor}", scope=Scope.READ, limited=True, answers=SensorSchema)
async def show_sensor(request: web.Request) -> web.Response:
    """Show one sensor."""
    api = request.app[API]
    key = (request.match_info["pipeline"], request.match_info["sensor"])
    sensor = caller_of(request).sensors(api.definitions()).get(key)
    if sensor is None:
        raise not_found(f'there is no sensor "{sensor_name(key)}"')
    return answer(sensor_schema(api, sensor))


def sensor_name(key: tuple[str, str]) -> str:
    """Return what names a sensor among all: `pipeline/sensor`, `-/sensor` for shared ones."""
    return "/".join(key)


def sensor_schema(api: Api, sensor: SensorDefinition) -> SensorSchema:
    """Return a sensor as it is answered."""
    key = (sensor.pipeline, sensor.name)
    row = api.store.reader.sensor(*key) or SensorRow(pipeline=sensor.pipeline, name=sensor.name)
    health = api.sensor_health(*key)
    last = None if row.last_seq is None else api.store.reader.event(row.last_seq)
    return SensorSchema(
        pipeline=sensor.pipeline,
        name=sensor.name,
        type=sensor.kind,
        dataset=sensor.rule.dataset,
        state=health.state,
        error=health.error,
        last_event_at=instant(row.last_event_at),
        last_event_time=last.event.time if last else None,
        last_seq=row.last_seq,
        accepted=row.accepted,
        duplicates=row.duplicates,
        rejected=row.rejected,
        unmatched=row.unmatched,
    )
