"""The file of a store as others see it: looked at and copied, by a connection that cannot write.

A reader takes no lock that a writer waits for, so all of this may be done while the service serves.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sensorflow.ports import StoreError
from sensorflow.store.migrations import is_new, steps_between

#: Pages that are copied between two words of progress: 16 MB where a page has 4 kB.
_PAGES_AT_ONCE = 4096
#: A check names so many faults at most; with the first of them the file is to be replaced anyway.
_FAULTS = 10
#: SQLite's number for a file that gives pages back when it is told to.
INCREMENTAL = 2

_NEWEST_EVENT = "SELECT seq, received_at FROM events ORDER BY seq DESC LIMIT 1"
#: The versions that have SQLite's WAL-reset bug are those before the first of these that fits.
_WAL_RESET_MENDED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """How the file of a store is."""

    #: In bytes, with what still stands in the WAL.
    size: int
    #: Of these so many are free for what comes next.
    free: int
    #: It is shortened when much is free.
    gives_back: bool
    #: What the check found; empty is well.
    faults: tuple[str, ...]
    #: Steps of the schema that only a newer version knows.
    unknown_steps: tuple[str, ...]
    #: Steps that the next start takes.
    steps_to_take: tuple[str, ...]
    #: The number of the newest event; 0 is none.
    newest_seq: int
    newest_at: float | None


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Tell whether a version of SQLite may damage a file that two connections write or checkpoint at once."""
    return version < _WAL_RESET_MENDED[-1] and not any(
        version[:2] == mended[:2] and version >= mended for mended in _WAL_RESET_MENDED
    )


def examine(path: Path, *, thoroughly: bool) -> StoreReport:
    """Return how the file of a store is.

    Args:
        thoroughly: Compare every index with its table too, which takes several times as long.

    Raises:
        StoreError: it cannot be read at all.
    """
    with _reading(path) as connection:
        faults = _faults(connection, thoroughly=thoroughly)
        unknown, to_take = ([], []) if faults else steps_between(connection)
        has_events = not faults and not is_new(to_take)
        newest = connection.execute(_NEWEST_EVENT).fetchone() if has_events else None
        return StoreReport(
            size=_pragma(connection, "page_count") * _pragma(connection, "page_size"),
            free=_pragma(connection, "freelist_count") * _pragma(connection, "page_size"),
            gives_back=_pragma(connection, "auto_vacuum") == INCREMENTAL,
            faults=faults,
            unknown_steps=tuple(unknown),
            steps_to_take=tuple(to_take),
            newest_seq=newest[0] if newest else 0,
            newest_at=newest[1] if newest else None,
        )


def back_up(path: Path, target: Path, progress: Callable[[int, int], None]) -> StoreReport:
    """Copy all that is committed at this moment to a file of its own, and return how that one is.

    The target appears whole and checked, or not at all.

    Args:
        progress: Told of pages copied, and of how many there are.

    Raises:
        FileExistsError: the target is there already, and is left as it is.
        StoreError: the store cannot be read, or its copy cannot be written or is not whole.
    """
    if target.exists() or target.is_symlink():
        raise FileExistsError(target)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        # Made here, so that nobody else may read it at any time: it holds what events said.
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with _reading(path) as source:
            _copy(source, unfinished, progress)
        report = examine(unfinished, thoroughly=True)
        if report.faults:
            raise StoreError(f"the copy of {path} is not whole: {'; '.join(report.faults)}")
        _synced(unfinished)
        _publish(unfinished, target)
        _synced(target.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return report


def _copy(source: sqlite3.Connection, path: Path, progress: Callable[[int, int], None]) -> None:
    try:
        # One snapshot for all pages: without it the copy begins anew whenever somebody writes.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        copy = sqlite3.connect(path, isolation_level=None)
        try:
            source.backup(
                copy,
                pages=_PAGES_AT_ONCE,
                progress=lambda _, left, pages: progress(pages - left, pages),
            )
            # One file that needs no other beside it; a service that serves it puts it back into WAL.
            copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            copy.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: the store cannot be copied there: {error}") from error


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _faults(connection: sqlite3.Connection, *, thoroughly: bool) -> tuple[str, ...]:
    check = "integrity_check" if thoroughly else "quick_check"
    try:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA {check}({_FAULTS})")]
    except sqlite3.DatabaseError as error:
        return (str(error),)
    return () if found == ["ok"] else tuple(found)


def _publish(unfinished: Path, target: Path) -> None:
    try:
        os.link(unfinished, target)  # Unlike a rename it refuses what has appeared there meanwhile.
    except FileExistsError:
        raise
    except OSError:  # A file system without links, as that of many a stick.
        if target.exists():
            raise FileExistsError(target) from None
        unfinished.rename(target)


def _synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection that cannot write, nor checkpoint what others wrote.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            connection.execute("PRAGMA busy_timeout = 5000")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be read as a store: {error}") from error
