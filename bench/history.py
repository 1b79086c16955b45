"""What a posted event costs in a service that has seen many (P6).

`python -m bench.history [--full] [--events 4000] [--repeat 5]`: services with 10,000 to 1,000,000 events of
history, with `--full` to 10,000,000 (about 10 GB and some minutes), in turn; ids that grow, and random UUIDs.
"""

import contextlib
import tempfile
import uuid
from itertools import count
from pathlib import Path

from bench.comparison import Finding, parser, tell
from bench.growth import growth
from bench.services import sensorflow
from bench.stores import event, growing_id, make_store, seen_key

SIZES = [10_000, 100_000, 1_000_000]


def compared(sizes: list[int], number: int, repeat: int) -> list[Finding]:
    """Measure both kinds of ids."""
    numbers = count(10**9)

    def grown(size: int, events: int) -> list[bytes]:
        return [event("seen", seen_key(each), growing_id(next(numbers))) for each in range(events)]

    def random(size: int, events: int) -> list[bytes]:
        return [event("seen", seen_key(each), str(uuid.uuid4())) for each in range(events)]

    found = []
    for what, bodies, bar in (("ids that grow", grown, 1.3), ("random UUIDs", random, 1.6)):
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            homes = {
                size: make_store(folder / str(size), history=size, random_ids=bodies is random)
                for size in sizes
            }
            ports = {size: stack.enter_context(sensorflow(home))[0] for size, home in homes.items()}
            told = f"an event after many others, {what}"
            found += growth("P6", told, ports, bodies, bars={min(ports): bar}, number=number, repeat=repeat)
    return found


def main() -> None:
    words = parser(__doc__)
    words.add_argument("--full", action="store_true", help="up to 10,000,000 events")
    words.add_argument("--events", type=int, default=4_000)
    given = words.parse_args()
    sizes = [*SIZES, 10_000_000] if given.full else SIZES
    tell(compared(sizes, given.events, given.repeat), as_json=given.json)


if __name__ == "__main__":
    main()
