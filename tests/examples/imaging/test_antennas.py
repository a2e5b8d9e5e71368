"""Positions of antennas, and the phases that wrong ones cause."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.antennas import (
    CORRECTIONS,
    PositionServiceDown,
    extra_path,
    position_service,
    positions,
    rotations,
    without_path,
)
from daskflow.examples.imaging.ingest import OBSERVATION
from daskflow.examples.imaging.uvfits import SPEED_OF_LIGHT
from daskflow.examples.imaging.visibilities import Baselines, complex_of


def test_the_positions_explain_the_baselines_of_the_observation(windows: list[xr.Dataset]) -> None:
    data, places = windows[0], positions(OBSERVATION)
    earth = np.stack([places[int(number)] for number in data["antenna"].values])
    baselines = Baselines.of(data)
    vectors = earth[baselines.antenna1] - earth[baselines.antenna2]
    # The first integration is shorter on many baselines, hence its middle is not the same on all.
    for rotation, uvw in list(zip(rotations(data, places), data["uvw"].values, strict=True))[1:]:
        assert np.abs(rotation.apply(vectors) - uvw).max() < 5e-3


def test_only_corrected_antennas_have_another_path(windows: list[xr.Dataset]) -> None:
    path = extra_path(windows[0], positions(OBSERVATION), CORRECTIONS)
    moved = [str(name) in CORRECTIONS for name in windows[0]["station"].values]
    assert sum(moved) == len(CORRECTIONS)
    assert (path[:, np.logical_not(moved)] == 0).all()
    longest = max(np.linalg.norm(shift) for shift in CORRECTIONS.values()) * 1e-3
    assert 0 < np.abs(path[:, moved]).max() <= longest


def test_the_phases_of_a_known_path_are_taken_off(observe: Callable[..., xr.Dataset]) -> None:
    data = observe()
    path = np.zeros((4, 8))
    path[:, 0] = 2e-3
    turn = complex_of(without_path(data, path), "visibility") / complex_of(data, "visibility")
    expected = np.exp(2j * np.pi * 2e-3 * data["frequency"].values / SPEED_OF_LIGHT)
    first = data["antenna1"].values == 0
    assert np.abs(turn[:, first] - expected[:, None]).max() < 1e-5
    assert np.abs(turn[:, ~first] - 1).max() < 1e-5


def test_a_service_that_is_down_says_so() -> None:
    assert position_service() == CORRECTIONS
    with pytest.raises(PositionServiceDown, match="Try again later"):
        position_service(down=True)
