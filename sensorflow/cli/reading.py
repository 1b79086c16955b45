"""The verbs that ask the service: status, runs, logs, events."""

import re
import sys
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from sensorflow.cli import output
from sensorflow.cli.client import Client, path
from sensorflow.cli.common import CliError, Common, ExitCode
from sensorflow.cli.completing import pipeline_names

_LOOK_EVERY_S = 1.0
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
        sensors if common.verbose else [each for each in sensors if each["state"] != "up" or each["rejected"]]
    )
    for sensor in shown:
        name = f"{sensor['pipeline']}/{sensor['name']}"
        counts = f"{sensor['accepted']} accepted, {sensor['rejected']} rejected"
        output.line(
            f"sensor {name} is {sensor['state']}: {counts}"
            + (f": {sensor['error']}" if sensor["error"] else "")
        )
    up = sum(sensor["state"] == "up" for sensor in sensors)
    output.say(common, f"{up} of {len(sensors)} sensors are up")


def runs(
    common: Common,
    pipeline: Annotated[
        str | None, typer.Argument(help="Only of this pipeline.", autocompletion=pipeline_names)
    ] = None,
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


def logs(
    common: Common,
    run: Annotated[str, typer.Argument(help="A run's id, or PIPELINE/PARTITION.")],
    task: Annotated[str, typer.Argument(help="The task.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for it; go on until it ends.")] = False,
    attempt: Annotated[int | None, typer.Option("--attempt", min=1, help="Default: the newest.")] = None,
) -> None:
    """Print the output of a task's attempt."""
    if follow and common.json:
        raise CliError(ExitCode.USAGE, "expected --follow or --json, found both: a document has an end")
    client = Client.of(common)
    found = find_run(client, run)
    run_id = found["id"]
    if follow and not any(each["attempts"] for each in found["tasks"] if each["name"] == task):
        output.say(common, f"{task} has not started yet; its log comes when it does")
    log = path("runs", run_id, "tasks", task, "log")
    chunks = client.stream(log, {"attempt": attempt, "follow": 1 if follow else None})
    if common.json:
        text = b"".join(chunks).decode(errors="replace")
        output.document({"run": run_id, "task": task, "attempt": attempt, "log": text})
        return
    is_empty = True
    for chunk in chunks:
        is_empty = False
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    if follow and is_empty:  # It may have been waited for in vain, which this says.
        b"".join(client.stream(log, {"attempt": attempt}))


def events(
    common: Common,
    state: Annotated[EventStateOption | None, typer.Option("--state", help="Only in this state.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only those that were for it.")] = None,
    after: Annotated[
        int | None, typer.Option("--after", min=0, help="Those that came after this number, from there on.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="At most so many.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with those that come.")] = False,
) -> None:
    """List the newest events, the last one last."""
    if follow and common.json:
        raise CliError(ExitCode.USAGE, "expected --follow or --json, found both: a document has an end")
    client = Client.of(common)
    query = {"state": state, "dataset": dataset, "limit": limit}
    if after is None:
        page = client.get(path("events"), {**query, "order": "newest"})
        page["items"].reverse()
    else:
        page = client.get(path("events"), {**query, "after": after})
    if common.json:
        output.document(page)
        return
    if follow:
        _follow(client, query, page["items"], after or 0)
        return
    columns = ["seq", "received", "state", "source", "id", "what became of it"]
    output.table(columns, [_event_row(event) for event in page["items"]])
    if page["next"] and after is None:
        first = page["items"][0]["seq"]
        output.say(
            common, f"there are more before {first}: ask with --limit, or from the first on with --after 0"
        )
    elif page["next"]:
        output.say(common, f"there are more; ask for them with --after {page['items'][-1]['seq']}")


def _follow(client: Client, query: Mapping[str, object], found: list[Any], after: int) -> None:
    """Print events as they come, until somebody interrupts."""
    while True:
        for event in found:
            seq, received, state, *words = _event_row(event)
            output.line(f"{seq:>8}  {received}  {state:<9}  {'  '.join(map(str, words))}")
            after = event["seq"]
        if not found:
            time.sleep(_LOOK_EVERY_S)
        found = client.get(path("events"), {**query, "after": after})["items"]


def _event_row(event: dict[str, Any]) -> list[object]:
    made = ", ".join(arrival_words(arrival) for arrival in event["arrivals"])
    names = ("seq", "received_at", "state", "source", "id")
    return [*(event[name] for name in names), event["reason"] or made]


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
