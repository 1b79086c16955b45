"""What earlier versions stored and decided: this one takes up their stores and decides the same."""

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sensorflow.ports import Store, StoreError
from sensorflow.store.memory import MemoryStore
from sensorflow.store.migrations import migrate
from sensorflow.store.sqlite import SqliteStore
from sensorflow.store.sqlite_file import examine
from tests.upgrade.record import RECORDED, Decider, read

NAMES = sorted(folder.name for folder in RECORDED.iterdir())


def log_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / name / "log.jsonl").read_text().splitlines()]


def unpacked(name: str, folder: Path) -> Path:
    path = folder / "state.db"
    path.write_bytes(gzip.decompress((RECORDED / name / "state.db.gz").read_bytes()))
    return path


def replay(store: Store, lines: list[dict[str, Any]], ids: int = 0) -> None:
    """Send messages as they were recorded, and hold each decision against what was decided then."""
    decider = Decider(store, ids)
    for number, line in enumerate(lines):
        told = json.loads(json.dumps(decider.decide(read(line), line["at"])))
        assert told == line["told"], f"message {number}: {line['kind']} {line['fields']}"


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_log_is_decided_as_it_was(name: str, kind: str, tmp_path: Path) -> None:
    store: Store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "state.db")
    replay(store, log_of(name))
    store.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_store_goes_on_as_its_own_version_did(name: str, tmp_path: Path) -> None:
    lines = log_of(name)
    stored = [line for line in lines if line["stored"]]
    with closing(SqliteStore(unpacked(name, tmp_path))) as store:
        assert store.reader.last_seq() == max(
            line["told"]["answer"]["seq"] for line in stored if "seq" in (line["told"]["answer"] or {})
        )
        replay(store, lines[len(stored) :], ids=stored[-1]["ids"])


def test_a_store_of_this_version_is_recorded_for_those_to_come() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        newest = "SELECT name FROM _sqlite_migrations ORDER BY id DESC"
        (step,) = connection.execute(newest).fetchone()
    assert step in NAMES, f"`python -m tests.upgrade.record {step}` records it"


def test_an_older_store_is_copied_before_it_is_changed_and_the_copy_is_as_it_was(tmp_path: Path) -> None:
    path = unpacked("first_schema", tmp_path)
    before = rows(path)
    SqliteStore(path).close()
    copy = tmp_path / "state.db.before-retention"
    assert rows(copy) == before
    assert copy.stat().st_mode & 0o777 == 0o600
    steps = examine(copy, thoroughly=True).steps_to_take
    assert steps == ("retention", "fewer_indexes")
    report = examine(path, thoroughly=True)
    assert (report.faults, report.steps_to_take) == ((), ())
    assert {name: count for name, count in rows(path).items() if name in before} == {
        **before,
        "_sqlite_migrations": before["_sqlite_migrations"] + len(steps),
        "parts": before["parts"] - wholes(copy),
    }
    SqliteStore(path).close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["state.db", copy.name]


def test_a_second_upgrade_after_somebody_went_back_keeps_the_first_copy(tmp_path: Path) -> None:
    for _ in range(2):
        SqliteStore(unpacked("first_schema", tmp_path)).close()
    copies = sorted(each.name for each in tmp_path.iterdir() if "before" in each.name)
    assert copies == ["state.db.before-retention", "state.db.before-retention-2"]


def test_an_older_store_can_give_space_back_from_then_on(tmp_path: Path) -> None:
    path = unpacked("first_schema", tmp_path)
    assert pragma(path, "auto_vacuum") == 0
    SqliteStore(path).close()
    assert pragma(path, "auto_vacuum") == 2


def test_a_store_that_cannot_be_copied_is_left_as_it_is(tmp_path: Path) -> None:
    path = unpacked("first_schema", tmp_path)
    before = rows(path)
    damage(path, "runs_by_state")
    with pytest.raises(StoreError, match="is not whole"):
        SqliteStore(path)
    assert rows(path) == before
    assert [each.name for each in tmp_path.iterdir() if "before" in each.name] == []


def damage(path: Path, index: str) -> None:
    """Overwrite the entries of an index."""
    question = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
    with closing(sqlite3.connect(path)) as connection:
        page = connection.execute(question, (index,)).fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek(page * size - 100)
        file.write(b"x" * 100)


def test_a_new_store_is_made_without_a_copy_of_nothing(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "state.db").close()
    assert [each.name for each in tmp_path.iterdir()] == ["state.db"]


def rows(path: Path) -> dict[str, int]:
    """Return how many rows each table has."""
    with closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608 - names above
            for name in names
        }


def wholes(path: Path) -> int:
    """Return how many partitions an older store has a row for that arrived as a whole."""
    with closing(sqlite3.connect(path)) as connection:
        number = connection.execute("SELECT count(*) FROM parts WHERE part = ''").fetchone()[0]
    assert number > 0
    return int(number)


def pragma(path: Path, name: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
