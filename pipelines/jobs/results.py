"""Show what the pipelines have published: `python -m pipelines.jobs.results [--json] [--home DIR]`."""

import argparse
import json
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.jobs.warehouse import WAREHOUSE

COLUMNS = {
    "day": "day",
    "airport": "airport",
    "flights": "flights",
    "cancelled": "can-\ncelled",
    "mean_departure_delay_min": "delay\nmin",
    "slowest_airline": "slowest",
    "mean_temperature_f": "mean\n°F",
    "mean_wind_mph": "wind\nmph",
    "weather_hours": "weather\nhours",
}
TEXT_COLUMNS = {"day", "airport", "slowest_airline"}


def published(home: Path) -> list[dict[str, Any]]:
    """Return the published rows by day and airport; none where nothing was published yet."""
    path = home / WAREHOUSE
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as warehouse:
        warehouse.row_factory = sqlite3.Row
        rows = warehouse.execute("SELECT * FROM flight_delays_daily ORDER BY day, airport")
        return [dict(row) for row in rows]


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the rows as a table for a terminal."""
    result = Table(
        title="flight_delays_daily: means of departure delay and weather",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column, heading in COLUMNS.items():
        result.add_column(
            heading,
            justify="left" if column in TEXT_COLUMNS else "right",
            no_wrap=True,
            max_width=11 if column == "slowest_airline" else None,
        )
    for before, row in zip([None, *rows], rows, strict=False):
        if before and before["day"] != row["day"]:
            result.add_section()
        result.add_row(*(text(row[column]) for column in COLUMNS))
    return result


def text(value: object) -> str:
    """Spell a value: means with one place, what is not known as a dash."""
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def main(words: Sequence[str]) -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.jobs.results", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(), help="the service's home (default: here)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    read = parser.parse_args(words)
    rows = published(read.home)
    if read.json:
        print(json.dumps(rows, indent=2))
    else:
        Console().print(table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
