"""A line in a cube made by hand."""

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.deconvolution import Beam
from daskflow.examples.imaging.gridding import Grid
from daskflow.examples.imaging.line import find_line, gaussian
from daskflow.examples.imaging.spectral import CUBE

GRID = Grid(64, 0.4)


def cube(peak: float, noise: float = 0.05) -> xr.Dataset:
    """A line in channel 20.3, four channels wide, five pixels east and eight south."""
    beam = np.roll(Beam(2.6, 2.2, 10.0).image(GRID), (5, -8), (0, 1))
    line = gaussian(np.arange(48, dtype=float), peak, 20.3, 4.0)
    sky = line[:, None, None] * beam + noise * np.random.default_rng(6).normal(size=(48, 64, 64))
    weight = np.ones(48)
    sky[:3], weight[:3] = 0, 0
    return xr.Dataset(
        {"restored": (CUBE, sky), "weight": ("channel", weight)},
        coords={"frequency": ("channel", 36.4e9 - np.arange(48) * 125e3)},
        attrs={"cell": 0.4, "spw": 1, "noise": noise},
    )


def test_a_line_is_measured() -> None:
    line = find_line(cube(1.5))
    assert line is not None
    assert line.spw == 1
    assert line.channel == pytest.approx(20.3, abs=0.15)
    assert line.frequency == pytest.approx(36.4 - 20.3 * 125e-6, abs=2e-5)
    assert line.channels == pytest.approx(4, abs=0.4)
    assert line.width == pytest.approx(4 * 125e3 / 36.4e9 * 299_792.458, rel=0.1)
    assert line.offset == pytest.approx((2.0, -3.2), abs=0.1)
    assert line.peak == pytest.approx(1.5, rel=0.07)
    assert line.flux == pytest.approx(1.0645 * line.peak * line.width, rel=1e-3)
    assert line.snr == pytest.approx(30, rel=0.1)


def test_noise_is_no_line() -> None:
    assert find_line(cube(0.0)) is None
