"""One thing that was looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How it is."""

    WELL = "well"
    #: Worth knowing; nothing has to be done now.
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How one thing is, and what to do about it."""

    subject: str
    grade: Grade
    text: str
    #: What mends it; empty where nothing has to be mended.
    fix: str = ""

    @property
    def document(self) -> dict[str, str]:
        """It as it is printed by `--json`; a fix that there is not is absent."""
        found = {"subject": self.subject, "grade": self.grade.value, "text": self.text, "fix": self.fix}
        return {name: text for name, text in found.items() if text}


def well(subject: str, text: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(subject=subject, grade=Grade.WELL, text=text)


def note(subject: str, text: str, fix: str = "") -> Finding:
    """Return what is worth knowing."""
    return Finding(subject=subject, grade=Grade.NOTE, text=text, fix=fix)


def wrong(subject: str, text: str, fix: str) -> Finding:
    """Return what has to be mended."""
    return Finding(subject=subject, grade=Grade.WRONG, text=text, fix=fix)


def size(count: float) -> str:
    """Return a number of bytes in words."""
    unit = "B"
    for following in ("kB", "MB", "GB", "TB"):
        if count < 1000:
            break
        count, unit = count / 1000, following
    return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
