"""Who may enter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import TokenRefused
from daskflow.execution.gateway.door import Caller, Door, is_loopback
from daskflow.model.access import Scope
from daskflow.stores.database import Database
from daskflow.stores.tokens import Tokens


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[Tokens]:
    with Database(tmp_path / "journal.db") as database:
        yield Tokens(database)


def caller(token: str = "", address: str = "127.0.0.1", host: str = "localhost:8790", **more: Any) -> Caller:
    return Caller(token, address, host)._replace(**more)


def test_a_token_lets_in(tokens: Tokens) -> None:
    id, token = tokens.create("ada", ["read"])
    assert Door(tokens, open=False).admit(caller(token, "192.0.2.7", "flow.example")).id == id


def test_without_a_token_nobody_enters(tokens: Tokens) -> None:
    with pytest.raises(TokenRefused, match="A token is needed"):
        Door(tokens, open=False).admit(caller())


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1"])
@pytest.mark.parametrize("host", ["127.0.0.1:8790", "localhost", "[::1]:8790"])
def test_an_open_door_lets_this_machine_in(tokens: Tokens, address: str, host: str) -> None:
    assert Door(tokens, open=True).admit(caller(address=address, host=host)).allows(Scope.admin)


@pytest.mark.parametrize(
    "strange",
    [
        caller(address="192.0.2.7"),
        caller(address="not an address"),
        caller(address=""),
        # Somebody behind a proxy on this machine.
        caller(forwarded=True),
        # A name that an attacker lets point to this machine, and a page in a browser.
        caller(host="evil.example:8790"),
        caller(host="[::1"),
        caller(page=True),
        caller(host=""),
    ],
)
def test_an_open_door_lets_nobody_else_in(tokens: Tokens, strange: Caller) -> None:
    with pytest.raises(TokenRefused):
        Door(tokens, open=True).admit(strange)


def test_a_wrong_token_is_not_as_good_as_none(tokens: Tokens) -> None:
    with pytest.raises(TokenRefused, match="not known"):
        Door(tokens, open=True).admit(caller("nonsense"))


@pytest.mark.parametrize(
    ("host", "here"),
    [("localhost", True), ("LOCALHOST", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False)],
)
def test_what_this_machine_is_called(host: str, here: bool) -> None:
    assert is_loopback(host) is here
