"""R9: the disk of the store is full, for a while."""

import asyncio
import ctypes
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest

from tests.torture.amounts import amount
from tests.torture.kept import Kept
from tests.torture.process import ServiceProcess, client_of

pytestmark = pytest.mark.slow

TIMES = amount("FULL_DISKS", 2, 20)
#: The service is back so long after there is room again; a machine that has much else to do may take longer.
BACK_S = amount("FULL_BACK_S", 30, 10)
MEGABYTE = 1024 * 1024
DISK = 96 * MEGABYTE
CLIENTS = 4

HOME = """\
name: filling
partition: key
sensors:
  large: {type: events, match: {type: [large]}, partition: id, dataset: payloads}
datasets:
  payloads: {partition: key}
  asked: {partition: key}
tasks:
  wait:
    inputs: [asked]
    run: while [ ! -e go ]; do sleep 0.05; done
"""


class Disk(Protocol):
    """A disk on which there is no room while it is told so."""

    def fill(self, service: ServiceProcess) -> None:
        """Leave little room."""

    def clear(self, service: ServiceProcess) -> None:
        """Give the room back."""

    def close(self) -> None:
        """Let go of it."""


class SmallDisk:
    """A file system of its own, of which a file takes what nobody else should have."""

    def __init__(self, state: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._state = state
        options = f"size={DISK}".encode()
        if self._libc.mount(b"tmpfs", os.fsencode(state), b"tmpfs", 0, options):
            raise PermissionError(ctypes.get_errno(), "cannot mount")
        self._filler = state / "filler"

    def fill(self, service: ServiceProcess) -> None:
        free = os.statvfs(self._state)
        with self._filler.open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, free.f_bavail * free.f_frsize - MEGABYTE)

    def clear(self, service: ServiceProcess) -> None:
        self._filler.unlink()

    def close(self) -> None:
        if self._libc.umount2(os.fsencode(self._state), 2):
            raise OSError(ctypes.get_errno(), "cannot unmount")


class Quota:
    """A limit of what each file may grow to: for machines on which nobody may mount."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def fill(self, service: ServiceProcess) -> None:
        self._limit(service, (self._state / "state.db-wal").stat().st_size + MEGABYTE)

    def clear(self, service: ServiceProcess) -> None:
        self._limit(service, resource.RLIM_INFINITY)

    def close(self) -> None:
        """There is nothing to let go of."""

    @staticmethod
    def _limit(service: ServiceProcess, size: int) -> None:
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture(params=["small disk", "quota"])
def disk(home: Path, request: pytest.FixtureRequest) -> Iterator[Disk]:
    state = home / ".sensorflow"
    state.mkdir(mode=0o700)
    made: Disk = Quota(state)
    if request.param == "small disk":
        try:
            made = SmallDisk(state)
        except PermissionError:  # In most containers; a quota is as full.
            made = Quota(state)
    yield made
    made.close()


class Poster:
    """Posts large events, as many as there is room for."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self.acknowledged: set[str] = set()
        self.refused = 0
        self._client = client
        self._next = 0

    async def post_until_refused(self, size: int) -> None:
        """Post until the service says that it cannot store one."""
        while await self.post(size) == 202:
            assert len(self.acknowledged) < 100_000

    async def post(self, size: int) -> int:
        name = f"large-{self._next}"
        self._next += 1
        event = {"specversion": "1.0", "id": name, "source": "/large", "type": "large", "data": "x" * size}
        headers = {"Content-Type": "application/cloudevents+json"}
        async with self._client.post("/api/v1/events", json=event, headers=headers) as response:
            if response.status == 202:
                self.acknowledged.add(name)
            else:
                assert response.status == 503 and response.headers["Retry-After"], await response.text()
                self.refused += 1
            return response.status


async def readiness(client: aiohttp.ClientSession) -> int:
    async with client.get("/readyz") as response:
        return response.status


async def until_ready(service: ServiceProcess, client: aiohttp.ClientSession) -> float:
    """Wait, and do nothing else, until the service is ready; return how long that took."""
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    async with asyncio.timeout(120):
        while await readiness(client) != 200:
            await service.moment()
    return loop.time() - began_at


def see_all_kept(home: Path, acknowledged: set[str]) -> None:
    path = home / ".sensorflow" / "state.db"
    assert {
        row[0] for row in Kept(home).rows("SELECT event_id FROM events WHERE source = '/large'")
    } == acknowledged
    store = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store.close()


async def test_a_full_disk_is_said_and_never_acknowledged_and_the_service_is_back_by_itself(
    home: Path, disk: Disk, figure: Callable[[str], None]
) -> None:
    (home / "pipelines" / "filling.yaml").write_text(HOME)
    service = ServiceProcess(home)
    await service.start()
    longest_s = 0.0
    try:
        async with client_of(service) as client:
            poster = Poster(client)
            for number in range(TIMES):
                (home / "go").unlink(missing_ok=True)
                ask = {"dataset": "asked", "partition": f"k{number}"}
                async with client.post("/api/v1/ready", json=ask) as response:
                    assert response.status == 202
                await service.until(
                    lambda: Kept(home).count("SELECT count(pid) FROM attempts WHERE ended_at IS NULL")
                )
                assert await poster.post(1000) == 202
                disk.fill(service)
                await asyncio.gather(*(poster.post_until_refused(50_000) for _ in range(CLIENTS)))
                (home / "go").touch()
                if isinstance(
                    disk, SmallDisk
                ):  # Below a quota the service may come to a little room by itself.
                    assert await readiness(client) == 503
                    # What ends is kept: there is a little room for that, and for nothing else.
                    await service.until(lambda n=number: Kept(home).runs_in("succeeded") == n + 1)
                    for _ in range(20):
                        assert await poster.post(50_000) == 503
                        assert await readiness(client) == 503
                        await service.moment()
                disk.clear(service)
                longest_s = max(longest_s, await until_ready(service, client))
                assert await poster.post(50_000) == 202
                await service.until(lambda n=number: Kept(home).runs_in("succeeded") == n + 1)
    finally:
        assert await service.stop() == 0
    see_all_kept(home, poster.acknowledged)
    assert longest_s <= BACK_S
    figure(
        f"full {TIMES} times: {len(poster.acknowledged)} events acknowledged and kept, "
        f"{poster.refused} refused, ready again by itself after {longest_s:.1f} s at most"
    )


async def test_on_a_disk_that_is_full_of_events_the_old_ones_make_room(
    home: Path, disk: Disk, figure: Callable[[str], None]
) -> None:
    if not isinstance(disk, SmallDisk):
        pytest.skip("a quota leaves no room to work in; where nobody may mount there is no small disk")
    (home / "pipelines" / "filling.yaml").write_text(HOME)
    service = ServiceProcess(home, retention_events="20s")
    await service.start()
    try:
        async with client_of(service) as client:
            poster = Poster(client)
            await asyncio.gather(*(poster.post_until_refused(200_000) for _ in range(CLIENTS)))
            assert await readiness(client) == 503
            kept = len(poster.acknowledged)
            took_s = await until_ready(service, client)
            assert await poster.post(200_000) == 202
            left = Kept(home).count("SELECT count(*) FROM events")
    finally:
        assert await service.stop() == 0
    assert left < kept
    figure(f"full of {kept} events that are kept for 20 s: ready again after {took_s:.1f} s, {left} left")


async def test_a_service_on_a_full_disk_can_be_killed_stopped_and_started(home: Path, disk: Disk) -> None:
    (home / "pipelines" / "filling.yaml").write_text(HOME)
    service = ServiceProcess(home)
    await service.start()
    try:
        async with client_of(service) as client:
            poster = Poster(client)
            ask = {"dataset": "asked", "partition": "k"}
            async with client.post("/api/v1/ready", json=ask) as response:
                assert response.status == 202
            await service.until(lambda: Kept(home).count("SELECT count(pid) FROM attempts"))
            for ends in (service.kill, service.stop):
                disk.fill(service)
                await asyncio.gather(*(poster.post_until_refused(50_000) for _ in range(CLIENTS)))
                await ends()
                await service.start()
                # With its process a quota is gone; a disk is as full as before.
                assert await readiness(client) == (503 if isinstance(disk, SmallDisk) else 200)
                disk.clear(service)
                await until_ready(service, client)
                assert await poster.post(1000) == 202
            (home / "go").touch()
            await service.until(lambda: Kept(home).runs_in("succeeded") == 1)
    finally:
        if service.is_there:
            await service.stop()
    see_all_kept(home, poster.acknowledged)
