"""Which visibilities are not to be used, and how far the others are to be trusted."""

import numpy as np
import xarray as xr

from daskflow.examples.imaging.visibilities import (
    Baselines,
    Complex,
    Mask,
    Real,
    complex_of,
    replace,
    weights_of,
)

MAD_TO_SIGMA = 1.4826
"""A Gaussian's standard deviation over its median absolute deviation."""
DEAD = 0.3
"""An antenna whose products have less noise than this share of the median antenna's hears nothing."""


def flag_visibilities(data: xr.Dataset, *, edge: int, threshold: float) -> xr.Dataset:
    """Flag edges, dead antennas and outliers, and set the weights from the noise that the data show.

    Parameters
    ----------
    data
        One spectral window.
    edge
        Channels to drop at either end of the band, where the filters fall off.
    threshold
        Robust standard deviations from the median amplitude of a baseline beyond which a datum is an outlier.

    Returns
    -------
    xr.Dataset
        The same visibilities; ``weight`` is one over the variance of the real part, zero where flagged.
    """
    visibilities, weights = complex_of(data, "visibility"), weights_of(data)
    weights[:, :, edge_channels(data.sizes["channel"], edge)] = 0
    baselines = Baselines.of(data)
    dead = dead_antennas(channel_noise(visibilities, weights > 0), baselines)
    weights = np.where(baselines.touching(dead).T[None, :, None, :], 0, weights)
    weights = np.where(outliers(np.abs(visibilities), weights > 0, threshold), 0, weights)
    noise = channel_noise(visibilities, weights > 0)
    relative = weights / max(weights.max(), np.finfo(float).tiny)
    inverse = np.divide(1, noise**2, out=np.zeros_like(noise), where=noise > 0)
    flagged = replace(data, visibilities, relative * inverse[:, None, :])
    flagged["weight"].attrs["units"] = "1 / (unit of the visibilities)^2"
    return flagged


def edge_channels(channels: int, edge: int) -> Mask:
    """Mark the first and the last `edge` channels, ``(channel)``."""
    index = np.arange(channels)
    return (index < edge) | (index >= channels - edge)


def outliers(amplitudes: Real, usable: Mask, threshold: float) -> Mask:
    """Mark amplitudes far from the median of their baseline and polarization.

    Parameters
    ----------
    amplitudes
        ``(time, baseline, channel, polarization)``.
    usable
        What counts, in the same shape.
    threshold
        Distance in standard deviations, estimated as 1.4826 times the median absolute deviation.

    References
    ----------
    F. R. Hampel (1974), "The influence curve and its role in robust estimation",
    https://doi.org/10.1080/01621459.1974.10482962
    """
    centre = _median(amplitudes, usable)
    distance = np.abs(amplitudes - centre)
    sigma = MAD_TO_SIGMA * _median(distance, usable)
    return usable & (distance > threshold * sigma)


def _median(values: Real, usable: Mask) -> Real:
    """Take the median over time and channel; zero where nothing is usable."""
    held = np.where(usable, values, np.nan)
    held = np.where(usable.any(axis=(0, 2), keepdims=True), held, 0.0)
    return np.asarray(np.nanmedian(held, axis=(0, 2), keepdims=True))


def channel_noise(visibilities: Complex, usable: Mask) -> Real:
    """Estimate the noise of one visibility from the differences of neighbouring channels.

    Returns
    -------
    Real
        Standard deviation of the real part, ``(baseline, polarization)``, in the unit of the visibilities;
        zero where no two neighbours are usable.
    """
    both = usable[:, :, 1:] & usable[:, :, :-1]
    squares = (np.abs(np.diff(visibilities, axis=2)) ** 2 * both).sum((0, 2))
    # Two data, each with a real and an imaginary part: four variances in a squared difference.
    noise: Real = np.sqrt(squares / np.maximum(4 * both.sum((0, 2)), 1))
    return noise


def dead_antennas(noise: Real, baselines: Baselines) -> Mask:
    """Mark antennas that deliver no noise, hence no signal, ``(polarization, antenna)``.

    A receiver that is off gives products that are nearly zero: their tiny scatter would earn a huge weight.
    """
    index = np.arange(baselines.antennas)
    of_antenna = [(baselines.antenna1 == a) | (baselines.antenna2 == a) for a in index]
    level = np.stack([np.median(noise[rows], axis=0) for rows in of_antenna], axis=-1)
    dead: Mask = level < DEAD * np.median(level, axis=-1, keepdims=True)
    return dead
