"""Scripts of rehearsals: what comes in and when, and what goes otherwise than it would."""

import json
from datetime import date
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, PlainValidator, ValidationError, model_validator
from pydantic_core import from_json

from sensorflow.config.environment import Environment
from sensorflow.config.problems import Section, expected, findings_of
from sensorflow.config.values import Count, Duration, Name, Text
from sensorflow.config.yaml import Document, Path, Place, read_yaml, shown
from sensorflow.core.durations import parse_duration
from sensorflow.core.errors import DefinitionsError, Problem
from sensorflow.core.iso8601 import read_iso_8601
from sensorflow.core.states import AttemptState
from sensorflow.core.vocabulary import JsonValue

_EPOCH_DAY = 719_163
#: Instants of scripts lie between these years, so that whatever follows from them is a time too.
_YEARS = range(1900, 3000)
LAST_INSTANT = (date(_YEARS.stop, 1, 1).toordinal() - _EPOCH_DAY) * 86_400.0
_DAY_S = 86_400.0
_ENDS = (AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.SKIPPED)
#: What a step can do; it does one of these.
_DOES = ("ready", "event", "make", "pause", "resume")


def read_instant(text: str) -> float:
    """Return an instant of ISO 8601 in seconds since the epoch; one without an offset is UTC.

    Raises:
        ValueError: it is none, or too far away.
    """
    written = read_iso_8601(text)
    if written.day.year not in _YEARS:
        raise ValueError(f"not between the years {_YEARS.start} and {_YEARS.stop}")
    seconds = written.time.total_seconds() if written.time else 0.0
    offset = written.offset.total_seconds() if written.offset else 0.0
    return (written.day.toordinal() - _EPOCH_DAY) * _DAY_S + seconds - offset


def _instant(value: object) -> float:
    try:
        return read_instant(value if isinstance(value, str) else "")
    except ValueError:
        raise expected("an instant such as 2013-03-08T05:00:00Z") from None


def _when(value: object) -> object:
    """Return a step's time, which is an instant, or so long after the step before."""
    text = value if isinstance(value, str) else ""
    try:
        if text.startswith("+"):
            parse_duration(text[1:])
        else:
            read_instant(text)
    except ValueError:
        raise expected("an instant such as 2013-03-08T05:00:00Z, or +10m after the step before") from None
    return text


def _ends(value: object) -> AttemptState:
    found = next((state for state in _ENDS if state == value), None)
    if found is None:
        raise expected("one of " + ", ".join(_ENDS))
    return found


def _attempts(value: object) -> frozenset[int]:
    numbers = value if isinstance(value, list) else [value]
    if not numbers or any(type(number) is not int or number < 1 for number in numbers):
        raise expected("the number of an attempt, from 1, or a list of them")
    return frozenset(numbers)


Instant = Annotated[float, PlainValidator(_instant, json_schema_input_type=str)]
When = Annotated[str, PlainValidator(_when, json_schema_input_type=str)]


class ReadyStep(Section):
    """Somebody says that a dataset's partition is there, as `POST /api/v1/ready` does."""

    dataset: Text
    partition: Text | None = None
    part: Text | None = None
    id: Text | None = None
    source: Text | None = None
    data: Any = None


class EventStep(Section):
    """An event as CloudEvents has it; what is not said is made up. Further attributes may stand beside."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    id: Text | None = None
    source: Text | None = None
    type: Text | None = None
    subject: Text | None = None
    time: Text | None = None
    data: Any = None

    @model_validator(mode="after")
    def _is_json(self) -> Self:
        if "data_base64" in (self.model_extra or {}):
            raise expected("data of JSON", found="data_base64")
        return self

    @property
    def extensions(self) -> dict[str, JsonValue]:
        """What stands beside the attributes that every event has."""
        return {name: value for name, value in (self.model_extra or {}).items() if name != "specversion"}


class MakeStep(Section):
    """Somebody asks for a run."""

    pipeline: Text
    partition: Text | None = None
    force: bool = False


class ScriptStep(Section):
    """One thing that happens."""

    #: Absent: the event's own time, else when the step before happens.
    at: When | None = None
    ready: ReadyStep | None = None
    event: EventStep | None = None
    #: PIPELINE/SENSOR that sees the event; absent: it is posted.
    sensor: Text | None = None
    make: MakeStep | None = None
    pause: Text | None = None
    resume: Text | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if sum(getattr(self, name) is not None for name in _DOES) != 1:
            raise expected(f"one of {', '.join(_DOES)} in a step")
        if self.sensor is not None and self.event is None:
            raise expected("an event beside sensor")
        return self


class OutcomeRule(Section):
    """How attempts end, and how long they take. Of each the first rule counts that says it."""

    pipeline: Text | None = None
    task: Text | None = None
    partition: Text | None = None
    #: Its number, from 1 over retries and generations, or several; absent: every one.
    attempt: Annotated[frozenset[int], PlainValidator(_attempts, json_schema_input_type=int | list[int])] = (
        frozenset()
    )
    ends: Annotated[AttemptState, PlainValidator(_ends, json_schema_input_type=str)] | None = None
    error: Text | None = None
    takes: Duration | None = None


class HeldInput(Section):
    """What does not come: events that would bring it are dropped."""

    dataset: Text
    partition: Text | None = None
    part: Text | None = None


class Script(Section):
    """What happens in a rehearsal."""

    #: When the service of the rehearsal starts; absent: with the first step.
    begin: Annotated[Instant | None, Field(alias="from")] = None
    #: Absent: until nothing more is due, at most a day after the last step.
    until: Instant | None = None
    steps: list[ScriptStep] = Field(default_factory=list)
    tasks: list[OutcomeRule] = Field(default_factory=list)
    hold: list[HeldInput] = Field(default_factory=list)
    #: So many tries after the first for every task, whatever its file says.
    retries: Count | None = None
    #: Pipelines that are paused from the start.
    paused: list[Name] = Field(default_factory=list)


def read_script(file: str, text: str) -> tuple[Script, Document]:
    """Return the script in a file, and where in the file what stands.

    The file is YAML, or has a step or a CloudEvent on each line, as JSON.

    Raises:
        DefinitionsError: with all that is wrong in it.
    """
    problems: list[Problem] = []
    document = _lines(file, text, problems) if _is_lines(text) else read_yaml(file, text, problems)
    if document is None or problems:
        raise DefinitionsError(problems)
    if not isinstance(document.tree, dict):
        message = f"expected a mapping with steps, found {shown(document.tree)}"
        raise DefinitionsError([document.problem((), message)])
    try:
        return Script.model_validate(document.tree), document
    except ValidationError as error:
        found = findings_of(error, document, (), Script, Environment({}))
        raise DefinitionsError([each.problem for each in found]) from None


def _is_lines(text: str) -> bool:
    """Tell whether the first line is a step or an event by itself."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    try:
        found = json.loads(first)
    except ValueError:
        return False
    return isinstance(found, dict) and not found.keys() & {"from", *Script.model_fields}


def _lines(file: str, text: str, problems: list[Problem]) -> Document:
    """Return the steps that stand one a line; of what is wrong in one, its line is told."""
    steps: list[JsonValue] = []
    values: dict[Path, Place] = {(): Place(1, 1), ("steps",): Place(1, 1)}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = from_json(line, allow_inf_nan=False)
        except ValueError as error:
            message = f"expected a JSON document on each line, found a mistake: {error}"
            problems.append(Problem(file=file, line=number, column=1, path="", message=message))
            continue
        values["steps", len(steps)] = Place(number, 1)
        steps.append({"event": found} if isinstance(found, dict) and "specversion" in found else found)
    return Document(file, {"steps": steps}, {}, values)
