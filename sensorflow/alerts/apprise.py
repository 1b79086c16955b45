"""Alerts by any of the services that apprise knows: chats, mail, pagers. Needs the extra `alerts`."""

from apprise import Apprise, NotifyType

from sensorflow.core.commands import SendAlert
from sensorflow.ports import AlertError


class AppriseAlerter:
    """Implements `ports.Alerter`. Of its URL nothing is ever shown: most of it is secret.

    Raises:
        ValueError: apprise knows no service by this URL.
    """

    def __init__(self, url: str) -> None:
        self._apprise = Apprise()
        if not self._apprise.add(url):
            scheme = url.partition(":")[0]
            raise ValueError(f"expected a URL that apprise knows, found one of the scheme {scheme}")

    async def send(self, alert: SendAlert) -> None:
        """Send an alert.

        Raises:
            AlertError: the service did not take it.
        """
        sent = await self._apprise.async_notify(
            title=f"sensorflow: {alert.kind.replace('_', ' ')}{' is over' if alert.resolved else ''}",
            body=alert.text,
            notify_type=NotifyType.SUCCESS if alert.resolved else NotifyType.FAILURE,
        )
        if not sent:
            raise AlertError("the service that apprise was to tell did not take it")
