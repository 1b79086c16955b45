"""What an older file of a store goes through before this version uses it."""

import os
import sqlite3
from itertools import count
from pathlib import Path

import structlog

from sensorflow.ports import StoreError
from sensorflow.store.migrations import is_new, migrate, steps_between
from sensorflow.store.sqlite_file import INCREMENTAL, back_up

log = structlog.get_logger(__name__)


def bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Give the file this version's schema; one that has another is copied first.

    Raises:
        StoreError: a newer version wrote it, or it cannot be copied; it is left as it is.
        sqlite3.Error: it cannot be changed.
    """
    unknown, to_take = steps_between(connection)
    if unknown:
        raise StoreError(
            f"{path}: was written by a newer version of sensorflow "
            f"(it has {', '.join(unknown)}); use that version or a newer one"
        )
    if to_take and not is_new(to_take):
        backup = _backup_path(path, to_take[0])
        log.warning("an older version wrote this store", store=str(path), backup=str(backup), steps=to_take)
        back_up(path, backup, lambda *_: None)
    migrate(connection)
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != INCREMENTAL:
        _let_give_back(connection, path)


def _backup_path(path: Path, step: str) -> Path:
    """Return where a copy goes; one of an earlier upgrade, after which somebody went back, stays."""
    name = f"{path.name}.before-{step}"
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(found for found in map(path.with_name, names) if not os.path.lexists(found))


def _let_give_back(connection: sqlite3.Connection, path: Path) -> None:
    """Write the file anew, so that it can be shortened from then on."""
    log.warning("the store is written anew, so that it can give space back", store=str(path))
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        # It needs as much space again for a moment. The next start tries again; until then space is reused.
        log.warning("the store could not be written anew", store=str(path), error=str(error))
