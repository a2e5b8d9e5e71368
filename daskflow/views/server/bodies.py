"""Reads what is sent: not before it is known that who sends it may, and large ones beside what others ask."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, get_origin

from fastapi import Depends, Header, Request, Response  # noqa: TID253, only the process of the server imports this module
from fastapi.routing import APIRoute  # noqa: TID253, the same
from starlette.exceptions import HTTPException  # noqa: TID253, the same

from daskflow.stores.requests import Asked
from daskflow.views.server.answers import Refused
from daskflow.views.server.entering import gateway_of, needs_of, token_of

_LARGE = 1 << 16
"""From here on a request is read in a thread [bytes]."""
_MOST = 1_000_000
"""So many lists and objects a request has at most: each takes a hundred bytes, though it be empty."""
_RequestId = Annotated[str, Header(alias="X-Request-Id", max_length=64, pattern="^[A-Za-z0-9-]*$")]


class GuardedRoute(APIRoute):
    """A route that reads requests of those only who may make them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        answer, needed = super().get_route_handler(), needs_of(self.dependencies)
        several = {each.alias for each in self.dependant.query_params if get_origin(each.field_info.annotation) is list}

        async def guarded(request: Request) -> Response:
            for need in needed:
                need.check(request)
            # The framework would take one of them, and nobody would know which.
            for name in request.query_params.keys() - several:
                if len(request.query_params.getlist(name)) > 1:
                    raise Refused(422, f"What was sent does not fit: {name:.100} is there more than once.")
            if self.body_field is not None:
                _see_json(request)
            return await answer(_Incoming(request.scope, request.receive))

        return guarded


def _see_json(request: Request) -> None:
    """See that a body says that it is JSON: pages in browsers could send other kinds to anybody unasked."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and not re.fullmatch(r"application/(.+\+)?json", kind):
        raise Refused(415, f"What is sent here is JSON, and not {kind:.100}. Send `Content-Type: application/json`.")


class _Incoming(Request):
    """A request whose body is read with care."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            self._json = _read(body) if len(body) < _LARGE else await gateway_of(self).read(_read, body)
        return self._json


def _read(body: bytes) -> Any:
    if body.count(b"[") + body.count(b"{") > _MOST:
        raise HTTPException(413, f"A request has at most {_MOST} lists and objects. Send fewer works at a time.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"What was sent is no JSON: {error}.") from None


async def _asked(request: Request, x_request_id: _RequestId = "") -> Asked:
    """Which request it is: the ids of one caller mean nothing to others, nor to other routes."""
    if not x_request_id:
        return Asked()
    whose = f"{token_of(request).id} {request.method} {request.scope['endpoint'].__name__} {x_request_id}"
    body = await request.body() or request.url.query.encode()
    of = _digest(body) if len(body) < _LARGE else await gateway_of(request).read(_digest, body)
    return Asked(_digest(whose.encode()), of)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


AskedOnce = Annotated[Asked, Depends(_asked)]
"""By what a repeated request is known."""
