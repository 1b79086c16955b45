"""What a service has kept, asked of its file by a connection that only reads."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Kept:
    """The store of a home, as others see it while the service runs or is dead."""

    def __init__(self, home: Path) -> None:
        self._path = home / ".sensorflow" / "state.db"

    def rows(self, sql: str, *values: object) -> list[Any]:
        """Return the rows that a question finds."""
        with self._reading() as connection:
            return connection.execute(sql, values).fetchall()

    def count(self, sql: str, *values: object) -> int:
        """Return the one number that a question finds."""
        ((number,),) = self.rows(sql, *values)
        return int(number)

    def numbers(self, source: str) -> Counter[int]:
        """Return how often each numbered event of a source is kept."""
        sql = "SELECT json_extract(data, '$.n') FROM events WHERE source = ?"
        return Counter(number for (number,) in self.rows(sql, source))

    def runs_in(self, state: str) -> int:
        return self.count("SELECT count(*) FROM runs WHERE state = ?", state)

    def attempts(self) -> list[tuple[str, str, int, str]]:
        """Return partition, task, number and state of every attempt."""
        return self.rows(
            "SELECT partition, task, number, attempts.state FROM attempts JOIN runs ON runs.id = run_id "
            "ORDER BY partition, task, number"
        )

    def firings(self) -> Counter[tuple[str, str]]:
        """Return how often each task of each partition was told to run."""
        return Counter(self.rows("SELECT partition, task FROM firings JOIN runs ON runs.id = run_id"))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            yield connection
        finally:
            connection.close()
