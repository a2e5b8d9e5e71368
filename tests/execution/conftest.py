"""What tests of the execution room share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def notes(tmp_path: Path) -> str:
    """A directory in which jobs count what they do, whatever process performs them."""
    directory = tmp_path / "notes"
    directory.mkdir()
    return str(directory)
