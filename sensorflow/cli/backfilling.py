"""The verb that makes runs for many partitions and watches them."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any, Protocol

import typer

from sensorflow.cli import output
from sensorflow.cli.client import Client, path
from sensorflow.cli.common import CliError, Common, ExitCode
from sensorflow.cli.completing import PipelineName

_LOOK_EVERY_S = 1.0
_GOES_ON = frozenset({"waiting", "running"})
_INTERRUPTED = 130


class OnlyOption(StrEnum):
    """Which partitions of its range a backfill makes runs for."""

    MISSING = "missing"
    FAILED = "failed"
    ALL = "all"


class OrderOption(StrEnum):
    """Which partitions come first."""

    OLDEST = "oldest"
    NEWEST = "newest"


class _Progress(Protocol):
    def show(self, backfill: dict[str, Any]) -> None: ...


def backfill(  # noqa: PLR0913 - the options of a verb are its arguments
    common: Common,
    pipeline: PipelineName,
    first: Annotated[str | None, typer.Argument(metavar="[FROM]", help="The first partition.")] = None,
    last: Annotated[str | None, typer.Argument(metavar="[TO]", help="The last one, included.")] = None,
    partitions: Annotated[
        list[str] | None, typer.Option("--partition", help="Instead of a range; as often as needed.")
    ] = None,
    only: Annotated[
        OnlyOption,
        typer.Option("--only", help="missing: no run, or one that has not started; all: every one again."),
    ] = OnlyOption.MISSING,
    order: Annotated[OrderOption, typer.Option("--order", help="Which come first.")] = OrderOption.OLDEST,
    max_active: Annotated[
        int | None,
        typer.Option(
            "--max-active", min=1, help="Runs at once. Default: half of the pipeline's max_active_runs."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Fire without inputs and times.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    wait: Annotated[
        bool | None,
        typer.Option("--wait/--no-wait", help="Watch it until all is done; so it is on a terminal."),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Kept with the backfill.")] = None,
) -> None:
    """Make runs for many partitions; each fires when its inputs are there."""
    if bool(partitions) == (first is not None) or (first is None) != (last is None):
        raise CliError(ExitCode.USAGE, "expected FROM and TO, or --partition once or more")
    client = Client.of(common)
    answer = client.tell(
        path("backfills"),
        pipeline=pipeline,
        from_=first,
        to=last,
        partitions=partitions or None,
        only=only,
        order=order,
        max_active=max_active,
        force=force,
        dry_run=dry_run,
        reason=reason,
    )
    if dry_run:
        _tell_plan(common, answer)
        return
    if not common.json:
        at_once = f"at most {answer['max_active']} at once"
        output.line(f"backfill {answer['id']} of {pipeline}: {answer['total']} runs, {at_once}")
    wait = sys.stdout.isatty() if wait is None else wait
    if wait:
        answer = _watch(common, client, answer)
    if common.json:
        output.document(answer)
    elif wait:
        output.line(f"{answer['state']}: {_counted(answer) or 'there was nothing to do'}")
    if wait and answer["state"] != "succeeded":
        raise typer.Exit(ExitCode.FAILED)


def _watch(common: Common, client: Client, backfill: dict[str, Any]) -> dict[str, Any]:
    """Return the backfill as it is in the end, and show how it gets there."""
    try:
        with _progress(common, backfill) as progress:
            while True:
                progress.show(backfill)
                if backfill["state"] not in _GOES_ON:
                    return backfill
                time.sleep(_LOOK_EVERY_S)
                backfill = client.get(path("backfills", backfill["id"]))
    except KeyboardInterrupt:
        name = backfill["id"]
        output.say(
            common,
            f"the backfill goes on without this; see it: sensorflow runs --backfill {name}; "
            f"end it: sensorflow cancel {name}",
        )
        raise typer.Exit(_INTERRUPTED) from None


@contextmanager
def _progress(common: Common, backfill: dict[str, Any]) -> Iterator[_Progress]:
    """Give what shows progress: a bar where somebody looks, else a line for each change."""
    if common.quiet or not sys.stderr.isatty():
        yield _Lines(common)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[counts]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield _Bar(bar, bar.add_task(backfill["pipeline"], total=backfill["total"], counts=""))


class _Lines:
    def __init__(self, common: Common) -> None:
        self._common = common
        self._said = ""

    def show(self, backfill: dict[str, Any]) -> None:
        counts = _counted(backfill)
        if counts != self._said:
            output.say(self._common, counts)
        self._said = counts


class _Bar:
    def __init__(self, bar: Any, task: Any) -> None:
        self._bar = bar
        self._task = task

    def show(self, backfill: dict[str, Any]) -> None:
        ended = sum(count for state, count in backfill["runs"].items() if state not in _GOES_ON)
        self._bar.update(self._task, completed=ended, counts=_counted(backfill))


def _counted(backfill: dict[str, Any]) -> str:
    return ", ".join(f"{count} {state}" for state, count in backfill["runs"].items() if count)


def _tell_plan(common: Common, plan: dict[str, Any]) -> None:
    if common.json:
        output.document(plan)
        return
    rows = [[step["partition"], step["action"], step["state"], _waits(step)] for step in plan["items"]]
    output.table(["partition", "action", "run", "what it would wait for"], rows)
    output.say(common, f"{plan['total']} of {len(rows)} partitions would be given a run; nothing is done")


def _waits(step: dict[str, Any]) -> str:
    """Return the partitions that would be waited for by their names, all else in words."""
    waits = step["waiting_for"]
    named = (f"{wait['dataset']} {wait.get('partition', '')}" if "dataset" in wait else "" for wait in waits)
    return "; ".join(name.strip() or wait["text"] for name, wait in zip(named, waits, strict=True))
