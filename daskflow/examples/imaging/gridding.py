"""Images of visibilities and visibilities of images, by ducc0's w-gridder.

Images have the dimensions ``(l, m)``: direction cosines, l growing to the east and m to the north; the
phase centre is the pixel ``(n / 2, n / 2)``.

References
----------
P. Arras et al. (2021), "Efficient wide-field radio interferometry response",
https://doi.org/10.1051/0004-6361/202039723; https://gitlab.mpcdf.mpg.de/mtr/ducc
"""

from dataclasses import dataclass
from typing import Any

import ducc0
import numpy as np
import numpy.typing as npt
import xarray as xr

from daskflow.examples.imaging.visibilities import Complex, Real, complex_of, replace, weights_of

ARCSEC = np.pi / 180 / 3600
"""[rad]"""
ACCURACY = 1e-6
"""Relative error that the gridder may make."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixels of an image."""

    pixels: int = 256
    """Pixels along each side; even."""
    cell: float = 0.2
    """Side of a pixel [arcsec]."""

    @property
    def offsets(self) -> Real:
        """Distance of each pixel from the phase centre along one axis [arcsec]."""
        return np.asarray((np.arange(self.pixels) - self.pixels // 2) * self.cell, np.float64)

    def twice(self) -> "Grid":
        """Give the grid of the point spread function, which reaches from any pixel to any other."""
        return Grid(2 * self.pixels, self.cell)


def dirty_image(data: xr.Dataset, grid: Grid) -> Real:
    """Sum the weighted visibilities into an image, ``(l, m)``.

    Returns
    -------
    Real
        Sum of weight times visibility; over the sum of the weights it is the dirty image. [unit of the
        visibilities]
    """
    return _summed(data, complex_of(data, "visibility"), grid)


def point_spread(data: xr.Dataset, grid: Grid) -> Real:
    """Sum the image of a point source of 1 Jy at the phase centre, on twice the grid, ``(l, m)``."""
    return _summed(data, np.ones(data["flag"].shape, np.complex128), grid.twice())


def _summed(data: xr.Dataset, visibilities: Complex, grid: Grid) -> Real:
    total = np.zeros((grid.pixels, grid.pixels))
    weights = weights_of(data)
    for index in range(data.sizes["polarization"]):
        total += ducc0.wgridder.vis2dirty(
            vis=_rows(visibilities[..., index]),
            wgt=_rows(weights[..., index]),
            npix_x=grid.pixels,
            npix_y=grid.pixels,
            **_geometry(data, grid),
        )
    return total


def predict(data: xr.Dataset, model: Real, grid: Grid) -> Complex:
    """Compute visibilities of a model [Jy per pixel] where the data are: ``(time, baseline, channel)``."""
    rows = ducc0.wgridder.dirty2vis(dirty=np.ascontiguousarray(model, np.float64), **_geometry(data, grid))
    return np.asarray(rows, np.complex128).reshape(data["flag"].shape[:3])


def without(data: xr.Dataset, model: Real, grid: Grid) -> xr.Dataset:
    """Subtract the visibilities of a model image from the data."""
    residual = complex_of(data, "visibility") - predict(data, model, grid)[..., None]
    return replace(data, residual, weights_of(data))


def _rows(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Put times and baselines into one axis, as the gridder wants them: ``(row, channel)``."""
    return np.ascontiguousarray(values.reshape(-1, values.shape[-1]))


def _geometry(data: xr.Dataset, grid: Grid) -> dict[str, Any]:
    side = grid.cell * ARCSEC
    return {
        "uvw": np.ascontiguousarray(data["uvw"].values.reshape(-1, 3)),
        "freq": data["frequency"].values,
        "pixsize_x": side,
        "pixsize_y": side,
        "epsilon": ACCURACY,
        "do_wgridding": True,
        # ducc counts w against the sense of u and v.
        "flip_w": True,
        "nthreads": 1,
    }
