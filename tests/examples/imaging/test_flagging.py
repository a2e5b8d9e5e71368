"""What is flagged, and what is not."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.flagging import (
    channel_noise,
    dead_antennas,
    edge_channels,
    flag_visibilities,
    outliers,
)
from daskflow.examples.imaging.visibilities import Baselines, complex_of, weights_of


def test_injected_outliers_are_found_and_nothing_else() -> None:
    random = np.random.default_rng(2)
    amplitudes = random.normal(1, 0.1, (6, 5, 20, 2))
    injected = np.zeros(amplitudes.shape, bool)
    injected[1, 2, 3, 0] = injected[4, 0, 19, 1] = injected[5, 4, 0, 1] = True
    amplitudes[injected] += 5
    assert (outliers(amplitudes, np.ones(amplitudes.shape, bool), 6.0) == injected).all()


def test_what_is_flagged_already_is_no_outlier_and_does_not_count() -> None:
    amplitudes = np.ones((4, 1, 10, 1)) + np.arange(10)[None, None, :, None] * 0.01
    usable = np.ones(amplitudes.shape, bool)
    amplitudes[0], usable[0] = 1000, False
    assert not outliers(amplitudes, usable, 6.0).any()


def test_a_baseline_without_data_is_no_trouble() -> None:
    amplitudes = np.ones((4, 2, 10, 1))
    usable = np.zeros(amplitudes.shape, bool)
    assert not outliers(amplitudes, usable, 6.0).any()


def test_edges_are_the_first_and_last_channels() -> None:
    assert np.flatnonzero(edge_channels(8, 2)).tolist() == [0, 1, 6, 7]
    assert not edge_channels(8, 0).any()


def test_the_noise_of_neighbouring_channels_is_that_of_the_data(observe: Callable[..., xr.Dataset]) -> None:
    data = observe(shape=(20, 64), noise=0.25)
    noise = channel_noise(complex_of(data, "visibility"), weights_of(data) > 0)
    assert noise.shape == (28, 2)
    assert noise == pytest.approx(0.25, rel=0.1)


def test_weights_become_one_over_the_variance(observe: Callable[..., xr.Dataset]) -> None:
    flagged = flag_visibilities(observe(shape=(20, 64), noise=0.25), edge=2, threshold=6.0)
    weights = weights_of(flagged)
    assert (weights[:, :, [0, 1, 62, 63]] == 0).all()
    assert np.median(weights[weights > 0]) == pytest.approx(16, rel=0.1)


def test_a_silent_antenna_is_dead(observe: Callable[..., xr.Dataset]) -> None:
    baselines = Baselines.of(observe(antennas=6))
    noise = np.where(baselines.touching(np.arange(6) == 2), 1e-6, 1.0)[:, None].repeat(2, axis=1)
    assert np.argwhere(dead_antennas(noise, baselines)).tolist() == [[0, 2], [1, 2]]


def test_antenna_7_is_dead_in_the_second_window_of_the_observation(flagged: list[xr.Dataset]) -> None:
    seven = int(np.flatnonzero(flagged[1]["antenna"].values == 7)[0])
    of_seven = (flagged[1]["antenna1"] == seven) | (flagged[1]["antenna2"] == seven)
    assert flagged[1]["flag"].values[:, of_seven].all()
    assert not flagged[0]["flag"].values[1:, of_seven, 3:-3].all()


def test_few_visibilities_of_the_observation_are_outliers(flagged: list[xr.Dataset]) -> None:
    inner = flagged[0]["flag"].values[1:, :, 3:-3]
    assert inner.mean() < 1e-4
