"""Loads a home folder: its pipelines, its shared sensors, and the sensor kinds of its own."""

import inspect
import re
import sys
import traceback
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from sensorflow.config.compile import compile_files, in_order
from sensorflow.config.files import SourceText
from sensorflow.config.kinds import PASSIVE_KINDS
from sensorflow.config.models import Sensor as SensorSection
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import DefinitionsError, Problem
from sensorflow.ports import Sensor

_DEFINITION_FILE = re.compile(r"(pipelines|sensors)/[^/]+\.ya?ml")


@dataclass(frozen=True, slots=True)
class Home:
    """A home folder, read."""

    path: Path
    definitions: Definitions
    #: Sensor kinds by name, the home's own among them; passive ones have no class.
    kinds: Mapping[str, type[Sensor]]
    #: Environment variables whose values stand in the definitions; tasks do not inherit them.
    secret_names: frozenset[str]
    warnings: list[Problem]
    #: What was read: the files of `pipelines/`, and those of `sensors/`.
    pipelines: Sequence[SourceText]
    shared: Sequence[SourceText]

    def with_texts(self, texts: Mapping[str, str | None], environ: Mapping[str, str]) -> Definitions:
        """Return what the home would say if files had these texts; None: if there were no such file.

        Names from the environment stand for nothing in these texts, as whoever sends them may not
        learn their values.

        Raises:
            DefinitionsError: with all that would be wrong in all files.
        """
        problems: list[Problem] = []
        files = {source.file: source for source in (*self.pipelines, *self.shared)}
        for file, text in texts.items():
            if not _DEFINITION_FILE.fullmatch(file):
                problems.append(_problem(file, "expected a file as pipelines/NAME.yaml or sensors/NAME.yaml"))
            elif text is not None:
                files[file] = SourceText(file, text, sent=True)
            elif files.pop(file, None) is None:
                problems.append(_problem(file, "expected a file that is there, found none to leave out"))
        if problems:
            raise DefinitionsError(in_order(problems))
        sources = [files[file] for file in sorted(files)]
        return compile_files(
            [source for source in sources if source.file.startswith("pipelines/")],
            [source for source in sources if source.file.startswith("sensors/")],
            environ,
            {kind: sensor.Options for kind, sensor in self.kinds.items()},
        ).definitions


def load_home(home: Path, environ: Mapping[str, str], kinds: Mapping[str, type[Sensor]]) -> Home:
    """Return what the files of a home say.

    Args:
        environ: Where `${NAME}` is looked up.
        kinds: The sensor kinds that sensorflow brings, by name.

    Raises:
        DefinitionsError: with all that is wrong in all files.
    """
    problems: list[Problem] = []
    own = _own_kinds(home, kinds, problems)
    pipelines = _read_all(home, "pipelines", problems)
    shared = _read_all(home, "sensors", problems)
    if not pipelines and not problems:
        found = "no such file" if (home / "pipelines").is_dir() else "no such folder"
        text = f"expected a pipeline in pipelines/*.yaml, found {found}; `sensorflow init` makes a home"
        problems.append(_problem("pipelines", text))
    all_kinds = {**kinds, **own}
    options: dict[str, type[BaseModel]] = {kind: sensor.Options for kind, sensor in all_kinds.items()}
    try:
        compiled = compile_files(pipelines, shared, environ, options)
    except DefinitionsError as error:
        raise DefinitionsError(in_order([*problems, *error.problems])) from None
    if problems:
        raise DefinitionsError(in_order(problems))
    return Home(
        home, compiled.definitions, all_kinds, compiled.secret_names, compiled.warnings, pipelines, shared
    )


def sensor_options(home: Path, kinds: Mapping[str, type[Sensor]]) -> dict[str, type[BaseModel]]:
    """Return the options of every sensor kind, those of the home's own that can be read among them.

    Args:
        kinds: The sensor kinds that sensorflow brings, by name.
    """
    own = _own_kinds(home, kinds, [])
    return {**{kind: sensor.Options for kind, sensor in {**kinds, **own}.items()}, **PASSIVE_KINDS}


def _read_all(home: Path, folder: str, problems: list[Problem]) -> list[SourceText]:
    """Return the YAML files of a folder by name."""
    texts = []
    for path in sorted(p for p in (home / folder).glob("*") if p.suffix in (".yaml", ".yml")):
        file = path.relative_to(home).as_posix()
        try:
            texts.append(SourceText(file, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError as error:
            line = path.read_bytes()[: error.start].count(b"\n") + 1
            problems.append(_problem(file, "expected text in UTF-8, found other bytes", line))
        except OSError as error:
            problems.append(_problem(file, f"expected a file that can be read, found: {error.strerror}"))
    return texts


def _own_kinds(
    home: Path, known: Mapping[str, type[Sensor]], problems: list[Problem]
) -> dict[str, type[Sensor]]:
    """Return the sensor kinds that `sensors/*.py` bring; files whose names start with `_` are left alone."""
    own: dict[str, type[Sensor]] = {}
    first: dict[str, str] = {}
    for path in sorted((home / "sensors").glob("[!_]*.py")):
        file = path.relative_to(home).as_posix()
        module = _imported(path, file, problems)
        if module is None:
            continue
        kinds = getattr(module, "SENSORS", None)
        if not isinstance(kinds, Mapping):
            message = "expected SENSORS, a mapping of sensor kinds to their classes, found none"
            problems.append(_problem(file, message, 1))
            continue
        for kind, sensor in kinds.items():
            wrong = _wrong_kind(kind, sensor, {*known, *PASSIVE_KINDS}, first)
            if wrong is not None:
                problems.append(_problem(file, wrong, _line_of(sensor, path)))
                continue
            own[kind] = sensor
            first[kind] = file
    return own


def _wrong_kind(kind: object, sensor: Any, taken: set[str], first: Mapping[str, str]) -> str | None:
    """Return what is wrong with an entry of `SENSORS`, None where nothing is."""
    if not isinstance(kind, str) or not kind:
        return f"expected text as the name of a sensor kind, found {kind!r}"
    if kind in taken:
        return f'expected another name for a sensor kind, found "{kind}", which sensorflow has itself'
    if kind in first:
        return f'expected another name than the kind in {first[kind]}, found "{kind}" again'
    if not inspect.isclass(sensor):
        return f'expected a class as the sensor kind "{kind}", found {type(sensor).__name__}'
    return _wrong_class(sensor)


def _wrong_class(sensor: type[Any]) -> str | None:
    name, options, events = sensor.__name__, getattr(sensor, "Options", None), getattr(sensor, "events", None)
    if not (inspect.isclass(options) and issubclass(options, BaseModel)):
        return f"expected {name} to have Options, a pydantic model, found none"
    keys = {field.alias or key for key, field in options.model_fields.items()}
    if taken := sorted(keys & SensorSection.model_fields.keys()):
        return f"expected {name}.Options without keys that all sensors have, found {', '.join(taken)}"
    if not callable(events):
        return f"expected {name} to have the method events, found none"
    if inspect.iscoroutinefunction(events):
        return f"expected {name}.events to yield events, found an async function without yield"
    try:
        inspect.signature(sensor).bind("options", "context")
    except TypeError:
        return f"expected {name}(options, context), found {name}{inspect.signature(sensor)}"
    return None


class _Loader(SourceFileLoader):
    """Leaves nothing behind in the home."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write no bytecode."""


def _imported(path: Path, file: str, problems: list[Problem]) -> ModuleType | None:
    """Return the module in a file, None where it cannot be imported."""
    # Two homes in one process, as in tests, may have files of one name.
    name = f"_sensorflow_home_{zlib.crc32(str(path.resolve()).encode()):08x}_{path.stem}"
    spec = spec_from_file_location(name, path, loader=_Loader(name, str(path)))
    if spec is None or spec.loader is None:
        raise ImportError(f"no loader for {path}")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's file may raise anything; it is told
        del sys.modules[name]
        reason = error.msg if isinstance(error, SyntaxError) else error
        message = f"expected a module that can be imported, found {type(error).__name__}: {reason}"
        problems.append(_problem(file, message, _failing_line(error, path)))
        return None
    return module


def _failing_line(error: BaseException, path: Path) -> int:
    """Return the last line of the file that the error came through."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    frames: Sequence[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return (lines[-1] or 1) if lines else 1


def _line_of(sensor: object, path: Path) -> int:
    """Return where a class begins if it stands in the file, else 1."""
    try:
        if inspect.isclass(sensor) and inspect.getsourcefile(sensor) == str(path):
            return inspect.getsourcelines(sensor)[1]
    except (OSError, TypeError):  # No source for it; the file is named all the same.
        pass
    return 1


def _problem(file: str, message: str, line: int = 0) -> Problem:
    return Problem(file=file, line=line, column=1 if line else 0, path="", message=message)
