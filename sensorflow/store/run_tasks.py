"""The tasks of one run as both stores keep them at hand: by name, and by state."""

from collections.abc import Collection, Iterable, Mapping

from sensorflow.core.state import TaskRow
from sensorflow.core.states import TaskState


class RunTasks:
    """The rows of one run's tasks. What is put, or taken away, costs the same however many there are."""

    __slots__ = ("_by_state", "_is_shown", "_is_sorted", "_rows")

    def __init__(self, rows: Iterable[TaskRow] = ()) -> None:
        self._rows = {row.task: row for row in rows}
        self._is_sorted = len(self._rows) < 2
        #: Somebody holds `_rows` itself, who is to keep it as it is.
        self._is_shown = False
        #: The names of those in each state, in no order; made when somebody first asks.
        self._by_state: dict[TaskState, dict[str, None]] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, task: str) -> TaskRow | None:
        """Return the row of a task."""
        return self._rows.get(task)

    def all(self) -> Mapping[str, TaskRow]:
        """Return the rows by name and in order; what is put later does not show in it."""
        if not self._is_sorted:
            self._rows = dict(sorted(self._rows.items()))
            self._is_sorted = True
        self._is_shown = True
        return self._rows

    def by_state(self) -> Mapping[TaskState, Collection[str]]:
        """Return the names of those in each state that one is in; what is put later does show in it."""
        if self._by_state is None:
            self._by_state = {}
            for row in self._rows.values():
                self._by_state.setdefault(row.state, {})[row.task] = None
        return self._by_state

    def put(self, row: TaskRow) -> None:
        """Add a row, or replace the one of its task."""
        old = self._own_rows().get(row.task)
        self._rows[row.task] = row
        if old is None:
            self._is_sorted = len(self._rows) < 2
        if self._by_state is not None and (old is None or old.state is not row.state):
            if old is not None:
                self._leave(old)
            self._by_state.setdefault(row.state, {})[row.task] = None

    def drop(self, row: TaskRow) -> None:
        """Take a row away."""
        del self._own_rows()[row.task]
        self._leave(row)

    def _own_rows(self) -> dict[str, TaskRow]:
        if self._is_shown:
            self._rows = dict(self._rows)
            self._is_shown = False
        return self._rows

    def _leave(self, row: TaskRow) -> None:
        if self._by_state is not None:
            names = self._by_state[row.state]
            del names[row.task]
            if not names:
                del self._by_state[row.state]
