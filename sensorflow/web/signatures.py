"""Tells whether a webhook's sender is who it says: over the raw bytes, in constant time."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping

from sensorflow.config.kinds import WebhookAuth, WebhookScheme

#: How far a signed time may lie from ours, in seconds.
TOLERANCE_S = 300

_DIGITS = re.compile(r"[0-9]{1,12}")
_STANDARD_PREFIX = "whsec_"


class SignatureError(Exception):
    """The sender has not shown that it knows a secret; says what was expected, never what it was."""


def verify(auth: WebhookAuth, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Return if the request shows what the scheme asks for.

    Args:
        headers: Looked up whatever their case.
        now: Seconds since the epoch.

    Raises:
        SignatureError: it does not.
    """
    if auth.scheme is not WebhookScheme.NONE:
        _SCHEMES[auth.scheme](auth, headers, body, now)


def secret_headers(auth: WebhookAuth) -> frozenset[str]:
    """Return the lower-case names of headers that are not to be kept with an event."""
    own = {auth.header.lower()} if auth.header else set()
    return frozenset(
        {"authorization", "proxy-authorization", "cookie"}
        | {"x-hub-signature", "x-hub-signature-256", "webhook-signature"}
        | own
    )


def _github(auth: WebhookAuth, headers: Mapping[str, str], body: bytes, now: float) -> None:
    given = _header(headers, "X-Hub-Signature-256")
    _require(given, (f"sha256={_hex(key, body)}" for key in _plain_keys(auth)), "X-Hub-Signature-256")


def _bearer(auth: WebhookAuth, headers: Mapping[str, str], body: bytes, now: float) -> None:
    scheme, _, token = _header(headers, "Authorization").partition(" ")
    if scheme.lower() != "bearer":
        raise SignatureError("expected the header Authorization as `Bearer ...`")
    _require(token.strip(), (secret for secret in auth.secrets if secret), "Authorization")


def _hmac_sha256(auth: WebhookAuth, headers: Mapping[str, str], body: bytes, now: float) -> None:
    name = auth.header or "X-Signature"
    given = _header(headers, name).removeprefix("sha256=")
    spellings = (spelling for key in _plain_keys(auth) for spelling in (_hex(key, body), _base64(key, body)))
    _require(given, spellings, name)


def _standard_webhooks(auth: WebhookAuth, headers: Mapping[str, str], body: bytes, now: float) -> None:
    message_id = _header(headers, "webhook-id")
    timestamp = _header(headers, "webhook-timestamp")
    given = _header(headers, "webhook-signature").split(" ")
    if not _DIGITS.fullmatch(timestamp) or abs(now - int(timestamp)) > TOLERANCE_S:
        raise SignatureError(f"expected a webhook-timestamp within {TOLERANCE_S} s of now")
    signed = _bytes(f"{message_id}.{timestamp}.") + body
    wanted = [f"v1,{_base64(key, signed)}" for key in map(standard_key, auth.secrets) if key]
    # No short cut: which of the signatures fits is not to be told by the time it takes.
    if not sum(hmac.compare_digest(_bytes(one), _bytes(other)) for one in given[:16] for other in wanted):
        raise SignatureError("the webhook-signature is by none of the secrets")


def standard_key(secret: str) -> bytes:
    """Return the key that a Standard Webhooks secret spells in base64, with or without `whsec_`."""
    text = secret.removeprefix(_STANDARD_PREFIX)
    try:
        return base64.b64decode(text + "==")
    except (binascii.Error, ValueError):
        return text.encode()


_SCHEMES: dict[WebhookScheme, Callable[[WebhookAuth, Mapping[str, str], bytes, float], None]] = {
    WebhookScheme.GITHUB: _github,
    WebhookScheme.BEARER: _bearer,
    WebhookScheme.HMAC_SHA256: _hmac_sha256,
    WebhookScheme.STANDARD_WEBHOOKS: _standard_webhooks,
}


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise SignatureError(f"expected the header {name}, found none")
    return value


def _require(given: str, wanted: Iterable[str], header: str) -> None:
    if not sum(hmac.compare_digest(_bytes(given), _bytes(one)) for one in wanted):
        raise SignatureError(f"the header {header} is by none of the secrets")


def _plain_keys(auth: WebhookAuth) -> Iterable[bytes]:
    return (secret.encode() for secret in auth.secrets if secret)


def _hex(key: bytes, body: bytes) -> str:
    return hmac.new(key, body, hashlib.sha256).hexdigest()


def _base64(key: bytes, body: bytes) -> str:
    return base64.b64encode(hmac.digest(key, body, "sha256")).decode()


def _bytes(text: str) -> bytes:
    """Return the bytes that were sent; headers that are no UTF-8 come with surrogates."""
    return text.encode(errors="surrogateescape")
