"""Processes and their groups: when they ended, who they are, and how a whole group is stopped.

Every attempt is the leader of a process group of its own, so its process id is the group's id too.
"""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
#: More than /proc/PID/stat can hold: a short name and 52 numbers.
_STAT_BYTES = 4096
#: How often is looked where the kernel cannot tell by itself that a process has ended.
_POLL_S = 0.05


def process_started(pid: int) -> str:
    """Return when the process started, so that a reused pid is told apart.

    Empty where no such process runs or the system does not tell.
    """
    try:
        fields = _stat_fields(pid)
        return f"{_boot_id()}:{fields[19]}" if fields and fields[0] not in "ZX" else ""
    except OSError:  # No descriptors left: the process runs all the same.
        return ""


@cache
def own_group() -> dict[str, Any]:
    """Return the words that let `subprocess.Popen` make a child the leader of a group of its own.

    Where this process has a terminal, of a session of its own too: a program that asked for a password there
    would wait for ever. Elsewhere not, for Linux schedules each session as one, and on a busy machine a new
    one waits for its turn: a fan-out of commands was half as fast.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return {"process_group": 0}
    return {"start_new_session": True}


@cache
def nothing_to_read() -> int:
    """Return a descriptor of /dev/null for the standard input of children; it stays open.

    `subprocess.DEVNULL` opens it anew for each.
    """
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


async def wait_for_exit(process: "subprocess.Popen[bytes]") -> int:
    """Wait until a child has ended, and reap it.

    Returns:
        Its exit status; negative is the number of the signal that killed it.
    """
    while process.poll() is None:
        await _ended(process.pid)
    return process.returncode


async def stop_child(process: "subprocess.Popen[bytes]", grace_s: float) -> int:
    """Stop a child with all of its group, and reap it. Returns its exit status."""
    # Together, for where a child that is not reaped counts as a living member of its group.
    _, status = await asyncio.gather(stop_group(process.pid, grace_s), wait_for_exit(process))
    return status


async def stop_group(group: int, grace_s: float) -> None:
    """Send SIGTERM to a process group, SIGKILL after `grace_s` seconds; return when nobody is left.

    Cancelling it sends SIGKILL at once.

    Raises:
        PermissionError: the group belongs to another user.
    """
    try:
        _signal_group(group, signal.SIGTERM)
        _signal_group(group, signal.SIGCONT)  # What is suspended would not see SIGTERM.
        if not await group_ended_within(group, grace_s):
            _signal_group(group, signal.SIGKILL)
            await _group_ended(group)
    except asyncio.CancelledError:
        _signal_group(group, signal.SIGKILL)
        raise


async def group_ended_within(group: int, limit_s: float) -> bool:
    """Wait at most `limit_s` seconds for a group to end by itself, and tell whether it did."""
    try:
        async with asyncio.timeout(limit_s):
            await _group_ended(group)
    except TimeoutError:
        return False
    return True


def group_members(group: int) -> list[int]:
    """Return the processes of a group that still run."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return []
    except PermissionError:
        pass  # It is there and another user's: its members are found below.
    if not _has_proc():
        return [group]
    try:
        return [pid for pid in running_processes() if _group_of(pid) == group]
    except OSError:  # No descriptors left to look closer: somebody is there.
        return [group]


def signal_name(number: int) -> str:
    """Return a signal's name, as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:  # Real-time signals have numbers only.
        return f"signal {number}"


def running_processes() -> list[int]:
    """Return all processes of the machine; none where the system does not tell."""
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()] if _has_proc() else []


async def _group_ended(group: int) -> None:
    while members := group_members(group):
        await asyncio.gather(*(_ended(pid) for pid in members))


async def _ended(pid: int) -> None:
    """Return when the process has ended, reaped or not; it may return early."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        await asyncio.sleep(_POLL_S)
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except OSError:  # No descriptors left, or a kernel or sandbox without this call.
        await asyncio.sleep(_POLL_S)
        return
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(descriptor, _settle, ended)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _settle(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _group_of(pid: int) -> int | None:
    """Return the group of a process that runs; a zombie does nothing any more and has none."""
    fields = _stat_fields(pid)
    return int(fields[2]) if fields and fields[0] not in "ZX" else None


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name: state, parent, group, ..."""
    try:
        # For each attempt, and for each process where a group is sought: pathlib takes five times as long.
        descriptor = os.open(f"{_PROC}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return []
    try:
        text = os.read(descriptor, _STAT_BYTES).decode(errors="replace")
    except ProcessLookupError:
        return []
    finally:
        os.close(descriptor)
    # A name may hold blanks and brackets, so the last bracket ends it.
    return text[text.rindex(")") + 2 :].split()


@cache
def _has_proc() -> bool:
    return (_PROC / "self" / "stat").exists()


@cache
def _boot_id() -> str:
    # Start times count from the boot: the same number means another process after the next one.
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
