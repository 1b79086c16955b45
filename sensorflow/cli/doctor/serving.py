"""Whether the home is served, and whether its service does well."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from sensorflow.app import STATE_FOLDER
from sensorflow.cli.doctor.finding import Finding, note, well, wrong

_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that serves the home."""

    pid: int
    url: str
    #: What it writes, which its own environment may have named.
    store: Path


def holder(home: Path) -> Holder | None:
    """Return who serves a home; None where nobody does."""
    lock = home / STATE_FOLDER / "lock"
    try:
        found = json.loads(lock.read_text(encoding="utf-8"))
        service = Holder(int(found["pid"]), str(found["url"]), Path(found["store"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return service if _holds(service.pid, lock) else None


def _holds(pid: int, lock: Path) -> bool:
    """Tell whether a process has the lock open.

    To try the lock itself could turn a service away that is just starting.
    """
    wanted = lock.stat()
    try:
        for open_file in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found = open_file.stat()
            except FileNotFoundError:
                continue  # Closed meanwhile.
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    except PermissionError:
        return True  # Another user's process; what it answers tells the rest.
    except OSError:
        return False
    return False


def findings(service: Holder | None, token: str | None) -> Iterator[Finding]:
    """Yield how the service does."""
    if service is None:
        yield note("service", "nobody serves this home at the moment", "`sensorflow serve` does")
        return
    named = f"process {service.pid} at {service.url}"
    try:
        status, answer = _asked(service.url, token)
    except (OSError, ValueError) as error:
        text = f"{named} has the home and does not answer ({error})"
        fix = f"look at its log; if it hangs: `kill {service.pid}`, then start it again"
        yield wrong("service", text, fix)
        return
    if status == HTTPStatus.OK:
        yield well("service", f"{named} takes events")
        return
    problems = answer.get("problems") if isinstance(answer, dict) else None
    reasons = "; ".join(f"{name}: {text}" for name, text in (problems or {"status": str(status)}).items())
    fix = "it takes events again by itself when that is mended; senders are told to come back meanwhile"
    yield wrong("service", f"{named} takes no events: {reasons}", fix)


def _asked(url: str, token: str | None) -> tuple[int, object]:
    """Return the answer to the question whether the service is ready.

    Raises:
        OSError: nobody answers in time.
        ValueError: what answers is no sensorflow.
    """
    from http.client import HTTPConnection, HTTPException

    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except HTTPException as error:
        raise ValueError(str(error)) from None
    finally:
        connection.close()
