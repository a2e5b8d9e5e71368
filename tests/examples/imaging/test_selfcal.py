"""Self-calibration: known phases are found, and the real gain is no bias."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.gridding import Grid, dirty_image, point_spread
from daskflow.examples.imaging.image import as_image
from daskflow.examples.imaging.selfcal import over_model, phases, rotate, settled
from daskflow.examples.imaging.solvers import Gains, refer
from daskflow.examples.imaging.visibilities import complex_of, weights_of

GRID = Grid(256, 0.2)


def model(east: int = 0, north: int = 0) -> xr.Dataset:
    """A source of 1 Jy so many pixels from the phase centre."""
    image = as_image(GRID, np.zeros((256, 256)), np.zeros((512, 512)), 1.0)
    image["model"][128 + east, 128 + north] = 1.0
    return image


def test_known_phases_are_found_with_a_source_off_the_centre(observe: Callable[..., xr.Dataset]) -> None:
    truth = np.exp(1j * np.random.default_rng(8).uniform(-1, 1, (4, 8)))
    gains = truth[:, None, None].repeat(16, axis=1).repeat(2, axis=2)
    data = [observe(offset=(2.0, -1.0), gains=gains)]
    solution = phases.function(data, model(10, -5), 10.0)
    assert np.abs(refer(complex_of(solution, "gain"), 0) - refer(truth, 0)).max() < 1e-5
    corrected = rotate.function(data[0], solution)
    ideal = complex_of(observe(offset=(2.0, -1.0)), "visibility")
    assert np.abs(complex_of(corrected, "visibility") - ideal).max() < 1e-4


def test_all_data_are_joined_over_the_model(observe: Callable[..., xr.Dataset]) -> None:
    values, weights = over_model([observe(), observe()], model())
    assert np.abs(values - 1).max() < 1e-5
    assert weights == pytest.approx(2 * 16 * 2 * 1e6, rel=1e-3)


def test_an_antenna_without_a_solution_is_left_alone() -> None:
    found = Gains(np.array([[1j, 1j]]), np.array([[10.0, 2.0]]))
    assert settled(found).tolist() == [[1j, 1]]


def test_a_longer_interval_has_fewer_solutions(calibrated: list[xr.Dataset]) -> None:
    solution = complex_of(phases.function(calibrated, model(), 30.0), "gain")
    assert (solution[0] == solution[2]).all()
    assert not (solution[2] == solution[3]).all()


def test_phases_of_one_window_lower_the_noise_of_the_other(calibrated: list[xr.Dataset]) -> None:
    """What self-calibration gains is the atmosphere: data that had no part in the solution gain it too."""
    for mine, other in ((calibrated[:2], calibrated[2:]), (calibrated[2:], calibrated[:2])):
        solution = phases.function(mine, model(), 10.0)
        before, after = noise(other), noise([rotate.function(one, solution) for one in other])
        assert after < 0.997 * before


def noise(data: list[xr.Dataset]) -> float:
    """Root mean square, away from the source, of the image without it."""
    grid = Grid(256, 0.2)
    total = sum(weights_of(one).sum() for one in data)
    image = sum(dirty_image(one, grid) for one in data) / total
    psf = sum(point_spread(one, grid) for one in data) / total
    left = image - image[128, 128] * psf[128:384, 128:384]
    far = np.hypot(grid.offsets[:, None], grid.offsets[None, :]) > 10
    return float(np.sqrt((left[far] ** 2).mean()))
