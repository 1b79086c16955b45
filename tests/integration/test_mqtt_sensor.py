"""The MQTT sensor on real brokers: nothing is lost, whoever is killed."""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from pydantic import ValidationError

from sensorflow.core.vocabulary import Event
from sensorflow.ports import SensorContext
from sensorflow.sensors.mqtt import MqttSensor, client_id, read_message
from sensorflow.sensors.mqtt_connection import BrokerUrl
from tests.broker import Broker, mosquitto
from tests.observing import Observing

SEE_AND_HANG = """
import asyncio, sys
from pathlib import Path
from sensorflow.ports import SensorContext
from sensorflow.sensors.mqtt import MqttSensor

async def main():
    host, port, topic = sys.argv[1:]
    options = MqttSensor.Options(url=f"mqtt://{host}:{port}", topic=topic)
    say = lambda text: print(text or "well", flush=True)
    context = SensorContext(pipeline="flights", name="landed", home=Path(), instance=topic, report=say)
    async for batch in MqttSensor(options, context).events():
        print("seen", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def broker(private_broker: Broker) -> Broker:
    """Give a broker of this test alone, so that the sessions it keeps end with it."""
    if not private_broker.keeps_sessions:
        pytest.skip("needs mosquitto")
    return private_broker


def observing(broker: Broker, topic: str, home: Path, **options: object) -> Observing:
    url = f"mqtt://{broker.host}:{broker.port}"
    # The instance names the session; the test's own topic keeps it apart from that of any other test.
    return Observing(MqttSensor, {"url": url, "topic": topic, **options}, home, instance=topic)


def publish(
    broker: Broker,
    messages: Sequence[tuple[str, bytes]],
    *,
    qos: int = 1,
    retain: bool = False,
) -> None:
    """Publish, and return when the broker has acknowledged everything."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        for sent in [client.publish(topic, payload, qos, retain) for topic, payload in messages]:
            sent.wait_for_publish(20)
            assert sent.is_published()
    finally:
        client.disconnect()
        client.loop_stop()


def numbered(prefix: str, numbers: range) -> list[tuple[str, bytes]]:
    return [(f"{prefix}/m", json.dumps({"n": number}).encode()) for number in numbers]


def numbers(seen: Observing) -> list[int]:
    return [event.data["n"] for event in seen.events]


def has(count: int) -> Callable[[Observing], bool]:
    return lambda seen: len(set(numbers(seen))) >= count


async def test_a_message_becomes_an_event_of_its_topic(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    topic = f"{topic_prefix}/EWR/observed"
    payload = b'{"hour": "2013-03-10T05:00:00Z", "station": "EWR"}'
    async with observing(broker, f"{topic_prefix}/+/observed", tmp_path) as seen:
        await seen.until_well()
        publish(broker, [(f"{topic_prefix}/EWR/other", b"1"), (topic, payload)])
        await seen.until_count(1)
    assert seen.events == [
        Event(
            source="/mqtt/flights/landed",
            id=None,
            subject=topic,
            data={"hour": "2013-03-10T05:00:00Z", "station": "EWR"},
            extensions={"topic": [topic_prefix, "EWR", "observed"]},
            content=hashlib.sha256(topic.encode() + b"\0" + payload).hexdigest(),
        )
    ]


async def test_messages_are_acknowledged_only_after_their_commit(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    async with observing(broker, f"{topic_prefix}/#", tmp_path) as dropped:
        await dropped.until_well()
        dropped.hold_commits()
        publish(broker, numbered(topic_prefix, range(5)))
        await dropped.until(lambda seen: len(seen.events) > 0)
    async with observing(broker, f"{topic_prefix}/#", tmp_path) as again:
        await again.until(has(5))
        await again.until_well()
    assert numbers(again) == [0, 1, 2, 3, 4]
    async with observing(broker, f"{topic_prefix}/#", tmp_path) as third:
        await third.until_well()
        publish(broker, numbered(topic_prefix, range(5, 6)))
        await third.until(has(1))
    assert numbers(third) == [5]


async def test_what_a_killed_process_had_not_committed_comes_again(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SEE_AND_HANG, broker.host, str(broker.port), f"{topic_prefix}/#"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"well\n"
        publish(broker, numbered(topic_prefix, range(30)))
        assert await process.stdout.readline() == b"seen\n"
    finally:
        process.kill()
        await process.communicate()
    async with observing(broker, f"{topic_prefix}/#", tmp_path) as again:
        await again.until(has(30))
    assert numbers(again) == list(range(30))


async def test_what_is_published_while_the_sensor_is_off_is_delivered_when_it_is_back(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    async with observing(broker, f"{topic_prefix}/#", tmp_path) as first:
        await first.until_well()
    publish(broker, numbered(topic_prefix, range(50)))
    async with observing(broker, f"{topic_prefix}/#", tmp_path) as second:
        await second.until(has(50))
    assert numbers(second) == list(range(50))
    assert max(second.batches) <= 20


async def test_nothing_is_lost_when_the_broker_is_restarted_in_between(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    async with observing(broker, f"{topic_prefix}/#", tmp_path) as seen:
        await seen.until_well()
        seen.hold_commits()
        publish(broker, numbered(topic_prefix, range(30)))
        await seen.until(has(1))
        await asyncio.to_thread(broker.stop)
        seen.allow_commits()
        await seen.until(lambda so_far: so_far.reports[-1] is not None)
        await asyncio.to_thread(broker.start)
        await seen.until(has(30))
        publish(broker, numbered(topic_prefix, range(30, 40)))
        await seen.until(has(40))
        await seen.until_well()


async def test_a_broker_that_is_killed_again_and_again_is_reached_again(
    private_broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    async with observing(private_broker, f"{topic_prefix}/#", tmp_path) as seen:
        for turn in range(4):
            await seen.until_well()
            publish(private_broker, numbered(topic_prefix, range(turn, turn + 1)))
            await seen.until(has(turn + 1))
            await asyncio.to_thread(private_broker.kill)
            await seen.until(lambda so_far: so_far.reports[-1] is not None)
            await asyncio.to_thread(private_broker.start)


async def test_a_broker_that_is_down_is_named_in_words_without_credentials(
    free_port: int, tmp_path: Path
) -> None:
    url = f"mqtt://reader:hunter2secret@127.0.0.1:{free_port}"
    async with Observing(MqttSensor, {"url": url, "topic": "a/#"}, tmp_path) as seen:
        await seen.until(lambda so_far: len(so_far.reports) >= 2)
    assert str(seen.reports[0]).startswith(
        f"cannot reach 127.0.0.1:{free_port}: connection refused, next try in 0.2"
    )
    assert "hunter2secret" not in repr(seen.reports)


async def test_a_broker_that_speaks_only_mqtt_3_is_used_all_the_same(
    tmp_path: Path, topic_prefix: str
) -> None:
    amqtt = Broker(tmp_path)
    amqtt.start()
    try:
        async with observing(amqtt, f"{topic_prefix}/#", tmp_path) as seen:
            await seen.until_well()
            publish(amqtt, numbered(topic_prefix, range(30)))
            await seen.until(has(30))
    finally:
        amqtt.kill()
    assert numbers(seen) == list(range(30)) and seen.reports == [None]


async def test_a_server_that_is_no_broker_is_named(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        Observing(MqttSensor, {"url": f"mqtt://127.0.0.1:{port}", "topic": "a"}, tmp_path) as seen,
    ):
        await seen.until(lambda so_far: len(so_far.reports) >= 1)
    assert "it closed the connection without an answer" in str(seen.reports[0])


async def test_a_sensor_that_is_stopped_while_it_connects_leaves_nothing_open(tmp_path: Path) -> None:
    asked, hung_up = asyncio.Event(), asyncio.Event()

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        while await reader.read(1000):
            pass
        hung_up.set()
        writer.close()

    server = await asyncio.start_server(be_silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with Observing(MqttSensor, {"url": f"mqtt://127.0.0.1:{port}", "topic": "a"}, tmp_path):
            await asyncio.wait_for(asked.wait(), 10)
        await asyncio.wait_for(hung_up.wait(), 10)


async def test_what_an_earlier_filter_left_in_the_session_is_passed_over(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    async with observing(broker, f"{topic_prefix}/old", tmp_path, client_id=topic_prefix) as first:
        await first.until_well()
    publish(broker, [(f"{topic_prefix}/old", b"1")] * 30)
    async with observing(broker, f"{topic_prefix}/new", tmp_path, client_id=topic_prefix) as second:
        await second.until_well()
        publish(broker, [(f"{topic_prefix}/new", b"2")])
        await second.until_count(1)


async def test_a_retained_message_names_the_topic_whose_content_it_replaces(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    publish(broker, [(f"{topic_prefix}/before", b"1")], retain=True)
    try:
        async with observing(broker, f"{topic_prefix}/#", tmp_path) as seen:
            await seen.until_count(1)
            publish(broker, [(f"{topic_prefix}/after", b"2")], retain=True)
            await seen.until_count(2)
            publish(broker, [(f"{topic_prefix}/plain", b"3")])
            await seen.until_count(3)
    finally:
        publish(broker, [(f"{topic_prefix}/{name}", b"") for name in ("before", "after")], retain=True)
    assert [event.replaces for event in seen.events] == [
        f"{topic_prefix}/before",
        f"{topic_prefix}/after",
        "",
    ]


async def test_a_login_that_is_refused_is_named(tmp_path: Path, free_port: int) -> None:
    program = mosquitto()
    if program is None:
        pytest.skip("needs mosquitto")
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {free_port} 127.0.0.1\nallow_anonymous false\nuser root\nlog_dest stderr\n")
    server = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
    url = f"mqtt://me:hunter2secret@127.0.0.1:{free_port}"
    try:
        async with Observing(MqttSensor, {"url": url, "topic": "a"}, tmp_path) as seen:
            await seen.until(
                lambda so_far: any("refused the connection" in str(each) for each in so_far.reports)
            )
    finally:
        server.terminate()
        server.wait(10)
    assert f"127.0.0.1:{free_port} refused the connection: not authorized, next try in" in str(
        seen.reports[-1]
    )
    assert "hunter2secret" not in repr(seen.reports)


def test_a_cloud_event_keeps_its_own_identity() -> None:
    body = {
        "specversion": "1.0",
        "id": "42",
        "source": "/erp",
        "type": "orders.exported",
        "time": "2013-03-10T05:00:00Z",
        "data": {"day": "2013-03-10"},
        "tenant": "eu",
    }
    event = read_message("/mqtt/p/s", "orders/eu", json.dumps(body).encode(), is_retained=True)
    assert (event.source, event.id, event.type, event.time) == (
        "/erp",
        "42",
        "orders.exported",
        "2013-03-10T05:00:00Z",
    )
    assert event.data == {"day": "2013-03-10"} and event.subject == "orders/eu" and event.replaces == ""
    assert event.extensions == {"tenant": "eu", "topic": ["orders", "eu"]}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"a": [1, null, "\xc3\xa9"]}', {"a": [1, None, "é"]}),
        (b"42", 42),
        (b"ready", {"text": "ready"}),
        (b"", {"text": ""}),
        (b"\xff\x00", {"base64": "/wA="}),
        (b"NaN", {"text": "NaN"}),
        (b"[1e999]", {"text": "[1e999]"}),
        (b'"\\ud800"', {"text": '"\\ud800"'}),
        (b"[" * 10_000, {"text": "[" * 10_000}),
        (b"9" * 5_000, {"text": "9" * 5_000}),
        (b'{"specversion": "1.0", "id": "", "source": "/a", "type": "t"}', None),
        (b'{"specversion": 1, "id": "1", "source": "/a", "type": "t"}', None),
    ],
)
def test_a_payload_is_its_json_else_text_else_base64(payload: bytes, expected: Any) -> None:
    event = read_message("/mqtt/p/s", "a/b", payload, is_retained=False)
    assert event.source == "/mqtt/p/s" and event.id is None
    assert event.data == (json.loads(payload) if expected is None else expected)


def test_every_sensor_of_every_home_has_a_client_id_of_its_own(tmp_path: Path) -> None:
    def named(instance: str, pipeline: str, name: str) -> str:
        return client_id(
            SensorContext(
                pipeline=pipeline, name=name, home=tmp_path, instance=instance, report=lambda text: None
            )
        )

    names = [("i", "a", "b-c"), ("i", "a-b", "c"), ("i", "-", "c"), ("j", "-", "c"), ("i" * 99, "p", "s")]
    ids = {named(*each) for each in names}
    assert len(ids) == 5 and all(len(each) < 64 for each in ids)
    assert named("i", "a", "s").startswith("sensorflow-i-a-s-")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://h", ("h", 1883, False, None, None)),
        ("mqtts://h/", ("h", 8883, True, None, None)),
        ("mqtt://me:pw@10.0.0.1:1884", ("10.0.0.1", 1884, False, "me", "pw")),
        ("mqtt://me:p@ss:w/rd#1%40@[::1]:1", ("::1", 1, False, "me", "p@ss:w/rd#1@")),
        ("mqtt://me@h", ("h", 1883, False, "me", None)),
    ],
)
def test_a_brokers_url_is_read(url: str, expected: tuple[object, ...]) -> None:
    broker = BrokerUrl.parse(url)
    assert (broker.host, broker.port, broker.is_tls, broker.user, broker.password) == expected
    assert "pw" not in f"{broker} {broker!r}"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://me:hunter2@h"}, "found the scheme 'http'"),
        ({"url": "hunter2.example.com"}, "found no scheme"),
        ({"url": "mqtt://me:hunter2@h:99999"}, "no host and port"),
        ({"url": "mqtt://me:hunter2@"}, "no host and port"),
        ({"topic": "a/b#"}, "'a/b#'"),
        ({"topic": ""}, "topic filter"),
        ({"topic": "$share/group"}, "or $share/GROUP/weather/#, found '$share/group'"),
        ({"topic": "$share//a"}, "topic filter"),
        ({"topic": "$share/a+/b"}, "topic filter"),
        ({"ca": "ca.pem"}, "expected an mqtts:// URL beside"),
        ({"qos": 2}, "cannot wait for the commit"),
        ({"qos": 3}, "expected 0 or 1, found 3"),
        ({"keepalive": "0s"}, "'0s'"),
        ({"client_id": ""}, "1 to 200"),
        ({"clean": True}, "clean"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_with_the_reason(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        MqttSensor.Options.model_validate({"url": "mqtt://h", "topic": "a"} | options)
    assert words in str(refusal.value) and "hunter2" not in str(refusal.value)
