"""Draws where a service's time goes, as flame graphs in docs/: it takes events (P1), many runs wait (P5).

`python -m bench.flame [--seconds 20] [--waiting 1000000]`: py-spy looks 500 times a second where the service
is that holds the interpreter, while 64 connections post. It is no dependency of the project; `pip install
py-spy` beside it first.
"""

import argparse
import asyncio
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from bench.events import PIPELINE, SINGLE, events, joins, new_partitions, posts, rearrivals
from bench.growth import CONNECTIONS, chance
from bench.http_load import post, send_all
from bench.services import home_of, rest, sensorflow
from bench.stores import event, make_store, order_key

DOCS = Path(__file__).parents[1] / "docs"


def until(ends_at: float, request: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield requests until then."""
    while time.monotonic() < ends_at:
        yield request()


def drawn(home: Path, picture: Path, caption: str, request: Callable[[], bytes], seconds: float) -> None:
    """Serve a home, post, and draw."""
    sampler = Path(sys.executable).with_name("py-spy")
    with sensorflow(home) as (port, pid):
        rest(pid)
        # Once before, so that nothing is drawn that only the first events need.
        asyncio.run(send_all(port, until(time.monotonic() + 2, request), connections=CONNECTIONS))
        command = [sampler, "record", "--gil", "--rate", "500", "--duration", str(round(seconds))]
        with subprocess.Popen(
            [*command, "--pid", str(pid), "--output", picture],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as sampling:
            load = asyncio.run(
                send_all(port, until(time.monotonic() + seconds + 1, request), connections=CONNECTIONS)
            )
        if sampling.returncode:
            raise SystemExit(f"py-spy ended with exit status {sampling.returncode}")
    # The sampler writes its command over the picture, with the folders of this machine.
    drawn_as = re.sub(r'(<text id="title"[^>]*>)[^<]*', rf"\g<1>{caption}", picture.read_text(), count=1)
    picture.write_text(drawn_as)
    print(f"{picture.name}: {load.rate:,.0f} events/s under the sampler")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    given = parser.parse_args()
    if shutil.which(Path(sys.executable).with_name("py-spy")) is None:
        raise SystemExit("expected py-spy beside this Python: pip install py-spy")
    numbers, lots = count(), chance()

    def mixed() -> bytes:
        number = next(numbers)
        mix = (rearrivals, new_partitions, joins)[number % 3]
        return posts(events(mix, number, 1))[0]

    def hit() -> bytes:
        key = order_key(lots.randrange(1, given.waiting + 1))
        return post("/api/v1/events", event("paid", key, f"hit-{next(numbers)}"), content_type=SINGLE)

    with contextlib.ExitStack() as stack:
        home = stack.enter_context(home_of({"pipelines/sales.yaml": PIPELINE}))
        drawn(
            home, DOCS / "profile-posts.svg", "A service that takes events one by one", mixed, given.seconds
        )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = make_store(folder, waiting_runs=given.waiting)
        drawn(
            store, DOCS / "profile-waiting.svg", "A service in which a million runs wait", hit, given.seconds
        )


if __name__ == "__main__":
    main()
