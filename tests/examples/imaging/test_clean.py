"""Major cycles and the restored image."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.clean import beam_of, joined, minor, residual, restored, robust_noise, target
from daskflow.examples.imaging.image import continuum, dirty


def cleaned(data: list[xr.Dataset], niter: int = 500, nsigma: float = 5.0) -> xr.Dataset:
    image = continuum.function([dirty.function(one, 64, 0.5) for one in data])
    for _ in range(10):
        after = minor.function(image, niter, 0.1, nsigma)
        image = joined(after, [residual.function(one, after) for one in data], niter=niter, nsigma=nsigma)
        if image.attrs["done"]:
            return image
    pytest.fail("the cleaning does not end")


def test_an_offset_source_is_cleaned_to_its_noise(observe: Callable[..., xr.Dataset]) -> None:
    data = [observe(antennas=14, shape=(8, 16), offset=(2.5, -4.0), noise=0.5)]
    image = cleaned(data)
    assert image.attrs["peak"] <= image.attrs["threshold"]
    assert image["model"].values[32 + 5, 32 - 8] == pytest.approx(1, abs=0.03)
    found = restored.function(image)
    assert found.attrs["offset"] == pytest.approx([5, -8], abs=0.2)
    assert found.attrs["flux"] == pytest.approx(1, abs=0.03)
    assert found.attrs["noise"] == pytest.approx(found.attrs["thermal"], rel=0.3)


def test_two_halves_of_the_data_clean_to_the_same_image(observe: Callable[..., xr.Dataset]) -> None:
    whole = observe(antennas=10, offset=(1.0, 1.0), noise=0.2)
    halves = [whole.isel(polarization=[index]) for index in (0, 1)]
    assert np.abs(cleaned([whole])["model"].values - cleaned(halves)["model"].values).max() < 1e-6


def test_the_number_of_components_is_bound_over_all_cycles(observe: Callable[..., xr.Dataset]) -> None:
    image = cleaned([observe(noise=0.1)], niter=7)
    assert image.attrs["components"] == 7


def test_noise_alone_is_not_cleaned(observe: Callable[..., xr.Dataset]) -> None:
    data = observe(noise=1.0)
    for part in ("real", "imag"):
        data[f"visibility_{part}"] = data[f"visibility_{part}"] - (part == "real")
    image = cleaned([data])
    assert image.attrs["components"] == 0


def test_a_bright_source_does_not_pass_for_noise(observe: Callable[..., xr.Dataset]) -> None:
    image = continuum.function([dirty.function(observe(antennas=14, noise=0.05), 64, 0.5)])
    alone = np.median(np.abs(image["residual"].values))
    assert robust_noise(image["residual"].values, image["psf"].values) < alone / 5
    floor, mask, finished = target(image, 5.0)
    assert floor == pytest.approx(0.1, rel=0.05)
    assert mask is None
    assert not finished


def test_the_clean_beam_is_as_long_as_the_longest_baseline_lets_it_be(calibrated: list[xr.Dataset]) -> None:
    image = continuum.function([dirty.function(one, 64, 0.4) for one in calibrated])
    beam = beam_of(restored.function(image))
    assert 1.5 < beam.minor < beam.major < 3.5
