"""Images and visibilities of sources whose place is known."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.gridding import Grid, dirty_image, point_spread, predict, without
from daskflow.examples.imaging.visibilities import complex_of, weights_of

GRID = Grid(64, 0.25)


@pytest.mark.parametrize(("east", "north"), [(0, 0), (2.5, -1.0), (-4.0, 3.25)])
def test_a_source_appears_where_it_is(observe: Callable[..., xr.Dataset], east: float, north: float) -> None:
    data = observe(offset=(east, north))
    image = dirty_image(data, GRID) / weights_of(data).sum()
    x, y = np.unravel_index(np.argmax(image), image.shape)
    assert (GRID.offsets[x], GRID.offsets[y]) == (east, north)
    assert image[x, y] == pytest.approx(1, abs=1e-5)


def test_the_point_spread_function_is_the_image_of_a_source_at_the_centre(observe: Callable[..., xr.Dataset]) -> None:
    data = observe()
    psf = point_spread(data, GRID)
    assert psf.shape == (128, 128)
    assert psf[32:96, 32:96] == pytest.approx(dirty_image(data, GRID), rel=1e-5, abs=1e-5 * psf.max())


def test_predicted_visibilities_are_those_of_the_source(observe: Callable[..., xr.Dataset]) -> None:
    data = observe(offset=(2.5, -1.0))
    model = np.zeros((64, 64))
    model[32 + 10, 32 - 4] = 1.0
    assert np.abs(predict(data, model, GRID) - complex_of(data, "visibility")[..., 0]).max() < 1e-5


def test_nothing_is_left_without_the_source(observe: Callable[..., xr.Dataset]) -> None:
    data = observe(offset=(2.5, -1.0))
    model = np.zeros((64, 64))
    model[32 + 10, 32 - 4] = 1.0
    left = without(data, model, GRID)
    assert np.abs(complex_of(left, "visibility")).max() < 1e-5
    assert np.abs(dirty_image(left, GRID)).max() < 1e-5 * weights_of(data).sum()


def test_flagged_visibilities_are_not_imaged(observe: Callable[..., xr.Dataset]) -> None:
    data = observe()
    data["visibility_real"][0] = 1e6
    data["flag"][0] = True
    image = dirty_image(data, GRID) / weights_of(data).sum()
    assert image.max() == pytest.approx(1, abs=1e-5)


def test_the_grid_has_its_centre_at_zero() -> None:
    assert Grid(4, 0.5).offsets.tolist() == [-1, -0.5, 0, 0.5]
    assert Grid(4, 0.5).twice() == Grid(8, 0.5)
