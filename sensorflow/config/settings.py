"""How a service runs on its machine: `sensorflow.toml`, and over it the environment."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator, ValidationError

from sensorflow.config.problems import NOT_YET, Section, expected
from sensorflow.config.values import PositiveCount, Text, one_of
from sensorflow.config.yaml import shown
from sensorflow.core.durations import parse_duration
from sensorflow.core.errors import DefinitionsError, Problem

FILE = "sensorflow.toml"
PREFIX = "SENSORFLOW_"
_FROM_FILE = "_FILE"
MEBIBYTE = 1024 * 1024

#: What the command line reads, and what tasks are told: never settings.
_NOT_SETTINGS = frozenset(
    PREFIX + name
    for name in (
        *("HOME", "URL", "TOKEN"),
        *("PIPELINE", "TASK", "RUN_ID", "PARTITION", "PARTITION_START", "PARTITION_END"),
        *("ATTEMPT", "GENERATION", "IDEMPOTENCY_KEY", "CONTEXT_FILE"),
    )
)


class LogLevel(StrEnum):
    """From which severity on something is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line of the log looks."""

    TEXT = "text"
    JSON = "json"


def _port(value: object) -> object:
    if type(value) is not int or not 0 <= value <= 65_535:
        raise expected("a port from 0 to 65535")
    return value


def _grace(value: object) -> object:
    words = "a duration such as 10s, or seconds"
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except ValueError:
        raise expected(words) from None


def _cores() -> int:
    return os.cpu_count() or 1


class Settings(Section):
    """How a service runs on its machine."""

    LATER = frozenset(
        {"retention_events", "retention_runs", "retention_logs", "allowed_hosts", "allow_private", "alerts"}
    )
    host: Text = "127.0.0.1"
    #: 0 takes a free one.
    port: Annotated[int, BeforeValidator(_port)] = 8484
    #: The file of the store, relative to the home.
    store: Text = ".sensorflow/state.db"
    #: Attempts at once, over all pipelines.
    workers: PositiveCount = Field(default_factory=lambda: 2 * _cores())
    #: Warm processes for `python` tasks.
    python_workers: PositiveCount = Field(default_factory=_cores)
    log_level: Annotated[LogLevel, PlainValidator(one_of(LogLevel), json_schema_input_type=str)] = (
        LogLevel.INFO
    )
    log_format: Annotated[LogFormat, PlainValidator(one_of(LogFormat), json_schema_input_type=str)] = (
        LogFormat.TEXT
    )
    #: Bytes of one body.
    body_limit: PositiveCount = MEBIBYTE
    #: Bytes of a body that holds many events.
    batch_limit: PositiveCount = 16 * MEBIBYTE
    #: Seconds between SIGTERM and SIGKILL for what still runs at a stop.
    stop_grace: Annotated[float, BeforeValidator(_grace)] = 10.0


def load_settings(home: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings of a home; the environment wins over the file.

    Raises:
        DefinitionsError: with all that is wrong in the file and in the environment.
    """
    problems: list[Problem] = []
    text = _text(home, problems)
    in_file = _parsed(text, problems)
    in_environment = _from_environment(environ, problems)
    problems += [_file_problem(text, *wrong) for wrong in _wrong(in_file)]
    problems += [_environment_problem(*wrong) for wrong in _wrong(in_environment)]
    if problems:
        raise DefinitionsError(problems)
    return Settings.model_validate({**in_file, **in_environment})


def setting_warnings(environ: Mapping[str, str]) -> list[Problem]:
    """Return the environment variables that look like settings and are none."""
    known = {PREFIX + key.upper() for key in (*Settings.model_fields, *Settings.LATER)}
    known |= {name + _FROM_FILE for name in known} | _NOT_SETTINGS
    warnings = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            warnings.append(_in_environment(name, f"is no setting and is ignored{hint}"))
    return warnings


def _text(home: Path, problems: list[Problem]) -> str:
    try:
        return (home / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "bytes that are not UTF-8"
        problems.append(_in_file(0, 0, "", f"expected a text file that can be read, found: {reason}"))
        return ""


def _parsed(text: str, problems: list[Problem]) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
        reason = message[: place.start()] if place else message
        line, column = (int(place[1]), int(place[2])) if place and place[1] else (text.count("\n") + 1, 1)
        problems.append(_in_file(line, column, "", f"expected TOML, found a mistake: {reason}"))
        return {}


def _from_environment(environ: Mapping[str, str], problems: list[Problem]) -> dict[str, Any]:
    """Return the settings in the environment, those that stand in a file it names too."""
    found: dict[str, Any] = {}
    for key in sorted((*Settings.model_fields, *Settings.LATER)):
        name = PREFIX + key.upper()
        path = environ.get(name + _FROM_FILE)
        if name in environ and path is not None:
            problems.append(
                _in_environment(name, f"expected one of {name} and {name}{_FROM_FILE}, found both")
            )
        elif name in environ:
            found[key] = _value(key, environ[name])
        elif path is not None:
            try:
                found[key] = _value(key, Path(path).read_text(encoding="utf-8").strip())
            except (OSError, UnicodeDecodeError):
                message = f"expected a text file that can be read, found {shown(path)}"
                problems.append(_in_environment(name + _FROM_FILE, message))
    return found


def _value(key: str, text: str) -> str | int:
    """Return the value that the same text would have in the file: a number where the setting is one."""
    is_number = key in Settings.model_fields and Settings.model_fields[key].annotation in (int, float)
    return int(text) if is_number and re.fullmatch("[0-9]{1,18}", text) else text


def _wrong(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return each key that is wrong with the reason."""
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        return [_reason(found, values) for found in error.errors(include_url=False)]
    return []


def _reason(found: Any, values: Mapping[str, Any]) -> tuple[str, str]:
    key = str(found["loc"][0])
    if key in Settings.LATER:
        return key, NOT_YET
    if found["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, Settings.model_fields, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        return key, f'expected one of {", ".join(Settings.model_fields)}, found "{key}"{hint}'
    words = found["ctx"]["words"] if "words" in found.get("ctx", {}) else "another value"
    return key, f"expected {words}, found {shown(values[key])}"


def _file_problem(text: str, key: str, message: str) -> Problem:
    """Return a problem at the line that sets a key; TOML's parser keeps no positions."""
    pattern = re.compile(rf"^[ \t]*\[*[ \t]*(?P<quote>['\"]?)(?P<key>{re.escape(key)})(?P=quote)[ \t]*[=.\]]")
    for number, line in enumerate(text.split("\n"), 1):
        if found := pattern.match(line):
            return _in_file(number, found.start("key") - len(found["quote"]) + 1, key, message)
    return _in_file(0, 0, key, message)


def _in_file(line: int, column: int, path: str, message: str) -> Problem:
    return Problem(file=FILE, line=line, column=column, path=path, message=message)


def _environment_problem(key: str, message: str) -> Problem:
    return _in_environment(PREFIX + key.upper(), message)


def _in_environment(name: str, message: str) -> Problem:
    return Problem(file="environment", line=0, column=0, path=name, message=message)
