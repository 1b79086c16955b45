"""Finds processes that attempts of a dead service left behind."""

import os
from collections.abc import Iterable
from pathlib import Path

from sensorflow.core.messages import LostAttempt
from sensorflow.executor.attempt_files import log_path
from sensorflow.processes import process_started, running_processes

_IDENTITY = ("SENSORFLOW_RUN_ID", "SENSORFLOW_TASK", "SENSORFLOW_ATTEMPT")


def orphaned_groups(home: Path, lost: Iterable[LostAttempt]) -> set[int]:
    """Return the process groups that work for one of these attempts, never the caller's own.

    A process works for an attempt when pid and start time are as recorded, when its environment
    names the attempt, or when its output goes to the attempt's log. The last finds a warm worker
    that was not recorded yet: a process's environment is shown as it was at its start.
    """
    attempts = list(lost)
    identities = {(attempt.run_id, attempt.task, str(attempt.number)) for attempt in attempts}
    logs = {
        os.path.realpath(log_path(home, attempt.run_id, attempt.task, attempt.number)) for attempt in attempts
    }
    pids = {attempt.pid for attempt in attempts if attempt.pid and _is_recorded_process(attempt)}
    pids |= {pid for pid in running_processes() if _identity(pid) in identities or _outputs(pid) & logs}
    return {group for pid in pids if (group := _group(pid))} - {os.getpgrp()}


def _is_recorded_process(attempt: LostAttempt) -> bool:
    return bool(attempt.pid_started) and process_started(attempt.pid or 0) == attempt.pid_started


def _identity(pid: int) -> tuple[str, ...]:
    try:
        block = Path(f"/proc/{pid}/environ").read_bytes()
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        return ()  # Another user's, or gone.
    variables = dict(entry.partition(b"=")[::2] for entry in block.split(b"\0"))
    return tuple(os.fsdecode(variables.get(name.encode(), b"")) for name in _IDENTITY)


def _outputs(pid: int) -> set[str]:
    paths = set()
    for number in (1, 2):
        try:
            paths.add(str(Path(f"/proc/{pid}/fd/{number}").readlink()))
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue  # Another user's, closed, or gone.
    return paths


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
