"""How often is tried: a few times in CI, as often as the promises say with `make torture`."""

import os


def amount(name: str, few: int, full: int) -> int:
    """Return `few`, or `full` with TORTURE=full; TORTURE_<NAME> says another number."""
    usual = full if os.environ.get("TORTURE") == "full" else few
    return int(os.environ.get(f"TORTURE_{name}", usual))
