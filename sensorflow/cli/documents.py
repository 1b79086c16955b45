"""Verbs that print what machines read of sensorflow: the API, and the files of a home."""

from enum import StrEnum
from typing import Annotated

import typer

from sensorflow.cli import output
from sensorflow.cli.common import Common


class DefinitionFile(StrEnum):
    """The files of a home."""

    PIPELINE = "pipeline"
    SENSORS = "sensors"
    SETTINGS = "settings"


def schema(
    common: Common,
    file: Annotated[
        DefinitionFile,
        typer.Argument(metavar="FILE", help="What it is of: pipeline, sensors or settings."),
    ] = DefinitionFile.PIPELINE,
) -> None:
    """Print the JSON Schema of a definition file, by which editors complete it."""
    from sensorflow.config.file_schema import file_schema
    from sensorflow.home import sensor_options
    from sensorflow.sensors import SENSORS

    output.document(file_schema(file.value, sensor_options(common.home_dir, SENSORS)))


def openapi(common: Common) -> None:
    """Print the document of the API, OpenAPI 3.1."""
    from sensorflow.web.app import all_routes
    from sensorflow.web.openapi import Document

    output.document(Document(all_routes()).tree)
