"""The events that are posted, by mix, and the pipelines that take them."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import TypeAlias

from bench.http_load import post

#: Paused, so that what is ready is queued and no process takes the cores.
PIPELINE = """\
name: sales
paused: true
sensors:
  orders: {type: events, match: {type: [orders.exported]}, partition: data.day, dataset: orders}
  fares: {type: events, match: {type: [fares.exported]}, partition: data.day, dataset: fares}
  customers: {type: events, match: {type: [customers.exported]}, partition: data.day, dataset: customers}
  alone: {type: events, match: {type: [alone.exported]}, partition: data.day, dataset: alone}
tasks:
  join: {inputs: [orders, fares, customers], run: ["true"]}
  alone: {inputs: [alone], run: ["true"]}
"""
FIRST = date(1000, 1, 1)
SINGLE, NDJSON, BATCH = (
    "application/cloudevents+json",
    "application/x-ndjson",
    "application/cloudevents-batch+json",
)
#: Yields type and day of so many events, from a number on.
Mix: TypeAlias = Callable[[int, int], Iterator[tuple[str, date]]]


def rearrivals(begin: int, number: int) -> Iterator[tuple[str, date]]:
    """Yield type and day of events for 28 partitions, again and again."""
    for index in range(begin, begin + number):
        yield "alone", FIRST + timedelta(days=index % 28)


def new_partitions(begin: int, number: int) -> Iterator[tuple[str, date]]:
    """Yield type and day of events for a new partition each."""
    for index in range(begin, begin + number):
        yield "alone", FIRST + timedelta(days=100 + index)


def joins(begin: int, number: int) -> Iterator[tuple[str, date]]:
    """Yield type and day of events of which three complete the inputs of a task."""
    for index in range(begin, begin + number):
        yield ("orders", "fares", "customers")[index % 3], FIRST + timedelta(days=100 + index // 3)


def events(mix: Mix, begin: int, number: int) -> list[dict[str, object]]:
    """Return CloudEvents, each with an id of its own."""
    return [
        {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": "/erp/export",
            "type": f"{kind}.exported",
            "data": {"day": day.isoformat(), "rows": 1200},
        }
        for kind, day in mix(begin, number)
    ]


def posts(bodies: list[dict[str, object]]) -> list[bytes]:
    """Return a request for each event."""
    return [post("/api/v1/events", json.dumps(body).encode(), content_type=SINGLE) for body in bodies]
