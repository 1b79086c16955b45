"""The verb that says what is wrong with a home and its machine, and the fix."""

import os
from collections.abc import Iterator
from typing import Annotated

import typer

from sensorflow.cli import output
from sensorflow.cli.common import Common, ExitCode
from sensorflow.cli.doctor.finding import Finding, Grade, well, wrong


def doctor(
    common: Common,
    full: Annotated[
        bool, typer.Option("--full", help="Check every index of the store too; takes several times as long.")
    ] = False,
) -> None:
    """Check the store, the machine and the brokers of a home, and say the fix of what is wrong."""
    findings = []
    for finding in _examined(common, full=full):
        findings.append(finding)
        if not common.json:
            _tell(finding)
    is_well = all(finding.grade is not Grade.WRONG for finding in findings)
    if common.json:
        output.document({"well": is_well, "findings": [finding.document for finding in findings]})
    if not is_well:
        raise typer.Exit(ExitCode.FAILED)


def _examined(common: Common, *, full: bool) -> Iterator[Finding]:
    """Yield what is found, as it is found."""
    from sensorflow.cli.doctor import brokers, files, kept, machine, serving
    from sensorflow.clock import SystemClock
    from sensorflow.config.settings import Settings, load_settings
    from sensorflow.core.errors import DefinitionsError
    from sensorflow.home import load_home
    from sensorflow.sensors import SENSORS

    place = common.home_dir
    clock = SystemClock()
    began = (clock.now(), clock.monotonic())
    settings, definitions = Settings(), None
    try:
        settings = load_settings(place, os.environ)
        definitions = load_home(place, os.environ, SENSORS).definitions
        yield well("definitions", f"{len(definitions.pipelines)} pipelines and the settings can be used")
    except DefinitionsError as error:
        text = f"the files of the home cannot be used: {error.problems[0]}"
        yield wrong("definitions", text, "`sensorflow validate` names all that is wrong in them")
    service = serving.holder(place)
    yield from serving.findings(service, common.token)
    store = service.store if service else place / settings.store
    yield from kept.findings(store, thoroughly=full, now=clock.now())
    yield from files.findings(place, os.environ)
    sensors = [*definitions.sensors.values()] if definitions else []
    yield from machine.findings(place, sensors, service.pid if service else None)
    yield from brokers.findings(place, sensors)
    yield machine.clock_finding(began, (clock.now(), clock.monotonic()))


def _tell(finding: Finding) -> None:
    output.line(f"{finding.grade:<5}  {finding.subject:<11}  {finding.text}")
    if finding.fix:
        output.line(f"{'':<5}  {'':<11}  -> {finding.fix}")
