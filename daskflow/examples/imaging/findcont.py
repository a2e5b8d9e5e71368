"""The target calibrated, and which of its channels hold nothing but continuum."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from daskflow import flow, report, task
from daskflow.examples.imaging import charts, qa
from daskflow.examples.imaging.apply import apply
from daskflow.examples.imaging.bandpass import bandpass_stage
from daskflow.examples.imaging.calibrators import calibrators_stage
from daskflow.examples.imaging.continuum import find_spectrum
from daskflow.examples.imaging.flag import flag_stage
from daskflow.examples.imaging.target import target_stage
from daskflow.examples.imaging.timegain import timegain_stage
from daskflow.examples.imaging.visibilities import STOKES_I


def by_window(planes: Sequence[Any]) -> list[list[Any]]:
    """Group what is there per spectral window and polarization, windows first, by window."""
    count = len(STOKES_I)
    return [list(planes[first : first + count]) for first in range(0, len(planes), count)]


@task
def mean_spectrum(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Find the line in one spectral window, see `find_spectrum`.

    Returns
    -------
    xr.Dataset
        ``mean`` [Jy per beam] and ``continuum``, both ``(channel)``; ``peak_over_mad`` is an attribute.
    """
    found = find_spectrum(parts)
    report.metric("peak over MAD", found.peak_over_mad)
    return xr.Dataset(
        {"mean": ("channel", found.mean, {"units": "Jy/beam"}), "continuum": ("channel", found.continuum)},
        coords={"frequency": parts[0]["frequency"]},
        attrs={"spw": parts[0].attrs["spw"], "peak_over_mad": found.peak_over_mad},
    )


@task
def line_free(data: xr.Dataset, spectrum: xr.Dataset) -> xr.Dataset:
    """Flag the channels that hold a line."""
    line = ~spectrum["continuum"].values[:, None]
    return data.assign(flag=(data["flag"].dims, data["flag"].values | line, data["flag"].attrs))


@task
def inspect_spectra(spectra: Sequence[xr.Dataset]) -> qa.Score:
    """Show the mean spectra; the score is the smallest share of a window that is continuum."""
    report.table([_described(one) for one in spectra], title="Continuum")
    report.figure(charts.spectra(spectra), title="Mean spectra, and the channels that hold a line")
    share = min(float(one["continuum"].values.mean()) for one in spectra)
    return qa.judge("findcont", 2 * share, "twice the smallest share of a window that is continuum, at most one")


def _described(spectrum: xr.Dataset) -> dict[str, Any]:
    return {
        "spw": spectrum.attrs["spw"],
        "peak over MAD": round(float(spectrum.attrs["peak_over_mad"]), 1),
        "channels of continuum": int(spectrum["continuum"].values.sum()),
        "median [mJy/beam]": round(1e3 * float(np.median(spectrum["mean"].values)), 1),
    }


@flow
def findcont_stage(
    target: Sequence[xr.Dataset] | None = None,
    bandpasses: Sequence[xr.Dataset] | None = None,
    gains: Sequence[xr.Dataset] | None = None,
) -> dict[str, Any]:
    """Calibrate the target and find its continuum, all spectral windows side by side.

    Parameters
    ----------
    target
        A flagged dataset per spectral window; None imports the example's target.
    bandpasses, gains
        A solution per spectral window and polarization; None solves them from the calibrators.

    Returns
    -------
    dict
        ``data``: calibrated visibilities per spectral window and polarization; ``spectra``: one per window;
        ``continuum``: the visibilities without the channels that hold a line; ``score``.
    """
    windows = target_stage()["data"] if target is None else target
    if bandpasses is None or gains is None:
        calibrators = flag_stage(calibrators_stage()["data"])["data"]
        bandpasses = bandpass_stage(calibrators)["data"]
        gains = timegain_stage(calibrators, bandpasses)["data"]
    places = zip([window for window in windows for _ in STOKES_I], bandpasses, gains, strict=True)
    calibrated = [apply(*place) for place in places]
    spectra = [mean_spectrum(parts) for parts in by_window(calibrated)]
    pairs = zip(calibrated, [one for one in spectra for _ in STOKES_I], strict=True)
    free = [line_free(data, spectrum) for data, spectrum in pairs]
    return {"data": calibrated, "spectra": spectra, "continuum": free, "score": inspect_spectra(spectra)}


if __name__ == "__main__":
    findcont_stage()
