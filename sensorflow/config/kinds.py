"""Sensor kinds that watch nothing by themselves: what is posted to the service comes to them."""

import base64
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, Field, PlainValidator, model_validator

from sensorflow.config.problems import Section, expected
from sensorflow.config.values import Text, one_of


class WebhookScheme(StrEnum):
    """How a webhook shows that it is who it says."""

    NONE = "none"
    GITHUB = "github"
    BEARER = "bearer"
    STANDARD_WEBHOOKS = "standard-webhooks"
    HMAC_SHA256 = "hmac-sha256"


def _secrets(value: object) -> tuple[str, ...]:
    given = value if isinstance(value, list | tuple) else [value]
    secrets = tuple(secret for secret in given if isinstance(secret, str) and secret)
    if not secrets or len(secrets) < len(given):
        raise expected("a secret or a list of secrets")
    return secrets


class WebhookAuth(Section):
    """By what a webhook's sender is believed."""

    scheme: Annotated[
        WebhookScheme, PlainValidator(one_of(WebhookScheme), json_schema_input_type=WebhookScheme)
    ]
    #: Any of them is good, so that they can be exchanged one by one.
    secret: Annotated[tuple[str, ...], PlainValidator(_secrets, json_schema_input_type=str | list[str])] = (
        Field(default=(), repr=False)
    )
    #: The header that holds the signature, where the scheme does not say.
    header: Text | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets, the new ones first."""
        return self.secret

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.scheme is WebhookScheme.NONE) != (not self.secret):
            has = "no secret" if self.scheme is WebhookScheme.NONE else "a secret"
            raise expected(f"{has} for the scheme {self.scheme}")
        if (self.scheme is WebhookScheme.HMAC_SHA256) != (self.header is not None):
            has = "a header" if self.header is None else "no header"
            raise expected(f"{has} for the scheme {self.scheme}")
        if self.scheme is WebhookScheme.STANDARD_WEBHOOKS and not all(map(_is_base64, self.secret)):
            raise expected("a secret of base64, whsec_ before it or not")
        return self


def _is_base64(secret: str) -> bool:
    if "${" in secret:  # Not of base64, but a name that is unset, which is told by itself.
        return True
    try:
        return bool(base64.b64decode(secret.removeprefix("whsec_")))
    except ValueError:
        return False


def _auth(value: object) -> WebhookAuth:
    if isinstance(value, dict | WebhookAuth):
        return WebhookAuth.model_validate(value)
    scheme = one_of(WebhookScheme)(value)
    if scheme is not WebhookScheme.NONE:
        raise expected(f"a secret too: {{scheme: {scheme}, secret: ...}}")
    return WebhookAuth(scheme=scheme)


class WebhookOptions(Section):
    """`POST /hooks/{pipeline}/{sensor}`. Who may post is always said, be it `none`."""

    auth: Annotated[WebhookAuth, PlainValidator(_auth, json_schema_input_type=str | WebhookAuth)]


class EventsOptions(Section):
    """CloudEvents posted to `/api/v1/events`; which of them is for the rule to say."""


class OpenLineageOptions(Section):
    """OpenLineage events posted to `/api/v1/lineage`; which outputs they take is for the rule to say."""


#: Kinds that `sensors/` has no class for.
PASSIVE_KINDS: Mapping[str, type[BaseModel]] = {
    "webhook": WebhookOptions,
    "events": EventsOptions,
    "openlineage": OpenLineageOptions,
}
