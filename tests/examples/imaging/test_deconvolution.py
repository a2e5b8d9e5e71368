"""Cleaning, restoring and measuring images whose answer is known."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.deconvolution import (
    Beam,
    fit_beam,
    minor_cycle,
    noise_of,
    off_source,
    peak_of,
    restore,
    without_peak,
)
from daskflow.examples.imaging.gridding import Grid, point_spread
from daskflow.examples.imaging.visibilities import Real, weights_of

GRID = Grid(64, 0.25)
BEAM = Beam(2.6, 1.9, 30.0)


@pytest.fixture
def psf(observe: Callable[..., xr.Dataset]) -> Real:
    data = observe(antennas=12, shape=(8, 4))
    return np.asarray(point_spread(data, GRID) / weights_of(data).sum())


def shifted(psf: Real, x: int, y: int) -> Real:
    return psf[64 - x : 128 - x, 64 - y : 128 - y]


def test_hogbom_recovers_a_single_source(psf: Real) -> None:
    left, model, count = minor_cycle(3.0 * shifted(psf, 40, 20), psf, niter=1000, gain=0.1, floor=1e-6)
    assert count < 1000
    assert model[40, 20] == pytest.approx(3, abs=1e-5)
    assert np.count_nonzero(model) == 1
    assert np.abs(left).max() <= 1e-6


def test_hogbom_recovers_sources_of_either_sign(psf: Real) -> None:
    image = 2 * shifted(psf, 12, 50) - 1 * shifted(psf, 45, 30)
    left, model, _ = minor_cycle(image, psf, niter=5000, gain=0.1, floor=1e-4)
    assert model[12, 50] == pytest.approx(2, abs=0.02)
    assert model[45, 30] == pytest.approx(-1, abs=0.02)
    assert np.abs(left).max() <= 1e-4


def test_the_number_of_components_is_bound(psf: Real) -> None:
    left, model, count = minor_cycle(shifted(psf, 32, 32), psf, niter=3, gain=0.1, floor=0.0)
    assert count == 3
    assert model[32, 32] == pytest.approx(1 - 0.9**3)
    assert left[32, 32] == pytest.approx(0.9**3)


def test_cleaning_stays_inside_the_mask(psf: Real) -> None:
    mask = np.zeros((64, 64), bool)
    mask[12, 50] = True
    image = 1 * shifted(psf, 12, 50) + 2 * shifted(psf, 45, 30)
    _, model, _ = minor_cycle(image, psf, niter=500, gain=0.1, floor=1e-3, mask=mask)
    assert np.argwhere(model).tolist() == [[12, 50]]


def test_the_input_is_not_touched(psf: Real) -> None:
    image = shifted(psf, 32, 32).copy()
    minor_cycle(image, psf, niter=5, gain=0.1, floor=0.0)
    assert (image == shifted(psf, 32, 32)).all()


@pytest.mark.parametrize("angle", [-60.0, 0.0, 30.0, 85.0])
def test_the_beam_of_a_gaussian_is_that_gaussian(angle: float) -> None:
    truth = Beam(2.6, 1.9, angle)
    found = fit_beam(truth.image(GRID), GRID)
    assert (found.major, found.minor) == pytest.approx((2.6, 1.9), rel=1e-6)
    assert found.angle == pytest.approx(angle, abs=1e-3)


def test_the_position_angle_goes_from_north_through_east() -> None:
    image = Beam(3.0, 1.0, 45.0).image(GRID)
    assert image[36, 36] > image[36, 28]  # l grows to the east, m to the north


def test_a_beam_is_half_as_high_at_half_its_width() -> None:
    image = Beam(2.0, 1.0, 0.0).image(GRID)
    assert image[32, 32 + 4] == pytest.approx(0.5)
    assert image[32 + 2, 32] == pytest.approx(0.5)


def test_restoring_draws_a_beam_per_component() -> None:
    model = np.zeros((64, 64))
    model[20, 40] = 2.0
    sky = restore(np.full((64, 64), 0.5), model, BEAM, GRID)
    assert sky[20, 40] == pytest.approx(2.5)
    assert sky - 0.5 == pytest.approx(2 * np.roll(BEAM.image(GRID), (-12, 8), (0, 1)), abs=1e-6)


def test_the_peak_is_found_between_pixels() -> None:
    east, north = np.meshgrid(np.arange(64) - 32.0, np.arange(64) - 32.0, indexing="ij")
    image = 1 - 0.01 * ((east - 3.3) ** 2 + (north + 5.2) ** 2)
    height, x, y = peak_of(image)
    assert (x, y) == pytest.approx((3.3, -5.2))
    assert height == image.max()


def test_a_peak_at_the_edge_is_that_pixel() -> None:
    image = np.zeros((64, 64))
    image[0, 63] = 1
    assert peak_of(image)[1:] == (-32, 31)


def test_noise_is_measured_off_the_source() -> None:
    random = np.random.default_rng(0)
    image = random.normal(0, 0.1, (64, 64))
    image[32, 32] = 100
    beam = Beam(1.0, 1.0, 0.0)
    assert not off_source(image, beam, GRID)[32, 32:52].any()
    assert off_source(image, beam, GRID)[32, 53]
    assert noise_of(image, beam, GRID) == pytest.approx(0.1, rel=0.05)


def test_without_its_peak_an_image_of_one_source_is_empty(psf: Real) -> None:
    assert np.abs(without_peak(-2 * shifted(psf, 10, 50), psf)).max() < 1e-5
