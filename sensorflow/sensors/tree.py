"""A folder's files: what is there.

All of it may block; an event loop calls it in a thread.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileVersion:
    """What changes when a file is written, touched or replaced."""

    mtime_ns: int
    size: int
    inode: int
    #: When content, name or mode last changed; unlike `mtime_ns` no program can set it.
    ctime_ns: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Found:
    """What a look brought, by path below the folder."""

    files: dict[str, FileVersion] = field(default_factory=dict)
    #: What fits and is not read, with the reason.
    refused: dict[str, str] = field(default_factory=dict)


class Folder:
    """A folder whose regular files are data, and nothing that a link inside makes of the world outside."""

    def __init__(
        self, path: Path, name: str, *, fits: Callable[[str], bool], may_hold: Callable[[str], bool]
    ) -> None:
        """Prepare.

        Args:
            name: What people call it.
            fits: Says of a path below the folder whether it is wanted.
            may_hold: Says of a folder below the folder whether what is wanted may be in it.
        """
        self._path = path
        self._name = name
        self._fits = fits
        self._may_hold = may_hold

    def scan(self, below: str = "") -> Found:
        """Look for all that is wanted in the folder, or in one of its folders.

        What cannot be read, or is gone by now, is left out.
        """
        found = Found()
        if not below or self._may_hold(below):
            self._look(self._walk(below, found), found)
        return found

    def look(self, paths: Iterable[str]) -> Found:
        """Look at those of the paths that are wanted."""
        found = Found()
        self._look((path for path in paths if self._fits(path)), found)
        return found

    def _walk(self, below: str, found: Found) -> Iterator[str]:
        folders = [below]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(self._path / folder) as entries:
                    for entry in entries:
                        path = f"{folder}/{entry.name}" if folder else entry.name
                        if entry.is_dir(follow_symlinks=False):
                            if self._may_hold(path):
                                folders.append(path)
                        elif self._fits(path):
                            yield path
                        elif entry.is_symlink() and self._may_hold(path) and entry.is_dir():
                            self._look_at_link(path, found)
            except OSError:
                continue

    def _look_at_link(self, path: str, found: Found) -> None:
        """Refuse a link to a folder outside; one to a folder inside adds nothing to what is there."""
        real = os.path.realpath(self._path)
        if not _is_inside(os.path.realpath(f"{real}/{path}"), real):
            found.refused[path] = self._leads_out()

    def _look(self, paths: Iterable[str], found: Found) -> None:
        real = os.path.realpath(self._path)
        real_folders: dict[str, str] = {}
        for path in paths:
            folder = path.rpartition("/")[0]
            if folder not in real_folders:
                real_folders[folder] = os.path.realpath(f"{real}/{folder}")
            try:
                if not _is_inside(real_folders[folder], real):
                    found.refused[path] = self._leads_out()
                else:
                    self._look_at(path, f"{real}/{path}", real, found)
            except OSError:
                continue

    def _look_at(self, path: str, place: str, root: str, found: Found) -> None:
        status = os.lstat(place)
        if stat.S_ISLNK(status.st_mode):
            if not _is_inside(os.path.realpath(place), root):
                found.refused[path] = self._leads_out()
                return
            status = os.stat(place)  # noqa: PTH116  # As above: a path here is a text.
        if stat.S_ISREG(status.st_mode):
            found.files[path] = FileVersion(
                status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns
            )
        elif not stat.S_ISDIR(status.st_mode):
            found.refused[path] = f"is {_kind(status.st_mode)}, not a file"

    def _leads_out(self) -> str:
        return f"is or lies behind a link that leads out of {self._name}"


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a FIFO"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _is_inside(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root.rstrip('/')}/")


def topmost(folders: Set[str]) -> set[str]:
    """Return the folders that are in no other of them."""
    return {each for each in folders if not any(above in folders for above in _above(each))}


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path
