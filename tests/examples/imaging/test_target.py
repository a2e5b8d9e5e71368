"""The simulated target comes out of the archive as raw as a real one, and calibrates with the calibrator's gains."""

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.apply import apply
from daskflow.examples.imaging.bandpass import bandpass
from daskflow.examples.imaging.deconvolution import peak_of
from daskflow.examples.imaging.flagging import flag_visibilities
from daskflow.examples.imaging.gain import gain
from daskflow.examples.imaging.image import continuum, dirty
from daskflow.examples.imaging.ingest import OBSERVATION
from daskflow.examples.imaging.simulation import CONTINUUM
from daskflow.examples.imaging.target import target_from_archive


@pytest.fixture(scope="module")
def target() -> xr.Dataset:
    return target_from_archive.function(OBSERVATION, 1, 0)


def test_the_target_is_as_noisy_as_the_real_data(target: xr.Dataset, flagged: list[xr.Dataset]) -> None:
    found = flag_visibilities(target, edge=3, threshold=6.0)
    real = flagged[1].sel(polarization=["RR", "LL"])
    both = ~found["flag"].values & ~real["flag"].values
    ratio = found["weight"].values[both] / real["weight"].values[both]
    assert np.median(ratio) == pytest.approx(1, abs=0.1)


def test_its_continuum_is_seen_only_when_it_is_calibrated(target: xr.Dataset, flagged: list[xr.Dataset]) -> None:
    found = flag_visibilities(target, edge=3, threshold=6.0)
    shapes = [bandpass.function(flagged[1], name, 3, 1) for name in ("RR", "LL")]
    calibrated = [apply.function(found, shape, gain.function(flagged[1], shape, 30.0, None)) for shape in shapes]
    peak, east, north = peak_of(joined(calibrated))
    assert peak == pytest.approx(CONTINUUM.continuum, rel=0.1)
    assert (east * 0.4, north * 0.4) == pytest.approx(CONTINUUM.offset, abs=0.2)
    raw = joined([found.isel(polarization=[index]) for index in (0, 1)])
    assert np.abs(raw).max() < 6 * raw.std()


def joined(parts: list[xr.Dataset]) -> np.ndarray:
    """Dirty image of both polarizations."""
    found: np.ndarray = continuum.function([dirty.function(one, 128, 0.4) for one in parts])["residual"].values
    return found
