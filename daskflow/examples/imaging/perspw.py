"""The target's continuum, one image per spectral window."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from pydantic import BaseModel, ConfigDict

from daskflow import Context, flow, report, task
from daskflow.examples.imaging import pictures, qa
from daskflow.examples.imaging.clean import clean_stage, major, residual, restored, robust_noise
from daskflow.examples.imaging.deconvolution import minor_cycle
from daskflow.examples.imaging.dialogue import CleanOptions, guide
from daskflow.examples.imaging.exports import PRODUCTS, deposit, packed
from daskflow.examples.imaging.findcont import by_window, findcont_stage
from daskflow.examples.imaging.image import SKY, continuum, dirty


class Window(BaseModel):
    """The continuum image of one spectral window."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    spw: int
    """Spectral window."""
    peak: float
    """Highest pixel [Jy per beam]."""
    noise: float
    """Root mean square far from the source [Jy per beam]."""
    offset: tuple[float, float]
    """Distance of the peak from the phase centre, east and north [arcsec]."""


@task
def to_threshold(image: xr.Dataset, niter: int, threshold: float) -> xr.Dataset:
    """Run one minor cycle down to a threshold [Jy per beam], wherever it leads."""
    left, found, count = minor_cycle(
        image["residual"].values, image["psf"].values, niter=niter, gain=0.1, floor=threshold
    )
    cleaned = image.assign(residual=(SKY, left, image["residual"].attrs), model=image["model"] + found)
    return cleaned.assign_attrs(components=int(image.attrs["components"]) + count)


@task
def image_noise(image: xr.Dataset) -> float:
    """Estimate the noise of a dirty image [Jy per beam]."""
    return robust_noise(image["residual"].values, image["psf"].values)


@task
def inspect_windows(images: Sequence[xr.Dataset]) -> qa.Score:
    """Show the images; the score is the worst thermal noise over the noise reached."""
    report.table([measured(spw, image).model_dump() for spw, image in enumerate(images)], title="Continuum by window")
    for spw, image in enumerate(images):
        report.figure(pictures.clean_images(image), title=f"Continuum of spw {spw}")
    worst = min(float(image.attrs["thermal"] / image.attrs["noise"]) for image in images)
    return qa.judge("perspw", worst, "thermal noise over the noise reached in the worst window, at most one")


@task
def measured_windows(images: Sequence[xr.Dataset]) -> list[Window]:
    """Read off the images what they show."""
    return [measured(spw, image) for spw, image in enumerate(images)]


def measured(spw: int, image: xr.Dataset) -> Window:
    """Read peak, noise and place off a restored image."""
    attrs, cell = image.attrs, float(image.attrs["cell"])
    east, north = attrs["offset"]
    place = (float(east) * cell, float(north) * cell)
    return Window(spw=spw, peak=float(attrs["flux"]), noise=float(attrs["noise"]), offset=place)


@flow
def perspw_stage(
    calibrated: Sequence[xr.Dataset] | None = None,
    *,
    cell: float = 0.4,
    niter: int = 500,
    interactive: bool = False,
    products: Path = PRODUCTS,
) -> dict[str, Any]:
    """Image the continuum of each spectral window.

    Parameters
    ----------
    calibrated
        A dataset per spectral window and polarization, without the channels that hold a line; None calibrates the
        example's target.
    cell
        Side of a pixel [arcsec]; an image has 128 of them.
    niter
        Largest number of components, in a cycle where it is interactive.
    interactive
        Ask before each cycle how cleaning shall go on.
    products
        Directory of the FITS files.

    Returns
    -------
    dict
        ``data``: an image per spectral window; ``windows``: what they show; ``files``; ``score``.
    """
    visibilities = findcont_stage()["continuum"] if calibrated is None else calibrated
    windows = by_window(visibilities)
    clean = _guided if interactive else _cleaned
    images = [clean(parts, cell, niter, spw) for spw, parts in enumerate(windows)]
    files = {f"continuum-spw{spw}.fits": packed(image, windows[spw][0]) for spw, image in enumerate(images)}
    found, score = measured_windows(images), inspect_windows(images)
    paths = deposit(products, files)
    Context.load().add("products", {"files": paths}, stage="perspw")
    return {"data": images, "windows": found, "files": paths, "score": score}


def _cleaned(parts: Sequence[Any], cell: float, niter: int, _: int) -> Any:
    return clean_stage(parts, pixels=128, cell=cell, niter=niter)["data"]


def _guided(parts: Sequence[Any], cell: float, niter: int, spw: int) -> Any:
    def cycle(image: Any, options: CleanOptions) -> Any:
        cleaned = to_threshold(image, options.niter, options.threshold)
        return major(cleaned, [residual(one, cleaned) for one in parts], options.niter, 5.0)

    first = continuum([dirty(one, 128, cell) for one in parts])
    options = CleanOptions(niter=niter, threshold=5 * image_noise(first).result())
    return restored(guide(first, options, cycle, name=f"the continuum of spectral window {spw}"))


if __name__ == "__main__":
    perspw_stage()
