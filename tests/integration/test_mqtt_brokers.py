"""The MQTT sensor and what brokers can do: TLS by an authority of one's own, both versions, shared topics."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sensorflow.sensors.mqtt import MqttSensor
from tests.broker import Broker, free_port, mosquitto
from tests.integration.test_mqtt_sensor import has, numbered, numbers, publish
from tests.observing import Observing


@pytest.fixture
def program() -> str:
    found = mosquitto()
    if found is None:
        pytest.skip("needs mosquitto")
    return found


def openssl(folder: Path, *arguments: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs openssl")
    subprocess.run([program, *arguments], check=True, capture_output=True, cwd=folder)


def make_certificates(folder: Path, name: str) -> None:
    """Make an authority, `ca.pem`, and a key and certificate of a server of this name that it vouches for."""
    of_authority = ("-subj", "/CN=authority of a test", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *of_authority)
    of_server = ("-subj", "/CN=broker", "-keyout", "server.key", "-out", "server.csr")
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", *of_server)
    (folder / "names").write_text(f"subjectAltName={name}\n")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl(folder, "x509", "-req", "-in", "server.csr", *signed, "-out", "server.pem")


class TlsBroker:
    """A mosquitto with a TLS listener beside a plain one, by which a test publishes."""

    def __init__(self, folder: Path, program: str, name: str = "IP:127.0.0.1") -> None:
        make_certificates(folder, name)
        self.port = free_port()
        lines = f"certfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
        self.plain = Broker(folder, program, lines=f"listener {self.port} 127.0.0.1\n{lines}")

    @property
    def url(self) -> str:
        return f"mqtts://127.0.0.1:{self.port}"


@pytest.fixture
def tls_broker(tmp_path: Path, program: str) -> Iterator[TlsBroker]:
    broker = TlsBroker(tmp_path, program)
    broker.plain.start()
    try:
        yield broker
    finally:
        broker.plain.stop()


async def test_a_broker_is_trusted_by_the_authority_that_the_sensor_names(
    tls_broker: TlsBroker, topic_prefix: str, tmp_path: Path
) -> None:
    options = {"url": tls_broker.url, "topic": f"{topic_prefix}/#"}
    async with Observing(MqttSensor, options, tmp_path) as wary:
        await wary.until(lambda seen: any("not trusted" in str(report) for report in seen.reports))
    assert None not in wary.reports
    async with Observing(MqttSensor, {**options, "ca": "ca.pem"}, tmp_path) as trusting:
        await trusting.until_well()
        publish(tls_broker.plain, numbered(topic_prefix, range(30)))
        await trusting.until(has(30))
    assert numbers(trusting) == list(range(30))


async def test_a_broker_is_trusted_by_an_authority_of_the_machine(
    tls_broker: TlsBroker, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    options = {"url": tls_broker.url, "topic": topic_prefix}
    async with Observing(MqttSensor, options, tmp_path) as trusting:
        await trusting.until_well()


async def test_a_certificate_of_another_host_is_refused(
    tmp_path: Path, program: str, topic_prefix: str
) -> None:
    broker = TlsBroker(tmp_path, program, "DNS:elsewhere.example.com")
    broker.plain.start()
    options = {"url": broker.url, "topic": topic_prefix, "ca": "ca.pem"}
    try:
        async with Observing(MqttSensor, options, tmp_path) as seen:
            await seen.until(lambda so_far: any("IP address mismatch" in str(r) for r in so_far.reports))
    finally:
        broker.plain.stop()
    assert None not in seen.reports


async def test_a_file_of_certificates_that_cannot_be_used_is_named_until_it_can(
    tls_broker: TlsBroker, topic_prefix: str, tmp_path: Path
) -> None:
    options = {"url": tls_broker.url, "topic": topic_prefix, "ca": "mine.pem"}
    async with Observing(MqttSensor, options, tmp_path) as seen:
        await seen.until(lambda so_far: "no such file or directory" in str(so_far.reports[-1:]))
        (tmp_path / "mine.pem").write_text("no certificate")
        await seen.until(lambda so_far: "holds no certificates in PEM" in str(so_far.reports[-1]))
        shutil.copy(tmp_path / "ca.pem", tmp_path / "mine.pem")
        await seen.until_well()
    assert f"cannot read {tmp_path}/mine.pem: " in str(seen.reports[0])


@asynccontextmanager
async def older(port: int) -> AsyncIterator[int]:
    """Give a port that leads to a broker, but hangs up on who speaks MQTT 5, as older brokers do."""
    level = 8  # Of CONNECT: two bytes of its header, six of the protocol's name.

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(1000)
        if first[level] == 5:
            writer.close()
            return
        from_broker, to_broker = await asyncio.open_connection("127.0.0.1", port)
        to_broker.write(first)
        await asyncio.gather(pass_on(reader, to_broker), pass_on(from_broker, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_in_both_versions_the_broker_keeps_what_comes_meanwhile(
    version: str, tmp_path: Path, program: str, topic_prefix: str
) -> None:
    broker = Broker(tmp_path, program)
    broker.start()
    try:
        async with older(broker.port) as old_port:
            port = broker.port if version == "5" else old_port
            options = {"url": f"mqtt://127.0.0.1:{port}", "topic": f"{topic_prefix}/#"}
            async with Observing(MqttSensor, options, tmp_path) as first:
                await first.until_well()
            publish(broker, numbered(topic_prefix, range(10)))
            async with Observing(MqttSensor, options, tmp_path) as second:
                await second.until(has(10))
    finally:
        broker.stop()
    assert numbers(second) == list(range(10))
    told = "(p5, c0, k60)" if version == "5" else "(p2, c0, k60)"
    assert (tmp_path / "broker.log").read_text().count(told) == 2


async def test_sensors_that_share_a_topic_get_each_message_once_together(
    tmp_path: Path, program: str, topic_prefix: str
) -> None:
    broker = Broker(tmp_path, program)
    broker.start()
    url, group = f"mqtt://127.0.0.1:{broker.port}", f"$share/{topic_prefix}/{topic_prefix}/#"
    shared = {"url": url, "topic": group}
    try:
        async with (
            Observing(MqttSensor, {**shared, "client_id": "one"}, tmp_path) as one,
            Observing(MqttSensor, {**shared, "client_id": "other"}, tmp_path) as other,
            Observing(MqttSensor, {"url": url, "topic": f"{topic_prefix}/#"}, tmp_path) as alone,
        ):
            for each in (one, other, alone):
                await each.until_well()
            publish(broker, numbered(topic_prefix, range(40)))
            await alone.until_count(40)
            await one.until(lambda _: len(one.events) + len(other.events) >= 40)
    finally:
        broker.stop()
    assert sorted(numbers(one) + numbers(other)) == list(range(40))
    assert numbers(one) and numbers(other)
    assert json.dumps(one.events[0].extensions["topic"]) == json.dumps([topic_prefix, "m"])
