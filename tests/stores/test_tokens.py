"""Tokens: made once, known by their digest only, refused when they end."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.errors import NotFound, TokenRefused, WorkInvalid
from daskflow.model.access import Scope
from daskflow.stores.database import Database
from daskflow.stores.tokens import Tokens


@pytest.fixture(params=["sqlite", "postgres"])
def tokens(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tokens]:
    url = request.getfixturevalue("postgres") if request.param == "postgres" else str(tmp_path / "journal.db")
    database = Database(url)
    yield Tokens(database)
    database.close()


def test_a_token_is_known_again(tokens: Tokens) -> None:
    id, token = tokens.create("ada", ["read", "perform"])
    record = tokens.check(token)
    assert (record.id, record.name, record.scopes) == (id, "ada", frozenset({Scope.read, Scope.perform}))
    assert record.allows(Scope.deposit, Scope.perform)
    assert not record.allows(Scope.deposit)
    assert tokens.all() == [record]


def test_an_administrator_may_do_all(tokens: Tokens) -> None:
    record = tokens.check(tokens.create("root", [Scope.admin])[1])
    assert all(record.allows(scope) for scope in Scope)


def test_two_tokens_are_never_alike(tokens: Tokens) -> None:
    made = [tokens.create("ada", ["read"]) for _ in range(20)]
    assert len({id for id, _ in made}) == len({token for _, token in made}) == 20
    # 32 bytes of it are random, in base64 without padding.
    assert {len(token.split("_", 2)[2]) for _, token in made} == {43}


def test_the_store_does_not_hold_the_token(tmp_path: Path) -> None:
    with Database(tmp_path / "journal.db") as database:
        _, token = Tokens(database).create("ada", ["read"])
    secret = token.split("_", 2)[2]
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert files
    assert not any(secret.encode() in data for data in files)
    connection = sqlite3.connect(tmp_path / "journal.db")
    assert connection.execute("SELECT name FROM tokens").fetchall() == [("ada",)]
    connection.close()


def wrong(token: str) -> list[str]:
    prefix, id, secret = token.split("_", 2)
    other = secret[:-1] + ("a" if secret[-1] != "a" else "b")
    return [
        "",
        "nonsense",
        prefix,
        f"{prefix}_{id}",
        f"{prefix}_{id}_",
        f"{prefix}_{id}_{other}",
        f"{prefix}_{id}_{secret}x",
        f"{prefix}_{'0' * 16}_{secret}",
        f"{prefix}_' OR 1=1 --_{secret}",
        f"other_{id}_{secret}",
        f"{prefix}_{id}_é\ud800\0",
        f"{prefix}_é\ud800_{secret}",
    ]


def test_whatever_is_no_token_is_refused(tokens: Tokens) -> None:
    _, token = tokens.create("ada", ["admin"])
    for text in wrong(token):
        with pytest.raises(TokenRefused, match="not known") as refused:
            tokens.check(text)
        assert token.split("_", 2)[2] not in str(refused.value)


def test_a_revoked_token_is_refused(tokens: Tokens) -> None:
    _, token = tokens.create("ada", ["read"])
    id, other = tokens.create("ada", ["read"])
    assert [record.id for record in tokens.revoke(id)] == [id]
    with pytest.raises(TokenRefused, match="was revoked"):
        tokens.check(other)
    assert tokens.check(token).name == "ada"
    assert tokens.revoke(id) == []


def test_all_of_somebody_are_revoked(tokens: Tokens) -> None:
    made = [tokens.create("ada", ["read"])[1] for _ in range(3)]
    _, another = tokens.create("bob", ["read"])
    assert len(tokens.revoke("ada")) == 3
    for token in made:
        with pytest.raises(TokenRefused):
            tokens.check(token)
    assert tokens.check(another).name == "bob"


def test_nobody_to_revoke(tokens: Tokens) -> None:
    tokens.create("ada", ["read"])
    with pytest.raises(NotFound, match="There are: ada"):
        tokens.revoke("bob")


def test_a_token_ends(tokens: Tokens) -> None:
    _, brief = tokens.create("ada", ["read"], lifetime=0.002)
    _, long = tokens.create("ada", ["read"], lifetime=3600)
    record = tokens.check(long)
    # The clock of the store, whose ticks may be as long as the token lasts.
    while time.time() < record.created + 0.1:
        time.sleep(0.01)
    with pytest.raises(TokenRefused, match="has ended"):
        tokens.check(brief)
    assert record.expires == pytest.approx(record.created + 3600, abs=1)


@pytest.mark.parametrize(
    ("name", "scopes", "lifetime"),
    [("", ["read"], None), ("a\nb", ["read"], None), ("ada", [], None), ("ada", ["all"], None), ("ada", ["read"], 0.0)],
)
def test_what_makes_no_token(tokens: Tokens, name: str, scopes: list[str], lifetime: float | None) -> None:
    with pytest.raises(WorkInvalid):
        tokens.create(name, scopes, lifetime)
    assert tokens.all() == []


def test_a_name_is_nothing_but_a_name(tokens: Tokens) -> None:
    name = "Robert'); DROP TABLE tokens; --"
    _, token = tokens.create(name, ["read"])
    assert tokens.check(token).name == name
    assert len(tokens.revoke(name)) == 1
