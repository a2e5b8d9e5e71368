from __future__ import annotations

from pathlib import Path

import numpy as np

from daskflow.examples.burst.search import Waterfall
from daskflow.examples.burst.simulation import CHANNELS, SAMPLES, Burst, delays, random_burst, write_waterfall
from tests.examples.burst.files import read


def test_delays_are_those_of_a_cold_plasma() -> None:
    # The textbook's 4.15 ms for 1 pc/cm³ between 1 GHz and infinity.
    assert np.isclose(delays(np.array([1000.0]), 1.0, 1e9)[0], 4.148808e-3)
    late = delays(np.array([1400.0, 1200.0]), 300.0, 1400.0)
    assert late[0] == 0
    assert late[1] > 0


def test_the_file_has_shape_units_and_order(waterfall: Waterfall) -> None:
    assert waterfall.intensity.shape == (CHANNELS, SAMPLES)
    assert waterfall.intensity.dtype == np.float32
    assert (np.diff(waterfall.frequency) < 0).all()
    assert np.allclose(np.diff(waterfall.time), waterfall.sample)


def test_the_burst_comes_later_at_lower_frequencies(tmp_path: Path) -> None:
    loud = Burst(dm=300.0, width=5e-3, amplitude=200.0)
    write_waterfall(tmp_path / "loud.h5", loud, 1)
    data = read(tmp_path / "loud.h5")
    level = data.intensity - np.median(data.intensity, axis=1, keepdims=True)
    seen = data.time[level.argmax(axis=1)]
    expected = loud.arrival + delays(data.frequency, loud.dm, data.frequency[0])
    assert np.abs(seen - expected).max() < 2 * data.sample


def test_an_event_has_always_the_same_burst(tmp_path: Path) -> None:
    assert random_burst(4) == random_burst(4) != random_burst(5)
    for name in ("a.h5", "b.h5"):
        write_waterfall(tmp_path / name, random_burst(4), 4)
    assert np.array_equal(read(tmp_path / "a.h5").intensity, read(tmp_path / "b.h5").intensity)
