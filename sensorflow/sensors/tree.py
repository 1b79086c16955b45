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


def topmost(folders: Set[str]) -> set[str]:
    """Return the folders that are in no other of them."""
    return {each for each in folders if not any(above in folders for above in _above(each))}


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path
