from __future__ import annotations

from collections.abc import Iterator

import pytest

from daskflow.sites import grip


@pytest.fixture(autouse=True)
def _kills_are_forgotten() -> Iterator[None]:
    """Nodes have keys that no other has, and a killed key stays so; those of tests are used again and again."""
    yield
    grip._doomed.clear()
