"""Brings each alert to those who want it, in order, without anybody waiting for a slow receiver."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from sensorflow.core.commands import SendAlert
from sensorflow.ports import Alerter, AlertError

_log = structlog.get_logger()

Sleep: TypeAlias = Callable[[float], Awaitable[None]]

#: Alerts that wait for one receiver at most.
WAITING = 1_000
#: Seconds before each further try of a delivery that failed.
RETRY_DELAYS_S = (1.0, 5.0, 25.0)


@dataclass(frozen=True, slots=True)
class AlertRoute:
    """Which alerts a receiver gets."""

    alerter: Alerter
    #: Kinds of alerts; empty for all.
    on: frozenset[str] = frozenset()
    #: Empty for all. An alert that is about no single pipeline, as of a dataset, goes to everybody.
    pipelines: frozenset[str] = frozenset()

    def wants(self, alert: SendAlert) -> bool:
        """Tell whether an alert goes this way."""
        if self.on and alert.kind not in self.on:
            return False
        return not self.pipelines or not alert.pipeline or alert.pipeline in self.pipelines


class AlertSender:
    """Delivers alerts. Use it inside one running event loop.

    Args:
        grace_s: How long `close` waits for deliveries.
        sleep: Waits before a further try.
    """

    def __init__(
        self, routes: Sequence[AlertRoute], *, grace_s: float = 10.0, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._grace_s = grace_s
        self._lines = [_Line(route, sleep) for route in routes]

    def send(self, alert: SendAlert) -> None:
        """Have an alert delivered; returns at once."""
        for line in self._lines:
            if line.route.wants(alert):
                line.put(alert)

    async def close(self) -> None:
        """Deliver what waits, as far as the grace time lasts; the rest is given up with a log line."""
        deliveries = [line.delivery for line in self._lines if line.delivery is not None]
        if deliveries:
            try:
                await asyncio.wait(deliveries, timeout=self._grace_s)
            finally:
                for delivery in deliveries:
                    delivery.cancel()
            await asyncio.wait(deliveries)
        for line in self._lines:
            if line.waiting:
                _log.error("alerts not delivered before the stop", alerts=[one.id for one in line.waiting])


class _Line:
    """What waits for one receiver. A task delivers it, and lives only as long as something waits."""

    def __init__(self, route: AlertRoute, sleep: Sleep) -> None:
        self.route = route
        #: The first one is being delivered.
        self.waiting: deque[SendAlert] = deque()
        self.delivery: asyncio.Task[None] | None = None
        self._sleep = sleep

    def put(self, alert: SendAlert) -> None:
        if len(self.waiting) >= WAITING:
            # Not the first one, which is on its way.
            dropped = self.waiting[1]
            del self.waiting[1]
            _log.error("alert dropped: too many wait for a receiver", id=dropped.id, text=dropped.text)
        self.waiting.append(alert)
        if self.delivery is None or self.delivery.done():
            self.delivery = asyncio.create_task(self._deliver_all(), name="alerts")

    async def _deliver_all(self) -> None:
        while self.waiting:
            await self._deliver(self.waiting[0])
            self.waiting.popleft()

    async def _deliver(self, alert: SendAlert) -> None:
        for delay_s in (*RETRY_DELAYS_S, None):
            try:
                await self.route.alerter.send(alert)
                return
            except AlertError as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001 - a fault of one receiver's code must not silence later alerts
                _log.error("alerter broke", id=alert.id, text=alert.text, exc_info=error)
                return
            if delay_s is not None:
                _log.debug("alert is sent again later", id=alert.id, error=reason, delay_s=delay_s)
                await self._sleep(delay_s)
            else:
                _log.error("alert not delivered", id=alert.id, text=alert.text, error=reason)
