"""Sixth stage: dirty images by spectral window and polarization, and the continuum that they make."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from daskflow import flow, report, task
from daskflow.examples.imaging import pictures, qa
from daskflow.examples.imaging.apply import apply_stage
from daskflow.examples.imaging.deconvolution import fit_beam, noise_of, peak_of, without_peak
from daskflow.examples.imaging.gridding import Grid, dirty_image, point_spread
from daskflow.examples.imaging.visibilities import Real, weights_of

SKY = ("l", "m")
PSF = ("psf_l", "psf_m")


def grid_of(image: xr.Dataset) -> Grid:
    """Read the grid of an image dataset."""
    return Grid(image.sizes["l"], float(image.attrs["cell"]))


def as_image(grid: Grid, residual: Real, psf: Real, weight: float) -> xr.Dataset:
    """Put an image that nothing is taken from yet into a dataset.

    Parameters
    ----------
    residual, psf
        Weighted means, ``(l, m)`` and twice that [Jy per beam].
    weight
        Sum of the weights [1 / Jy^2].
    """
    return xr.Dataset(
        {
            "residual": (SKY, residual, {"units": "Jy/beam"}),
            "model": (SKY, np.zeros_like(residual), {"units": "Jy/pixel"}),
            "psf": (PSF, psf, {"units": "1"}),
        },
        coords={axis: (axis, grid.offsets, {"units": "arcsec"}) for axis in SKY},
        attrs={"cell": grid.cell, "weight": weight, "components": 0},
    )


@task
def dirty(calibrated: xr.Dataset, pixels: int, cell: float) -> xr.Dataset:
    """Image one spectral window and polarization with natural weights.

    Returns
    -------
    xr.Dataset
        ``residual`` is the dirty image, ``(l, m)`` [Jy per beam], ``psf`` the point spread function on
        twice the grid.
    """
    grid, weight = Grid(pixels, cell), float(weights_of(calibrated).sum())
    scale = 1 / weight if weight > 0 else 0.0
    image = as_image(grid, dirty_image(calibrated, grid) * scale, point_spread(calibrated, grid) * scale, weight)
    return image.assign_attrs(label=qa.label(calibrated))


@task
def continuum(planes: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join the images of all spectral windows and polarizations, by their weights, to Stokes I."""
    weights = np.array([plane.attrs["weight"] for plane in planes])
    residual, psf = (
        np.average([plane[name].values for plane in planes], axis=0, weights=weights) for name in ("residual", "psf")
    )
    return as_image(grid_of(planes[0]), residual, psf, float(weights.sum())).assign_attrs(label="continuum")


def measured(image: xr.Dataset) -> dict[str, Any]:
    """Measure the peak, its place and the noise of a dirty image, for one row of a table."""
    grid, residual = grid_of(image), image["residual"].values
    beam = fit_beam(image["psf"].values, grid.twice())
    peak, east, north = peak_of(residual)
    alone = without_peak(residual, image["psf"].values)
    return {
        "image": image.attrs["label"],
        "peak [Jy/beam]": round(peak, 4),
        "offset [pixel]": round(float(np.hypot(east, north)), 3),
        "peak / rms": round(peak / noise_of(residual, beam, grid), 1),
        "peak / rms without the source": round(peak / noise_of(alone, beam, grid), 1),
        "beam [arcsec]": f"{beam.major:.2f} x {beam.minor:.2f}",
    }


@task
def inspect_images(planes: Sequence[xr.Dataset], joined: xr.Dataset) -> qa.Score:
    """Show the dirty images; the score falls with the distance of the source from the phase centre."""
    report.table([measured(plane) for plane in (*planes, joined)], title="Dirty images")
    report.figure(pictures.dirty_images(planes, joined), title="Dirty images and point spread function")
    _, east, north = peak_of(joined["residual"].values)
    beam = fit_beam(joined["psf"].values, grid_of(joined).twice())
    distance = float(np.hypot(east, north)) * joined.attrs["cell"]
    report.metric("offset", distance, unit="arcsec")
    return qa.judge("image", 1 - distance / beam.minor, "one less the source's offset in beam widths")


@flow
def image_stage(
    calibrated: Sequence[xr.Dataset] | None = None, *, pixels: int = 256, cell: float = 0.2
) -> dict[str, Any]:
    """Image all spectral windows and polarizations side by side and join them.

    Parameters
    ----------
    calibrated
        A dataset per spectral window and polarization; None calibrates the example's observation.
    pixels
        Pixels along each side of the image.
    cell
        Side of a pixel [arcsec].

    Returns
    -------
    dict
        ``planes``: an image per spectral window and polarization; ``data``: the continuum image; ``score``.
    """
    visibilities = apply_stage()["data"] if calibrated is None else calibrated
    planes = [dirty(one, pixels, cell) for one in visibilities]
    joined = continuum(planes)
    return {"planes": planes, "data": joined, "score": inspect_images(planes, joined)}


if __name__ == "__main__":
    image_stage()
