"""R11, R12: messages of QoS 1 while the service is killed, and a broker that is killed and started again."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import aiomqtt
import pytest

from tests.broker import Broker, mosquitto
from tests.torture.amounts import amount
from tests.torture.kept import Kept
from tests.torture.process import ServiceProcess, client_of, served
from tests.torture.sending import BATCH, numbered
from tests.torture.shop import all_shipped, make_shop, see_each_fired_once, see_nothing_lost

pytestmark = pytest.mark.slow

KILLS = amount("MQTT_KILLS", 5, 50)
MESSAGES = amount("MQTT_MESSAGES", 1000, 10_000)
BROKER_KILLS = amount("BROKER_KILLS", 4, 20)
SOURCE = "/mqtt/shop/orders_come"
#: The settings by which a broker keeps what comes while nobody is there to take it.
KEEPS_ALL = "max_queued_messages 0\nlog_type all\n"
#: The service is back at a broker after so long; a machine that has much else to do may take longer.
BACK_S = amount("BACK_S", 30, 10)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    program = mosquitto()
    if program is None:
        pytest.skip("needs mosquitto")
    own = Broker(tmp_path, program, lines=KEEPS_ALL)
    own.start()
    try:
        yield own
    finally:
        own.stop()


def sensor(broker: Broker) -> str:
    return f"type: mqtt, url: mqtt://{broker.host}:{broker.port}, topic: orders"


async def publish(broker: Broker, numbers: range, per_s: float) -> None:
    """Publish at an even pace, each until the broker has acknowledged it."""
    loop = asyncio.get_running_loop()
    due = asyncio.Queue[int]()
    began_at = loop.time()
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for number in numbers:
            loop.call_at(began_at + (number - numbers.start) / per_s, due.put_nowait, number)
        for _ in numbers:
            await client.publish("orders", json.dumps(numbered(await due.get())), qos=1)


async def test_no_kill_loses_a_message_or_fires_a_partition_twice(
    home: Path, broker: Broker, figure: Callable[[str], None]
) -> None:
    lots = random.Random(11)
    service = ServiceProcess(make_shop(home, sensor(broker)))
    try:
        await service.start()
        await watches(service)
        await service.until(lambda: subscriptions(broker))  # From here on the broker keeps what comes.
        publishing = asyncio.create_task(publish(broker, range(MESSAGES), MESSAGES / (2.0 * KILLS)))
        for _ in range(KILLS):
            await service.moment(lots.uniform(0.1, 1.5))
            await service.kill()
            await service.start()
        await publishing
        await all_shipped(service, MESSAGES)
    finally:
        if service.is_there:
            await service.stop()
    see_nothing_lost(home, SOURCE, MESSAGES)
    attempts = see_each_fired_once(home, MESSAGES)
    figure(
        f"{KILLS} kills, {MESSAGES} messages: 0 lost; "
        f"{MESSAGES // BATCH} partitions in {attempts} attempts: each fired once"
    )


async def test_the_service_is_back_at_a_broker_that_is_back(
    home: Path, broker: Broker, figure: Callable[[str], None]
) -> None:
    lots = random.Random(12)
    loop = asyncio.get_running_loop()
    longest_s = 0.0
    async with served(make_shop(home, sensor(broker))) as service:
        await watches(service)
        for number in range(BROKER_KILLS):
            await service.until(lambda n=number: subscriptions(broker) > n)
            await asyncio.to_thread(broker.kill if number % 2 else broker.stop)
            await watches(service, False)
            await service.moment(lots.choice([0.1, 1.0, 5.0, 12.0]))
            await asyncio.to_thread(broker.start)
            came_back_at = loop.time()
            if number % 2 == 0:  # A broker that ended in good order has kept the session, so it keeps this.
                await publish(broker, range(number, number + 1), 1.0)
            await watches(service)
            longest_s = max(longest_s, loop.time() - came_back_at)
            if number % 2:
                await publish(broker, range(number, number + 1), 1.0)
            await service.until(lambda n=number: Kept(home).numbers(SOURCE) == dict.fromkeys(range(n + 1), 1))
    assert longest_s <= BACK_S
    figure(f"{BROKER_KILLS} restarts, every other by kill -9: back after {longest_s:.1f} s at most, 0 lost")


def subscriptions(broker: Broker) -> int:
    """Return how often the broker has taken the sensor's subscription."""
    return broker.log.count("Sending SUBACK to sensorflow")


async def watches(service: ServiceProcess, wanted: bool = True) -> None:
    """Wait until nothing is wrong with the sensor, or until something is."""
    async with client_of(service) as client, asyncio.timeout(60):
        while (await sensor_state(client) == "up") is not wanted:
            await service.moment()


async def sensor_state(client: aiohttp.ClientSession) -> str:
    async with client.get("/api/v1/sensors/shop/orders_come") as response:
        assert response.status == 200
        return str((await response.json())["state"])
