"""Dirty images of the real observation."""

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.gridding import Grid, dirty_image
from daskflow.examples.imaging.image import continuum, dirty, grid_of, measured
from daskflow.examples.imaging.visibilities import weights_of


@pytest.fixture(scope="module")
def planes(calibrated: list[xr.Dataset]) -> list[xr.Dataset]:
    return [dirty.function(one, 128, 0.4) for one in calibrated]


def test_the_source_is_within_a_pixel_in_every_window_and_polarization(planes: list[xr.Dataset]) -> None:
    rows = [measured(plane) for plane in planes]
    assert [row["image"] for row in rows] == ["spw 0 RR", "spw 0 LL", "spw 1 RR", "spw 1 LL"]
    assert all(row["offset [pixel]"] < 1 for row in rows)
    assert all(0.95 < row["peak [Jy/beam]"] < 1.05 for row in rows)


def test_the_joined_image_is_better_than_any_single_one(planes: list[xr.Dataset]) -> None:
    best = max(measured(plane)["peak / rms without the source"] for plane in planes)
    joined = measured(continuum.function(planes))["peak / rms without the source"]
    assert best > 90
    assert joined > 1.5 * best


def test_joining_images_is_imaging_joined_data(planes: list[xr.Dataset], calibrated: list[xr.Dataset]) -> None:
    grid = Grid(128, 0.4)
    total = sum(weights_of(one).sum() for one in calibrated)
    direct = sum(dirty_image(one, grid) for one in calibrated) / total
    joined = continuum.function(planes)
    assert np.abs(joined["residual"].values - direct).max() < 1e-6
    assert joined.attrs["weight"] == pytest.approx(total)


def test_an_image_knows_its_grid(planes: list[xr.Dataset]) -> None:
    assert grid_of(planes[0]) == Grid(128, 0.4)
    assert planes[0]["psf"].shape == (256, 256)
    assert planes[0]["psf"].values[128, 128] == pytest.approx(1, abs=1e-5)
    assert planes[0]["l"].attrs["units"] == "arcsec"
