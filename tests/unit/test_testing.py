"""A sensor of one's own, run alone by `sensorflow.testing`."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from sensorflow.config.problems import Section
from sensorflow.config.values import PositiveDuration
from sensorflow.core.vocabulary import Event
from sensorflow.ports import Batch, SensorContext
from sensorflow.testing import collect


class Counting:
    """Counts up to a limit, says how it is, and notes what came after each commit."""

    class Options(Section):
        limit: int = 1_000
        together: int = 1
        pause: PositiveDuration = 3_600.0

    resumed: list[int]
    is_closed = False

    def __init__(self, options: Options, context: SensorContext) -> None:
        self._options, self._context = options, context
        Counting.resumed, Counting.is_closed = [], False

    async def events(self) -> AsyncIterator[Event | Batch]:
        self._context.report("not there yet")
        self._context.report(None)
        try:
            for number in range(0, self._options.limit, self._options.together):
                members = [self._event(number + more) for more in range(self._options.together)]
                yield members[0] if len(members) == 1 else Batch(members)
                Counting.resumed.append(number)
        finally:
            Counting.is_closed = True

    def _event(self, number: int) -> Event:
        return Event(source=f"/{self._context.pipeline}/{self._context.name}", id=str(number))


class Silent(Counting):
    async def events(self) -> AsyncIterator[Event | Batch]:
        await asyncio.Event().wait()
        yield Batch([])


class Refused(Counting):
    async def events(self) -> AsyncIterator[Event | Batch]:
        raise TimeoutError("the broker does not answer")
        yield Batch([])


async def test_the_first_events_are_collected_and_the_sensor_is_closed(tmp_path: Path) -> None:
    reports: list[str | None] = []
    events = await collect(Counting, {}, 3, home=tmp_path, report=reports.append)
    assert [event.id for event in events] == ["0", "1", "2"]
    assert (Counting.resumed, Counting.is_closed) == ([0, 1], True)
    assert reports == ["not there yet", None]


async def test_what_is_yielded_together_comes_together(tmp_path: Path) -> None:
    events = await collect(Counting, {"together": 4}, 5, home=tmp_path)
    assert len(events) == 8


async def test_options_are_checked_as_those_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="a duration such as"):
        await collect(Counting, {"pause": 5}, 1, home=tmp_path)


async def test_what_does_not_come_and_what_ends_too_early_is_said(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match=r"expected 2 events within 0\.001 s, found 0"):
        await collect(Silent, {}, 2, home=tmp_path, timeout_s=0.001)
    with pytest.raises(TimeoutError, match="the broker does not answer"):
        await collect(Refused, {}, 1, home=tmp_path)
    with pytest.raises(RuntimeError, match="expected 3 events, found 2 and the sensor's end"):
        await collect(Counting, {"limit": 2}, 3, home=tmp_path)
