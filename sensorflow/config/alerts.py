"""`[[alerts]]` of the settings: who is told of what."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, field_validator, model_validator

from sensorflow.config.problems import Section, expected
from sensorflow.config.values import Name, one_of, same_once, web_url


class AlertType(StrEnum):
    """Where alerts go."""

    LOG = "log"
    WEBHOOK = "webhook"
    #: Needs the extra `alerts`.
    APPRISE = "apprise"


class AlertKind(StrEnum):
    """What alerts are about."""

    FAILED = "failed"
    LATE = "late"
    SENSOR_DOWN = "sensor_down"


_Kind = Annotated[AlertKind, PlainValidator(one_of(AlertKind), json_schema_input_type=AlertKind)]


class AlertTarget(Section):
    """One receiver, and which alerts it gets."""

    type: Annotated[AlertType, PlainValidator(one_of(AlertType), json_schema_input_type=AlertType)]
    #: May hold a secret; not of type `log`.
    url: str | None = Field(default=None, repr=False)
    on: Annotated[list[_Kind], Field(min_length=1), AfterValidator(same_once)] = Field(
        default_factory=lambda: list(AlertKind)
    )
    #: Empty: of all pipelines.
    pipelines: Annotated[list[Name], AfterValidator(same_once)] = Field(default_factory=list)

    @field_validator("url", mode="before")
    @classmethod
    def _is_of_the_type(cls, url: object, info: ValidationInfo) -> object:
        return url if url is None or info.data.get("type") is AlertType.APPRISE else web_url(url)

    @model_validator(mode="after")
    def _says_where_to(self) -> Self:
        if (self.type is not AlertType.LOG) != (self.url is not None):
            has = "a url" if self.url is None else "no url"
            raise expected(f"{has} for the type {self.type}", found="none" if self.url is None else "one")
        return self
