"""Where in a cube the line is, and how strong."""

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict
from scipy.optimize import curve_fit

from daskflow.examples.imaging.deconvolution import FWHM, peak_of
from daskflow.examples.imaging.uvfits import SPEED_OF_LIGHT
from daskflow.examples.imaging.visibilities import Mask, Real

DETECTED = 6.0
"""Least peak over noise of a line, in a cube of a million pixels."""
GAUSSIAN_AREA = float(np.sqrt(2 * np.pi) / FWHM)
"""A Gaussian's area over the product of its peak and its full width at half maximum."""


class Line(BaseModel):
    """A line that was found."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    spw: int
    """Spectral window."""
    channel: float
    """Channel of the peak, counted from zero."""
    frequency: float
    """Frequency of the peak [GHz]."""
    width: float
    """Full width at half maximum [km/s]."""
    channels: float
    """The same [channel]."""
    offset: tuple[float, float]
    """Distance from the phase centre, east and north [arcsec]."""
    peak: float
    """Flux density at the peak of the fitted Gaussian [Jy]."""
    flux: float
    """Flux density integrated over the line [Jy km/s]."""
    snr: float
    """Highest pixel over the noise of a channel."""


def gaussian(channel: Real, peak: float, centre: float, width: float) -> Real:
    """Draw a line with its full width at half maximum, ``(channel)``."""
    return np.asarray(peak * np.exp(-(((channel - centre) / width * FWHM) ** 2) / 2))


def find_line(cube: xr.Dataset) -> Line | None:
    """Find the strongest line of a restored cube of a point source; None where there is none."""
    sky, noise = cube["restored"].values, float(cube.attrs["noise"])
    place = np.unravel_index(int(np.argmax(sky)), sky.shape)
    snr = float(sky[place]) / noise
    if snr < DETECTED:
        return None
    peak, centre, width = _fit(sky[:, place[1], place[2]], cube["weight"].values > 0, int(place[0]))
    frequency = cube["frequency"].values
    step = abs(float(frequency[1] - frequency[0]))
    at = float(np.interp(centre, np.arange(len(frequency)), frequency))
    velocity = width * step / at * SPEED_OF_LIGHT / 1e3
    return Line(
        spw=int(cube.attrs["spw"]),
        channel=centre,
        frequency=at / 1e9,
        width=velocity,
        channels=width,
        offset=_place(sky, centre, width, float(cube.attrs["cell"])),
        peak=peak,
        flux=GAUSSIAN_AREA * peak * velocity,
        snr=snr,
    )


def _fit(spectrum: Real, used: Mask, highest: int) -> tuple[float, float, float]:
    """Fit a Gaussian to the spectrum of one pixel: peak, centre and width in channels."""
    channel = np.arange(len(spectrum))[used]
    start = (float(spectrum[highest]), float(highest), 3.0)
    bounds = ([0.0, 0.0, 0.5], [np.inf, len(spectrum) - 1.0, float(len(spectrum))])
    found, _ = curve_fit(gaussian, channel, spectrum[used], p0=start, bounds=bounds)
    return float(found[0]), float(found[1]), float(found[2])


def _place(sky: Real, centre: float, width: float, cell: float) -> tuple[float, float]:
    """Find the place of the line in the mean of its channels, weighted as the line is: the matched filter."""
    total = np.tensordot(gaussian(np.arange(len(sky), dtype=np.float64), 1.0, centre, width), sky, axes=1)
    _, east, north = peak_of(total)
    return east * cell, north * cell
