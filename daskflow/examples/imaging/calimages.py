"""Images of the calibrators: whether the calibration holds, and the first products.

A calibrator is a point source at the phase centre. Whatever else its image shows, calibration did not take off.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from daskflow import Context, flow, report, task
from daskflow.examples.imaging import pictures, qa
from daskflow.examples.imaging.apply import apply, inspect_calibration
from daskflow.examples.imaging.bandpass import bandpass_stage
from daskflow.examples.imaging.calibrators import BRIEF_OUTAGE, SCANS, calibrators_stage
from daskflow.examples.imaging.clean import joined, minor, residual, restored
from daskflow.examples.imaging.exports import PRODUCTS, deposit, packed
from daskflow.examples.imaging.flag import flag_stage
from daskflow.examples.imaging.image import continuum, dirty
from daskflow.examples.imaging.timegain import timegain_stage
from daskflow.examples.imaging.visibilities import STOKES_I

CYCLES = 4


@task
def calibrator_image(calibrated: Sequence[xr.Dataset], name: str, pixels: int, cell: float) -> xr.Dataset:
    """Clean the continuum of one calibrator from all windows and polarizations, see `restored`."""
    start, end = SCANS[name]
    parts = [one.isel(time=(one["time"].values >= start) & (one["time"].values < end)) for one in calibrated]
    image = continuum.function([dirty.function(one, pixels, cell) for one in parts])
    for _ in range(CYCLES):
        cleaned = minor.function(image, 500, 0.1, 5.0)
        image = joined(cleaned, [residual.function(one, cleaned) for one in parts], niter=500, nsigma=5.0)
        if image.attrs["done"]:
            break
    return restored.function(image).assign_attrs(label=name)


@task
def inspect_calibrators(images: Sequence[xr.Dataset]) -> qa.Score:
    """Show the images; the score is the worst thermal noise over the noise reached."""
    report.table([_described(image) for image in images], title="Calibrators")
    for image in images:
        report.figure(pictures.clean_images(image), title=f"Calibrator {image.attrs['label']}")
    worst = min(float(image.attrs["thermal"] / image.attrs["noise"]) for image in images)
    return qa.judge("calibrators", worst, "thermal noise over the noise reached by the worst calibrator, at most one")


def _described(image: xr.Dataset) -> dict[str, Any]:
    attrs = image.attrs
    return {
        "calibrator": attrs["label"],
        "peak [Jy/beam]": round(float(attrs["flux"]), 4),
        "noise [mJy/beam]": round(1e3 * float(attrs["noise"]), 3),
        "thermal noise [mJy/beam]": round(1e3 * float(attrs["thermal"]), 3),
        "offset [pixel]": round(float(np.hypot(*attrs["offset"])), 3),
    }


@flow
def calimages_stage(
    flagged: Sequence[xr.Dataset] | None = None,
    bandpasses: Sequence[xr.Dataset] | None = None,
    gains: Sequence[xr.Dataset] | None = None,
    *,
    cell: float = 0.4,
    failures: bool = False,
    products: Path = PRODUCTS,
) -> dict[str, Any]:
    """Calibrate the calibrators, image each, and write the images as FITS files.

    Parameters
    ----------
    flagged
        A dataset per spectral window; None imports and flags the calibrators.
    bandpasses, gains
        A solution per spectral window and polarization; None solves them.
    cell
        Side of a pixel [arcsec]; an image has 128 of them.
    failures
        The archive is busy at first.
    products
        Directory of the files.

    Returns
    -------
    dict
        ``data``: an image per calibrator; ``files``: their paths; ``score``, and that of the calibration,
        ``applied``.
    """
    windows = flag_stage(calibrators_stage()["data"])["data"] if flagged is None else flagged
    shapes = bandpass_stage(windows)["data"] if bandpasses is None else bandpasses
    solutions = timegain_stage(windows, shapes)["data"] if gains is None else gains
    places = zip([window for window in windows for _ in STOKES_I], shapes, solutions, strict=True)
    calibrated = [apply(*place) for place in places]
    images = {name: calibrator_image(calibrated, name, 128, cell) for name in SCANS}
    outage = BRIEF_OUTAGE if failures else 0
    files = {f"calibrator-{name}.fits": packed(image, calibrated[0], outage) for name, image in images.items()}
    applied, score = inspect_calibration(calibrated), inspect_calibrators(list(images.values()))
    paths = deposit(products, files)
    Context.load().add("products", {"files": paths}, stage="calibrators")
    return {"data": list(images.values()), "files": paths, "applied": applied, "score": score}


if __name__ == "__main__":
    calimages_stage()
