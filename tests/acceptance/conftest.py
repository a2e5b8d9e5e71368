"""What acceptance tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.settings.options import SiteSettings
from daskflow.settings.parts import make_site
from daskflow.sites import Site


@pytest.fixture
def notes(tmp_path: Path) -> str:
    """A directory in which jobs count what they do, whatever process performs them."""
    directory = tmp_path / "notes"
    directory.mkdir()
    return str(directory)


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site of threads on which many jobs may wait for the test at once."""
    site = make_site("wide", SiteSettings(kind="threads", workers=12), str(tmp_path_factory.mktemp("boxes")))
    yield site
    site.close()
