"""A place for runs of the study, and what a short simulation says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from daskflow.examples.melt.simulation import EVERY
from daskflow.settings import front
from daskflow.sites import Site
from tests.conftest import settings_in


@pytest.fixture
def place(tmp_path: Path, shared_sites: dict[str, Site]) -> Iterator[Path]:
    """The directory in which the test works."""
    front.choose(settings_in(tmp_path, site="local"))
    sites = front.launcher.project()._sites
    sites.update(shared_sites)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        yield tmp_path
    sites.clear()
    front.launcher.close()
    front._chosen.settings = None


@pytest.fixture
def table() -> str:
    """A thermodynamic table as LAMMPS writes it, of a liquid whose pressure is 5 with a scatter of 0.1."""
    pressure = np.random.default_rng(3).normal(5.0, 0.1, 201)
    lines = [
        f"{step * EVERY:8d} {1.6:12} {-4.3:12} {-1.8 - 1e-6 * step:12.8g} {p:12.7g} " for step, p in enumerate(pressure)
    ]
    return "\n".join(lines) + "\n"
