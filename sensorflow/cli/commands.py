"""The verbs by name, those that work on a home itself, and the way into them all."""

import inspect
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from sensorflow import __version__
from sensorflow.cli import output
from sensorflow.cli.backfilling import backfill
from sensorflow.cli.backing_up import backup
from sensorflow.cli.beginning import init
from sensorflow.cli.common import (
    CliError,
    Common,
    ExitCode,
    before_the_verb,
    common_parameters,
    shaped,
    with_common,
)
from sensorflow.cli.doctor import doctor
from sensorflow.cli.documents import openapi, schema
from sensorflow.cli.explaining import why
from sensorflow.cli.graph import graph
from sensorflow.cli.matching import match
from sensorflow.cli.operating import cancel, mark, pause, reload, resume, retry, run, withdraw
from sensorflow.cli.reading import events, logs, runs, status
from sensorflow.cli.rehearsing import rehearse
from sensorflow.cli.sending import emit, ready, redrive
from sensorflow.cli.tokens import token
from sensorflow.core.errors import DefinitionsError, Problem, SensorflowError

app = typer.Typer(
    name="sensorflow",
    help="Fires a task when all of its upstream data has arrived, for its partition.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def validate(common: Common) -> None:
    """Check the files of a home."""
    from sensorflow.config.settings import alert_warnings, load_settings
    from sensorflow.home import load_home
    from sensorflow.sensors import SENSORS

    problems: list[Problem] = []
    settings = home = None
    try:
        settings = load_settings(common.home_dir, os.environ)
    except DefinitionsError as error:
        problems += error.problems
    try:
        home = load_home(common.home_dir, os.environ, SENSORS)
    except DefinitionsError as error:
        problems += error.problems
    if settings is None or home is None:
        if common.json:
            output.document({"valid": False, "problems": [_problem(problem) for problem in problems]})
            raise typer.Exit(ExitCode.INVALID_DEFINITIONS)
        raise DefinitionsError(problems)
    warnings = [*home.warnings, *alert_warnings(settings, home.definitions.pipelines)]
    found = home.definitions
    if common.json:
        output.document({"valid": True, "problems": [], "warnings": [_problem(w) for w in warnings]})
        return
    for warning in warnings:
        output.say(common, f"{warning} (a warning)")
    counts = f"{len(found.pipelines)} pipelines, {len(found.sensors)} sensors, {len(found.datasets)} datasets"
    output.line(f"valid: {counts}")


def serve(
    common: Common,
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="The port to listen on.")
    ] = None,
) -> None:
    """Run the service until it is told to stop."""
    from sensorflow import app as service

    raise typer.Exit(service.serve(common.home_dir, host, port))


def demo(
    common: Common,
    once: Annotated[bool, typer.Option("--once", help="End when all has run, for machines.")] = False,
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="The port to listen on.")
    ] = None,
) -> None:
    """Run the demo of a home: the service, fed with a week of real data."""
    from sensorflow.demo import run_demo

    raise typer.Exit(run_demo(common.home_dir, once=once, host=host, port=port))


def version(common: Common) -> None:
    """Print the version."""
    if common.json:
        output.document({"version": __version__})
    else:
        output.line(f"sensorflow {__version__}")


_VERBS = (
    *(init, validate, serve, demo, graph),
    *(ready, emit, status, runs, why, logs, events, match, rehearse),
    *(run, retry, cancel, mark, pause, resume, backfill, withdraw, redrive, reload),
    *(schema, openapi, doctor, backup, version),
)
for _verb in _VERBS:
    app.command(_verb.__name__)(with_common(_verb))
app.add_typer(token)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.line(f"sensorflow {__version__}")
        raise typer.Exit


_VERSION = inspect.Parameter(
    "version",
    inspect.Parameter.KEYWORD_ONLY,
    annotation=Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ],
    default=False,
)
app.callback(help=app.info.help)(shaped(before_the_verb, [*common_parameters(environment=True), _VERSION]))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    try:
        app(args=arguments, prog_name="sensorflow")
    except CliError as error:
        _fail(error.code, str(error))
    except DefinitionsError as error:
        _fail(ExitCode.INVALID_DEFINITIONS, str(error))
    except SensorflowError as error:
        _fail(ExitCode.FAILED, str(error))
    except OSError as error:  # A full disk under what was to take the answer, a file that may not be read.
        _fail(ExitCode.FAILED, str(error))
    sys.exit(ExitCode.DONE)


def _fail(code: ExitCode, text: str) -> NoReturn:
    for each in text.splitlines():
        typer.echo(output.plain(each), err=True)
    sys.exit(code)


def _problem(problem: Any) -> dict[str, Any]:
    return {name: getattr(problem, name) for name in ("file", "line", "column", "path", "message")}
