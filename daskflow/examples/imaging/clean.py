"""Seventh stage: the point spread function taken out of the continuum image, in minor and major cycles.

A minor cycle subtracts point sources from the image (`minor_cycle`); a major cycle subtracts the model from
the visibilities, spectral window by polarization, and images what is left, so that errors of the minor
cycle do not add up.

References
----------
F. R. Schwab (1984), "Relaxing the isoplanatism assumption in self-calibration",
https://doi.org/10.1086/113605, for the major cycle
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from daskflow import flow, report, task
from daskflow.examples.imaging import pictures, qa
from daskflow.examples.imaging.apply import apply_stage
from daskflow.examples.imaging.deconvolution import (
    Beam,
    fit_beam,
    minor_cycle,
    noise_of,
    peak_of,
    restore,
    without_peak,
)
from daskflow.examples.imaging.flagging import MAD_TO_SIGMA
from daskflow.examples.imaging.gridding import dirty_image, without
from daskflow.examples.imaging.image import SKY, continuum, dirty, grid_of
from daskflow.examples.imaging.visibilities import Mask, Real

CYCLES = 10
"""Most major cycles; three or four do for a point source."""
DEPTH = 0.1
"""A minor cycle stops at this share of the peak that it found: sidelobes are cleaned from fresh residuals."""
DEEP = 1.0
"""Where components stand already, cleaning goes on to so many standard deviations."""


def robust_noise(residual: Real, psf: Real) -> float:
    """Estimate noise by the median of what is left without the brightest source [unit of the image]."""
    return MAD_TO_SIGMA * float(np.median(np.abs(without_peak(residual, psf))))


def target(image: xr.Dataset, nsigma: float) -> tuple[float, Mask | None, bool]:
    """Say how deep to clean next, and where.

    The whole image is cleaned to `nsigma` standard deviations; then only the pixels that hold components,
    to one, as nothing but noise would be found elsewhere.

    Returns
    -------
    tuple
        Floor [Jy per beam], mask, and whether nothing is left to clean.
    """
    residual, found = image["residual"].values, image["model"].values != 0
    size, noise = np.abs(residual), robust_noise(residual, image["psf"].values)
    if size.max() > nsigma * noise:
        return max(nsigma * noise, DEPTH * float(size.max())), None, False
    return DEEP * noise, found, not found.any() or bool(size[found].max() <= 1.1 * DEEP * noise)


@task
def minor(image: xr.Dataset, niter: int, gain: float, nsigma: float) -> xr.Dataset:
    """Run one minor cycle; `niter` counts the components of all cycles together."""
    residual, before = image["residual"].values, int(image.attrs["components"])
    floor, mask, _ = target(image, nsigma)
    left, found, count = minor_cycle(
        residual, image["psf"].values, niter=niter - before, gain=gain, floor=floor, mask=mask
    )
    cleaned = image.assign(residual=(SKY, left, image["residual"].attrs), model=image["model"] + found)
    return cleaned.assign_attrs(components=before + count)


@task
def residual(calibrated: xr.Dataset, image: xr.Dataset) -> xr.DataArray:
    """Image what is left of one spectral window and polarization without the model, ``(l, m)`` [Jy]."""
    grid = grid_of(image)
    left = dirty_image(without(calibrated, image["model"].values, grid), grid)
    return xr.DataArray(left / image.attrs["weight"], dims=SKY, name="residual", attrs={"units": "Jy/beam"})


def joined(image: xr.Dataset, residuals: Sequence[xr.DataArray], *, niter: int, nsigma: float) -> xr.Dataset:
    """Add the residuals of all planes up, and note in the attributes whether there is more to clean."""
    left = np.sum([one.values for one in residuals], axis=0)
    fresh = image.assign(residual=(SKY, left, image["residual"].attrs))
    _, _, finished = target(fresh, nsigma)
    return fresh.assign_attrs(
        peak=float(np.abs(left).max()),
        threshold=nsigma * robust_noise(left, image["psf"].values),
        done=int(finished or int(image.attrs["components"]) >= niter),
    )


@task
def major(image: xr.Dataset, residuals: Sequence[xr.DataArray], niter: int, nsigma: float) -> xr.Dataset:
    """End a major cycle, see `joined`."""
    fresh = joined(image, residuals, niter=niter, nsigma=nsigma)
    report.metric("peak of the residual", float(fresh.attrs["peak"]), unit="Jy/beam")
    return fresh


@task
def restored(image: xr.Dataset) -> xr.Dataset:
    """Restore the components with the clean beam, and measure the image.

    Returns
    -------
    xr.Dataset
        With ``restored`` ``(l, m)`` [Jy per beam] and the attributes ``beam`` [arcsec, arcsec, deg],
        ``noise`` [Jy per beam], ``dynamic_range`` and ``offset`` [pixel].
    """
    grid = grid_of(image)
    beam = fit_beam(image["psf"].values, grid.twice())
    sky = restore(image["residual"].values, image["model"].values, beam, grid)
    (peak, east, north), noise = peak_of(sky), noise_of(sky, beam, grid)
    return image.assign(restored=(SKY, sky, {"units": "Jy/beam"})).assign_attrs(
        beam=[beam.major, beam.minor, beam.angle],
        flux=peak,
        noise=noise,
        thermal=float(image.attrs["weight"] ** -0.5),
        dynamic_range=peak / noise,
        offset=[east, north],
    )


def beam_of(image: xr.Dataset) -> Beam:
    """Read the clean beam of a restored image."""
    return Beam(*(float(value) for value in image.attrs["beam"]))


@task
def inspect_clean(image: xr.Dataset) -> qa.Score:
    """Show the restored image; the score is one where the residual is below the threshold."""
    attrs = image.attrs
    report.figure(pictures.clean_images(image), title="Restored image, residual and components")
    for name in ("flux", "noise", "thermal"):
        report.metric(name, float(attrs[name]), unit="Jy/beam")
    report.metric("dynamic range", float(attrs["dynamic_range"]))
    report.metric("components", int(attrs["components"]))
    return qa.judge("clean", attrs["threshold"] / attrs["peak"], "threshold over the residual's peak, at most one")


@flow
def clean_stage(
    calibrated: Sequence[xr.Dataset] | None = None,
    *,
    pixels: int = 256,
    cell: float = 0.2,
    niter: int = 500,
    gain: float = 0.1,
    nsigma: float = 5.0,
) -> dict[str, Any]:
    """Clean the continuum image until its residual is below the threshold, see `target`.

    Parameters
    ----------
    calibrated
        A dataset per spectral window and polarization; None calibrates the example's observation.
    pixels, cell
        Pixels along each side, and the side of a pixel [arcsec].
    niter
        Largest number of components.
    gain
        Share of a peak that one component takes.
    nsigma
        Threshold, in robust standard deviations of the residual. A snapshot has few independent samples of
        noise: with less than five, noise is cleaned away, and the dynamic range is better than it can be.

    Returns
    -------
    dict
        ``data``: the restored image with residual, model and point spread function; ``score``.
    """
    visibilities = apply_stage()["data"] if calibrated is None else calibrated
    image = continuum([dirty(one, pixels, cell) for one in visibilities])
    for _ in range(CYCLES):
        cleaned = minor(image, niter, gain, nsigma)
        image = major(cleaned, [residual(one, cleaned) for one in visibilities], niter, nsigma)
        if image.result().attrs["done"]:
            break
    final = restored(image)
    return {"data": final, "score": inspect_clean(final)}


if __name__ == "__main__":
    clean_stage()
