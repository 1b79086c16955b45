"""The sensor `mqtt`: messages of a topic, acknowledged once they are stored."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Self

import aiomqtt
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator

from sensorflow.core.durations import parse_duration
from sensorflow.core.vocabulary import Event, JsonValue
from sensorflow.ports import Batch, SensorContext
from sensorflow.sensors.backoff import Backoff
from sensorflow.sensors.mqtt_connection import BrokerUrl, Connection, NotConnectedError, connected
from sensorflow.sensors.payload import json_of

#: Messages in one commit: as many as brokers send without an acknowledgement, unless told otherwise.
BATCH = 20
#: The shortest and the longest wait before the next try to reach the broker.
RECONNECT_S = (0.25, 8.0)
#: A connection that held for so long was well: when it ends the next try comes soon.
HELD_WELL_S = 10.0
#: What of a CloudEvent has a place of its own in an event.
_ATTRIBUTES = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "data", "data_base64", "topic"}
)


class MqttOptions(BaseModel):
    """What stands in the section of a sensor of `type: mqtt`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    #: mqtt://user:password@host:port or mqtts://...; may hold a password, so it is never shown.
    url: SecretStr
    #: A topic filter, + and # as in MQTT; $share/GROUP/FILTER for a share of the messages.
    topic: str
    qos: int = 1
    #: Made of home, pipeline and sensor where it is left out.
    client_id: str | None = None
    #: A broker that is silent for so long is gone.
    keepalive: str = "60s"
    #: Certificates of who vouches for the broker, a file relative to the home; else those of the machine.
    ca: str | None = None

    @field_validator("url")
    @classmethod
    def _url_is_a_brokers(cls, url: SecretStr) -> SecretStr:
        BrokerUrl.parse(url.get_secret_value())
        return url

    @field_validator("topic")
    @classmethod
    def _topic_is_a_filter(cls, topic: str) -> str:
        try:
            aiomqtt.Wildcard(topic)
            if topic.startswith("$share/"):
                group, _, shared = topic.removeprefix("$share/").partition("/")
                if not group or not shared:
                    raise ValueError(topic)
        except ValueError:
            words = "expected a topic filter as weather/+/observed, weather/# or $share/GROUP/weather/#"
            raise ValueError(f"{words}, found {topic!r}") from None
        return topic

    @field_validator("qos")
    @classmethod
    def _qos_can_be_held(cls, qos: int) -> int:
        if qos == 2:
            # Its first answer must be sent before the message may be handed on, thus before the commit.
            raise ValueError("expected 0 or 1, found 2, which cannot wait for the commit; 1 loses nothing")
        if qos not in (0, 1):
            raise ValueError(f"expected 0 or 1, found {qos}")
        return qos

    @field_validator("client_id")
    @classmethod
    def _client_id_is_one(cls, client_id: str | None) -> str | None:
        if client_id is not None and not re.fullmatch(r"[ -~]{1,200}", client_id):
            raise ValueError(f"expected 1 to 200 ASCII characters, found {client_id!r}")
        return client_id

    @field_validator("keepalive")
    @classmethod
    def _keepalive_is_in_range(cls, keepalive: str) -> str:
        if not 1 <= parse_duration(keepalive) <= 65_535:
            raise ValueError(f"expected a duration of 1s to 18h, found {keepalive!r}")
        return keepalive

    @model_validator(mode="after")
    def _vouches_for_somebody(self) -> Self:
        if self.ca is not None and not BrokerUrl.parse(self.url.get_secret_value()).is_tls:
            raise ValueError('expected an mqtts:// URL beside "ca", found mqtt://')
        return self


class MqttSensor:
    """Makes an event of every message.

    The session is persistent and its name fixed, so that the broker keeps what comes while the service is
    away; a message is acknowledged after its commit, so what was not stored comes again.
    """

    Options: type[BaseModel] = MqttOptions
    #: It is starting until it has subscribed: what is published before that may be lost.
    tells_when_well = True

    def __init__(self, options: MqttOptions, context: SensorContext) -> None:
        self._options = options
        self._context = context
        self._broker = BrokerUrl.parse(options.url.get_secret_value())
        self._client_id = options.client_id or client_id(context)

    async def events(self) -> AsyncIterator[Batch]:
        """Yield what the broker sends; resumed, acknowledge it."""
        loop = asyncio.get_running_loop()
        backoff = Backoff(*RECONNECT_S)
        while True:
            connected_at = None
            try:
                async with self._connected() as connection:
                    connected_at = loop.time()
                    self._context.report(None)
                    while True:
                        messages = await connection.receive(BATCH)
                        wanted = [each for each in messages if each.topic.matches(self._options.topic)]
                        if wanted:
                            yield Batch([self._event(each) for each in wanted])
                        # Those of an earlier filter, which the broker keeps in the session, go unread.
                        connection.acknowledge(messages)
            except NotConnectedError as error:
                if connected_at is not None and loop.time() - connected_at >= HELD_WELL_S:
                    backoff.reset()
                delay_s = backoff.next_s()
                self._context.report(f"{error}, next try in {delay_s:.2g} s")
                await asyncio.sleep(delay_s)

    def _connected(self) -> AbstractAsyncContextManager[Connection]:
        return connected(
            self._broker,
            self._client_id,
            topic=self._options.topic,
            qos=self._options.qos,
            keepalive_s=int(parse_duration(self._options.keepalive)),
            ca=self._context.home / self._options.ca if self._options.ca else None,
        )

    def _event(self, message: aiomqtt.Message) -> Event:
        return read_message(
            f"/mqtt/{self._context.pipeline}/{self._context.name}",
            str(message.topic),
            message.payload,
            is_retained=message.retain,
        )


def client_id(context: SensorContext) -> str:
    """Return a name that stays the same over restarts and that no other sensor of any home has."""
    whole = (context.instance, context.pipeline, context.name)
    digest = hashlib.sha256("\0".join(whole).encode()).hexdigest()[:8]
    readable = re.sub(r"[^A-Za-z0-9_-]", "_", "-".join(("sensorflow", *whole)))
    return f"{readable[:50]}-{digest}"


def read_message(source: str, topic: str, payload: bytes, *, is_retained: bool) -> Event:
    """Return the event of a message. A CloudEvent in JSON keeps its own identity, type, time and data.

    Args:
        source: The event's, unless the payload brings its own.
    """
    content = hashlib.sha256(topic.encode() + b"\0" + payload).hexdigest()
    levels = {"topic": topic.split("/")}
    body = _parse(payload)
    if _is_cloud_event(body):
        return Event(
            source=body["source"],
            id=body["id"],
            type=body["type"],
            subject=_text_or(body.get("subject"), topic),
            time=_text_or(body.get("time"), None),
            data=_cloud_event_data(body),
            extensions={name: value for name, value in body.items() if name not in _ATTRIBUTES} | levels,
            content=content,
        )
    return Event(
        source=source,
        id=None,
        subject=topic,
        data=body,
        extensions=levels,
        content=content,
        replaces=topic if is_retained else "",
    )


def _parse(payload: bytes) -> JsonValue:
    with suppress(ValueError):
        return json_of(payload)
    try:
        return {"text": payload.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(payload).decode()}


def _is_cloud_event(body: JsonValue) -> bool:
    if not isinstance(body, dict):
        return False
    needed = [body.get(name) for name in ("specversion", "id", "source", "type")]
    return all(isinstance(each, str) and each for each in needed) and str(needed[0]).startswith("1.")


def _cloud_event_data(body: Mapping[str, Any]) -> JsonValue:
    if "data" not in body and "data_base64" in body:
        return {"base64": body["data_base64"]}
    return body.get("data")


def _text_or(value: JsonValue, otherwise: str | None) -> str | None:
    return value if isinstance(value, str) else otherwise
