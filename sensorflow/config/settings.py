"""How a service runs on its machine: `sensorflow.toml`, and over it the environment."""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path as FilePath
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, PlainValidator, PrivateAttr, ValidationError

from sensorflow.config.alerts import AlertTarget
from sensorflow.config.environment import Environment
from sensorflow.config.problems import Section, expected, findings_of, suggestion
from sensorflow.config.values import PositiveCount, Text, one_of
from sensorflow.config.yaml import Document, Finding, Path, Place, shown
from sensorflow.core.durations import parse_duration
from sensorflow.core.errors import DefinitionsError, Problem
from sensorflow.core.vocabulary import JsonValue, Retention

FILE = "sensorflow.toml"
_NOWHERE = Place(0, 0)
#: A line that begins a table or sets a key.
_LINE = re.compile(
    r"[ \t]*(?P<brackets>\[{0,2})[ \t]*(?P<quote>['\"]?)(?P<key>[A-Za-z0-9_-]+)(?P=quote)[ \t]*[=.\]]"
)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")
PREFIX = "SENSORFLOW_"
_FROM_FILE = "_FILE"
MEBIBYTE = 1024 * 1024
_DAY_S = 86_400.0
_FOREVER = "forever"

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


def _seconds(value: object) -> object:
    words = "a duration such as 10s, or seconds"
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except ValueError:
        raise expected(words) from None


def _kept(value: object) -> object:
    words = f"a duration from 1s on, such as 90d, or {_FOREVER}"
    if value is None or value == _FOREVER:
        return None
    seconds = None
    if isinstance(value, int | float) and not isinstance(value, bool) and value < float("inf"):
        seconds = float(value)
    elif isinstance(value, str):
        with suppress(ValueError):
            seconds = parse_duration(value)
    if seconds is None or seconds < 1:
        raise expected(words)
    return seconds


def _host(value: object) -> object:
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise expected("a host such as sensorflow.example.com, without scheme and port")
    return value


#: Seconds for which something is kept; None: for ever.
_Kept: TypeAlias = Annotated[float | None, BeforeValidator(_kept, json_schema_input_type=str | float)]


def _cores() -> int:
    return os.cpu_count() or 1


class Settings(Section):
    """How a service runs on its machine."""

    host: Text = "127.0.0.1"
    #: 0 takes a free one.
    port: Annotated[
        int, BeforeValidator(_port, json_schema_input_type=Annotated[int, Field(ge=0, le=65_535)])
    ] = 8484
    #: The file of the store, relative to the home.
    store: Text = ".sensorflow/state.db"
    #: Attempts at once, over all pipelines.
    workers: PositiveCount = Field(default_factory=lambda: 2 * _cores())
    #: Warm processes for `python` tasks.
    python_workers: PositiveCount = Field(default_factory=_cores)
    log_level: Annotated[LogLevel, PlainValidator(one_of(LogLevel), json_schema_input_type=LogLevel)] = (
        LogLevel.INFO
    )
    log_format: Annotated[LogFormat, PlainValidator(one_of(LogFormat), json_schema_input_type=LogFormat)] = (
        LogFormat.TEXT
    )
    #: Bytes of one body.
    body_limit: PositiveCount = MEBIBYTE
    #: Bytes of a body that holds many events.
    batch_limit: PositiveCount = 16 * MEBIBYTE
    #: What the headers of a request may take to come.
    header_timeout: Annotated[float, BeforeValidator(_seconds, json_schema_input_type=str | float)] = 10.0
    #: What a body may take to begin to come; each 16 KiB of it give it another second.
    body_timeout: Annotated[float, BeforeValidator(_seconds, json_schema_input_type=str | float)] = 10.0
    #: Open at once.
    connections: PositiveCount = 1000
    #: Seconds between SIGTERM and SIGKILL for what still runs at a stop.
    stop_grace: Annotated[float, BeforeValidator(_seconds, json_schema_input_type=str | float)] = 10.0
    #: Events are removed so long after they came, but for those that a run is yet to read.
    retention_events: _Kept = 90 * _DAY_S
    #: Runs are removed so long after they have succeeded or were cancelled.
    retention_runs: _Kept = 365 * _DAY_S
    #: Logs of attempts are removed so long after their run has succeeded or was cancelled.
    retention_logs: _Kept = 30 * _DAY_S
    #: Names by which the service may be called besides those of its own machine.
    allowed_hosts: list[Annotated[str, BeforeValidator(_host)]] = Field(default_factory=list)
    #: Requests may go to link-local addresses, and to those where clouds tell their machines secrets.
    allow_private: bool = False
    #: Who is told of what goes wrong.
    alerts: list[AlertTarget] = Field(default_factory=list)
    _secret_names: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def retention(self) -> Retention:
        """How long what is over is kept."""
        return Retention(
            events_s=self.retention_events, runs_s=self.retention_runs, logs_s=self.retention_logs
        )

    @property
    def secret_names(self) -> frozenset[str]:
        """Environment variables whose values stand in the settings; tasks do not inherit them."""
        return self._secret_names


def load_settings(home: FilePath, environ: Mapping[str, str]) -> Settings:
    """Return the settings of a home; the environment wins over the file.

    Raises:
        DefinitionsError: with all that is wrong in the file and in the environment.
    """
    problems: list[Problem] = []
    environment = Environment(environ)
    text = _text(home, problems)
    in_file = _checked(_document(text, _parsed(text, problems)), environment, problems)
    given = Document("environment", _from_environment(environ, problems), {}, {(): _NOWHERE})
    wrong: list[Problem] = []
    in_environment = _checked(given, environment, wrong)
    problems += [replace(each, path=_variable(each.path)) for each in wrong]
    if problems:
        raise DefinitionsError(problems)
    settings = Settings.model_validate({**in_file, **in_environment})
    settings._secret_names = frozenset(environment.used)
    return settings


def setting_warnings(environ: Mapping[str, str]) -> list[Problem]:
    """Return the environment variables that look like settings and are none."""
    known = {PREFIX + key.upper() for key in Settings.model_fields}
    known |= {name + _FROM_FILE for name in known} | _NOT_SETTINGS
    warnings = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            warnings.append(_in_environment(name, f"is no setting and is ignored{hint}"))
    return warnings


def alert_warnings(settings: Settings, pipelines: Collection[str]) -> list[Problem]:
    """Return the pipelines that alerts are wanted of and that the home has not."""
    return [
        _in_file(
            0,
            0,
            f"alerts.{index}.pipelines",
            f"no pipeline is called {shown(name)}{suggestion(name, pipelines)}",
        )
        for index, target in enumerate(settings.alerts)
        for name in target.pipelines
        if name not in pipelines
    ]


def _text(home: FilePath, problems: list[Problem]) -> str:
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
    for key in sorted(Settings.model_fields):
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
                found[key] = _value(key, FilePath(path).read_text(encoding="utf-8").strip())
            except (OSError, UnicodeDecodeError):
                message = f"expected a text file that can be read, found {shown(path)}"
                problems.append(_in_environment(name + _FROM_FILE, message))
    return found


def _value(key: str, text: str) -> JsonValue:
    """Return the value that the same text would have in the file."""
    kind = Settings.model_fields[key].annotation if key in Settings.model_fields else str
    if kind in (int, float, float | None) and re.fullmatch("[0-9]{1,18}", text):
        return int(text)
    if kind is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if key == "allowed_hosts":
        return [host.strip() for host in text.split(",") if host.strip()]
    if key == "alerts":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _checked(document: Document, environment: Environment, problems: list[Problem]) -> dict[str, Any]:
    """Return the settings of one source, with what comes from the environment in `alerts`."""
    findings: list[Finding] = []
    found: dict[str, Any] = dict(document.tree)
    if "alerts" in found:
        found["alerts"] = environment.replaced(document, ("alerts",), findings)
    unset = {each.path for each in findings}
    try:
        Settings.model_validate(found)
    except ValidationError as error:
        wrong = findings_of(error, document, (), Settings, environment)
        findings += [each for each in wrong if each.path not in unset]
    problems += [each.problem for each in findings]
    return found


def _document(text: str, tree: JsonValue) -> Document:
    """Return the file with the places of its keys; TOML's parser keeps none."""
    places: dict[Path, Place] = {(): _NOWHERE}
    section: Path | None = ()
    for number, line in enumerate(text.split("\n"), 1):
        found = _LINE.match(line)
        if found is None:
            continue
        place = Place(number, found.start("key") - len(found["quote"]) + 1)
        if found["brackets"]:
            path: Path = (found["key"],)
            places.setdefault(path, place)
            entries = sum(known[:1] == path and len(known) == 2 for known in places)
            section = (*path, entries) if found["brackets"] == "[[" else None
            if section:
                places[section] = place
        elif section is not None:
            places.setdefault((*section, found["key"]), place)
    return Document(FILE, tree, places, places)


def _variable(path: str) -> str:
    """Return the environment variable of a setting, and what is meant inside it."""
    key, dot, rest = path.partition(".")
    return PREFIX + key.upper() + dot + rest


def _in_file(line: int, column: int, path: str, message: str) -> Problem:
    return Problem(file=FILE, line=line, column=column, path=path, message=message)


def _in_environment(name: str, message: str) -> Problem:
    return Problem(file="environment", line=0, column=0, path=name, message=message)
