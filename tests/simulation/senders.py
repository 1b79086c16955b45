"""Who brings facts: clients that post and repeat, and a broker that delivers until it is acknowledged."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import aiomqtt

from sensorflow.core.messages import Answer, DeclaredReady, Message
from sensorflow.core.vocabulary import Event
from sensorflow.sensors.mqtt_connection import BrokerUrl, NotConnectedError
from tests.simulation.ledger import Fact, Ledger
from tests.simulation.loop import time_passes
from tests.simulation.world import World

_TIMEOUT_S = 5.0


class Server(Protocol):
    """Where clients post to."""

    def request(self, message: Message, answer: Callable[[int, Answer], None]) -> bool:
        """Take a request; False where nobody listens."""


@dataclass(slots=True)
class Client:
    """Posts one fact, with an id of its own, until it is acknowledged."""

    world: World
    ledger: Ledger
    server: Server
    fact: Fact
    is_done: bool = False

    def send(self) -> None:
        """Post it, and again if no good answer comes in time."""
        if self.is_done:
            return
        world = self.world
        for _ in range(2 if world.chance(0.1) else 1):  # A proxy on the way may send it twice.
            if not world.chance(0.1):
                world.after(self._delay_s(), self._arrive)
        wait_s = world.random.choice([0.3, 1.0]) if world.is_calm else _TIMEOUT_S * world.random.random()
        world.after(wait_s + 0.05, self.send)

    def _arrive(self) -> None:
        fact = self.fact
        event = Event(source=f"/ready/{fact.dataset}", id=f"fact-{fact.number}", data=fact.body)
        message = DeclaredReady(event=event, dataset=fact.dataset, partition=fact.partition, part=fact.part)
        self.server.request(message, self._answer)

    def _answer(self, status: int, _: Answer) -> None:
        if status == 202:
            self.ledger.acknowledged(self.fact)
            if not self.world.chance(0.15):
                self.world.after(self._delay_s(), self._finish)

    def _finish(self) -> None:
        self.is_done = True

    def _delay_s(self) -> float:
        return self.world.random.uniform(0.0005, 2.0 if self.world.chance(0.1) else 0.02)


@dataclass(slots=True, eq=False)
class Queue:
    """The persistent session of a subscriber at the broker."""

    waiting: deque[Fact] = field(default_factory=deque)
    #: Delivered and not acknowledged, in order.
    unacknowledged: list[Fact] = field(default_factory=list)
    #: Counts connections; the acknowledgements of an earlier one come too late.
    connection: int = 0
    arrived: asyncio.Event | None = None
    #: Until when nothing is delivered.
    frozen_until: float = 0.0


@dataclass(slots=True)
class Broker:
    """Keeps messages of QoS 1 until they are acknowledged."""

    world: World
    ledger: Ledger
    #: By topic.
    queues: dict[str, Queue] = field(default_factory=dict)

    def publish(self, fact: Fact) -> None:
        queue = self.queues.setdefault(topic_of(fact.sensor), Queue())
        if queue.waiting and self.world.chance(0.3):
            queue.waiting.insert(self.world.random.randrange(len(queue.waiting)), fact)
        else:
            queue.waiting.append(fact)
        _wake(queue)

    def freeze(self, sensor: str, seconds: float) -> None:
        """Let a subscriber hang for a while."""
        queue = self.queues.setdefault(topic_of(sensor), Queue())
        queue.frozen_until = self.world.elapsed + seconds
        self.world.after(seconds, _wake, queue)

    def thaw(self) -> None:
        """Let all go on, in any order."""
        queues = list(self.queues.values())
        self.world.random.shuffle(queues)
        for queue in queues:
            queue.frozen_until = 0.0
            self.world.after(self.world.random.uniform(0, 0.1), _wake, queue)

    def connect(self, topic: str) -> Queue:
        """Begin a connection: what was not acknowledged is delivered again."""
        queue = self.queues.setdefault(topic, Queue())
        queue.connection += 1
        queue.waiting.extendleft(reversed(queue.unacknowledged))
        queue.unacknowledged.clear()
        queue.arrived = asyncio.Event()
        return queue

    async def receive(self, queue: Queue, connection: int, limit: int) -> list[Fact]:
        """Return what comes next, one message or several."""
        world = self.world
        while queue.connection == connection and not (queue.waiting and world.elapsed >= queue.frozen_until):
            assert queue.arrived is not None
            queue.arrived.clear()
            await queue.arrived.wait()
        await time_passes(world.random.uniform(0, 0.005))
        if queue.connection != connection or world.chance(0.03):
            raise NotConnectedError("lost the connection to the broker")
        some = min(len(queue.waiting), world.random.randint(1, 5), limit)
        taken = [queue.waiting.popleft() for _ in range(some)]
        queue.unacknowledged += taken
        return taken * 2 if world.chance(0.05) else taken

    def acknowledge(self, queue: Queue, connection: int, facts: list[Fact]) -> None:
        for fact in facts:
            self.ledger.acknowledged(fact)
            if queue.connection == connection and fact in queue.unacknowledged:
                queue.unacknowledged.remove(fact)
                if self.world.chance(0.05):  # The PUBACK is lost with its connection.
                    queue.unacknowledged.append(fact)
                    queue.connection += 1
                    _wake(queue)


def topic_of(sensor: str) -> str:
    """Return the topic that a sensor subscribes to."""
    return f"facts/{sensor}"


def _wake(queue: Queue) -> None:
    if queue.arrived is not None:
        queue.arrived.set()


@dataclass(slots=True)
class Subscription:
    """Stands for `sensorflow.sensors.mqtt_connection.Connection`."""

    broker: Broker
    queue: Queue
    connection: int
    topic: str
    #: What was received, by the number of its message.
    received: dict[int, Fact] = field(default_factory=dict)

    async def receive(self, limit: int) -> list[aiomqtt.Message]:
        facts = await self.broker.receive(self.queue, self.connection, limit)
        self.received.update((fact.number, fact) for fact in facts)
        return [self._message(fact) for fact in facts]

    def acknowledge(self, messages: Sequence[aiomqtt.Message]) -> None:
        facts = [self.received[message.mid] for message in messages]
        self.broker.acknowledge(self.queue, self.connection, facts)

    def _message(self, fact: Fact) -> aiomqtt.Message:
        """Return the message of a fact; every second one is no CloudEvent, and known by its content."""
        body: dict[str, object] = fact.body
        if fact.number % 2:
            body = {"specversion": "1.0", "id": f"fact-{fact.number}", "source": "/facts", "type": "fact"}
            body["data"] = fact.body
        return aiomqtt.Message(self.topic, json.dumps(body).encode(), 1, False, fact.number, None)


def connecting(broker: Broker) -> Callable[..., AbstractAsyncContextManager[Subscription]]:
    """Return what stands for `sensorflow.sensors.mqtt_connection.connected`."""

    @asynccontextmanager
    async def connected(
        url: BrokerUrl, client_id: str, *, topic: str, **_: object
    ) -> AsyncIterator[Subscription]:
        await time_passes(broker.world.random.uniform(0, 0.01))
        if broker.world.chance(0.1):
            raise NotConnectedError(f"cannot reach {url}")
        queue = broker.connect(topic)
        yield Subscription(broker, queue, queue.connection, topic)

    return connected
