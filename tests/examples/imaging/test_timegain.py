"""The branches of the gains along time, simulated and real."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.bandpass import bandpass
from daskflow.examples.imaging.gain import coherence, gain
from daskflow.examples.imaging.solvers import refer
from daskflow.examples.imaging.timegain import Choice, carried, choose, drift
from daskflow.examples.imaging.visibilities import Baselines, complex_of

Observe = Callable[..., xr.Dataset]


def drifting(observe: Observe) -> tuple[list[xr.Dataset], list[np.ndarray]]:
    """Two windows with gains of their own and one drift; and the true gains of their first polarization."""
    random = np.random.default_rng(9)
    common = np.exp(1j * np.arange(4)[:, None] * random.normal(0, 0.2, 8))
    truth = [common * random.uniform(0.5, 2, 8) * np.exp(1j * random.uniform(-3, 3, 8)) for _ in range(2)]
    windows = [observe(gains=np.broadcast_to(one[:, None, None], (4, 16, 2, 8))) for one in truth]
    return [window.assign_attrs(spw=spw) for spw, window in enumerate(windows)], truth


def test_the_branch_follows_the_signal_to_noise() -> None:
    assert choose([11.0, 12.0], 10.0) == Choice("per-spw", 1)
    assert choose([11.0, 9.0], 10.0) == Choice("best-spw", 0)
    assert choose([9.0, 9.5], 10.0) == Choice("combined", 1)
    assert choose([3.0, 2.0], 10.0) == Choice("global", 0)


@pytest.mark.parametrize("sources", [[0], [0, 1]], ids=["best window", "all windows"])
def test_a_drift_is_carried_to_the_other_window(observe: Observe, sources: list[int]) -> None:
    windows, truth = drifting(observe)
    shapes = [bandpass.function(window, "RR", 0, 1) for window in windows]
    phases = drift.function([windows[one] for one in sources], [shapes[one] for one in sources], 10.0)
    found = carried.function(windows[1], shapes[1], phases)
    assert np.abs(refer(complex_of(found, "gain"), 0) - refer(truth[1], 0)).max() < 1e-3
    assert coherence(found) == pytest.approx(1, abs=1e-5)


def test_the_real_drift_is_common_to_both_windows(flagged: list[xr.Dataset]) -> None:
    shapes = [bandpass.function(window, "RR", 3, 1) for window in flagged]
    phases = drift.function([flagged[0]], [shapes[0]], 30.0)
    followed = carried.function(flagged[1], shapes[1], phases)
    still = gain.function(flagged[1], shapes[1], None, None)
    assert coherence(followed) > coherence(still)


def test_antennas_without_data_do_not_drift(observe: Observe) -> None:
    windows, _ = drifting(observe)
    lost = Baselines.of(windows[0]).touching(np.arange(8) == 5)
    windows[0]["flag"][:, lost] = True
    phases = drift.function([windows[0]], [bandpass.function(windows[0], "RR", 0, 1)], 10.0)
    assert (complex_of(phases, "drift")[:, 5] == 1).all()
