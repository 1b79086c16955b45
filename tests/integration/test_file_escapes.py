"""A file sensor never leaves its folder, and says what it refuses."""

import contextlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sensorflow.sensors.file import FileSensor
from tests.observing import Observing


class SoonRescanningSensor(FileSensor):
    rescan_s = 0.2


#: Each tries to have something outside the folder read: it gets `landing`, and a folder beside it that holds
#: `secret.csv` and `deep/secret.csv`.
ESCAPES: dict[str, Callable[[Path, Path], object]] = {
    "an absolute link": lambda landing, out: (landing / "x.csv").symlink_to(out / "secret.csv"),
    "a relative link": lambda landing, _: (landing / "x.csv").symlink_to("../landing-out/secret.csv"),
    "a link to a link": lambda landing, out: (
        (landing / "x.link").symlink_to(out / "secret.csv"),
        (landing / "x.csv").symlink_to("x.link"),
    ),
    "a link through a folder inside": lambda landing, _: (
        (landing / "a").mkdir(),
        (landing / "x.csv").symlink_to("a/../../landing-out/secret.csv"),
    ),
    "a link through a link": lambda landing, out: (
        (landing / "there").symlink_to(out),
        (landing / "x.csv").symlink_to("there/secret.csv"),
    ),
    "a link to the folder above": lambda landing, _: (landing / "up").symlink_to(".."),
    "a link to a folder": lambda landing, out: (landing / "x").symlink_to(out),
    "a link to a folder, further down": lambda landing, out: (
        (landing / "a" / "b").mkdir(parents=True),
        (landing / "a" / "b" / "x").symlink_to(out / "deep"),
    ),
    "a link to where nothing is yet": lambda landing, out: (
        (landing / "x.csv").symlink_to(out / "later.csv"),
        (out / "later.csv").write_text("secret"),
    ),
    "a link to the root by way of proc": lambda landing, out: (landing / "x.csv").symlink_to(
        f"/proc/self/root{out}/secret.csv"
    ),
    "a link to a device": lambda landing, _: (landing / "x.csv").symlink_to("/dev/zero"),
    "a link under a moved folder": lambda landing, out: (
        (out / "tree").mkdir(),
        (out / "tree" / "x.csv").symlink_to(out / "secret.csv"),
        (out / "tree").rename(landing / "tree"),
    ),
    "a folder that becomes a link": lambda landing, out: (
        (landing / "x").mkdir(),
        (landing / "x" / "secret.txt").touch(),
        (landing / "x").rename(landing / "y"),
        (landing / "x").symlink_to(out),
    ),
    "a file that becomes a link": lambda landing, out: (
        (landing / "x.link").symlink_to(out / "secret.csv"),
        (landing / "x.csv.part").touch(),
        (landing / "x.link").rename(landing / "x.csv"),
    ),
    "a FIFO": lambda landing, _: os.mkfifo(landing / "x.csv"),
    "a FIFO behind a link": lambda landing, _: (
        os.mkfifo(landing / "fifo"),
        (landing / "x.csv").symlink_to("fifo"),
    ),
    "a socket": lambda landing, _: _socket(landing / "x.csv"),
    "a device": lambda landing, _: _device(landing / "x.csv"),
    "a name with steps in it": lambda landing, _: (landing / "x..\\..\\landing-out\\secret.csv").symlink_to(
        "../landing-out/secret.csv"
    ),
}


def _socket(path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    with contextlib.chdir(path.parent):  # A socket's path has to be short.
        listening.bind(path.name)
    listening.close()


def _device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:  # Only root may; another one cannot try to escape so.
        os.mkfifo(path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "landing-out"
    (folder / "deep").mkdir(parents=True)
    (folder / "secret.csv").write_text("secret")
    (folder / "deep" / "secret.csv").write_text("secret")
    return folder


@pytest.mark.parametrize("is_there_before", [True, False], ids=["before the start", "while it watches"])
@pytest.mark.parametrize("escape", ESCAPES)
async def test_nothing_outside_is_read_and_what_is_refused_is_said(
    tmp_path: Path, out: Path, escape: str, is_there_before: bool
) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    if is_there_before:
        ESCAPES[escape](landing, out)
    options = {"path": "landing/**/*.csv", "settle": "50ms"}
    async with Observing(SoonRescanningSensor, options, tmp_path) as seen:
        await seen.until(lambda so_far: bool(so_far.reports))
        if not is_there_before:
            ESCAPES[escape](landing, out)
        (landing / "good.csv").write_text("x")
        await seen.until(
            lambda so_far: bool(so_far.events) and (so_far.reports[-1] or "").startswith("does not read ")
        )
        scans = len(seen.reports)
        await seen.until(lambda so_far: len(so_far.reports) >= scans + 2)
    assert seen.paths == ["landing/good.csv"]
    assert seen.reports[-1] is not None and "does not read landing/" in seen.reports[-1]


async def test_what_is_refused_is_said_until_it_is_taken_away(tmp_path: Path, out: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    (landing / "b.csv").symlink_to(out / "secret.csv")
    async with Observing(SoonRescanningSensor, {"path": "landing/*.csv"}, tmp_path) as seen:
        await seen.until(lambda so_far: bool(so_far.reports) and so_far.reports[-1] is not None)
        assert seen.reports[-1] == (
            "does not read landing/b.csv, which is or lies behind a link that leads out of landing"
        )
        os.mkfifo(landing / "a.csv")
        await seen.until(
            lambda so_far: (
                so_far.reports[-1]
                == "does not read landing/a.csv, which is a FIFO, not a file, and 1 more like it"
            )
        )
        (landing / "a.csv").unlink()
        (landing / "b.csv").unlink()
        await seen.until_well()


async def test_links_within_the_folder_are_read_and_links_that_are_not_asked_for_are_no_trouble(
    tmp_path: Path, out: Path
) -> None:
    landing = tmp_path / "landing"
    (landing / "2013-03-10").mkdir(parents=True)
    (landing / "2013-03-10" / "a.csv").write_text("x")
    (landing / "2013-03-10" / "b.csv").symlink_to("a.csv")
    (landing / "2013-03-10" / "c.csv").symlink_to("not there yet.csv")
    (landing / "2013-03-10" / "d.csv").symlink_to("d.csv")
    (landing / "latest").symlink_to("2013-03-10")  # A folder inside counts once, by its own name.
    (landing / "readme.txt").symlink_to(out / "secret.csv")
    (landing / "other").symlink_to(out)
    options = {"path": "landing/{partition:%Y-%m-%d}/*.csv", "settle": "50ms"}
    async with Observing(SoonRescanningSensor, options, tmp_path) as seen:
        await seen.until_count(2)
        scans = len(seen.reports)
        await seen.until(lambda so_far: len(so_far.reports) >= scans + 2)
    assert seen.paths == ["landing/2013-03-10/a.csv", "landing/2013-03-10/b.csv"]
    assert set(seen.reports) == {None}
