"""Load a day's flights from the file that landed: `python -m pipelines.jobs.load_flights DAY`."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from pipelines.jobs.context import TaskContext, command_context, newest_event
from pipelines.jobs.warehouse import replace, transaction

Row = tuple[str, str, int, str, str, bool, float | None, float | None]


def load(day: str, context: TaskContext) -> None:
    """Replace the day's flights by those in the file of the input."""
    path = newest_event(context, "flights")["path"]
    with transaction() as warehouse:
        flights = replace(warehouse, "flights", ("day", day), read(path, day))
    print(f"{day}: {flights} flights from {path}")


def read(path: str, day: str) -> Iterator[Row]:
    """Read the flights of a file."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield (
                day,
                row["carrier"],
                int(row["flight"]),
                row["origin"],
                row["dest"],
                row["dep_time"] == "NA",
                number(row["dep_delay"]),
                number(row["arr_delay"]),
            )


def number(text: str) -> float | None:
    """Read a number; the source spells what it does not know `NA`."""
    return None if text == "NA" else float(text)


if __name__ == "__main__":
    load(sys.argv[1], command_context())
