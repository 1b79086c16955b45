"""From the settings to those who are told of alerts."""

from sensorflow.alerts.log import LogAlerter
from sensorflow.alerts.sender import AlertRoute
from sensorflow.alerts.webhook import WebhookAlerter
from sensorflow.config.alerts import AlertTarget, AlertType
from sensorflow.config.settings import Settings
from sensorflow.core.errors import SensorflowError
from sensorflow.ports import Alerter


def alert_routes(settings: Settings) -> list[AlertRoute]:
    """Return where the settings send alerts; without any they go to the log.

    Raises:
        SensorflowError: what a receiver needs is not installed, or its URL leads nowhere.
    """
    routes = [
        AlertRoute(
            _alerter(target, allow_private=settings.allow_private),
            on=frozenset(target.on),
            pipelines=frozenset(target.pipelines),
        )
        for target in settings.alerts
    ]
    return routes or [AlertRoute(LogAlerter())]


def _alerter(target: AlertTarget, *, allow_private: bool) -> Alerter:
    if target.type is AlertType.LOG:
        return LogAlerter()
    if target.type is AlertType.WEBHOOK:
        return WebhookAlerter(target.url or "", allow_private=allow_private)
    try:
        from sensorflow.alerts.apprise import AppriseAlerter  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise SensorflowError(
            "alerts of the type apprise need more than is installed: pip install 'sensorflow[alerts]'"
        ) from None
    try:
        return AppriseAlerter(target.url or "")
    except ValueError as error:
        raise SensorflowError(f"[[alerts]] of the type apprise: {error}") from None
