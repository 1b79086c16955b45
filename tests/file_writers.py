"""Writes files the way others do, as a process of its own: `python -m tests.file_writers KIND FOLDER COUNT`.

Prints the longest time, in seconds, for which a file stood half-written without a change.
"""

import sys
import threading
import time
from pathlib import Path

#: What a whole file holds; it is written in several steps.
WHOLE = b"0123456789" * 20
SLOW_STEPS = 4
SLOW_STEP_S = 0.2


class Pen:
    """Writes, and measures how long it rests in the middle of a file."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    def write(self, path: Path) -> None:
        """Write a file in two halves."""
        half = len(WHOLE) // 2
        with path.open("wb", buffering=0) as file:
            began_at = time.monotonic()
            file.write(WHOLE[:half])
            file.write(WHOLE[half:])
            self.rested(began_at)

    def rested(self, since: float) -> None:
        self.longest_s = max(self.longest_s, time.monotonic() - since)


def in_a_new_folder(pen: Pen, folder: Path, count: int) -> None:
    for number in range(count):
        (folder / str(number)).mkdir()
        pen.write(folder / str(number) / "x.csv")


def in_new_folders_four_deep(pen: Pen, folder: Path, count: int) -> None:
    for number in range(count):
        deep = folder / str(number) / "a" / "b" / "c"
        deep.mkdir(parents=True)
        pen.write(deep / "x.csv")


def renamed_into_place(pen: Pen, folder: Path, count: int) -> None:
    for number in range(count):
        unfinished = folder / f"{number}.csv.tmp"
        pen.write(unfinished)
        unfinished.rename(folder / f"{number}.csv")


def moved_in_as_a_tree(pen: Pen, folder: Path, count: int) -> None:
    outside = folder.parent / "outside"
    for number in range(count):
        (outside / str(number) / "a").mkdir(parents=True)
        for name in ("x.csv", "a/y.csv"):
            pen.write(outside / str(number) / name)
        (outside / str(number)).rename(folder / str(number))


def written_slowly(pen: Pen, folder: Path, count: int) -> None:
    """Let many files grow side by side."""
    files = [folder / f"{number}.csv" for number in range(count)]
    written_at: dict[Path, float] = {}
    step = len(WHOLE) // SLOW_STEPS
    for number in range(SLOW_STEPS):
        for path in files:
            with path.open("ab", buffering=0) as file:
                file.write(WHOLE[number * step : (number + 1) * step])
            pen.rested(written_at.get(path, time.monotonic()))
            written_at[path] = time.monotonic()
        threading.Event().wait(SLOW_STEP_S)  # Not to wait for something: to be slow is what this one does.


def at_once(pen: Pen, folder: Path, count: int) -> None:
    for number in range(count):
        pen.write(folder / f"{number}.csv")


KINDS = {
    each.__name__: each
    for each in (
        in_a_new_folder,
        in_new_folders_four_deep,
        renamed_into_place,
        moved_in_as_a_tree,
        written_slowly,
        at_once,
    )
}


#: Where that is not one file, beside all others.
PLACES = {
    "in_a_new_folder": ["{}/x.csv"],
    "in_new_folders_four_deep": ["{}/a/b/c/x.csv"],
    "moved_in_as_a_tree": ["{}/x.csv", "{}/a/y.csv"],
}


def paths(kind: str, count: int) -> list[str]:
    """Return what is written below the folder."""
    places = PLACES.get(kind, ["{}.csv"])
    return [place.format(number) for number in range(count) for place in places]


def main() -> None:
    kind, folder, count = sys.argv[1:]
    pen = Pen()
    KINDS[kind](pen, Path(folder), int(count))
    print(pen.longest_s)  # noqa: T201  # That is how a process answers.


if __name__ == "__main__":
    main()
