"""Cubes of simulated observations with known answers."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.gridding import Grid, dirty_image
from daskflow.examples.imaging.spectral import (
    channel_images,
    channel_noise,
    clean_cycle,
    dirty_cube,
    peak_left,
    restored_cube,
)
from daskflow.examples.imaging.visibilities import VISIBILITY_DIMS, complex_of, complex_pair, weights_of

GRID = Grid(64, 0.5)
Observe = Callable[..., xr.Dataset]


def with_line(observe: Observe, noise: float = 0.5) -> list[xr.Dataset]:
    """Two polarizations of a source of 1 Jy at (2.5, -4) arcsec, in channels 6 to 9 only."""
    seen, blank = observe(antennas=14, offset=(2.5, -4.0)), observe(antennas=14, noise=noise)
    values = complex_of(blank, "visibility") - 1
    values[:, :, 6:10] += complex_of(seen, "visibility")[:, :, 6:10]
    data = blank.assign(complex_pair("visibility", VISIBILITY_DIMS, values, {"units": "Jy"}))
    return [data.isel(polarization=[index]) for index in (0, 1)]


def test_a_channel_is_imaged_as_if_it_were_alone(observe: Observe) -> None:
    parts = with_line(observe)
    images = channel_images(parts, GRID)
    alone = [one.isel(channel=[7]) for one in parts]
    direct = sum(dirty_image(one, GRID) for one in alone) / sum(weights_of(one).sum() for one in alone)
    assert np.abs(images[7] - direct).max() < 1e-9


def test_a_line_is_cleaned_in_its_channels_only(observe: Observe) -> None:
    parts = with_line(observe)
    cube = dirty_cube(parts, GRID)
    threshold = 5 * channel_noise(cube)
    assert peak_left(cube) > 5 * threshold
    for _ in range(5):
        cube = clean_cycle(cube, parts, niter=200, threshold=threshold)
    assert peak_left(cube) <= threshold
    flux = cube["model"].values.sum(axis=(1, 2))
    assert flux[6:10] == pytest.approx(1, abs=0.2)
    assert (np.delete(flux, range(6, 10)) == 0).all()
    sky = restored_cube(cube)
    assert sky["restored"].values[7, 32 + 5, 32 - 8] == pytest.approx(1, abs=0.15)
    assert sky.attrs["beam"][0] >= sky.attrs["beam"][1] > 0


def test_the_number_of_components_is_bound_in_each_channel(observe: Observe) -> None:
    parts = with_line(observe)
    cube = clean_cycle(dirty_cube(parts, GRID), parts, niter=3, threshold=0.0)
    assert cube.attrs["components"] == 4 * 3


def test_a_channel_without_data_stays_empty(observe: Observe) -> None:
    parts = with_line(observe)
    for one in parts:
        one["flag"][:, :, 2] = True
    cube = dirty_cube(parts, GRID)
    assert (cube["residual"].values[2] == 0).all()
    assert cube["weight"].values[2] == 0
    assert channel_noise(cube) == pytest.approx(channel_noise(dirty_cube(with_line(observe), GRID)), rel=0.05)
