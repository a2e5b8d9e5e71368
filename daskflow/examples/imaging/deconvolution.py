"""Deconvolving an image: Högbom's minor cycle, the clean beam, the restored image, and what is read off it.

References
----------
J. A. Högbom (1974), "Aperture synthesis with a non-regular distribution of interferometer baselines",
https://ui.adsabs.harvard.edu/abs/1974A&AS...15..417H
"""

import math
from dataclasses import dataclass

import numpy as np

from daskflow.examples.imaging.gridding import Grid
from daskflow.examples.imaging.visibilities import Mask, Real

FWHM = math.sqrt(8 * math.log(2))
"""A Gaussian's full width at half maximum over its standard deviation."""
MAIN_LOBE = 0.35
"""The clean beam is fitted to the point spread function where this is more than that share of its peak."""
OFF_SOURCE = 5
"""Noise is taken further than so many beam widths from the peak."""


@dataclass(frozen=True, slots=True)
class Beam:
    """An elliptical Gaussian with a peak of one."""

    major: float
    """Full width at half maximum of the long axis [arcsec]."""
    minor: float
    """The same of the short axis [arcsec]."""
    angle: float
    """Position angle of the long axis, from north through east [deg]."""

    def image(self, grid: Grid) -> Real:
        """Draw the beam around the pixel of the phase centre, ``(l, m)``."""
        angle = np.deg2rad(self.angle)
        east, north = grid.offsets[:, None], grid.offsets[None, :]
        along = (east * np.sin(angle) + north * np.cos(angle)) / self.major
        across = (east * np.cos(angle) - north * np.sin(angle)) / self.minor
        return np.asarray(np.exp(-(along**2 + across**2) * FWHM**2 / 2))


def minor_cycle(
    residual: Real, psf: Real, *, niter: int, gain: float, floor: float, mask: Mask | None = None
) -> tuple[Real, Real, int]:
    """Take point sources out of an image until its peak is at the floor.

    Parameters
    ----------
    residual
        Image to clean, ``(l, m)`` [Jy per beam].
    psf
        Point spread function with a peak of one on twice the pixels, ``(2 l, 2 m)``.
    niter
        Largest number of components.
    gain
        Share of a peak that one component takes.
    floor
        Absolute peak at which to stop [Jy per beam].
    mask
        Where components may stand; None is everywhere.

    Returns
    -------
    tuple
        What is left, the components [Jy per pixel], and their number.
    """
    left, model = residual.copy(), np.zeros_like(residual)
    rows, columns = residual.shape
    allowed = np.ones(residual.shape) if mask is None else mask.astype(np.float64)
    for done in range(niter):
        x, y = np.unravel_index(np.argmax(np.abs(left) * allowed), left.shape)
        if abs(left[x, y]) * allowed[x, y] <= floor:
            return left, model, done
        flux = gain * left[x, y]
        model[x, y] += flux
        left -= flux * psf[rows - x : 2 * rows - x, columns - y : 2 * columns - y]
    return left, model, niter


def without_peak(residual: Real, psf: Real) -> Real:
    """Subtract a point source with all the flux of the largest absolute pixel, ``(l, m)``.

    A bright source shows its sidelobes all over the image; noise is to be measured without them.
    """
    x, y = np.unravel_index(np.argmax(np.abs(residual)), residual.shape)
    rows, columns = residual.shape
    return np.asarray(residual - residual[x, y] * psf[rows - x : 2 * rows - x, columns - y : 2 * columns - y])


def fit_beam(psf: Real, grid: Grid) -> Beam:
    """Fit an elliptical Gaussian to the main lobe of a point spread function on `grid`, ``(l, m)``.

    The logarithm of a Gaussian is a quadratic form, so that the fit is linear.
    """
    half = psf.shape[0] // 2
    peak = psf[half, half]
    lobe = _connected(psf > MAIN_LOBE * peak, half)
    east, north = (grid.offsets[index] for index in np.nonzero(lobe))
    terms = np.stack([east**2, 2 * east * north, north**2], -1)
    height = np.log(psf[lobe] / peak)
    form, *_ = np.linalg.lstsq(terms * psf[lobe][:, None], -2 * height * psf[lobe], rcond=None)
    values, vectors = np.linalg.eigh([[form[0], form[1]], [form[1], form[2]]])
    major, minor = FWHM / np.sqrt(values)
    angle = np.rad2deg(np.arctan2(vectors[0, 0], vectors[1, 0]))
    return Beam(float(major), float(minor), float((angle + 90) % 180 - 90))


def _connected(mask: Mask, centre: int) -> Mask:
    """Keep the part of a mask that hangs together with its central pixel."""
    seen = np.zeros_like(mask)
    seen[centre, centre] = True
    while True:
        grown = seen.copy()
        grown[1:] |= seen[:-1]
        grown[:-1] |= seen[1:]
        grown[:, 1:] |= seen[:, :-1]
        grown[:, :-1] |= seen[:, 1:]
        grown &= mask
        if (grown == seen).all():
            return seen
        seen = grown


def restore(residual: Real, model: Real, beam: Beam, grid: Grid) -> Real:
    """Draw each component as a clean beam over the residual, ``(l, m)`` [Jy per beam]."""
    restored = residual.copy()
    drawn = beam.image(grid.twice())
    rows, columns = residual.shape
    for x, y in zip(*np.nonzero(model), strict=True):
        restored += model[x, y] * drawn[rows - x : 2 * rows - x, columns - y : 2 * columns - y]
    return restored


def peak_of(image: Real) -> tuple[float, float, float]:
    """Find the highest pixel and, by a parabola along either axis, the place of the maximum.

    Returns
    -------
    tuple
        Peak [unit of the image], and its distance from the phase centre along l and m [pixels].
    """
    x, y = np.unravel_index(np.argmax(image), image.shape)
    half_x, half_y = image.shape[0] // 2, image.shape[1] // 2
    along_x, along_y = image[:, y], image[x, :]
    return float(image[x, y]), x - half_x + _vertex(along_x, int(x)), y - half_y + _vertex(along_y, int(y))


def _vertex(line: Real, index: int) -> float:
    """Give the distance of a parabola's vertex from the highest of its three points."""
    if not 0 < index < len(line) - 1:
        return 0.0
    before, peak, after = line[index - 1 : index + 2]
    curvature = before - 2 * peak + after
    return 0.0 if curvature == 0 else float((before - after) / (2 * curvature))


def off_source(image: Real, beam: Beam, grid: Grid) -> Mask:
    """Mark the pixels that lie further than a few beams from the peak, ``(l, m)``."""
    x, y = np.unravel_index(np.argmax(image), image.shape)
    offsets = grid.offsets
    distance = np.hypot(offsets[:, None] - offsets[x], offsets[None, :] - offsets[y])
    return np.asarray(distance > OFF_SOURCE * beam.major)


def noise_of(image: Real, beam: Beam, grid: Grid) -> float:
    """Measure the root mean square far from the source [unit of the image]."""
    return float(np.sqrt(np.mean(image[off_source(image, beam, grid)] ** 2)))
