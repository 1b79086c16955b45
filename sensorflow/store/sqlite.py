"""The store in one SQLite file."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from sensorflow.core.state import State
from sensorflow.ports import Listing, StoreError
from sensorflow.store import queries
from sensorflow.store.ballast import Ballast
from sensorflow.store.sqlite_listing import SqliteListing
from sensorflow.store.sqlite_state import SqliteState
from sensorflow.store.upgrading import bring_up_to_date

#: A transaction with more rows than this is committed in the thread, whether others wait or not.
_LARGE_TRANSACTION_ROWS = 500
#: Of a file's pages so many may be free, for what comes next; what is beyond goes back to the disk, in a
#: transaction that has dropped rows, so many pages at once.
_FREE_SHARE, _PAGES_GIVEN_BACK = 0.25, 200
#: On a full disk the others go too: so many at once as the ballast has room for in the WAL.
_PAGES_GIVEN_BACK_IN_NEED = 1000


class SqliteStore:
    """Keeps all rows in the SQLite file at `path`, which is made where there is none.

    One connection writes: in the thread that calls, but for a COMMIT under load, during which nothing
    else touches it. A second one reads what is committed and cannot write. A commit is on disk, also
    when the power fails, before `commit` returns (WAL, synchronous=FULL).

    Raises:
        StoreError: the file cannot be opened, is no store, or was written by a newer version.
    """

    def __init__(self, path: str | Path, *, busy_timeout_s: float = 5.0, ballast_bytes: int = 0) -> None:
        """Open the file.

        Args:
            ballast_bytes: Room on the disk to keep for when it is full.
        """
        self.path = Path(path)
        self._ballast = Ballast(self.path.with_name(f"{self.path.name}-ballast"), ballast_bytes)
        self._writer = self._connect("rwc", busy_timeout_s)
        try:
            self._prepare()
            self._reading = self._connect("ro", busy_timeout_s)
            self._instance = self._read_instance()
        except BaseException:
            self._writer.close()
            raise
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._writing = SqliteState(self._writer, remembers=True)
        self._reader = SqliteState(self._reading)
        self._listing = SqliteListing(self._reading, self._reader)

    def _connect(self, mode: str, busy_timeout_s: float) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            connection.execute(f"PRAGMA busy_timeout = {round(busy_timeout_s * 1000)}")
            return connection
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be opened: {error}") from error

    def _prepare(self) -> None:
        try:
            if not self._pragma("page_count"):
                # Before all else: once there is something in the file, only writing it anew changes this.
                self._writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
            mode = self._writer.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            self._writer.execute("PRAGMA synchronous = FULL")
            # Debian's SQLite writes zeros over all that is deleted, for which a full disk has no room.
            self._writer.execute("PRAGMA secure_delete = FAST")
            self._writer.execute("PRAGMA cache_size = -16000")
            if mode != "wal":
                raise StoreError(f"{self.path}: its file system does not do SQLite's WAL; use a local disk")
            bring_up_to_date(self._writer, self.path)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be used as a store: {error}") from error

    def _read_instance(self) -> str:
        try:
            return str(self._reading.execute(queries.INSTANCE).fetchone()[0])
        except sqlite3.Error as error:
            self._reading.close()
            raise StoreError(f"{self.path}: cannot be read: {error}") from error

    def begin(self) -> State:
        if self._writing.is_open:
            raise RuntimeError("a transaction is open already")
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be written: {error}") from error
        self._writing.opened()
        return self._writing

    async def commit(self, *, busy: bool = False) -> None:
        if not self._writing.is_open:
            raise RuntimeError("no transaction is open")
        try:
            self._writing.write_all()
            if self._writing.dropped:
                self._give_back()
            rows = self._writing.written
            if rows > _LARGE_TRANSACTION_ROWS or (busy and rows):
                await self._commit_in_thread()
            else:
                self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            self.rollback()
            raise StoreError(f"{self.path}: cannot be written: {error}") from error
        except BaseException:
            self.rollback()
            raise
        self._writing.committed()

    def _give_back(self) -> None:
        """Shorten the file by some of the pages that what was dropped has left free."""
        free = self._pragma("freelist_count") - int(_FREE_SHARE * self._pragma("page_count"))
        self._shorten(min(free, _PAGES_GIVEN_BACK))

    def _shorten(self, pages: int) -> None:
        for _ in range(pages):
            # Python takes one step of a statement without columns, which is one page.
            self._writer.execute("PRAGMA incremental_vacuum")

    def _pragma(self, name: str) -> int:
        return int(self._writer.execute(f"PRAGMA {name}").fetchone()[0])

    async def _commit_in_thread(self) -> None:
        commit = self._committer.submit(self._writer.execute, "COMMIT")
        try:
            await asyncio.shield(asyncio.wrap_future(commit))
        except asyncio.CancelledError:
            # The connection must be free when this is left, so the loop waits for the disk for once.
            wait([commit])
            if commit.exception() is None:
                self._writing.committed()
            raise

    def rollback(self) -> None:
        if not self._writing.is_open:
            return
        try:
            # SQLite itself may have undone the transaction when the disk was full.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be undone: {error}") from error
        finally:
            self._writing.undone()

    def make_room(self) -> None:
        self._ballast.give_up()

    def recover(self) -> None:
        try:
            if not self._ballast.fits():
                self._make_shorter()
            self._ballast.take()
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.execute(queries.WRITE_SOMETHING)
            self._writer.execute("COMMIT")
        except (sqlite3.Error, OSError, StoreError) as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise StoreError(f"{self.path}: cannot be written: {error}") from error

    def _make_shorter(self) -> None:
        """Let the disk have the room of the WAL, and of some pages that are free."""
        self._write_back()
        if free := self._pragma("freelist_count"):
            self._writer.execute("BEGIN IMMEDIATE")
            self._shorten(min(free, _PAGES_GIVEN_BACK_IN_NEED))
            self._writer.execute("COMMIT")
            self._write_back()

    def _write_back(self) -> None:
        self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    @property
    def reader(self) -> State:
        return self._reader

    @property
    def listing(self) -> Listing:
        return self._listing

    @property
    def instance(self) -> str:
        return self._instance

    def close(self) -> None:
        self._committer.shutdown()
        self.rollback()
        self._reading.close()
        self._ballast.give_up()
        # Last, because the last one to close writes the WAL back into the file, and only a writer may.
        self._writer.close()
