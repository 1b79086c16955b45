"""Errors as answers: every one is a problem document of RFC 9457."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from sensorflow.config.problems import EXPECTED
from sensorflow.core.errors import (
    ConflictError,
    DefinitionsError,
    ForbiddenError,
    NotFoundError,
    OverloadedError,
    SensorflowError,
    UnavailableError,
    UnknownDatasetError,
)
from sensorflow.ports import StoreError
from sensorflow.web.schemas import ErrorPlace, FileError, ProblemDocument

#: What a client that is told 503 should wait.
RETRY_AFTER_S = 1

#: For all that is no page: a browser that is led to it shows text, and runs and embeds nothing.
DATA_ONLY = {
    "Content-Security-Policy": "default-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

#: The first that fits; all else that a user can mend is 422: it was read, and it is wrong.
_STATUS: tuple[tuple[type[SensorflowError], HTTPStatus], ...] = (
    (UnknownDatasetError, HTTPStatus.NOT_FOUND),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ForbiddenError, HTTPStatus.FORBIDDEN),
    (ConflictError, HTTPStatus.CONFLICT),
    (OverloadedError, HTTPStatus.SERVICE_UNAVAILABLE),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
)


#: What pydantic's own checks expect of JSON; braces are filled from the error's context.
_WORDS = {
    **EXPECTED,
    "missing": "a value",
    "extra_forbidden": "no such field",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


class ProblemError(Exception):
    """A request that is answered with a problem document."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Sequence[ErrorPlace | FileError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}


def bad_request(detail: str, *errors: ErrorPlace) -> ProblemError:
    """Return the answer to what cannot be parsed."""
    return ProblemError(HTTPStatus.BAD_REQUEST, detail, errors=errors)


def not_found(detail: str) -> ProblemError:
    """Return the answer to a path that names nothing."""
    return ProblemError(HTTPStatus.NOT_FOUND, detail)


def unprocessable(detail: str, *errors: ErrorPlace) -> ProblemError:
    """Return the answer to what was parsed and is wrong."""
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


def from_domain(error: SensorflowError) -> ProblemError:
    """Return the answer to an error that the core or the service raised."""
    if isinstance(error, DefinitionsError):
        return _from_files(error)
    status = next(
        (status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.UNPROCESSABLE_ENTITY
    )
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status is HTTPStatus.SERVICE_UNAVAILABLE else None
    return ProblemError(status, str(error) or status.phrase, headers=headers)


def _from_files(error: DefinitionsError) -> ProblemError:
    """Return the answer to files that cannot be used, with all that is wrong in them."""
    errors = [
        FileError(
            file=problem.file,
            line=problem.line,
            column=problem.column,
            path=problem.path,
            message=problem.message,
        )
        for problem in error.problems
    ]
    things = "1 thing is" if len(errors) == 1 else f"{len(errors)} things are"
    detail = f"{things} wrong in the home's files; the definitions from before stay"
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


def from_http(error: web.HTTPException) -> ProblemError:
    """Return the answer to an error that the HTTP server raised by itself."""
    status = HTTPStatus(error.status)
    detail = status.description or status.phrase
    headers: dict[str, str] = {}
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        detail = f"expected one of the methods {allowed}, found {error.method}"
        headers["Allow"] = allowed
    elif isinstance(error, web.HTTPNotFound):
        detail = "there is no such path; there are /api/v1/..., /hooks/..., /healthz and /readyz"
    return ProblemError(status, detail, headers=headers)


def places(error: ValidationError) -> list[ErrorPlace]:
    """Return what pydantic found, each as place, expected and found."""
    return [
        ErrorPlace(where=pointer(item["loc"]), expected=expected_words(item), found=_found(item))
        for item in error.errors(include_url=False)
    ]


def unusable(error: SensorflowError, where: str, value: object) -> ProblemError:
    """Return the answer to a value of a body that the core cannot use: "expected ..., found ...".

    Args:
        where: The place in the body, as a JSON pointer.
    """
    expected, _, _ = str(error).removeprefix("expected ").partition(", found ")
    return unprocessable(f"{where}: {error}", ErrorPlace(where=where, expected=expected, found=shown(value)))


def pointer(steps: Sequence[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of the steps; empty is the whole document."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def shown(value: Any) -> str:
    """Return a value as a short piece of JSON."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:79] + "…"


def response(error: ProblemError, request_id: str) -> web.Response:
    """Return the problem document as an answer.

    Args:
        request_id: What names the request in the log.
    """
    document = ProblemDocument(
        title=error.status.phrase,
        status=error.status.value,
        detail=error.detail,
        request_id=request_id,
        errors=list(error.errors) or None,
    )
    return web.Response(
        status=error.status.value,
        body=document.model_dump_json(exclude_none=True).encode(),
        content_type="application/problem+json",
        headers={**DATA_ONLY, **error.headers},
    )


def expected_words(item: Any) -> str:
    """Return what was expected where pydantic found something else, in the words of this project."""
    if item["type"] in _WORDS:
        return _WORDS[item["type"]].format(**item.get("ctx", {}))
    message: str = item["msg"]
    return message.removeprefix("Value error, ").removeprefix("expected ")


def _found(item: Any) -> str:
    return "nothing" if item["type"] == "missing" else shown(item["input"])
