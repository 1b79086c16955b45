"""Who may do what: what each route asks of a token, before its handler runs."""

import hmac
import socket
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from sensorflow.core.state import TokenRow
from sensorflow.core.tokens import Caller, digest_of
from sensorflow.core.vocabulary import Scope
from sensorflow.ports import Store
from sensorflow.web.problems import ProblemError

#: Who calls where no token is asked for.
EVERYBODY = Caller(Scope.ADMIN)
_REALM = 'Bearer realm="sensorflow"'


class Access:
    """Knows the tokens. They are kept in memory until one is made or revoked: a request costs one hash."""

    def __init__(self, store: Store, *, open_without_tokens: bool) -> None:
        self._store = store
        self._open_without_tokens = open_without_tokens
        self._tokens: Mapping[str, TokenRow] | None = None

    def forget(self) -> None:
        """Read the tokens anew at the next request: they have changed."""
        self._tokens = None

    def admit(self, request: web.Request, scope: Scope | None, *, limited: bool) -> Caller:
        """Return who calls, if they may.

        Args:
            scope: What the route asks for; None: nothing.
            limited: The route shows and does only what is of the caller's pipelines.

        Raises:
            ProblemError: 401, no token or one that is not known; 403, one that is not enough.
        """
        if scope is None:
            return EVERYBODY
        caller = self.caller(request)
        if caller is EVERYBODY:
            return caller
        require_scope(caller, scope)
        if caller.pipelines is not None and not limited:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                f"this needs a token for all pipelines; this one is limited to {_shown(caller)}",
            )
        return caller

    def caller(self, request: web.Request) -> Caller:
        """Return who calls.

        Raises:
            ProblemError: 401, that cannot be told.
        """
        known = self._known()
        if not known and self._open_without_tokens:
            return EVERYBODY
        given = request.headers.get("Authorization")
        if given is None:
            if _came_by_control_socket(request):
                return EVERYBODY
            raise _unauthorized("expected a token, as `Authorization: Bearer ...`; found none")
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthorized("expected the header Authorization as `Bearer ...`")
        digest = digest_of(token.strip())
        row = known.get(digest)
        if row is None or not hmac.compare_digest(row.digest, digest):
            raise _unauthorized("this token is not known, or no longer", error="invalid_token")
        return Caller(row.scope, frozenset(row.pipelines) or None)

    def _known(self) -> Mapping[str, TokenRow]:
        if self._tokens is None:
            self._tokens = {row.digest: row for row in self._store.listing.tokens()}
        return self._tokens


ACCESS = web.AppKey("access", Access)
CALLER = web.RequestKey("caller", Caller)


def caller_of(request: web.Request) -> Caller:
    """Return who sent the request that a route's handler was called with."""
    return request[CALLER]


def is_still_admitted(request: web.Request) -> bool:
    """Tell whether who was admitted when a long answer began would be so now: tokens come and go."""
    try:
        return request.app[ACCESS].caller(request) == caller_of(request)
    except ProblemError:
        return False


def require_scope(caller: Caller, needed: Scope) -> None:
    """Ask for more than the route does, where the body decides.

    Raises:
        ProblemError: 403.
    """
    if not caller.scope.includes(needed):
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            f"this needs a token of the scope {needed}; this one has {caller.scope}",
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{needed}"'},
        )


def require_pipeline(caller: Caller, pipeline: str) -> None:
    """Refuse a pipeline that a body names and the token is not for, whether there is one or not.

    Raises:
        ProblemError: 403.
    """
    if not caller.sees(pipeline):
        raise ProblemError(
            HTTPStatus.FORBIDDEN, f'this token is limited to {_shown(caller)}; "{pipeline}" is none of them'
        )


def _came_by_control_socket(request: web.Request) -> bool:
    """Tell whether the request came by the socket in the home, which nobody but its owner can open."""
    connection = request.get_extra_info("socket")
    return connection is not None and connection.family == socket.AF_UNIX


def _shown(caller: Caller) -> str:
    names = sorted(caller.pipelines or ())
    return f"the pipeline{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _unauthorized(detail: str, *, error: str | None = None) -> ProblemError:
    challenge = f'{_REALM}, error="{error}"' if error else _REALM
    return ProblemError(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})
