"""Definition files as texts, compiled, for tests of what is right and wrong in them."""

from collections.abc import Mapping
from textwrap import dedent

from pydantic import BaseModel

from sensorflow.config.compile import Compiled, compile_files
from sensorflow.config.files import SourceText
from sensorflow.core.errors import DefinitionsError, Problem
from sensorflow.sensors import SENSORS

KINDS: dict[str, type[BaseModel]] = {kind: sensor.Options for kind, sensor in SENSORS.items()}


def compiled(files: Mapping[str, str], environ: Mapping[str, str] | None = None) -> Compiled:
    """Compile files by their paths, as `pipelines/a.yaml`."""
    sources = [SourceText(file, dedent(text)) for file, text in files.items()]
    pipelines = [source for source in sources if source.file.startswith("pipelines/")]
    shared = [source for source in sources if source.file.startswith("sensors/")]
    return compile_files(pipelines, shared, environ or {}, KINDS)


def problems(files: Mapping[str, str], environ: Mapping[str, str] | None = None) -> list[Problem]:
    """Return what is wrong in files, nothing where they are right."""
    try:
        compiled(files, environ)
    except DefinitionsError as error:
        return error.problems or [Problem(file="", line=0, column=0, path="", message="nothing was said")]
    return []


def wrong(files: Mapping[str, str], environ: Mapping[str, str] | None = None) -> list[str]:
    """Return what is wrong in files, as users see it."""
    return [str(problem) for problem in problems(files, environ)]


def pipeline(text: str, environ: Mapping[str, str] | None = None) -> Compiled:
    """Compile one pipeline, `pipelines/p.yaml`."""
    return compiled({"pipelines/p.yaml": text}, environ)


def wrong_in_pipeline(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return what is wrong in one pipeline, without the file's name."""
    return [
        problem.removeprefix("pipelines/p.yaml:") for problem in wrong({"pipelines/p.yaml": text}, environ)
    ]
