"""Keeps secrets out of what attempts leave behind."""

from collections.abc import Iterable
from pathlib import Path

#: Shorter values are no secrets but words that would be masked everywhere.
SHORTEST = 8
#: A longer log is masked in pieces of this many bytes.
_PIECE = 16 * 1024 * 1024


class Mask:
    """Replaces secrets by as many asterisks as they have bytes."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        encoded = {secret.encode() for secret in secrets if len(secret) >= SHORTEST}
        #: The longest first, so that one within another leaves no rest.
        self._secrets = sorted(encoded, key=len, reverse=True)

    @property
    def hides(self) -> bool:
        """Tell whether there is anything to replace."""
        return bool(self._secrets)

    def masked(self, content: bytes) -> bytes:
        """Return the content, of the same length, without the secrets."""
        for secret in self._secrets:
            if secret in content:
                content = content.replace(secret, b"*" * len(secret))
        return content

    def masked_piece(self, content: bytes) -> tuple[bytes, bytes]:
        """Return a piece of something longer without the secrets; apart its end, where that may begin one.

        The end is to be read again together with what follows.
        """
        masked = self.masked(content)
        begun = max((_begun(masked, secret) for secret in self._secrets), default=0)
        return masked[: len(masked) - begun], masked[len(masked) - begun :]

    def text(self, text: str) -> str:
        """Return the text without the secrets."""
        return self.masked(text.encode(errors="surrogateescape")).decode(errors="surrogateescape")

    def mask_file(self, path: Path) -> None:
        """Mask a file in place; who reads along keeps his place in it."""
        if not self._secrets or not path.is_file():
            return
        overlap = len(self._secrets[0]) - 1
        with path.open("r+b") as file:
            place = 0
            while piece := file.read(_PIECE):
                masked = self.masked(piece)
                if masked != piece:
                    file.seek(place)
                    file.write(masked)
                if len(piece) < _PIECE:
                    return
                place += len(piece) - overlap
                file.seek(place)


def _begun(content: bytes, secret: bytes) -> int:
    """Return how many bytes at the end of the content a secret begins with, but for a whole one."""
    longest = min(len(content), len(secret) - 1)
    return next((size for size in range(longest, 0, -1) if content.endswith(secret[:size])), 0)
