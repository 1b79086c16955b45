"""Tokens: who may ask for what. One is shown once, when it is made; what is kept of it is its digest."""

import secrets
from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import Field
from uuid_utils import uuid7

from sensorflow.core.messages import CreateToken, RevokeToken
from sensorflow.core.state import TokenRow
from sensorflow.core.tokens import digest_of
from sensorflow.core.vocabulary import Scope
from sensorflow.web.access import ACCESS
from sensorflow.web.api import API, Api
from sensorflow.web.parameters import PageQuery
from sensorflow.web.problems import not_found, shown, unprocessable
from sensorflow.web.routes import Routes
from sensorflow.web.schemas import ErrorPlace, Name, Page, Schema, answer, instant

#: Lets scanners of published code know what they have found.
PREFIX = "sf_"

routes = Routes("Tokens")


class TokensQuery(PageQuery):
    """Which tokens are listed."""

    LIST = "tokens"


class TokenBody(Schema):
    """Asks for a token."""

    scope: Annotated[Scope, Field(strict=False)]
    #: Only what is of these; absent: everything. A token of the scope `admin` cannot be limited.
    pipelines: Annotated[list[Name] | None, Field(min_length=1, max_length=1000)] = None


class TokenSchema(Schema):
    """What a token allows."""

    id: str
    scope: Scope
    #: null: not limited.
    pipelines: list[str] | None
    created_at: str | None


class MadeToken(Schema):
    """A token, the one time that it is shown."""

    id: str
    token: str
    scope: Scope
    #: null: not limited.
    pipelines: list[str] | None


@routes.get("/api/v1/tokens", scope=Scope.ADMIN, answers=Page[TokenSchema])
async def list_tokens(request: web.Request, query: TokensQuery) -> web.Response:
    """List what tokens allow, by id, the oldest first."""
    api = request.app[API]
    after = query.cursor or ""
    rows = sorted((row for row in api.store.listing.tokens() if row.id > after), key=lambda row: row.id)
    following = query.next(rows[query.limit - 1].id) if len(rows) > query.limit else None
    return answer(Page[TokenSchema](items=[token_schema(row) for row in rows[: query.limit]], next=following))


@routes.post("/api/v1/tokens", scope=Scope.ADMIN, answers={HTTPStatus.CREATED: MadeToken})
async def create_token(request: web.Request, body: TokenBody) -> web.Response:
    """Make a token; from here on every request needs one."""
    api = request.app[API]
    pipelines = _limits(api, body)
    token = new_token()
    made = CreateToken(
        id=str(uuid7()), digest=digest_of(token), scope=body.scope, pipelines=tuple(pipelines or ())
    )
    await api.submit(made)
    request.app[ACCESS].forget()
    document = MadeToken(id=made.id, token=token, scope=body.scope, pipelines=pipelines)
    headers = {"Location": f"/api/v1/tokens/{made.id}", "Cache-Control": "no-store"}
    return answer(document, HTTPStatus.CREATED, headers)


@routes.delete("/api/v1/tokens/{id}", scope=Scope.ADMIN, answers=TokenSchema)
async def revoke_token(request: web.Request) -> web.Response:
    """Take a token back; it is good for nothing from here on."""
    api, token = request.app[API], request.match_info["id"]
    row = next((row for row in api.store.listing.tokens() if row.id == token), None)
    if row is None:
        raise not_found(f'there is no token "{token}"')
    await api.submit(RevokeToken(id=token))
    request.app[ACCESS].forget()
    return answer(token_schema(row))


def _limits(api: Api, body: TokenBody) -> list[str] | None:
    """Return the pipelines that a token is to be limited to.

    Raises:
        ProblemError: 422, there is no such pipeline, or the scope cannot be limited.
    """
    if body.pipelines is None:
        return None
    if body.scope is Scope.ADMIN:
        place = ErrorPlace(
            where="/pipelines", expected="none for the scope admin", found=shown(body.pipelines)
        )
        raise unprocessable("a token of the scope admin cannot be limited: it can make others", place)
    known = sorted(api.definitions().pipelines)
    for index, name in enumerate(body.pipelines):
        if name not in known:
            expected = f"a pipeline ({', '.join(known) or 'there is none'})"
            place = ErrorPlace(where=f"/pipelines/{index}", expected=expected, found=shown(name))
            raise unprocessable(f'/pipelines/{index}: expected {expected}, found "{name}"', place)
    return sorted(set(body.pipelines))


def new_token() -> str:
    """Return a token that nobody guesses: 256 bits of chance."""
    return PREFIX + secrets.token_urlsafe(32)


def token_schema(row: TokenRow) -> TokenSchema:
    """Return what a token allows, as it is answered."""
    return TokenSchema(
        id=row.id,
        scope=row.scope,
        pipelines=list(row.pipelines) or None,
        created_at=instant(row.created_at),
    )
