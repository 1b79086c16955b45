"""The two files that an attempt leaves in its home, as the kinds of tasks open them."""

import os

from sensorflow.ports import AttemptPlace

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


def open_log(place: AttemptPlace) -> int:
    """Return a descriptor by which an attempt's log is added to; the caller closes it."""
    return os.open(place.log, _WRITE | os.O_APPEND, 0o666)


def write_context(place: AttemptPlace) -> None:
    """Write an attempt's context where it is told to find it."""
    descriptor = os.open(place.context_file, _WRITE | os.O_TRUNC, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(place.context)
