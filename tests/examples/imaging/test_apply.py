"""Calibrated visibilities."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.apply import apply, calibrate
from daskflow.examples.imaging.qa import chi_square, mean_visibility
from daskflow.examples.imaging.visibilities import Baselines, complex_of, complex_pair, weights_of


def test_dividing_by_gains_keeps_the_signal_to_noise(observe: Callable[..., xr.Dataset]) -> None:
    data = observe()
    factor = np.full((1, data.sizes["baseline"], 1, 1), 2j)
    found = calibrate(data, factor)
    assert complex_of(found, "visibility") == pytest.approx(complex_of(data, "visibility") / 2j)
    assert weights_of(found) == pytest.approx(4 * weights_of(data))


def test_a_gain_of_zero_flags(observe: Callable[..., xr.Dataset]) -> None:
    data = observe()
    factor = np.ones((1, data.sizes["baseline"], 1, 1), complex)
    factor[0, 3] = 0
    found = calibrate(data, factor)
    assert found["flag"].values[:, 3].all()
    assert not found["flag"].values[:, 4].any()


def test_known_gains_are_taken_out(observe: Callable[..., xr.Dataset]) -> None:
    random = np.random.default_rng(1)
    along_time = random.uniform(0.5, 2, (4, 8)) * np.exp(1j * random.uniform(-3, 3, (4, 8)))
    shape = 1 + 0.1 * random.normal(size=(16, 8))
    both = along_time[:, None] * shape[None]
    data = observe(gains=both[:, :, None].repeat(2, axis=2))
    solved = {"solved": ("antenna", np.ones(8, bool))}
    bandpass = data[["antenna"]].assign(complex_pair("gain", ("channel", "antenna"), shape + 0j, {}) | solved)
    gain = data[["time", "antenna"]].assign(
        complex_pair("gain", ("time", "antenna"), along_time, {})
        | {"solved": (("time", "antenna"), np.ones((4, 8), bool))}
    )
    found = apply.function(data, bandpass, gain.assign_attrs(polarization="LL"))
    assert np.abs(complex_of(found, "visibility") - 1).max() < 1e-5
    assert found["visibility_real"].attrs["units"] == "Jy"


def test_the_calibrated_observation_is_a_point_source_of_one_jansky(calibrated: list[xr.Dataset]) -> None:
    assert len(calibrated) == 4
    assert mean_visibility(calibrated) == pytest.approx(1, abs=0.02)
    assert chi_square(calibrated) == pytest.approx(1, abs=0.05)


def test_antennas_without_a_solution_are_flagged(calibrated: list[xr.Dataset]) -> None:
    data = calibrated[3]
    gone = Baselines.of(data).touching(np.isin(data["antenna"].values, [7, 12]))
    assert data["flag"].values[:, gone].all()
    assert not data["flag"].values[1:, ~gone, 10:50].all(axis=(0, 2, 3)).any()
