"""Fifth stage: visibilities over bandpass and gain, in units of the calibrator."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from daskflow import flow, report, task
from daskflow.examples.imaging import pictures, qa
from daskflow.examples.imaging.bandpass import bandpass_stage
from daskflow.examples.imaging.flag import flag_stage
from daskflow.examples.imaging.gain import gain_stage
from daskflow.examples.imaging.visibilities import (
    STOKES_I,
    Baselines,
    Complex,
    complex_of,
    divide,
    replace,
    select,
    weights_of,
)


def calibrate(data: xr.Dataset, factor: Complex) -> xr.Dataset:
    """Divide visibilities by gains of baselines and scale the weights alike.

    Parameters
    ----------
    data
        ``(time, baseline, channel, polarization)``.
    factor
        The product of both antennas' gains in a shape that broadcasts to the data; zero flags.
    """
    visibilities = divide(complex_of(data, "visibility"), np.broadcast_to(factor, data["flag"].shape))
    return replace(data, visibilities, weights_of(data) * np.abs(factor) ** 2, units="Jy")


@task
def apply(data: xr.Dataset, bandpass: xr.Dataset, gain: xr.Dataset) -> xr.Dataset:
    """Calibrate one spectral window and polarization; what has no solution is flagged."""
    one, baselines = select(data, gain.attrs["polarization"]), Baselines.of(data)
    shape = np.where(bandpass["solved"].values, complex_of(bandpass, "gain"), 0)
    along_time = np.where(gain["solved"].values, complex_of(gain, "gain"), 0)
    factor = baselines.product(along_time)[:, :, None] * baselines.product(shape).T[None]
    return calibrate(one, factor[..., None])


@task
def inspect_calibration(calibrated: Sequence[xr.Dataset]) -> qa.Score:
    """Show calibrated visibilities; the score falls as their mean leaves the 1 Jy of the source."""
    mean = qa.mean_visibility(calibrated)
    report.figure(pictures.amplitude_by_distance(calibrated), title="Calibrated visibilities by baseline length")
    report.metric("mean visibility", mean, unit="Jy")
    report.metric("reduced chi-square", qa.chi_square(calibrated))
    return qa.judge("apply", 1 - abs(1 - mean), "one less the distance of the mean visibility from 1 Jy")


@flow
def apply_stage(
    flagged: Sequence[xr.Dataset] | None = None,
    bandpasses: Sequence[xr.Dataset] | None = None,
    gains: Sequence[xr.Dataset] | None = None,
) -> dict[str, Any]:
    """Calibrate all spectral windows and polarizations side by side.

    The source itself is the calibrator, so that a flux density of 1 Jy means that of the calibrator.

    Parameters
    ----------
    flagged
        A dataset per spectral window; None flags the example's observation.
    bandpasses, gains
        A solution per spectral window and polarization; None solves them.

    Returns
    -------
    dict
        ``data``: a dataset per spectral window and polarization; ``score``.
    """
    windows = flag_stage()["data"] if flagged is None else flagged
    shapes = bandpass_stage(windows)["data"] if bandpasses is None else bandpasses
    solutions = gain_stage(windows, shapes)["data"] if gains is None else gains
    places = zip([window for window in windows for _ in STOKES_I], shapes, solutions, strict=True)
    calibrated = [apply(*place) for place in places]
    return {"data": calibrated, "score": inspect_calibration(calibrated)}


if __name__ == "__main__":
    apply_stage()
