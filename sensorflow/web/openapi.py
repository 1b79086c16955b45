"""The API as an OpenAPI 3.1 document, made of the same declarations by which it answers."""

import asyncio
import json
import re
from collections.abc import Iterable
from functools import cached_property
from http import HTTPStatus
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sensorflow import __version__
from sensorflow.config.json_schema import DescribedSchema, without_null
from sensorflow.web.formats import AnyJson
from sensorflow.web.routes import Content, NoQuery, Route, Routes
from sensorflow.web.schemas import ProblemDocument

JSON = "application/json"
PROBLEM = "application/problem+json"
_REF = "#/components/schemas/"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")

#: What answers though the store does not.
_WITHOUT_STORE = ("/healthz", "/openapi.json", "/docs")

#: What the parts of paths name, by what stands before them, else by their own name.
_PATH_WORDS = {
    "runs/id": "The run's id.",
    "backfills/id": "The backfill's id.",
    "tokens/id": "The token's id.",
    "rehearsals/id": "The rehearsal's id.",
    "pipelines/name": "The pipeline's name.",
    "datasets/name": "The dataset's name.",
    "pipeline": "The pipeline's name; `-` for sensors that pipelines share.",
    "sensor": "The sensor's name.",
    "task": "The task's name.",
    "seq": "The event's number in the log.",
    "token": "What the task was given to call back with.",
}
_TAGS = {
    "Telling it": "How upstream systems say that data is there. 2xx is answered once it is on disk.",
    "Events": "What has been told, in its order.",
    "Datasets": "What is there, and what of it is missing.",
    "Sensors": "What observes the world, and how it does.",
    "Pipelines": "What is defined.",
    "Runs": "One pipeline for one partition.",
    "Backfills": "Runs for many partitions, made on request.",
    "Alerts": "What somebody should know.",
    "Stream": "What changes, as it changes.",
    "Trying": "What would happen; nothing is done.",
    "Callbacks": "How work that a task handed over is ended.",
    "Tokens": "Who may do what.",
    "Definitions": "The files of the home.",
    "Service": "The service itself.",
}
_ABOUT = """\
Errors are answered with `application/problem+json` (RFC 9457); `errors` lists what is wrong, place by place.
Lists have `items` and `next`: give it as `cursor` for the page behind. Every answer has an `X-Request-Id`,
the one that was sent if it is a plain one; the service's log names it too. What answers GET answers HEAD. A
method that a path has not is 405.\
"""

routes = Routes("Service")


class Document:
    """The OpenAPI document of some routes; made when it is first asked for."""

    def __init__(self, declared: Iterable[Route]) -> None:
        self._routes = [route for route in declared if route.documented]

    @cached_property
    def text(self) -> str:
        """The document as JSON."""
        return json.dumps(self.tree, ensure_ascii=False, separators=(",", ":"))

    @cached_property
    def tree(self) -> dict[str, Any]:
        """The document."""
        schemas = _Schemas(self._routes)
        paths: dict[str, dict[str, Any]] = {}
        for route in self._routes:
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
        used = {route.tag for route in self._routes}
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "sensorflow",
                "version": __version__,
                "description": _ABOUT,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "tags": [{"name": name, "description": words} for name, words in _TAGS.items() if name in used],
            "paths": paths,
            "components": {
                "schemas": schemas.components,
                "headers": {
                    "X-Request-Id": {
                        "description": "Names the request in the service's log.",
                        "schema": {"type": "string"},
                    }
                },
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "As `sensorflow token create` prints it. "
                        "On 127.0.0.1 nothing is asked for while no token exists.",
                    }
                },
            },
        }


DOCUMENT = web.AppKey("document", Document)


@routes.get("/openapi.json", scope=None, answers=JSON)
async def show_document(request: web.Request) -> web.Response:
    """Show this document."""
    document = request.app[DOCUMENT]
    # Made but once, and that takes a while.
    return web.Response(text=await asyncio.to_thread(lambda: document.text), content_type=JSON)


class _Schemas:
    """The schemas of all models that routes name, under names that people can read."""

    def __init__(self, declared: Iterable[Route]) -> None:
        wanted: dict[tuple[type[BaseModel], Literal["validation", "serialization"]], None] = {
            (ProblemDocument, "serialization"): None
        }
        queries: set[type[BaseModel]] = set()
        for route in declared:
            given = (route.body, *route.accepts.values())
            wanted |= {(model, "validation"): None for model in given if model}
            answered = [model for model in route.answers.values() if not isinstance(model, str)]
            answered += route.notices.values()
            wanted |= {(model, "serialization"): None for model in answered}
            if route.query not in (None, NoQuery):
                queries.add(route.query)
        wanted |= {(query, "validation"): None for query in queries}
        found, document = models_json_schema(
            list(wanted), ref_template=_REF + "{model}", schema_generator=DescribedSchema
        )
        definitions = document.get("$defs", {})
        self._names = {name: _readable(name) for name in definitions}
        self._refs = {model: schema["$ref"].removeprefix(_REF) for (model, _), schema in found.items()}
        self._all = {self._names[name]: self._renamed(schema) for name, schema in definitions.items()}
        hidden = {self._names[self._refs[query]] for query in queries}
        self.components = {name: self._all[name] for name in sorted(self._all) if name not in hidden}

    def ref(self, model: type[BaseModel]) -> dict[str, str]:
        """Return the reference to a model's schema."""
        return {"$ref": _REF + self._names[self._refs[model]]}

    def of(self, model: type[BaseModel]) -> dict[str, Any]:
        """Return a model's schema itself."""
        schema: dict[str, Any] = self._all[self._names[self._refs[model]]]
        return schema

    def _renamed(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self._renamed(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            schema = {**schema, "$ref": _REF + self._names[schema["$ref"].removeprefix(_REF)]}
        if isinstance(schema.get("title"), str):
            schema = {name: value for name, value in schema.items() if name != "title"}
        return {name: self._renamed(value) for name, value in schema.items()}


def _readable(name: str) -> str:
    """Return `Run` for `RunSchema` and `RunPage` for `Page_RunSchema_`."""
    page = re.fullmatch(r"Page_(\w+)_", name)
    return _readable(page[1]) + "Page" if page else name.removesuffix("Schema").removesuffix("Document")


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    summary, _, rest = (route.handler.__doc__ or "").strip().partition("\n")
    described = " ".join(rest.split())
    if route.scope is not None:
        described = f"{described} Needs a token of the scope `{route.scope}`.".strip()
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": summary,
        "description": described,
        "parameters": [*_path_parameters(route), *_query_parameters(route, schemas), *_headers(route)],
        "responses": {
            **{
                str(int(status)): _answered(HTTPStatus(status), content, schemas)
                for status, content in route.answers.items()
            },
            **{
                str(int(status)): _problem(words, status, schemas)
                for status, words in sorted(problems_of(route).items())
                if status not in route.answers
            },
        },
        # None at all does too: as long as there are no tokens.
        "security": [{"token": [str(route.scope)]}, {}] if route.scope is not None else [],
    }
    if route.notices:
        # OpenAPI 3.1 has no words of its own for a stream; its readers take the schema for that of an event.
        sent = [_notice(name, schemas.ref(model)) for name, model in route.notices.items()]
        operation["responses"]["200"]["content"]["text/event-stream"]["schema"] = {"oneOf": sent}
    taken = {JSON: route.body} if route.body else route.accepts
    if taken:
        operation["requestBody"] = {
            "required": not route.body_optional,
            "content": {kind: {"schema": schemas.ref(model)} for kind, model in taken.items()},
        }
    return {name: value for name, value in operation.items() if value != "" or name == "summary"}


def _notice(name: str, data: dict[str, str]) -> dict[str, Any]:
    """Return the schema of one server-sent event; what stands in its `data` is JSON."""
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "event": {"const": name},
            "data": {"type": "string", "contentMediaType": JSON, "contentSchema": data},
        },
        "required": ["id", "event", "data"],
    }


def problems_of(route: Route) -> dict[int, str]:
    """Return the errors that a route answers with, by status, and when."""
    taken = route.body is not None or bool(route.accepts)
    found: dict[int, str] = {}
    if route.query is not None or taken:
        found[400] = "A parameter is not known, given twice or of no use" + (
            ", or the body cannot be parsed." if taken else "."
        )
    if route.scope is not None:
        found[401] = "No token was sent, or none that is known."
        found[403] = "The token allows less than this needs, or another site's page sent it."
    if _PLACEHOLDER.search(route.path):
        found[404] = "What the path names is not there."
    if taken:
        found[413] = "The body is too large."
    if taken and AnyJson not in route.accepts.values():
        found[415] = "The body is of another content type."
    if route.body is not None:
        found[422] = "The body was read, and something in it is wrong."
    if not route.any_host:
        found[421] = "The `Host` is none of this service."
    if not route.path.startswith(_WITHOUT_STORE):
        found[503] = (
            "The service has too much to do, or cannot store; nothing of this was done. Try again later."
        )
    for status, words in route.problems.items():
        found[int(status)] = words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")
    return found


def _path_parameters(route: Route) -> Iterable[dict[str, Any]]:
    steps = route.path.split("/")
    for place, step in enumerate(steps):
        for name in _PLACEHOLDER.findall(step):
            words = _PATH_WORDS.get(f"{steps[place - 1]}/{name}") or _PATH_WORDS[name]
            schema = (
                {"type": "integer", "minimum": 1} if name == "seq" else {"type": "string", "minLength": 1}
            )
            yield {"name": name, "in": "path", "required": True, "description": words, "schema": schema}


def _query_parameters(route: Route, schemas: _Schemas) -> Iterable[dict[str, Any]]:
    if route.query is None or route.query is NoQuery:
        return
    model = schemas.of(route.query)
    for name, found in model["properties"].items():
        schema = dict(found)
        without_null(schema)
        words = {"description": schema.pop("description")} if "description" in schema else {}
        required = name in model.get("required", ())
        yield {"name": name, "in": "query", "required": required, **words, "schema": schema}


def _headers(route: Route) -> Iterable[dict[str, Any]]:
    for name, words in route.headers.items():
        yield {"name": name, "in": "header", "description": words, "schema": {"type": "string"}}


def _answered(status: HTTPStatus, content: Content, schemas: _Schemas) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    if status is HTTPStatus.CREATED:
        headers["Location"] = {"description": "Where it can be asked about.", "schema": {"type": "string"}}
    if isinstance(content, str):
        kind: dict[str, Any] = {content: {} if content == JSON else {"schema": {"type": "string"}}}
    else:
        kind = {JSON: {"schema": schemas.ref(content)}}
    return {"description": status.phrase + ".", "headers": headers, "content": kind}


def _problem(words: str, status: int, schemas: _Schemas) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = {"description": "What is asked for.", "schema": {"type": "string"}}
    return {
        "description": words,
        "headers": headers,
        "content": {PROBLEM: {"schema": schemas.ref(ProblemDocument)}},
    }
