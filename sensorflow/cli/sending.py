"""The verbs that tell the service something: ready, emit, retry."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from sensorflow.cli import output
from sensorflow.cli.client import Client, path
from sensorflow.cli.common import CliError, Common, ExitCode
from sensorflow.cli.reading import find_run

#: What is sent in one request at most; below the limits of the service.
_LINES_AT_ONCE = 1000
_BYTES_AT_ONCE = 4 * 1024 * 1024


def ready(
    common: Common,
    dataset: Annotated[str, typer.Argument(help="The dataset's name.")],
    partition: Annotated[str | None, typer.Argument(help="As 2013-03-08, 2013-03-08T05Z or a key.")] = None,
    part: Annotated[str | None, typer.Option("--part", help="Only this part of it is there.")] = None,
    event_id: Annotated[str | None, typer.Option("--id", help="The same id again is a duplicate.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Who says so.")] = None,
    time: Annotated[str | None, typer.Option("--time", help="When it happened; ISO 8601.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="JSON that goes with it.")] = None,
) -> None:
    """Say that a dataset's partition is ready."""
    body: dict[str, Any] = {
        "dataset": dataset,
        "partition": partition,
        "part": part,
        "id": event_id,
        "source": source,
        "time": time,
    }
    body = {name: value for name, value in body.items() if value is not None}
    if data is not None:
        try:
            body["data"] = json.loads(data)
        except ValueError as error:
            raise CliError(ExitCode.USAGE, f"--data: expected JSON: {error}") from None
    _tell(common, Client.of(common).post(path("ready"), json.dumps(body).encode()))


def emit(
    common: Common,
    file: Annotated[str, typer.Argument(help="A CloudEvent, an array of them, or one a line; - is stdin.")],
) -> None:
    """Send CloudEvents."""
    content = _read(file)
    client = Client.of(common)
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if isinstance(found, dict):
        _tell(common, client.post(path("events"), content, "application/cloudevents+json"))
        return
    lines = (
        [json.dumps(member).encode() for member in found] if isinstance(found, list) else content.split(b"\n")
    )
    if not any(line.strip() for line in lines):
        raise CliError(ExitCode.FAILED, f"{file}: expected CloudEvents, found nothing")
    total: dict[str, Any] = {"accepted": 0, "duplicates": 0, "rejected": 0, "invalid": 0, "events": []}
    for first, piece in _pieces(lines):
        answer = client.post(path("events"), b"\n".join(piece), "application/x-ndjson")
        for count in ("accepted", "duplicates", "rejected", "invalid"):
            total[count] += answer[count]
        for event in answer["events"]:
            total["events"].append({**event, "index": event["index"] + first} if "index" in event else event)
    _tell(common, total)


def retry(
    common: Common,
    run: Annotated[str, typer.Argument(help="A run's id, or PIPELINE/PARTITION.")],
    tasks: Annotated[list[str] | None, typer.Argument(help="Default: all that failed.")] = None,
    downstream: Annotated[
        bool, typer.Option("--downstream/--no-downstream", help="Let what is blocked below wait again.")
    ] = True,
    reason: Annotated[str | None, typer.Option("--reason", help="Kept with the operation.")] = None,
) -> None:
    """Try the failed tasks of a run again."""
    client = Client.of(common)
    run_id = find_run(client, run)["id"]
    body = {"tasks": tasks or [], "downstream": downstream, "reason": reason}
    answer = client.post(path("runs", run_id, "retry"), json.dumps(body).encode())
    if common.json:
        output.document(answer)
        return
    output.table(["task", "state"], [[task["name"], task["state"]] for task in answer["tasks"]])
    output.say(common, f"see it: sensorflow why {answer['pipeline']} {answer.get('partition', '')}".rstrip())


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except FileNotFoundError:
        raise CliError(ExitCode.NOT_FOUND, f"there is no file {file}") from None
    except OSError as error:
        raise CliError(ExitCode.FAILED, f"{file} cannot be read: {error.strerror}") from None


def _pieces(lines: list[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the lines in pieces that one request can hold, each with the number of its first line.

    A piece without an event is not sent: the service would refuse it.
    """
    first, size = 0, 0
    piece: list[bytes] = []
    for number, line in enumerate(lines):
        if piece and (len(piece) == _LINES_AT_ONCE or size + len(line) > _BYTES_AT_ONCE):
            yield first, piece
            first, piece, size = number, [], 0
        piece.append(line)
        size += len(line) + 1
    if any(line.strip() for line in piece):
        yield first, piece


def _tell(common: Common, answer: dict[str, Any]) -> None:
    """Print what became of the events; those that made nothing ready because they are wrong fail the verb."""
    if common.json:
        output.document(answer)
    else:
        for event in answer["events"]:
            output.line(_words(event))
        if len(answer["events"]) > 1:
            counts = (f"{answer[name]} {name}" for name in ("accepted", "duplicates", "rejected", "invalid"))
            output.say(common, ", ".join(counts))
    if answer["rejected"] or answer["invalid"]:
        raise typer.Exit(ExitCode.FAILED)


def _words(event: dict[str, Any]) -> str:
    if event["state"] == "invalid":
        return f"line {event['index'] + 1}: no event: {event['reason']}"
    made = ", ".join(_arrival(arrival) for arrival in event["arrivals"])
    reason = f": {event['reason']}" if event["reason"] else ""
    return f"event {event['seq']} {event['state']}{' -> ' + made if made else ''}{reason}"


def _arrival(arrival: dict[str, Any]) -> str:
    words = [arrival["dataset"], arrival.get("partition"), arrival["part"] and f"part {arrival['part']}"]
    return " ".join(word for word in words if word) + f" (version {arrival['version']})"
