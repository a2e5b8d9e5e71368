"""A target whose answer is known: a line and a continuum source, seen through the real array.

There is no second source in the example's scan, so the target is made: a sky with known places and flux
densities is sampled at the uv points of the scan, spoilt by the gains that the real calibrator shows, and
buried in noise of the size that the real data have. Nothing of the sky enters the calibration, which has only
the calibrator's own data to go by.

References
----------
A. R. Thompson, J. M. Moran, G. W. Swenson (2017), "Interferometry and Synthesis in Radio Astronomy",
https://doi.org/10.1007/978-3-319-44431-4
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict

from daskflow.examples.imaging.deconvolution import FWHM
from daskflow.examples.imaging.gridding import ARCSEC
from daskflow.examples.imaging.uvfits import SPEED_OF_LIGHT
from daskflow.examples.imaging.visibilities import (
    STOKES_I,
    Baselines,
    Complex,
    Real,
    complex_of,
    replace,
    weights_of,
)


class Source(BaseModel):
    """A point on the sky: a continuum, and perhaps a line upon it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    offset: tuple[float, float]
    """Distance from the phase centre, east and north [arcsec]."""
    continuum: float = 0.0
    """Flux density, the same at all frequencies [Jy]."""
    line: float = 0.0
    """Flux density of the line at its peak [Jy]."""
    channel: float = 0.0
    """Channel of the peak, counted from zero."""
    width: float = 1.0
    """Full width of the line at half its peak [channel]."""
    spw: int = 0
    """Spectral window of the line."""

    def spectrum(self, spw: int, channels: int) -> Real:
        """Give the flux density in each channel of a spectral window, ``(channel)`` [Jy]."""
        distance = (np.arange(channels) - self.channel) / self.width * FWHM
        line = self.line * np.exp(-(distance**2) / 2) if spw == self.spw else np.zeros(channels)
        return np.asarray(self.continuum + line, np.float64)


LINE = Source(offset=(4.0, -6.0), line=1.5, channel=37.4, width=5.0, spw=0)
"""Five channels are 5 km/s here: the width of a line from a molecular cloud."""
CONTINUUM = Source(offset=(-3.0, 2.0), continuum=0.4)
SKY = (LINE, CONTINUUM)
"""What the simulated target is."""


def true_visibilities(data: xr.Dataset, sky: tuple[Source, ...]) -> Complex:
    """Compute what a perfect array sees of point sources, ``(time, baseline, channel)`` [Jy].

    The sum is direct, not gridded, so that simulation and imaging share no code.
    """
    frequency, spw = data["frequency"].values, int(data.attrs["spw"])
    seen = np.zeros(data["flag"].shape[:3], np.complex128)
    for source in sky:
        east, north = (side * ARCSEC for side in source.offset)
        direction = np.array([east, north, np.sqrt(1 - east**2 - north**2) - 1])
        turns = (data["uvw"].values @ direction)[..., None] * frequency / SPEED_OF_LIGHT
        seen += source.spectrum(spw, len(frequency)) * np.exp(-2j * np.pi * turns)
    return seen


def observe(
    raw: xr.Dataset, flagged: xr.Dataset, gains: Complex, *, sky: tuple[Source, ...] = SKY, seed: int = 20100426
) -> xr.Dataset:
    """Replace the source of a raw observation by another one, seen by the same array in the same weather.

    Parameters
    ----------
    raw
        One spectral window as it was read.
    flagged
        The same with weights of one over the variance: they say how strong the noise is.
    gains
        Gains of the antennas for the polarizations of `STOKES_I`, which alone are simulated,
        ``(time, channel, polarization, antenna)`` [square root of correlation per Jy].

    Returns
    -------
    xr.Dataset
        Raw visibilities of the target, ``(time, baseline, channel, polarization)``.
    """
    data = raw.sel(polarization=list(STOKES_I))
    factor = np.moveaxis(Baselines.of(data).product(gains), -1, 1)
    signal = true_visibilities(data, sky)[..., None] * factor
    random = np.random.default_rng([seed, int(data.attrs["spw"])])
    noise = random.normal(size=(*signal.shape, 2)) @ np.array([1, 1j])
    sigma = noise_level(data, flagged.sel(polarization=list(STOKES_I)))
    target = replace(data, signal + sigma * noise, weights_of(data))
    return target.assign_attrs(object="simulated target", source=f"{data.attrs['source']}, simulated")


def noise_level(raw: xr.Dataset, flagged: xr.Dataset) -> Real:
    """Give the standard deviation of the real part of each raw visibility [correlation].

    Where everything of a baseline is flagged its noise is not known, and taken as that of the median baseline:
    nothing of it is used anyway.
    """
    weights = weights_of(flagged)
    relative = raw["weight"].values.astype(np.float64)
    scale = np.divide(weights, relative, out=np.zeros_like(weights), where=relative > 0)
    best = scale.max(axis=(0, 2), keepdims=True)
    best = np.where(best > 0, best, np.median(best[best > 0]))
    variance = np.divide(1, relative * best, out=np.zeros_like(weights), where=relative > 0)
    return np.asarray(np.sqrt(variance))


def gains_of(shapes: Sequence[xr.Dataset], solutions: Sequence[xr.Dataset]) -> Complex:
    """Compose gains from bandpasses and gains of the calibrator, one for each polarization.

    The phases are those of the single integrations: the weather as it was, which no calibration with longer
    intervals takes off entirely.

    Returns
    -------
    Complex
        ``(time, channel, polarization, antenna)``.
    """
    along_band = [complex_of(one, "gain") * one["solved"].values for one in shapes]
    along_time = [np.abs(complex_of(one, "gain")) * complex_of(one, "instant") for one in solutions]
    both = [time[:, None] * band[None] for time, band in zip(along_time, along_band, strict=True)]
    return np.stack(both, axis=2)
