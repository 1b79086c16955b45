"""How many events that are posted by the thousand are on disk in a second (P2).

`python -m bench.batches [--batches 20] [--repeat 5]`: NDJSON and CloudEvents batches of 1,000 events to
the real service, against plain sqlite3: `executemany` of the events alone into one table that refuses a
second (source, id), one synced transaction a batch; in turn. Two mixes: re-arrivals of 28 partitions, and
thirds of a three-input join.
"""

import asyncio
import json
import sqlite3
import statistics
import time
from itertools import count
from pathlib import Path

from bench.comparison import Finding, in_turn, median_and_spread, parser, ratios, tell
from bench.events import BATCH, NDJSON, PIPELINE, Mix, events, joins, rearrivals
from bench.http_load import post, send_all
from bench.services import home_of, sensorflow

SIZE = 1_000
#: One is read and decided while the other is on its way.
CONNECTIONS = 2
MIXES: dict[str, tuple[Mix, float]] = {"re-arrivals": (rearrivals, 0.4), "thirds of a join": (joins, 0.25)}


class Plain:
    """Plain sqlite3: a table of events, and nothing that follows from them."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            """CREATE TABLE events (seq INTEGER PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL,
            type TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (source, id))"""
        )

    def rate(self, batches: list[list[dict[str, object]]]) -> float:
        """Insert all and return how many that are a second."""
        rows = [
            [(event["source"], event["id"], event["type"], json.dumps(event["data"])) for event in batch]
            for batch in batches
        ]
        began = time.perf_counter()
        for batch in rows:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT INTO events (source, id, type, data) VALUES (?, ?, ?, ?)", batch
            )
            self._connection.execute("COMMIT")
        return len(batches) * SIZE / (time.perf_counter() - began)


def ndjson(batch: list[dict[str, object]]) -> bytes:
    return post(
        "/api/v1/events", b"\n".join(json.dumps(event).encode() for event in batch), content_type=NDJSON
    )


def one_array(batch: list[dict[str, object]]) -> bytes:
    return post("/api/v1/events", json.dumps(batch).encode(), content_type=BATCH)


def compared(number: int, repeat: int) -> list[Finding]:
    """Measure both forms with both mixes."""
    findings = []
    with home_of({"pipelines/sales.yaml": PIPELINE}) as home, sensorflow(home) as (port, _):
        plain, begins = Plain(home / "ceiling.db"), count(0, number * SIZE)
        for name, (mix, bar) in MIXES.items():
            for form, spelled in {"NDJSON": ndjson, "a batch": one_array}.items():

                def batches(mix: Mix = mix) -> list[list[dict[str, object]]]:
                    begin = next(begins)
                    return [events(mix, begin + SIZE * place, SIZE) for place in range(number)]

                def rate(batches=batches, spelled=spelled) -> float:  # type: ignore[no-untyped-def]
                    requests = [spelled(batch) for batch in batches()]
                    load = asyncio.run(send_all(port, iter(requests), connections=CONNECTIONS))
                    if set(load.statuses) != {202}:
                        raise RuntimeError(f"expected 202 only, found {dict(load.statuses)}")
                    return load.rate * SIZE

                rates = in_turn(repeat, plain=lambda batches=batches: plain.rate(batches()), ours=rate)
                own, ceiling = statistics.median(rates["ours"]), statistics.median(rates["plain"])
                findings.append(
                    Finding(
                        row="P2",
                        what=f"{SIZE:,} events as {form}, {name}",
                        **median_and_spread(ratios(rates["ours"], rates["plain"])),
                        bar=bar,
                        at_most=False,
                        figures=f"{own:,.0f} events/s on disk; plain executemany {ceiling:,.0f}",
                    )
                )
    return findings


def main() -> None:
    words = parser(__doc__)
    words.add_argument("--batches", type=int, default=20)
    given = words.parse_args()
    tell(compared(given.batches, given.repeat), as_json=given.json)


if __name__ == "__main__":
    main()
