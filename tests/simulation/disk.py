"""The real SQLite store, on a disk that fills up, under a process that dies in the middle of its writes."""

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache, partial
from pathlib import Path
from typing import Any

from sensorflow.store.sqlite import SqliteStore
from tests.simulation.world import Crash, World

#: Where a process may die: (what it was about to do or had just done).
IO_POINTS = (
    *("before BEGIN", "after BEGIN", "before write", "after write", "before write", "after write"),
    *("before COMMIT", "during COMMIT", "during COMMIT", "after COMMIT", "before ROLLBACK"),
)


class Disk:
    """The folder of a store, and what goes wrong with it."""

    def __init__(self, world: World) -> None:
        self.world = world
        memory = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self._generation = 0
        #: The point at which the process dies, and how often it passes there before.
        self.dies_at: tuple[str, int] | None = None
        #: What is refused at the moment: BEGIN, write, COMMIT or read.
        self.refuses: frozenset[str] = frozenset()
        #: How many of these are let through before.
        self.lets_through = 0
        #: Told that the process is dead, before anything else can happen.
        self.died: Callable[[str], None] = lambda why: None
        self._place().mkdir()
        (self._place() / "state.db").write_bytes(_empty_store())

    @property
    def path(self) -> Path:
        return self._place() / "state.db"

    def close(self) -> None:
        self._folder.cleanup()

    def keep(self, wal_bytes: int | None = None) -> None:
        """Keep the files as they are now, as the kernel does for a process that dies.

        Args:
            wal_bytes: Where the write to the WAL was cut off.
        """
        before = self._place()
        self._generation += 1
        self._place().mkdir()
        for name in ("state.db", "state.db-wal"):
            if (before / name).exists():
                shutil.copyfile(before / name, self._place() / name)
        if wal_bytes is not None:
            with (self._place() / "state.db-wal").open("r+b") as wal:
                wal.truncate(wal_bytes)

    def io(self, what: str, perform: Callable[[], Any]) -> Any:
        """Let the process do something to its file, or die at it, or be refused."""
        self._pass(f"before {what}")
        if what in self.refuses and not self.world.is_calm:
            self.lets_through -= 1
            if self.lets_through < 0:
                raise sqlite3.OperationalError("database or disk is full")
        if what == "COMMIT" and self.dies_at is not None and self.dies_at[0] == "during COMMIT":
            return self._commit(perform)
        done = perform()
        self._pass(f"after {what}")
        return done

    def _pass(self, point: str) -> None:
        if self.dies_at is None or self.dies_at[0] != point:
            return
        if self._counted():
            self.keep()
            self.died(point)
            raise Crash(point)

    def _counted(self) -> bool:
        assert self.dies_at is not None
        point, left = self.dies_at
        self.dies_at = (point, left - 1) if left else None
        return self.dies_at is None

    def _commit(self, perform: Callable[[], Any]) -> Any:
        wal = self.path.with_name("state.db-wal")
        before = wal.stat().st_size
        done = perform()
        if self._counted():
            after = wal.stat().st_size
            self.keep(self.world.random.randrange(before, after) if after > before else None)
            self.died("during COMMIT")
            raise Crash("during COMMIT")
        return done

    def _place(self) -> Path:
        return Path(self._folder.name) / str(self._generation)


class _Connection(sqlite3.Connection):
    """A connection of the store."""

    #: None while the store is being opened.
    disk: Disk | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        perform = partial(super().execute, sql, parameters)
        what = sql.split(None, 1)[0]
        if self.disk is None:
            return perform()
        if what == "SELECT":
            if "read" in self.disk.refuses and self.disk.world.chance(0.2):
                raise sqlite3.OperationalError("disk I/O error")
            return perform()
        what = what if what in ("BEGIN", "COMMIT", "ROLLBACK") else "write"
        done: sqlite3.Cursor = self.disk.io(what, perform)
        return done

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        perform = partial(super().executemany, sql, parameters)
        done: sqlite3.Cursor = perform() if self.disk is None else self.disk.io("write", perform)
        return done


class _CommitThread:
    """Stands for the thread that commits: takes its time, and says so a little later."""

    def __init__(self, world: World) -> None:
        self._world = world

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self._world.after(self._delay_s(), self._work, future, function, arguments)
        return future

    def shutdown(self) -> None:
        """Has nothing to let go of."""

    def _work(self, future: "Future[Any]", function: Callable[..., Any], arguments: Any) -> None:
        try:
            done = function(*arguments)
        except sqlite3.Error as error:
            self._world.after(self._delay_s(), future.set_exception, error)
        else:
            self._world.after(self._delay_s(), future.set_result, done)

    def _delay_s(self) -> float:
        slow = self._world.chance(0.1)
        return self._world.random.uniform(0, 0.5 if slow else 0.01)


class SimulatedStore(SqliteStore):
    """The SQLite store, with its disk and its thread simulated."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk.path)
        self._world = disk.world
        assert isinstance(self._writer, _Connection)
        assert isinstance(self._reading, _Connection)
        # A torn commit is cut out of the WAL, so that may only grow. No power is lost, so nothing is synced.
        self._writer.execute("PRAGMA wal_autocheckpoint = 0")
        self._writer.execute("PRAGMA synchronous = OFF")
        self._writer.disk = self._reading.disk = disk
        self._committer = _CommitThread(disk.world)  # type: ignore[assignment]

    async def commit(self, *, busy: bool = False) -> None:
        # What comes together in real time is seldom together here, so the seed says when there is a load.
        await super().commit(busy=busy or self._world.chance(0.3))

    def _connect(self, mode: str, busy_timeout_s: float) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
            cached_statements=256,
        )

    def operations(self) -> Counter[tuple[str, ...]]:
        """Count what operators did, by kind, run, dataset and partition."""
        found = self._reading.execute("SELECT kind, run_id, dataset, partition FROM operations")
        return Counter(
            (kind, run, dataset, "" if run else partition) for kind, run, dataset, partition in found
        )

    def let_go(self) -> None:
        """Let nobody see what a dead process still does to its files; those that it left are elsewhere."""
        assert isinstance(self._writer, _Connection)
        assert isinstance(self._reading, _Connection)
        self._writer.disk = self._reading.disk = None


@cache
def _empty_store() -> bytes:
    """Return the file of a store in which nothing has happened."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        SqliteStore(path).close()
        return path.read_bytes()
