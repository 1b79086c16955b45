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


def _store(store: Path, report: StoreReport, now: float) -> Iterator[Finding]:
    if report.faults:
        text = f"{store} is damaged: {'; '.join(report.faults)}"
        yield wrong("store", text, f"stop the service, keep the file, and {_RESTORE}")
    elif report.unknown_steps:
        text = f"{store} was written by a newer version (it has {', '.join(report.unknown_steps)})"
        yield wrong("store", text, "use that version of sensorflow or a newer one")
    else:
        events = f"{report.newest_seq:,} events so far" if report.newest_seq else "no events yet"
        yield well("store", f"{store} is whole: {size(report.size)}, {events}")
        yield _schema(report)
    if report.newest_at is not None and report.newest_at > now + _AHEAD_S:
        ahead = describe_duration(report.newest_at - now)
        text = f"the newest event was stored {ahead} in the future: the clock has been put back since"
        yield wrong("clock", text, "let NTP keep the clock; until then timers are late by as much")


def _schema(report: StoreReport) -> Finding:
    if report.steps_to_take:
        text = f"its schema is older: the next start takes {len(report.steps_to_take)} steps"
        return note("schema", text, "`sensorflow backup FILE` before that start, to be able to go back")
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
