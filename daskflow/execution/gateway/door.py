"""Who may enter a server: by a token, or from this machine where it is open."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from daskflow.errors import TokenRefused
from daskflow.model.access import Scope, TokenRecord
from daskflow.stores.tokens import Tokens

_ANYBODY = TokenRecord(id="", name="this machine", scopes=frozenset({Scope.admin}), created=0.0)


class Caller(NamedTuple):
    """What is known of somebody who asks."""

    token: str
    """What they show; empty: nothing."""
    address: str
    """Where they call from."""
    host: str
    """The server as they call it: the header `Host`."""
    page: bool = False
    """Whether a page in a browser asks, from wherever it comes."""
    forwarded: bool = False
    """Whether another server hands it on."""


class Door:
    """Lets in who may enter.

    Parameters
    ----------
    tokens
        Those that are known.
    open
        Whether callers on this machine need no token.
    """

    def __init__(self, tokens: Tokens, *, open: bool) -> None:
        self._tokens = tokens
        self._open = open

    def admit(self, caller: Caller) -> TokenRecord:
        """What the caller may do.

        Raises
        ------
        TokenRefused
            Nobody knows the token, or there is none where one is needed.
        """
        if caller.token:
            return self._tokens.check(caller.token)
        if self._open and _from_here(caller):
            return _ANYBODY
        raise TokenRefused("A token is needed: `Authorization: Bearer TOKEN`. Make one: `daskflow token create NAME`.")


def is_loopback(host: str) -> bool:
    """Whether a name or an address means this machine itself.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _from_here(caller: Caller) -> bool:
    """Whether it is a program on this machine: no page in a browser, and nobody behind a proxy."""
    if caller.page or caller.forwarded or not is_loopback(caller.address):
        return False
    return is_loopback(_name(f"//{caller.host}"))


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
