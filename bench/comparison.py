"""What all benches share: measure in turn, compare medians, and say it to people or as JSON."""

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: Told with every figure, for they change it.
PACKAGES = ("aiohttp", "pydantic", "uvloop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was measured of one promise, beside its bar."""

    #: As `P1`.
    row: str
    what: str
    #: What the bar is for: a ratio of two that were measured in turn, or a quantity with its unit.
    value: float
    #: The smallest and the largest of the values whose median it is.
    spread: tuple[float, float]
    bar: float
    #: True where the value is to be at most the bar, False where at least.
    at_most: bool
    unit: str = ""
    #: The figures that it comes from, in words.
    figures: str = ""
    #: What one event costs, in us, by how much there is of what grows.
    growth: tuple[tuple[int, float], ...] = ()

    @property
    def is_met(self) -> bool:
        """Tell whether the bar is reached."""
        return self.value <= self.bar if self.at_most else self.value >= self.bar

    def __str__(self) -> str:
        sign = "<=" if self.at_most else ">="
        low, high = (shown(value) for value in self.spread)
        return (
            f"{self.row}  {self.what}: {shown(self.value)}{self.unit} ({low} to {high}), "
            f"bar {sign} {self.bar:g}{self.unit}{'' if self.is_met else ', missed'}; {self.figures}"
        )


def shown(value: float) -> str:
    """Return a number with three digits that say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def in_turn(repeat: int, **measures: Callable[[], float]) -> dict[str, list[float]]:
    """Measure one after the other, again and again, so that what the machine does meanwhile meets all."""
    values: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(repeat):
        for name, measure in measures.items():
            values[name].append(measure())
    return values


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Return the ratio of each turn."""
    return [a / b for a, b in zip(over, under, strict=True)]


def median_and_spread(values: Sequence[float]) -> dict[str, object]:
    """Return the fields of a finding that tell of several values."""
    return {"value": statistics.median(values), "spread": (min(values), max(values))}


def machine() -> dict[str, str]:
    """Return what a figure depends on: the machine, the versions, the day."""
    cpu = Path("/proc/cpuinfo").read_text()
    names = [line.partition(":")[2].strip() for line in cpu.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - the git of whoever measures
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),  # noqa: TID251 - no part of the service
        "commit": commit.stdout.strip(),
        "processor": f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores",
        "memory": f"{memory / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        **{name: _version(name) for name in PACKAGES},
        "load": f"{os.getloadavg()[0]:.1f} processes wanted a core in the last minute",
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def parser(about: str | None, *, repeat: int = 5) -> argparse.ArgumentParser:
    """Return a parser of what all benches take."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--repeat", type=int, default=repeat, help="how often each is measured, in turn")
    made.add_argument("--json", action="store_true", help="one document on stdout")
    return made


def tell(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print what was found."""
    if as_json:
        print(json.dumps({"machine": machine(), "findings": [asdict(finding) for finding in findings]}))
    else:
        print(*findings, sep="\n", flush=True)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the event loop of a ceiling: the one that the service would take."""
    try:
        import uvloop  # type: ignore[import-not-found]  # noqa: PLC0415 - only where it is installed
    except ImportError:
        return asyncio.new_event_loop
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made
