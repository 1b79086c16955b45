"""Tell stories: `python -m tests.simulation --seed N` one of them, line by line; `--seeds N` many."""

import argparse
import sys
import time

from tests.simulation.many import tell_many
from tests.simulation.planted import BUGS


def main() -> int:
    """Return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=0, help="the first seed; alone: the only one, with its trace"
    )
    parser.add_argument("--seeds", type=int, default=0, help="how many")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share them")
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant this bug")
    parser.add_argument("--traces", action="store_true", help="print the hash of each seed's trace")
    given = parser.parse_args()
    if not given.seeds:
        (told,) = tell_many(range(given.seed, given.seed + 1), bug=given.bug, line=print)
        print(told)
        return int(told.violation is not None)
    began, bad = time.monotonic(), 0
    for told in tell_many(range(given.seed, given.seed + given.seeds), bug=given.bug, jobs=given.jobs):
        if told.violation:
            bad += 1
            print(f"seed {told.seed}: {told.violation}", flush=True)
        elif given.traces:
            print(told.seed, told.trace)
    if not given.traces:
        print(f"{given.seeds} seeds, {given.seeds / (time.monotonic() - began):.1f} a second, {bad} bad")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
