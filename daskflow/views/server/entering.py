"""Lets callers in before what they send is read, and to the routes that their tokens allow."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable
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
_FORWARDED = re.compile(
    r"(x-)?(original-)?forwarded(-.*)?|via|x-real-ip|(x-|true-|fastly-|cf-)?(client|connecting|cluster-client)-ip"
    r"|x-(envoy|amzn|azure)-.*|cf-ray|cdn-loop|x-original-.*|x-proxy.*"
)
"""What proxies add; a proxy that adds nothing cannot be told."""
_PAGE = re.compile(r"origin|referer|sec-.*")
"""What browsers add."""
_REMEMBERED = 10_000
"""So many tokens are known to have been good lately."""
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
        self._let_in: OrderedDict[bytes, None] = OrderedDict()
        """Digests of tokens that were good lately."""

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
        mark = hashlib.sha256(caller.token.encode("utf-8", "surrogateescape")).digest()
        # Who tries out tokens is stopped before the store is asked, others at the same address are not.
        pause = self._gateway.rates.spent(who) if caller.token and mark not in self._let_in else 0.0
        if pause:
            late = busy(pause, "Too many requests by strangers at this address. Ask less often.")
            return refusal(late.status, str(late), headers=late.headers)
        try:
            record = await self._gateway.call(self._gateway.door.admit, caller)
            scope.setdefault("state", {})["token"] = record
            who = record.id or who
            self._let_in[mark] = None
            self._let_in.move_to_end(mark)
            if len(self._let_in) > _REMEMBERED:
                self._let_in.popitem(last=False)
        except DaskflowError as error:
            self._let_in.pop(mark, None)
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


def check(request: Request, *scopes: Scope, told: str = "") -> None:
    """See that who asks has one of these scopes.

    Parameters
    ----------
    told
        What a refusal says is needed, where that is more than one of these.

    Raises
    ------
    Refused
    """
    record = token_of(request)
    if not record.allows(*scopes):
        wanted = told or " or ".join(f"`{scope}`" for scope in scopes)
        raise Refused(403, f"The token {record.id} of {record.name} does not allow this. It needs {wanted}.")


def needing(*scopes: Scope, told: str = "") -> list[Any]:
    """The dependencies of a route that needs one of these scopes; `told` as in `check`."""
    return [*_SHOWN, Depends(Needing(scopes, told))]


def needs_of(dependencies: Iterable[Any]) -> list[Needing]:
    """What these dependencies of a route ask for."""
    return [each.dependency for each in dependencies if isinstance(each.dependency, Needing)]


class Needing:
    """Lets those go on to a route who have one of some scopes.

    Parameters
    ----------
    scopes, told
        As in `check`.
    """

    def __init__(self, scopes: tuple[Scope, ...], told: str) -> None:
        self._scopes = scopes
        self._told = told

    async def __call__(self, request: Request) -> None:
        """See that who asks may. Raises Refused."""
        self.check(request)

    def check(self, request: Request) -> None:
        """The same, at once."""
        check(request, *self._scopes, told=self._told)


def _caller(request: Request) -> Caller:
    headers = request.headers
    kind, _, secret = headers.get("authorization", "").partition(" ")
    token = secret.strip() if kind.lower() == "bearer" else headers.get("x-access-token", "")
    return Caller(
        token,
        request.client.host if request.client else "",
        headers.get("host", ""),
        any(_PAGE.fullmatch(name) for name in headers),
        any(_FORWARDED.fullmatch(name) for name in headers),
    )
