"""The simulated target: what is put in can be taken out."""

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.bandpass import bandpass
from daskflow.examples.imaging.gain import gain
from daskflow.examples.imaging.gridding import Grid, predict
from daskflow.examples.imaging.simulation import Source, gains_of, noise_level, observe, true_visibilities
from daskflow.examples.imaging.visibilities import complex_of, weights_of


def test_a_source_has_its_line_in_its_channel_and_window() -> None:
    source = Source(offset=(0, 0), continuum=0.5, line=2.0, channel=10, width=4, spw=1)
    assert source.spectrum(0, 64) == pytest.approx(0.5)
    spectrum = source.spectrum(1, 64)
    assert spectrum[10] == pytest.approx(2.5)
    assert spectrum[[8, 12]] == pytest.approx(1.5)


def test_the_direct_sum_agrees_with_the_gridder(windows: list[xr.Dataset]) -> None:
    data, grid = windows[0].isel(channel=slice(0, 2)), Grid(256, 0.2)
    model = np.zeros((256, 256))
    model[128 + 15, 128 - 20] = 1.0
    seen = true_visibilities(data, (Source(offset=(3.0, -4.0), continuum=1.0),))
    assert np.abs(seen - predict(data, model, grid)).max() < 1e-4


def test_the_noise_is_that_of_the_observation(windows: list[xr.Dataset], flagged: list[xr.Dataset]) -> None:
    sigma = noise_level(windows[0], flagged[0])
    good = ~flagged[0]["flag"].values
    assert sigma[good] == pytest.approx(flagged[0]["weight"].values[good] ** -0.5, rel=1e-5)
    assert (sigma[windows[0]["weight"].values == 0] == 0).all()


def test_the_same_seed_sees_the_same_target(windows: list[xr.Dataset], flagged: list[xr.Dataset]) -> None:
    unity = np.full((9, 64, 2, 18), 0.1 + 0j)
    first, again = (observe(windows[1], flagged[1], unity) for _ in range(2))
    other = observe(windows[1], flagged[1], unity, seed=1)
    assert first.identical(again)
    assert not first.equals(other)
    assert first["polarization"].values.tolist() == ["RR", "LL"]


def test_the_gains_are_those_of_the_calibrator(windows: list[xr.Dataset], flagged: list[xr.Dataset]) -> None:
    shapes = [bandpass.function(flagged[0], name, 5, 1) for name in ("RR", "LL")]
    gains = gains_of(shapes, [gain.function(flagged[0], shape, None, None) for shape in shapes])
    assert gains.shape == (9, 64, 2, 18)
    # A source of 1 Jy at the phase centre is the calibrator itself, but for the noise.
    centre = (Source(offset=(0, 0), continuum=1.0),)
    quiet = flagged[0].assign(weight=flagged[0]["weight"] * 1e12)
    real = flagged[0].sel(polarization=["RR", "LL"])
    made = complex_of(observe(windows[0], quiet, gains, sky=centre), "visibility")
    weights = weights_of(real)
    share = (weights * made.conj() * complex_of(real, "visibility")).sum() / (weights * np.abs(made) ** 2).sum()
    assert share == pytest.approx(1, abs=0.01)
