"""The stores that keep the contract, each in turn."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sensorflow.core.state import State
from sensorflow.ports import Store
from sensorflow.store.memory import MemoryStore
from sensorflow.store.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "state.db")
    yield made
    made.close()


@pytest.fixture
def state(store: Store) -> State:
    return store.begin()
