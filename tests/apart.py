"""The real service in a process of its own, with what it logs."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE_S = 30.0


@dataclass(slots=True)
class Apart:
    """A service that another process is."""

    pid: int
    url: str = ""
    #: What it has logged; all of it once the service has ended.
    lines: list[str] = field(default_factory=list)
    _ended: bool = False
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    async def line(self, *words: str) -> str:
        """Return the first line of the log that has all the words, as soon as it is there."""

        def found() -> str | None:
            return next((line for line in self.lines if all(word in line for word in words)), None)

        async with asyncio.timeout(PATIENCE_S), self._came:
            await self._came.wait_for(lambda: found() or self._ended)
        line = found()
        assert line is not None, self.log
        return line

    async def _read(self, log: asyncio.StreamReader) -> None:
        async for line in log:
            async with self._came:
                self.lines.append(line.decode())
                self._came.notify_all()
        async with self._came:
            self._ended = True
            self._came.notify_all()


@asynccontextmanager
async def apart(home: Path, **settings: Any) -> AsyncIterator[Apart]:
    """Serve a home in a process of its own."""
    environment = {f"SENSORFLOW_{name.upper()}": str(value) for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sensorflow", "--home", str(home), "serve", "--port", "0"),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment, "NO_COLOR": "1"},
    )
    assert process.stderr is not None
    service = Apart(process.pid)
    reading = asyncio.create_task(service._read(process.stderr))
    try:
        await service.line("serving")
        service.url = json.loads((home / ".sensorflow" / "lock").read_text())["url"]
        yield service
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(reading, PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
