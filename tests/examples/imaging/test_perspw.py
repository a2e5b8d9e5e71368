"""Continuum images of spectral windows: the steps that a person guides."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from daskflow import Run
from daskflow.examples.imaging.clean import restored
from daskflow.examples.imaging.dialogue import CleanOptions
from daskflow.examples.imaging.image import continuum, dirty
from daskflow.examples.imaging.perspw import image_noise, measured, perspw_stage, to_threshold
from daskflow.model.records import QuestionRecord

Observe = Callable[..., xr.Dataset]


def image(observe: Observe) -> xr.Dataset:
    """A source of 1 Jy five pixels east and eight south."""
    data = observe(antennas=14, offset=(2.5, -4.0), noise=0.5)
    return continuum.function([dirty.function(data, 64, 0.5)])


def test_cleaning_ends_at_the_threshold_or_at_the_number_of_components(observe: Observe) -> None:
    first = image(observe)
    deep = to_threshold.function(first, 500, 0.2)
    assert np.abs(deep["residual"].values).max() <= 0.2
    assert deep.attrs["components"] < 50
    assert to_threshold.function(to_threshold.function(first, 3, 0.0), 4, 0.0).attrs["components"] == 7


def test_the_noise_is_that_of_the_visibilities(observe: Observe) -> None:
    first = image(observe)
    assert image_noise.function(first) == pytest.approx(first.attrs["weight"] ** -0.5, rel=0.3)


@pytest.mark.acceptance
def test_a_person_guides_each_window(place: Path, asked: Callable[[Run], QuestionRecord]) -> None:
    run = perspw_stage.submit(interactive=True)
    for answer in (CleanOptions(threshold=0.1, interactive=False), CleanOptions(threshold=0.1, stop=True)):
        run.answer(asked(run).id, value=answer)
    cleaned, dirty = run.result()["data"]
    assert 0 < cleaned.attrs["components"] < 50
    assert np.abs(cleaned["residual"].values).max() <= 0.1
    assert dirty.attrs["components"] == 0
    assert len(list((place / "products").glob("continuum-spw?.fits"))) == 2


def test_a_window_is_measured_in_arcseconds(observe: Observe) -> None:
    cleaned = to_threshold.function(image(observe), 500, 0.05).assign_attrs(threshold=0.05, peak=0.05)
    found = measured(3, restored.function(cleaned))
    assert found.spw == 3
    assert found.peak == pytest.approx(1, abs=0.05)
    assert found.offset == pytest.approx((2.5, -4.0), abs=0.1)
