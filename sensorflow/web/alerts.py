"""Alerts: what somebody should know, and what has been and is over."""

from enum import StrEnum
from typing import Annotated

from aiohttp import web

from sensorflow.core.state import AlertRow
from sensorflow.core.vocabulary import Scope
from sensorflow.web.api import API
from sensorflow.web.parameters import PageQuery, choice
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import AlertSchema, Page, answer, instant

routes = Routes("Alerts")


class _Asked(StrEnum):
    OPEN = "open"
    ALL = "all"


class AlertsQuery(PageQuery):
    """Which alerts are listed."""

    LIST = "alerts"
    #: `all`: those that are over too.
    state: Annotated[_Asked, choice(_Asked)] = _Asked.OPEN


@routes.get("/api/v1/alerts", scope=Scope.READ, answers=Page[AlertSchema])
async def list_alerts(request: web.Request, query: AlertsQuery) -> web.Response:
    """List the open alerts, the newest first; with `state=all` those that are over too."""
    api = request.app[API]
    limit = query.limit
    rows = api.store.listing.alerts(
        open_only=query.state is _Asked.OPEN, before=query.cursor, limit=limit + 1
    )
    following = query.next(rows[limit - 1].id) if len(rows) > limit else None
    return answer(Page[AlertSchema](items=[_alert(row) for row in rows[:limit]], next=following))


def _alert(row: AlertRow) -> AlertSchema:
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
