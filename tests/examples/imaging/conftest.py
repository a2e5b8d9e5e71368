"""Simulated observations with known answers, and the real one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from daskflow import Run
from daskflow.examples.imaging.apply import apply
from daskflow.examples.imaging.bandpass import bandpass
from daskflow.examples.imaging.flagging import flag_visibilities
from daskflow.examples.imaging.gain import gain
from daskflow.examples.imaging.gridding import ARCSEC
from daskflow.examples.imaging.ingest import OBSERVATION
from daskflow.examples.imaging.uvfits import SPEED_OF_LIGHT, read_uvfits
from daskflow.examples.imaging.visibilities import VISIBILITY_DIMS, Complex, complex_pair
from daskflow.model.records import QuestionRecord
from daskflow.settings import front as settings
from daskflow.settings.options import Settings
from daskflow.sites import Site
from tests.execution.patience import until

Observe = Callable[..., xr.Dataset]


def simulate(
    *,
    antennas: int = 8,
    shape: tuple[int, int] = (4, 16),
    offset: tuple[float, float] = (0.0, 0.0),
    gains: Complex | None = None,
    noise: float = 0.0,
) -> xr.Dataset:
    """Observe 1 Jy at `offset` [arcsec] with gains ``(time, channel, polarization, antenna)``."""
    random = np.random.default_rng(5)
    first, second = np.triu_indices(antennas, 1)
    times, channels = shape
    position = random.uniform(-400, 400, (times, antennas, 3)) * [1, 1, 0.1]
    uvw = position[:, first] - position[:, second]
    frequency = 36.4e9 + np.arange(channels) * 125e3
    phase = uvw[..., :2] @ (np.array(offset) * ARCSEC)
    visibilities = np.exp(-2j * np.pi * phase[:, :, None, None] * (frequency / SPEED_OF_LIGHT)[None, None, :, None])
    visibilities = np.repeat(visibilities, 2, axis=3)
    if gains is not None:
        visibilities = visibilities * np.moveaxis(gains[..., first] * gains[..., second].conj(), -1, 1)
    visibilities = visibilities + noise * (random.normal(size=(*visibilities.shape, 2)) @ np.array([1, 1j]))
    weight = np.full(visibilities.shape, 1 / max(noise, 1e-3) ** 2)
    return xr.Dataset(
        {
            **complex_pair("visibility", VISIBILITY_DIMS, visibilities, {"units": "Jy"}),
            "weight": (VISIBILITY_DIMS, weight, {"units": "1 / Jy^2"}),
            "flag": (VISIBILITY_DIMS, np.zeros(weight.shape, bool)),
            "uvw": (("time", "baseline", "axis"), uvw, {"units": "m"}),
        },
        coords={
            "time": np.arange(times) * 10.0,
            "polarization": ["RR", "LL"],
            "frequency": ("channel", frequency),
            "antenna": np.arange(1, antennas + 1),
            "station": ("antenna", [f"N{number:02d}" for number in range(antennas)]),
            "antenna1": ("baseline", first),
            "antenna2": ("baseline", second),
        },
        attrs={"spw": 0, "integration": 10.0},
    )


@pytest.fixture
def observe() -> Observe:
    """A function that simulates an observation."""
    return simulate


@pytest.fixture(scope="session")
def windows() -> list[xr.Dataset]:
    """Both spectral windows of the real observation."""
    return [read_uvfits(OBSERVATION, spw) for spw in (0, 1)]


@pytest.fixture(scope="session")
def flagged(windows: list[xr.Dataset]) -> list[xr.Dataset]:
    """Both spectral windows, flagged."""
    return [flag_visibilities(window, edge=3, threshold=6.0) for window in windows]


@pytest.fixture(scope="session")
def calibrated(flagged: list[xr.Dataset]) -> list[xr.Dataset]:
    """The four combinations of spectral window and polarization, calibrated over the whole scan."""
    found = []
    for window in flagged:
        for polarization in ("RR", "LL"):
            shape = bandpass.function(window, polarization, 3, 1)
            found.append(apply.function(window, shape, gain.function(window, shape, None, None)))
    return found


@pytest.fixture
def asked() -> Callable[[Run], QuestionRecord]:
    """A function that waits until a run asks the next question."""

    def asked(run: Run) -> QuestionRecord:
        until(lambda: run.questions() or run.ended, patience=120)
        if run.ended:
            run.result()
        (question,) = run.questions()
        return question

    return asked


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory where no run was before."""
    return tmp_path_factory.mktemp("imaging")


@pytest.fixture
def place(workshop: Path, shared_sites: dict[str, Site]) -> Iterator[Path]:
    """The directory in which the test works; what one test has calibrated, those after it find."""
    directory = workshop
    settings.launcher.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setattr(settings._chosen, "settings", Settings())
        sites = settings.launcher.project()._sites
        sites.update(shared_sites)
        yield directory
        sites.clear()
        settings.launcher.close()
