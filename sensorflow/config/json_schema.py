"""JSON Schemas of models: with the words that stand above their fields, and without pydantic's noise."""

import inspect
import re
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

#: `#: words` above a field, on one line or several.
_COMMENTED = re.compile(r"(?P<words>(?:^    #: ?.*\n)+)    (?P<name>\w+):", flags=re.MULTILINE)


@cache
def _classes(module: str) -> Mapping[str, str]:
    """Return the source of a module's classes by name."""
    _, *parts = re.split(r"^class (\w+)", inspect.getsource(sys.modules[module]), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@cache
def field_words(model: type[BaseModel]) -> Mapping[str, str]:
    """Return what is said of fields where they are defined, by name."""
    words: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not each.__module__.startswith("sensorflow."):
            continue
        for found in _COMMENTED.finditer(_classes(each.__module__).get(each.__name__, "")):
            lines = [line.strip().removeprefix("#:").strip() for line in found["words"].splitlines()]
            words[found["name"]] = " ".join(lines)
    return words


class DescribedSchema(GenerateJsonSchema):
    """Makes the JSON Schema of models."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave titles out: they only repeat the names."""
        return False

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        """Return a model's schema with the words above its fields."""
        document = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        words = field_words(model)
        for name, found in model.model_fields.items():
            alias = found.serialization_alias if self.mode == "serialization" else found.alias
            member = document.get("properties", {}).get(alias or name)
            if member is None:
                continue
            if found.exclude_if is not None:
                without_null(member)
            if name in words:
                member.setdefault("description", words[name])
        return document


def without_null(schema: dict[str, Any]) -> None:
    """Take null out of what a field may be: it is absent instead."""
    if "default" in schema and schema["default"] is None:
        del schema["default"]
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema.update(kinds[0])
    elif kinds:
        schema["anyOf"] = kinds
