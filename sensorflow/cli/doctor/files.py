"""Who may read what should stay private."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from sensorflow.app import STATE_FOLDER
from sensorflow.cli.doctor.finding import Finding, well, wrong
from sensorflow.config.settings import FILE, PREFIX, Settings

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
#: A secret that is written out instead of named as `${NAME}`, and a password inside a URL.
_WRITTEN_OUT = re.compile(
    r"""\b(?:secret|password|passwd|token|authorization)["']?\s*[:=]\s*[\["']*(?!\$\{)[^\s"'\[\]{},#$][^\s"',#]{3,}"""
    r"""|://[^/\s:@"'$]+:(?!\$\{)[^@\s"'/]+@""",
    re.IGNORECASE,
)


def findings(home: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield which private files others may read."""
    open_to_others = [*_state(home / STATE_FOLDER), *_secrets(home, environ)]
    yield from open_to_others
    if not open_to_others:
        yield well("permissions", "nobody else can read the state, and no file shows a secret to others")


def _state(folder: Path) -> Iterator[Finding]:
    try:
        found = folder.stat()
    except FileNotFoundError:
        return
    if found.st_mode & _OTHERS:
        text = f"{folder} may be entered by other users (mode {stat.S_IMODE(found.st_mode):03o})"
        yield wrong("permissions", text, f"chmod 700 {folder}")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        text = f"{folder} belongs to user {found.st_uid}, this is user {os.geteuid()}"
        yield wrong("permissions", text, "serve as its owner, or give it to the user who serves (chown -R)")
    socket = folder / "control.sock"
    if socket.exists() and socket.stat().st_mode & _OTHERS:
        yield wrong("permissions", f"{socket} is open to others: it may do everything", f"chmod 600 {socket}")


def _secrets(home: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the files with secrets that others may read."""
    names = [f"{PREFIX}{key.upper()}_FILE" for key in Settings.model_fields]
    for path in [Path(environ[name]) for name in names if name in environ]:
        if path.is_file() and path.stat().st_mode & _OTHERS:
            yield wrong("permissions", f"{path} holds a secret and others may read it", f"chmod 600 {path}")
    written = [home / FILE, *sorted(p for f in ("pipelines", "sensors") for p in (home / f).glob("*.y*ml"))]
    for path in written:
        if not path.is_file() or not path.stat().st_mode & _OTHERS:
            continue
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, 1):
            if not line.lstrip().startswith("#") and _WRITTEN_OUT.search(line):
                text = f"{path}:{number}: a secret seems to be written out, and others may read it"
                fix = f"write ${{NAME}}, which the service's environment has; until then: chmod 600 {path}"
                yield wrong("permissions", text, fix)
