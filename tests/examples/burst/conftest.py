from __future__ import annotations

import pytest

from daskflow.examples.burst.search import Waterfall, normalised
from daskflow.examples.burst.simulation import Burst, write_waterfall
from tests.examples.burst.files import read


@pytest.fixture(scope="session")
def burst() -> Burst:
    return Burst(dm=300.0, width=5e-3, amplitude=1.5)


@pytest.fixture(scope="session")
def waterfall(burst: Burst, tmp_path_factory: pytest.TempPathFactory) -> Waterfall:
    """As it is recorded."""
    path = tmp_path_factory.mktemp("bursts") / "one.h5"
    write_waterfall(path, burst, 7)
    return read(path)


@pytest.fixture(scope="session")
def clean(waterfall: Waterfall) -> Waterfall:
    return normalised(waterfall)
