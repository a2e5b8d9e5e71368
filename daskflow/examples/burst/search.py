"""Finds a dispersed burst in a dynamic spectrum, and measures it."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import erf

from daskflow.examples.burst.simulation import delays

_WIDTHS = (1, 2, 4, 8, 16, 32)
"""Lengths of the boxcars that the burst is looked for with [samples]."""
_NOISY = 4.0
"""A channel whose noise differs by so many standard deviations from that of most is left out."""
_TO_SIGMA = 1.4826
"""A median absolute deviation, times this, is the standard deviation of Gaussian noise."""
_TOGETHER = 8
"""So many neighbouring channels, and trials, are taken together in the search."""
_PARTS = 8
"""The band is divided into so many parts, in each of which the arrival is measured."""
_LIKELY = 6e-3
"""Where a fit of the width begins [s]."""
_NARROWEST = 1e-9
"""Widths are at least this where something is divided by them [s]."""
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
    """Full width at half maximum, without what dispersion within channels adds to it [s]."""
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
    part of the band; a line through the arrivals gives the dispersion measure and its error. The width is that of a
    Gaussian which, smeared as each channel smears it, fits the profile.

    References
    ----------
    J. Cordes and M. McLaughlin 2003, https://doi.org/10.1086/378231, section 2
    """
    step = data.sample / float(delays(data.frequency[-1:], 1.0, data.frequency[0])[0])
    trials = np.arange(0.0, dm_max + step, step)
    strengths = np.array([_strength(profile) for profile in _profiles(data, trials)])
    best = float(trials[strengths.argmax()])
    if strengths.max() < 8.0:
        raise ValueError(f"No burst stands out: the strongest peak is {strengths.max():.1f} times the noise.")
    return measured(data, best)._replace(snr=float(strengths.max()), trials=(trials, strengths))


def measured(data: Waterfall, trial: float) -> Found:
    """Measure the burst whose dispersion measure is this, but for a step or two [pc / cm^3].

    Raises
    ------
    ValueError
        It is too faint.
    """
    profile = dedispersed(data, trial).sum(axis=0) / _noise(data)
    try:
        (_, arrival, broad), _ = _fit(profile, data.time)
    except RuntimeError:
        raise ValueError("The burst is too faint for its arrival to be measured.") from None
    dm, dm_error, late = _by_arrivals(data, trial, arrival, broad)
    width, width_error = _width(data, dm, late, broad)
    snr = _strength(dedispersed(data, dm).sum(axis=0) / _noise(data))
    return Found(dm, dm_error, snr, late, width, width_error, (np.array([dm]), np.array([snr])))


def _by_arrivals(data: Waterfall, dm: float, arrival: float, width: float) -> tuple[float, float, float]:
    """Dispersion measure, its error [pc / cm^3], and arrival at the top of the band [s], by arrivals in its parts."""
    shifts = np.rint(delays(data.frequency, dm, data.frequency[0]) / data.sample) * data.sample
    straight = dedispersed(data, dm)
    points = []
    for part in np.array_split(np.flatnonzero(straight.any(axis=1)), _PARTS):
        profile = straight[part].sum(axis=0) / np.sqrt(max(len(part), 1))
        with suppress(RuntimeError):  # in this part the burst is too faint
            (_, centre, _), errors = _fit(profile, data.time, (arrival, width))
            if abs(centre - arrival) < width:
                delay = delays(data.frequency[part], 1.0, data.frequency[0]).mean()
                points.append((delay, centre + shifts[part].mean(), errors[1]))
    if len(points) < 3:
        raise ValueError("The burst is too faint to be followed through the band.")
    delay, late, error = np.array(points).T
    (slope, start), covariance = np.polyfit(delay, late, 1, w=1 / error, cov="unscaled")
    return float(slope), float(np.sqrt(covariance[0, 0])), float(start)


def _width(data: Waterfall, dm: float, arrival: float, broad: float) -> tuple[float, float]:
    """Full width at half maximum of the burst itself, and its standard error [s]."""
    frequency = data.frequency[data.intensity.any(axis=1)][:, None]
    half = 0.5 * abs(float(data.frequency[1] - data.frequency[0]))
    exact = delays(frequency, dm, data.frequency[0])
    # Channels are moved by whole samples; and within each the burst comes later at its bottom than at its top.
    rest = exact - np.rint(exact / data.sample) * data.sample
    smear = np.maximum(delays(frequency - half, dm, 1.0) - delays(frequency + half, dm, 1.0), _NARROWEST)

    def smeared(t: np.ndarray, height: float, centre: float, width: float) -> np.ndarray:
        root = np.sqrt(2) * max(abs(width), _NARROWEST) / _FWHM
        late = t - centre - rest
        mean = (erf((late + smear / 2) / root) - erf((late - smear / 2) / root)) * root / smear
        profile: np.ndarray = height * mean.mean(axis=0)
        return profile

    profile = dedispersed(data, dm).sum(axis=0) / _noise(data)
    near = np.abs(data.time - arrival) < _NEAR
    begin = (float(profile[near].max()), arrival, max(broad / 2, data.sample))
    try:
        values, errors = _fitted(smeared, data.time[near], profile[near], begin)
    except RuntimeError:
        raise ValueError("The burst is too faint for its width to be measured.") from None
    return abs(float(values[2])), float(errors[2])


def _noise(data: Waterfall) -> float:
    """Standard deviation of the sum of all good channels."""
    return float(np.sqrt(np.count_nonzero(data.intensity.any(axis=1))))


def _profiles(data: Waterfall, trials: np.ndarray) -> Iterator[np.ndarray]:
    """The profile for each trial, in units of its noise.

    Some neighbouring channels are added up without the dispersion of a trial in the middle of some others, whose
    delays differ by less than a quarter of a sample there; for the others these sums are moved as a whole.
    """
    begins = np.arange(0, len(data.frequency), _TOGETHER)
    late = delays(data.frequency, 1.0, data.frequency[0]) / data.sample
    each = np.add.reduceat(late, begins) / np.diff(np.append(begins, len(late)))
    noise = _noise(data)
    for first in range(0, len(trials), _TOGETHER):
        block = trials[first : first + _TOGETHER]
        middle = float(block[len(block) // 2])
        sums = np.add.reduceat(dedispersed(data, middle), begins, axis=0)
        for dm in block:
            shifts = np.rint((dm - middle) * each).astype(int)
            yield np.sum([np.roll(row, -shift) for row, shift in zip(sums, shifts, strict=True)], axis=0) / noise


def _strength(profile: np.ndarray) -> float:
    """Signal over noise of the best boxcar."""
    total = np.concatenate([[0.0], np.cumsum(profile)])
    return max(float((total[width:] - total[:-width]).max() / np.sqrt(width)) for width in _WIDTHS)


def _fitted(
    function: Callable[..., np.ndarray], time: np.ndarray, profile: np.ndarray, begin: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Three parameters and their standard errors, where the noise of the profile is 1.

    Raises
    ------
    RuntimeError
        It does not fit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        noise = np.ones(len(time))
        values, covariance = curve_fit(function, time, profile, p0=begin, sigma=noise, absolute_sigma=True)
    if not np.isfinite(covariance).all():
        raise RuntimeError("The errors of the fit are infinite.")
    return values, np.sqrt(np.diag(covariance))


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
    values, errors = _fitted(gaussian, time[near], profile[near], start)
    return (float(values[0]), float(values[1]), abs(float(values[2]))), errors
