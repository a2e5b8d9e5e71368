"""Agents are killed with -9 at random and started again: each work ends once, and is held by one at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.reaping import reap

WORKS, AGENTS, KILLS = 240, 4, 8


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_each_work_ends_once(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres") if store == "postgres" else str(tmp_path / "works.db")
    diaries = tmp_path / "diaries"
    diaries.mkdir()
    outcome = reap(url, diaries, WORKS, AGENTS, KILLS)
    assert outcome.success + outcome.failure == WORKS
    assert outcome.success > outcome.failure > 0
    assert outcome.kills > 0
    assert outcome.withdrawn > WORKS
