"""Images of single channels: a cube ``(channel, l, m)``, cleaned channel by channel.

The point spread function of a window's middle serves all its channels: along 8 MHz at 36 GHz it grows by two
parts in ten thousand. What that leaves behind, the major cycle takes from the visibilities.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from daskflow.examples.imaging.deconvolution import Beam, fit_beam, minor_cycle, restore
from daskflow.examples.imaging.flagging import MAD_TO_SIGMA
from daskflow.examples.imaging.gridding import Grid, dirty_image, point_spread, without
from daskflow.examples.imaging.image import PSF, SKY, grid_of
from daskflow.examples.imaging.visibilities import Real, divide, weights_of

CUBE = ("channel", *SKY)
DEPTH = 0.2
"""A minor cycle stops at this share of the highest peak: what lies deeper is cleaned from fresh residuals."""


def channel_weights(parts: Sequence[xr.Dataset]) -> Real:
    """Sum the weights of each channel over polarizations, ``(channel)`` [1 / Jy^2]."""
    return np.asarray(sum(weights_of(one).sum((0, 1, 3)) for one in parts), np.float64)


def channel_images(parts: Sequence[xr.Dataset], grid: Grid) -> Real:
    """Image each channel of one spectral window with natural weights, ``(channel, l, m)`` [Jy per beam].

    Parameters
    ----------
    parts
        The polarizations of the window.
    """
    weights = channel_weights(parts)
    total = np.zeros((len(weights), grid.pixels, grid.pixels))
    for channel in np.flatnonzero(weights):
        total[channel] = sum(dirty_image(one.isel(channel=[channel]), grid) for one in parts)
    return divide(total, weights[:, None, None])


def dirty_cube(parts: Sequence[xr.Dataset], grid: Grid) -> xr.Dataset:
    """Image each channel of one spectral window, with nothing taken out yet.

    Returns
    -------
    xr.Dataset
        ``residual`` and ``model`` ``(channel, l, m)``, ``psf`` on twice the grid, ``weight`` ``(channel)``;
        channels without data are zero.
    """
    first, weights = parts[0], channel_weights(parts)
    psf = np.sum([point_spread(one, grid) for one in parts], axis=0) / weights.sum()
    residual = channel_images(parts, grid)
    return xr.Dataset(
        {
            "residual": (CUBE, residual, {"units": "Jy/beam"}),
            "model": (CUBE, np.zeros_like(residual), {"units": "Jy/pixel"}),
            "psf": (PSF, psf, {"units": "1"}),
            "weight": ("channel", weights, {"units": "1 / Jy^2"}),
        },
        coords={
            **{axis: (axis, grid.offsets, {"units": "arcsec"}) for axis in SKY},
            "channel": np.arange(len(weights)),
            "frequency": first["frequency"],
        },
        attrs={"cell": grid.cell, "spw": first.attrs["spw"], "components": 0},
    )


def channel_noise(cube: xr.Dataset) -> float:
    """Estimate the noise of one channel by the median of all pixels [Jy per beam]."""
    held = cube["residual"].values[cube["weight"].values > 0]
    return MAD_TO_SIGMA * float(np.median(np.abs(held)))


def peak_left(cube: xr.Dataset) -> float:
    """Give the largest absolute pixel of what is not cleaned yet [Jy per beam]."""
    return float(np.abs(cube["residual"].values).max())


def clean_cycle(
    cube: xr.Dataset, parts: Sequence[xr.Dataset], *, niter: int, threshold: float, gain: float = 0.1
) -> xr.Dataset:
    """Clean the channels that reach above the threshold, then image anew what is left of them.

    Parameters
    ----------
    parts
        The visibilities that the cube was made of.
    niter
        Largest number of components in each channel.
    threshold
        Absolute peak at which a channel is clean [Jy per beam].
    """
    grid, psf = grid_of(cube), cube["psf"].values
    residual, model = cube["residual"].values.copy(), cube["model"].values.copy()
    floor, count = max(threshold, DEPTH * peak_left(cube)), 0
    for channel in np.flatnonzero(np.abs(residual).max((1, 2)) > floor):
        _, found, done = minor_cycle(residual[channel], psf, niter=niter, gain=gain, floor=floor)
        model[channel] += found
        residual[channel] = _left(parts, model[channel], int(channel), grid)
        count += done
    after = cube.assign(residual=(CUBE, residual, cube["residual"].attrs), model=(CUBE, model, cube["model"].attrs))
    return after.assign_attrs(components=int(cube.attrs["components"]) + count)


def _left(parts: Sequence[xr.Dataset], model: Real, channel: int, grid: Grid) -> Real:
    held = [one.isel(channel=[channel]) for one in parts]
    weight = sum(float(weights_of(one).sum()) for one in held)
    return np.asarray(sum(dirty_image(without(one, model, grid), grid) for one in held) / weight)


def restored_cube(cube: xr.Dataset) -> xr.Dataset:
    """Draw the components of all channels as clean beams over the residual.

    Returns
    -------
    xr.Dataset
        With ``restored`` ``(channel, l, m)`` [Jy per beam] and the attributes ``beam`` [arcsec, arcsec, deg]
        and ``noise`` [Jy per beam].
    """
    grid = grid_of(cube)
    beam = fit_beam(cube["psf"].values, grid.twice())
    sky = np.stack([_restored(cube, channel, beam, grid) for channel in range(cube.sizes["channel"])])
    attrs = {"beam": [beam.major, beam.minor, beam.angle], "noise": channel_noise(cube)}
    return cube.assign(restored=(CUBE, sky, {"units": "Jy/beam"})).assign_attrs(attrs)


def _restored(cube: xr.Dataset, channel: int, beam: Beam, grid: Grid) -> Real:
    return restore(cube["residual"].values[channel], cube["model"].values[channel], beam, grid)
