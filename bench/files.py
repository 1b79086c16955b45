"""What a storm of files costs: how soon all are found, and how long the service's loop waits meanwhile.

`python -m bench.files [--files 20000]`: another process writes them into a folder that a file sensor watches;
beside it what it costs only to list such a folder and to ask for each file's size, as every look does.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

from sensorflow.ports import Batch, SensorContext
from sensorflow.sensors.file import FileOptions, FileSensor

WRITE = """
import pathlib, sys
for number in range(int(sys.argv[2])):
    pathlib.Path(sys.argv[1], f"{number}.csv").write_text("x")
"""
BEAT_S = 0.005


class Storm:
    """A sensor, a heart that beats beside it in the same loop, and the files that come."""

    def __init__(self, home: Path, files: int) -> None:
        self.home = home
        self.files = files
        self.is_well = asyncio.Event()
        self.events = 0
        self.paths: set[str | None] = set()
        self.holds_s: list[float] = []
        #: The longest that the loop itself worked at a stretch, whatever else the machine did.
        self.busy_s = 0.0

    async def run(self) -> None:
        """Let it blow over, and print what it took."""
        (self.home / "landing").mkdir()
        observing = asyncio.create_task(self._observe())
        await self.is_well.wait()
        beating = asyncio.create_task(self._beat())
        began_at, cpu_at = time.perf_counter(), time.process_time()
        writer = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", WRITE, str(self.home / "landing"), str(self.files))
        )
        await writer.wait()
        written_s = time.perf_counter() - began_at
        await observing
        found_s, cpu_s = time.perf_counter() - began_at, time.process_time() - cpu_at
        beating.cancel()
        held = sorted(self.holds_s)
        print(f"{self.files} files written in {written_s:.1f} s, all found {found_s - written_s:.1f} s later")
        print(f"events: {self.events}, of different files: {len(self.paths)}")
        print(f"processor time a file: {cpu_s / self.files * 1e6:.0f} us")
        p99_ms, longest_ms = held[int(len(held) * 0.99)] * 1e3, held[-1] * 1e3
        print(f"the loop was held: p99 {p99_ms:.0f} ms, at most {longest_ms:.0f} ms")
        print(f"the longest that it worked itself: {self.busy_s * 1e3:.0f} ms")

    async def _observe(self) -> None:
        context = SensorContext(
            pipeline="bench",
            name="files",
            home=self.home,
            instance="bench",
            report=lambda _: self.is_well.set(),
        )
        sensor = FileSensor(FileOptions(path="landing/{partition}.csv"), context)
        async with aclosing(sensor.events()) as events:
            async for batch in events:
                assert isinstance(batch, Batch)
                self.events += len(batch.events)
                self.paths |= {event.subject for event in batch.events}
                if len(self.paths) == self.files:
                    return

    async def _beat(self) -> None:
        while True:
            began_at, cpu_at = time.perf_counter(), time.thread_time()
            await asyncio.sleep(BEAT_S)
            self.holds_s.append(time.perf_counter() - began_at - BEAT_S)
            self.busy_s = max(self.busy_s, time.thread_time() - cpu_at)


def list_it(folder: Path, files: int) -> None:
    """Print what a look costs at least."""
    began_at = time.process_time()
    for entry in os.scandir(folder):
        entry.stat(follow_symlinks=False)
    print(f"only to list them: {(time.process_time() - began_at) / files * 1e6:.1f} us a file")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(Storm(Path(home), files).run())
        list_it(Path(home) / "landing", files)


if __name__ == "__main__":
    main()
