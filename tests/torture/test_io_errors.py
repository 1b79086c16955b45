"""R10: the n-th call of the disk fails, whichever it is, and nothing is acknowledged that is not kept."""

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from sensorflow import service
from sensorflow.ports import StoreError
from tests.posting import Told, corrupt, lost, make_posting_home, post_all, watch_starts
from tests.serving import serving
from tests.simulation.planted import planted
from tests.sqlite_vfs import (
    CANTOPEN,
    FULL,
    IOERR_DELETE,
    IOERR_FSTAT,
    IOERR_FSYNC,
    IOERR_READ,
    IOERR_TRUNCATE,
    IOERR_WRITE,
    Platter,
    recording,
)

_EVENTS = 60
_CODES = {
    "open": CANTOPEN,
    "read": IOERR_READ,
    "write": IOERR_WRITE,
    "truncate": IOERR_TRUNCATE,
    "sync": IOERR_FSYNC,
    "size": IOERR_FSTAT,
    "delete": IOERR_DELETE,
}


@dataclass(slots=True)
class Failing:
    """Lets calls of the disk fail from the n-th on."""

    first: int
    #: How many fail.
    length: int
    full: bool
    calls: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    def refuse(self, kind: str) -> int | None:
        self.calls += 1
        if not self.first <= self.calls < self.first + self.length:
            return None
        self.failed[kind] += 1
        return FULL if self.full and kind == "write" else _CODES[kind]


@pytest.fixture(autouse=True)
def _tries_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_STORE_RETRY_S", 0.01)


async def fail_at(folder: Path, first: int) -> tuple[list[str], Told, Failing]:
    """Serve on a disk of which the n-th call fails; return what is lost or corrupt then."""
    random, told = Random(first), Told()
    begun = True
    failing = Failing(first, random.choice([1, 1, 3, 20]), random.random() < 0.3)
    home = make_posting_home(folder / str(first))
    with recording() as record:
        record.refuse = failing.refuse
        try:
            async with serving(home, workers=2) as service:
                watch_starts(service, told, lambda: len(record.calls))
                await post_all(service, told, _EVENTS, lambda: len(record.calls))
        except StoreError:
            assert not told.acknowledged  # It said why and ended at its start.
            begun = False
        record.refuse = lambda kind: None
    found = _faults(home / ".sensorflow" / "state.db", told)
    platter = Platter()
    for call in record.calls:
        platter.take(call)
    left = home / "left"
    left.mkdir()
    for path, content in platter.cut(random).items():
        (left / Path(path).name).write_bytes(content)
    try:
        found += [f"after a power cut: {fault}" for fault in _faults(left / "state.db", told)]
    except StoreError as error:
        # A first start that had only begun to write may leave what is refused; nothing was in it.
        if begun or "file is not a database" not in str(error):
            raise
    shutil.rmtree(home)
    return found, told, failing


def _faults(state: Path, told: Told) -> list[str]:
    return [*lost(state, told), *corrupt(state)]


@pytest.mark.parametrize(
    "calls", [range(1, 501, 25), pytest.param(range(1, 501), marks=pytest.mark.slow)], ids=["some", "all"]
)
async def test_nothing_is_acknowledged_that_a_failing_disk_does_not_keep(
    tmp_path: Path, calls: range
) -> None:
    failed: Counter[str] = Counter()
    served = refused = 0
    for first in calls:
        faults, told, failing = await fail_at(tmp_path, first)
        assert not faults, f"call {first} of the disk: {faults[:3]}"
        assert failing.failed, f"there is no call {first}"
        failed += failing.failed
        served += len(told.acknowledged) == _EVENTS
        refused += told.refused
    assert failed["read"] and failed["write"] and failed["sync"] and refused
    assert served > len(calls) / 5  # Where a call fails at its start, it ends.


async def test_a_failed_commit_that_is_taken_for_a_good_one_is_seen_to_lose_something(tmp_path: Path) -> None:
    with planted("a failed commit is taken for a good one"):
        for first in range(200, 500):
            faults, _, _ = await fail_at(tmp_path, first)
            if faults:
                return
    pytest.fail("it is not seen")
