"""`http` tasks: what is asked of which server."""

import re
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

from sensorflow.config.problems import Section, expected
from sensorflow.config.values import PositiveDuration, WebUrl, one_of, the_word
from sensorflow.core.vocabulary import HttpCall

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
#: They say how long the body is, which only who sends it knows.
_FRAMING = ("content-length", "transfer-encoding")


class Method(StrEnum):
    """How a server is asked."""

    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    GET = "GET"
    DELETE = "DELETE"


def _header_name(value: object) -> object:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise expected("a header's name")
    if value.lower() in _FRAMING:
        raise expected(f"a header other than {' and '.join(_FRAMING)}")
    return value


def _header_value(value: object) -> object:
    if not isinstance(value, str) or not value.isprintable():
        raise expected("text of one line")
    return value


HeaderName: TypeAlias = Annotated[str, BeforeValidator(_header_name)]
HeaderValue: TypeAlias = Annotated[str, BeforeValidator(_header_value)]


class Http(Section):
    """A call with the task's context as JSON; 2xx is success."""

    url: WebUrl
    method: Annotated[Method, PlainValidator(one_of(Method), json_schema_input_type=Method)] = Method.POST
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, repr=False)
    #: 2xx is only the beginning; the end is told at the URL that the context names.
    wait: Annotated[Literal["callback"] | None, the_word("callback")] = None
    lease: PositiveDuration = 600.0
    allow_private: bool = False

    @model_validator(mode="after")
    def _leases_what_waits(self) -> Self:
        if "lease" in self.model_fields_set and self.wait is None:
            raise expected('"wait: callback" beside "lease"', found="no wait")
        return self

    def call(self) -> HttpCall:
        """Return the core's action."""
        return HttpCall(
            url=self.url,
            method=self.method,
            headers=self.headers,
            callback=self.wait is not None,
            lease_s=self.lease,
            allow_private=self.allow_private,
        )
