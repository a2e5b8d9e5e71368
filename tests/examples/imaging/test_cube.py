"""The stage that makes the cube: its own decisions; the numbers are tested with `spectral` and `line`."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.cube import SubtractionFailed, contsub, cube_dirty, cube_restored, describe
from daskflow.examples.imaging.line import Line
from daskflow.examples.imaging.visibilities import complex_of


def spectrum(spw: int) -> xr.Dataset:
    return xr.Dataset({"continuum": ("channel", np.ones(16, bool))}, attrs={"spw": spw})


def test_only_one_window_is_doomed_and_only_if_failures_are_wanted(observe: Callable[..., xr.Dataset]) -> None:
    parts = [observe()]
    assert np.abs(complex_of(contsub.function(parts, spectrum(0), 1, True)[0], "visibility")).max() < 1e-5
    contsub.function(parts, spectrum(1), 1, False)
    with pytest.raises(SubtractionFailed, match="does not converge"):
        contsub.function(parts, spectrum(1), 1, True)


def test_a_restored_cube_tells_how_far_cleaning_came(observe: Callable[..., xr.Dataset]) -> None:
    cube = cube_restored.function(cube_dirty.function([observe(noise=0.1)], 64, 0.5), 0.3)
    assert cube.attrs["threshold"] == 0.3
    assert cube.attrs["peak"] == pytest.approx(1, abs=0.1)


def test_a_line_is_told_with_its_place() -> None:
    line = Line(
        spw=0, channel=37.4, frequency=36.391912, width=5.0, channels=4.9, offset=(4, -6), peak=1.5, flux=8.0, snr=31
    )
    assert "channel **37.40** (36.391912 GHz), 4.00 arcsec east and -6.00 arcsec north" in describe(line)
