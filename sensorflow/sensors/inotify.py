"""What the kernel says of a folder and of the folders in it, by watchdog's reader of inotify."""

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from itertools import count
from typing import Protocol

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

_MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
    | InotifyConstants.IN_EXCL_UNLINK
)
#: The two halves of a rename follow each other closely; so many others may come between.
RENAMES = 256


class Notices(Protocol):
    """Takes what was noticed, in the thread that reads inotify. Paths are below the watched folder."""

    def file(self, path: str, *, is_renamed: bool) -> None:
        """Something happened to a file; `is_renamed`: it came by a rename within the folder."""

    def folder(self, path: str, *, is_renamed: bool) -> None:
        """A folder is new, with all that is in it."""

    def lost(self) -> None:
        """The watched folder is gone, or inotify's queue has overflowed: anything may have happened."""

    def died(self, error: Exception) -> None:
        """Nothing more will be noticed."""


class FolderWatcher(WatchCallback):
    """Watches one folder.

    Not watchdog's own `Observer`: that one tells nobody when the kernel's queue has overflowed or a thread
    of it has died, and warns where a new folder is met in two ways.
    """

    def __init__(self, root: str, *, is_deep: bool, notices: Notices) -> None:
        """Watch.

        Args:
            root: A real path.
            is_deep: Watch the folders in it too.

        Raises:
            OSError: `root` cannot be watched; inotify's limits may be reached.
        """
        self._root = root
        self._is_deep = is_deep
        self._notices = notices
        self._lock = threading.Lock()
        self._ids = count()
        #: By watch, the folder below `root` and the id under which the reader knows us there.
        self._folders: dict[WatchDescriptor, tuple[str, CallbackId]] = {}
        self._unwatched: dict[str, OSError] = {}
        #: What ties the two halves of a rename together, of those whose first half was seen.
        self._renames: deque[int] = deque(maxlen=RENAMES)
        self._reader = _Reader(notices.died)
        self._reader.start()
        try:
            self._watch("")
        except OSError:
            self.close()
            raise

    @property
    def unwatched(self) -> Mapping[str, OSError]:
        """The folders that could not be watched, and why."""
        with self._lock:
            return dict(self._unwatched)

    def watch_rest(self) -> None:
        """Try again to watch what could not be watched."""
        for folder in self.unwatched:
            self._watch(folder)

    def close(self) -> None:
        """Stop watching."""
        self._reader.stop()
        self._reader.join()

    def on_event(self, event: InotifyEvent) -> None:
        with self._lock:
            folder, _ = self._folders.get(event.wd, (None, None))
        if folder is None:
            return
        if not event.name:  # The watched folder itself.
            if event.is_move_self and not folder:
                self._notices.lost()
            return
        path = _below(folder, os.fsdecode(event.name))
        is_renamed = event.is_moved_to and event.cookie in self._renames
        if event.is_moved_from:
            self._renames.append(event.cookie)
        if not event.is_directory:
            if not event.is_moved_from:
                self._notices.file(path, is_renamed=is_renamed)
        elif event.is_moved_from:
            self._forget(path)
        elif event.is_create or event.is_moved_to or self._is_unwatched(path):
            if self._is_deep:
                self._watch(path)
            self._notices.folder(path, is_renamed=is_renamed)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        with self._lock:
            folder, _ = self._folders.pop(wd, (None, None))
        if folder == "" and self._reader.should_keep_running():
            self._notices.lost()

    def on_queue_overflow(self) -> None:
        self._notices.lost()

    def _watch(self, below: str) -> None:
        """Watch a folder, and look for those in it only then, so that none falls between."""
        folders = [below]
        while folders:
            folder = folders.pop()
            try:
                self._watch_one(folder)
                if self._is_deep:
                    with os.scandir(self._path(folder)) as entries:
                        inside = [each.name for each in entries if each.is_dir(follow_symlinks=False)]
                    folders += [_below(folder, name) for name in inside]
            except OSError as error:
                if not folder:
                    raise
                is_gone = isinstance(error, FileNotFoundError | NotADirectoryError)
                self._note_unwatched(folder, None if is_gone else error)
            else:
                self._note_unwatched(folder, None)

    def _watch_one(self, folder: str) -> None:
        path = self._path(folder)
        with self._lock:
            own_id = CallbackId(next(self._ids))
            watch = self._reader.add_callback(os.fsencode(path), _MASK, self, own_id)
            if watch == -1:  # So it says that it may not, where it raises for all else.
                self._reader.remove_callbacks([(watch, own_id)])
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            _, former_id = self._folders.get(watch, (None, None))
            self._folders[watch] = (folder, own_id)
            if former_id is not None:
                self._reader.remove_callbacks([(watch, former_id)])

    def _is_unwatched(self, folder: str) -> bool:
        with self._lock:
            return folder in self._unwatched

    def _note_unwatched(self, folder: str, error: OSError | None) -> None:
        with self._lock:
            if error is None:
                self._unwatched.pop(folder, None)
            else:
                self._unwatched[folder] = error

    def _forget(self, path: str) -> None:
        """Let go of a folder that was moved away, and of all in it."""
        with self._lock:
            for folder in [each for each in self._unwatched if _is_in(each, path)]:
                del self._unwatched[folder]
            gone = [(wd, own_id) for wd, (folder, own_id) in self._folders.items() if _is_in(folder, path)]
            for wd, _ in gone:
                del self._folders[wd]
            self._reader.remove_callbacks(gone)

    def _path(self, folder: str) -> str:
        return f"{self._root}/{folder}" if folder else self._root


class _Reader(InotifyFD):
    """Reads inotify, and says when it cannot go on."""

    def __init__(self, died: Callable[[Exception], None]) -> None:
        super().__init__()
        self._died = died

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:  # noqa: BLE001  # What ends a thread reaches nobody by itself.
            if self.should_keep_running():
                self._died(error)


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
