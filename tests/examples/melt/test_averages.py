from __future__ import annotations

import numpy as np
import pytest

from daskflow.examples.melt.averages import FEWEST, block_average


def test_independent_values() -> None:
    series = np.random.default_rng(1).normal(3.0, 2.0, 4096)
    mean = block_average(series)
    assert mean.value == pytest.approx(3.0, abs=4 * mean.error)
    assert mean.error == pytest.approx(2.0 / 64, rel=0.35)
    assert 1 <= mean.inefficiency < 2


def test_correlated_values_count_for_fewer() -> None:
    memory, length, several = 0.9, 1 << 13, 20
    noise, series = np.random.default_rng(2).normal(size=(length, several)), np.zeros((length, several))
    for at in range(1, length):
        series[at] = memory * series[at - 1] + noise[at]
    found = [block_average(one) for one in series.T]
    # Of an autoregressive process all is known: https://en.wikipedia.org/wiki/Autoregressive_model
    inefficiency = (1 + memory) / (1 - memory)
    truth = (inefficiency / (1 - memory**2) / length) ** 0.5
    assert 0.9 < np.mean([mean.error for mean in found]) / truth < 1.4
    assert 0.8 < np.mean([mean.inefficiency for mean in found]) / inefficiency < 1.9


def test_a_drift_is_no_good_mean() -> None:
    noise = np.random.default_rng(4).normal(size=1024)
    assert block_average(noise + np.linspace(0, 5, 1024)).error > 5 * block_average(noise).error


def test_a_constant_has_no_error() -> None:
    assert block_average(np.ones(FEWEST)) == (1.0, 0.0, 1.0)


def test_a_short_series_is_refused() -> None:
    with pytest.raises(ValueError, match="15 values are too few"):
        block_average(np.ones(FEWEST - 1))
