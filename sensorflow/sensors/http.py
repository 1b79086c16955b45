"""The sensor `http`: asks a URL, or one for each partition that is asked for, for what is new."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from weakref import WeakValueDictionary

import aiohttp
from multidict import CIMultiDict
from pydantic import BaseModel
from yarl import URL

import sensorflow
from sensorflow.config.sources import PARTITION, HttpOptions, UrlTemplate
from sensorflow.core.durations import describe_duration
from sensorflow.core.vocabulary import Event
from sensorflow.http_client import checked_connector
from sensorflow.ports import SensorContext
from sensorflow.sensors.answers import service_of
from sensorflow.sensors.backoff import Backoff
from sensorflow.sensors.polling import Found, Seen, Trouble, ask
from sensorflow.sensors.targets import Target, Targets

#: The shortest and the longest wait before a server that does not answer is asked again.
SERVER_S = (1.0, 300.0)

_MINUTE_S = 60.0
#: What a masked secret leaves; its length would make another URL of another secret.
_MASKED = re.compile(r"\*{8,}")
_LOGIN = re.compile(r"^([^/?#]*//)[^/?#]*@")
#: One request at a time to a server, whichever sensor it is of.
_turns: "WeakValueDictionary[URL, asyncio.Lock]" = WeakValueDictionary()


class HttpSensor:
    """Makes an event of every change that it sees at a URL.

    What was seen is kept with the event in one commit, so that a restart neither misses a change nor
    tells of it twice, and asks only for what is new.
    """

    Options: type[BaseModel] = HttpOptions
    #: It is starting until it has had an answer.
    tells_when_well = True

    def __init__(self, options: HttpOptions, context: SensorContext) -> None:
        self._options = options
        self._context = context
        self._service = service_of(context)
        self._source = f"/http/{context.pipeline}/{context.name}"
        self._server = Backoff(*SERVER_S)
        #: The server is left alone until then.
        self._pause_until = 0.0
        self._server_trouble: str | None = None

    async def events(self) -> AsyncIterator[Event]:
        """Yield what is new; resumed, take it as seen."""
        clock = asyncio.get_running_loop().time
        template = self._options.template
        shown = UrlTemplate(without_secrets(template.text, self._service.masked))
        targets = Targets(template, shown, self._service, every_s=self._options.every, now=clock())
        async with self._session() as session:
            while True:
                has_looked = await targets.look(clock())
                target = targets.due(clock()) if clock() >= self._pause_until else None
                if target is None:
                    if has_looked:
                        self._report(targets)
                    wait_until = max(self._pause_until, targets.next_at())
                    await asyncio.sleep(wait_until - clock())
                    continue
                found = await self._ask(session, targets, target)
                if found is None:
                    continue
                seen = found.seen
                if target.seen is not None and seen.is_same_as(target.seen):
                    seen = replace(seen, n=target.seen.n)
                else:
                    yield self._event(target, found)
                target.seen = seen

    def _session(self) -> aiohttp.ClientSession:
        headers = CIMultiDict(self._options.headers)
        headers.setdefault("User-Agent", f"sensorflow/{sensorflow.__version__}")
        # What is compressed could grow without bounds.
        headers["Accept-Encoding"] = "identity"
        return aiohttp.ClientSession(
            connector=checked_connector(allow_private=self._service.allow_private),
            timeout=aiohttp.ClientTimeout(total=self._options.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=headers,
        )

    async def _ask(self, session: aiohttp.ClientSession, targets: Targets, target: Target) -> Found | None:
        """Ask a URL and return what is there; None where it is nothing, nothing new, or cannot be told."""
        clock = asyncio.get_running_loop().time
        if not target.is_known:
            kept = self._service.kept(self._source, target.shown)
            target.seen, target.is_known = Seen.read(kept) if kept else None, True
        origin = target.url.origin()
        turn = _turns.setdefault(origin, asyncio.Lock())
        async with turn:
            answer = await ask(session, target.url, target.seen, version=self._options.version)
        now = clock()
        if isinstance(answer, Trouble):
            delay_s = (self._server if answer.of_server else target.backoff).next_s()
            delay_s = max(delay_s, answer.retry_after_s)
            target.due_at = now + delay_s
            delay = f"{delay_s:.2g} s" if delay_s < _MINUTE_S else describe_duration(delay_s)
            words = f"{answer.words}, next try in {delay}"
            if answer.of_server:
                self._pause_until = target.due_at
                self._server_trouble = f"{origin}: {words}"
            else:
                of = f" for {target.partition}" if target.partition else ""
                target.trouble = f"{origin}{of}: {words}"
        else:
            targets.asked(target, now)
        if not (isinstance(answer, Trouble) and answer.of_server):
            self._server.reset()
            self._server_trouble = None
        self._report(targets)
        return answer if isinstance(answer, Found) else None

    def _report(self, targets: Targets) -> None:
        troubles = [self._server_trouble] if self._server_trouble else targets.troubles()
        more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
        self._context.report(self._service.masked(troubles[0]) + more if troubles else None)

    def _event(self, target: Target, found: Found) -> Event:
        partition = {PARTITION: target.partition} if target.partition is not None else {}
        return Event(
            source=self._source,
            id=f"{target.shown}@{found.seen.n}",
            subject=target.shown,
            data=found.data,
            extensions={"headers": dict(found.headers), **partition},
            content=found.seen.text(),
            replaces=target.shown,
        )


def without_secrets(url: str, masked: Callable[[str], str]) -> str:
    """Return a URL as it may be told, and stays the same when a secret in it is exchanged."""
    return _MASKED.sub("***", masked(_LOGIN.sub(r"\1", url)))
