"""Calls a Python function in a warm worker process."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sensorflow.core.commands import StartAttempt
from sensorflow.core.vocabulary import PythonFunction
from sensorflow.ports import AttemptPlace, Outcome
from sensorflow.processes import signal_name, stop_child, wait_for_exit

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

    async def run(self, order: StartAttempt, place: AttemptPlace) -> Outcome:
        """Call the function; what it and its children print goes straight into the log."""
        job = _job(order, place)
        outcome = None
        while outcome is None:
            worker = (
                self._idle.pop() if self._idle else _Worker(self._home, _worker_environment(order, place))
            )
            try:
                outcome = await self._use(worker, job, place)
            except BaseException:
                await worker.end(self._stop_grace_s)
                raise
        return outcome

    async def _use(self, worker: "_Worker", job: bytes, place: AttemptPlace) -> Outcome | None:
        """Return how the attempt ended in this worker; None: it has called nothing, take another one."""
        try:
            outcome = await worker.run(job, place)
        except _WorkerUnusableError:
            called = worker.busy
            status = await worker.end(self._stop_grace_s)
            return _death(status) if called or worker.attempts == 1 else None
        if worker.reusable and len(self._idle) < self._workers:
            self._idle.append(worker)
        else:
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
        self.attempts = 0
        #: True while something of an attempt runs in it.
        self.busy = False
        self.reusable = True
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
                start_new_session=True,
            )
        except BaseException:
            self._channel.close()
            raise
        finally:
            theirs.close()

    async def run(self, job: bytes, place: AttemptPlace) -> Outcome:
        """Have the worker do a job.

        Raises:
            _WorkerUnusableError: it did not; where it is `busy`, it died while at it.
        """
        self.attempts += 1
        try:
            await asyncio.get_running_loop().sock_sendall(self._channel, job)
        except ConnectionError:
            raise _WorkerUnusableError from None
        answer = await self._answer()
        if answer["state"] == "stale":
            raise _WorkerUnusableError
        self.busy = True
        place.started(self._process.pid)
        answer = await self._answer()
        self.busy = not answer["reusable"]
        self.reusable = answer["reusable"] and self.attempts < _ATTEMPTS_PER_WORKER
        return Outcome(answer["exit_code"], answer["error"])

    async def end(self, grace_s: float) -> int:
        """Stop it with all of its group, reap it, and return its exit status."""
        if self.busy:
            status = await stop_child(self._process, grace_s)
            self._channel.close()
            return status
        # A worker kills its own group when the channel ends; nothing is at work that needs time.
        self._channel.close()
        status = await wait_for_exit(self._process)
        await stop_child(self._process, grace_s)
        return status

    async def _answer(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        while b"\n" not in self._received:
            try:
                received = await loop.sock_recv(self._channel, 65536)
            except ConnectionError:
                received = b""
            if not received:
                raise _WorkerUnusableError
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _job(order: StartAttempt, place: AttemptPlace) -> bytes:
    assert isinstance(order.action, PythonFunction)
    job = {
        "module": order.action.module,
        "function": order.action.function,
        "log": str(place.log),
        "context_file": str(place.context_file),
        "env": dict(place.env),
    }
    return json.dumps(job).encode() + b"\n"


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
