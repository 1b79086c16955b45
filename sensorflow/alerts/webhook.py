"""Alerts as POSTs of JSON."""

from datetime import UTC, datetime

import aiohttp

from sensorflow.core.commands import SendAlert
from sensorflow.core.vocabulary import JsonValue
from sensorflow.http_client import checked_connector, http_url, in_words
from sensorflow.ports import AlertError


class WebhookAlerter:
    """Implements `ports.Alerter`. Of its URL only scheme, host and port are ever shown.

    Raises:
        ValueError: the URL is no http or https URL.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0, allow_private: bool = False) -> None:
        self._url = http_url(url)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._allow_private = allow_private

    async def send(self, alert: SendAlert) -> None:
        """POST an alert; only an answer of 2xx means that it was delivered.

        Raises:
            AlertError: it was not, or the answer did not come in time.
        """
        connector = checked_connector(allow_private=self._allow_private)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=self._timeout) as session,
                session.post(self._url, json=alert_document(alert), allow_redirects=False) as response,
            ):
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AlertError(f"{self._url.origin()}: {in_words(error)}") from None
        if not 200 <= status < 300:
            raise AlertError(f"{self._url.origin()}: HTTP {status}")


def alert_document(alert: SendAlert) -> dict[str, JsonValue]:
    """Return an alert as it is sent; what does not apply is absent."""
    at = datetime.fromtimestamp(alert.at, UTC).isoformat(timespec="milliseconds")
    about: dict[str, JsonValue] = {
        "pipeline": alert.pipeline,
        "dataset": alert.dataset,
        "partitions": list(alert.partitions),
        "run_id": alert.run_id,
    }
    return {
        "id": alert.id,
        "kind": alert.kind,
        "state": "resolved" if alert.resolved else "open",
        "text": alert.text,
        **{name: value for name, value in about.items() if value},
        "at": at.replace("+00:00", "Z"),
    }
