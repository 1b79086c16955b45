"""Alerts as lines of the service's log."""

import structlog

from sensorflow.core.commands import SendAlert

_log = structlog.get_logger()


class LogAlerter:
    """Implements `ports.Alerter`: a warning when an alert is opened, a plain line when it is resolved."""

    async def send(self, alert: SendAlert) -> None:
        """Log an alert."""
        about = {
            name: value
            for name in ("kind", "pipeline", "dataset", "run_id", "id")
            if (value := getattr(alert, name))
        }
        if alert.resolved:
            _log.info("alert resolved", text=alert.text, **about)
        else:
            _log.warning("alert", text=alert.text, **about)
