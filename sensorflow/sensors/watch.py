"""Which paths of a folder to look at again. All of it may block; an event loop calls it in a thread."""

import errno
import os
import stat
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

if sys.platform == "linux":
    from sensorflow.sensors.inotify import FolderWatcher, Notices

#: Characters of a path that are shown where only an example is needed.
SHOWN = 200


@dataclass(slots=True)
class Noticed:
    """What to look at again, as paths below the folder."""

    files: set[str] = field(default_factory=set)
    #: Files that were renamed within the folder.
    renamed: set[str] = field(default_factory=set)
    #: Folders whose whole content is to be looked at.
    folders: set[str] = field(default_factory=set)
    #: The same, of those that were renamed within the folder.
    renamed_folders: set[str] = field(default_factory=set)
    #: Anything may have happened: `Watch.arm` is due, and a scan behind it.
    is_lost: bool = False
    #: What ended the watch.
    error: Exception | None = None

    def __bool__(self) -> bool:
        return bool(
            self.files or self.renamed or self.folders or self.renamed_folders or self.is_lost or self.error
        )


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
        self._fits = fits
        self._path = path
        self._top = top
        self._is_deep = is_deep
        self._wake = wake
        #: Held while the watch itself changes.
        self._arming = threading.Lock()
        self._is_closed = False
        self._lock = threading.Lock()
        self._noticed = Noticed()
        self._watcher: FolderWatcher | None = None
        self._watched: _Place | None = None
        self._is_lost = False

    def arm(self) -> None:
        """Make sure that what should be watched is. What happened before may have been missed.

        Raises:
            OSError: the folder cannot be watched, or not all of it; inotify's limits may be reached.
        """
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, "this system has no inotify")
        with self._arming:
            if not self._is_closed:
                self._arm()

    def take(self) -> Noticed:
        """Return what was noticed since the last call."""
        with self._lock:
            noticed, self._noticed = self._noticed, Noticed()
        return noticed

    def close(self) -> None:
        """Stop watching, for good."""
        with self._arming:
            self._is_closed = True
            self._let_go()

    def file(self, path: str, *, is_renamed: bool) -> None:
        if self._fits(path):
            self._note(lambda noticed: (noticed.renamed if is_renamed else noticed.files).add(path))

    def folder(self, path: str, *, is_renamed: bool) -> None:
        self._note(lambda noticed: (noticed.renamed_folders if is_renamed else noticed.folders).add(path))

    def lost(self) -> None:
        self._is_lost = True

        def note(noticed: Noticed) -> None:
            noticed.is_lost = True

        self._note(note)

    def died(self, error: Exception) -> None:
        def note(noticed: Noticed) -> None:
            noticed.error = error

        self._note(note)

    def _arm(self) -> None:
        if self._is_lost:
            self._let_go()
        while (place := self._place()) != self._watched:
            self._let_go()
            if place is None:
                return
            notices: Notices = _Above(self, place.missing) if place.missing else self
            is_deep = self._is_deep and not place.missing
            try:
                self._watcher = FolderWatcher(place.path, is_deep=is_deep, notices=notices)
            except (FileNotFoundError, NotADirectoryError):
                continue
            self._watched = place
        if self._watcher is not None:
            self._watcher.watch_rest()
            if unwatched := self._watcher.unwatched:
                folder, error = next(iter(unwatched.items()))
                more = f" and {len(unwatched) - 1} folders more" if len(unwatched) > 1 else ""
                raise OSError(error.errno, f"{error.strerror or error}: {folder[:SHOWN]}{more}")

    def _let_go(self) -> None:
        watcher, self._watcher, self._watched, self._is_lost = self._watcher, None, None, False
        if watcher is not None:
            watcher.close()

    def _note(self, note: Callable[[Noticed], None]) -> None:
        with self._lock:
            is_first = not self._noticed
            note(self._noticed)
        if is_first:
            self._wake()

    def _place(self) -> "_Place | None":
        """Return the folder, or the nearest one above it that exists."""
        path, missing = self._path, ""
        while True:
            try:
                found = path.stat()
            except OSError:
                found = None
            if found is not None and stat.S_ISDIR(found.st_mode):
                return _Place(os.path.realpath(path), found.st_dev, found.st_ino, missing)
            if path == self._top:
                return None
            path, missing = path.parent, path.name


@dataclass(frozen=True, slots=True)
class _Place:
    """What is watched, and what tells it from another folder of its name."""

    path: str
    device: int
    inode: int
    #: The name in it that is not there yet; empty where the whole path is there.
    missing: str


class _Above:
    """Takes what is noticed in a folder above, where only matters whether the missing folder comes."""

    def __init__(self, watch: Watch, missing: str) -> None:
        self._watch = watch
        self._missing = missing

    def file(self, path: str, *, is_renamed: bool) -> None:
        self.folder(path, is_renamed=is_renamed)  # It may be a link to the folder.

    def folder(self, path: str, *, is_renamed: bool) -> None:
        if path == self._missing:
            self._watch.lost()

    def lost(self) -> None:
        self._watch.lost()

    def died(self, error: Exception) -> None:
        self._watch.died(error)
