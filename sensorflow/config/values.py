"""The kinds of values that stand in definition files, each with its own words for what it expects."""

import keyword
import re
from collections.abc import Callable
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, TypeAlias, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, Field, PlainValidator

from sensorflow.config.problems import expected
from sensorflow.config.yaml import shown
from sensorflow.core.durations import parse_duration
from sensorflow.core.errors import PartitionError, ReadingError
from sensorflow.core.partitions import read_partition
from sensorflow.core.reading import parse_path
from sensorflow.core.schedules import check_cron
from sensorflow.core.vocabulary import (
    Catchup,
    Command,
    Expectation,
    Grain,
    LatePolicy,
    Partitioning,
    PythonFunction,
    When,
)

_Choice = TypeVar("_Choice", bound=StrEnum)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,199}")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What tasks are told in; nobody else may set it.
RESERVED_PREFIX = "SENSORFLOW_"

#: The names in braces that are replaced in the elements of an argv.
PLACEHOLDERS = frozenset(
    {"partition", "partition_start", "partition_end", "pipeline", "task", "run_id", "attempt"}
)
_PLACEHOLDER = re.compile(r"\{(" + "|".join(sorted(PLACEHOLDERS)) + r"|partition\.[A-Za-z0-9_]+)\}")
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh"})
_SHELL_COMMAND_OPTION = re.compile(r"-[A-Za-z]*c[A-Za-z]*")

NAME_WORDS = "a name of A-Za-z0-9_- that does not start with -"


def is_name(text: object) -> bool:
    """Tell whether a text can name a pipeline, dataset, sensor or task."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def _name(value: object) -> object:
    if not is_name(value):
        raise expected(NAME_WORDS)
    return value


def _text(value: object) -> object:
    if not isinstance(value, str) or not value:
        raise expected("text")
    return value


def _duration(value: object) -> object:
    words = "a duration such as 500ms, 30s, 10m, 2h or 1d"
    if not isinstance(value, str):
        raise expected(words)
    try:
        return parse_duration(value)
    except ValueError:
        raise expected(words) from None


def _positive_duration(value: object) -> object:
    seconds = _duration(value)
    if not seconds:
        raise expected("a duration above 0")
    return seconds


def whole(minimum: int | None = None) -> BeforeValidator:
    """Return the check of a whole number, from a minimum on."""

    def check(value: object) -> object:
        if type(value) is not int or (minimum is not None and value < minimum):
            raise expected("a whole number" + ("" if minimum is None else f" >= {minimum}"))
        return value

    return BeforeValidator(check, json_schema_input_type=Annotated[int, Field(ge=minimum)])


def number(minimum: float, maximum: float | None = None) -> BeforeValidator:
    """Return the check of a finite number inside bounds, both included."""
    upper = float("inf") if maximum is None else maximum
    words = f"a number >= {minimum:g}" if maximum is None else f"a number from {minimum:g} to {maximum:g}"

    def check(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise expected(words)
        if not minimum <= value <= upper or value == float("inf"):
            raise expected(words)
        return float(value)

    return BeforeValidator(check, json_schema_input_type=Annotated[float, Field(ge=minimum, le=maximum)])


def the_word(word: str) -> BeforeValidator:
    """Return the check of a key that can have but one value."""

    def check(value: object) -> object:
        if value != word:
            raise expected(word)
        return value

    return BeforeValidator(check)


def one_of(enum: type[_Choice]) -> Callable[[object], _Choice]:
    """Return the reading of a word that is one of an enum's."""

    def read(value: object) -> _Choice:
        try:
            return enum(value if isinstance(value, str) else "")
        except ValueError:
            raise expected("one of " + ", ".join(enum)) from None

    return read


def _expectation(value: object) -> Expectation:
    words = 'a clock time such as "02:00", or a duration after the partition\'s end such as 90m'
    text = value if isinstance(value, str) else ""
    if clock := _CLOCK.fullmatch(text):
        return Expectation(clock_s=int(clock[1]) * 3600 + int(clock[2]) * 60)
    try:
        return Expectation(after_s=parse_duration(text))
    except ValueError:
        raise expected(words) from None


def _cron(value: object) -> object:
    if not isinstance(value, str):
        raise expected('a cron line such as "0 2 * * *"')
    check_cron(value)
    return value


def _timezone(value: object) -> object:
    words = "a time zone such as Europe/Berlin"
    if not isinstance(value, str):
        raise expected(words)
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # What ZoneInfo raises depends on how the name is wrong.
        near = get_close_matches(value, available_timezones(), n=1)
        raise expected(f"{words} (is it {near[0]}?)" if near else words) from None
    return value


def _event_path(value: object) -> object:
    try:
        parse_path(value if isinstance(value, str) else "")
    except ReadingError:
        raise expected("a path into the event such as data.rows[0].day") from None
    return value


def web_url(value: object) -> str:
    """Return a URL of http or https that has a host; refuse what is none."""
    words = "a URL such as https://example.com/report"
    if not isinstance(value, str) or not value.isprintable() or set(value) & set(' "<>\\^`|'):
        raise expected(words)
    try:
        parts = urlsplit(value)
        host, is_literal = parts.hostname, not set(parts.netloc) & set("{}")
        is_reachable = bool(host) and (not is_literal or parts.port != 0)
    except ValueError:
        raise expected(words) from None
    if not is_literal:
        raise expected("a URL with placeholders only behind its host")
    if parts.scheme not in ("http", "https") or not is_reachable:
        raise expected("a URL of http or https with a host")
    return value


def _free_key(value: object) -> object:
    try:
        return read_partition(Partitioning(Grain.KEY), value)
    except PartitionError:
        raise expected("a key of A-Za-z0-9._:/=+- that starts with a letter or digit") from None


def _env_name(value: object) -> object:
    if not isinstance(value, str) or not _ENV_NAME.fullmatch(value):
        raise expected("the name of an environment variable")
    if value.startswith(RESERVED_PREFIX):
        raise expected(f"a name that does not start with {RESERVED_PREFIX}, which is reserved")
    return value


def _process_text(value: object) -> object:
    if not isinstance(value, str) or "\0" in value:
        raise expected("text")
    return value


def _run(value: object) -> Command:
    if isinstance(value, str) and value.strip() and "\0" not in value:
        return Command(line=value)
    is_argv = isinstance(value, list) and all(isinstance(e, str) and "\0" not in e for e in value)
    if not isinstance(value, list) or not is_argv or not value or not value[0]:
        raise expected("a shell line or a list of a program and its arguments")
    if (element := _pasted(value)) is not None:
        words = (
            "no placeholder behind a shell's -c (what it stands for is in $SENSORFLOW_PARTITION and the like)"
        )
        raise expected(words, found=shown(element))
    return Command(argv=tuple(value))


def _pasted(argv: list[str]) -> str | None:
    """Return the element behind a shell's `-c` that holds a placeholder."""
    for index, element in enumerate(argv):
        if element.rsplit("/", 1)[-1] not in _SHELLS:
            continue
        is_line = False
        for argument in argv[index + 1 :]:
            if is_line and _PLACEHOLDER.search(argument):
                return argument
            if is_line and not argument.startswith("-"):
                break
            is_line = is_line or _SHELL_COMMAND_OPTION.fullmatch(argument) is not None
    return None


def _python(value: object) -> PythonFunction:
    words = "a function such as pipelines.jobs.delays:join"
    if not isinstance(value, str):
        raise expected(words)
    module, colon, function = value.partition(":")
    parts = [*module.split("."), function]
    if not colon or any(not part.isidentifier() or keyword.iskeyword(part) for part in parts):
        raise expected(words)
    return PythonFunction(module, function)


_AsName: TypeAlias = Annotated[str, Field(pattern=f"^{_NAME.pattern}$")]
_AsDuration: TypeAlias = Annotated[str, Field(pattern="^[0-9]{1,12}(ms|s|m|h|d)$")]

Name: TypeAlias = Annotated[str, BeforeValidator(_name, json_schema_input_type=_AsName)]
Text: TypeAlias = Annotated[
    str, BeforeValidator(_text, json_schema_input_type=Annotated[str, Field(min_length=1)])
]
#: Seconds, written as `30s`.
Duration: TypeAlias = Annotated[float, BeforeValidator(_duration, json_schema_input_type=_AsDuration)]
PositiveDuration: TypeAlias = Annotated[
    float, BeforeValidator(_positive_duration, json_schema_input_type=_AsDuration)
]
Timezone: TypeAlias = Annotated[str, BeforeValidator(_timezone)]
EventPath: TypeAlias = Annotated[str, BeforeValidator(_event_path)]
FreeKey: TypeAlias = Annotated[str, BeforeValidator(_free_key)]
EnvName: TypeAlias = Annotated[str, BeforeValidator(_env_name)]
ProcessText: TypeAlias = Annotated[str, BeforeValidator(_process_text)]
Count: TypeAlias = Annotated[int, whole(0)]
PositiveCount: TypeAlias = Annotated[int, whole(1)]
Whole: TypeAlias = Annotated[int, whole()]
Run: TypeAlias = Annotated[Command, PlainValidator(_run, json_schema_input_type=str | list[str])]
Python: TypeAlias = Annotated[PythonFunction, PlainValidator(_python, json_schema_input_type=str)]
Late: TypeAlias = Annotated[LatePolicy, PlainValidator(one_of(LatePolicy), json_schema_input_type=LatePolicy)]
WhenWord: TypeAlias = Annotated[When, PlainValidator(one_of(When), json_schema_input_type=When)]
CatchupWord: TypeAlias = Annotated[Catchup, PlainValidator(one_of(Catchup), json_schema_input_type=Catchup)]
Cron: TypeAlias = Annotated[str, BeforeValidator(_cron)]
Expected: TypeAlias = Annotated[Expectation, PlainValidator(_expectation, json_schema_input_type=str)]
WebUrl: TypeAlias = Annotated[str, BeforeValidator(web_url)]


def same_once(values: list[Any]) -> list[Any]:
    """Return a list that holds nothing twice."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise expected("each item once", found=f"{shown(value)} twice")
    return values
