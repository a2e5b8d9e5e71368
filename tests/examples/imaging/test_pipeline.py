"""The whole pipeline by the engine, on the real observation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from daskflow import Context, Run
from daskflow.examples.imaging import pipeline
from daskflow.examples.imaging.apply import apply_stage
from daskflow.examples.imaging.bandpass import bandpass_stage
from daskflow.examples.imaging.calibrators import SCANS, calibrators_stage
from daskflow.examples.imaging.calimages import calimages_stage
from daskflow.examples.imaging.clean import clean_stage
from daskflow.examples.imaging.cube import cube_stage
from daskflow.examples.imaging.findcont import findcont_stage
from daskflow.examples.imaging.flag import flag_stage
from daskflow.examples.imaging.gain import gain_stage
from daskflow.examples.imaging.image import image_stage
from daskflow.examples.imaging.ingest import ingest_stage
from daskflow.examples.imaging.line import GAUSSIAN_AREA, Line
from daskflow.examples.imaging.perspw import perspw_stage
from daskflow.examples.imaging.pipeline import Summary
from daskflow.examples.imaging.qa import LOW
from daskflow.examples.imaging.selfcal import selfcal_stage
from daskflow.examples.imaging.simulation import CONTINUUM, LINE
from daskflow.examples.imaging.target import target_stage
from daskflow.examples.imaging.timegain import timegain_stage
from daskflow.model.records import QuestionRecord
from daskflow.model.states import JobState
from tests.acceptance.shell import daskflow

pytestmark = [pytest.mark.acceptance, pytest.mark.usefixtures("place")]
REAL = (ingest_stage, flag_stage, bandpass_stage, gain_stage, apply_stage, image_stage, clean_stage, selfcal_stage)
TARGET = (calibrators_stage, timegain_stage, calimages_stage, target_stage, findcont_stage, perspw_stage, cube_stage)
STAGES = (*REAL, *TARGET)


def test_the_observation_is_imaged_to_its_thermal_noise(capsys: pytest.CaptureFixture[str]) -> None:
    run = pipeline.submit()
    found: Summary = run.result()
    assert found.mode == "contselfcal"
    assert found.peak == pytest.approx(1, abs=0.02)
    assert found.offset < 1
    assert found.noise < 1.1 * found.thermal_noise
    assert found.dynamic_range > 200
    assert found.dynamic_range > 1.01 * found.dynamic_range_before
    assert found.selfcal_rounds >= 1
    assert 1.5 < found.beam[1] < found.beam[0] < 3.5
    assert set(found.scores) == {"ingest", "flag", "bandpass", "gain", "apply", "image", "clean", "selfcal"}
    assert all(0.8 < score <= 1 for score in found.scores.values())
    assert capsys.readouterr().out == ""


def test_without_self_calibration_the_atmosphere_between_calibrator_and_target_stays_in() -> None:
    plain = pipeline("cont", calibrator_time=30.0)
    bettered = pipeline("contselfcal", calibrator_time=30.0)
    assert plain.selfcal_rounds == 0
    assert plain.dynamic_range == plain.dynamic_range_before == bettered.dynamic_range_before
    assert bettered.dynamic_range > 1.1 * plain.dynamic_range
    for window in plain.windows:
        assert window.peak == pytest.approx(CONTINUUM.continuum, rel=0.1)
        assert window.offset == pytest.approx(CONTINUUM.offset, abs=0.4)


def test_the_line_is_found_though_much_fails(place: Path) -> None:
    products = place / "though-much-fails"
    run = pipeline.submit("cube", failures=True, products=products)
    found: Summary = run.result()
    assert_is_the_line(found.line, beam=found.beam[1])
    assert found.peak == pytest.approx(CONTINUUM.continuum, rel=0.1)
    assert list(found.failed_windows) == [1]
    told = [report.data["text"] for report in run.reports if report.kind == "markdown"]
    assert any("Spectral window **1 failed**" in text for text in told)
    assert any("Nobody tells the corrections of the antennas' positions" in text for text in told)
    (event,) = run.events("qa.*")
    assert event.kind == "qa.cube.low"
    attempts = {job.attempts for job in run.jobs if job.key.startswith(("target_from_archive", "packed"))}
    assert attempts >= {3}, "busy archives were asked again"
    assert {path.name for path in products.iterdir()} == {
        "calibrator-early.fits",
        "calibrator-late.fits",
        "cube-spw0.fits",
    }
    context = Context.load(run.id)
    assert context["calibrators"] == list(SCANS), "the runs and stages below add to the same context"
    assert context.get("failed_windows", stage="cube").keys() == {"spw 1"}
    assert [record.stage for record in context.history("products")] == ["calibrators", "cube"]
    assert {record.stage: record.value for record in context.history("qa_score")} == found.scores
    assert [child.flow for child in run.children] == ["import_calibrator"] * len(SCANS)


def assert_is_the_line(line: Line | None, beam: float) -> None:
    """It is the one that was simulated: within a channel, a fifth of the beam [arcsec] and some percent."""
    assert line is not None
    assert line.spw == LINE.spw
    assert line.channel == pytest.approx(LINE.channel, abs=1)
    assert np.hypot(*np.subtract(line.offset, LINE.offset)) < 0.2 * beam
    assert line.peak == pytest.approx(LINE.line, rel=0.07)
    assert line.channels == pytest.approx(LINE.width, rel=0.15)
    per_channel = line.width / line.channels
    assert line.flux == pytest.approx(GAUSSIAN_AREA * LINE.line * LINE.width * per_channel, rel=0.07)


def test_a_person_guides_from_another_process(place: Path, asked: Callable[[Run], QuestionRecord]) -> None:
    run: Run = pipeline.submit("cube", interactive=True)
    first = asked(run)
    assert "Cycle 1 of the cube of spectral window 0" in first.prompt
    daskflow(place, "answer", first.id, "--set", "niter=40", "--set", "threshold=0.5")
    assert "Cycle 2 of the cube of spectral window 0" in asked(run).prompt
    run.answer(value={"threshold": 0.5, "stop": True})
    assert "Cycle 1 of the cube of spectral window 1" in asked(run).prompt
    run.answer(value={"threshold": 0.5, "interactive": False})
    quality = asked(run)
    assert "The quality of cube is only" in quality.prompt
    daskflow(place, "answer", quality.id, "go on")
    found: Summary = run.result(timeout=120)
    assert found.failed_windows == {}
    assert found.scores["cube"] < LOW
    assert_is_the_line(found.line, beam=found.beam[1])
    assert [event.kind for event in run.events("qa.*")] == ["qa.cube.low"]


def test_every_stage_runs_alone_and_only_once() -> None:
    cube = cube_stage()
    assert cube["failed"] == {}
    assert timegain_stage()["branch"] == "per-spw"
    for alone in (image_stage, perspw_stage, calimages_stage, selfcal_stage):
        alone()
    for stage in STAGES:
        plan = stage.plan()
        assert plan.open_end == ""
        assert {job.record.state for job in plan.jobs} == {JobState.cached}, stage.name
    run = cube_stage.submit()
    assert run.result()["score"] == cube["score"]
    assert {job.state for job in run.jobs} == {JobState.cached}


def test_self_calibration_asks_nobody() -> None:
    with pytest.raises(ValueError, match="mode=contselfcal cannot be interactive"):
        pipeline("contselfcal", interactive=True)
