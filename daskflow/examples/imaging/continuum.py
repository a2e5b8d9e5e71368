"""Which channels hold a line, and the continuum taken off the visibilities.

References
----------
T. J. Cornwell, J. M. Uson, N. Haddad (1992), "Radio-interferometric imaging of spectral lines: the problem of
continuum subtraction", https://ui.adsabs.harvard.edu/abs/1992A&A...258..583C
T. R. Hunter et al. (2023), "The ALMA Interferometric Pipeline Heuristics",
https://doi.org/10.1088/1538-3873/ace216, for the search of line-free channels
R. J. Sault (1994), "An analysis of visibility-based continuum subtraction",
https://ui.adsabs.harvard.edu/abs/1994A&AS..107...55S
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from daskflow.examples.imaging.flagging import MAD_TO_SIGMA
from daskflow.examples.imaging.gridding import Grid
from daskflow.examples.imaging.solvers import legendre
from daskflow.examples.imaging.spectral import channel_images, channel_weights
from daskflow.examples.imaging.visibilities import Complex, Mask, Real, complex_of, replace, weights_of

COARSE = Grid(64, 0.8)
"""The pixels on which lines are looked for: a third of a beam is enough."""
LINE_PEAK = 8.0
"""A pixel whose spectrum has a peak over median absolute deviation of less shows no line."""
LINE_SIGMA = 4.0
"""A channel further from the median of the mean spectrum holds a line."""
MARGIN = 2
"""So many channels beside a line are not trusted to be continuum."""


class TooFewChannels(ValueError):
    """A window has too few channels of continuum for the fit. Lower the order, or leave the continuum in."""

    transient = False


@dataclass(frozen=True, slots=True)
class Spectrum:
    """What the channels of one spectral window show."""

    mean: Real
    """Mean of the pixels that show a line, or of all where none does, (channel) [Jy per beam]."""
    continuum: Mask
    """Which channels hold nothing but continuum, (channel)."""
    peak_over_mad: float
    """Largest deviation of a pixel along its spectrum, in robust standard deviations."""


def find_spectrum(parts: Sequence[xr.Dataset], grid: Grid = COARSE) -> Spectrum:
    """Look for lines in the images of all channels.

    The pixels that stand out along frequency are averaged to one spectrum, in which a line stands out more than
    in any pixel, wherever in the field it comes from.

    Parameters
    ----------
    parts
        The polarizations of one spectral window, calibrated.
    """
    used = channel_weights(parts) > 0
    images = channel_images(parts, grid)
    height = peak_over_mad(images[used])
    highest = float(height.max())
    chosen = height > highest / 2 if highest > LINE_PEAK else np.ones_like(height, bool)
    mean = images[:, chosen].mean(axis=1)
    return Spectrum(mean, used & ~line_channels(mean, used, highest), highest)


def peak_over_mad(images: Real) -> Real:
    """Give the highest deviation from the median along channels, in robust standard deviations, ``(l, m)``."""
    deviation = np.abs(images - np.median(images, axis=0))
    sigma = MAD_TO_SIGMA * np.median(deviation, axis=0)
    return np.asarray(deviation.max(axis=0) / sigma)


def line_channels(mean: Real, used: Mask, highest: float) -> Mask:
    """Mark the channels of a mean spectrum that hold a line, with their margin, ``(channel)``."""
    deviation = np.abs(mean - np.median(mean[used]))
    sigma = MAD_TO_SIGMA * float(np.median(deviation[used]))
    line = used & (deviation > LINE_SIGMA * sigma) & (highest > LINE_PEAK)
    reach = np.ones(2 * MARGIN + 1)
    return np.asarray(np.convolve(line, reach, mode="same") > 0)


def subtract_continuum(data: xr.Dataset, continuum: Mask, order: int = 1) -> xr.Dataset:
    """Fit a polynomial along frequency to each visibility's continuum and subtract it.

    Parameters
    ----------
    data
        Calibrated visibilities ``(time, baseline, channel, polarization)``.
    continuum
        Which channels to fit, ``(channel)``.
    order
        Degree of the polynomial.

    Raises
    ------
    TooFewChannels
        There are not more than twice as many channels as terms.
    """
    basis = legendre(data.sizes["channel"], order)
    if continuum.sum() <= 2 * basis.shape[1]:
        raise TooFewChannels(f"{int(continuum.sum())} channels for order {order}: {TooFewChannels.__doc__}")
    weights = weights_of(data) * continuum[:, None]
    fitted = _fitted(complex_of(data, "visibility"), weights, basis)
    return replace(data, complex_of(data, "visibility") - fitted, weights_of(data))


def _fitted(values: Complex, weights: Real, basis: Real) -> Complex:
    """Give the polynomials, ``(time, baseline, channel, polarization)``; zero where nothing can be fitted."""
    normal = np.einsum("ck,tbcp,cl->tbpkl", basis, weights, basis, optimize=True)
    # As many channels as terms at least, or the matrix cannot be inverted.
    few = (weights > 0).sum(axis=2) < basis.shape[1]
    normal[few] = np.eye(basis.shape[1])
    right = np.einsum("ck,tbcp->tbpk", basis, weights * values, optimize=True)
    right[few] = 0
    found: Complex = np.linalg.solve(normal, right[..., None])[..., 0]
    return np.asarray(np.einsum("ck,tbpk->tbcp", basis, found, optimize=True), np.complex128)
