"""Asks the service, and turns what goes wrong into a sentence and an exit code."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from sensorflow.cli.common import CliError, Common, ExitCode

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

TIMEOUT_S = 30.0
DEFAULT_PORT = 8484
#: Parameters that name something: a value that none is called is not found, rather than misspelled.
_NAMES = frozenset({"pipeline", "dataset", "task", "backfill"})
_WRONG = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})


class RefusedError(CliError):
    """The service understood, and does not do it."""

    def __init__(self, code: ExitCode, status: int, problem: Mapping[str, Any]) -> None:
        text = str(problem["detail"])
        #: What is wrong, place by place, as the problem document lists it.
        self.errors: list[dict[str, Any]] = problem.get("errors") or []
        if any("file" in error for error in self.errors):
            code = ExitCode.INVALID_DEFINITIONS
            text = "\n".join([*(_in_file(error) for error in self.errors), text])
        elif status == HTTPStatus.UNAUTHORIZED:
            text += "; name a token with --token or SENSORFLOW_TOKEN"
        super().__init__(code, text)
        self.status = status


def service_url(common: Common) -> str:
    """Return where the service is: `--url`, else what the settings of the home say.

    Raises:
        DefinitionsError: the settings cannot be read.
    """
    if common.url:
        return common.url
    from sensorflow.config.settings import load_settings

    settings = load_settings(common.home_dir, os.environ)
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def path(*parts: str) -> str:
    """Return a path of the API, each part quoted."""
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)


class Client:
    """The service at one address. Proxies and redirects are left alone: the token goes nowhere else."""

    def __init__(self, url: str, token: str | None, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._token = token
        self._parts = _split(self.url)

    @classmethod
    def of(cls, common: Common, timeout_s: float = TIMEOUT_S) -> "Client":
        """Return the client that the options name."""
        return cls(service_url(common), common.token, timeout_s)

    def get(self, where: str, query: Mapping[str, object | None] | None = None) -> Any:
        """Return the JSON of an answer; parameters that are None are left out."""
        with self._asked("GET", _with_query(where, query)) as response:
            return self._document(response)

    def pages(self, where: str, query: Mapping[str, object | None] | None = None) -> Iterator[Any]:
        """Yield the items of a list over all its pages."""
        cursor = None
        while True:
            page = self.get(where, {"limit": 500, **(query or {}), "cursor": cursor})
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def post(self, where: str, body: bytes, content_type: str = "application/json") -> Any:
        """Send the content of a file and return the JSON of the answer."""
        with self._asked("POST", where, body, content_type, is_content=True) as response:
            return self._document(response)

    def tell(self, where: str, **fields: object) -> Any:
        """Send arguments, without those that are None, and return the JSON of the answer."""
        body = {name.rstrip("_"): value for name, value in fields.items() if value is not None}
        with self._asked("POST", where, json.dumps(body).encode(), "application/json") as response:
            return self._document(response)

    def stream(self, where: str, query: Mapping[str, object | None]) -> Iterator[bytes]:
        """Yield an answer's bytes as they come, however long that takes."""
        with self._asked("GET", _with_query(where, query), endless=True) as response:
            while chunk := response.read1(64 * 1024):
                yield chunk

    def delete(self, where: str) -> Any:
        """Take something away and return the JSON of the answer."""
        with self._asked("DELETE", where) as response:
            return self._document(response)

    def _connection(self) -> "HTTPConnection":
        from http.client import HTTPConnection, HTTPSConnection

        connect = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        return connect(self._parts.hostname or "", self._parts.port, timeout=self._timeout_s)

    @contextmanager
    def _asked(
        self,
        method: str,
        where: str,
        body: bytes | None = None,
        content_type: str = "",
        *,
        endless: bool = False,
        is_content: bool = False,
    ) -> "Iterator[HTTPResponse]":
        from http.client import HTTPException

        headers = {"Accept": "application/json, text/plain", "User-Agent": "sensorflow"}
        if content_type:
            headers["Content-Type"] = content_type
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = self._connection()
        try:
            connection.request(method, self._parts.path + where, body, headers)
            response = connection.getresponse()
            if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                raise self._refused(response, is_content=is_content)
            if endless and connection.sock is not None:
                connection.sock.settimeout(None)
            yield response
        except BrokenPipeError:
            raise  # Of our own stdout, or of a service that hung up: both end quietly.
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise CliError(
                ExitCode.UNREACHABLE,
                f"the service at {self.url} cannot be reached ({reason}); "
                "start it with `sensorflow serve`, or name it with --url",
            ) from None
        finally:
            connection.close()

    def _document(self, response: "HTTPResponse") -> Any:
        try:
            return json.loads(response.read())
        except ValueError:
            raise self._stranger() from None

    def _refused(self, response: "HTTPResponse", *, is_content: bool) -> CliError:
        """Return the error that a problem document tells of.

        Args:
            is_content: What was sent stands in a file, so that it is not the call that is wrong.
        """
        try:
            problem = json.loads(response.read())
            problem["detail"]
        except (ValueError, KeyError, TypeError):
            return self._stranger()
        code = ExitCode.FAILED
        if response.status == HTTPStatus.NOT_FOUND:
            code = ExitCode.NOT_FOUND
        elif response.status in _WRONG and not is_content:
            named = {error.get("where") for error in problem.get("errors") or ()}
            code = ExitCode.NOT_FOUND if named & _NAMES else ExitCode.USAGE
        return RefusedError(code, response.status, problem)

    def _stranger(self) -> CliError:
        return CliError(
            ExitCode.UNREACHABLE, f"what answers at {self.url} is no sensorflow; name it with --url"
        )


def _in_file(error: Mapping[str, Any]) -> str:
    """Return what is wrong in a definition file, as `validate` says it."""
    place = f"{error['file']}:{error['line']}:{error['column']}" if error["line"] else error["file"]
    return ": ".join(filter(None, (place, error["path"], error["message"])))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits:
        raise CliError(
            ExitCode.USAGE, f'--url: expected a URL as http://127.0.0.1:{DEFAULT_PORT}, found "{url}"'
        )
    return urlsplit(url)


def _with_query(where: str, query: Mapping[str, object | None] | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return f"{where}?{urlencode(given)}" if given else where
