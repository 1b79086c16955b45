"""The verb that says what would happen: `rehearse`."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli import output
from sensorflow.cli.client import Client, RefusedError, path
from sensorflow.cli.common import CliError, Common, ExitCode
from sensorflow.cli.reading import arrival_words

if TYPE_CHECKING:
    from sensorflow.config.yaml import Document, Path
    from sensorflow.core.definitions import Definitions
    from sensorflow.rehearsal.story import Step

#: Thousands of events take a service that has other things to do a while.
_PATIENCE_S = 600.0
#: States of runs of which nothing more is to be said.
_DONE = frozenset({"succeeded", "cancelled"})


def rehearse(  # noqa: PLR0913 - the options of a verb are its arguments
    common: Common,
    file: Annotated[
        str | None,
        typer.Argument(help="A script, as YAML, or with a step or a CloudEvent a line; - is stdin."),
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Events that the service received from then on."),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Up to then. Default: now.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="How far the rehearsal goes on.")
    ] = None,
    fail: Annotated[
        list[str] | None,
        typer.Option(
            "--fail", metavar="PIPELINE/TASK[@N]", help="What if it failed, or its n-th attempt did."
        ),
    ] = None,
    hold: Annotated[
        list[str] | None,
        typer.Option("--hold", metavar="DATASET[/PARTITION]", help="What if it did not come."),
    ] = None,
    pause: Annotated[
        list[str] | None, typer.Option("--pause", metavar="PIPELINE", help="What if it were paused.")
    ] = None,
    retries: Annotated[
        int | None, typer.Option("--retries", min=0, help="What if every task had so many.")
    ] = None,
    takes: Annotated[
        str | None, typer.Option("--takes", metavar="DURATION", help="What if every attempt took so long.")
    ] = None,
    deployed: Annotated[
        bool,
        typer.Option("--deployed", help="With --from: by what the service runs, not by the home's files."),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="By the home's files, without a service.")
    ] = False,
) -> None:
    """Say what events would fire, when, and what would still wait. Nothing is executed, nothing is kept."""
    if file is None and begin is None:
        raise CliError(ExitCode.USAGE, "expected a script, or --from for events that the service received")
    if to is not None and begin is None:
        raise CliError(ExitCode.USAGE, "--to: expected --from beside it")
    if offline and (begin is not None or deployed):
        option = "--deployed" if deployed else "--from"
        raise CliError(ExitCode.USAGE, f"{option}: expected no --offline beside it: only the service knows")
    tree, document = _script(file)
    given: dict[str, list[Any]] = {
        "tasks": [_failing(each) for each in fail or ()],
        "hold": [_held(each) for each in hold or ()],
        "paused": pause or [],
    }
    document = _beside(document, given)
    tree = {**tree, **{name: [*found, *tree.get(name, ())] for name, found in given.items()}}
    tree["tasks"] += [{"takes": takes}] if takes else []
    tree |= {"retries": retries} if retries is not None else {}
    tree |= {"until": until} if until is not None else {}
    if begin is not None and to is None:
        to = _now()
    if offline or (begin is not None and not deployed):
        answer = _by_files(common, tree, document, begin, to)
    else:
        answer = _by_service(common, tree, document, begin, to)
    if common.json:
        output.document(answer)
    else:
        _tell(common, answer)


def _now() -> str:
    from sensorflow.clock import SystemClock
    from sensorflow.core.partitions import iso

    return iso(int(SystemClock().now()) + 1, "UTC")


# What is asked for


def _script(file: str | None) -> tuple[dict[str, Any], "Document | None"]:
    """Return what a script says, checked, and where it says it."""
    if file is None:
        return {}, None
    from sensorflow.config.scripts import read_script
    from sensorflow.core.errors import DefinitionsError

    try:
        text = (sys.stdin.buffer.read() if file == "-" else FilePath(file).read_bytes()).decode()
    except FileNotFoundError:
        raise CliError(ExitCode.NOT_FOUND, f"there is no file {file}") from None
    except OSError as error:
        raise CliError(ExitCode.FAILED, f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CliError(ExitCode.FAILED, f"{file}: expected text in UTF-8, found other bytes") from None
    try:
        _, document = read_script(file, text)
    except DefinitionsError as error:
        raise CliError(ExitCode.FAILED, str(error)) from None
    return dict(document.tree), document


def _beside(document: "Document | None", given: dict[str, list[Any]]) -> "Document | None":
    """Return where a script says what, once as much stands before its own in each section."""
    if document is None:
        return None

    def moved(path: "Path") -> "Path":
        if len(path) < 2 or path[0] not in given:
            return path
        return (path[0], int(path[1]) + len(given[str(path[0])]), *path[2:])

    keys = {moved(path): place for path, place in document.keys.items()}
    values = {moved(path): place for path, place in document.values.items()}
    return replace(document, keys=keys, values=values)


def _failing(text: str) -> dict[str, Any]:
    place, at, number = text.partition("@")
    pipeline, slash, task = place.partition("/")
    if not (pipeline and slash and task) or (at and not (number.isdecimal() and int(number))):
        raise CliError(ExitCode.USAGE, f'--fail: expected PIPELINE/TASK or PIPELINE/TASK@2, found "{text}"')
    rule: dict[str, Any] = {"pipeline": pipeline, "task": task, "ends": "failed"}
    return rule | ({"attempt": int(number)} if at else {})


def _held(text: str) -> dict[str, str]:
    dataset, slash, partition = text.partition("/")
    return {"dataset": dataset, "partition": partition} if slash else {"dataset": dataset}


# Who is asked


def _by_service(
    common: Common, tree: dict[str, Any], document: "Document | None", begin: str | None, to: str | None
) -> Any:
    body = tree if begin is None else {**tree, "recorded": {"from": begin, "to": to}}
    try:
        return Client.of(common, _PATIENCE_S).tell(path("rehearsals"), **body)
    except RefusedError as error:
        if document is None or not any("where" in each for each in error.errors):
            raise
        wrong = [_in_script(document, each) for each in error.errors]
        raise CliError(ExitCode.FAILED, "\n".join(wrong)) from None


def _in_script(document: "Document", error: dict[str, str]) -> str:
    """Return what the service found wrong, where the script says it."""
    steps = error["where"].split("/")[1:]
    where = tuple(int(step) if step.isdecimal() else step.replace("~1", "/") for step in steps)
    return str(document.problem(where, f"expected {error['expected']}, found {error['found']}"))


def _by_files(
    common: Common, tree: dict[str, Any], document: "Document | None", begin: str | None, to: str | None
) -> Any:
    from pydantic import ValidationError

    from sensorflow.config.environment import Environment
    from sensorflow.config.problems import findings_of
    from sensorflow.config.scripts import Script
    from sensorflow.config.settings import load_settings
    from sensorflow.config.stories import MistakesError, story_of
    from sensorflow.config.yaml import Document, Place
    from sensorflow.core.collector import without_collector
    from sensorflow.home import load_home
    from sensorflow.rehearsal.playing import Rehearsal
    from sensorflow.rehearsal.story import altered
    from sensorflow.sensors import SENSORS
    from sensorflow.store.memory import MemoryStore
    from sensorflow.web.rehearsed import written

    settings = load_settings(common.home_dir, os.environ)
    definitions = load_home(common.home_dir, os.environ, SENSORS).definitions
    document = replace(document or Document("the options", tree, {}, {(): Place(1, 1)}), tree=tree)
    try:
        script = Script.model_validate(tree)
    except ValidationError as error:
        found = findings_of(error, document, (), Script, Environment({}))
        raise CliError(ExitCode.USAGE, "\n".join(str(each.problem.message) for each in found)) from None
    begins_at: float | None = None
    happened: list[Step] = []
    if begin is not None:
        begins_at, happened = _recorded(common, definitions, begin, to or "")
    try:
        story = story_of(script, definitions, happened, begins_at)
    except MistakesError as error:
        wrong = [str(document.problem(each.path, each.message)) for each in error.mistakes]
        raise CliError(ExitCode.FAILED, "\n".join(wrong)) from None
    definitions = altered(definitions, retries=script.retries, paused=script.paused)
    output.say(common, f"by the files of {common.home_dir.resolve()}")
    with without_collector():
        rehearsal = Rehearsal(definitions, story, MemoryStore(), settings.workers)
        return json.loads(b"".join(written(rehearsal)))


def _recorded(common: Common, definitions: "Definitions", begin: str, to: str) -> "tuple[float, list[Step]]":
    """Return what the service received, as it would come in by other definitions, and since when it did."""
    from sensorflow.config.scripts import read_instant
    from sensorflow.core.vocabulary import Event
    from sensorflow.rehearsal.story import recorded

    client = Client.of(common, _PATIENCE_S)
    content = b"".join(client.stream(path("rehearsals", "recording"), {"since": begin, "before": to}))
    first = client.get(path("events"), {"limit": 1})["items"]
    steps: list[Step] = []
    for line in content.splitlines():
        row = json.loads(line)
        sensor = row["sensor"] and (row["sensor"][0], row["sensor"][1])
        brought = [(dataset, partition, part, by) for dataset, partition, part, by in row["brought"]]
        steps += recorded(definitions, row["received_at"], Event(**row["event"]), sensor, brought)
    begins_at = read_instant(begin)
    if first:  # It cannot have missed anything before it received anything.
        begins_at = max(begins_at, read_instant(first[0]["received_at"]))
    # The service tells times to the millisecond, which may be behind the event.
    return min(begins_at, steps[0].at) if steps else begins_at, steps


# What is told


def _tell(common: Common, answer: dict[str, Any]) -> None:
    for entry in answer["timeline"]:
        output.line(f"{entry['at']}  {entry['kind']:<9}  {_words(entry)}".rstrip())
    output.line()
    output.line(f"at {answer['until']}:")
    counts: dict[str, int] = {}
    for run in answer["runs"]:
        counts[run["state"]] = counts.get(run["state"], 0) + 1
        if run["state"] not in _DONE or run["stale"]:
            _tell_run(run)
    for alert in answer["alerts"]:
        if alert["state"] == "open":
            output.line(f"  alert {alert['kind']} since {alert['opened_at']}: {alert['text']}")
    runs = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"
    output.line(f"  runs: {runs}")
    if answer["ending"] == "most_decisions":
        output.say(common, f"it ended after {answer['decisions']} decisions; there was more to come")
    output.say(common, "this was a rehearsal: nothing was executed, nothing is kept")


def _tell_run(run: dict[str, Any]) -> None:
    name = " ".join(filter(None, (run["pipeline"], run.get("partition"))))
    output.line(f"  {name} is {run['state']}{', stale' if run['stale'] else ''}")
    width = max((len(task["name"]) for task in run["tasks"]), default=0)
    for task in run["tasks"]:
        words = [wait["text"] for wait in task["waiting_for"]] or [""]
        output.line(f"    {task['name'].ljust(width)}  {task['state']:<9}  {words[0]}".rstrip())
        for text in words[1:]:
            output.line(f"    {' ' * width}  {' ' * 9}  {text}")


def _words(entry: dict[str, Any]) -> str:
    kind, text = entry["kind"], entry.get("text")
    if kind in ("event", "held", "refused"):
        made = ", ".join(arrival_words(arrival) for arrival in entry.get("arrivals", ()))
        words = [entry.get("source"), entry.get("id"), entry.get("state"), made and f"-> {made}"]
    elif kind in ("alert", "resolved"):
        return str(text)
    else:
        words = [entry.get("dataset"), entry.get("pipeline"), entry.get("partition"), entry.get("task")]
        words += [f"attempt {entry['attempt']}" if "attempt" in entry else None]
        words += [f"generation {entry['generation']}" if entry.get("generation", 1) > 1 else None]
        words += [entry.get("state"), f"by {entry['trigger']}" if "trigger" in entry else None]
        words += [f"again at {entry['next_attempt_at']}" if "next_attempt_at" in entry else None]
    said = " ".join(word for word in words if word)
    return f"{said}: {text}" if text and said else said or text or ""
