"""Calls one task function after another: `python -m sensorflow.tasks.worker DESCRIPTOR`.

The descriptor is the worker's end of a socket pair, over which JSON lines go. The service sends
`{"module", "function", "log", "context_file", "env"}` and, in a line of its own, what the context
file is to hold; the worker answers `{"state": "stale"}`
where files that it has imported have changed and it calls nothing, else `{"state": "started"}` and
later `{"state": "ended", "exit_code", "error", "reusable"}`. The end of the channel, at any time,
means that the service is gone: the worker then kills its own process group.
"""

import importlib
import inspect
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import FrameType
from typing import Any

from sensorflow.tasks.context import TaskContext

_ERROR_LENGTH = 500
#: As a shell has it for a process that SIGTERM ended.
_TERMINATED_EXIT_CODE = 128 + signal.SIGTERM

Sources = dict[str, Mapping[str, float]]


class TaskFunctionError(Exception):
    """The function that the task names cannot be had."""


def main() -> None:
    """Serve jobs until the channel ends."""
    if os.getpgrp() != os.getpid():
        sys.exit("expected to be started by sensorflow, as the leader of a process group")
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    # A child that held the channel would hide this worker's death from the service.
    os.register_at_fork(after_in_child=channel.close)
    threading.Thread(target=_end_with_the_service, args=(channel.fileno(),), daemon=True).start()
    home = str(Path.cwd())
    sys.path.insert(0, home)
    sys.argv = ["sensorflow"]
    sources = _recorded_sources(home)
    own_output = os.dup(1), os.dup(2)
    with channel.makefile("rb") as jobs:
        signal.signal(signal.SIGTERM, _leave)
        for line in jobs:
            context = next(jobs)
            if _changed(sources):
                _answer(channel, {"state": "stale"})
                continue
            _answer(channel, {"state": "started"})
            threads = set(threading.enumerate())
            exit_code, error = _attempt(json.loads(line), context, home)
            _restore(own_output)
            reusable = not _left_something_running(threads)
            ended = {"state": "ended", "exit_code": exit_code, "error": error, "reusable": reusable}
            _answer(channel, ended)


def _end_with_the_service(channel: int) -> None:
    poll = select.poll()
    poll.register(channel, 0)  # Nothing but the end of the channel wakes it.
    poll.poll()
    os.killpg(0, signal.SIGKILL)


def _leave(number: int, frame: FrameType | None) -> None:
    """End as SIGTERM wants it, but let the function's `finally` blocks run."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _StopRequested(_TERMINATED_EXIT_CODE)


class _StopRequested(SystemExit):
    """SIGTERM came."""


def _answer(channel: socket.socket, message: Mapping[str, Any]) -> None:
    channel.sendall(json.dumps(message).encode() + b"\n")


def _recorded_sources(home: str) -> Sources:
    """Return a record of the files of the home that are imported from now on, as they were when read."""
    sources: Sources = {}
    path_stats = SourceFileLoader.path_stats

    # Python asks for these just before it reads a source file, so no edit can fall between.
    def recording(self: SourceFileLoader, path: str) -> Mapping[str, float]:
        stats: Mapping[str, float] = path_stats(self, path)
        if path.startswith(home + os.sep) and "site-packages" not in path:
            sources[path] = stats
        return stats

    SourceFileLoader.path_stats = recording  # type: ignore[method-assign]
    return sources


def _changed(sources: Sources) -> bool:
    for path, stats in sources.items():
        try:
            now = os.stat(path)  # noqa: PTH116 - for each file before each attempt
        except FileNotFoundError:
            return True
        if (now.st_mtime, now.st_size) != (stats["mtime"], stats["size"]):
            return True
    return False


def _attempt(job: Mapping[str, Any], context_line: bytes, home: str) -> tuple[int, str | None]:
    """Do one job and return its exit code with, for a failure, the error in one line."""
    try:
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        _set_environment(job["env"])
        os.chdir(home)
        signal.signal(signal.SIGTERM, _leave)
        Path(job["context_file"]).write_bytes(context_line)
        context = TaskContext(**json.loads(context_line))
        _call(_task_function(job["module"], job["function"]), context)
    except _StopRequested:
        raise
    except SystemExit as ended:
        return _exit_code(ended)
    except TaskFunctionError as error:
        traceback.print_exception(error.__cause__ or error)
        return 1, _one_line(str(error))
    except BaseException as error:  # noqa: BLE001 - whatever a task raises is its failure, not the worker's
        # The two frames of this file tell a user nothing.
        frames = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(error.with_traceback(frames and frames.tb_next))
        return 1, _one_line(_described(error))
    return 0, None


def _set_environment(wanted: Mapping[str, str]) -> None:
    """Make the environment what is wanted.

    Most of it is so already; to set all of it anew takes four times as long, a tenth of a firing.
    """
    found = dict(os.environ)
    for name in found.keys() - wanted.keys():
        del os.environ[name]
    for name, value in wanted.items():
        if found.get(name) != value:
            os.environ[name] = value
    time.tzset()


def _task_function(module_name: str, function_name: str) -> Callable[[TaskContext], object]:
    try:
        if module_name not in sys.modules:
            importlib.invalidate_caches()  # The file may be new since this worker looked.
        module = importlib.import_module(module_name)
    except Exception as error:
        raise TaskFunctionError(f"cannot import {module_name}: {_described(error)}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise TaskFunctionError(f"module {module_name} has no function {function_name}")
    return function  # type: ignore[no-any-return]


def _call(function: Callable[[TaskContext], object], context: TaskContext) -> None:
    returned = function(context)
    if inspect.iscoroutine(returned):
        import asyncio  # noqa: PLC0415 - most tasks do without it, and start sooner so

        asyncio.run(returned)


def _exit_code(ended: SystemExit) -> tuple[int, str | None]:
    """Return what Python itself would make of it."""
    if ended.code is None:
        return 0, None
    if isinstance(ended.code, int):
        return ended.code & 0xFF, None
    os.write(2, f"{ended.code}\n".encode(errors="replace"))
    return 1, _one_line(str(ended.code))


def _described(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _one_line(text: str) -> str:
    return text.strip().partition("\n")[0][:_ERROR_LENGTH]


def _restore(own_output: tuple[int, int]) -> None:
    """Take the output back from the log."""
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        if stream is not None and not stream.closed:
            stream.flush()
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    for descriptor, own in enumerate(own_output, start=1):
        os.dup2(own, descriptor)


def _left_something_running(threads_before: set[threading.Thread]) -> bool:
    """Tell whether the attempt left threads or children, which would work into the next one."""
    if set(threading.enumerate()) - threads_before:
        return True
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    main()
