"""The file sensor where much happens at once, and where the kernel says too little of it."""

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sensorflow.sensors.file import FileSensor
from tests.file_writers import WHOLE, paths
from tests.observing import Observing

pytestmark = pytest.mark.slow

SETTLE_S = 0.5
#: Whatever comes has to be found within so long after it was written.
FOUND_WITHIN_S = 30.0


class NeverRescanningSensor(FileSensor):
    rescan_s = 10_000.0


class StalledSensor(NeverRescanningSensor):
    """Can be held, with the thread that reads what the kernel says."""

    may_go = threading.Event()

    def _fits(self, path: str) -> bool:
        self.may_go.wait()
        return super()._fits(path)


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


def observing(home: Path, settle: str, kind: type[FileSensor] = NeverRescanningSensor) -> Observing:
    return Observing(kind, {"path": "landing/**/{partition}.csv", "settle": settle}, home)


async def write(kind: str, folder: Path, count: int) -> float:
    """Let another process write, and return how long a file stood half-written at most."""
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.file_writers", kind, str(folder), str(count)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    output, _ = await writer.communicate()
    assert writer.returncode == 0
    return float(output)


def all_of(expected: list[str]) -> Callable[[Observing], bool]:
    """Say whether each has been brought whole; counts what is new only, as it is asked often."""
    missing = {f"landing/{path}" for path in expected}
    at = 0

    def holds(so_far: Observing) -> bool:
        nonlocal at
        missing.difference_update(
            event.subject or "" for event in so_far.events[at:] if event.data["size"] == len(WHOLE)
        )
        at = len(so_far.events)
        return not missing

    return holds


async def see_each_once(seen: Observing, landing: Path, expected: list[str]) -> None:
    """See that each has come, and nothing twice: not even behind what comes last."""
    await seen.until(all_of(expected), patience_s=FOUND_WITHIN_S)
    (landing / ".last").write_bytes(WHOLE)
    (landing / ".last").rename(landing / "last.csv")
    await seen.until(all_of(["last.csv"]))
    counts = Counter(event.subject for event in seen.events)
    assert counts == Counter(f"landing/{path}" for path in (*expected, "last.csv"))


@pytest.mark.parametrize(
    "kind", ["in_a_new_folder", "in_new_folders_four_deep", "moved_in_as_a_tree", "written_slowly"]
)
async def test_of_200_that_settle_none_is_missed_and_none_is_read_half_written(
    tmp_path: Path, landing: Path, kind: str
) -> None:
    async with observing(tmp_path, f"{SETTLE_S * 1000:g}ms") as seen:
        await seen.until_well()
        longest_rest_s = await write(kind, landing, 200)
        await seen.until(all_of(paths(kind, 200)), patience_s=FOUND_WITHIN_S)
        if longest_rest_s < SETTLE_S:  # Else the machine was so slow that a half file has settled.
            await see_each_once(seen, landing, paths(kind, 200))


async def test_200_that_are_renamed_into_place_come_at_once_and_each_whole(
    tmp_path: Path, landing: Path
) -> None:
    async with observing(tmp_path, "1h") as seen:
        await seen.until_well()
        await write("renamed_into_place", landing, 200)
        await see_each_once(seen, landing, paths("renamed_into_place", 200))


@pytest.mark.slow
async def test_twenty_thousand_files_at_once_come_each_once(tmp_path: Path, landing: Path) -> None:
    async with observing(tmp_path, "5s") as seen:
        await seen.until_well()
        await write("at_once", landing, 20_000)
        await see_each_once(seen, landing, paths("at_once", 20_000))
    assert max(seen.batches) <= 100


@pytest.mark.slow
async def test_twenty_thousand_files_of_a_stop_come_each_once(tmp_path: Path, landing: Path) -> None:
    async with observing(tmp_path, "5s") as seen:
        await seen.until_well()
    await write("at_once", landing, 20_000)
    async with observing(tmp_path, "5s") as seen:
        await see_each_once(seen, landing, paths("at_once", 20_000))


@pytest.mark.parametrize("count", [6_000, pytest.param(20_000, marks=pytest.mark.slow)])
async def test_what_the_kernel_drops_when_its_queue_overflows_comes_once(
    tmp_path: Path, landing: Path, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    StalledSensor.may_go.set()
    async with observing(tmp_path, "500ms", StalledSensor) as seen:
        await seen.until_well()
        StalledSensor.may_go.clear()
        try:
            await write("at_once", landing, count)  # Each is several notices; the queue holds 16,384.
            await write("in_new_folders_four_deep", landing, 20)
        finally:
            StalledSensor.may_go.set()
        expected = [*paths("at_once", count), *paths("in_new_folders_four_deep", 20)]
        await seen.until(all_of(expected), patience_s=FOUND_WITHIN_S)
        assert "queue overflowed" in caplog.text
        for number in range(20):  # Folders of which the kernel's word was lost are watched too.
            (landing / str(number) / "a" / "b" / "later.csv").write_bytes(WHOLE)
        await see_each_once(seen, landing, [*expected, *(f"{n}/a/b/later.csv" for n in range(20))])
