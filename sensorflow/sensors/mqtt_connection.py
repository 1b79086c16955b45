"""A connection to an MQTT broker whose messages are acknowledged by hand."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiomqtt
from aiomqtt.exceptions import MqttCodeError, MqttConnectError
from paho.mqtt.client import error_string
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

#: So long an MQTT 5 broker keeps what comes while nobody is connected. One of MQTT 3.1.1 decides itself.
SESSION_EXPIRY_S = 7 * 86_400
#: Messages that an MQTT 5 broker sends at most without an acknowledgement.
RECEIVE_MAXIMUM = 100
#: A broker that has not answered to a login with MQTT 5 by then may not have understood it.
ANSWER_S = 2.0
#: All other answers, and TLS handshakes, take so long at most.
TIMEOUT_S = 10.0
_UNSUPPORTED_VERSION = 132
_PLACE = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?")


class NotConnectedError(Exception):
    """The broker cannot be reached or used; the text says who and why, without credentials."""


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """Where a broker is and how to log in."""

    host: str
    port: int
    is_tls: bool
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "BrokerUrl":
        """Read `mqtt://[user[:password]@]host[:port]`, or `mqtts://` for TLS.

        Raises:
            ValueError: it is no such URL. The message shows nothing of it that may be secret.
        """
        scheme, separator, rest = text.partition("://")
        if not separator or scheme not in ("mqtt", "mqtts"):
            found = f"the scheme {scheme!r}" if separator else "no scheme"
            raise ValueError(f"expected mqtt://[user:password@]host[:port] or mqtts://..., found {found}")
        # A password from the environment may hold any character, so the last @ is the one.
        login, _, place = rest.rpartition("@")
        found_place = _PLACE.fullmatch(place)
        port = int(found_place["port"] or (8883 if scheme == "mqtts" else 1883)) if found_place else 0
        if found_place is None or not 1 <= port <= 65_535:
            raise ValueError(
                "expected mqtt://[user:password@]host[:port], found no host and port of that form"
            )
        user, _, password = login.partition(":")
        return cls(
            host=found_place["host"].strip("[]"),
            port=port,
            is_tls=scheme == "mqtts",
            user=unquote(user) if user else None,
            password=unquote(password) if password else None,
        )

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Connection:
    """A subscription that is up."""

    def __init__(self, broker: BrokerUrl, client: "_Client") -> None:
        self._broker = broker
        self._client = client

    async def receive(self, limit: int) -> list[aiomqtt.Message]:
        """Wait for a message and return it with what else is there, as many as `limit`, in order.

        Raises:
            NotConnectedError: the connection is lost; what was not acknowledged comes again on the next.
        """
        try:
            first = await anext(self._client.messages)
        except aiomqtt.MqttError as error:
            reason = _reason(error.__cause__)
            raise NotConnectedError(f"lost the connection to {self._broker}{reason}") from None
        return [first, *self._client.take(limit - 1)]

    def acknowledge(self, messages: Sequence[aiomqtt.Message]) -> None:
        """Tell the broker that it may forget these messages."""
        self._client.acknowledge(messages)


@asynccontextmanager
async def connected(
    broker: BrokerUrl, client_id: str, *, topic: str, qos: int, keepalive_s: int, ca: Path | None = None
) -> AsyncIterator[Connection]:
    """Connect, with MQTT 5 where the broker speaks it, else 3.1.1, and subscribe.

    Args:
        ca: Certificates of who vouches for the broker, PEM; None takes those of the machine.

    Raises:
        NotConnectedError: why it could not be done.
    """
    tls = await asyncio.to_thread(tls_context, ca) if broker.is_tls else None
    client = _Client(broker, client_id, aiomqtt.ProtocolVersion.V5, keepalive_s, tls)
    try:
        try:
            await client.connect()
        except aiomqtt.MqttError as error:
            if not _may_be_older(error):
                raise
            client = _Client(broker, client_id, aiomqtt.ProtocolVersion.V311, keepalive_s, tls)
            await client.connect()
    except aiomqtt.MqttError as error:
        raise NotConnectedError(_why_not_connected(broker, error)) from None
    try:
        await _subscribe(broker, client, topic, qos)
        yield Connection(broker, client)
    finally:
        await client.close()


async def _subscribe(broker: BrokerUrl, client: "_Client", topic: str, qos: int) -> None:
    try:
        granted = await client.subscribe_as_published(topic, qos)
    except aiomqtt.MqttError as error:
        raise NotConnectedError(
            f"{broker} did not take the subscription to {topic}{_reason(error)}"
        ) from None
    for code in granted:
        if isinstance(code, ReasonCode) and code.is_failure:
            raise NotConnectedError(f"{broker} refused the subscription to {topic}: {str(code).lower()}")


def tls_context(ca: Path | None) -> ssl.SSLContext:
    """Return whom a connection trusts: the authorities in a file, else those of the machine.

    Raises:
        NotConnectedError: the file cannot be read or holds none.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise NotConnectedError(f"{ca} holds no certificates in PEM") from None
    except OSError as error:
        raise NotConnectedError(f"cannot read {ca}: {(error.strerror or str(error)).lower()}") from None
    context.sslsocket_class = _TlsSocket
    return context


class _TlsSocket(ssl.SSLSocket):
    """Closes itself where the handshake fails, for nobody else does."""

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(TIMEOUT_S)
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class _UnansweredError(aiomqtt.MqttError):
    """The broker did not answer to the login."""


class _Client(aiomqtt.Client):
    """aiomqtt's client, with what it lacks: acknowledgement by hand, and an end that leaves nothing open."""

    def __init__(
        self,
        broker: BrokerUrl,
        client_id: str,
        version: aiomqtt.ProtocolVersion,
        keepalive_s: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._is_5 = version is aiomqtt.ProtocolVersion.V5
        # A session that outlives its connection has another name in each version.
        session: dict[str, Any] = {"clean_session": False}
        if self._is_5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            session = {"clean_start": False, "properties": properties}
        super().__init__(
            broker.host,
            broker.port,
            username=broker.user,
            password=broker.password,
            identifier=client_id,
            protocol=version,
            keepalive=keepalive_s,
            tls_context=tls,
            timeout=ANSWER_S if self._is_5 else TIMEOUT_S,
            **session,
        )
        self._client.manual_ack_set(True)

    async def connect(self) -> None:
        connecting = asyncio.ensure_future(self.__aenter__())
        try:
            await asyncio.shield(connecting)
        except BaseException:
            if not connecting.done():
                # The thread in which the socket connects cannot be stopped, and what it opens must be closed.
                if not self._connected.done():
                    self._connected.set_exception(_UnansweredError("stopped"))
                    self._connected.exception()  # A thread that cannot connect never comes to ask for it.
                await asyncio.wait([connecting])
                connecting.exception()
            self._client._sock_close()
            raise
        self.timeout = TIMEOUT_S

    async def close(self) -> None:
        try:
            # The broker may not answer the goodbye; there is nothing to lose by that.
            with suppress(aiomqtt.MqttError):
                await self.__aexit__(None, None, None)
        finally:
            if self._disconnected.done():
                self._disconnected.exception()  # Seen, or asyncio complains that it never was.
            self._client._sock_close()

    async def subscribe_as_published(self, topic: str, qos: int) -> Sequence[int | ReasonCode]:
        """Subscribe; MQTT 5 marks retained messages as such also when they are new."""
        if not self._is_5:
            return await self.subscribe(topic, qos)
        return await self.subscribe(topic, options=SubscribeOptions(qos=qos, retainAsPublished=True))

    def take(self, limit: int) -> list[aiomqtt.Message]:
        return [self._queue.get_nowait() for _ in range(min(limit, self._queue.qsize()))]

    def acknowledge(self, messages: Sequence[aiomqtt.Message]) -> None:
        for message in messages:
            self._client.ack(message.mid, message.qos)

    def _on_disconnect(self, *arguments: Any, **more: Any) -> None:
        if not self._connected.done():
            self._connected.set_exception(_UnansweredError("it closed the connection without an answer"))
        super()._on_disconnect(*arguments, **more)


def _may_be_older(error: aiomqtt.MqttError) -> bool:
    """Say whether a broker that does not speak MQTT 5 may have answered so."""
    if isinstance(error, MqttConnectError):
        return isinstance(error.rc, ReasonCode) and error.rc.value == _UNSUPPORTED_VERSION
    return isinstance(error, _UnansweredError) or isinstance(error.__context__, asyncio.TimeoutError)


def _why_not_connected(broker: BrokerUrl, error: aiomqtt.MqttError) -> str:
    if isinstance(error, MqttConnectError):
        return f"{broker} refused the connection{_reason(error)}"
    return f"cannot reach {broker}{_reason(error)}"


def _reason(error: BaseException | None) -> str:
    """Return `: ` and why, or nothing where nobody said."""
    # aiomqtt says what the system said as one text; the error itself is more exact.
    if isinstance(error, aiomqtt.MqttError) and isinstance(error.__context__, OSError):
        error = error.__context__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f": its certificate is not trusted: {error.verify_message}"
    if isinstance(error, asyncio.TimeoutError):
        return ": no answer in time"
    if isinstance(error, OSError):
        return f": {(error.strerror or str(error)).lower()}"
    if isinstance(error, MqttCodeError):
        words = (
            str(error.rc) if isinstance(error.rc, ReasonCode) else error_string(MQTTErrorCode(error.rc or 0))
        )
        return "" if words == "Unspecified error" else f": {words.lower()}"
    return f": {error}" if error else ""
