"""MQTT brokers: can they be reached, and what they let us see of how they keep messages."""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sensorflow.cli.doctor.finding import Finding, note, well, wrong
from sensorflow.core.vocabulary import SensorDefinition
from sensorflow.sensors.mqtt import MqttOptions
from sensorflow.sensors.mqtt_connection import SESSION_EXPIRY_S, BrokerUrl, NotConnectedError, tls_context

_PATIENCE_S = 5.0
_DAY_S = 86_400
_HOW_TO = "the how-to, Set up mosquitto so that no message is lost"
#: Where Debian's package and mosquitto's own examples keep its configuration.
_MOSQUITTO = Path("/etc/mosquitto")


def findings(home: Path, sensors: Iterable[SensorDefinition]) -> Iterator[Finding]:
    """Yield how each broker is that a sensor listens to."""
    by_broker: dict[tuple[BrokerUrl, Path | None], list[SensorDefinition]] = {}
    for sensor in sensors:
        if isinstance(sensor.options, MqttOptions):
            url = BrokerUrl.parse(sensor.options.url.get_secret_value())
            ca = home / sensor.options.ca if sensor.options.ca else None
            by_broker.setdefault((url, ca), []).append(sensor)
    for (broker, ca), theirs in by_broker.items():
        qos = max(s.options.qos for s in theirs if isinstance(s.options, MqttOptions))
        named = ", ".join(f"{s.pipeline}/{s.name}" for s in theirs)
        yield from _broker(broker, ca, qos, named)


@dataclass(slots=True)
class _Answer:
    """What a broker said to a login."""

    reason: ReasonCode
    properties: Properties | None


def _broker(broker: BrokerUrl, ca: Path | None, qos: int, named: str) -> Iterator[Finding]:
    try:
        answer = _login(broker, ca)
    except (OSError, ValueError, NotConnectedError) as error:
        reason = str(error.strerror or error).lower() if isinstance(error, OSError) else str(error)
        fix = "is it running, and is the `url` right? the sensor tries again by itself"
        yield wrong("mqtt", f"{broker} of {named} cannot be reached: {reason}", fix)
        return
    if answer.reason.is_failure:
        text = f"{broker} of {named} refuses the login: {str(answer.reason).lower()}"
        yield wrong("mqtt", text, "are user and password in the sensor's `url` right?")
        return
    yield well("mqtt", f"{broker} of {named} takes a login")
    if answer.properties is not None:
        yield from _limits(broker, qos, answer.properties)
    yield from _persistence(broker)


def _login(broker: BrokerUrl, ca: Path | None) -> _Answer:
    """Log in under a name of our own, and leave nothing behind.

    Raises:
        OSError: nobody answers there.
        ValueError: what answers is no broker.
        NotConnectedError: the certificates to trust cannot be read.
    """
    for version in (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311):
        answer = _login_with(broker, ca, version)
        if answer is not None:
            return answer
    raise ValueError("it takes the connection and does not answer as a broker")


def _login_with(broker: BrokerUrl, ca: Path | None, version: MQTTProtocolVersion) -> _Answer | None:
    """Return the answer to a login; None where it was not understood."""
    is_5 = version is MQTTProtocolVersion.MQTTv5
    client = Client(CallbackAPIVersion.VERSION2, protocol=version, clean_session=None if is_5 else True)
    client.username_pw_set(broker.user, broker.password)
    if broker.is_tls:
        client.tls_set_context(tls_context(ca))
    client.connect_timeout = _PATIENCE_S
    answers: list[_Answer] = []
    heard = Event()

    def connected(_: Any, __: Any, ___: Any, reason: ReasonCode, properties: Properties | None) -> None:
        answers.append(_Answer(reason, properties if is_5 else None))
        heard.set()

    def disconnected(*_: Any) -> None:
        heard.set()

    client.on_connect, client.on_disconnect = connected, disconnected
    if is_5:
        # Asks for the session that a sensor asks for, to hear how long the broker would keep one.
        wanted = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
        wanted.SessionExpiryInterval = SESSION_EXPIRY_S
        client.connect(broker.host, broker.port, clean_start=True, properties=wanted)
    else:
        client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        heard.wait(_PATIENCE_S)
        if is_5 and answers and not answers[0].reason.is_failure:
            forget = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]  # paho's
            forget.SessionExpiryInterval = 0
            client.disconnect(properties=forget)
        else:
            client.disconnect()
    finally:
        client.loop_stop()
    # 132: a broker of MQTT 3.1.1 that knows how to say so; the others just hang up.
    return answers[0] if answers and not (is_5 and answers[0].reason.value in (1, 132)) else None


def _limits(broker: BrokerUrl, qos: int, told: Properties) -> Iterator[Finding]:
    """Yield what the broker said that it does not do."""
    highest = getattr(told, "MaximumQoS", None)
    if highest is not None and highest < qos:
        text = f"{broker} does not take QoS {qos}: messages may be lost on the way"
        yield wrong("mqtt", text, "let the broker take QoS 1")
    kept_s = getattr(told, "SessionExpiryInterval", None)
    if kept_s is not None and kept_s < _DAY_S:
        text = f"{broker} forgets what came for the service once that was away for {kept_s / 3600:g} hours"
        yield note("mqtt", text, "let it keep sessions for days (mosquitto: persistent_client_expiration)")


def _persistence(broker: BrokerUrl) -> Iterator[Finding]:
    """Yield what can be seen of whether the broker's own restart loses messages, and what cannot."""
    unseen = f"whether {broker} keeps messages over its own restart no broker tells its clients"
    if not _is_here(broker):
        yield note("mqtt", unseen, f"ask who runs it for what stands in {_HOW_TO}")
        return
    found = _configuration()
    if found is None:
        yield note("mqtt", unseen, f"compare its configuration with {_HOW_TO}")
        return
    where = f"{_MOSQUITTO}/mosquitto.conf, if {broker} is that mosquitto,"
    lacking = []
    if found.get("persistence") != "true":
        lacking.append("`persistence true`: its restart forgets sessions and what waits in them")
    if found.get("max_queued_messages", "1000") != "0":
        queued = found.get("max_queued_messages", "1000")
        lacking.append(f"`max_queued_messages 0`: of what comes while the service is away it keeps {queued}")
    if lacking:
        yield note("mqtt", f"{where} lacks {'; and '.join(lacking)}", f"see {_HOW_TO}")
    else:
        yield well("mqtt", f"{where} keeps sessions over a restart, and all that waits in them")


def _is_here(broker: BrokerUrl) -> bool:
    try:
        return broker.host == "localhost" or ipaddress.ip_address(broker.host).is_loopback
    except ValueError:
        return False


def _configuration() -> dict[str, str] | None:
    """Return what mosquitto's files on this machine say; None where there are none to read."""
    files = [_MOSQUITTO / "mosquitto.conf", *sorted((_MOSQUITTO / "conf.d").glob("*.conf"))]
    found: dict[str, str] = {}
    try:
        for file in files:
            text = file.read_text(encoding="utf-8", errors="replace")
            found.update(re.findall(r"^([a-z_]+)[ \t]+(.*?)[ \t]*$", text, flags=re.MULTILINE))
    except OSError:
        return None
    return found
