"""The sensor `schedule`: times of a cron, or an interval, that are events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import floor

from pydantic import BaseModel

from sensorflow.config.sources import PARTITION, ScheduleOptions
from sensorflow.core.errors import PartitionError
from sensorflow.core.lateness import newest_ended
from sensorflow.core.partitions import calendar_of, iso
from sensorflow.core.schedules import next_time, times_between
from sensorflow.core.vocabulary import Catchup, Event
from sensorflow.ports import Batch, SensorContext
from sensorflow.sensors.answers import service_of

#: A time that is noticed so late was missed; sooner, it is on time.
ON_TIME_S = 60.0
#: A clock that leaps further was wrong, or the machine was asleep: that is as a stop.
LEAP_S = 86_400.0
#: Times in one commit.
BATCH = 500
#: Where the sensor keeps how far it has come.
_PLACE = "schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a schedule has come, as it is kept with its last event."""

    #: The latest instant of all events so far.
    at: float
    #: The cron and its zone; empty for an interval.
    cron: str = ""
    #: Events of an interval that came while the clock stood behind `at`.
    behind: int = 0


class ScheduleSensor:
    """Makes an event of every time of a cron, or at every interval.

    The instant is the event's id, so one time is one event, whatever happens to clock and service.
    """

    Options: type[BaseModel] = ScheduleOptions
    #: It is starting until it has found out how far it had come.
    tells_when_well = True

    #: A clock that is set is noticed after so many seconds at the latest.
    look_s = 60.0

    def __init__(self, options: ScheduleOptions, context: SensorContext) -> None:
        self._options = options
        self._context = context
        self._service = service_of(context)
        self._source = f"/schedule/{context.pipeline}/{context.name}"
        self._zone = options.timezone or self._service.timezone()

    def events(self) -> AsyncIterator[Batch]:
        """Yield times as they come."""
        kept = self._service.kept(self._source, _PLACE)
        last = Progress(**json.loads(kept)) if kept else None
        return self._of_cron(self._options.cron, last) if self._options.cron else self._of_interval(last)

    async def _of_cron(self, cron: str, last: Progress | None) -> AsyncIterator[Batch]:
        clock = self._service.clock
        spelled = f"{cron} {self._zone}"
        now = clock.now()
        # What another cron left behind says nothing of this one.
        done_until = now
        if last is not None and last.cron == spelled:
            done_until = passed_over(cron, self._zone, self._options.catchup, last.at, now)
        looked_at = now
        self._context.report(None)
        while True:
            now = clock.now()
            if abs(now - looked_at) > LEAP_S:
                done_until = passed_over(cron, self._zone, self._options.catchup, done_until, now)
            looked_at = now
            times = times_between(cron, self._zone, done_until, now, BATCH)
            if times:
                yield Batch([self._event(at, Progress(at=at, cron=spelled)) for at in times])
                done_until = times[-1]
                continue
            coming = next_time(cron, self._zone, max(done_until, now))
            await asyncio.sleep(min(self.look_s, coming - now))

    async def _of_interval(self, last: Progress | None) -> AsyncIterator[Batch]:
        clock, every_s = self._service.clock, self._options.every
        assert every_s is not None
        wait_s = 0.0 if last is None else min(every_s, max(0.0, last.at + every_s - clock.now()))
        due_at = clock.monotonic() + wait_s
        self._context.report(None)
        while True:
            late_s = clock.monotonic() - due_at
            if late_s < 0:
                await asyncio.sleep(min(self.look_s, -late_s))
                continue
            at = float(floor(clock.now()))
            if last is None or at > last.at:
                last = Progress(at=at, behind=last.behind if last else 0)
            else:  # The clock was set back: this instant may have been there before.
                last = Progress(at=last.at, behind=last.behind + 1)
            yield Batch([self._event(at, last)])
            due_at += every_s * (1 + floor(late_s / every_s))

    def _event(self, at: float, progress: Progress) -> Event:
        instant = iso(at, "UTC").replace("+00:00", "Z")
        partition = {}
        calendar = calendar_of(self._service.dataset().partitioning)
        if calendar is not None:
            with suppress(PartitionError):  # Before the calendar begins none has ended.
                partition[PARTITION] = newest_ended(calendar, at)
        return Event(
            source=self._source,
            id=instant if at == progress.at else f"{instant}/{progress.behind}",
            time=instant,
            data={},
            extensions=partition,
            content=json.dumps(asdict(progress)),
            replaces=_PLACE,
        )


def passed_over(cron: str, timezone: str, catchup: Catchup, last: float, now: float) -> float:
    """Return up to when times need no event any more, after a stop or a leap of the clock.

    Args:
        last: The last time that had its event.
    """
    if last > now + LEAP_S:
        return now  # The clock was far ahead and is right now: it does not wait until then.
    if catchup is Catchup.ALL:
        return last
    on_time = max(last, now - ON_TIME_S)
    if catchup is Catchup.NONE or times_between(cron, timezone, on_time, now, 1):
        return on_time
    return max(last, newest_time(cron, timezone, last, now) - 1)


def newest_time(cron: str, timezone: str, after: float, until: float) -> float:
    """Return the newest time of a cron with `after < time <= until`; `after` where there is none."""
    window_s = 60.0
    while True:
        since = max(after, until - window_s)
        times = times_between(cron, timezone, since, until, BATCH)
        if times:
            return newest_time(cron, timezone, times[-1], until) if len(times) == BATCH else times[-1]
        if since == after:
            return after
        window_s *= 2
