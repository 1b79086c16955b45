"""R7: the power fails at any moment, and the disk keeps what was synced, or that and some of what was not.

The real service runs, with its HTTP server and its store, in the SQLite of this Python; what that does to its
files is written down. A cut is a point in this record: the files are made as a disk may have them then, and
a store is opened.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from sensorflow.ports import StoreError
from tests.posting import Told, corrupt, lost, make_posting_home, post_all, watch_starts
from tests.serving import serving
from tests.sqlite_vfs import Platter, Recording, recording


@dataclass(slots=True)
class Cuts:
    """What was found after so many power cuts."""

    made: int = 0
    lossy: int = 0
    corrupt: int = 0
    #: Of the first of either.
    example: str = ""

    def add(self, missing: list[str], faults: list[str], where: str) -> None:
        self.made += 1
        self.lossy += bool(missing)
        self.corrupt += bool(faults)
        if missing or faults:
            self.example = self.example or f"{where}: {missing[:3]} {faults[:3]}"


async def serve_and_record(home: Path, synchronous: str, events: int) -> tuple[Recording, Told]:
    """Let a service serve from its first start on; return what its disk and its clients were told."""
    told = Told()
    with recording() as record:
        async with serving(make_posting_home(home), workers=4) as service:
            # So that there are cuts while the WAL is written back: usually it is at each thousandth page.
            service.store._writer.execute("PRAGMA wal_autocheckpoint = 100")  # type: ignore[attr-defined]
            service.store._writer.execute(f"PRAGMA synchronous = {synchronous}")  # type: ignore[attr-defined]
            watch_starts(service, told, lambda: len(record.calls))
            await post_all(service, told, events, lambda: len(record.calls))
    assert len(told.acknowledged) == events and not told.refused
    return record, told


def cut_power(record: Recording, told: Told, folder: Path, cuts: int, random: Random) -> Cuts:
    """Cut the power at so many different moments and look at what is left."""
    found = Cuts()
    platter = Platter()
    at = sorted(random.sample(range(len(record.calls)), cuts))
    moments = iter(at)
    moment = next(moments)
    for done, call in enumerate(record.calls):
        if done == moment:
            # By turns: nothing but what is synced; that, and some of the sectors that were on their way.
            files = platter.cut(random if found.made % 2 else None)
            missing, faults = look(files, told, folder, done)
            found.add(missing, faults, f"after {done} of {len(record.calls)} calls")
            if found.made == cuts:
                break
            moment = next(moments)
        platter.take(call)
    return found


def look(files: dict[str, bytes], told: Told, folder: Path, done: int) -> tuple[list[str], list[str]]:
    """Return what is lost and what is corrupt in the files of a disk."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, content in files.items():
        (folder / Path(path).name).write_bytes(content)
    state = folder / "state.db"
    try:
        missing = lost(state, told, done)
    except StoreError as error:
        return [], [str(error)]
    return missing, corrupt(state)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder in memory, where there is one: the record says what is synced, not this disk."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    own = memory / f"sensorflow-{tmp_path.parent.name}-{tmp_path.name}"
    own.mkdir()
    try:
        yield own
    finally:
        shutil.rmtree(own)


@pytest.mark.parametrize(("cuts", "events"), [(60, 200), pytest.param(1_000, 500, marks=pytest.mark.slow)])
async def test_no_power_cut_loses_what_was_acknowledged(folder: Path, cuts: int, events: int) -> None:
    random = Random(7)
    record, told = await serve_and_record(folder / "home", "FULL", events)
    assert told.started
    found = cut_power(record, told, folder / "left", cuts, random)
    assert (found.made, found.lossy, found.corrupt) == (cuts, 0, 0), found.example


async def test_power_cuts_without_a_sync_at_each_commit_are_seen_to_lose_something(folder: Path) -> None:
    random = Random(7)
    record, told = await serve_and_record(folder / "home", "NORMAL", 200)
    found = cut_power(record, told, folder / "left", 60, random)
    assert found.lossy > 10 and not found.corrupt, found.example
