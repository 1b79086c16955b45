"""Calls a Python function in a warm worker process."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sensorflow.core.commands import StartAttempt
from sensorflow.core.vocabulary import PythonFunction
from sensorflow.ports import AttemptPlace, Outcome
from sensorflow.processes import own_group, process_started, signal_name, stop_child, wait_for_exit

#: A worker is replaced after so many attempts, so that what tasks leak does not add up.
_ATTEMPTS_PER_WORKER = 200
#: Exit codes that mean succeeded and skipped.
_NO_FAILURE = {0, 99}


class PythonKind:
    """Implements `ports.TaskKind` for `PythonFunction`.

    A worker runs one attempt at a time. Where all are busy another one is started, and ended again
    when it would be one too many that idles.

    Args:
        home: The folder that functions are imported from.
        workers: How many idle workers are kept.
        stop_grace_s: Seconds between SIGTERM and SIGKILL.
    """

    def __init__(self, home: Path, *, workers: int = 2, stop_grace_s: float = 10.0) -> None:
        self._home = home.absolute()
        self._workers = workers
        self._stop_grace_s = stop_grace_s
        #: The one used last is the last: it is the warmest.
        self._idle: list[_Worker] = []

    def start(self, order: StartAttempt, place: AttemptPlace) -> Coroutine[Any, Any, Outcome]:
        """Hand the call to a worker; what it and its children print goes straight into the log."""
        job = _job(order, place)
        worker = self._take(order, place)
        worker.send(job)
        return self._outcome(worker, job, order, place)

    async def _outcome(
        self, worker: "_Worker", job: bytes, order: StartAttempt, place: AttemptPlace
    ) -> Outcome:
        while True:
            try:
                outcome = await self._use(worker, place)
            except BaseException:
                await worker.end(self._stop_grace_s)
                raise
            if outcome is not None:
                return outcome
            worker = self._take(order, place)
            worker.send(job)

    def _take(self, order: StartAttempt, place: AttemptPlace) -> "_Worker":
        return self._idle.pop() if self._idle else _Worker(self._home, _worker_environment(order, place))

    async def _use(self, worker: "_Worker", place: AttemptPlace) -> Outcome | None:
        """Return how the attempt ended in this worker; None: it has called nothing, take another one."""
        try:
            outcome = await worker.outcome(place)
        except _WorkerUnusableError:
            called = worker.busy
            status = await worker.end(self._stop_grace_s)
            return _death(status) if called or worker.attempts == 1 else None
        is_kept = not worker.busy and len(self._idle) < self._workers
        if is_kept and worker.attempts < _ATTEMPTS_PER_WORKER:
            self._idle.append(worker)
            return outcome
        if is_kept:
            # A successor warms up before it is needed. Why it cannot is told to who needs one.
            with suppress(OSError):
                self._idle.insert(0, _Worker(self._home, worker.env))
        await worker.end(self._stop_grace_s)
        return outcome

    async def close(self) -> None:
        """End the idle workers."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(worker.end(self._stop_grace_s) for worker in idle))


class _WorkerUnusableError(Exception):
    """The worker has died, or has imported files that have changed since."""


class _Worker:
    """One worker process and the channel to it."""

    def __init__(self, home: Path, env: Mapping[str, str]) -> None:
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        self._received = b""
        #: What could not be sent at once.
        self._unsent = b""
        self._news = asyncio.Event()
        self._is_over = False
        self.env = env
        self.attempts = 0
        #: True while something of an attempt runs in it; what it left behind ends before the attempt does.
        self.busy = False
        try:
            # -P: a file of the home must not stand in for what the worker itself imports.
            # -B: nothing but .sensorflow/ is written in a home. -u: the log shows output as it comes.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-B", "-u", "-m", "sensorflow.tasks.worker", str(theirs.fileno())],
                cwd=home,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                **own_group(),
            )
        except BaseException:
            self._channel.close()
            raise
        finally:
            theirs.close()
        self._process_started = process_started(self._process.pid)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._channel, self._receive)

    def send(self, job: bytes) -> None:
        """Send a job, as much of it as goes at once. That the worker is dead shows in its outcome."""
        self.attempts += 1
        try:
            self._unsent = job[self._channel.send(job) :]
        except BlockingIOError:
            self._unsent = job
        except ConnectionError:
            self._is_over = True

    async def outcome(self, place: AttemptPlace) -> Outcome:
        """Return how the job that was sent has ended.

        Raises:
            _WorkerUnusableError: it was not done; where the worker is `busy`, it died while at it.
        """
        if self._unsent:
            try:
                await self._loop.sock_sendall(self._channel, self._unsent)
            except ConnectionError:
                raise _WorkerUnusableError from None
        answer = await self._answer()
        if answer["state"] == "stale":
            raise _WorkerUnusableError
        self.busy = True
        place.started(self._process.pid, self._process_started)
        answer = await self._answer()
        self.busy = not answer["reusable"]
        return Outcome(answer["exit_code"], answer["error"])

    async def end(self, grace_s: float) -> int:
        """Stop it with all of its group, reap it, and return its exit status."""
        if self.busy:
            status = await stop_child(self._process, grace_s)
            self._close()
            return status
        # A worker kills its own group when the channel ends; nothing is at work that needs time.
        self._close()
        status = await wait_for_exit(self._process)
        await stop_child(self._process, grace_s)
        return status

    def _close(self) -> None:
        self._loop.remove_reader(self._channel)
        self._channel.close()

    async def _answer(self) -> dict[str, Any]:
        while b"\n" not in self._received:
            if self._is_over:
                raise _WorkerUnusableError
            self._news.clear()
            await self._news.wait()
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _receive(self) -> None:
        try:
            received = self._channel.recv(65536)
        except ConnectionError:
            received = b""
        if not received:
            self._is_over = True
            self._loop.remove_reader(self._channel)
        self._received += received
        self._news.set()


def _job(order: StartAttempt, place: AttemptPlace) -> bytes:
    """Return a job as it goes over the channel: a line of what to do, and a line of context."""
    assert isinstance(order.action, PythonFunction)
    job = {
        "module": order.action.module,
        "function": order.action.function,
        "log": place.log,
        "context_file": place.context_file,
        "env": dict(place.env),
    }
    return json.dumps(job).encode() + b"\n" + place.context + b"\n"


def _worker_environment(order: StartAttempt, place: AttemptPlace) -> dict[str, str]:
    """Return what all attempts have in common, for a worker outlives the one it is started for."""
    return {
        name: value
        for name, value in place.env.items()
        if name not in order.env and not name.startswith("SENSORFLOW_")
    }


def _death(status: int) -> Outcome:
    """Return the failure of an attempt whose worker died; no exit status makes it a success."""
    if status < 0:
        return Outcome(128 - status, f"the worker was killed by {signal_name(-status)}")
    exit_code = status if status not in _NO_FAILURE else 1
    return Outcome(exit_code, f"the worker ended by itself with exit status {status}")
