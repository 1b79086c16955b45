"""Alerts: what somebody should know, and what has been and is over."""

from enum import StrEnum
from typing import Annotated

from aiohttp import web

from sensorflow.core.state import AlertRow
from sensorflow.core.vocabulary import Scope
from sensorflow.web.access import caller_of
from sensorflow.web.api import API
from sensorflow.web.parameters import PageQuery, choice
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import AlertSchema, Page, answer, instant

routes = Routes("Alerts")


class AlertsAsked(StrEnum):
    """Which alerts are wanted."""

    OPEN = "open"
    ALL = "all"


class AlertsQuery(PageQuery):
    """Which alerts are listed."""

    LIST = "alerts"
    #: `all`: those that are over too.
    state: Annotated[AlertsAsked, choice(AlertsAsked)] = AlertsAsked.OPEN


@routes.get("/api/v1/alerts", scope=Scope.READ, limited=True, answers=Page[AlertSchema])
async def list_alerts(request: web.Request, query: AlertsQuery) -> web.Response:
    """List the open alerts, the newest first; with `state=all` those that are over too."""
    api = request.app[API]
    limit = query.limit
    caller = caller_of(request)
    rows = api.store.listing.alerts(
        open_only=query.state is AlertsAsked.OPEN,
        before=query.cursor,
        limit=limit + 1,
        pipelines=caller.pipelines,
        datasets=caller.datasets(api.definitions()) or (),
    )
    following = query.next(rows[limit - 1].id) if len(rows) > limit else None
    return answer(Page[AlertSchema](items=[alert_schema(row) for row in rows[:limit]], next=following))


def alert_schema(row: AlertRow) -> AlertSchema:
    """Return an alert as it is answered."""
    return AlertSchema(
        id=row.id,
        kind=row.kind,
        state="open" if row.resolved_at is None else "resolved",
        text=row.text,
        pipeline=row.pipeline or None,
        dataset=row.dataset or None,
        partitions=list(row.partitions),
        run=row.run_id or None,
        opened_at=instant(row.opened_at),
        resolved_at=instant(row.resolved_at),
    )
