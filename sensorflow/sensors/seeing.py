"""What sensors would see if a file, a message or a body came; nothing has."""

from collections.abc import Iterable

import aiomqtt

from sensorflow.config.kinds import WebhookOptions
from sensorflow.core.errors import shown
from sensorflow.core.vocabulary import Event, SensorDefinition
from sensorflow.sensors.file import FileOptions
from sensorflow.sensors.mqtt import MqttOptions, read_message
from sensorflow.sensors.payload import json_of


def would_see(
    sensors: Iterable[SensorDefinition], *, path: str | None, topic: str | None, body: bytes
) -> list[tuple[SensorDefinition, Event | str]]:
    """Return the event of each sensor that would see it, or in words why one that could would not.

    Args:
        path: Of a file, relative to the home.
        topic: Of a message, whose payload is the body.
        body: What a webhook is sent, where there is neither path nor topic.

    Raises:
        ValueError: a body is no JSON.
    """
    found = [(sensor, _seen(sensor, path, topic, body)) for sensor in sensors]
    return [(sensor, seen) for sensor, seen in found if seen is not None]


def _seen(sensor: SensorDefinition, path: str | None, topic: str | None, body: bytes) -> Event | str | None:
    options = sensor.options
    if path is not None:
        return _file(sensor, options, path) if isinstance(options, FileOptions) else None
    if topic is not None:
        return _message(sensor, options, topic, body) if isinstance(options, MqttOptions) else None
    if isinstance(options, WebhookOptions):
        source = f"/hooks/{sensor.pipeline}/{sensor.name}"
        return Event(source=source, id=None, data=json_of(body), extensions={"headers": {}})
    return None


def _file(sensor: SensorDefinition, options: FileOptions, path: str) -> Event | str:
    place = path
    if options.marker is not None:  # The event is of the folder, whose marker is what is looked for.
        path = path.removesuffix(f"/{options.marker}")
        place = f"{path}/{options.marker}"
    captures = options.template.match(place)
    if captures is None:
        return f"path: expected {options.path}, found {shown(path)}"
    return Event(
        source=f"/file/{sensor.pipeline}/{sensor.name}",
        id=None,
        subject=path,
        data={"path": path, "captures": dict(captures)},
    )


def _message(sensor: SensorDefinition, options: MqttOptions, topic: str, payload: bytes) -> Event | str:
    filtered = options.topic
    if filtered.startswith("$share/"):
        filtered = filtered.split("/", 2)[2]
    if not aiomqtt.Topic(topic).matches(filtered):
        return f"topic: expected {options.topic}, found {shown(topic)}"
    return read_message(f"/mqtt/{sensor.pipeline}/{sensor.name}", topic, payload, is_retained=False)
