"""The verbs that ask the service: status, runs, why, logs, events."""

import re
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from sensorflow.cli import output
from sensorflow.cli.client import Client, path
from sensorflow.cli.common import CliError, Common, ExitCode

#: Of so many runs `why` speaks where no partition is named.
_NEWEST = 5
_RUN_STATES = ("waiting", "running", "succeeded", "failed", "cancelled")


class RunStateOption(StrEnum):
    """The states that runs can be asked for."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EventStateOption(StrEnum):
    """The states that events can be asked for."""

    ACCEPTED = "accepted"
    UNMATCHED = "unmatched"
    REJECTED = "rejected"


def status(common: Common) -> None:
    """Show how the service, its pipelines and its sensors do, and which alerts are open."""
    client = Client.of(common)
    pipelines = list(client.pages(path("pipelines")))
    sensors = list(client.pages(path("sensors")))
    alerts = list(client.pages(path("alerts")))
    if common.json:
        output.document({"url": client.url, "pipelines": pipelines, "sensors": sensors, "alerts": alerts})
        return
    output.line(f"service  {client.url}")
    output.line()
    rows = [
        [
            pipeline["name"],
            pipeline["grain"],
            "paused" if pipeline["paused"] else "",
            *(pipeline["runs"][state] or "" for state in _RUN_STATES),
            _last(pipeline),
        ]
        for pipeline in pipelines
    ]
    output.table(["pipeline", "grain", "paused", *_RUN_STATES, "newest run"], rows)
    output.line()
    for alert in alerts:
        output.line(f"alert {alert['kind']} since {alert['opened_at']}: {alert['text']}")
    shown = (
        sensors if common.verbose else [sensor for sensor in sensors if sensor["error"] or sensor["rejected"]]
    )
    for sensor in shown:
        name = f"{sensor['pipeline']}/{sensor['name']}"
        counts = f"{sensor['accepted']} accepted, {sensor['rejected']} rejected"
        output.line(
            f"sensor {name} is {sensor['state']}: {counts}"
            + (f": {sensor['error']}" if sensor["error"] else "")
        )
    up = sum(sensor["error"] is None for sensor in sensors)
    output.say(common, f"{up} of {len(sensors)} sensors are up")


def runs(
    common: Common,
    pipeline: Annotated[str | None, typer.Argument(help="Only of this pipeline.")] = None,
    partition: Annotated[str | None, typer.Option("--partition", help="Only of this partition.")] = None,
    state: Annotated[RunStateOption | None, typer.Option("--state", help="Only in this state.")] = None,
    backfill: Annotated[str | None, typer.Option("--backfill", help="Only of this backfill.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="At most so many.")] = 50,
) -> None:
    """List runs, the newest first."""
    client = Client.of(common)
    page = client.get(
        path("runs"),
        {
            "pipeline": pipeline,
            "partition": partition,
            "state": state,
            "backfill": backfill,
            "limit": limit,
        },
    )
    if common.json:
        output.document(page)
        return
    columns = ["pipeline", "partition", "state", "tasks", "created", "ended", "id"]
    output.table(columns, [_run_row(run) for run in page["items"]])
    if page["next"]:
        output.say(common, f"there are more than {limit}; ask for more with --limit")


def why(
    common: Common,
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    partition: Annotated[str | None, typer.Argument(help="Default: the newest that are not done.")] = None,
    task: Annotated[str | None, typer.Argument(help="Only this task.")] = None,
) -> None:
    """Say in words why something has not run."""
    client = Client.of(common)
    definition = client.get(path("pipelines", pipeline))
    names = [found["name"] for found in definition["tasks"]]
    if task is not None and task not in names:
        known = ", ".join(names)
        raise CliError(ExitCode.NOT_FOUND, f'there is no task "{task}" in {pipeline}; there are: {known}')
    if partition or definition["grain"] == "none":
        answers = [
            client.get(path("pipelines", pipeline, "why"), {"partition": partition or None, "task": task})
        ]
    else:
        answers = [client.get(path("runs", run["id"], "why")) for run in _not_done(client, pipeline)]
    if common.json:
        output.document(answers[0] if partition or definition["grain"] == "none" else {"items": answers})
        return
    for answer in answers:
        _tell_why(answer)
    if not answers:
        output.say(
            common, f"no run of {pipeline} waits, goes or has failed; name a partition to ask for that one"
        )


def logs(
    common: Common,
    run: Annotated[str, typer.Argument(help="A run's id, or PIPELINE/PARTITION.")],
    task: Annotated[str, typer.Argument(help="The task.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the attempt ends.")] = False,
    attempt: Annotated[int | None, typer.Option("--attempt", min=1, help="Default: the newest.")] = None,
) -> None:
    """Print the output of a task's attempt."""
    if follow and common.json:
        raise CliError(ExitCode.USAGE, "expected --follow or --json, found both: a document has an end")
    client = Client.of(common)
    run_id = find_run(client, run)["id"]
    chunks = client.stream(
        path("runs", run_id, "tasks", task, "log"), {"attempt": attempt, "follow": 1 if follow else None}
    )
    if common.json:
        text = b"".join(chunks).decode(errors="replace")
        output.document({"run": run_id, "task": task, "attempt": attempt, "log": text})
        return
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


def events(
    common: Common,
    state: Annotated[EventStateOption | None, typer.Option("--state", help="Only in this state.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Only those that brought it something.")
    ] = None,
    after: Annotated[int, typer.Option("--after", min=0, help="Only those above this number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="At most so many.")] = 50,
) -> None:
    """List events in the order in which they came."""
    query = {"state": state, "dataset": dataset, "after": after, "limit": limit}
    page = Client.of(common).get(path("events"), query)
    if common.json:
        output.document(page)
        return
    rows = [
        [
            event["seq"],
            event["received_at"],
            event["state"],
            event["source"],
            event["id"],
            event["reason"] or ", ".join(arrival_words(arrival) for arrival in event["arrivals"]),
        ]
        for event in page["items"]
    ]
    output.table(["seq", "received", "state", "source", "id", "what became of it"], rows)
    if page["next"]:
        output.say(common, f"there are more; ask for them with --after {page['items'][-1]['seq']}")


def arrival_words(arrival: dict[str, Any]) -> str:
    """Return an arrival as `orders 2026-03-08 part eu (version 1)`."""
    words = [arrival["dataset"], arrival.get("partition"), arrival["part"] and f"part {arrival['part']}"]
    return " ".join(word for word in words if word) + f" (version {arrival['version']})"


_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def find_run(client: Client, run: str) -> Any:
    """Return the run of an id or of PIPELINE/PARTITION.

    Raises:
        CliError: there is none.
    """
    pipeline, slash, partition = run.partition("/")
    if not slash and _RUN_ID.fullmatch(run):
        return client.get(path("runs", run))
    client.get(path("pipelines", pipeline))  # An unknown pipeline is not found, rather than without runs.
    found = client.get(path("runs"), {"pipeline": pipeline, "partition": partition or None, "limit": 1})[
        "items"
    ]
    if not found:
        text = f"there is no run of {pipeline} {partition}; see: sensorflow why {pipeline} {partition}"
        raise CliError(ExitCode.NOT_FOUND, text)
    return found[0]


def _not_done(client: Client, pipeline: str) -> list[Any]:
    """Return the newest runs that wait, go or have failed."""
    found = [
        run
        for state in ("waiting", "running", "failed")
        for run in client.get(path("runs"), {"pipeline": pipeline, "state": state, "limit": _NEWEST})["items"]
    ]
    return sorted(found, key=lambda run: (run["created_at"], run["id"]), reverse=True)[:_NEWEST]


def _tell_why(answer: dict[str, Any]) -> None:
    run = f"run {answer['run']}" if answer["run"] else "no run yet"
    output.line(" ".join(word for word in (answer["pipeline"], answer.get("partition"), f"({run})") if word))
    width = max((len(task["name"]) for task in answer["tasks"]), default=0)
    for task in answer["tasks"]:
        words = [wait["text"] for wait in task["waiting_for"]] or [""]
        output.line(f"  {task['name'].ljust(width)}  {task['state']:<9}  {words[0]}".rstrip())
        for text in words[1:]:
            output.line(f"  {' ' * width}  {' ' * 9}  {text}")


def _run_row(run: dict[str, Any]) -> list[object]:
    succeeded = sum(task["state"] in {"succeeded", "skipped"} for task in run["tasks"])
    state = f"{run['state']}, stale" if run["stale"] else run["state"]
    return [
        run["pipeline"],
        run.get("partition"),
        state,
        f"{succeeded}/{len(run['tasks'])}",
        run["created_at"],
        run["ended_at"],
        run["id"],
    ]


def _last(pipeline: dict[str, Any]) -> str:
    last = pipeline["last_run"]
    return f"{last.get('partition', '')} {last['state']}".strip() if last else ""
