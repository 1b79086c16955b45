"""Stores that have seen much: what one event left behind, copied by SQL as often as is wanted.

The service itself makes the original, so the copies are as whatever it writes today.
"""

import json
import sqlite3
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bench.events import SINGLE
from bench.services import sensorflow, written

#: A run of `orders` waits for two inputs of which one is there.
_ORDERS = """\
name: orders
paused: true
partition: key
sensors:
  paid: {type: events, match: {type: [paid]}, partition: data.key, dataset: paid}
  packed: {type: events, match: {type: [packed]}, partition: data.key, dataset: packed}
tasks:
"""
_SHIP = '  ship{}: {{inputs: [paid, packed], run: ["true"]}}\n'
#: It is told of 28 partitions again and again.
_HISTORY = """\
name: history
paused: true
partition: key
sensors:
  seen: {type: events, match: {type: [seen]}, partition: data.key, dataset: seen}
tasks:
  count: {inputs: [seen], run: ["true"]}
"""
PARTITIONS = 28

Value: TypeAlias = Any
#: By table: the rows by their keys.
Tables: TypeAlias = dict[str, dict[tuple[Value, ...], dict[str, Value]]]


def order_key(number: int) -> str:
    """Return the partition of the waiting run of this number."""
    return f"order-{number:010}"


def seen_key(number: int) -> str:
    """Return one of the partitions that history is of."""
    return f"seen-{number % PARTITIONS:02}"


def growing_id(number: int) -> str:
    """Return an id above those of all lower numbers."""
    return f"export-{number:010}"


def event(kind: str, key: str, identity: str) -> bytes:
    """Return the body of an event."""
    head = {"specversion": "1.0", "id": identity, "source": "/erp/export", "type": kind}
    return json.dumps({**head, "data": {"key": key, "rows": 1200}}).encode()


def make_store(
    home: Path, *, waiting_runs: int = 0, tasks: int = 1, history: int = 0, random_ids: bool = False
) -> Path:
    """Make a home whose store has so many waiting runs of so many tasks and so many events behind it.

    Returns:
        The home.
    """
    orders = _ORDERS + "".join(map(_SHIP.format, range(tasks)))
    files = {"pipelines/orders.yaml": orders, "pipelines/history.yaml": _HISTORY}
    path = written(home, files) / ".sensorflow" / "state.db"
    originals = []
    with sensorflow(home) as (port, _):
        for number in range(PARTITIONS):
            _post(port, event("seen", seen_key(number), f"first-{number}"))
        _post(port, event("paid", "order-first", "paid-first"))
        if waiting_runs:
            with _recorded(path, originals, waiting_runs) as original:
                _post(port, event("paid", order_key(0), "paid-0000000000"))
            (run,) = original.rows["runs"]
            original.replaced = {
                order_key(0): "printf('order-%010d', n)",
                "paid-0000000000": "printf('paid-%010d', n)",
                run["id"]: "printf('01900000-0000-7000-8000-%012d', n)",
            }
        if history:
            identity = str(uuid.uuid4()) if random_ids else growing_id(0)
            with _recorded(path, originals, history) as original:
                _post(port, event("seen", seen_key(0), identity))
            original.replaced = {
                seen_key(0): f"printf('seen-%02d', n % {PARTITIONS})",
                identity: "id" if random_ids else "printf('export-%010d', n)",
            }
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000"):
            connection.execute(f"PRAGMA {pragma}")
        for original in originals:
            original.copy(connection)
        connection.execute("PRAGMA journal_mode = WAL")
    return home


@dataclass(slots=True)
class _Original:
    """The rows that one event made, and how often they are wanted."""

    rows: dict[str, list[dict[str, Value]]]
    copies: int
    #: What a copy has, as SQL of its number `n` and a random `id`, in place of each of these texts.
    replaced: Mapping[str, str]

    def copy(self, connection: sqlite3.Connection) -> None:
        """Put all copies into their tables; numbers of events go on from the newest."""
        connection.execute("CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY, id TEXT)")
        connection.execute(
            """WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?)
            INSERT INTO numbers SELECT n, printf('%s-%s-4%s-a%s-%s', lower(hex(randomblob(4))),
                lower(hex(randomblob(2))), substr(lower(hex(randomblob(2))), 2),
                substr(lower(hex(randomblob(2))), 2), lower(hex(randomblob(6)))) FROM counted""",
            (self.copies,),
        )
        (base,) = connection.execute("SELECT max(seq) FROM events").fetchone()
        for table, rows in self.rows.items():
            for row in rows:
                values = ", ".join(self._value(column, value, base) for column, value in row.items())
                # In the order of its key, for each page is then written once.
                order = "id" if "id" in values.split(", ") and "seq" not in _key(connection, table) else "n"
                columns = ", ".join(f'"{column}"' for column in row)
                connection.execute(
                    f"INSERT INTO {table} ({columns}) SELECT {values} FROM numbers ORDER BY {order}"  # noqa: S608
                )
        connection.execute("DROP TABLE numbers")

    def _value(self, column: str, value: Value, base: int) -> str:
        """Return a column's value as SQL."""
        if column == "seq":
            return f"{base} + n"
        is_blob = isinstance(value, bytes)
        text = value.decode() if is_blob else value
        if not isinstance(text, str) or not any(old in text for old in self.replaced):
            return _literal(value)
        if text in self.replaced:
            return self.replaced[text]
        spelled = _literal(text)
        for old, new in self.replaced.items():
            if old in text:
                spelled = f"replace({spelled}, {_literal(old)}, {new})"
        return f"CAST({spelled} AS BLOB)" if is_blob else spelled


def _literal(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


@contextmanager
def _recorded(path: Path, originals: list[_Original], copies: int) -> Iterator[_Original]:
    """Keep which rows are new afterwards."""
    before = _tables(path)
    original = _Original({}, copies, {})
    yield original
    for name, rows in _tables(path).items():
        original.rows[name] = [row for key, row in rows.items() if key not in before[name]]
    originals.append(original)


def _tables(path: Path) -> Tables:
    """Read all rows of a store that is still small."""
    tables: Tables = {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        names = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        for (name,) in names.fetchall():
            key = _key(connection, name)
            rows = [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]  # noqa: S608
            tables[name] = {tuple(row[column] for column in key): row for row in rows}
    return tables


def _key(connection: sqlite3.Connection, table: str) -> list[str]:
    columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    return [column[1] for column in columns if column[5]] or ["rowid"]


def _post(port: int, body: bytes) -> None:
    url = f"http://127.0.0.1:{port}/api/v1/events"
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": SINGLE})) as answer:
        states = [each["state"] for each in json.load(answer)["events"]]
    if states != ["accepted"]:
        raise RuntimeError(f"expected one event to be accepted, found {states}")
