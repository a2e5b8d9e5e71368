"""A fresh journal for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.stores import Database, Journal


@pytest.fixture(params=["local", "network"])
def database_file(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """A file of SQLite; both journal modes must keep all promises."""
    monkeypatch.setattr("daskflow.stores.sqlite.on_network", lambda path: request.param == "network")
    with Database(tmp_path / "store" / "journal.db") as database:
        yield database


@pytest.fixture(params=["local", "network", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Whatever keeps a journal must keep all promises."""
    monkeypatch.setattr("daskflow.stores.sqlite.on_network", lambda path: request.param == "network")
    server = request.param == "postgresql"
    with Database(request.getfixturevalue("postgres") if server else tmp_path / "store" / "journal.db") as database:
        yield database


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)
