"""The warehouse: one SQLite file, written by several tasks at once.

Every table belongs to its partitions: a task deletes the rows of its own partition and inserts them anew, in
one transaction, so that running it again changes nothing.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

#: Relative to the home, the working folder of every task.
WAREHOUSE = Path("warehouse/flights.db")

#: Tasks of other runs write too; each waits for its turn so long.
BUSY_TIMEOUT_S = 30

_DELAYS = """
    day TEXT, airport TEXT, flights INTEGER, cancelled INTEGER, mean_departure_delay_min REAL,
    slowest_airline TEXT, mean_temperature_f REAL, mean_wind_mph REAL, weather_hours INTEGER,
    PRIMARY KEY (day, airport)
"""

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS flights (
    day TEXT, carrier TEXT, flight INTEGER, origin TEXT, dest TEXT, cancelled INTEGER,
    departure_delay_min REAL, arrival_delay_min REAL
);
CREATE INDEX IF NOT EXISTS flights_by_day ON flights (day);
CREATE TABLE IF NOT EXISTS weather (
    day TEXT, airport TEXT, hour TEXT, temperature_f REAL, wind_mph REAL, precipitation_in REAL,
    PRIMARY KEY (day, airport, hour)
);
CREATE TABLE IF NOT EXISTS airlines (carrier TEXT PRIMARY KEY, name TEXT);
CREATE TABLE IF NOT EXISTS joined_delays ({_DELAYS});
CREATE TABLE IF NOT EXISTS flight_delays_daily ({_DELAYS});
CREATE TABLE IF NOT EXISTS weeks (
    week TEXT, airport TEXT, days INTEGER, flights INTEGER, cancelled INTEGER,
    mean_departure_delay_min REAL, worst_day TEXT, PRIMARY KEY (week, airport)
);
"""


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """Open the warehouse, which is made at its first use; all that is done in it counts, or nothing."""
    WAREHOUSE.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(WAREHOUSE, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(SCHEMA)
        # Taking the write lock at once: a reader that turns writer midway is refused, timeout or not.
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def replace(
    warehouse: sqlite3.Connection, table: str, partition: tuple[str, str], rows: Iterable[Sequence[object]]
) -> int:
    """Replace a partition of a table by these rows, and return how many they are.

    Args:
        partition: The column that names the partition, and its value.
    """
    column, value = partition
    fresh = list(rows)
    warehouse.execute(f"DELETE FROM {table} WHERE {column} = ?", (value,))  # noqa: S608 - names of ours
    if fresh:
        places = ", ".join("?" * len(fresh[0]))
        warehouse.executemany(f"INSERT INTO {table} VALUES ({places})", fresh)  # noqa: S608 - names of ours
    return len(fresh)
