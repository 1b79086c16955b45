"""A sensor kind of this home: `type: journal` follows a JSON Lines file that another program appends to."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensorflow.config.problems import Section
from sensorflow.config.values import PositiveDuration, Text
from sensorflow.core.vocabulary import Event
from sensorflow.ports import Batch, SensorContext


@dataclass(frozen=True, slots=True)
class Place:
    """How far a journal was read: `number` lines, to `offset`; `last` is the line that ends there."""

    offset: int = 0
    number: int = 0
    last: bytes = b""


class JournalSensor:
    """Makes an event of every whole line; a half-written last line waits for its end.

    An event's id is path, line number and a digest of the line: what is read again after a restart is a
    duplicate, and a line that takes another's place is news. `data` is the line's JSON, else `{text}`.
    """

    class Options(Section):
        """What stands in the sensor's section."""

        #: Relative to the home.
        path: Text
        #: How often the file is looked at.
        every: PositiveDuration = 1.0

    def __init__(self, options: Options, context: SensorContext) -> None:
        self._options = options
        self._context = context

    async def events(self) -> AsyncIterator[Batch]:
        """Yield the lines that were appended since the last look, together."""
        place = Place()
        told: str | None = ""
        while True:
            lines: list[Place] = []
            problem: str | None = None
            try:
                lines = await asyncio.to_thread(read_on, self._context.home / self._options.path, place)
            except FileNotFoundError:
                problem = f"{self._options.path} does not exist yet"
            if problem != told:
                self._context.report(problem)
                told = problem
            if lines:
                yield Batch([self._event(line) for line in lines])
                place = lines[-1]
            await asyncio.sleep(self._options.every)

    def _event(self, line: Place) -> Event:
        digest = hashlib.sha256(line.last).hexdigest()[:16]
        return Event(
            source=f"/journal/{self._context.pipeline}/{self._context.name}",
            id=f"{self._options.path}#{line.number}@{digest}",
            subject=self._options.path,
            data=parse(line.last),
        )


def read_on(path: Path, place: Place) -> list[Place]:
    """Return the whole lines behind a place, each as the place that it ends at.

    Where the last line read does not stand before the place any more, the file was truncated, replaced or
    rewritten: it is read from its start.
    """
    with path.open("rb") as journal:
        journal.seek(place.offset - len(place.last))
        if journal.read(len(place.last)) != place.last:
            place = Place()
            journal.seek(0)
        lines = []
        for line in journal:
            if not line.endswith(b"\n"):
                break
            place = Place(place.offset + len(line), place.number + 1, line)
            lines.append(place)
        return lines


def parse(line: bytes) -> Any:
    """Return a line's JSON; what is none is kept as text, for somebody to see."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return {"text": line.decode("utf-8", "replace").rstrip("\n")}


SENSORS = {"journal": JournalSensor}
