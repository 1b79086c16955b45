"""Many stories, in one process or several."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context

from tests.simulation.planted import planted
from tests.simulation.story import Told, tell

_AT_ONCE = 5


def tell_many(
    seeds: range, *, bug: str | None = None, jobs: int = 1, line: Callable[[str], None] | None = None
) -> Iterator[Told]:
    """Yield how the story of each seed ended, in their order.

    Args:
        bug: The bug that is planted meanwhile.
        jobs: Processes that share the seeds.
        line: Is given the traces, line by line; only with one job.
    """
    if jobs > 1:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            yield from pool.map(partial(_tell_one, bug), seeds, chunksize=_AT_ONCE)
        return
    with planted(bug) if bug else nullcontext():
        for seed in seeds:
            yield tell(seed, line)


def _tell_one(bug: str | None, seed: int) -> Told:
    with planted(bug) if bug else nullcontext():
        return tell(seed)
