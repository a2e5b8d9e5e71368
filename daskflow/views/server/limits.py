"""Refuses requests that are too large, before they are read."""

from __future__ import annotations

import re
from typing import Any

from starlette.exceptions import HTTPException  # noqa: TID253, only the process of the server imports this module

from daskflow.model.quantities import as_bytes
from daskflow.views.server.answers import refusal

_STREAMED = re.compile(r"(/api/v\d+)?/artifacts/(files|objects)/")
"""What goes to the store as it comes, however large it is."""


class SizeLimit:
    """Counts the bytes of requests.

    Parameters
    ----------
    app
        What answers those that are small enough.
    limit
        The largest [bytes].
    """

    def __init__(self, app: Any, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http" or (scope["method"] == "PUT" and _STREAMED.match(scope["path"])):
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"")
        if length.isdigit() and int(length) > self._limit:
            headers = {"Connection": "close"}
            await refusal(413, _told(self._limit), headers=headers)(scope, receive, send)
            return
        await self._app(scope, _counted(receive, self._limit), send)


def _counted(receive: Any, limit: int) -> Any:
    """What receives a request, and refuses to when more comes than may."""
    left = limit

    async def counted() -> Any:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            # Of this kind only, whoever reads the request lets it pass.
            raise HTTPException(413, _told(limit))
        return message

    return counted


def _told(limit: int) -> str:
    return f"A request has at most {as_bytes(limit)}. Send fewer works at a time."
