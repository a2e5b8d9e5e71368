"""The commands of tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daskflow.errors import DaskflowError, NotFound, SettingsInvalid, TokenRefused, WorkInvalid
from daskflow.stores.database import Database
from daskflow.stores.tokens import Tokens
from daskflow.views.server.tokens import app


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    if isinstance(done.exception, DaskflowError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_token_is_made_and_shown_once() -> None:
    told = run("create", "ada", "--scope", "read,perform", "--scope", "deposit", "--expires", "30 d")
    token = told.strip()
    with Database(".daskflow/journal.db") as database:
        record = Tokens(database).check(token)
    assert (record.name, sorted(record.scopes)) == ("ada", ["deposit", "perform", "read"])
    assert record.expires == pytest.approx(record.created + 30 * 86400, abs=1)
    listed = run("ls")
    assert record.id in listed
    assert token.split("_", 2)[2] not in listed + run("ls", "--json")


def test_what_is_not_said_is_reading_for_ever() -> None:
    made = json.loads(run("create", "ada", "--json"))
    (found,) = json.loads(run("ls", "--json"))
    assert (found["id"], found["scopes"], found["expires"]) == (made["id"], ["read"], None)
    assert made["token"].startswith("dft_")


def test_a_token_is_revoked() -> None:
    made = json.loads(run("create", "ada", "--json"))
    assert made["id"] in run("revoke", "ada")
    assert "revoked before" in run("revoke", made["id"])
    with Database(".daskflow/journal.db") as database, pytest.raises(TokenRefused):
        Tokens(database).check(made["token"])
    assert json.loads(run("ls", "--json"))[0]["revoked"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("create", "ada", "--scope", "everything"), WorkInvalid),
        (("create", "", "--scope", "read"), WorkInvalid),
        (("create", "ada", "--expires", "soon"), SettingsInvalid),
        (("revoke", "nobody"), NotFound),
    ],
)
def test_what_does_not_fit(arguments: tuple[str, ...], error: type[DaskflowError]) -> None:
    with pytest.raises(error):
        run(*arguments)
