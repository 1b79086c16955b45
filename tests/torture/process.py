"""The real `sensorflow serve` of a home: started, suspended, stopped and killed from outside."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from sensorflow.processes import process_started
from tests.broker import free_port
from tests.calling import environment

#: A start may take so long on a machine that has much else to do.
START_S = 60.0
#: How often a test looks again where nothing tells it.
LOOK_S = 0.05


class ServiceProcess:
    """A service that keeps its port over its deaths. Its log is kept in `lines`, each as its JSON says."""

    def __init__(self, home: Path, *, wrapper: tuple[str, ...] = (), **settings: object) -> None:
        """Prepare, not start.

        Args:
            wrapper: The command that starts the service, as `prlimit`; it has to become it.
        """
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines: list[dict[str, Any]] = []
        #: Set while the service takes requests, as far as is known.
        self.serves = asyncio.Event()
        self._command = (*wrapper, sys.executable, "-m", "sensorflow", "serve")
        self._arguments = ("--home", str(home), "--port", str(self.port))
        given = {f"SENSORFLOW_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment = environment(SENSORFLOW_LOG_FORMAT="json", **given)
        self._process: asyncio.subprocess.Process | None = None
        self._ended: asyncio.Task[int] | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def is_there(self) -> bool:
        """Whether its process has been started and not been ended by the test."""
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self, *, wait: bool = True) -> None:
        """Start, and return when it serves."""
        assert self._process is None, "it runs already"
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            *self._arguments,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=16 * 1024 * 1024,
        )
        self._reading = asyncio.create_task(self._read(self._process))
        self._ended = asyncio.create_task(self._process.wait())
        if wait:
            await self.until(self.serves.is_set, START_S)

    async def kill(self) -> None:
        """End it with SIGKILL."""
        assert self._process is not None
        self.serves.clear()
        self._process.kill()
        await self._gone()

    async def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        assert self._process is not None
        self.serves.clear()
        with suppress(ProcessLookupError):  # It may have ended by itself, as its exit code says.
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        return await self._gone()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def until(self, holds: Callable[[], object], patience_s: float = 60.0) -> None:
        """Return once it holds; the service must live for as long."""
        assert self._ended is not None
        async with asyncio.timeout(patience_s):
            while not holds():
                await self.moment()

    async def moment(self, seconds: float = LOOK_S) -> None:
        """Let a moment pass in which the service must not end."""
        assert self._ended is not None
        await asyncio.wait({self._ended}, timeout=seconds)
        assert not self._ended.done(), f"it ended with {self._ended.result()}: {self.lines[-20:]}"

    def rss_bytes(self) -> int:
        """Return how much memory it has now."""
        return self._memory("VmRSS")

    def peak_rss_bytes(self) -> int:
        """Return how much memory it has had at most."""
        return self._memory("VmHWM")

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the log that begin so, of all its lives."""
        return [line for line in self.lines if str(line.get("event", "")).startswith(event)]

    async def _gone(self) -> int:
        assert self._ended is not None and self._reading is not None
        code = await self._ended
        await self._reading
        self._process = self._ended = self._reading = None
        return code

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            try:
                found = json.loads(line)
            except ValueError:  # What no logger wrote, as the last words of an interpreter.
                found = {"event": line.decode(errors="replace")}
            self.lines.append(found)
            if found.get("event") == "serving":
                self.serves.set()

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) * 1024


@asynccontextmanager
async def served(home: Path, **settings: Any) -> AsyncIterator[ServiceProcess]:
    """Give a home's service, which serves already and is stopped in the end."""
    service = ServiceProcess(home, **settings)
    try:
        await service.start()
        yield service
    finally:
        if service.is_there:
            await service.stop()


@asynccontextmanager
async def client_of(service: ServiceProcess, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a client that knows the address of a service, over its deaths."""
    async with aiohttp.ClientSession(service.url, **options) as session:
        yield session


def lives(pid: int) -> bool:
    """Tell whether a process runs."""
    return bool(process_started(pid))
