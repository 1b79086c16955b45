"""JSON Schemas of a home's files, made of the models that check them, for editors that complete them."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from sensorflow.config.json_schema import DescribedSchema
from sensorflow.config.models import PipelineFile, SharedFile
from sensorflow.config.settings import Settings
from sensorflow.config.yaml import TEXT_KEYS

#: Draft 7 is what editors know best.
_DIALECT = "http://json-schema.org/draft-07/schema#"
_REF = "#/definitions/"
#: The models by what their files are called on the command line.
FILES: Mapping[str, type[BaseModel]] = {
    "pipeline": PipelineFile,
    "sensors": SharedFile,
    "settings": Settings,
}


def file_schema(file: str, sensor_kinds: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """Return the JSON Schema of a file.

    Args:
        file: One of `FILES`.
        sensor_kinds: The options of each kind of sensor; of other kinds, a user's own, all is allowed.
    """
    model = FILES[file]
    document = _schema_of(model)
    definitions = document.pop("$defs", {})
    if "Sensor" in definitions:
        for kind, options in sensor_kinds.items():
            added = _schema_of(options)
            definitions |= added.pop("$defs", {})
            _add_kind(definitions["Sensor"], kind, added)
        kinds = {"enum": list(sensor_kinds)}
        definitions["Sensor"]["properties"]["type"] = {"anyOf": [kinds, {"type": "string"}]}
    if file == "pipeline":
        document["required"] = ["tasks"]
    used = {name: _tidy(definitions[name]) for name in sorted(_used(document, definitions))}
    return {"$schema": _DIALECT, **_tidy(document), "title": f"sensorflow: {file}", "definitions": used}


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(ref_template=_REF + "{model}", schema_generator=DescribedSchema)


def _add_kind(sensor: dict[str, Any], kind: str, options: dict[str, Any]) -> None:
    """Say what a sensor of a kind may hold, and that there is nothing else."""
    own = {**sensor["properties"], **options.get("properties", {})}
    sensor.setdefault("allOf", []).append(
        {
            "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
            "then": {
                "properties": {**own, "type": {"const": kind}},
                "required": [*sensor["required"], *options.get("required", ())],
                "additionalProperties": False,
            },
        }
    )


def _used(schema: Any, definitions: Mapping[str, Any]) -> set[str]:
    """Return the names of the definitions that a schema needs; some only stand for what is made of a file."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        names = set(_references(waiting.pop())) - found
        found |= names
        waiting += [definitions[name] for name in names]
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(_REF)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _tidy(schema: Any, *, key: str = "") -> Any:
    """Return a schema as files have it: texts may look like numbers, and defaults are as one writes them."""
    if isinstance(schema, list):
        return [_tidy(value, key=key) for value in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {name: _tidy_member(name, value, key) for name, value in schema.items()}
    if key in TEXT_KEYS and tidied.get("type") == "string":
        tidied["type"] = ["string", "number", "boolean"]
    default = tidied.get("default")
    if isinstance(default, float) and "pattern" in tidied:
        tidied["default"] = f"{default:g}s"
    elif default is None or isinstance(default, dict):
        tidied.pop("default", None)
    return tidied


def _tidy_member(name: str, value: Any, key: str) -> Any:
    if name == "properties":
        return {each: _tidy(schema, key=each) for each, schema in value.items()}
    return _tidy(value, key=key)
