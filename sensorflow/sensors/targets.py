"""Which URLs a sensor that polls asks, and when each has its turn."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from yarl import URL

from sensorflow.config.sources import UrlTemplate
from sensorflow.ports import SensorService
from sensorflow.sensors.backoff import Backoff
from sensorflow.sensors.polling import Seen

#: Partitions that are asked about each `every`, the newest, and pages that are looked through for them.
NEWEST, NEWEST_PAGES = 100, 10
#: Older ones have their turn so often, each so many-th request at least.
OLDER_EVERY_S, OLDER_TURN = 3600.0, 10
#: The longest before a URL that answers with an error is asked again.
_ERROR_MAX_S = 3600.0


@dataclass
class Target:
    """A URL that is asked."""

    #: None where there is one URL for all.
    partition: str | None
    url: URL
    #: Without secrets: by this name it is kept and told of.
    shown: str
    #: In monotonic seconds.
    due_at: float
    backoff: Backoff
    is_older: bool = False
    #: What was last seen there; the store is asked for it once.
    seen: Seen | None = None
    is_known: bool = False
    #: What is wrong with it, in words.
    trouble: str | None = None


class Targets:
    """One URL, or one for each partition that is asked for."""

    def __init__(
        self, template: UrlTemplate, shown: UrlTemplate, service: SensorService, *, every_s: float, now: float
    ) -> None:
        """Prepare.

        Args:
            shown: The template without secrets.
            now: Monotonic seconds.
        """
        self._template = template
        self._shown = shown
        self._service = service
        self._every_s = every_s
        self._look_at = self._look_at_all_at = now
        self._by_key: dict[str, Target] = {}
        self._turn = 1
        if not template.has_partition:
            self._look_at = float("inf")
            self._by_key[""] = self._new(None, now)

    async def look(self, now: float) -> bool:
        """Find out which partitions are asked for, if that is due: the newest each `every`, all once an hour.

        Returns:
            Whether it was due.
        """
        if now < self._look_at:
            return False
        is_all = now >= self._look_at_all_at
        newest: dict[str, None] = {}
        older: dict[str, None] = {}
        for number, page in enumerate(self._service.asked(), start=1):
            for key in page:
                (newest if len(newest) < NEWEST else older)[key] = None
            if not is_all and (number >= NEWEST_PAGES or len(newest) >= NEWEST):
                break
            await asyncio.sleep(0)  # Others have their turn between two pages.
        self._take(newest, older, now, is_all=is_all)
        self._look_at = now + self._every_s
        if is_all:
            self._look_at_all_at = now + OLDER_EVERY_S
        return True

    def due(self, now: float) -> Target | None:
        """Return the URL whose turn it is: mostly one of the newest partitions, at times an older one."""
        due = [each for each in self._by_key.values() if each.due_at <= now]
        # A slow server may never be through with the newest.
        is_older_first = self._turn % OLDER_TURN == 0
        self._turn += bool(due)
        return min(due, key=lambda each: (each.is_older is not is_older_first, each.due_at), default=None)

    def next_at(self) -> float:
        """Return when `look` or `due` may have more to say."""
        return min([self._look_at, *(each.due_at for each in self._by_key.values())])

    def asked(self, target: Target, now: float) -> None:
        """Note that a URL has been asked and is well."""
        target.trouble = None
        target.backoff.reset()
        target.due_at = now + (OLDER_EVERY_S if target.is_older else self._every_s)

    def troubles(self) -> list[str]:
        """Return what is wrong with URLs, in words."""
        return [each.trouble for each in self._by_key.values() if each.trouble is not None]

    def _take(self, newest: Iterable[str], older: Iterable[str], now: float, *, is_all: bool) -> None:
        there = self._by_key
        # Only who has looked at all knows which of the older ones are not asked for any more.
        kept = {} if is_all else {key: each for key, each in there.items() if each.is_older}
        self._by_key = kept
        for key in older:
            kept[key] = there.get(key) or self._new(key, now)
            kept[key].is_older = True
        for key in newest:
            target = kept[key] = there.get(key) or self._new(key, now)
            if target.is_older:
                target.is_older, target.due_at = False, now

    def _new(self, partition: str | None, now: float) -> Target:
        cut = self._service.dataset().partitioning
        return Target(
            partition=partition,
            url=self._template.url(cut, partition or ""),
            shown=str(self._shown.url(cut, partition or "")),
            due_at=now,
            backoff=Backoff(self._every_s, max(self._every_s, _ERROR_MAX_S)),
        )
