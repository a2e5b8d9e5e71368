"""What a server answers: JSON, and errors that tell what to do and nothing of its inside."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI, Request  # noqa: TID253, only the process of the server imports this module
from fastapi.exceptions import RequestValidationError  # noqa: TID253, the same
from pydantic import BaseModel
from starlette.exceptions import HTTPException  # noqa: TID253, the same
from starlette.requests import ClientDisconnect  # noqa: TID253, the same
from starlette.responses import JSONResponse  # noqa: TID253, the same

from daskflow.errors import (
    ArtifactDamaged,
    ArtifactMissing,
    CacheFull,
    DaskflowError,
    NameRefused,
    NotFound,
    StoreFull,
    StoreSilent,
    StoreUnavailable,
    TokenRefused,
    UsageError,
    WorkLocked,
    WorkLost,
)
from daskflow.model.jsons import as_text, json_ready
from daskflow.model.mistakes import mistakes_in

_LOG = logging.getLogger("daskflow.server")
_STATUSES: tuple[tuple[type[DaskflowError], int], ...] = (
    (NotFound, 404),
    (ArtifactMissing, 404),
    (WorkLost, 409),
    (WorkLocked, 423),
    (NameRefused, 422),
    (ArtifactDamaged, 422),
    (UsageError, 422),
)
"""The first class that an error is of tells its status."""
_ELSEWHERE = dict.fromkeys(("path", "query", "header", "cookie"), object())
"""Where a request says something besides its body; what that is is not at hand."""
_MOST = 5
"""So many mistakes are told at once."""
_TROUBLES: tuple[tuple[type[DaskflowError], str], ...] = (
    (StoreUnavailable, "its store does not answer"),
    (StoreFull, "its store has no room left"),
    (StoreSilent, "its artifact store does not answer"),
    (CacheFull, "it has no room left for what it reads"),
)
"""Why trying again can help, as far as it is told to callers."""
_AGAIN = 2
"""After this time a store that was not there may be back [s]."""


class Refusal(BaseModel):
    """Why a request was not done."""

    error: str
    """What is wrong, and what to do."""
    kind: str = ""
    """The class of the error in daskflow."""


class Answer(JSONResponse):
    """JSON."""

    def render(self, content: Any) -> bytes:
        """The bytes; what JSON has not is written as `json_ready` does."""
        try:
            return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
        except (TypeError, ValueError):
            return as_text(json_ready(content)).encode()


def listed(values: Iterable[Any]) -> Answer:
    """A list that may be long: made one by one, so that other threads go on meanwhile. Call it in a thread."""
    parts = [bytes(Answer(value).body) for value in values]
    return Ready(b"[" + b",".join(parts) + b"]")


class Ready(Answer):
    """JSON that is text already."""

    def render(self, content: bytes) -> bytes:
        """The same."""
        return content


class Refused(Exception):
    """A request that the server itself refuses."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def refusal(status: int, message: str, kind: str = "", headers: dict[str, str] | None = None) -> Answer:
    """The answer to what is not done."""
    return Answer(json_ready({"error": message, "kind": kind}), status, headers)


def busy(pause: float, message: str) -> Refused:
    """Somebody asks too much; after a pause [s] they may again."""
    return Refused(429, message, {"Retry-After": str(max(1, math.ceil(pause)))})


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": text}
    for status, text in {
        400: "What was sent cannot be read.",
        401: "A token is needed, or it is not known.",
        403: "The token does not allow this.",
        413: "The request is too large.",
        415: "What was sent is not said to be JSON.",
        422: "What was sent does not fit.",
        429: "Too many requests; `Retry-After` says when to ask again.",
        503: "The store is not there at the moment; `Retry-After` says when to ask again.",
    }.items()
}
"""What any route may answer."""
LOST: dict[int | str, dict[str, Any]] = {
    409: {"model": Refusal, "description": "Another agent has the work, or it is not there any more."},
    423: {"model": Refusal, "description": "The work is locked."},
}
"""What routes that change works may answer."""
MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Refusal, "description": "There is no such thing."}}
"""What routes that name something may answer."""


def answer_errors(app: FastAPI) -> None:
    """Turn whatever is raised in routes into answers."""

    @app.exception_handler(DaskflowError)
    async def known(_: Request, error: DaskflowError) -> Answer:
        return answer_of(error)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Answer:
        return refusal(error.status, str(error), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def unfit(_: Request, error: RequestValidationError) -> Answer:
        return refusal(422, _told(error), "WorkInvalid")

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Answer:
        headers = dict(error.headers) if error.headers else None
        return refusal(error.status_code, str(error.detail), headers=headers)

    # A handler would leave it to the framework to close the connection, and to log it twice.
    app.add_middleware(Contained)


class Contained:
    """Answers where a route has a defect.

    Parameters
    ----------
    app
        The routes.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        begun = False

        async def told(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, told)
        except ClientDisconnect:
            _LOG.info("%s %s: who asked hung up", scope.get("method"), scope.get("path"))
        except Exception:
            _LOG.exception("%s %s failed", scope.get("method"), scope.get("path"))
            if begun or scope["type"] != "http":
                raise
            await refusal(500, "The server has a defect; its log tells more.")(scope, receive, send)


def answer_of(error: DaskflowError) -> Answer:
    """The answer to an error of daskflow."""
    kind = type(error).__name__
    if isinstance(error, TokenRefused):
        return refusal(401, str(error), kind, {"WWW-Authenticate": "Bearer"})
    status = next((status for known, status in _STATUSES if isinstance(error, known)), 503 if error.transient else 500)
    if status == 503:
        # Where the store lies, and what it said, is for those who keep the server.
        _LOG.error("The store fails: %s", error)
        trouble = next((text for known, text in _TROUBLES if isinstance(error, known)), "has trouble with its store")
        message = f"The server is up, and {trouble}. Try again; its log tells more."
        return refusal(503, message, "StoreUnavailable", {"Retry-After": str(_AGAIN)})
    if status == 500:
        _LOG.error("%s", error, exc_info=error)
        return refusal(500, "The server cannot do this; its log tells why.", kind)
    return refusal(status, str(error), kind)


def _told(error: RequestValidationError) -> str:
    # The first part of a place says whether it is in the body, the query or a header.
    found = mistakes_in(error, {**_ELSEWHERE, "body": error.body})[:_MOST]
    return f"What was sent does not fit: {'; '.join(str(each._replace(place=each.place[1:])) for each in found)}."
