"""What a shell can complete: names of the home, read from its files, so no service has to run."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

_NAME = re.compile(r"""^name:[ \t]*["']?([^\s"'#]+)""", re.MULTILINE)


def pipeline_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the pipelines whose names begin so; files that are wrong still have a name."""
    files = sorted((_home(context) / "pipelines").glob("*.y*ml"))
    names = (_NAME.search(_text(file)) for file in files)
    found = [name[1] if name else file.stem for file, name in zip(files, names, strict=True)]
    return [name for name in found if name.startswith(incomplete)]


def dataset_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the datasets whose names begin so; none where the files are wrong."""
    from sensorflow.core.errors import DefinitionsError
    from sensorflow.home import load_home
    from sensorflow.sensors import SENSORS

    try:
        definitions = load_home(_home(context), os.environ, SENSORS).definitions
    except DefinitionsError:
        return []
    return sorted(name for name in definitions.datasets if name.startswith(incomplete))


PipelineName = Annotated[str, typer.Argument(help="The pipeline.", autocompletion=pipeline_names)]
DatasetName = Annotated[str, typer.Argument(help="The dataset.", autocompletion=dataset_names)]


def _home(context: typer.Context) -> Path:
    """Return the home that is named so far: behind the verb, before it, or in the environment."""
    own, before = context.params.get("home"), context.find_root().params.get("home")
    return Path(own or before or os.environ.get("SENSORFLOW_HOME") or ".")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
