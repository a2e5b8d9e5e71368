"""Gains along time, simulated and real."""

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.bandpass import bandpass
from daskflow.examples.imaging.gain import band_average, coherence, gain, solve_gain
from daskflow.examples.imaging.solvers import refer
from daskflow.examples.imaging.visibilities import Baselines, Complex, complex_of, select

FIRST, SECOND = np.triu_indices(8, 1)
BASELINES = Baselines(FIRST, SECOND, 8)


def drifting(times: int) -> Complex:
    random = np.random.default_rng(4)
    amplitude = random.uniform(0.5, 2, 8)
    phase = random.uniform(-3, 3, 8) + np.arange(times)[:, None] * random.normal(0, 0.2, 8)
    return np.asarray(amplitude * np.exp(1j * phase))


def test_gains_of_single_integrations_are_found() -> None:
    truth = drifting(6)
    found, _ = solve_gain(
        BASELINES.product(truth),
        np.ones((6, 28)),
        BASELINES,
        interval=np.arange(6),
        calibrator=np.ones(6, bool),
    )
    assert np.abs(refer(found.values, 0) - refer(truth, 0)).max() < 1e-6


def test_amplitudes_do_not_lose_what_phases_do() -> None:
    truth = drifting(6)
    found, instant = solve_gain(
        BASELINES.product(truth),
        np.ones((6, 28)),
        BASELINES,
        interval=np.zeros(6, int),
        calibrator=np.ones(6, bool),
    )
    assert np.abs(found.values) == pytest.approx(np.abs(truth), abs=1e-6)
    assert (found.values == found.values[0]).all()
    assert np.abs(refer(instant, 0) - refer(truth / np.abs(truth), 0)).max() < 1e-6


def test_after_the_calibrator_the_last_solution_holds() -> None:
    truth = drifting(6)
    found, _ = solve_gain(
        BASELINES.product(truth),
        np.ones((6, 28)),
        BASELINES,
        interval=np.arange(6),
        calibrator=np.arange(6) < 2,
    )
    solved = refer(found.values, 0)
    assert np.abs(solved[:2] - refer(truth, 0)[:2]).max() < 1e-6
    assert (solved[2:] == solved[1]).all()


def test_the_scan_is_coherent_and_a_calibrator_part_less_so(flagged: list[xr.Dataset]) -> None:
    shape = bandpass.function(flagged[0], "RR", 3, 1)
    whole = coherence(gain.function(flagged[0], shape, None, None))
    part = coherence(gain.function(flagged[0], shape, None, 20.0))
    single = coherence(gain.function(flagged[0], shape, 10.0, None))
    assert single == pytest.approx(1, abs=1e-6)
    assert 0.98 < whole < 1
    assert part < whole


def test_unsolved_antennas_have_no_weight_in_the_band_average(flagged: list[xr.Dataset]) -> None:
    shape = bandpass.function(flagged[1], "RR", 3, 1)
    one = select(flagged[1], "RR")
    _, weights = band_average(one, shape)
    missing = Baselines.of(one).touching(~shape["solved"].values)
    assert (weights[:, missing] == 0).all()
    assert (weights[1:, ~missing] > 0).all()


def test_a_gain_is_that_of_a_jansky(flagged: list[xr.Dataset]) -> None:
    shape = bandpass.function(flagged[0], "LL", 3, 1)
    found = gain.function(flagged[0], shape, None, None)
    amplitude = np.abs(complex_of(found, "gain"))[:, found["solved"].values.all(axis=0)]
    assert 0.005 < amplitude.min() < amplitude.max() < 0.2
