"""Gains that are known before they are solved."""

import numpy as np
import pytest

from daskflow.examples.imaging.solvers import (
    interval_of,
    legendre,
    phase_factors,
    refer,
    solve_bandpass,
    solve_gains,
    solve_intervals,
)
from daskflow.examples.imaging.visibilities import Baselines, Complex, Real

FIRST, SECOND = np.triu_indices(10, 1)
BASELINES = Baselines(FIRST, SECOND, 10)
RANDOM = np.random.default_rng(3)


def gains_of(*shape: int) -> Complex:
    random = np.random.default_rng(11)
    return np.asarray(random.uniform(0.5, 2, shape) * np.exp(1j * random.uniform(-np.pi, np.pi, shape)))


def weights_like(visibilities: Complex) -> Real:
    return np.random.default_rng(7).uniform(0.5, 1.5, visibilities.shape)


def test_known_gains_of_a_point_source_are_found_to_a_millionth() -> None:
    truth = gains_of(3, 5, 10)
    visibilities = BASELINES.product(truth)
    found = solve_gains(visibilities, weights_like(visibilities), BASELINES)
    assert np.abs(refer(found.values, 0) - refer(truth, 0)).max() < 1e-6


def test_tiny_gains_are_found_as_well() -> None:
    truth = 1e-3 * gains_of(10)
    found = solve_gains(BASELINES.product(truth), np.ones(45), BASELINES)
    assert np.abs(refer(found.values, 0) - refer(truth, 0)).max() < 1e-9


def test_phases_alone_are_found_and_amplitudes_stay_one() -> None:
    truth = phase_factors(gains_of(4, 10))
    found = solve_gains(BASELINES.product(truth), np.ones((4, 45)), BASELINES, phase_only=True)
    assert np.abs(found.values) == pytest.approx(1, abs=1e-8)
    assert np.abs(refer(found.values, 0) - refer(truth, 0)).max() < 1e-6


def test_an_antenna_without_data_has_no_gain_and_does_not_disturb_the_others() -> None:
    truth = gains_of(10)
    weights = np.where(BASELINES.touching(np.arange(10) == 4), 0.0, 1.0)
    found = solve_gains(BASELINES.product(truth), weights, BASELINES)
    others = np.arange(10) != 4
    assert found.values[4] == 0
    assert found.snr[4] == 0
    assert np.abs(refer(found.values, 0) - refer(truth, 0))[others].max() < 1e-6


def test_no_data_at_all_is_no_gain_at_all() -> None:
    found = solve_gains(np.zeros((2, 45), complex), np.zeros((2, 45)), BASELINES)
    assert (found.values == 0).all()


def test_the_signal_to_noise_is_that_of_many_trials() -> None:
    sigma = 0.3
    noise = sigma * (RANDOM.normal(size=(4000, 45)) + 1j * RANDOM.normal(size=(4000, 45)))
    found = solve_gains(np.asarray(1 + noise, np.complex128), np.full((4000, 45), sigma**-2), BASELINES)
    amplitudes = np.abs(found.values)
    assert amplitudes.std(axis=0) == pytest.approx(1 / np.median(found.snr), rel=0.1)


# The phase that all antennas share at a channel is seen by no baseline, and takes the form of a polynomial
# only slowly: some thousandths are left, far below the noise of any bandpass.
@pytest.mark.parametrize(("order", "tolerance"), [(None, 1e-6), (2, 5e-3)])
def test_the_bandpass_is_found_through_phases_that_wander_in_time(order: int | None, tolerance: float) -> None:
    coefficients = gains_of(3, 10) * np.array([[0], [0.1], [0.05]]) + np.array([[1], [0], [0]])
    shape = legendre(24, 2) @ coefficients
    shape /= np.sqrt((np.abs(shape) ** 2).mean(0))
    phases = phase_factors(gains_of(6, 10))
    visibilities = BASELINES.product(phases[:, None] * shape[None]).transpose(0, 2, 1)
    found = solve_bandpass(visibilities, np.ones(visibilities.shape), BASELINES, order=order, rounds=6)
    products, expected = BASELINES.product(found.values), BASELINES.product(shape)
    turn = phase_factors((products.conj() * expected).mean(0))
    assert np.abs(products * turn - expected).max() < tolerance


def test_a_free_bandpass_follows_every_channel() -> None:
    shape = gains_of(12, 10)
    shape /= np.sqrt((np.abs(shape) ** 2).mean(0))
    visibilities = BASELINES.product(shape).T[None].repeat(3, axis=0)
    found = solve_bandpass(visibilities, np.ones(visibilities.shape), BASELINES, order=None)
    assert np.abs(found.values) == pytest.approx(np.abs(shape), abs=1e-6)


def test_flagged_channels_have_no_bandpass() -> None:
    visibilities = BASELINES.product(gains_of(12, 10)).T[None]
    weights = np.ones(visibilities.shape)
    weights[:, :, :2] = 0
    found = solve_bandpass(visibilities, weights, BASELINES, order=1)
    assert (found.values[:2] == 0).all()
    assert (found.values[2:] != 0).all()


@pytest.mark.parametrize(
    ("length", "expected"),
    [(10, [0, 1, 2, 3, 4]), (20, [0, 0, 1, 1, 1]), (50, [0] * 5), (1e6, [0] * 5), (1, [0, 1, 2, 3, 4])],
)
def test_solution_intervals(length: float, expected: list[int]) -> None:
    assert interval_of(5, length, 10.0).tolist() == expected


def test_gains_hold_for_their_interval() -> None:
    truth = gains_of(2, 10)
    interval = np.array([0, 0, 1])
    visibilities = BASELINES.product(truth[interval])
    found = solve_intervals(visibilities, np.ones((3, 45)), BASELINES, interval=interval)
    assert np.abs(refer(found.values, 0) - refer(truth[interval], 0)).max() < 1e-6


def test_turning_to_a_reference_keeps_the_products() -> None:
    gains = gains_of(4, 10)
    turned = refer(gains, 6)
    assert np.abs(turned[:, 6].imag).max() < 1e-12
    assert np.abs(BASELINES.product(turned) - BASELINES.product(gains)).max() < 1e-12


def test_a_missing_reference_turns_nothing() -> None:
    gains = gains_of(10)
    gains[2] = 0
    assert (refer(gains, 2) == gains).all()
