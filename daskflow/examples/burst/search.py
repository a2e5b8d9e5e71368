"""Finds a dispersed burst in a dynamic spectrum, and measures it."""

from contextlib import suppress
from typing import NamedTuple

import numpy as np
from scipy.optimize import curve_fit

from daskflow.examples.burst.simulation import delays

_WIDTHS = (1, 2, 4, 8, 16, 32)
"""Lengths of the boxcars that the burst is looked for with [samples]."""
_NOISY = 4.0
"""A channel whose noise differs by so many standard deviations from that of most is left out."""
_TO_SIGMA = 1.4826
"""A median absolute deviation, times this, is the standard deviation of Gaussian noise."""
_PARTS = 8
"""The band is divided into so many parts, in each of which the arrival is measured."""
_LIKELY = 6e-3
"""Where a fit of the width begins [s]."""
_NEAR = 0.06
"""So much before and after the peak is fitted [s]."""
_FWHM = float(np.sqrt(8 * np.log(2)))


class Waterfall(NamedTuple):
    """A dynamic spectrum."""

    intensity: np.ndarray
    """Shape (frequency, time)."""
    frequency: np.ndarray
    """Shape (frequency), from the top down [MHz]."""
    time: np.ndarray
    """Shape (time) [s]."""

    @property
    def sample(self) -> float:
        """Time of a sample [s]."""
        return float(self.time[1] - self.time[0])


class Found(NamedTuple):
    """A burst that was found."""

    dm: float
    """Dispersion measure [pc / cm^3]."""
    dm_error: float
    """Its standard error [pc / cm^3]."""
    snr: float
    """Peak over noise, in the boxcar that fits best."""
    arrival: float
    """When it reaches the top of the band [s]."""
    width: float
    """Full width at half maximum [s]."""
    width_error: float
    """Its standard error [s]."""
    trials: tuple[np.ndarray, np.ndarray]
    """Dispersion measures that were tried first, and what signal over noise each gave."""


def normalised(data: Waterfall) -> Waterfall:
    """Each channel with a mean of 0 and noise of 1; channels of interference are 0."""
    middle = np.median(data.intensity, axis=1, keepdims=True)
    steps = np.diff(data.intensity, axis=1)
    # Noise from one sample to the next, which the burst hardly touches, against the spread of all samples.
    noise = _TO_SIGMA * np.median(np.abs(steps), axis=1, keepdims=True) / np.sqrt(2)
    spread = _TO_SIGMA * np.median(np.abs(data.intensity - middle), axis=1, keepdims=True)
    excess = spread / np.where(noise > 0, noise, np.inf)
    typical = np.median(excess)
    deviation = max(_TO_SIGMA * float(np.median(np.abs(excess - typical))), 1e-6)
    good = (noise > 0) & (np.abs(excess - typical) < _NOISY * deviation)
    clean = np.where(good, (data.intensity - middle) / np.where(good, spread, 1.0), 0.0)
    return data._replace(intensity=clean.astype(np.float64))


def dedispersed(data: Waterfall, dm: float) -> np.ndarray:
    """The dynamic spectrum with the delays of a dispersion measure taken out, shape (frequency, time)."""
    shifts = np.rint(delays(data.frequency, dm, data.frequency[0]) / data.sample).astype(int)
    return np.stack([np.roll(row, -shift) for row, shift in zip(data.intensity, shifts, strict=True)])


def find(data: Waterfall, dm_max: float) -> Found:
    """Find the strongest burst.

    Parameters
    ----------
    data
        Normalised.
    dm_max
        The largest dispersion measure that is tried [pc / cm^3].

    Raises
    ------
    ValueError
        Nothing stands out of the noise.

    Notes
    -----
    Dispersion measures are tried in steps that move the bottom of the band by one sample; for each, boxcars are moved
    over the mean of the channels. With the best one the burst is straight enough to measure when it arrives in each
    part of the band; a line through the arrivals gives the dispersion measure and its error.

    References
    ----------
    J. Cordes and M. McLaughlin 2003, https://doi.org/10.1086/378231, section 2
    """
    step = data.sample / float(delays(data.frequency[-1:], 1.0, data.frequency[0])[0])
    trials = np.arange(0.0, dm_max + step, step)
    strengths = np.array([_strength(data, dm) for dm in trials])
    best = float(trials[strengths.argmax()])
    if strengths.max() < 8.0:
        raise ValueError(f"No burst stands out: the strongest peak is {strengths.max():.1f} times the noise.")
    profile = dedispersed(data, best).sum(axis=0) / _noise(data)
    (_, arrival, width), errors = _fit(profile, data.time)
    dm, dm_error, late = _by_arrivals(data, best, arrival, width)
    return Found(dm, dm_error, float(strengths.max()), late, width, float(errors[2]), (trials, strengths))


def _by_arrivals(data: Waterfall, dm: float, arrival: float, width: float) -> tuple[float, float, float]:
    """Dispersion measure, its error [pc / cm^3], and arrival at the top of the band [s], by arrivals in its parts."""
    shifts = np.rint(delays(data.frequency, dm, data.frequency[0]) / data.sample) * data.sample
    straight = dedispersed(data, dm)
    points = []
    for part in np.array_split(np.flatnonzero(straight.any(axis=1)), _PARTS):
        profile = straight[part].sum(axis=0) / np.sqrt(max(len(part), 1))
        with suppress(RuntimeError):  # in this part the burst is too faint
            (_, centre, _), errors = _fit(profile, data.time, (arrival, width))
            if abs(centre - arrival) < width and np.isfinite(errors[1]):
                delay = delays(data.frequency[part], 1.0, data.frequency[0]).mean()
                points.append((delay, centre + shifts[part].mean(), errors[1]))
    if len(points) < 3:
        raise ValueError("The burst is too faint to be followed through the band.")
    delay, late, error = np.array(points).T
    (slope, start), covariance = np.polyfit(delay, late, 1, w=1 / error, cov="unscaled")
    return float(slope), float(np.sqrt(covariance[0, 0])), float(start)


def _noise(data: Waterfall) -> float:
    """Standard deviation of the sum of all good channels."""
    return float(np.sqrt(np.count_nonzero(data.intensity.any(axis=1))))


def _strength(data: Waterfall, dm: float) -> float:
    """Signal over noise of the best boxcar."""
    total = np.concatenate([[0.0], np.cumsum(dedispersed(data, dm).sum(axis=0) / _noise(data))])
    return max(float((total[width:] - total[:-width]).max() / np.sqrt(width)) for width in _WIDTHS)


def _fit(
    profile: np.ndarray, time: np.ndarray, guess: tuple[float, float] | None = None
) -> tuple[tuple[float, float, float], np.ndarray]:
    """Height, time [s] and full width at half maximum [s] of the peak of a profile, and their standard errors.

    The noise of the profile is 1. The `guess` is of time and width; without one, the strongest peak is fitted.
    """

    def gaussian(t: np.ndarray, height: float, centre: float, width: float) -> np.ndarray:
        return height * np.exp(-0.5 * ((t - centre) * _FWHM / width) ** 2)

    smooth = np.convolve(profile, np.ones(4) / 4, "same")
    centre, width = guess or (float(time[smooth.argmax()]), _LIKELY)
    near = np.abs(time - centre) < _NEAR
    start = (float(profile[near].max()), centre, width)
    noise = np.ones(int(near.sum()))
    values, covariance = curve_fit(gaussian, time[near], profile[near], p0=start, sigma=noise, absolute_sigma=True)
    return (float(values[0]), float(values[1]), abs(float(values[2]))), np.sqrt(np.diag(covariance))
