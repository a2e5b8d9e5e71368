"""Lets callers in before what they send is read, and to the routes that their tokens allow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, Request, Security  # noqa: TID253, only the process of the server imports this module
from fastapi.security import APIKeyHeader, HTTPBearer  # noqa: TID253, the same

from daskflow.errors import DaskflowError
from daskflow.execution.gateway.door import Caller
from daskflow.execution.gateway.gateway import Gateway
from daskflow.model.access import Scope, TokenRecord
from daskflow.views.server.answers import Answer, Refused, answer_of, busy, refusal

_BEARER = HTTPBearer(auto_error=False, description="A token of `daskflow token create`.")
_HEADER = APIKeyHeader(name="x-access-token", auto_error=False, description="The same, for older clients.")
_FORWARDED = ("forwarded", "x-forwarded-for", "via")
_SHOWN: list[Any] = [Security(_BEARER), Security(_HEADER)]
"""Makes the documentation of a route tell how tokens are given."""


class Entrance:
    """Asks callers for their tokens, and counts their requests.

    Parameters
    ----------
    app
        What answers those who may enter.
    gateway
        Knows who may.
    public
        Paths that need no token.
    """

    def __init__(self, app: Any, gateway: Gateway, public: frozenset[str]) -> None:
        self._app = app
        self._gateway = gateway
        self._public = public

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["path"] not in self._public:
            refused = await self._enter(scope)
            if refused is not None:
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _enter(self, scope: Any) -> Answer | None:
        caller = _caller(Request(scope))
        who, refused = caller.address, None
        try:
            record = await self._gateway.call(self._gateway.door.admit, caller)
            scope.setdefault("state", {})["token"] = record
            who = record.id or who
        except DaskflowError as error:
            refused = answer_of(error)
        pause = self._gateway.rates.pause(who)
        if pause:
            late = busy(pause, "Too many requests by one token. Ask less often.")
            return refusal(late.status, str(late), headers=late.headers)
        return refused


def gateway_of(request: Request) -> Gateway:
    """What the routes of this server use."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def token_of(request: Request) -> TokenRecord:
    """Who asks."""
    record: TokenRecord = request.state.token
    return record


def check(request: Request, *scopes: Scope) -> None:
    """See that who asks has one of these scopes.

    Raises
    ------
    Refused
    """
    record = token_of(request)
    if not record.allows(*scopes):
        wanted = " or ".join(f"`{scope}`" for scope in scopes)
        raise Refused(403, f"The token {record.id} of {record.name} does not allow this. It needs {wanted}.")


def needing(*scopes: Scope) -> list[Any]:
    """The dependencies of a route that needs one of these scopes."""
    return [*_SHOWN, Depends(_checking(*scopes))]


def _checking(*scopes: Scope) -> Callable[[Request], Awaitable[None]]:
    async def checked(request: Request) -> None:
        check(request, *scopes)

    return checked


def _caller(request: Request) -> Caller:
    headers = request.headers
    kind, _, secret = headers.get("authorization", "").partition(" ")
    token = secret.strip() if kind.lower() == "bearer" else headers.get("x-access-token", "")
    return Caller(
        token,
        request.client.host if request.client else "",
        headers.get("host", ""),
        headers.get("origin", ""),
        any(name in headers for name in _FORWARDED),
    )
