"""What it costs to ask all rules of an event, JSON parsing included, on one core (P4).

`python -m bench.rules [--events 50000] [--repeat 5] [--table]`: events of about 250 bytes, with 1, 10, 1,000
and 100,000 rules that are exact, by prefix, mixed, motley (every form, each looked up in its own way) or told
apart only by several fields together; in the table also with 1,000 negations of one field. Each measure is a
process of its own, so that nobody pays for another's memory; `parse` is the same events parsed and no rule
asked.
"""

import json
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from bench.comparison import Finding, median_and_spread, parser, ratios, tell
from sensorflow.core.collector import without_collector
from sensorflow.core.matching import compile_pattern
from sensorflow.core.rule_index import RuleIndex

NUMBERS = (1, 10, 1_000, 100_000)
REGIONS = ("eu", "us", "ap", "sa")

Rule = dict[str, Any]


def exact(place: int) -> Rule:
    """Return a rule for one table of one source."""
    return {
        "source": [f"/erp/{place % 100}/{place}"],
        "type": ["orders.exported"],
        "data": {"table": [f"t{place}"], "region": [REGIONS[place % 4]]},
    }


def prefix(place: int) -> Rule:
    """Return a rule for all that comes from below one source."""
    return {"source": [{"prefix": f"/erp/{place % 100}/{place}"}], "type": [{"prefix": "orders."}]}


def mixed(place: int) -> Rule:
    """Return a rule of several forms: of one table, or of all that comes from below one source."""
    table, source = f"t{place}", f"/erp/{place % 100}/{place}"
    return (
        {"type": ["orders.exported"], "data": {"table": [table], "rows": [{"numeric": [">", 0]}]}},
        {"source": [{"prefix": source}], "type": ["orders.exported", "orders.corrected"]},
        {"type": [{"prefix": "orders."}], "data": {"table": [table], "region": [{"anything-but": "test"}]}},
        {"source": [{"prefix": source}], "data": {"rows": [{"numeric": [">", 0]}], "ok": [True]}},
    )[place % 4]


def motley(place: int) -> Rule:
    """Return a rule of one of eight forms, so that everything is looked up in every way."""
    table, source = f"t{place}", f"/erp/{place % 100}/{place}"
    return (
        {"type": ["orders.exported"], "data": {"table": [table], "rows": [{"numeric": [">", 0]}]}},
        {"source": [{"prefix": f"{source}/"}], "data": {"ok": [True]}},
        {"data": {"rows": [{"numeric": [">=", place * 10, "<", place * 10 + 10]}], "region": list(REGIONS)}},
        {"data": {"table": [{"suffix": f"_{place}"}, table]}, "type": [{"anything-but": "orders.deleted"}]},
        {"source": [{"wildcard": f"{source}*orders"}], "subject": [{"exists": False}]},
        {"$or": [{"data": {"table": [table]}}, {"source": [source]}], "type": [{"prefix": "orders."}]},
        {"data": {"table": [{"equals-ignore-case": table.upper()}]}, "source": [{"anything-but": ["/test"]}]},
        {"data": {"table": [table], "error": [{"exists": False}]}, "type": [{"suffix": ".exported"}]},
    )[place % 8]


def combined(place: int) -> Rule:
    """Return a rule of which every field is shared by two thousand others of a hundred thousand."""
    return {
        "type": [f"type{place % 47}"],
        "data": {"table": [f"t{place // 47 % 47}"], "region": [f"r{place // 2209}"]},
    }


def negated(place: int) -> Rule:
    """Return a rule that takes every type but one."""
    return {"type": [{"anything-but": f"type{place}"}]}


def negated_first(place: int) -> Rule:
    """Return a rule whose first field takes nearly everything, and whose second does not."""
    return {"type": [{"anything-but": f"type{place}"}], "data": {"table": [f"t{place}"]}}


KINDS: dict[str, Callable[[int], Rule]] = {
    each.__name__: each for each in (exact, prefix, mixed, motley, combined, negated, negated_first)
}


def event(kind: str, place: int) -> bytes:
    """Return an event that meets the rule of this place."""
    is_combined = kind == "combined"
    document = {
        "specversion": "1.0",
        "id": f"018f2c-{place:08}",
        "source": f"/erp/{place % 100}/{place}",
        "type": f"type{place % 47}" if is_combined else "orders.exported",
        "time": "2026-03-08T05:00:00Z",
        "data": {
            "table": f"t{place // 47 % 47}" if is_combined else f"t{place}",
            "region": f"r{place // 2209}" if is_combined else REGIONS[place % 4],
            "rows": place * 10 + 5,
            "day": "2026-03-07",
            "ok": True,
            "path": "s3://landing/orders/2026-03-07.parquet",
        },
    }
    return json.dumps(document).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one kind and number of rules costs."""

    events_a_second: float
    #: The same events, parsed only.
    parsed_a_second: float
    #: Rules that an event fits.
    fits: float
    compile_s: float
    bytes_a_rule: float


def measure(kind: str, number: int, events: int, repeat: int) -> Measured:
    """Compile so many rules and ask them of so many events."""
    draw = random.Random(1)
    rules = [KINDS[kind](place) for place in range(number)]
    lines = [event(kind, draw.randrange(number)) for _ in range(events)]
    memory, started = resident_bytes(), time.process_time()
    with without_collector():  # As the definitions do.
        index = RuleIndex([compile_pattern(rule) for rule in rules])
    compile_s = time.process_time() - started
    bytes_a_rule = (resident_bytes() - memory) / number
    rates, parsed = [], []
    found = 0
    for _ in range(repeat):
        started = time.process_time()
        for line in lines:
            from_json(line, cache_strings="keys")
        parsed.append(events / (time.process_time() - started))
        found = 0
        started = time.process_time()
        for line in lines:
            found += len(index.matching(from_json(line, cache_strings="keys")))
        rates.append(events / (time.process_time() - started))
    return Measured(
        events_a_second=statistics.median(rates),
        parsed_a_second=statistics.median(parsed),
        fits=found / events,
        compile_s=compile_s,
        bytes_a_rule=bytes_a_rule,
    )


def resident_bytes() -> int:
    """Return how much memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def alone(kind: str, number: int, events: int, repeat: int) -> Measured:
    """Measure in a fresh process: what was freed before would hide what the index takes."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, kind, number, events, repeat).result()


def table(events: int, repeat: int) -> Iterator[str]:
    """Yield all that was measured, line by line."""
    row = "{:>8}  {:<14}  {:>9}  {:>9}  {:>7}  {:>9}  {:>12}".format
    yield row("rules", "kind", "events/s", "parse", "fit", "compile", "bytes a rule")
    for kind in KINDS:
        for number in (1_000,) if kind.startswith("negated") else NUMBERS:
            found = alone(kind, number, events, repeat)
            yield row(
                f"{number:,}",
                kind,
                f"{found.events_a_second:,.0f}",
                f"{found.parsed_a_second:,.0f}",
                f"{found.fits:,.1f}",
                f"{found.compile_s:.2f} s",
                f"{found.bytes_a_rule:,.0f}" if number >= 1_000 else "",
            ).rstrip()


def compared(events: int, repeat: int) -> list[Finding]:
    """Hold many rules of each kind against ten of it."""
    findings = []
    for kind in KINDS:
        if kind.startswith("negated"):
            continue
        turns = [{number: alone(kind, number, events, 1) for number in NUMBERS} for _ in range(repeat)]
        costs = {number: [1e6 / turn[number].events_a_second for turn in turns] for number in NUMBERS}
        many = turns[-1][NUMBERS[-1]]
        rate = 1e6 / statistics.median(costs[NUMBERS[-1]])
        findings.append(
            Finding(
                row="P4",
                what=f"an event asked of rules, {kind}, 100,000 against 10",
                **median_and_spread(ratios(costs[NUMBERS[-1]], costs[10])),
                bar=1.5,
                at_most=True,
                figures=(
                    f"{rate:,.0f} events/s; parsing alone {many.parsed_a_second:,.0f}; "
                    f"compiled in {many.compile_s:.1f} s, {many.bytes_a_rule:,.0f} bytes a rule"
                ),
                growth=tuple((number, statistics.median(costs[number])) for number in NUMBERS[1:]),
            )
        )
    return findings


def main() -> None:
    words = parser(__doc__)
    words.add_argument("--events", type=int, default=50_000)
    words.add_argument("--table", action="store_true", help="all numbers and kinds, one line each")
    given = words.parse_args()
    if given.table:
        for line in table(given.events, given.repeat):
            print(line, flush=True)
    else:
        tell(compared(given.events, given.repeat), as_json=given.json)


if __name__ == "__main__":
    main()
