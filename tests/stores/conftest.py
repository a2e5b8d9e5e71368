"""A fresh journal for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.stores import Database, Journal


@pytest.fixture(params=["local", "network"])
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Both journal modes must keep all promises."""
    monkeypatch.setattr("daskflow.stores.sqlite.on_network", lambda path: request.param == "network")
    with Database(tmp_path / "store" / "journal.db") as database:
        yield database


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)
