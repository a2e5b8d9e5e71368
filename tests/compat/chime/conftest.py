"""A directory with buckets of its own for each test, and a token as users have one."""

from __future__ import annotations

from pathlib import Path

import pytest

TOKENS = (
    "GITHUB_TOKEN",
    "WORKFLOW_TOKEN",
    "GITHUB_PAT",
    "GITHUB_ACCESS_TOKEN",
    "GITHUB_PERSONAL_ACCESS_TOKEN",
    "GITHUB_OAUTH_TOKEN",
    "GITHUB_OAUTH_ACCESS_TOKEN",
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; where nothing is configured the buckets are in it."""
    for name in (*TOKENS, "WORKFLOW_TAGS", "WORKFLOW_SITE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", "of-ada")
    monkeypatch.chdir(tmp_path)
    return tmp_path
