"""The verb that draws a pipeline's graph."""

import os
from enum import StrEnum
from typing import Annotated

import typer

from sensorflow.cli import output
from sensorflow.cli.common import CliError, Common, ExitCode
from sensorflow.cli.completing import PipelineName


class GraphFormat(StrEnum):
    """How a graph is written."""

    TEXT = "text"
    MERMAID = "mermaid"
    DOT = "dot"


def graph(
    common: Common,
    pipeline: PipelineName,
    form: Annotated[GraphFormat, typer.Option("--format", help="How it is written.")] = GraphFormat.TEXT,
) -> None:
    """Draw a pipeline: its tasks, what they read and what they make."""
    from sensorflow.cli.drawing import draw
    from sensorflow.home import load_home
    from sensorflow.sensors import SENSORS

    definitions = load_home(common.home_dir, os.environ, SENSORS).definitions
    if pipeline not in definitions.pipelines:
        known = ", ".join(sorted(definitions.pipelines))
        raise CliError(ExitCode.NOT_FOUND, f'there is no pipeline "{pipeline}"; there are: {known}')
    drawing = draw(definitions, pipeline, form)
    if common.json:
        output.document({"pipeline": pipeline, "format": form.value, "graph": drawing})
        return
    for line in drawing.splitlines():
        output.line(line)
