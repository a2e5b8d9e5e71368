"""Bandpasses of the real observation."""

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.bandpass import MIN_SNR, bandpass
from daskflow.examples.imaging.visibilities import complex_of


def test_a_bandpass_is_normalized_and_referred(flagged: list[xr.Dataset]) -> None:
    found = bandpass.function(flagged[0], "RR", 3, 1)
    gains = complex_of(found, "gain")
    assert gains.shape == (64, 18)
    assert np.sqrt((np.abs(gains[3:-3]) ** 2).mean(0)) == pytest.approx(1)
    assert np.abs(gains[:, 0].imag).max() < 1e-12
    assert (found.attrs["spw"], found.attrs["polarization"]) == (0, "RR")


def test_the_dead_and_the_weak_antenna_are_not_solved(flagged: list[xr.Dataset]) -> None:
    found = bandpass.function(flagged[1], "LL", 3, 1)
    assert found["antenna"].values[~found["solved"].values].tolist() == [7, 12]
    assert found["snr"].values[found["solved"].values].min() > MIN_SNR


def test_the_receivers_are_flat_within_the_band(flagged: list[xr.Dataset]) -> None:
    """Free channels scatter with the noise of a channel, polynomials do not."""
    smooth, free = (bandpass.function(flagged[0], "LL", order, 1) for order in (3, None))
    held = smooth["solved"].values
    scatter = [np.abs(np.diff(complex_of(one, "gain")[5:-5, held], axis=0)).mean() for one in (smooth, free)]
    assert scatter[0] < 0.1 * scatter[1]
