"""The verbs that tell the service of events: ready, emit, redrive."""

import json
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import typer

from sensorflow.cli import output
from sensorflow.cli.client import Client, RefusedError, path
from sensorflow.cli.common import CliError, Common, ExitCode
from sensorflow.cli.completing import DatasetName
from sensorflow.cli.reading import arrival_words

#: What is sent in one request at most; below the limits of the service.
_LINES_AT_ONCE = 1000
_BYTES_AT_ONCE = 4 * 1024 * 1024
_COUNTS = ("accepted", "duplicates", "rejected", "invalid")


def ready(
    common: Common,
    dataset: DatasetName,
    partition: Annotated[str | None, typer.Argument(help="As 2013-03-08, 2013-03-08T05Z or a key.")] = None,
    part: Annotated[str | None, typer.Option("--part", help="Only this part of it is there.")] = None,
    event_id: Annotated[str | None, typer.Option("--id", help="The same id again is a duplicate.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Who says so.")] = None,
    time: Annotated[str | None, typer.Option("--time", help="When it happened; ISO 8601.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="JSON that goes with it.")] = None,
) -> None:
    """Say that a dataset's partition is ready."""
    try:
        content = None if data is None else json.loads(data)
    except ValueError as error:
        raise CliError(ExitCode.USAGE, f"--data: expected JSON: {error}") from None
    answer = Client.of(common).tell(
        path("ready"),
        dataset=dataset,
        partition=partition,
        part=part,
        id=event_id,
        source=source,
        time=time,
        data=content,
    )
    _tell(common, answer)


def emit(
    common: Common,
    file: Annotated[str, typer.Argument(help="A CloudEvent, an array of them, or one a line; - is stdin.")],
) -> None:
    """Send CloudEvents."""
    content = read_file(file)
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
    total: dict[str, Any] = {**dict.fromkeys(_COUNTS, 0), "events": []}
    pieces = list(_pieces(lines))
    with output.progress(common, "sending") as sent:
        for first, piece in pieces:
            try:
                answer = client.post(path("events"), b"\n".join(piece), "application/x-ndjson")
            except CliError as error:
                if isinstance(error, RefusedError) and error.status == HTTPStatus.BAD_REQUEST and pieces[1:]:
                    answer = _no_events(piece, error)
                else:
                    if first:
                        output.say(common, f"of the {first} lines before: {_counted(total)}")
                    raise
            for count in _COUNTS:
                total[count] += answer[count]
            for event in answer["events"]:
                total["events"].append(
                    {**event, "index": event["index"] + first} if "index" in event else event
                )
            sent(first + len(piece), len(lines))
    _tell(common, total)


def redrive(
    common: Common,
    seq: Annotated[int, typer.Argument(min=0, help="The number of the event.")],
) -> None:
    """Read a stored event again, by the rules of now."""
    event = Client.of(common).tell(path("events", str(seq), "redrive"))
    if common.json:
        output.document(event)
    else:
        output.line(_words(event))
    if event["state"] == "rejected":
        raise typer.Exit(ExitCode.FAILED)


def read_file(file: str) -> bytes:
    """Return what is in a file, or on stdin where it is named `-`."""
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


def _no_events(piece: list[bytes], refused: RefusedError) -> dict[str, Any]:
    """Return the answer to a piece of which no line is an event; alone the service would refuse it whole."""
    reasons: dict[int, str] = {}
    for error in refused.errors:
        number, _, place = error["where"].removeprefix("/").partition("/")
        words = f"expected {error['expected']}, found {error['found']}"
        reasons.setdefault(int(number), f"/{place}: {words}" if place else words)
    events = [
        {"index": number, "state": "invalid", "reason": reasons.get(number, "expected a CloudEvent")}
        for number, line in enumerate(piece)
        if line.strip()
    ]
    return {**dict.fromkeys(_COUNTS, 0), "invalid": len(events), "events": events}


def _counted(answer: dict[str, Any]) -> str:
    return ", ".join(f"{answer[name]} {name}" for name in _COUNTS)


def _tell(common: Common, answer: dict[str, Any]) -> None:
    """Print what became of the events; those that made nothing ready because they are wrong fail the verb."""
    if common.json:
        output.document(answer)
    else:
        for event in answer["events"]:
            output.line(_words(event))
        if len(answer["events"]) > 1:
            output.say(common, _counted(answer))
    if answer["rejected"] or answer["invalid"]:
        raise typer.Exit(ExitCode.FAILED)


def _words(event: dict[str, Any]) -> str:
    if event["state"] == "invalid":
        return f"line {event['index'] + 1}: no event: {event['reason']}"
    made = ", ".join(arrival_words(arrival) for arrival in event["arrivals"])
    reason = f": {event['reason']}" if event["reason"] else ""
    return f"event {event['seq']} {event['state']}{' -> ' + made if made else ''}{reason}"
