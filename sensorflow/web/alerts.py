"""Alerts: what somebody should know, and what has been and is over."""

from enum import StrEnum

from aiohttp import web

from sensorflow.core.state import AlertRow
from sensorflow.web import parameters
from sensorflow.web.api import API
from sensorflow.web.parameters import make_cursor
from sensorflow.web.schemas import AlertSchema, Page, answer, instant

routes = web.RouteTableDef()


class _Asked(StrEnum):
    OPEN = "open"
    ALL = "all"


@routes.get("/api/v1/alerts")
async def list_alerts(request: web.Request) -> web.Response:
    """List the open alerts, the newest first; with `state=all` those that are over too."""
    api = request.app[API]
    parameters.only(request, "state", "limit", "cursor")
    limit = parameters.limit(request)
    asked = parameters.state(request, _Asked) or _Asked.OPEN
    rows = api.store.listing.alerts(
        open_only=asked is _Asked.OPEN, before=parameters.cursor(request, "alerts"), limit=limit + 1
    )
    following = make_cursor("alerts", rows[limit - 1].id) if len(rows) > limit else None
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
