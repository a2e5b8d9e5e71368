"""The whole way from raw visibilities to images, with a score for each stage.

::

    calibrators ─► flag ─► bandpass ─► timegain ─┬─► calimages
                                                 │
    target ──────────────────────────────────────┴─► findcont ─┬─► clean ─► cube     mode ``cube``
                                                               └─► perspw            mode ``cont``

    ingest ─► flag ─► bandpass ─► gain ─► apply ─► image ─► clean                    mode ``cont``
                                                              └──► selfcal           mode ``contselfcal``

The upper way leads from two calibrators to a target with a spectral line, which is simulated through the real
array. The lower one images the calibrator itself, all of whose data are real.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import xarray as xr
from pydantic import BaseModel, ConfigDict

from daskflow import Context, flow, report, task
from daskflow.examples.imaging import pictures, qa
from daskflow.examples.imaging.apply import apply_stage
from daskflow.examples.imaging.bandpass import bandpass_stage
from daskflow.examples.imaging.calibrators import calibrators_stage
from daskflow.examples.imaging.calimages import calimages_stage
from daskflow.examples.imaging.clean import beam_of, clean_stage
from daskflow.examples.imaging.cube import cube_stage, describe
from daskflow.examples.imaging.dialogue import gate
from daskflow.examples.imaging.exports import PRODUCTS
from daskflow.examples.imaging.findcont import findcont_stage
from daskflow.examples.imaging.flag import flag_stage
from daskflow.examples.imaging.gain import gain_stage
from daskflow.examples.imaging.image import image_stage
from daskflow.examples.imaging.ingest import OBSERVATION, ingest_stage
from daskflow.examples.imaging.line import Line
from daskflow.examples.imaging.perspw import Window, perspw_stage
from daskflow.examples.imaging.selfcal import selfcal_stage
from daskflow.examples.imaging.target import target_stage
from daskflow.examples.imaging.timegain import timegain_stage

Mode = Literal["cube", "cont", "contselfcal"]


class Summary(BaseModel):
    """What the pipeline found; flux densities are relative to a calibrator of 1 Jy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    mode: Mode
    """``cont`` stops at the cleaned continuum images, ``contselfcal`` goes on with self-calibration, ``cube`` images
    the target channel by channel. The figures are those of the calibrator's continuum image, with ``cube`` those of
    the target's."""
    line: Line | None = None
    """The strongest line of the target, with ``cube``."""
    failed_windows: dict[int, str] = {}
    """Spectral windows that are not in the cube, and why."""
    windows: list[Window] = []
    """The target's continuum by spectral window, with ``cont``."""
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
    selfcal_rounds: int = 0
    """Rounds of self-calibration that bettered the image."""
    offset: float
    """Distance of the source from the phase centre [pixel]."""
    beam: tuple[float, float, float]
    """Long axis, short axis [arcsec] and position angle [deg] of the clean beam."""
    components: int
    """Number of clean components."""
    scores: dict[str, float]
    """Quality of each stage, from zero to one; the lower one of a stage that was passed twice, as with ``cont``."""


@task
def summarize(
    mode: Mode, image: xr.Dataset, before: xr.Dataset, scores: Sequence[qa.Score], found: Mapping[str, Any]
) -> Summary:
    """Sum up, and report, what the pipeline found; `found` are the fields of the summary that are known already."""
    attrs, beam = image.attrs, beam_of(image)
    east, north = attrs["offset"]
    summary = Summary(
        mode=mode,
        peak=float(attrs["flux"]),
        noise=float(attrs["noise"]),
        thermal_noise=float(attrs["thermal"]),
        dynamic_range=float(attrs["dynamic_range"]),
        dynamic_range_before=float(before.attrs["dynamic_range"]),
        offset=float(east**2 + north**2) ** 0.5,
        beam=(beam.major, beam.minor, beam.angle),
        components=int(attrs["components"]),
        scores={score.stage: min(one.value for one in scores if one.stage == score.stage) for score in scores},
        **found,
    )
    _show(summary, image, scores)
    return summary


def _show(summary: Summary, image: xr.Dataset, scores: Sequence[qa.Score]) -> None:
    selfcal = f", {summary.dynamic_range_before:.0f} before self-calibration" if summary.selfcal_rounds else ""
    report.markdown(
        f"Peak {summary.peak:.3f} Jy/beam, noise {1e3 * summary.noise:.2f} mJy/beam: dynamic range "
        f"**{summary.dynamic_range:.0f}**{selfcal}. "
        f"The weights promise a noise of {1e3 * summary.thermal_noise:.2f} mJy/beam. "
        f"The source lies {summary.offset:.2f} pixels from the phase centre.",
        title="Result",
    )
    if summary.line is not None:
        report.markdown(describe(summary.line), title="Line")
    for spw, reason in summary.failed_windows.items():
        report.markdown(f"Spectral window **{spw} failed**: {reason}", title="Failed window")
    report.table([score.model_dump() for score in scores], title="Quality of the stages")
    report.figure(pictures.clean_images(image), title="Final image")


@dataclass(frozen=True, slots=True)
class Course:
    """How a run goes: what it was told, and the scores of the stages that it passed."""

    observation: Path
    """UVFITS file."""
    products: Path
    """Directory of the FITS files."""
    interactive: bool
    """Whether a person is asked."""
    failures: bool
    """Whether failures are injected."""
    scores: list[Any] = field(default_factory=list)
    """Scores, as jobs, in the order of the stages."""

    def passed(self, stage: Mapping[str, Any]) -> Mapping[str, Any]:
        """Note the score of a stage, and go on with what it made; where the score is low a person may be asked."""
        self.scores.append(stage["score"])
        gate(stage, interactive=self.interactive)
        return stage

    def close(self) -> None:
        """Keep all scores in the context of the run."""
        context = Context.load()
        for score in [job.result() for job in self.scores]:
            context.add("qa_score", score.value, stage=score.stage)


def calibrated_target(course: Course) -> Mapping[str, Any]:
    """Calibrate the calibrators, and with them the target: what `findcont_stage` returns."""
    told: dict[str, Any] = {"failures": course.failures, "observation": course.observation}
    imported = course.passed(calibrators_stage(**told))
    target = course.passed(target_stage(**told))
    flagged = course.passed(flag_stage(imported["data"]))["data"]
    shapes = course.passed(bandpass_stage(flagged))["data"]
    gains = course.passed(timegain_stage(flagged, shapes))["data"]
    course.passed(calimages_stage(flagged, shapes, gains, failures=course.failures, products=course.products))
    return course.passed(findcont_stage(target["data"], shapes, gains))


def line_of_target(course: Course, niter: int) -> dict[str, Any]:
    """Image the target, its continuum and channel by channel: image and figures of the summary."""
    target = calibrated_target(course)
    image = course.passed(clean_stage(target["continuum"], pixels=128, cell=0.4, niter=niter))["data"]
    cubes = course.passed(
        cube_stage(
            target["data"],
            target["spectra"],
            interactive=course.interactive,
            failures=course.failures,
            products=course.products,
        )
    )
    return {"image": image, "before": image, "line": cubes["line"], "failed_windows": cubes["failed"]}


def windows_of_target(course: Course) -> Any:
    """Image the target's continuum by spectral window: what the images show."""
    target = calibrated_target(course)["continuum"]
    return course.passed(perspw_stage(target, interactive=course.interactive, products=course.products))["windows"]


def calibrated_source(course: Course, calibrator_time: float | None) -> Sequence[Any]:
    """Calibrate the calibrator itself: a dataset per spectral window and polarization."""
    raw = course.passed(ingest_stage(course.observation))
    flagged = course.passed(flag_stage(raw["data"]))["data"]
    shapes = course.passed(bandpass_stage(flagged))["data"]
    gains = course.passed(gain_stage(flagged, shapes, calibrator_time=calibrator_time))["data"]
    calibrated: Sequence[Any] = course.passed(apply_stage(flagged, shapes, gains))["data"]
    return calibrated


@flow
def pipeline(  # noqa: PLR0913, each is a --set of the command line
    mode: Mode = "contselfcal",
    *,
    niter: int = 500,
    cell: float = 0.2,
    calibrator_time: float | None = None,
    selfcal_interval: float = 10.0,
    observation: Path = OBSERVATION,
    interactive: bool = False,
    failures: bool = False,
    products: Path = PRODUCTS,
) -> Any:
    """Calibrate an observation and image it.

    Parameters
    ----------
    mode
        ``contselfcal``: the continuum of the calibrator, with self-calibration. ``cont``: without, and the
        continuum of the target by spectral window. ``cube``: the line of the target.
    niter
        Largest number of clean components of the continuum.
    cell
        Side of a pixel of the continuum of the calibrator [arcsec]; the image has 256 of them.
    calibrator_time
        Seconds of the scan from which the gains of the calibrator's image are solved, see `gain_stage`; None takes
        all.
    selfcal_interval
        Solution interval of the self-calibration [s].
    observation
        UVFITS file.
    interactive
        Ask a person before each cycle of cleaning the target, and after stages of low quality.
    failures
        Inject failures on the way to the target: archives that are busy, a service that is down, a spectral window
        whose continuum cannot be subtracted. The pipeline ends well all the same.
    products
        Directory of the FITS files.

    Returns
    -------
    Summary
        Peak, noise, dynamic range, line and scores.

    Raises
    ------
    ValueError
        Self-calibration is not interactive.
    """
    if interactive and mode == "contselfcal":
        raise ValueError("mode=contselfcal cannot be interactive. Choose mode=cont or mode=cube, or interactive=false.")
    course = Course(observation, products, interactive, failures)
    if mode == "cube":
        found = line_of_target(course, niter)
    else:
        found = {"windows": windows_of_target(course)} if mode == "cont" else {}
        calibrated = calibrated_source(course, calibrator_time)
        course.passed(image_stage(calibrated, cell=cell))
        cleaned = course.passed(clean_stage(calibrated, cell=cell, niter=niter))["data"]
        found |= {"image": cleaned, "before": cleaned}
    if mode == "contselfcal":
        better = course.passed(selfcal_stage(calibrated, interval=selfcal_interval, cell=cell, niter=niter))
        found |= {"image": better["data"], "selfcal_rounds": better["rounds"]}
    summary = summarize(mode, found.pop("image"), found.pop("before"), course.scores, found)
    course.close()
    return summary


if __name__ == "__main__":
    pipeline()
