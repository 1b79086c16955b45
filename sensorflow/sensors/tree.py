"""A folder's files: what is there, and which paths to look at again.

All of it may block; an event loop calls it in a thread.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

_OBSERVED: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]


@dataclass(frozen=True, slots=True)
class FileVersion:
    """What changes when a file is written, touched or replaced."""

    mtime_ns: int
    size: int
    inode: int
    #: When content, name or mode last changed; unlike `mtime_ns` no program can set it.
    ctime_ns: int = field(compare=False)


class Folder:
    """A folder whose regular files are data, and nothing that a link inside makes of the world outside."""

    def __init__(self, path: Path, depth: int | None, fits: Callable[[str], bool]) -> None:
        """Prepare.

        Args:
            depth: How many levels of files are looked for; None is all.
            fits: Says of a path below the folder whether it is wanted.
        """
        self._path = path
        self._depth = depth
        self._fits = fits

    def scan(self, below: str = "") -> dict[str, FileVersion]:
        """Return the wanted files of the folder, or of one of its folders, by path below this one.

        What cannot be read, or is gone by now, is left out.
        """
        return dict(self._look(self._walk(below)))

    def look(self, paths: Iterable[str]) -> dict[str, FileVersion]:
        """Return those of the paths (below this folder) that are data."""
        return dict(self._look(path for path in paths if self._fits(path)))

    def _walk(self, below: str) -> Iterator[str]:
        folders = [below]
        while folders:
            folder = folders.pop()
            level = folder.count("/") + 1 if folder else 0
            may_descend = self._depth is None or level + 1 < self._depth
            try:
                with os.scandir(self._path / folder) as entries:
                    for entry in entries:
                        path = f"{folder}/{entry.name}" if folder else entry.name
                        if entry.is_dir(follow_symlinks=False):
                            if may_descend:
                                folders.append(path)
                        elif self._fits(path):
                            yield path
            except OSError:
                continue

    def _look(self, paths: Iterable[str]) -> Iterator[tuple[str, FileVersion]]:
        real = os.path.realpath(self._path)
        real_folders: dict[str, str] = {}
        for path in paths:
            folder = path.rpartition("/")[0]
            if folder not in real_folders:
                real_folders[folder] = os.path.realpath(f"{real}/{folder}")
            if not _is_inside(real_folders[folder], real):
                continue
            try:
                version = _version(f"{real}/{path}", real)
            except OSError:
                continue
            if version is not None:
                yield path, version


def _version(path: str, root: str) -> FileVersion | None:
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        if not _is_inside(os.path.realpath(path), root):
            return None
        found = os.stat(path)  # noqa: PTH116  # As above: a path here is a text.
    if not stat.S_ISREG(found.st_mode):
        return None
    return FileVersion(found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns)


def _is_inside(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root.rstrip('/')}/")


@dataclass(slots=True)
class Noticed:
    """What to look at again, as paths below the folder."""

    files: set[str] = field(default_factory=set)
    #: Files that were renamed within the folder.
    renamed: set[str] = field(default_factory=set)
    #: Folders whose whole content is to be looked at.
    folders: set[str] = field(default_factory=set)
    #: What is watched is gone or came into being: `Watch.arm` is due.
    is_disarmed: bool = False

    def __bool__(self) -> bool:
        return bool(self.files or self.renamed or self.folders or self.is_disarmed)


class Watch:
    """Watches a folder; where it does not exist yet, the nearest folder above it."""

    def __init__(
        self, path: Path, top: Path, *, is_deep: bool, fits: Callable[[str], bool], wake: Callable[[], None]
    ) -> None:
        """Prepare.

        Args:
            top: `path` is inside it, or it itself; nothing above it is watched.
            is_deep: Watch the folders in it too.
            fits: Says of a path below the folder whether it is wanted.
            wake: Called, in another thread, when there is something to `take`.
        """
        self.fits = fits
        self._path = path
        self._top = top
        self._is_deep = is_deep
        self._wake = wake
        self._lock = threading.Lock()
        self._noticed = Noticed()
        self._observer: BaseObserver | None = None
        self._armed: tuple[str, int, int] | None = None

    def arm(self) -> bool:
        """Make sure that what should be watched is; return whether anything had to be done.

        If so, what happened before may have been missed: a scan is due.

        Raises:
            OSError: the folder cannot be watched; inotify's limits may be reached.
        """
        if self._observer is None:
            observer = Observer()
            observer.start()
            self._observer = observer
        was_armed = True
        while (place := self._place()) != self._armed or not self._is_watching():
            was_armed = False
            self._observer.unschedule_all()
            self._armed = None
            if place is None:
                break
            is_folder = place[0] == os.path.realpath(self._path)
            handler = _Handler(self, place[0] if is_folder else None)
            try:
                # A real path: a link would be watched itself, not what it points at.
                self._observer.schedule(
                    handler, place[0], recursive=is_folder and self._is_deep, event_filter=_OBSERVED
                )
            except (FileNotFoundError, NotADirectoryError):
                continue
            self._armed = place
        return not was_armed

    def take(self) -> Noticed:
        """Return what was noticed since the last call."""
        with self._lock:
            noticed, self._noticed = self._noticed, Noticed()
        return noticed

    def close(self) -> None:
        """Stop watching."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()

    def note(self, *, files: str = "", renamed: str = "", folder: str | None = None) -> None:
        """Note what to look at again; without any of them it is the watch itself."""
        with self._lock:
            is_first = not self._noticed
            if files:
                self._noticed.files.add(files)
            elif renamed:
                self._noticed.renamed.add(renamed)
            elif folder is not None:
                self._noticed.folders.add(folder)
            else:
                self._noticed.is_disarmed = True
        if is_first:
            self._wake()

    def _place(self) -> tuple[str, int, int] | None:
        """Return the nearest folder that exists, and what tells it from another of its name."""
        path = self._path
        while True:
            try:
                found = path.stat()
            except OSError:
                found = None
            if found is not None and stat.S_ISDIR(found.st_mode):
                return os.path.realpath(path), found.st_dev, found.st_ino
            if path == self._top:
                return None
            path = path.parent

    def _is_watching(self) -> bool:
        emitters = self._observer.emitters if self._observer else ()
        return bool(emitters) and all(each.is_alive() for each in emitters)


class _Handler(FileSystemEventHandler):
    """Turns watchdog's events into what to look at again."""

    def __init__(self, watch: Watch, folder: str | None) -> None:
        """Prepare; `folder` None means that a folder above is watched, where only being counts."""
        self._watch = watch
        self._folder = folder

    def dispatch(self, event: FileSystemEvent) -> None:
        if self._folder is None:
            self._watch.note()
            return
        path = self._below(event.dest_path or event.src_path)
        if path is None:
            return
        if isinstance(event, DirDeletedEvent):
            if not path:
                self._watch.note()
        elif event.is_directory:
            self._watch.note(folder=path)
        elif not self._watch.fits(path):
            return
        elif isinstance(event, FileMovedEvent):
            self._watch.note(renamed=path)
        else:
            self._watch.note(files=path)

    def _below(self, path: str | bytes) -> str | None:
        """Return the path below the folder, "" for itself, None for another one."""
        assert self._folder is not None
        text = os.fsdecode(path)
        if text == self._folder:
            return ""
        prefix = f"{self._folder.rstrip('/')}/"
        return text.removeprefix(prefix) if text.startswith(prefix) else None
