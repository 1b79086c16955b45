"""The file sensor on real folders."""

import asyncio
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError
from watchdog.observers.inotify_c import InotifyFD

from sensorflow.clock import SystemClock
from sensorflow.core.messages import Observed
from sensorflow.core.vocabulary import Rule, SensorDefinition
from sensorflow.sensors.file import FileSensor, Settling
from sensorflow.sensors.supervision import SensorStatus, SensorSupervisor
from sensorflow.sensors.tree import FileVersion
from tests.observing import PATIENCE_S, Observing

SETTLE_S = 0.2
WRITE_MANY = """
import pathlib, sys
for number in range(int(sys.argv[2])):
    pathlib.Path(sys.argv[1], f"d{number}.csv").write_text("x")
"""


class SoonRescanningSensor(FileSensor):
    rescan_s = 0.2


class NeverRescanningSensor(FileSensor):
    rescan_s = 10_000.0


def observing(
    home: Path,
    path: str = "landing/{partition}.csv",
    *,
    settle: str = "200ms",
    marker: str | None = None,
    kind: type[FileSensor] = NeverRescanningSensor,
) -> Observing:
    whole = {"settle": settle} if marker is None else {"marker": marker}
    return Observing(kind, {"path": path, **whole}, home)


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


def ids(seen: Observing) -> set[str | None]:
    return {event.id for event in seen.events}


async def test_a_file_becomes_an_event_with_its_path_size_time_and_captures(
    tmp_path: Path, landing: Path
) -> None:
    async with observing(tmp_path, settle="0s") as seen:
        await seen.until_well()
        file = landing / ".x"
        file.write_text("a,b\n")
        os.utime(file, ns=(0, 1_362_900_000_123_456_789))
        file.rename(landing / "2013-03-10.csv")
        await seen.until_count(1)
    (event,) = seen.events
    stat = (landing / "2013-03-10.csv").stat()
    assert event.source == "/file/flights/landed"
    assert event.id == f"landing/2013-03-10.csv@1362900000123456789-4-{stat.st_ino}"
    assert event.subject == "landing/2013-03-10.csv"
    assert event.data == {
        "path": "landing/2013-03-10.csv",
        "size": 4,
        "mtime": "2013-03-10T07:20:00.123456Z",
        "captures": {"partition": "2013-03-10"},
    }


async def test_a_slow_writer_is_not_read_before_it_has_settled(tmp_path: Path, landing: Path) -> None:
    async with observing(tmp_path) as seen:
        await seen.until_well()
        line = f"for i in 1 2 3 4 5 6 7 8; do printf %0100d 0 >> slow.csv; sleep {SETTLE_S / 2}; done"
        writer = await asyncio.create_subprocess_exec("sh", "-c", line, cwd=landing)
        await seen.until_count(1)
        await writer.wait()
    assert [event.data["size"] for event in seen.events] == [800]


async def test_a_rename_into_place_needs_no_wait(tmp_path: Path, landing: Path) -> None:
    async with observing(tmp_path, settle="1h") as seen:
        await seen.until_well()
        for name in (".d1.csv.tmp", "d1.csv.part", "d1.csv.tmp"):
            (landing / name).write_text("whole")
            (landing / name).rename(landing / "d1.csv")
            known = len(ids(seen))
            await seen.until(lambda so_far, known=known: len(ids(so_far)) > known)
    assert seen.paths == ["landing/d1.csv"] * 3


async def test_a_rename_out_of_a_folder_in_the_tree_needs_no_wait(tmp_path: Path, landing: Path) -> None:
    (landing / "_temporary").mkdir()
    (landing / "_temporary" / "x").write_text("whole")
    async with observing(tmp_path, settle="1h") as seen:
        await seen.until_well()
        (landing / "_temporary" / "x").rename(landing / "d1.csv")
        await seen.until_count(1)


async def test_files_in_new_folders_four_deep_are_found(tmp_path: Path, landing: Path) -> None:
    async with observing(tmp_path, "landing/**/{partition}.csv") as seen:
        await seen.until_well()
        for tree in range(20):
            folder = landing / str(tree) / "a" / "b" / "c"
            folder.mkdir(parents=True)
            (folder / "d.csv").write_text("x")
        await seen.until(lambda so_far: len(so_far.events) >= 20)
    assert Counter(seen.paths) == Counter(f"landing/{tree}/a/b/c/d.csv" for tree in range(20))


async def test_a_tree_that_is_moved_in_is_found(tmp_path: Path, landing: Path) -> None:
    outside = tmp_path / "outside" / "2013"
    (outside / "03").mkdir(parents=True)
    for day in range(1, 29):
        (outside / "03" / f"{day:02}.csv").write_text("x")
    async with observing(tmp_path, "landing/{partition:%Y/%m/%d}.csv") as seen:
        await seen.until_well()
        outside.rename(landing / "2013")
        await seen.until(lambda so_far: len(so_far.events) >= 28)
    partitions = sorted(event.data["captures"]["partition"] for event in seen.events)
    assert partitions == [f"2013-03-{day:02}" for day in range(1, 29)]


async def test_files_from_before_the_start_are_found(tmp_path: Path, landing: Path) -> None:
    for day in range(30):
        (landing / f"d{day}.csv").write_text("x")
    async with observing(tmp_path) as seen:
        await seen.until_count(30)


async def test_old_files_are_whole_at_the_start(tmp_path: Path, landing: Path) -> None:
    (landing / "old.csv").write_text("x")
    async with observing(tmp_path, settle="1s") as before:
        await before.until_count(1)
    (landing / "fresh.csv").write_text("x")
    async with observing(tmp_path, settle="1s") as after:
        await after.until_count(1)
        assert after.paths == ["landing/old.csv"]
        await after.until_count(2)


async def test_files_that_came_during_a_stop_are_found_under_the_same_ids(
    tmp_path: Path, landing: Path
) -> None:
    (landing / "d1.csv").write_text("x")
    async with observing(tmp_path) as before:
        await before.until_count(1)
    (landing / "d2.csv").write_text("x")
    async with observing(tmp_path) as after:
        await after.until_count(2)
    assert ids(before) < ids(after)


async def test_hidden_and_unfinished_files_are_ignored(tmp_path: Path, landing: Path) -> None:
    async with observing(tmp_path, "landing/**/*") as seen:
        await seen.until_well()
        (landing / ".git").mkdir()
        for name in (".d1.csv", "d1.csv.tmp", "d1.csv.part", ".git/d1.csv"):
            (landing / name).write_text("x")
        (landing / "last.csv").write_text("x")
        await seen.until_count(1)
    assert seen.paths == ["landing/last.csv"]


async def test_what_is_no_file_of_the_tree_is_no_data(tmp_path: Path, landing: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "d1.csv").write_text("x")
    (landing / "link.csv").symlink_to(secret)
    (landing / "relative.csv").symlink_to("../secret.csv")
    (landing / "dangling.csv").symlink_to("nowhere.csv")
    (landing / "folder").symlink_to(outside)
    (landing / "loop").symlink_to(landing)
    os.mkfifo(landing / "fifo.csv")
    (landing / "folder.csv").mkdir()
    (landing / "good.csv").write_text("x")
    (landing / "within.csv").symlink_to("good.csv")
    async with observing(tmp_path, "landing/**/*.csv", kind=SoonRescanningSensor) as seen:
        await seen.until_count(2)
        (landing / "link2.csv").symlink_to(secret)
        os.mkfifo(landing / "fifo2.csv")
        (landing / "last.csv").write_text("x")
        await seen.until_count(3)
    assert seen.paths == ["landing/good.csv", "landing/last.csv", "landing/within.csv"]


async def test_a_landing_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "landing").symlink_to(tmp_path / "disk")
    async with observing(tmp_path) as seen:
        await seen.until_well()
        (tmp_path / "disk" / "d1.csv").write_text("x")
        await seen.until_count(1)
    assert seen.paths == ["landing/d1.csv"]


async def test_a_rewrite_and_a_touch_are_new_events_and_a_deletion_is_none(
    tmp_path: Path, landing: Path
) -> None:
    file = landing / "d1.csv"
    async with observing(tmp_path) as seen:
        await seen.until_well()
        file.write_text("one")
        await seen.until_count(1)
        file.write_text("other")
        await seen.until_count(2)
        os.utime(file)
        await seen.until_count(3)
        file.unlink()
        (landing / "last.csv").write_text("x")
        await seen.until_count(4)
    assert len(ids(seen)) == 4


async def test_a_periodic_scan_brings_nothing_twice(tmp_path: Path, landing: Path) -> None:
    async with observing(tmp_path, kind=SoonRescanningSensor) as seen:
        (landing / "d1.csv").write_text("x")
        await seen.until_count(1)
        scans = len(seen.reports)
        await seen.until(lambda so_far: len(so_far.reports) >= scans + 3)
    assert seen.paths == ["landing/d1.csv"]


async def test_a_landing_folder_that_comes_into_being_later_is_watched(tmp_path: Path) -> None:
    async with observing(tmp_path, "a/b/c/{partition}.csv") as seen:
        await seen.until_well()
        assert not (tmp_path / "a").exists()
        (tmp_path / "a" / "b" / "c").mkdir(parents=True)
        (tmp_path / "a" / "b" / "c" / "d1.csv").write_text("x")
        await seen.until_count(1)


async def test_a_landing_folder_that_is_removed_and_made_again_is_watched(
    tmp_path: Path, landing: Path
) -> None:
    async with observing(tmp_path, settle="0s") as seen:
        await seen.until_well()
        for turn in range(1, 4):
            (landing / "d1.csv").write_text("x" * turn)
            await seen.until(
                lambda so_far, turn=turn: any(each.data["size"] == turn for each in so_far.events)
            )
            (landing / "d1.csv").unlink()
            scans = len(seen.reports)
            landing.rmdir()
            await seen.until(lambda so_far, scans=scans: len(so_far.reports) > scans)
            landing.mkdir()


async def test_a_path_whose_partition_does_not_read_is_brought_all_the_same(
    tmp_path: Path, landing: Path
) -> None:
    (landing / "2013-13-45.csv").write_text("x")
    (landing / os.fsdecode(b"2013-\xff.csv")).write_text("x")
    async with observing(tmp_path) as seen:
        await seen.until_count(2)
    assert sorted(event.data["captures"]["partition"] for event in seen.events) == [
        "2013-13-45",
        "2013-\\udcff",
    ]


async def test_thousands_of_files_at_once_come_each_exactly_once(tmp_path: Path, landing: Path) -> None:
    async with observing(tmp_path, kind=SoonRescanningSensor) as seen:
        await seen.until_well()
        # By a process of its own: a thread would share its time with the sensor.
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITE_MANY, landing, "2000")
        assert await writer.wait() == 0
        await seen.until(lambda so_far: len(so_far.events) >= 2_000)
        scans = len(seen.reports)
        await seen.until(lambda so_far: len(so_far.reports) >= scans + 2)
    assert Counter(seen.paths) == Counter(f"landing/d{number}.csv" for number in range(2_000))
    assert max(seen.batches) <= 100


async def test_a_folder_is_whole_once_its_marker_is_there(tmp_path: Path, landing: Path) -> None:
    async with observing(tmp_path, "landing/{partition:%Y-%m-%d}/{part}", marker="_SUCCESS") as seen:
        await seen.until_well()
        folder = landing / "2013-03-10" / "eu"
        folder.mkdir(parents=True)
        (folder / "part-0.csv").write_text("a,b\n")
        (landing / "2013-03-10" / "_SUCCESS").touch()  # Of another level.
        (folder / "_SUCCESS").touch()
        await seen.until_count(1)
        (event,) = seen.events
        stat = (folder / "_SUCCESS").stat()
        assert event.id == f"landing/2013-03-10/eu@{stat.st_mtime_ns}-0-{stat.st_ino}"
        assert event.subject == event.data["path"] == "landing/2013-03-10/eu"
        assert event.data["captures"] == {"partition": "2013-03-10", "part": "eu"}
        (folder / "part-1.csv").write_text("late")  # The marker says when, not what lies beside it.
        os.utime(folder / "_SUCCESS")
        await seen.until_count(2)
        (folder / "_SUCCESS").unlink()
        (folder / "_SUCCESS").write_text("again")
        await seen.until(lambda so_far: so_far.events[-1].data["size"] == 5)
    assert set(seen.paths) == {"landing/2013-03-10/eu"}


async def test_a_folder_without_anything_variable_in_its_path_may_have_a_marker(tmp_path: Path) -> None:
    async with observing(tmp_path, "landing/airlines", marker=".done") as seen:
        await seen.until_well()
        (tmp_path / "landing" / "airlines").mkdir(parents=True)
        (tmp_path / "landing" / "airlines" / ".done").touch()
        await seen.until(lambda so_far: bool(so_far.events))
        (tmp_path / "landing" / ".done").touch()
        (tmp_path / "landing" / "airlines" / ".done").write_text("again")
        await seen.until(lambda so_far: so_far.events[-1].data["size"] == 5)
    assert set(seen.paths) == {"landing/airlines"}


async def test_a_rename_of_a_folder_within_the_tree_needs_no_wait(tmp_path: Path, landing: Path) -> None:
    (landing / "_temporary" / "x").mkdir(parents=True)
    for name in ("1.csv", "2.csv"):
        (landing / "_temporary" / "x" / name).write_text("whole")
    async with observing(tmp_path, "landing/{partition}/*.csv", settle="1h") as seen:
        await seen.until_well()
        (landing / "_temporary" / "x").rename(landing / "d1")
        await seen.until_count(2)
        (landing / "d1" / "1.csv").rename(landing / "d1" / "3.csv")
        await seen.until_count(3)


async def test_a_folder_that_cannot_be_watched_is_said_until_it_can(tmp_path: Path, landing: Path) -> None:
    name = "d" * 200
    top = os.open(landing, os.O_RDONLY)
    for _ in range(25):  # Deeper than a path can say.
        os.mkdir(name, dir_fd=top)
        inside = os.open(name, os.O_RDONLY, dir_fd=top)
        os.close(top)
        top = inside
    os.close(top)
    async with observing(tmp_path, "landing/**/{partition}.csv", kind=SoonRescanningSensor) as seen:
        await seen.until(lambda so_far: bool(so_far.reports))
        assert (seen.reports[0] or "").startswith("cannot watch landing: File name too long: ddd")
        assert (seen.reports[0] or "").endswith("; looks every 0.2 s instead")
        assert len(seen.reports[0] or "") < 300
        (landing / "d1.csv").write_text("x")
        await seen.until_count(1)
        (landing / name).rename(tmp_path / "elsewhere")
        await seen.until_well()


async def test_a_watch_that_dies_is_said_and_replaced_and_nothing_is_missed(
    tmp_path: Path, landing: Path
) -> None:
    ids: list[str | None] = []
    changed = asyncio.Condition()
    at_death: list[SensorStatus] = []

    async def submit(messages: Sequence[Observed]) -> Sequence[object]:
        async with changed:
            ids.extend(message.event.id for message in messages)
            changed.notify_all()
        return [None] * len(messages)

    async def sleep(seconds: float) -> None:
        at_death.append(supervisor.status("p", "s"))
        (landing / "meanwhile.csv").write_text("x")

    def brought() -> set[str]:
        return {(each or "").split("@")[0] for each in ids}

    before = set(threading.enumerate())
    supervisor = SensorSupervisor(submit, SystemClock(), sleep)
    options = NeverRescanningSensor.Options.model_validate(
        {"path": "landing/{partition}.csv", "settle": "0s"}
    )
    definition = SensorDefinition(
        pipeline="p", name="s", kind="file", rule=Rule(dataset="d"), options=options
    )
    supervisor.start(definition, NeverRescanningSensor, home=tmp_path, instance="test")
    async with asyncio.timeout(PATIENCE_S), changed:
        (landing / "first.csv").write_text("x")
        await changed.wait_for(lambda: brought() == {"landing/first.csv"})
        (reader,) = [each for each in set(threading.enumerate()) - before if isinstance(each, InotifyFD)]
        folder = os.open("/", os.O_RDONLY)
        os.dup2(folder, reader._inotify_fd)  # Which cannot be read as inotify is.
        os.close(folder)
        (landing / "second.csv").write_text("x")
        await changed.wait_for(lambda: "landing/meanwhile.csv" in brought())
        assert not reader.is_alive()
        (landing / "third.csv").write_text("x")
        await changed.wait_for(lambda: len(brought()) == 4)
    assert [each.state for each in at_death] == ["failing"]
    assert "the watch of landing ended: IsADirectoryError" in (at_death[0].error or "")
    assert supervisor.status("p", "s").state == "running"
    await supervisor.stop()
    assert not [each for each in set(threading.enumerate()) - before if isinstance(each, InotifyFD)]


def test_a_file_settles_only_when_nothing_changes_for_the_whole_time() -> None:
    def version(size: int) -> FileVersion:
        return FileVersion(mtime_ns=1, size=size, inode=1, ctime_ns=1)

    settling = Settling(10)
    assert not settling.see("a", version(1), 0, is_whole=False)
    assert settling.next_due_at() == 10
    assert not settling.see("a", version(2), 9, is_whole=False)
    assert settling.due(18) == [] and settling.due(19) == ["a"]
    assert not settling.see("a", version(2), 18, is_whole=False)
    assert settling.see("a", version(2), 19, is_whole=False)
    assert not settling.see("a", version(2), 100, is_whole=True)
    assert settling.see("a", version(3), 101, is_whole=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "/etc/{partition}"}, "absolute path '/etc/{partition}'"),
        ({"path": "../{partition}"}, "'..'"),
        ({"path": "a/{partition}", "settle": "soon"}, "'soon'"),
        (
            {"path": "a/{partition}", "marker": "x/_SUCCESS"},
            "the name of a file, as _SUCCESS, found 'x/_SUCCESS'",
        ),
        ({"path": "a/{partition}", "marker": "*.done"}, "the name of a file, as _SUCCESS, found '*.done'"),
        ({"path": "a/{partition}", "marker": ".."}, "the name of a file, as _SUCCESS, found '..'"),
        ({"path": "a/{partition}", "marker": ""}, "the name of a file, as _SUCCESS, found ''"),
        ({"path": "a/{partition}", "marker": "_SUCCESS", "settle": "1s"}, "expected settle or marker"),
        ({}, "path"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_with_the_reason(
    options: dict[str, str], words: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        FileSensor.Options.model_validate(options)
