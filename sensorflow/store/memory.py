"""The store in memory: for tests, replays and rehearsals."""

import uuid

from sensorflow.core.state import State
from sensorflow.ports import Listing
from sensorflow.store.memory_listing import MemoryListing
from sensorflow.store.memory_state import MemoryState


class MemoryStore:
    """Keeps all rows in memory, for as long as the object lives.

    What is put is seen at once by `reader` and `listing` too: nothing may read between `begin` and
    the end of `commit` but what the transaction belongs to.
    """

    def __init__(self) -> None:
        self._state = MemoryState()
        self._listing = MemoryListing(self._state)
        self._instance = uuid.uuid4().hex

    def begin(self) -> State:
        if self._state.is_open:
            raise RuntimeError("a transaction is open already")
        self._state.opened()
        return self._state

    async def commit(self, *, busy: bool = False) -> None:
        if not self._state.is_open:
            raise RuntimeError("no transaction is open")
        self._state.committed()

    def rollback(self) -> None:
        if self._state.is_open:
            self._state.undone()

    def make_room(self) -> None:
        """No disk, no room on it."""

    def recover(self) -> None:
        """Memory takes writes always."""

    @property
    def reader(self) -> State:
        return self._state

    @property
    def listing(self) -> Listing:
        return self._listing

    @property
    def instance(self) -> str:
        return self._instance

    def close(self) -> None:
        self.rollback()
