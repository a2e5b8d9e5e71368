"""The whole way from raw visibilities to a self-calibrated image, with a score for each stage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import xarray as xr
from pydantic import BaseModel, ConfigDict

from daskflow import flow, report, task
from daskflow.examples.imaging import pictures, qa
from daskflow.examples.imaging.apply import apply_stage
from daskflow.examples.imaging.bandpass import bandpass_stage
from daskflow.examples.imaging.clean import beam_of, clean_stage
from daskflow.examples.imaging.flag import flag_stage
from daskflow.examples.imaging.gain import gain_stage
from daskflow.examples.imaging.image import image_stage
from daskflow.examples.imaging.ingest import OBSERVATION, ingest_stage
from daskflow.examples.imaging.selfcal import selfcal_stage

Mode = Literal["cont", "contselfcal"]


class Summary(BaseModel):
    """What the pipeline found; flux densities are relative to a calibrator of 1 Jy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    mode: Mode
    """``cont`` stops at the cleaned continuum image, ``contselfcal`` goes on with self-calibration."""
    peak: float
    """Highest pixel [Jy per beam]."""
    noise: float
    """Root mean square far from the source [Jy per beam]."""
    thermal_noise: float
    """Noise that the weights promise [Jy per beam]."""
    dynamic_range: float
    """Peak over noise of the final image."""
    dynamic_range_before: float
    """Peak over noise before self-calibration."""
    selfcal_rounds: int
    """Rounds of self-calibration that bettered the image."""
    offset: float
    """Distance of the source from the phase centre [pixel]."""
    beam: tuple[float, float, float]
    """Long axis, short axis [arcsec] and position angle [deg] of the clean beam."""
    components: int
    """Number of clean components."""
    scores: dict[str, float]
    """Quality of each stage, from zero to one."""


@task
def summarize(mode: Mode, image: xr.Dataset, before: xr.Dataset, scores: Sequence[qa.Score], rounds: int) -> Summary:
    """Sum up, and report, what the pipeline found."""
    attrs, beam = image.attrs, beam_of(image)
    east, north = attrs["offset"]
    summary = Summary(
        mode=mode,
        peak=float(attrs["flux"]),
        noise=float(attrs["noise"]),
        thermal_noise=float(attrs["thermal"]),
        dynamic_range=float(attrs["dynamic_range"]),
        dynamic_range_before=float(before.attrs["dynamic_range"]),
        selfcal_rounds=rounds,
        offset=float(east**2 + north**2) ** 0.5,
        beam=(beam.major, beam.minor, beam.angle),
        components=int(attrs["components"]),
        scores={score.stage: score.value for score in scores},
    )
    _show(summary, image, scores)
    return summary


def _show(summary: Summary, image: xr.Dataset, scores: Sequence[qa.Score]) -> None:
    report.markdown(
        f"Peak {summary.peak:.3f} Jy/beam, noise {1e3 * summary.noise:.2f} mJy/beam: dynamic range "
        f"**{summary.dynamic_range:.0f}**, {summary.dynamic_range_before:.0f} before self-calibration. "
        f"The weights promise a noise of {1e3 * summary.thermal_noise:.2f} mJy/beam. "
        f"The source lies {summary.offset:.2f} pixels from the phase centre.",
        title="Result",
    )
    report.table([score.model_dump() for score in scores], title="Quality of the stages")
    report.figure(pictures.clean_images(image), title="Final image")


@flow
def pipeline(
    mode: Mode = "contselfcal",
    *,
    niter: int = 500,
    cell: float = 0.2,
    calibrator_time: float | None = None,
    selfcal_interval: float = 10.0,
    observation: Path = OBSERVATION,
) -> Any:
    """Calibrate and image the continuum of an observation of a calibrator.

    Parameters
    ----------
    mode
        With or without self-calibration.
    niter
        Largest number of clean components.
    cell
        Side of a pixel [arcsec]; the image has 256 of them.
    calibrator_time
        Seconds of the scan from which the gains are solved, see `gain_stage`; None takes all.
    selfcal_interval
        Solution interval of the self-calibration [s].
    observation
        UVFITS file.

    Returns
    -------
    Summary
        Peak, noise, dynamic range and scores.
    """
    raw = ingest_stage(observation)
    flagged = flag_stage(raw["data"])
    shapes = bandpass_stage(flagged["data"])
    gains = gain_stage(flagged["data"], shapes["data"], calibrator_time=calibrator_time)
    calibrated = apply_stage(flagged["data"], shapes["data"], gains["data"])
    images = image_stage(calibrated["data"], cell=cell)
    cleaned = clean_stage(calibrated["data"], cell=cell, niter=niter)
    stages = [raw, flagged, shapes, gains, calibrated, images, cleaned]
    final = {"data": cleaned["data"], "rounds": 0}
    if mode == "contselfcal":
        final = selfcal_stage(calibrated["data"], interval=selfcal_interval, cell=cell, niter=niter)
        stages.append(final)
    scores = [stage["score"] for stage in stages]
    return summarize(mode, final["data"], cleaned["data"], scores, final["rounds"])


if __name__ == "__main__":
    pipeline()
