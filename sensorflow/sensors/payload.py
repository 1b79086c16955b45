"""JSON as it comes from outside."""

import json

from pydantic_core import from_json

from sensorflow.core.vocabulary import JsonValue


def json_of(payload: bytes) -> JsonValue:
    """Return the JSON document that a payload is.

    Raises:
        ValueError: it is none.
    """
    document = from_json(payload, allow_inf_nan=False)
    json.dumps(document, allow_nan=False)  # 1e999 is read as infinity, which no JSON can hold.
    return document
