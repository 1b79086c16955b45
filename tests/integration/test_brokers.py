"""The brokers that other tests stand on."""

from pathlib import Path

import aiomqtt
import pytest

from tests.broker import Broker, answers


def test_the_brokers_process_is_up_and_down_as_told(private_broker: Broker) -> None:
    for end in (private_broker.stop, private_broker.kill):
        end()
        assert not answers(private_broker.host, private_broker.port)
        private_broker.start()
        assert answers(private_broker.host, private_broker.port)


async def _pass_a_message(host: str, port: int, topic: str) -> bytes:
    async with aiomqtt.Client(host, port) as client:
        await client.subscribe(topic, qos=1)
        await client.publish(topic, b"ready", qos=1)
        message = await anext(aiter(client.messages))
    assert isinstance(message.payload, bytes)
    return message.payload


async def test_amqtt_stands_in_where_no_mosquitto_is_installed(tmp_path: Path, topic_prefix: str) -> None:
    stand_in = Broker(tmp_path)
    stand_in.start()
    try:
        assert await _pass_a_message(stand_in.host, stand_in.port, f"{topic_prefix}/a") == b"ready"
    finally:
        stand_in.kill()


async def test_a_persistent_session_outlives_a_stop_of_the_broker(
    private_broker: Broker, topic_prefix: str
) -> None:
    if not private_broker.keeps_sessions:
        pytest.skip("needs mosquitto")
    topic = f"{topic_prefix}/kept"

    def connect() -> aiomqtt.Client:
        return aiomqtt.Client(
            private_broker.host, private_broker.port, identifier=topic_prefix, clean_session=False
        )

    async with connect() as client:
        await client.subscribe(topic, qos=1)
    async with aiomqtt.Client(private_broker.host, private_broker.port) as other:
        await other.publish(topic, b"while you were away", qos=1)
    private_broker.stop()
    private_broker.start()
    async with connect() as client:
        message = await anext(aiter(client.messages))
    assert message.payload == b"while you were away"
