from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daskflow.examples.burst.search import Waterfall, _profiles, _strength, dedispersed, find, measured, normalised
from daskflow.examples.burst.simulation import Burst, delays, random_burst, write_waterfall
from tests.examples.burst.files import read


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
    assert found.width == pytest.approx(burst.width, abs=4 * found.width_error)
    assert 0.05e-3 < found.width_error < 0.5e-3
    assert found.snr > 30
    assert found.trials[1].max() == found.snr


def test_channels_that_are_taken_together_lose_nothing(clean: Waterfall, burst: Burst) -> None:
    trials = burst.dm + 0.5 * np.arange(-8, 9)
    together = [_strength(profile) for profile in _profiles(clean, trials)]
    noise = np.sqrt(np.count_nonzero(clean.intensity.any(axis=1)))
    apart = [_strength(dedispersed(clean, dm).sum(axis=0) / noise) for dm in trials]
    assert together == pytest.approx(apart, rel=0.03)


def test_errors_are_as_large_as_they_say(tmp_path: Path) -> None:
    """Of many bursts, how far each measure is from the truth, in units of its error."""
    far = []
    for event in range(1, 17):
        true = random_burst(event)
        write_waterfall(tmp_path / "burst.h5", true, event)
        data = normalised(read(tmp_path / "burst.h5"))
        step = data.sample / float(delays(data.frequency[-1:], 1.0, data.frequency[0])[0])
        # As the search leaves it: half a step away at most.
        found = measured(data, step * round(true.dm / step))
        far.append(((found.dm - true.dm) / found.dm_error, (found.width - true.width) / found.width_error))
    for pulls in np.array(far).T:
        assert np.abs(pulls).max() < 4
        assert abs(pulls.mean()) < 0.6
        assert 0.6 < pulls.std() < 1.5


def test_the_width_is_that_of_the_burst_and_not_of_the_channels(tmp_path: Path) -> None:
    # Across a channel at the bottom of the band it is dispersed over 5.2 ms.
    narrow = Burst(dm=900.0, width=3e-3, amplitude=3.0)
    write_waterfall(tmp_path / "narrow.h5", narrow, 5)
    found = measured(normalised(read(tmp_path / "narrow.h5")), 900.0)
    assert found.width == pytest.approx(narrow.width, abs=4 * found.width_error)
    assert found.width_error < 0.2e-3


def test_what_is_too_faint_to_be_measured_is_told(clean: Waterfall, burst: Burst) -> None:
    intensity = clean.intensity.copy()
    intensity[2:] = 0.0
    with pytest.raises(ValueError, match="too faint to be followed"):
        measured(clean._replace(intensity=intensity), burst.dm)


def test_noise_is_no_burst() -> None:
    rng = np.random.default_rng(3)
    frequency, time = np.linspace(1465.0, 1130.0, 64), 1e-3 * np.arange(1024)
    noise = Waterfall(rng.standard_normal((64, 1024)), frequency, time)
    with pytest.raises(ValueError, match="No burst stands out"):
        find(normalised(noise), 200.0)
