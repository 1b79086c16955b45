"""How a sensor's rule reads a value: a path into the event, or a mapping that says more."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, TypeAdapter

from sensorflow.config.partitions import DimensionName
from sensorflow.config.problems import Section, expected
from sensorflow.config.values import EventPath, Text, the_word
from sensorflow.config.yaml import shown
from sensorflow.core.errors import ReadingError
from sensorflow.core.formats import check_format
from sensorflow.core.regexes import compile_regex
from sensorflow.core.vocabulary import Reshaped, ValueSource


def _regex(text: str) -> str:
    try:
        compile_regex(text)
    except ReadingError as error:
        raise ValueError(str(error)) from None
    return text


def _format(text: str) -> str:
    check_format(text, shown(text))
    return text


class Reading(Section):
    """A value that is not taken as it stands at its path."""

    path: EventPath
    #: With one group, which takes the value out of a longer text.
    regex: Annotated[Text, AfterValidator(_regex)] | None = None
    #: How the text writes a date or an instant, as `%d.%m.%Y`.
    format: Annotated[Text, AfterValidator(_format)] | None = None
    #: Of an instant only the date, as it is written, whatever its offset.
    as_: Annotated[Literal["date"] | None, the_word("date"), Field(alias="as")] = None
    #: The value where the event has nothing at the path, or null.
    default: Text | None = None

    def source(self) -> ValueSource:
        """Return this as the core knows it."""
        reshaped = Reshaped(
            path=self.path,
            regex=self.regex,
            format=self.format,
            as_date=self.as_ is not None,
            default=self.default,
        )
        return self.path if reshaped == Reshaped(path=self.path) else reshaped


def source_of(said: str | Reading) -> ValueSource:
    """Return what a file says of a value as the core knows it."""
    return said.source() if isinstance(said, Reading) else said


def _read(value: object) -> str | Reading:
    return Reading.model_validate(value) if isinstance(value, dict) else _PATH.validate_python(value)


_PATH = TypeAdapter[str](EventPath)
#: Where a value stands in an event.
ReadFrom: TypeAlias = Annotated[str | Reading, PlainValidator(_read, json_schema_input_type=str | Reading)]
_BY_DIMENSION = TypeAdapter[dict[str, str | Reading]](
    dict[DimensionName, ReadFrom], config=ConfigDict(strict=True)
)


def _read_partition(value: object) -> str | Reading | dict[str, str | Reading]:
    if not isinstance(value, dict) or value.keys() & {"path", "as"}:
        return _read(value)
    if not value:
        raise expected("a path for each dimension")
    return _BY_DIMENSION.validate_python(value)


PartitionFrom: TypeAlias = Annotated[
    str | Reading | dict[str, str | Reading],
    PlainValidator(_read_partition, json_schema_input_type=str | Reading | dict[str, str | Reading]),
]
