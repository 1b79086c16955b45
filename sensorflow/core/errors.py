"""What can be wrong with what users write or send, as one exception each."""

from collections.abc import Mapping
from dataclasses import dataclass


class SensorflowError(Exception):
    """Base of all errors that are somebody's to mend, with a sentence that says how."""


class PartitionError(SensorflowError):
    """A text is not a partition of the dataset that it was read for."""


class ReadingError(SensorflowError):
    """A rule matched an event and could not read from it what it names."""


class UnknownDatasetError(SensorflowError):
    """No file names this dataset."""


class NotFoundError(SensorflowError):
    """What an operation names does not exist."""


class ForbiddenError(SensorflowError):
    """The token allows this for some pipelines, and what is asked for is of others."""


class ConflictError(SensorflowError):
    """The operation does not fit the state that its object is in."""


class OverloadedError(SensorflowError):
    """The inbox is full: nothing of the message is stored, it may be sent again later."""


class UnavailableError(SensorflowError):
    """The message could not be stored; it may be sent again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong in a definition file, or worth a warning."""

    #: Relative to the home.
    file: str
    #: From 1; 0 where the whole file is meant.
    line: int
    column: int
    #: Dotted, as `tasks.load.retries.max`; empty where the whole file is meant.
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        return place + (f"{self.path}: " if self.path else "") + self.message


class DefinitionsError(SensorflowError):
    """The files of a home cannot be used; `problems` lists all that is wrong in all of them."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def shown(value: object) -> str:
    """Return what was found, for a sentence: a text quoted and cut to 80 characters, a container by kind."""
    if isinstance(value, str):
        # What does not print stays escaped: no event moves the cursor of who reads this.
        text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in value[:80])
        return f'"{text}..."' if len(value) > 80 else f'"{text}"'
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if value is None:
        return "null"
    return repr(value).lower() if isinstance(value, bool) else repr(value)
