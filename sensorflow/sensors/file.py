"""The sensor `file`: files that fit a path template, once they are whole."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from sensorflow.core.durations import parse_duration
from sensorflow.core.errors import SensorflowError
from sensorflow.core.vocabulary import Event
from sensorflow.ports import Batch, SensorContext
from sensorflow.sensors.template import PathTemplate
from sensorflow.sensors.tree import FileVersion, Folder, topmost
from sensorflow.sensors.watch import SHOWN, Noticed, Watch

#: Files in one commit at most.
BATCH = 100
#: What the watcher says within so long is looked at together.
GATHER_S = 0.01


class FileOptions(BaseModel):
    """What stands in the section of a sensor of `type: file`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: A path template relative to the home.
    path: str
    #: No change for so long, so a half-written file is no data.
    settle: str = "1s"
    #: The name of a file that says that the folder it lies in is whole. `path` is that folder's then.
    marker: str | None = None

    @field_validator("path")
    @classmethod
    def _path_is_a_template(cls, text: str) -> str:
        PathTemplate.parse(text)
        return text

    @field_validator("settle")
    @classmethod
    def _settle_is_a_duration(cls, text: str) -> str:
        parse_duration(text)
        return text

    @field_validator("marker")
    @classmethod
    def _marker_is_a_name(cls, text: str | None) -> str | None:
        if text is not None and (text in {"", ".", ".."} or set(text) & set("/*{}\0")):
            raise ValueError(f"expected the name of a file, as _SUCCESS, found {text!r}")
        return text

    @model_validator(mode="after")
    def _a_marker_needs_no_settling(self) -> Self:
        if self.marker is not None and "settle" in self.model_fields_set:
            raise ValueError(
                f"expected settle or marker, found both: {self.marker} says by itself that all is there"
            )
        return self

    @property
    def template(self) -> PathTemplate:
        """What the files that are looked for fit: the template in `path`, or the markers in such folders."""
        return PathTemplate.parse(self.path if self.marker is None else f"{self.path}/{self.marker}")


class WatchError(SensorflowError):
    """The watch of a folder has ended by itself."""


class FileSensor:
    """Makes an event of every version of every file that fits the template.

    A file is whole when it has not changed for `settle`, or was renamed within the watched tree; a folder
    as soon as its marker is there, whose versions are then the folder's. Whatever the watcher says only
    means "look again": a scan at the start and one every `rescan_s` seconds find what it missed.
    """

    Options: type[BaseModel] = FileOptions

    #: Seconds between two looks at the whole folder.
    rescan_s = 30.0

    def __init__(self, options: FileOptions, context: SensorContext) -> None:
        self._context = context
        self._template = template = options.template
        self._marker = options.marker
        self._settle_s = 0.0 if options.marker else parse_duration(options.settle)
        self._settling = Settling(self._settle_s)
        self._root = context.home / template.root
        self._place = template.root or "the home"
        self._folder = Folder(
            self._root,
            self._place,
            fits=self._fits,
            may_hold=lambda folder: template.may_hold(self._from_home(folder)),
        )
        #: Why not all of it is watched, and what fits and is not read.
        self._unwatched: str | None = None
        self._refused: dict[str, str] = {}
        self._is_first_scan = True
        self._scan_at = 0.0

    async def events(self) -> AsyncIterator[Batch]:
        """Yield files as they become whole."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(woken.set)

        watch = Watch(
            self._root,
            self._context.home,
            # A rename out of a folder inside is seen as one; the home itself is too large for that.
            is_deep=self._template.depth != 1 or bool(self._template.root),
            fits=self._fits,
            wake=wake,
        )
        try:
            while True:
                woken.clear()
                whole = await self._look(watch)
                for first in range(0, len(whole), BATCH):
                    yield Batch([self._event(*each) for each in whole[first : first + BATCH]])
                await self._wait(woken)
        finally:
            await asyncio.to_thread(watch.close)

    async def _wait(self, woken: asyncio.Event) -> None:
        due_at = min(self._scan_at, self._settling.next_due_at())
        try:
            async with asyncio.timeout_at(due_at):
                await woken.wait()
        except TimeoutError:
            return
        await asyncio.sleep(GATHER_S)

    async def _look(self, watch: Watch) -> list[tuple[str, FileVersion]]:
        """Look at all that is due, and return what is whole now."""
        loop = asyncio.get_running_loop()
        noticed = watch.take()
        if noticed.error is not None:
            # The sensor is started anew then, and so looks at everything; meanwhile the service says why.
            raise WatchError(f"the watch of {self._place} ended: {noticed.error!r}") from noticed.error
        if noticed.is_lost or loop.time() >= self._scan_at:
            # Watch first and look then, so that nothing falls between.
            await self._arm(watch)
            looked = await asyncio.to_thread(self._look_at_all, noticed, loop.time)
            self._scan_at = loop.time() + self.rescan_s
        else:
            looked = await asyncio.to_thread(self._look_at, noticed, loop.time)
        if looked.refused != self._refused:
            self._refused = looked.refused
            self._report()
        return looked.whole

    async def _arm(self, watch: Watch) -> None:
        try:
            await asyncio.to_thread(watch.arm)
        except OSError as error:
            words = f"cannot watch {self._place}: {error.strerror or error}"
            self._unwatched = f"{words}; looks every {self.rescan_s:g} s instead"
        else:
            self._unwatched = None
        self._report()

    def _report(self) -> None:
        """Say what is wrong: on its own account nothing is left out in silence."""
        words = [self._unwatched] if self._unwatched else []
        if self._refused:
            path, reason = min(self._refused.items())
            words.append(f"does not read {_printable(self._from_home(path))[:SHOWN]}, which {reason}")
            if len(self._refused) > 1:
                words[-1] += f", and {len(self._refused) - 1} more like it"
        self._context.report("; ".join(words) or None)

    def _look_at_all(self, noticed: Noticed, now: Callable[[], float]) -> "_Looked":
        found = self._folder.scan()
        self._settling.keep_only(found.files)
        old_ns = _file_time_ns() - self._settle_s * 1e9 if self._is_first_scan else None
        self._is_first_scan = False
        whole = noticed.renamed
        if old_ns is not None:
            whole |= {
                path for path, each in found.files.items() if max(each.mtime_ns, each.ctime_ns) <= old_ns
            }
        return _Looked(self._settling.see_all(found.files, now(), whole), found.refused)

    def _look_at(self, noticed: Noticed, now: Callable[[], float]) -> "_Looked":
        paths = {*noticed.files, *noticed.renamed, *self._settling.due(now())}
        found = self._folder.look(paths)
        self._settling.drop(paths - found.files.keys())
        refused = {path: why for path, why in self._refused.items() if path not in paths}
        seen, whole = found.files, noticed.renamed
        for folders, is_renamed in ((noticed.folders, False), (noticed.renamed_folders, True)):
            for folder in topmost(folders):
                inside = self._folder.scan(folder)
                seen |= inside.files
                refused |= inside.refused
                whole |= inside.files.keys() if is_renamed else set()
        return _Looked(self._settling.see_all(seen, now(), whole), refused | found.refused)

    def _fits(self, path: str) -> bool:
        return self._template.match(self._from_home(path)) is not None

    def _from_home(self, path: str) -> str:
        return f"{self._template.root}/{path}" if self._template.root else path

    def _event(self, below: str, version: FileVersion) -> Event:
        path = self._from_home(below)
        captures = self._template.match(path) or {}
        shown = _printable(path if self._marker is None else path.removesuffix(f"/{self._marker}"))
        return Event(
            source=f"/file/{self._context.pipeline}/{self._context.name}",
            id=f"{shown}@{version.mtime_ns}-{version.size}-{version.inode}",
            subject=shown,
            data={
                "path": shown,
                "size": version.size,
                "mtime": _as_iso(version.mtime_ns),
                "captures": {name: _printable(text) for name, text in captures.items()},
            },
        )


@dataclass(frozen=True, slots=True)
class _Looked:
    """What came of a look: what is whole now, and all that fits and is not read."""

    whole: list[tuple[str, FileVersion]]
    refused: dict[str, str]


class Settling:
    """Which files may still be written to, and which versions were given out already."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._given: dict[str, FileVersion] = {}
        #: The version and since when it stands, the longest unchanged first.
        self._pending: dict[str, tuple[FileVersion, float]] = {}

    def see(self, path: str, version: FileVersion, now: float, *, is_whole: bool) -> bool:
        """Take note of a version and return whether it is to be given out now.

        Args:
            now: Monotonic seconds at which the version stood so, or later.
            is_whole: It is known to be whole, however young it is.
        """
        if self._given.get(path) == version:
            self._pending.pop(path, None)
            return False
        known, since = self._pending.get(path, (None, now))
        if known != version:
            self._pending.pop(path, None)
            since = now
        if is_whole or now - since >= self._settle_s:
            self._pending.pop(path, None)
            self._given[path] = version
            return True
        self._pending[path] = (version, since)
        return False

    def see_all(
        self, seen: Mapping[str, FileVersion], now: float, whole: Set[str]
    ) -> list[tuple[str, FileVersion]]:
        """Take note of versions, as `see` does, and return those that are to be given out now."""
        return [each for each in seen.items() if self.see(*each, now, is_whole=each[0] in whole)]

    def due(self, now: float) -> list[str]:
        """Return the files that have settled, if they still stand as they stood."""
        due = []
        for path, (_, since) in self._pending.items():
            if now - since < self._settle_s:
                break
            due.append(path)
        return due

    def next_due_at(self) -> float:
        """Return when `due` has more to say; infinity if nothing is pending."""
        first = next(iter(self._pending.values()), None)
        return first[1] + self._settle_s if first else float("inf")

    def drop(self, paths: Iterable[str]) -> None:
        """Forget files that are gone."""
        for path in paths:
            self._pending.pop(path, None)
            self._given.pop(path, None)

    def keep_only(self, paths: Iterable[str]) -> None:
        """Forget all files but these."""
        self.drop((self._given.keys() | self._pending.keys()) - set(paths))


def _file_time_ns() -> int:
    """Return the time as files get it: files are dated by the system, whatever clock the service is given."""
    try:
        with tempfile.TemporaryFile() as fresh:
            return os.fstat(fresh.fileno()).st_mtime_ns
    except OSError:
        return 0  # As if no file were old: each then has to settle.


def _printable(path: str) -> str:
    """Return a path as text; bytes of a name that are no UTF-8 are escaped, so that it can be shown."""
    return path.encode("utf-8", "backslashreplace").decode()


def _as_iso(mtime_ns: int) -> str | None:
    """Return ISO 8601 in UTC; None for a time that no calendar has, which a file can bear."""
    seconds, rest_ns = divmod(mtime_ns, 10**9)
    try:
        instant = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ns // 1000)
    except (OverflowError, ValueError, OSError):
        return None
    return instant.isoformat().replace("+00:00", "Z")
