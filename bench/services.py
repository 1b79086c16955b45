"""A home in a temporary folder, and the servers that are measured, each a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@contextlib.contextmanager
def home_of(files: Mapping[str, str]) -> Iterator[Path]:
    """Make a home with these files, by their path in it."""
    with tempfile.TemporaryDirectory() as folder:
        yield written(Path(folder), files)


def written(home: Path, files: Mapping[str, str]) -> Path:
    """Write the files of a home and return it."""
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return home


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def serving(
    *command: str, port: int, path: str = "/healthz", **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server and wait until it answers 200 at the path.

    Raises:
        RuntimeError: it ended, or did not answer within two minutes.
    """
    # As where it is installed: what is imported has been compiled before.
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **env}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env) as server:
        try:
            until = time.monotonic() + 120
            while not answers(port, path):
                if server.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{' '.join(command)} does not answer on port {port}")
                time.sleep(0.005)
            yield server
        finally:
            server.terminate()
            server.wait()


def answers(port: int, path: str) -> bool:
    """Tell whether a server answers 200."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def sensorflow(home: Path, **env: str) -> Iterator[tuple[int, int]]:
    """Serve a home; give its port and the process id."""
    port = free_port()
    command = (sys.executable, "-m", "sensorflow", "serve", "--home", str(home), "--port", str(port))
    with serving(*command, port=port, path="/readyz", **env) as server:
        yield port, server.pid


@contextlib.contextmanager
def bare() -> Iterator[tuple[int, int]]:
    """Serve the ceiling: the same aiohttp, answering 202 without doing anything."""
    port = free_port()
    with serving(sys.executable, "-m", "bench.bare_server", str(port), port=port) as server:
        yield port, server.pid


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process and its threads have spent since they started."""

    cpu_s: float
    wakeups: int

    @classmethod
    def by(cls, pid: int) -> "Spent":
        """Read it."""
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        status = [thread.joinpath("status").read_text() for thread in threads]
        # In nanoseconds, where utime and stime count in hundredths of a second.
        ran = [int(thread.joinpath("schedstat").read_text().split()[0]) for thread in threads]
        waits = [line.split()[1] for text in status for line in text.splitlines() if line.startswith("volun")]
        return cls(sum(ran) / 1e9, sum(map(int, waits)))


def rest(pid: int) -> None:
    """Wait until a server has done what it does after its start: it looks at every open run again."""
    calm = 0
    while calm < 3:
        before = Spent.by(pid).cpu_s
        time.sleep(0.3)
        calm = calm + 1 if Spent.by(pid).cpu_s - before < 0.01 else 0


def resident_mb(pid: int) -> float:
    """Return how much memory a process holds, in MB of a million bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
