"""Routes as they are declared: one place says what each takes and answers, for behaviour and document alike.

What a handler takes stands in its signature: `query`, a model of the parameters, and `body`, a model
of the JSON body. Both are read and checked before the handler is called.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from aiohttp import web
from pydantic import BaseModel

from sensorflow.core.vocabulary import Scope
from sensorflow.web.access import ACCESS, CALLER
from sensorflow.web.api import API
from sensorflow.web.bodies import read_model
from sensorflow.web.guard import ANY_HOST, Guard
from sensorflow.web.parameters import Query, read_query

#: The model of a JSON document, or the content type of what is no JSON.
Content: TypeAlias = type[BaseModel] | str
_Handler: TypeAlias = Callable[..., Awaitable[web.StreamResponse]]
Handler = TypeVar("Handler", bound=_Handler)


class NoQuery(Query):
    """The parameters of a route that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    handler: _Handler
    #: Under which heading the document has it.
    tag: str
    #: What a token must allow; None where everybody may, or where the route asks in its own way.
    scope: Scope | None
    #: It shows and does only what is of the caller's pipelines, so that a token that is limited will do.
    limited: bool = False
    #: What is answered when all is well, by status.
    answers: Mapping[int, Content]
    #: Besides the errors that follow from what the route takes: by status, when.
    problems: Mapping[int, str] = field(default_factory=dict)
    #: None: parameters are not looked at.
    query: type[Query] | None = NoQuery
    body: type[BaseModel] | None = None
    #: By content type: what a handler that reads the body by itself takes.
    accepts: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    #: By name: headers that are read.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Of a stream: the models of what is sent, by the name of the event.
    notices: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    #: It waits for nothing but the store, so that what comes as a whole is answered without a task.
    prompt: bool = False
    #: Stands in the document; what only a page of ours asks for does not.
    documented: bool = True
    #: Names the operation in the document; else the handler's name does.
    operation: str = ""

    @property
    def name(self) -> str:
        """What names the operation in the document."""
        return self.operation or self.handler.__name__

    @property
    def any_host(self) -> bool:
        """Tell whether any `Host` will do: for probes, and for senders that reach us through proxies."""
        return self.path.startswith(ANY_HOST)

    @property
    def body_optional(self) -> bool:
        """Tell whether the body may be left out: none of its fields has to be there."""
        return self.body is not None and not any(
            found.is_required() for found in self.body.model_fields.values()
        )

    def call(
        self, app: web.Application, guard: Guard
    ) -> Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]:
        """Return the handler as it is to be called: in the guard, with what it takes, read and checked."""
        handler, query, body, optional = self.handler, self.query, self.body, self.body_optional
        named = query is not None and query is not NoQuery
        access, api, scope, limited = app[ACCESS], app[API], self.scope, self.limited

        async def called(request: web.Request) -> web.StreamResponse:
            try:
                guard.enter(request)
                request[CALLER] = access.admit(request, scope, limited=limited)
                arguments: dict[str, Any] = {}
                if query is not None and (named or request.query_string):
                    found = read_query(request, query)
                    if named:
                        arguments["query"] = found
                if body is not None:
                    absent = optional and not request.body_exists
                    arguments["body"] = body() if absent else await read_model(request, body, api.body_limit)
                return await handler(request, **arguments)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told or raised again
                return guard.answer_to(error, request)
            finally:
                guard.leave(request)

        return called


#: Every route that is declared, by what the router calls.
DECLARED = web.AppKey("declared", dict[Any, Route])


def route_of(request: web.Request) -> Route | None:
    """Return the declaration of the route that a request goes to; None where there is no such path."""
    return request.app[DECLARED].get(request.match_info.handler)


def methods_of(request: web.Request) -> list[str]:
    """Return the methods that are declared for the path that a request goes to."""
    asked = route_of(request)
    assert asked is not None, "a request that a handler got has a route"
    return sorted(route.method for route in request.app[DECLARED].values() if route.path == asked.path)


class Routes:
    """The routes of one subject."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self._declared: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self._declared)

    def get(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Declare what answers GET; the keywords are fields of `Route`."""
        return self._add("GET", path, declared)

    def post(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Declare what answers POST."""
        return self._add("POST", path, declared)

    def delete(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Declare what answers DELETE."""
        return self._add("DELETE", path, declared)

    def options(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Declare what answers OPTIONS."""
        return self._add("OPTIONS", path, declared)

    def _add(self, method: str, path: str, declared: dict[str, Any]) -> Callable[[Handler], Handler]:
        answers = declared.pop("answers")
        by_status = answers if isinstance(answers, Mapping) else {200: answers}

        def declare(handler: Handler) -> Handler:
            takes = {
                name: handler.__annotations__[name]
                for name in ("query", "body")
                if name in handler.__annotations__
            }
            route = Route(
                method=method,
                path=path,
                handler=handler,
                tag=self.tag,
                answers=by_status,
                **takes,
                **declared,
            )
            self._declared.append(route)
            return handler

        return declare


def add_routes(app: web.Application, guard: Guard, routes: Iterable[Route]) -> None:
    """Let an application answer by routes."""
    declared: dict[Any, Route] = {}
    for route in routes:
        called = route.call(app, guard)
        declared[called] = route
        if route.method == "GET":
            app.router.add_get(route.path, called, allow_head=True)
        else:
            app.router.add_route(route.method, route.path, called)
    app[DECLARED] = declared


def require_declared(app: web.Application) -> None:
    """See that nobody gave the application a way in that is not declared.

    Raises:
        RuntimeError: somebody did: a fault of ours.
    """
    for route in app.router.routes():
        if route.handler not in app[DECLARED]:
            raise RuntimeError(f"{route} asks for no scope; declare it with `Routes`")
