"""The shapes of what others define and send: for the document, as the readers of them are by hand."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel


class AnyJson(RootModel[Any]):
    """Any JSON document."""


class CloudEvent(BaseModel):
    """An event as CloudEvents 1.0 defines it; further attributes are its extensions."""

    model_config = ConfigDict(extra="allow")

    specversion: Literal["1.0"]
    #: Names the event among those of its source; the same again is a duplicate.
    id: str = Field(min_length=1)
    source: str = Field(min_length=1)
    type: str = Field(min_length=1)
    subject: str | None = Field(default=None, min_length=1)
    #: As 2013-03-08T05:00:00Z.
    time: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    datacontenttype: str | None = Field(default=None, min_length=1)
    dataschema: str | None = Field(default=None, min_length=1)
    #: Any JSON.
    data: Any = None
    #: Instead of `data`: bytes.
    data_base64: str | None = None


class CloudEventBatch(RootModel[list[CloudEvent]]):
    """Many events; each is taken or refused by itself unless `atomic` is 1."""


class CloudEventLine(CloudEvent):
    """One event a line."""
