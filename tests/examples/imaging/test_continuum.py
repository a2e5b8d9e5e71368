"""Line-free channels, and continuum subtraction, on simulated observations with known answers."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.continuum import (
    TooFewChannels,
    find_spectrum,
    line_channels,
    peak_over_mad,
    subtract_continuum,
)
from daskflow.examples.imaging.gridding import Grid
from daskflow.examples.imaging.visibilities import VISIBILITY_DIMS, complex_of, complex_pair

GRID = Grid(32, 1.0)
Observe = Callable[..., xr.Dataset]


def spoilt(data: xr.Dataset, factor: np.ndarray) -> xr.Dataset:
    """The same data with each channel times a factor."""
    values = complex_of(data, "visibility") * factor[:, None]
    return data.assign(complex_pair("visibility", VISIBILITY_DIMS, values, {"units": "Jy"}))


def test_a_line_off_the_centre_is_found_with_its_channels(observe: Observe) -> None:
    height = np.where(np.isin(np.arange(64), (30, 31, 32)), 1.0, 0.2)
    quiet, noisy = (observe(antennas=10, shape=(4, 64), offset=(3, 4), noise=noise) for noise in (0.0, 1.0))
    still = observe(antennas=10, shape=(4, 64), offset=(3, 4))
    values = (
        complex_of(spoilt(quiet, height), "visibility")
        + complex_of(noisy, "visibility")
        - complex_of(still, "visibility")
    )
    data = noisy.assign(complex_pair("visibility", VISIBILITY_DIMS, values, {"units": "Jy"}))
    found = find_spectrum([data], GRID)
    assert found.peak_over_mad > 8
    assert np.flatnonzero(~found.continuum).tolist() == [28, 29, 30, 31, 32, 33, 34]


def test_continuum_alone_is_all_continuum(observe: Observe) -> None:
    data = observe(antennas=10, shape=(4, 64), offset=(3, 4), noise=1.0)
    data["flag"][:, :, :3] = True
    found = find_spectrum([data], GRID)
    assert found.peak_over_mad < 8
    assert np.flatnonzero(~found.continuum).tolist() == [0, 1, 2]


def test_peak_over_mad_finds_the_pixel_that_stands_out() -> None:
    images = np.random.default_rng(3).normal(size=(200, 8, 8))
    images[50, 2, 5] = 20
    height = peak_over_mad(images)
    assert height.argmax() == 2 * 8 + 5
    assert height[2, 5] == pytest.approx(20, rel=0.15)
    assert np.delete(height, 2 * 8 + 5).max() < 6


def test_without_a_peak_no_channel_is_a_line() -> None:
    mean = np.zeros(64)
    mean[::2] = 1e-3
    mean[20] = 1
    used = np.ones(64, bool)
    assert np.flatnonzero(line_channels(mean, used, 20.0)).tolist() == [18, 19, 20, 21, 22]
    assert not line_channels(mean, used, 5.0).any()


def test_a_sloping_continuum_is_subtracted_and_the_line_stays(observe: Observe) -> None:
    slope, line = np.linspace(1, 1.5, 64), np.zeros(64)
    line[30:33] = 2.0
    data = observe(antennas=6, shape=(3, 64), offset=(2, 1))
    continuum = np.abs(np.arange(64) - 31) > 4
    left = complex_of(subtract_continuum(spoilt(data, slope + line), continuum), "visibility")
    expected = complex_of(spoilt(data, line), "visibility")
    assert np.abs(left - expected).max() < 1e-4


def test_what_cannot_be_fitted_is_left_alone(observe: Observe) -> None:
    data = observe(antennas=4, shape=(2, 16))
    data["flag"][0, 0, 1:] = True
    left = complex_of(subtract_continuum(data, np.ones(16, bool)), "visibility")
    assert left[0, 0, 0] == pytest.approx(1)
    assert np.abs(left[1]).max() < 1e-5


def test_too_few_channels_are_refused(observe: Observe) -> None:
    with pytest.raises(TooFewChannels, match="4 channels for order 1"):
        subtract_continuum(observe(), np.arange(16) < 4)
