"""The socket in a home by which its owner speaks with the service that serves it: no token, every scope.

Who may open the socket is who may open the store's file, so it gives nothing away.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "control.sock"
#: What a socket's address can hold, on the systems where it holds least, less its closing zero.
_LONGEST = 103


def listen(folder: Path) -> socket.socket:
    """Return the socket in `folder`, bound, open to nobody but its owner.

    What an earlier service left there is replaced: whoever calls this holds the home's lock.
    """
    (folder / NAME).unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(
            bound.fileno(), 0o600
        )  # Linux makes the file with this mode: no moment of it is open to others.
        with _address(folder) as address:
            bound.bind(address)
        (folder / NAME).chmod(0o600)
    except BaseException:
        bound.close()
        raise
    return bound


def connect(folder: Path, timeout_s: float) -> socket.socket:
    """Return a connection to the service that serves the home.

    Raises:
        OSError: none does.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        with _address(folder) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """Give an address of the socket that is short enough, however long the folder's path is."""
    path = str(folder / NAME)
    if len(os.fsencode(path)) <= _LONGEST:
        yield path
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}/{NAME}"
    finally:
        os.close(opened)
