"""Data to stdout, talk to stderr; tables where somebody looks, plain lines where a program reads."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from sensorflow.cli.common import Common

_COLOURS = {
    "succeeded": "green",
    "running": "cyan",
    "queued": "cyan",
    "retrying": "yellow",
    "waiting": "blue",
    "failed": "red",
    "blocked": "magenta",
    "cancelled": "bright_black",
    "skipped": "bright_black",
    "up": "green",
    "starting": "yellow",
    "down": "red",
}


def document(value: Any) -> None:
    """Print the one JSON document of `--json`."""
    typer.echo(json.dumps(value, indent=2))


def line(text: str = "") -> None:
    """Print a line of the answer."""
    typer.echo(plain(text))


def say(common: Common, text: str) -> None:
    """Say something beside the answer."""
    if not common.quiet:
        typer.echo(plain(text), err=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows below their column names."""
    texts = [[plain("" if cell is None else str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich(columns, texts)
        return
    everything = [[column.upper() for column in columns], *texts]
    widths = [max(len(row[place]) for row in everything) for place in range(len(columns))]
    for row in everything:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


@contextmanager
def progress(common: Common, doing: str) -> Iterator[Callable[[int, int], None]]:
    """Give what is told of how much is done, of how much: a bar where somebody looks, else nothing."""
    if common.quiet or not sys.stderr.isatty():
        yield lambda done, whole: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, whole: bar.update(task, completed=done, total=whole)


def plain(text: str) -> str:
    """Return text without the control characters by which an event could steer a terminal."""
    return "".join(char if char >= " " and not "\x7f" <= char <= "\x9f" else "\ufffd" for char in text)


def _rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    found = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        found.add_column(column, overflow="fold")  # What is cut cannot be copied into the next command.
    for row in rows:
        found.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    Console().print(found)
