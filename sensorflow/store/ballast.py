"""Room on the disk that is kept for when it is full, so that what must be stored then can be."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from sensorflow.ports import StoreError


class Ballast:
    """A file that takes `size` bytes until they are needed; 0 keeps no room."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._is_held = False

    def fits(self) -> bool:
        """Tell whether there is room for it, and as much beside it for others to work with."""
        if self._is_held or not self._size:
            return True
        # One that a killed service has left is taken as it is.
        has = self._path.stat().st_size if self._path.exists() else 0
        return shutil.disk_usage(self._path.parent).free >= max(self._size - has, 0) + self._size

    def take(self) -> None:
        """Take the room.

        Raises:
            StoreError: there is not enough of it.
        """
        if self._is_held or not self._size:
            return
        if not self.fits():
            raise StoreError(f"{self._path.parent}: less than {2 * self._size >> 20} MiB are free")
        try:
            with self._path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError as error:
            raise StoreError(str(error)) from error
        self._is_held = True

    def give_up(self) -> None:
        """Let others have the room."""
        self._is_held = False
        with suppress(OSError):  # On a disk that does not even remove files there is no room to be made.
            self._path.unlink(missing_ok=True)
