"""The whole pipeline by the engine, on the real observation."""

from pathlib import Path

import pytest

from daskflow.examples.imaging import pipeline
from daskflow.examples.imaging.pipeline import Summary

pytestmark = pytest.mark.acceptance


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run where no run was before."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
