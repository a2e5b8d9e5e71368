"""Scores and what they are computed from."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from daskflow.examples.imaging.qa import Score, chi_square, label, mean_visibility, share_present
from daskflow.examples.imaging.visibilities import complex_of, replace, select, weights_of


def test_a_score_lies_between_zero_and_one() -> None:
    with pytest.raises(ValidationError):
        Score(stage="flag", value=1.2, meaning="too good")


def test_a_perfect_source_has_no_chi_square_and_one_jansky(observe: Callable[..., xr.Dataset]) -> None:
    data = [observe()]
    assert chi_square(data) == pytest.approx(0)
    assert mean_visibility(data) == pytest.approx(1)


def test_noise_as_large_as_the_weights_say_has_a_chi_square_of_one(observe: Callable[..., xr.Dataset]) -> None:
    assert chi_square([observe(shape=(20, 64), noise=0.2)]) == pytest.approx(1, abs=0.03)


def test_turned_phases_lose_flux(observe: Callable[..., xr.Dataset]) -> None:
    data = observe()
    turned = replace(data, complex_of(data, "visibility") * np.exp(1j * np.pi / 3), weights_of(data))
    assert mean_visibility([turned, turned]) == pytest.approx(0.5)


def test_without_data_there_is_no_flux(observe: Callable[..., xr.Dataset]) -> None:
    data = observe()
    assert mean_visibility([replace(data, complex_of(data, "visibility"), 0 * weights_of(data))]) == 0


def test_the_share_of_data_present(observe: Callable[..., xr.Dataset]) -> None:
    data = observe()
    data["flag"][0] = True
    assert share_present([data, observe()]) == pytest.approx(1 - 1 / 8)


def test_a_dataset_is_named_by_window_and_polarization(observe: Callable[..., xr.Dataset]) -> None:
    assert label(select(observe(), "LL")) == "spw 0 LL"
