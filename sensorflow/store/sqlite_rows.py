"""What a transaction has put into the tables and not written, and what is remembered of them."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any, Generic, TypeVar

from sensorflow.core.state import AttemptRow, TaskRow
from sensorflow.core.states import AttemptState
from sensorflow.store.run_tasks import RunTasks
from sensorflow.store.tables import Row, Table

Known = TypeVar("Known")

#: So many rows, or groups of rows, of one table are remembered from transaction to transaction.
KNOWN = 10_000
#: And so many more until the oldest are let go of, together: a dictionary that loses its first row again and
#: again looks for its new first one behind all that were there.
_SPARE = 1_000


class Rows(Generic[Row]):
    """What a transaction has put into one table, by key, and is not written yet."""

    __slots__ = ("table", "unwritten")

    def __init__(self, table: Table[Row]) -> None:
        self.table = table
        self.unwritten: dict[Any, Row] = {}

    def forget(self) -> None:
        """Undo what was put."""
        self.unwritten.clear()

    def shrink(self) -> None:
        """Let go of what is remembered beyond a limit; called between transactions."""


class _Remembered(Rows[Row], Generic[Row, Known]):
    """Rows that decisions ask for again and again: what was read or put is known to later transactions."""

    __slots__ = ("known",)

    def __init__(self, table: Table[Row]) -> None:
        super().__init__(table)
        self.known: dict[Any, Known] = {}

    def forget(self) -> None:
        super().forget()
        self.known.clear()

    def shrink(self) -> None:
        shrink_to_limit(self.known)


class KnownRows(_Remembered[Row, Row | None]):
    """Such rows by their keys; None where the database has no such row."""


class Groups(_Remembered[Row, dict[str, Row]]):
    """Rows that are read together: all whose keys are the same but for their last column.

    A group is read before one of its rows is put, so what is known of it is whole.
    """


class TasksOfRuns(_Remembered[TaskRow, RunTasks]):
    """The tasks of runs, by run; like `Groups`, those of one are read before a row of it is put."""


class RunningAttempts:
    """The attempts that run, and how many of each pipeline: they are few, and each start asks for them."""

    __slots__ = ("of_pipeline", "rows")

    def __init__(self, rows: Iterable[AttemptRow]) -> None:
        #: By run, task and number.
        self.rows: dict[tuple[str, str, int], AttemptRow] = {}
        self.of_pipeline: Counter[str] = Counter()
        for row in rows:
            self.put(row)

    def put(self, row: AttemptRow) -> None:
        """Take note of how an attempt is now."""
        key = (row.run_id, row.task, row.number)
        if (old := self.rows.pop(key, None)) is not None:
            self.of_pipeline[old.pipeline] -= 1
        if row.state is AttemptState.RUNNING:
            self.rows[key] = row
            self.of_pipeline[row.pipeline] += 1


def shrink_to_limit(known: dict[Any, Any]) -> None:
    """Forget what has been known for longest."""
    if len(known) > KNOWN + _SPARE:
        for key in list(islice(known, len(known) - KNOWN)):
            del known[key]
