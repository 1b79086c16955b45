"""The verbs that give access and take it back: on the home itself, so that the first token needs none."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli import output
from sensorflow.cli.client import TIMEOUT_S, Client, RefusedError, path
from sensorflow.cli.common import CliError, Common, ExitCode, Verb, with_common

if TYPE_CHECKING:
    from http.client import HTTPConnection

    from sensorflow.core.state import TokenRow
    from sensorflow.store.sqlite import SqliteStore

#: The folder of the service, in the home.
_FOLDER = ".sensorflow"
#: Names the service in what goes wrong; a request needs a Host.
_URL = "http://localhost"

token = typer.Typer(
    name="token", help="Make, list and revoke tokens.", no_args_is_help=True, rich_markup_mode=None
)


class ScopeOption(StrEnum):
    """What a token can allow."""

    READ = "read"
    EMIT = "emit"
    OPERATE = "operate"
    ADMIN = "admin"


class _ControlClient(Client):
    """The service that serves a home, by the socket in it."""

    def __init__(self, home: Path) -> None:
        super().__init__(_URL, None)
        self._folder = home / _FOLDER

    def serves(self) -> bool:
        """Tell whether somebody listens."""
        from sensorflow import control

        try:
            control.connect(self._folder, TIMEOUT_S).close()
        except OSError:
            return False
        return True

    def _connection(self) -> "HTTPConnection":
        from http.client import HTTPConnection

        from sensorflow import control

        folder = self._folder

        class _Connection(HTTPConnection):
            def connect(self) -> None:
                self.sock = control.connect(folder, TIMEOUT_S)

        return _Connection("localhost")


def create(
    common: Common,
    scope: Annotated[ScopeOption, typer.Option("--scope", help="What it allows.")],
    pipeline: Annotated[
        list[str] | None, typer.Option("--pipeline", help="Only what is of this pipeline; may be repeated.")
    ] = None,
) -> None:
    """Make a token and show it, this one time."""
    pipelines = sorted(set(pipeline or ()))
    if pipelines and scope is ScopeOption.ADMIN:
        raise CliError(ExitCode.USAGE, "--pipeline: a token of the scope admin cannot be limited")
    client = _ControlClient(common.home_dir)
    if client.serves():
        made = _told(client, scope, pipelines)
    else:
        made = _created(common.home_dir, scope, pipelines)
    if common.json:
        output.document(made)
        return
    output.line(made["token"])
    limits = f" for {', '.join(pipelines)}" if pipelines else ""
    output.say(common, f"token {made['id']}, scope {scope}{limits}: it is not shown again")


def list_tokens(common: Common) -> None:
    """List what tokens allow."""
    client = _ControlClient(common.home_dir)
    found = list(client.pages(path("tokens"))) if client.serves() else _listed(common.home_dir)
    if common.json:
        output.document({"items": found})
        return
    rows = [
        (each["id"], each["scope"], ", ".join(each["pipelines"] or ("all",)), each["created_at"])
        for each in found
    ]
    output.table(("id", "scope", "pipelines", "created"), rows)


def revoke(
    common: Common,
    id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
) -> None:
    """Take a token back; it is good for nothing from here on."""
    client = _ControlClient(common.home_dir)
    gone = client.delete(path("tokens", id)) if client.serves() else _revoked(common.home_dir, id)
    if common.json:
        output.document(gone)
        return
    output.line(f"revoked: {gone['id']}, scope {gone['scope']}")


_VERBS: dict[str, Verb] = {"create": create, "list": list_tokens, "revoke": revoke}
for _name, _verb in _VERBS.items():
    token.command(_name)(with_common(_verb))


def _told(client: Client, scope: ScopeOption, pipelines: list[str]) -> Any:
    try:
        return client.tell(path("tokens"), scope=scope.value, pipelines=pipelines or None)
    except RefusedError as error:
        if not pipelines:
            raise
        raise CliError(ExitCode.NOT_FOUND, str(error)) from None


# Where no service serves the home: the store, held like a service holds it.


def _created(home: Path, scope: ScopeOption, pipelines: list[str]) -> dict[str, Any]:
    from uuid_utils import uuid7

    from sensorflow.clock import SystemClock
    from sensorflow.core.state import TokenRow
    from sensorflow.core.tokens import digest_of
    from sensorflow.core.vocabulary import Scope
    from sensorflow.web.tokens import new_token

    _require_pipelines(home, pipelines)
    shown = new_token()
    row = TokenRow(
        id=str(uuid7()),
        digest=digest_of(shown),
        scope=Scope(scope),
        pipelines=tuple(pipelines),
        created_at=SystemClock().now(),
    )
    with _store(home) as store:
        store.begin().add_token(row)
        _commit(store)
    return {"id": row.id, "token": shown, "scope": scope.value, "pipelines": pipelines or None}


def _listed(home: Path) -> list[dict[str, Any]]:
    with _store(home) as store:
        return [_document(row) for row in store.listing.tokens()]


def _revoked(home: Path, token_id: str) -> dict[str, Any]:
    with _store(home) as store:
        for row in store.listing.tokens():
            if row.id == token_id:
                store.begin().drop_token(token_id)
                _commit(store)
                return _document(row)
    raise CliError(
        ExitCode.NOT_FOUND, f'there is no token "{token_id}"; `sensorflow token list` shows those there are'
    )


def _document(row: "TokenRow") -> dict[str, Any]:
    from sensorflow.web.tokens import token_schema

    return token_schema(row).model_dump(mode="json")


def _require_pipelines(home: Path, pipelines: list[str]) -> None:
    """Refuse a name that no pipeline of the home has.

    Raises:
        DefinitionsError: the home's files cannot be read for it.
        CliError: there is no such pipeline.
    """
    if not pipelines:
        return
    from sensorflow.home import load_home
    from sensorflow.sensors import SENSORS

    known = sorted(load_home(home, os.environ, SENSORS).definitions.pipelines)
    for name in pipelines:
        if name not in known:
            text = f'there is no pipeline "{name}"; there are: {", ".join(known) or "none"}'
            raise CliError(ExitCode.NOT_FOUND, text)


@contextmanager
def _store(home: Path) -> "Iterator[SqliteStore]":
    """Give the store of a home that no service serves; none can start meanwhile."""
    from sensorflow.app import home_lock
    from sensorflow.config.settings import load_settings
    from sensorflow.store.sqlite import SqliteStore

    file = home / load_settings(home, os.environ).store
    if not home.is_dir():
        raise CliError(ExitCode.NOT_FOUND, f"there is no home {home}; name it with --home")
    with home_lock(home):
        file.parent.mkdir(parents=True, exist_ok=True)
        store = SqliteStore(file)
        try:
            yield store
        finally:
            store.close()


def _commit(store: "SqliteStore") -> None:
    import asyncio

    asyncio.run(store.commit())
