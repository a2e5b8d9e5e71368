from __future__ import annotations

import numpy as np
import pytest

from daskflow.examples.burst.search import Waterfall, dedispersed, find, normalised
from daskflow.examples.burst.simulation import Burst


def test_channels_are_made_alike_and_those_of_interference_left_out(waterfall: Waterfall, clean: Waterfall) -> None:
    good = clean.intensity.any(axis=1)
    assert 0.85 < good.mean() < 1.0
    assert np.allclose(np.median(clean.intensity[good], axis=1), 0, atol=0.01)
    assert np.allclose(clean.intensity[good].std(axis=1), 1, atol=0.2)
    # The sine wave of interference has a spread that is far above the noise from sample to sample.
    spread = waterfall.intensity.std(axis=1) / np.diff(waterfall.intensity, axis=1).std(axis=1)
    assert spread[good].max() < spread[~good].max()


def test_a_dead_channel_is_left_out(waterfall: Waterfall) -> None:
    intensity = waterfall.intensity.copy()
    intensity[10] = 42.0
    clean = normalised(waterfall._replace(intensity=intensity))
    assert not clean.intensity[10].any()
    assert np.isfinite(clean.intensity).all()


def test_without_its_dispersion_the_burst_is_straight(clean: Waterfall, burst: Burst) -> None:
    profile = dedispersed(clean, burst.dm).sum(axis=0)
    assert abs(clean.time[profile.argmax()] - burst.arrival) < burst.width
    assert profile.max() > 4 * clean.intensity.sum(axis=0).max()


def test_a_burst_is_measured_within_its_errors(clean: Waterfall, burst: Burst) -> None:
    found = find(clean, 500.0)
    assert found.dm == pytest.approx(burst.dm, abs=4 * found.dm_error)
    assert 0.02 < found.dm_error < 0.5
    assert found.arrival == pytest.approx(burst.arrival, abs=1e-3)
    assert found.width == pytest.approx(burst.width, abs=5 * found.width_error + 0.5e-3)
    assert found.snr > 30
    assert found.trials[1].max() == found.snr


def test_noise_is_no_burst() -> None:
    rng = np.random.default_rng(3)
    frequency, time = np.linspace(1465.0, 1130.0, 64), 1e-3 * np.arange(1024)
    noise = Waterfall(rng.standard_normal((64, 1024)), frequency, time)
    with pytest.raises(ValueError, match="No burst stands out"):
        find(normalised(noise), 200.0)
