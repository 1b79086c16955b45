"""The verbs of operators: run, retry, cancel, mark, pause, resume, withdraw, reload."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from sensorflow.cli import output
from sensorflow.cli.client import Client, path
from sensorflow.cli.common import CliError, Common, ExitCode
from sensorflow.cli.completing import DatasetName, PipelineName
from sensorflow.cli.reading import find_run

_Run = Annotated[str, typer.Argument(help="A run's id, or PIPELINE/PARTITION.")]
_Reason = Annotated[str | None, typer.Option("--reason", help="Kept with the operation.")]


class MarkOption(StrEnum):
    """What a task can be marked as."""

    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"


def run(
    common: Common,
    pipeline: PipelineName,
    partition: Annotated[str | None, typer.Argument(help="Which; none where it has none.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Fire without inputs and times.")] = False,
    reason: _Reason = None,
) -> None:
    """Make the run of a partition; one that has ended runs again as a whole."""
    answer = Client.of(common).tell(
        path("runs"), pipeline=pipeline, partition=partition, force=force, reason=reason
    )
    _tell_run(common, answer)


def retry(
    common: Common,
    run: _Run,
    tasks: Annotated[list[str] | None, typer.Argument(help="Default: all that failed.")] = None,
    downstream: Annotated[
        bool, typer.Option("--downstream/--no-downstream", help="Let what is blocked below wait again.")
    ] = True,
    reason: _Reason = None,
) -> None:
    """Try the failed tasks of a run again."""
    client = Client.of(common)
    run_id = find_run(client, run)["id"]
    answer = client.tell(
        path("runs", run_id, "retry"), tasks=tasks or [], downstream=downstream, reason=reason
    )
    _tell_run(common, answer)


def cancel(
    common: Common,
    run: Annotated[str, typer.Argument(help="A run's id, PIPELINE/PARTITION, or a backfill's id.")],
    reason: _Reason = None,
) -> None:
    """Let nothing more of a run happen, or of what a backfill made and has not started."""
    client = Client.of(common)
    try:
        run_id = find_run(client, run)["id"]
    except CliError as error:
        if error.code is not ExitCode.NOT_FOUND or "/" in run:
            raise
        _cancel_backfill(common, client, run, reason)
        return
    _tell_run(common, client.tell(path("runs", run_id, "cancel"), reason=reason))


def mark(
    common: Common,
    run: _Run,
    task: Annotated[str, typer.Argument(help="The task.")],
    state: Annotated[MarkOption, typer.Argument(help="`succeeded` makes its outputs ready.")],
    reason: _Reason = None,
) -> None:
    """Let a task that does not run count as done."""
    client = Client.of(common)
    run_id = find_run(client, run)["id"]
    _tell_run(common, client.tell(path("runs", run_id, "tasks", task, "mark"), state=state, reason=reason))


def pause(
    common: Common,
    pipeline: PipelineName,
    reason: _Reason = None,
) -> None:
    """Let nothing of a pipeline start; what arrives is recorded."""
    _pause(common, pipeline, "pause", reason)


def resume(
    common: Common,
    pipeline: PipelineName,
    reason: _Reason = None,
) -> None:
    """Let what has become ready start."""
    _pause(common, pipeline, "resume", reason)


def withdraw(
    common: Common,
    dataset: DatasetName,
    reason: Annotated[str, typer.Option("--reason", help="Kept with the operation.")],
    partition: Annotated[str | None, typer.Argument(help="Which; none where it has none.")] = None,
    part: Annotated[str | None, typer.Option("--part", help="Only this part of it.")] = None,
) -> None:
    """Take a partition back: it is missing until its next arrival."""
    answer = Client.of(common).tell(
        path("datasets", dataset, "withdraw"), partition=partition, part=part, reason=reason
    )
    if common.json:
        output.document(answer)
        return
    named = " ".join(word for word in (dataset, answer.get("partition")) if word)
    missing = f": {', '.join(answer['parts_missing'])} missing" if answer["parts_missing"] else ""
    output.line(f"{named} is {answer['state']}{missing}")
    output.say(common, "runs that used it are stale; nothing of them is undone")


def reload(common: Common) -> None:
    """Let the service read the home's files again; wrong ones change nothing."""
    answer = Client.of(common).tell(path("reload"))
    if common.json:
        output.document(answer)
        return
    counts = [f"{value} {name}" for name, value in answer.items() if type(value) is int]
    output.line(": ".join(filter(None, ("reloaded", ", ".join(counts)))))
    for warning in answer.get("warnings", ()):
        output.say(common, f"{warning} (a warning)")


def _pause(common: Common, pipeline: str, verb: str, reason: str | None) -> None:
    answer = Client.of(common).tell(path("pipelines", pipeline, verb), reason=reason)
    if common.json:
        output.document(answer)
        return
    output.line(f"{pipeline} is {'paused' if answer['paused'] else 'not paused'}")


def _cancel_backfill(common: Common, client: Client, backfill: str, reason: str | None) -> None:
    try:
        answer = client.tell(path("backfills", backfill, "cancel"), reason=reason)
    except CliError as error:
        if error.code is ExitCode.NOT_FOUND:
            raise CliError(error.code, f'there is no run and no backfill "{backfill}"') from None
        raise
    if common.json:
        output.document(answer)
        return
    counts = ", ".join(f"{count} {state}" for state, count in answer["runs"].items() if count)
    output.line(f"backfill {backfill} is cancelled: {counts or 'no run of it is left'}")


def _tell_run(common: Common, run: dict[str, Any]) -> None:
    if common.json:
        output.document(run)
        return
    named = " ".join(word for word in (run["pipeline"], run.get("partition")) if word)
    output.line(f"run {run['id']} of {named} is {run['state']}, generation {run['generation']}")
    output.table(["task", "state"], [[task["name"], task["state"]] for task in run["tasks"]])
    output.say(common, f"see it: sensorflow why {named}")
