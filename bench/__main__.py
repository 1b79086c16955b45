"""Runs all benches, one after the other, and writes what they found into docs/performance.md.

`python -m bench [--short] [--full] [--only P1 P3]`: `--short` takes some minutes instead of half an hour, and
its figures scatter more; `--full` goes to 10,000,000 events of history and needs 10 GB.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench.comparison import Finding, machine
from bench.report import draw, write

DOCS = Path(__file__).parents[1] / "docs"
#: By row: the bench, what makes it short, and what makes it full.
BENCHES: dict[str, tuple[str, str, str]] = {
    "P1": ("posts", "--events 2000 --repeat 3", ""),
    "P2": ("batches", "--batches 5 --repeat 3", ""),
    "P3": ("firing", "--events 40 --repeat 3", ""),
    "P4": ("rules", "--events 20000 --repeat 2", ""),
    "P5": ("waiting", "--events 2000 --repeat 3", ""),
    "P6": ("history", "--events 2000 --repeat 3", "--full"),
    "P7": ("fanout", "--repeat 3", ""),
    "P8": ("start", "--events 100000 --runs 10000", ""),
    "P9": ("idle", "--seconds 25", ""),
}


def found_by(bench: str, words: str) -> list[Finding]:
    """Run a bench in a process of its own, and return what it found.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = [sys.executable, "-m", f"bench.{bench}", "--json", *words.split()]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return [
        Finding(**{**finding, "growth": tuple(map(tuple, finding["growth"]))}) for finding in told["findings"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--short", action="store_true")
    form.add_argument("--full", action="store_true")
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=list(BENCHES), metavar="ROW")
    given = parser.parse_args()
    begun_on = machine()
    findings = []
    for row in given.only:
        bench, short, full = BENCHES[row]
        found = found_by(bench, short if given.short else full if given.full else "")
        print(*found, sep="\n", flush=True)
        findings += found
    if given.only == list(BENCHES):
        write(DOCS / "performance.md", findings, begun_on, is_short=given.short)
        (DOCS / "performance-growth.svg").write_text(draw(findings))


if __name__ == "__main__":
    main()
