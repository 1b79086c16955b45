"""The verb that says what the rules would make of an event: `match`."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from sensorflow.cli import output
from sensorflow.cli.client import Client, path
from sensorflow.cli.common import CliError, Common, ExitCode
from sensorflow.cli.sending import read_file

_WORDS = {
    "accepted": "takes it",
    "rejected": "takes it and cannot read it",
    "unmatched": "does not take it",
}
_BECOMES = {
    "accepted": "it would be accepted",
    "rejected": "it would be rejected: kept, and read again by `sensorflow redrive` once the rule is mended",
    "unmatched": "no rule takes it: it would make nothing ready",
}

Ask = Callable[[dict[str, Any], bytes], Any]


def match(
    common: Common,
    file: Annotated[
        str | None,
        typer.Argument(help="An event, an array of them, or one a line; or a payload. - is stdin."),
    ] = None,
    sensor: Annotated[
        str | None,
        typer.Option("--sensor", metavar="PIPELINE/SENSOR", help="It sees the event, or is sent the body."),
    ] = None,
    file_path: Annotated[
        str | None, typer.Option("--path", metavar="PATH", help="What if this file came; no FILE is needed.")
    ] = None,
    topic: Annotated[
        str | None, typer.Option("--topic", metavar="TOPIC", help="What if FILE came as a message of it.")
    ] = None,
    seq: Annotated[
        int | None, typer.Option("--seq", min=0, metavar="SEQ", help="A stored event, by its number.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="By the home's files, without a service.")
    ] = False,
) -> None:
    """Say which rules take an event, what each reads, and why the others do not. Nothing is kept."""
    needs_none = file_path is not None or seq is not None
    if (file is None) != needs_none or sum(each is not None for each in (file_path, topic, seq)) > 1:
        raise CliError(ExitCode.USAGE, "expected one of FILE, FILE with --topic, --path or --seq")
    if offline and seq is not None:
        raise CliError(ExitCode.USAGE, "expected no --offline with --seq: the service has the events")
    content = b"" if file is None else read_file(file)
    query = {"sensor": sensor, "path": _below_home(common, file_path), "topic": topic, "seq": seq}
    bodies = [content] if topic is not None or needs_none else _bodies(content)
    if not bodies:
        raise CliError(ExitCode.FAILED, f"{file}: expected an event, found nothing")
    ask = _home_asked(common) if offline else _service_asked(common)
    answers = []
    for number, body in enumerate(bodies, 1):
        try:
            answers.append(ask(query, body))
        except CliError as error:
            if len(bodies) == 1:
                raise
            raise CliError(error.code, f"event {number}: {error}") from None
    if common.json:
        output.document(answers[0] if len(answers) == 1 else {"items": answers})
        return
    for number, answer in enumerate(answers, 1):
        if len(answers) > 1:
            output.line(f"event {number}:")
        _tell(common, answer, "  " if len(answers) > 1 else "")


def _below_home(common: Common, place: str | None) -> str | None:
    """Return a file's path as sensors know it, whatever folder one stands in."""
    if place is None or not Path(place).is_absolute():
        return place
    home = common.home_dir.resolve()
    try:
        return Path(place).relative_to(home).as_posix()
    except ValueError:
        raise CliError(ExitCode.USAGE, f"--path: expected a path below {home}, found {place}") from None


def _bodies(content: bytes) -> list[bytes]:
    """Return the events of a file, each as a body of its own."""
    try:
        found = json.loads(content)
    except ValueError:
        return [line for line in content.split(b"\n") if line.strip()]
    events = found if isinstance(found, list) else [found]
    return [json.dumps(event).encode() for event in events]


def _service_asked(common: Common) -> Ask:
    client = Client.of(common)

    def ask(query: dict[str, Any], body: bytes) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        return client.post(path("match") + (f"?{urlencode(given)}" if given else ""), body)

    return ask


def _home_asked(common: Common) -> Ask:
    """Return how the files of a home are asked."""
    from sensorflow.core.errors import SensorflowError
    from sensorflow.home import load_home
    from sensorflow.sensors import SENSORS
    from sensorflow.sensors.seeing import would_see
    from sensorflow.web.match import MatchQuery, match_answer, matched_by
    from sensorflow.web.problems import ProblemError, from_domain

    definitions = load_home(common.home_dir, os.environ, SENSORS).definitions
    output.say(common, f"by the files of {common.home_dir.resolve()}")

    def ask(query: dict[str, Any], body: bytes) -> Any:
        try:
            asked = MatchQuery.model_validate(query)
            return match_answer(matched_by(definitions, would_see, asked, body)).model_dump(mode="json")
        except (ProblemError, SensorflowError) as error:
            problem = error if isinstance(error, ProblemError) else from_domain(error)
            code = ExitCode.NOT_FOUND if problem.status == 404 else ExitCode.FAILED
            raise CliError(code, problem.detail) from None

    return ask


def _tell(common: Common, answer: dict[str, Any], margin: str) -> None:
    for rule in answer["rules"]:
        if rule["state"] == "accepted":
            read = [
                rule["dataset"],
                rule.get("partition"),
                f"part {rule['part']}" if "part" in rule else None,
            ]
            words = " ".join(word for word in read if word)
            words += "".join(f", {name} {rule[name]}" for name in ("id", "time") if name in rule)
        else:
            words = rule["reason"]
        output.line(f"{margin}{rule['sensor']} {_WORDS[rule['state']]}: {words}")
    if answer["more"]:
        output.line(f"{margin}{answer['more']} more do not take it")
    if not answer["rules"]:
        output.line(f"{margin}no sensor of this home would see it")
    else:
        output.say(common, f"{margin}{_BECOMES[answer['state']]}")
