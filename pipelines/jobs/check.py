"""Check a day before it is published: `python -m pipelines.jobs.check`."""

import csv
import sys
from pathlib import Path

from pipelines.jobs.context import TaskContext, command_context, newest_event
from pipelines.jobs.warehouse import transaction

#: Days whose cancellations somebody has looked at, one a line below the heading `day`.
ACCEPTED_DAYS = Path("landing/accepted_days.csv")

#: More than this share of a day's flights cancelled is rather a broken file than the weather.
MAX_CANCELLED_SHARE = 0.15


def check(context: TaskContext) -> None:
    """Compare the day's flights with its control total, and their cancellations with what is usual.

    Raises:
        SystemExit: The day is not fit to be published; the text says why, and what to do.
    """
    day = context.partition
    control_total = newest_event(context, "flight_counts")["data"]["flights"]
    with transaction() as warehouse:
        flights, cancelled = warehouse.execute(
            "SELECT count(*), coalesce(sum(cancelled), 0) FROM flights WHERE day = ?", (day,)
        ).fetchone()
    if flights != control_total:
        sys.exit(f"{day}: {flights} flights were loaded, but the control total says {control_total}")
    if cancelled > MAX_CANCELLED_SHARE * flights and day not in accepted_days():
        sys.exit(
            f"{day}: {cancelled} of {flights} flights ({cancelled / flights:.1%}) were cancelled, more than "
            f"{MAX_CANCELLED_SHARE:.0%}, and the day is not listed in {ACCEPTED_DAYS}. "
            "If the weather did it: "
            f"echo {day} >> {ACCEPTED_DAYS} && sensorflow retry {context.pipeline}/{day}"
        )
    print(f"{day}: {flights} flights, as the control total says; {cancelled} were cancelled")


def accepted_days() -> frozenset[str]:
    """Read the days that were accepted; there need not be any."""
    if not ACCEPTED_DAYS.exists():
        return frozenset()
    with ACCEPTED_DAYS.open(encoding="utf-8", newline="") as file:
        return frozenset(row["day"].strip() for row in csv.DictReader(file))


if __name__ == "__main__":
    check(command_context())
