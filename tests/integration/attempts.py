"""What the tests of attempts share: orders, reports that can be waited for, signals from processes."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from sensorflow.core.commands import StartAttempt
from sensorflow.core.messages import AttemptEnded, AttemptStarted
from sensorflow.core.vocabulary import Action, Command, HttpCall, JsonValue, PythonFunction
from sensorflow.executor.attempt_files import log_path
from sensorflow.executor.local import LocalExecutor
from sensorflow.ports import AttemptKey, TaskKind
from sensorflow.tasks.command import CommandKind
from sensorflow.tasks.http import HttpKind
from sensorflow.tasks.python import PythonKind

#: Longer than any test needs; a test that waits so long has failed.
LIMIT_S = 20.0


def order(
    action: Action,
    *,
    number: int = 1,
    task: str = "load",
    run_id: str = "run-1",
    partition: str = "2013-03-10",
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    inputs: Mapping[str, JsonValue] | None = None,
    dimensions: Mapping[str, str] | None = None,
    token: str | None = None,
) -> StartAttempt:
    """Make an order whose other values are those of a day in New York."""
    return StartAttempt(
        run_id=run_id,
        pipeline="flight_delays",
        task=task,
        number=number,
        generation=2,
        partition=partition,
        partition_start="2013-03-10T00:00:00-05:00",
        partition_end="2013-03-11T00:00:00-04:00",
        idempotency_key="key-1",
        action=action,
        env=env or {},
        timeout_s=timeout_s,
        inputs=inputs or {},
        missing=(),
        dimensions=dimensions or {},
        token=token,
    )


def callback_url(token: str) -> str:
    """Return where an attempt with this token ends."""
    return f"http://127.0.0.1:8484/api/v1/callbacks/{token}"


def key(of: StartAttempt) -> AttemptKey:
    """Return the key of an order's attempt."""
    return of.run_id, of.task, of.number


class Reports:
    """Keeps what an executor reports, and lets a test wait for it."""

    def __init__(self) -> None:
        self.started: dict[AttemptKey, AttemptStarted] = {}
        self.ended: dict[AttemptKey, AttemptEnded] = {}
        self.all: list[AttemptStarted | AttemptEnded] = []
        self._news = asyncio.Condition()

    def __call__(self, message: AttemptStarted | AttemptEnded) -> None:
        kept = self.started if isinstance(message, AttemptStarted) else self.ended
        attempt = (message.run_id, message.task, message.number)
        assert attempt not in kept, f"reported twice: {message}"
        kept[attempt] = message  # type: ignore[assignment]
        self.all.append(message)
        self._announcing = asyncio.ensure_future(self._announce())

    async def _announce(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def start_of(self, attempt: AttemptKey) -> AttemptStarted:
        async with asyncio.timeout(LIMIT_S), self._news:
            await self._news.wait_for(lambda: attempt in self.started)
        return self.started[attempt]

    async def end_of(self, attempt: AttemptKey) -> AttemptEnded:
        async with asyncio.timeout(LIMIT_S), self._news:
            await self._news.wait_for(lambda: attempt in self.ended)
        return self.ended[attempt]


async def readable(descriptor: int) -> None:
    """Wait until a descriptor can be read; that of a process can when the process has ended."""
    loop = asyncio.get_running_loop()
    can_be_read = asyncio.Event()
    loop.add_reader(descriptor, can_be_read.set)
    try:
        async with asyncio.timeout(LIMIT_S):
            await can_be_read.wait()
    finally:
        loop.remove_reader(descriptor)


async def process_ended(pid: int) -> None:
    """Wait until a process, of whomever, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await readable(descriptor)
    finally:
        os.close(descriptor)


class Signal:
    """A FIFO on which a process says that it is so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    async def line(self) -> str:
        """Wait for a line that a process writes in one go."""
        await readable(self._descriptor)
        return os.read(self._descriptor, 4096).decode().strip()

    def give(self) -> None:
        """Let one process go on that reads a line from it."""
        os.write(self._descriptor, b"go\n")

    def close(self) -> None:
        os.close(self._descriptor)


class Bench:
    """An executor on an empty home, with what a test needs around it."""

    def __init__(
        self,
        home: Path,
        *,
        hidden_names: frozenset[str] = frozenset(),
        grace_s: float = 0.3,
        http: TaskKind | None = None,
    ) -> None:
        self.home = home
        self.reports = Reports()
        self.executor = LocalExecutor(
            home,
            {
                Command: CommandKind(stop_grace_s=grace_s),
                PythonFunction: PythonKind(home, workers=2, stop_grace_s=grace_s),
                HttpCall: http or HttpKind(callback_url),
            },
            self.reports,
            stop_grace_s=grace_s,
            hidden_names=hidden_names,
        )

    async def run(self, to_run: StartAttempt) -> AttemptEnded:
        """Run an attempt to its end."""
        self.executor.start(to_run)
        return await self.reports.end_of(key(to_run))

    async def hand_over(self, to_run: StartAttempt) -> None:
        """Run an attempt until nothing of it is left here, whatever is reported of it."""
        self.executor.start(to_run)
        name = "attempt " + "/".join(map(str, key(to_run)))
        (work,) = [task for task in asyncio.all_tasks() if task.get_name() == name]
        await asyncio.wait([work], timeout=LIMIT_S)
        assert work.done()

    def log(self, of: StartAttempt) -> str:
        return log_path(self.home, *key(of)).read_text()


def shell(line: str) -> Command:
    return Command(line=line)


def runs(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def zombie_children() -> list[str]:
    """Return the children of this process that nobody has reaped."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state == "Z" and int(parent) == os.getpid():
            found.append(stat.parent.name)
    return found


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
