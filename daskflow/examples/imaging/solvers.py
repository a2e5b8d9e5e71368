"""Gains of antennas from visibilities of a point source, by alternating least squares.

The model is ``V_ij = g_i conj(g_j)`` plus noise: data that were divided by their model, or of a point
source of 1 Jy at the phase centre. With all other gains held, the best gain of one antenna is a ratio of
two sums; all antennas take that step at once, and every second time half of it, which makes the iteration
converge (StefCal).

Notes
-----
A solution follows the noise of its own data a little: N antennas are fitted to N (N - 1) / 2 baselines, so
with 18 antennas one ninth of the noise power of each solution interval is fitted away, and the source gains a
little flux from noise that was turned into its direction. Long intervals, joined channels and
polarizations, and few free parameters along frequency keep that bias small.

References
----------
D. A. Mitchell et al. (2008), "Real-time calibration of the Murchison Widefield Array",
https://doi.org/10.1109/JSTSP.2008.2005327
S. Salvini and S. J. Wijnholds (2014), "Fast gain calibration in radio astronomy using alternating direction
implicit methods: Analysis and applications", https://doi.org/10.1051/0004-6361/201424487
"""

from dataclasses import dataclass

import numpy as np

from daskflow.examples.imaging.visibilities import Baselines, Complex, Index, Real, average, divide

ITERATIONS = 200
TOLERANCE = 1e-9
"""Largest change of a gain in one step, over the largest gain, at which the iteration ends."""


@dataclass(frozen=True, slots=True)
class Gains:
    """Gains of antennas with their signal to noise."""

    values: Complex
    """Gains, (..., antenna); zero where nothing is known. [square root of the unit of the visibilities]"""
    snr: Real
    """Size of each gain over the standard error of its real part, (..., antenna)."""


def solve_gains(
    visibilities: Complex,
    weights: Real,
    baselines: Baselines,
    *,
    basis: Real | None = None,
    phase_only: bool = False,
) -> Gains:
    """Solve the gains of all antennas, for each element of the leading dimensions by itself.

    Parameters
    ----------
    visibilities
        Visibilities over the model, ``(..., baseline)``.
    weights
        One over the variance of their real part, ``(..., baseline)``; zero where there is no datum.
    baselines
        The two antennas of each baseline.
    basis
        Functions along the last leading dimension, ``(channel, function)``; gains are then their
        combination with the least squares, instead of free at each channel.
    phase_only
        Hold the amplitudes at one.

    Returns
    -------
    Gains
        ``(..., antenna)``; their common phase is arbitrary, see `refer`.
    """
    matrix, weight = _fold(visibilities, weights, baselines)
    matrix *= weight
    present = weight.sum(-1) > 0
    gains = np.where(present, 1.0 if phase_only else _scale(matrix, weight), 0).astype(np.complex128)
    for iteration in range(ITERATIONS):
        before = gains
        gains = _step(matrix, weight, before, basis)
        if phase_only:
            gains = divide(gains, np.abs(gains))
        if iteration % 2:
            gains = (gains + before) / 2
        if np.abs(gains - before).max(initial=0) <= TOLERANCE * np.abs(gains).max(initial=0):
            break
    gains = np.where(present, gains, 0)
    return Gains(gains, np.abs(gains) * np.sqrt(_information(weight, gains)))


def _fold(visibilities: Complex, weights: Real, baselines: Baselines) -> tuple[Complex, Real]:
    """Write visibilities and weights as Hermitian matrices, ``(..., antenna, antenna)``."""
    shape = (*visibilities.shape[:-1], baselines.antennas, baselines.antennas)
    matrix, weight = np.zeros(shape, np.complex128), np.zeros(shape)
    first, second = baselines.antenna1, baselines.antenna2
    matrix[..., first, second], weight[..., first, second] = visibilities, weights
    matrix[..., second, first], weight[..., second, first] = visibilities.conj(), weights
    return matrix, weight


def _scale(weighted: Complex, weight: Real) -> Real:
    """Guess one amplitude for all antennas: the root of the mean visibility, ``(..., 1)``."""
    mean = divide(np.abs(weighted).sum((-2, -1)), weight.sum((-2, -1)))
    return np.asarray(np.sqrt(mean)[..., None])


def _information(weight: Real, gains: Complex) -> Real:
    return np.asarray((weight @ (np.abs(gains) ** 2)[..., None])[..., 0])


def _step(weighted: Complex, weight: Real, gains: Complex, basis: Real | None) -> Complex:
    projection = (weighted @ gains[..., None])[..., 0]
    information = _information(weight, gains)
    if basis is None:
        return divide(projection, information)
    return _fit(projection, information, basis)


def _fit(projection: Complex, information: Real, basis: Real) -> Complex:
    """Fit the functions of `basis` to the gains of each antenna, ``(channel, antenna)``."""
    normal = np.einsum("ck,ca,cl->akl", basis, information, basis)
    # An antenna without data has a normal matrix of zeros; one in its place leaves its gains at zero.
    normal[information.sum(0) == 0] = np.eye(basis.shape[1])
    right = np.einsum("ck,ca->ak", basis, projection)
    coefficients: Complex = np.linalg.solve(normal, right[..., None])[..., 0]
    return basis @ coefficients.T


def refer(gains: Complex, reference: int) -> Complex:
    """Turn all phases so that the reference antenna has phase zero, where it has a gain."""
    phase = gains[..., reference : reference + 1]
    return gains * np.where(phase == 0, 1, np.exp(-1j * np.angle(phase)))


def legendre(channels: int, order: int) -> Real:
    """Give Legendre polynomials up to `order` along the band, ``(channel, order + 1)``."""
    return np.asarray(np.polynomial.legendre.legvander(np.linspace(-1, 1, channels), order), np.float64)


def phase_factors(gains: Complex) -> Complex:
    """Keep the phases of gains, with amplitude one; zero stays zero."""
    return divide(gains, np.abs(gains))


def solve_bandpass(
    visibilities: Complex, weights: Real, baselines: Baselines, *, order: int | None, rounds: int = 3
) -> Gains:
    """Solve gains along frequency, free of what the atmosphere does to the phases along time.

    Phases per integration and gains per channel are solved in turns, each from data corrected with the other
    and averaged: over channels for the one, over time for the other.

    Parameters
    ----------
    visibilities, weights
        ``(time, baseline, channel)``.
    order
        Degree of the Legendre polynomials along frequency; None leaves every channel free.

    Returns
    -------
    Gains
        ``(channel, antenna)`` with a root mean square of one over channels; the signal to noise is that of
        an antenna in one integration, joined over channels: the median over time, ``(antenna)``.
    """
    channels = visibilities.shape[2]
    basis = None if order is None else legendre(channels, order)
    shape = np.ones((channels, baselines.antennas), np.complex128)
    used = weights.sum((0, 1)) > 0
    for _ in range(rounds):
        along_time = solve_gains(*_corrected(visibilities, weights, baselines.product(shape).T[None], 2), baselines)
        phases = baselines.product(along_time.values)[:, :, None]
        mean, total = _corrected(visibilities, weights, phases, 0)
        shape = solve_gains(mean.T, total.T, baselines, basis=basis).values
        shape = divide(shape, np.sqrt((np.abs(shape[used]) ** 2).mean(0)))
    return Gains(shape, np.median(along_time.snr, axis=0))


def _corrected(visibilities: Complex, weights: Real, gains: Complex, axis: int) -> tuple[Complex, Real]:
    """Divide by the gains of the baselines, scale the weights alike, and average."""
    return average(divide(visibilities, gains), weights * np.abs(gains) ** 2, axis)


def interval_of(times: int, length: float, integration: float) -> Index:
    """Number the solution interval of each integration; the last may be longer than `length` seconds."""
    per_interval = max(1, round(length / integration))
    count = max(1, times // per_interval)
    return np.minimum(np.arange(times) // per_interval, count - 1)


def solve_intervals(
    visibilities: Complex,
    weights: Real,
    baselines: Baselines,
    *,
    interval: Index,
    phase_only: bool = False,
) -> Gains:
    """Solve one set of gains for each solution interval and repeat it for its integrations.

    Parameters
    ----------
    visibilities, weights
        Over the model, ``(time, baseline)``.
    interval
        Number of the solution interval of each integration, ``(time)``.

    Returns
    -------
    Gains
        ``(time, antenna)``.
    """
    members = [interval == number for number in range(int(interval.max()) + 1)]
    means = [average(visibilities[held], weights[held], 0) for held in members]
    mean, total = (np.stack(parts) for parts in zip(*means, strict=True))
    found = solve_gains(mean, total, baselines, phase_only=phase_only)
    return Gains(found.values[interval], found.snr[interval])
