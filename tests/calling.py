"""Calls of the command line: in this process, where there are many, or as a process of its own."""

import asyncio
import contextlib
import io
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sensorflow.cli import main


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call of the command line ended."""

    code: int
    out: str
    err: str


def called(*arguments: str) -> Ended:
    """Call the command line in this process, one call at a time."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as left:
            code = left.code
    texts = [stream.detach().getvalue().decode() for stream in (out, err)]
    return Ended(code if isinstance(code, int) else 0, *texts)


async def asked(url: str, *arguments: str) -> Ended:
    """Do so against a service that this process's event loop serves."""
    return await asyncio.to_thread(called, "--url", url, *arguments)


def environment(**more: str) -> Mapping[str, str]:
    """Return the environment of a process, without what of it would be settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SENSORFLOW_")}
    path = f"{Path(sys.executable).parent}:{own.get('PATH', '')}"
    return {**own, "PATH": path, **more}
