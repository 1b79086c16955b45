"""Runs a program, as argv or as one `sh -c` line."""

import os
import subprocess
from collections.abc import Coroutine
from os import SEEK_END
from pathlib import Path
from typing import Any

from sensorflow.core.commands import StartAttempt
from sensorflow.core.vocabulary import Command
from sensorflow.ports import AttemptPlace, Outcome
from sensorflow.processes import (
    group_ended_within,
    group_members,
    nothing_to_read,
    own_group,
    process_started,
    signal_name,
    stop_child,
    stop_group,
    wait_for_exit,
)
from sensorflow.tasks.files import open_log, write_context
from sensorflow.tasks.placeholders import filled

#: What a shell answers for a program that is not there, and for one that cannot be run.
_NOT_FOUND, _NOT_RUNNABLE = 127, 126
_SUCCEEDED, _SKIPPED = 0, 99
#: So much of a log is looked through for its last line, and so much of the line is told.
_TAIL_BYTES, _LINE_LETTERS = 2048, 300
#: What a program left running gets so long to end by itself, as `cmd > >(tee out)` needs it.
_LINGER_S = 1.0


class CommandKind:
    """Implements `ports.TaskKind` for `Command`. An attempt is over when its whole group is.

    Args:
        stop_grace_s: Seconds between SIGTERM and SIGKILL.
    """

    def __init__(self, *, stop_grace_s: float = 10.0) -> None:
        self._stop_grace_s = stop_grace_s

    def start(self, order: StartAttempt, place: AttemptPlace) -> Coroutine[Any, Any, Outcome]:
        """Start the program; its output goes straight into the log."""
        assert isinstance(order.action, Command)
        argv = command_line(order.action, order)
        write_context(place)
        try:
            process = _spawn(argv, place)
        except FileNotFoundError as error:
            if error.filename != argv[0]:
                raise
            return _over(Outcome(_NOT_FOUND, f"program not found: {argv[0]}"))
        except PermissionError as error:
            if error.filename != argv[0]:
                raise
            return _over(Outcome(_NOT_RUNNABLE, f"program may not be run: {argv[0]}"))
        place.started(process.pid, process_started(process.pid))
        return self._end(process, place)

    async def _end(self, process: "subprocess.Popen[bytes]", place: AttemptPlace) -> Outcome:
        """Wait until the program and all that it started have ended."""
        try:
            status = await wait_for_exit(process)
            if group_members(process.pid) and not await group_ended_within(process.pid, _LINGER_S):
                await stop_group(process.pid, self._stop_grace_s)
        except BaseException:
            await stop_child(process, self._stop_grace_s)
            raise
        return exit_outcome(status, place.log)

    async def close(self) -> None:
        """Nothing is kept between attempts."""


def command_line(command: Command, order: StartAttempt) -> list[str]:
    """Return the argv of an attempt. Values replace placeholders in argv, never in a line."""
    if not command.argv:
        return ["sh", "-c", command.line]
    return [filled(element, order) for element in command.argv]


def exit_outcome(status: int, log: str) -> Outcome:
    """Return what an exit status means; negative is the number of the signal that killed.

    Of a failure the log's last line is told too: most programs say there what was wrong.
    """
    if status < 0:
        return Outcome(128 - status, f"killed by {signal_name(-status)}")
    if status in (_SUCCEEDED, _SKIPPED):
        return Outcome(status)
    line = _last_line(log)
    return Outcome(status, f"exit status {status}: {line}" if line else f"exit status {status}")


def _last_line(log: str) -> str:
    """Return the last line of a log that says something, short and printable."""
    with Path(log).open("rb") as file:
        file.seek(max(0, file.seek(0, SEEK_END) - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    text = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return "".join(letter if letter.isprintable() else " " for letter in text)[:_LINE_LETTERS]


async def _over(outcome: Outcome) -> Outcome:
    return outcome


def _spawn(argv: list[str], place: AttemptPlace) -> "subprocess.Popen[bytes]":
    log = open_log(place)
    try:
        return subprocess.Popen(
            argv,
            cwd=place.home,
            env=place.env,
            stdin=nothing_to_read(),
            stdout=log,
            stderr=log,
            **own_group(),
        )
    finally:
        os.close(log)
