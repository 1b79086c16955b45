"""Keeps Python's collector of cycles out of work that makes many objects and no cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: So many objects more than at the last look are worth one: some megabytes.
_NEW_OBJECTS = 50_000


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep the collector out: it would look at all that was made, again and again, and find nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def look_seldom() -> None:
    """Let the collector pass over all that is there now, and look at what comes only now and then.

    By itself it looks at every 700 objects that are new, which here are rows: no cycle is found in them, and
    deciding an arrival takes up to twice as long for it (`bench.core`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 50)
