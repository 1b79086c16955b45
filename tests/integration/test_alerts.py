"""Alerts to the log and to real receivers."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from sensorflow.alerts import sender as sending
from sensorflow.alerts.apprise import AppriseAlerter
from sensorflow.alerts.log import LogAlerter
from sensorflow.alerts.routes import alert_routes
from sensorflow.alerts.sender import RETRY_DELAYS_S, AlertRoute, AlertSender
from sensorflow.alerts.webhook import WebhookAlerter
from sensorflow.config.alerts import AlertTarget, AlertType
from sensorflow.config.settings import Settings
from sensorflow.core.commands import SendAlert
from sensorflow.core.errors import SensorflowError
from sensorflow.ports import AlertError
from tests.integration.attempts import LIMIT_S
from tests.integration.receiver import Receiver, answering, receiving, silent


def alert(
    id: str = "late/orders/1",
    *,
    kind: str = "late",
    resolved: bool = False,
    pipeline: str = "sales",
) -> SendAlert:
    return SendAlert(
        id=id,
        kind=kind,
        text="orders 2026-06-01 is missing",
        resolved=resolved,
        pipeline=pipeline,
        dataset="orders",
        partitions=("2026-06-01", "2026-06-02"),
        run_id="",
        at=1780300800.25,
    )


class Naps:
    """A sleep that only notes how long it would have been."""

    def __init__(self) -> None:
        self.taken_s: list[float] = []

    async def __call__(self, delay_s: float) -> None:
        self.taken_s.append(delay_s)
        await asyncio.sleep(0)


@pytest.fixture
async def accepting() -> AsyncIterator[Receiver]:
    async with receiving(answering(204)) as receiver:
        yield receiver


def received(receiver: Receiver) -> list[tuple[str, str]]:
    """Return id and state of each alert that came, in order."""
    documents = [json.loads(request.body) for request in receiver.requests]
    return [(document["id"], document["state"]) for document in documents]


async def test_a_webhook_gets_an_alert_as_json(accepting: Receiver) -> None:
    await WebhookAlerter(f"{accepting.url}/alerts?token=t").send(alert())

    (request,) = accepting.requests
    assert (request.method, request.target) == ("POST", "/alerts?token=t")
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {
        "id": "late/orders/1",
        "kind": "late",
        "state": "open",
        "text": "orders 2026-06-01 is missing",
        "pipeline": "sales",
        "dataset": "orders",
        "partitions": ["2026-06-01", "2026-06-02"],
        "at": "2026-06-01T08:00:00.250Z",
    }


async def test_apprise_brings_an_alert_to_a_service_of_its_own(accepting: Receiver) -> None:
    await AppriseAlerter(f"json://127.0.0.1:{accepting.port}/chat").send(alert(kind="sensor_down"))
    (request,) = accepting.requests
    sent = json.loads(request.body)
    assert (sent["title"], sent["message"]) == ("sensorflow: sensor down", "orders 2026-06-01 is missing")
    assert sent["type"] == "failure"


async def test_what_apprise_cannot_deliver_is_tried_again(free_port: int) -> None:
    with pytest.raises(AlertError, match="did not take it"):
        await AppriseAlerter(f"json://127.0.0.1:{free_port}/chat").send(alert(resolved=True))


def test_a_receiver_that_apprise_does_not_know_is_refused_without_its_secret() -> None:
    target = AlertTarget(type=AlertType.APPRISE, url="chatt://t0psecret@somewhere")
    with pytest.raises(SensorflowError, match=r"found one of the scheme chatt$"):
        alert_routes(Settings(alerts=[target]))


def test_without_the_extra_the_settings_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sensorflow.alerts.apprise", None)
    target = AlertTarget(type=AlertType.APPRISE, url="json://127.0.0.1/")
    with pytest.raises(SensorflowError, match=r"pip install 'sensorflow\[alerts\]'"):
        alert_routes(Settings(alerts=[target]))


async def test_an_alert_is_delivered_once_and_resolved_once(accepting: Receiver) -> None:
    alerts = AlertSender([AlertRoute(WebhookAlerter(accepting.url))])

    alerts.send(alert())
    alerts.send(alert(resolved=True))
    await alerts.close()

    assert received(accepting) == [("late/orders/1", "open"), ("late/orders/1", "resolved")]


async def test_a_failed_delivery_is_tried_again_after_longer_and_longer_waits() -> None:
    answers = iter([500, 503, 302, 200])

    async def recovering(request: web.Request) -> web.Response:
        return web.Response(status=next(answers), headers={"Location": "/elsewhere"})

    naps = Naps()
    async with receiving(recovering) as receiver:
        alerts = AlertSender([AlertRoute(WebhookAlerter(receiver.url))], sleep=naps)
        with capture_logs() as lines:
            alerts.send(alert())
            await alerts.close()

    assert [request.target for request in receiver.requests] == ["/"] * 4
    assert tuple(naps.taken_s) == RETRY_DELAYS_S
    assert [line for line in lines if line["log_level"] != "debug"] == []


async def test_a_delivery_that_always_fails_is_logged_without_secrets_and_the_next_one_is_tried() -> None:
    async with receiving(answering(500)) as receiver:
        url = f"http://user:password@127.0.0.1:{receiver.port}/path-secret?token=query-secret"
        alerts = AlertSender([AlertRoute(WebhookAlerter(url))], sleep=Naps())
        with capture_logs() as lines:
            alerts.send(alert("first"))
            alerts.send(alert("second"))
            await alerts.close()

    assert received(receiver) == [("first", "open")] * 4 + [("second", "open")] * 4
    errors = [line for line in lines if line["log_level"] == "error"]
    assert [(line["event"], line["id"]) for line in errors] == [
        ("alert not delivered", "first"),
        ("alert not delivered", "second"),
    ]
    assert errors[0]["error"] == f"{receiver.url}: HTTP 500"
    assert errors[0]["text"] == "orders 2026-06-01 is missing"
    assert not [secret for secret in ("password", "path-secret", "query-secret") if secret in str(lines)]


async def test_a_receiver_that_is_not_there_or_says_nothing_is_told_in_words(free_port: int) -> None:
    with pytest.raises(AlertError, match=rf"^http://127.0.0.1:{free_port}: Connection refused$"):
        await WebhookAlerter(f"http://u:p@127.0.0.1:{free_port}/x").send(alert())
    async with receiving(silent) as receiver:
        with pytest.raises(AlertError, match=rf"^{receiver.url}: no answer in time$"):
            await WebhookAlerter(receiver.url, timeout_s=0.2).send(alert())
    with pytest.raises(AlertError, match=r"^http://169.254.169.254: link-local and metadata addresses"):
        await WebhookAlerter("http://169.254.169.254/x").send(alert())
    with pytest.raises(ValueError, match=r"^expected a URL as http://host/path or https://host/path$"):
        WebhookAlerter("smtp://secret")


async def test_a_dead_receiver_holds_nothing_up(accepting: Receiver) -> None:
    async with receiving(silent) as dead:
        alerts = AlertSender(
            [AlertRoute(WebhookAlerter(dead.url)), AlertRoute(WebhookAlerter(accepting.url))], grace_s=0.1
        )

        for number in range(20):
            alerts.send(alert(f"alert-{number}"))
        async with asyncio.timeout(LIMIT_S):
            while len(accepting.requests) < 20:
                accepting.came.clear()
                await accepting.came.wait()
            await dead.came.wait()
        with capture_logs() as lines:
            await alerts.close()

    assert received(accepting) == [(f"alert-{number}", "open") for number in range(20)]
    assert received(dead) == [("alert-0", "open")]
    (line,) = lines
    assert line["event"] == "alerts not delivered before the stop"
    assert line["alerts"] == [f"alert-{number}" for number in range(20)]


async def test_when_too_many_wait_the_oldest_is_dropped_with_a_log_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "WAITING", 3)
    go_on = asyncio.Event()

    async def once_told(request: web.Request) -> web.Response:
        await go_on.wait()
        return web.Response()

    async with receiving(once_told) as receiver:
        alerts = AlertSender([AlertRoute(WebhookAlerter(receiver.url))])
        alerts.send(alert("on-its-way"))
        async with asyncio.timeout(LIMIT_S):
            await receiver.came.wait()
        with capture_logs() as lines:
            for number in range(4):
                alerts.send(alert(f"alert-{number}"))
        go_on.set()
        await alerts.close()

    assert [(line["event"], line["id"]) for line in lines] == [
        ("alert dropped: too many wait for a receiver", "alert-0"),
        ("alert dropped: too many wait for a receiver", "alert-1"),
    ]
    assert [id for id, _ in received(receiver)] == ["on-its-way", "alert-2", "alert-3"]


class Broken:
    """An alerter with a fault of its own."""

    async def send(self, alert: SendAlert) -> None:
        raise KeyError(alert.id)


async def test_an_alerter_with_a_fault_is_logged_and_disturbs_no_other(accepting: Receiver) -> None:
    alerts = AlertSender([AlertRoute(Broken()), AlertRoute(WebhookAlerter(accepting.url))])

    with capture_logs() as lines:
        alerts.send(alert("first"))
        alerts.send(alert("second"))
        await alerts.close()

    assert received(accepting) == [("first", "open"), ("second", "open")]
    assert [(line["event"], line["id"]) for line in lines] == [
        ("alerter broke", "first"),
        ("alerter broke", "second"),
    ]


async def test_an_alert_after_a_pause_is_delivered_too(accepting: Receiver) -> None:
    alerts = AlertSender([AlertRoute(WebhookAlerter(accepting.url))])
    alerts.send(alert("first"))
    (delivery,) = [task for task in asyncio.all_tasks() if task.get_name() == "alerts"]
    await asyncio.wait([delivery], timeout=LIMIT_S)

    alerts.send(alert("second"))
    await alerts.close()

    assert received(accepting) == [("first", "open"), ("second", "open")]


@pytest.mark.parametrize(
    ("kinds", "pipelines", "wanted"),
    [
        ((), (), ["a", "b", "c"]),
        (("failed",), (), ["a"]),
        ((), ("sales",), ["a", "c"]),
        (("late", "sensor_down"), ("sales",), ["c"]),
        (("late",), ("returns",), ["b", "c"]),
    ],
)
async def test_a_route_gets_its_kinds_and_pipelines_and_what_is_about_no_single_pipeline(
    accepting: Receiver, kinds: tuple[str, ...], pipelines: tuple[str, ...], wanted: list[str]
) -> None:
    route = AlertRoute(WebhookAlerter(accepting.url), on=frozenset(kinds), pipelines=frozenset(pipelines))
    alerts = AlertSender([route])

    alerts.send(alert("a", kind="failed", pipeline="sales"))
    alerts.send(alert("b", kind="late", pipeline="returns"))
    alerts.send(alert("c", kind="late", pipeline=""))
    await alerts.close()

    assert [id for id, _ in received(accepting)] == wanted


async def test_the_log_gets_a_warning_and_a_plain_line_when_it_is_over() -> None:
    alerts = AlertSender([AlertRoute(LogAlerter())])

    with capture_logs() as lines:
        alerts.send(alert())
        alerts.send(alert(resolved=True))
        await alerts.close()

    about = {
        "text": "orders 2026-06-01 is missing",
        "kind": "late",
        "pipeline": "sales",
        "dataset": "orders",
        "id": "late/orders/1",
    }
    assert lines == [
        {"event": "alert", "log_level": "warning", **about},
        {"event": "alert resolved", "log_level": "info", **about},
    ]
