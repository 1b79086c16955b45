"""The store: is it whole, whose is it, and is there room for more."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sensorflow.cli.doctor.finding import Finding, note, size, well, wrong
from sensorflow.core.durations import describe_duration
from sensorflow.ports import StoreError
from sensorflow.store.sqlite_file import StoreReport, examine, has_wal_reset_bug

#: Below it there is no room to work.
_FREE_BYTES = 100_000_000
_FREE_INODES = 1000
#: An event so far in the future was stored by a clock that has been put back since.
_AHEAD_S = 60.0

_MOUNTS = Path("/proc/mounts")
_OF_OTHER_MACHINES = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.glusterfs"})
_OF_MEMORY = frozenset({"tmpfs", "ramfs"})

_RESTORE = "restore a backup: see the how-to, Back up and restore"


def findings(store: Path, *, thoroughly: bool, now: float) -> Iterator[Finding]:
    """Yield how the file of the store is, and what it stands on."""
    if store.exists():
        try:
            yield from _store(store, examine(store, thoroughly=thoroughly), now)
        except StoreError as error:
            yield wrong("store", str(error), f"may this user read it? if so: {_RESTORE}")
    else:
        yield note("store", f"there is no {store} yet: the first `sensorflow serve` makes it")
    yield _sqlite()
    yield from _disk(store)
    yield from _file_system(store)


def _store(store: Path, report: StoreReport, now: float) -> Iterator[Finding]:
    if report.faults:
        text = f"{store} is damaged: {'; '.join(report.faults)}"
        yield wrong("store", text, f"stop the service, keep the file, and {_RESTORE}")
    elif report.unknown_steps:
        text = f"{store} was written by a newer version (it has {', '.join(report.unknown_steps)})"
        yield wrong("store", text, "use that version of sensorflow or a newer one")
    else:
        events = f"{report.newest_seq:,} events so far" if report.newest_seq else "no events yet"
        yield well(
            "store", f"{store} is whole: {size(report.size)}, of which {size(report.free)} are free, {events}"
        )
        yield _schema(report)
    if report.newest_at is not None and report.newest_at > now + _AHEAD_S:
        ahead = describe_duration(report.newest_at - now)
        text = f"the newest event was stored {ahead} in the future: the clock has been put back since"
        yield wrong("clock", text, "let NTP keep the clock; until then timers are late by as much")


def _schema(report: StoreReport) -> Finding:
    if report.steps_to_take:
        steps = ", ".join(report.steps_to_take)
        text = f"its schema is older: the next start copies it and takes what it lacks ({steps})"
        return note("schema", text, f"see that twice its size is free, {size(2 * report.size)}")
    if not report.gives_back:
        text = "its schema is this version's; the file does not become shorter when what is old is removed"
        fix = f"start the service again with {size(2 * report.size)} free: it then writes the file anew"
        return note("schema", text, fix)
    return well("schema", "its schema is this version's")


def _sqlite() -> Finding:
    version = sqlite3.sqlite_version
    if has_wal_reset_bug(sqlite3.sqlite_version_info):
        text = (
            f"SQLite {version} has the WAL-reset bug (mended in 3.44.6, 3.50.7 and 3.51.3), which needs two "
            "connections that write or checkpoint at once; here one writes and all others only read"
        )
        fix = "never write the store with another program while the service runs"
        return note("sqlite", text, fix)
    return well("sqlite", f"SQLite {version}")


def _disk(store: Path) -> Iterator[Finding]:
    folder = next(folder for folder in store.absolute().parents if folder.exists())
    total, _, free = shutil.disk_usage(folder)
    needed = store.stat().st_size if store.exists() else 0
    text = f"{size(free)} of {size(total)} are free below {folder}"
    if free < _FREE_BYTES:
        fix = "make room: on a full disk events are refused (503), and none that was acknowledged is lost"
        yield wrong("disk", text, fix)
    elif free < needed:
        yield note("disk", f"{text}: less than the store's {size(needed)}", "back up to another disk")
    else:
        yield well("disk", text)
    inodes = os.statvfs(folder)
    if inodes.f_files and inodes.f_favail < _FREE_INODES:
        yield wrong("disk", f"{inodes.f_favail} inodes are free below {folder}", "remove files")


def _file_system(store: Path) -> Iterator[Finding]:
    """Yield what is wrong with the kind of file system that the store is on."""
    kind = _kind_of_file_system(store.absolute())
    if kind in _OF_OTHER_MACHINES:
        text = f"the store is on a file system of another machine ({kind}), where SQLite's locks do not hold"
        yield wrong(
            "disk", text, "keep the store on a local disk (the setting `store`), and back up to the other"
        )
    elif kind in _OF_MEMORY:
        text = f"the store is in memory ({kind}): all of it is gone when the machine is"
        yield note("disk", text, "keep it on a disk (the setting `store`)")


def _kind_of_file_system(path: Path) -> str | None:
    """Return the type of the file system that a path is on; None where that cannot be seen."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    mounts = [line.split(" ") for line in lines]
    # The innermost, and of those on one place the last, which hides the others.
    found = [
        (len(Path(place).parts), number, kind)
        for number, (_, place, kind, *_) in enumerate(mounts)
        if path.is_relative_to(place)
    ]
    return max(found)[2] if found else None
