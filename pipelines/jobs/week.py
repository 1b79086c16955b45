"""The python tasks of week_in_review; each is called with its task's context."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipelines.jobs.context import TaskContext
from pipelines.jobs.warehouse import WAREHOUSE, replace, transaction


def summarise(context: TaskContext) -> None:
    """Add up the published days of the week, airport by airport."""
    week = context.partition
    days = sorted(context.inputs["flight_delays_daily"])
    # A day's mean counts as often as flights left on it. `day` is the one of the row that gave the max: so
    # SQLite reads a bare column beside a max.
    query = """
        SELECT ?, airport, days, flights, cancelled, round(minutes / (flights - cancelled), 2), day
        FROM (SELECT airport, count(*) AS days, sum(flights) AS flights, sum(cancelled) AS cancelled,
                     sum(mean_departure_delay_min * (flights - cancelled)) AS minutes,
                     day, max(mean_departure_delay_min)
              FROM flight_delays_daily WHERE day IN (SELECT value FROM json_each(?)) GROUP BY airport)
        ORDER BY airport
    """
    with transaction() as warehouse:
        rows = replace(
            warehouse, "weeks", ("week", week), warehouse.execute(query, (week, json.dumps(days))).fetchall()
        )
    print(f"{week}: {len(days)} days at {rows} airports")


def report(context: TaskContext) -> None:
    """Write the week's summary as a CSV file beside the warehouse."""
    week = context.partition
    with transaction() as warehouse:
        summary = warehouse.execute("SELECT * FROM weeks WHERE week = ? ORDER BY airport", (week,))
        columns = [column[0] for column in summary.description]
        rows = summary.fetchall()
    path = WAREHOUSE.parent / f"week_{week}.csv"
    write(path, columns, rows)
    print(f"{week}: {len(rows)} rows in {path}")


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file; who reads it sees the old one or the new one, never half of it."""
    unfinished = path.with_name(path.name + ".tmp")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)
    unfinished.replace(path)
