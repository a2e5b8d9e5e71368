"""Nothing finished is done again, and nothing is reused wrongly: seen from the command line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from daskflow.examples.imaging.ingest import OBSERVATION
from tests.acceptance.shell import daskflow, ran, run

IMAGING = OBSERVATION.parents[1]
PIPELINE = """
from daskflow import flow, task
import helpers
import physics


@task
def load(n: int) -> list[int]:
    return list(range(n))


@task
def clean(data: list[int]) -> list[int]:
    return helpers.clean(data)


@task
def model(n: int) -> float:
    return physics.gravity(n)


@task
def fit(data: list[int], model: float) -> float:
    return sum(data) * model


@flow
def study(n: int = 4) -> float:
    return fit(clean(load(n)), model(n))
"""

HELPERS = '''
"""Helpers."""


def clean(data):
    """Clean."""
    return [positive(x) for x in data]


def positive(x):
    return max(x, 0)


def unrelated(x):
    return x
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "helpers.py").write_text(HELPERS)
    _install_physics(tmp_path, "1.0", 10)
    return tmp_path


def _install_physics(directory: Path, version: str, factor: int) -> None:
    """A distribution as pip installs it, in a directory on the path."""
    place = directory / "packages"
    shutil.rmtree(place, ignore_errors=True)
    (place / "physics").mkdir(parents=True)
    (place / "physics" / "__init__.py").write_text(f"def gravity(n):\n    return {factor}.0 * n\n")
    info = place / f"physics-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: physics\nVersion: {version}\n")
    (info / "RECORD").write_text("physics/__init__.py,,\n")
    (info / "top_level.txt").write_text("physics\n")


def _run(project: Path, *arguments: str) -> dict[str, Any]:
    return run(project, "pipeline.py:study", "--site", "synchronous", *arguments, PYTHONPATH="packages")


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    _touch(path)


def _touch(path: Path) -> None:
    """Date a file two seconds on: Python takes a compiled module for current within one second of its source."""
    later = path.stat().st_mtime + 2
    os.utime(path, (later, later))


def test_a_second_run_does_nothing_whatever_was_edited_that_does_not_count(project: Path) -> None:
    """Docstring, comment, formatting, an unrelated function and constant; `test_fingerprint` tells them apart."""
    assert ran(_run(project)) == {"load", "clean", "model", "fit"}
    edits = {
        '"""Clean."""': '"""Clean the data, which nobody did before."""',
        "    return max(x, 0)": "    # Negative counts are noise.\n    return max(\n        x,\n        0,\n    )",
        "def unrelated(x):\n    return x": "def unrelated(x):\n    return x + 1",
        '"""Helpers."""': '"""Helpers."""\nLIMIT = 3',
    }
    for old, new in edits.items():
        _edit(project / "helpers.py", old, new)
    again = _run(project)
    assert ran(again) == set()
    assert again["value"] == 240.0


def test_a_helper_two_calls_deep_runs_exactly_what_depends_on_it(project: Path) -> None:
    _run(project)
    _edit(project / "helpers.py", "max(x, 0)", "max(x, 1)")
    again = _run(project)
    assert ran(again) == {"clean", "fit"}
    assert again["value"] == 280.0
    assert "helpers.positive changed" in daskflow(project, "why", "last", "clean")
    assert "helpers.positive changed" in daskflow(project, "why", "last", "fit"), "followed to the root"


def test_an_edit_that_changes_no_result_stops_at_once(project: Path) -> None:
    _run(project)
    _edit(project / "helpers.py", "max(x, 0)", "max(0, x)")
    assert ran(_run(project)) == {"clean"}


def test_another_version_of_a_package_runs_what_uses_it(project: Path) -> None:
    _run(project)
    _install_physics(project, "1.1", 20)
    again = _run(project)
    assert ran(again) == {"model", "fit"}
    assert again["value"] == 480.0
    assert "physics changed: 1.0 -> 1.1" in daskflow(project, "why", "last", "model", PYTHONPATH="packages")


def test_another_argument_runs_what_takes_it(project: Path) -> None:
    _run(project)
    assert ran(_run(project, "--set", "n=5")) == {"load", "clean", "model", "fit"}
    assert "argument n changed: 4 -> 5" in daskflow(project, "why", "last", "load")
    assert ran(_run(project, "--set", "n=4")) == set(), "the old results are still known"


def test_a_result_of_the_synchronous_site_is_known_at_the_others(project: Path) -> None:
    first = _run(project)
    for site in ("threads", "local"):
        again = run(project, "pipeline.py:study", "--site", site, PYTHONPATH="packages")
        assert ran(again) == set()
        assert again["value"] == first["value"]


def test_imaging_runs_only_what_a_change_of_the_clean_stage_reaches(tmp_path: Path) -> None:
    """On the real observation, in a copy of the pipeline whose files are edited; self-calibration adds nothing here."""
    copy = tmp_path / "imaging"
    shutil.copytree(IMAGING, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.glob("*.py"):
        path.write_text(path.read_text().replace("daskflow.examples.imaging", "imaging"))
    first = run(tmp_path, "imaging:pipeline", "--set", "mode=cont")
    assert first["state"] == "succeeded"

    _edit(copy / "deconvolution.py", "def minor_cycle", "# A comment does not count.\ndef minor_cycle")
    assert ran(run(tmp_path, "imaging:pipeline", "--set", "mode=cont")) == set()

    _edit(copy / "deconvolution.py", "flux = gain * left[x, y]", "flux = 0.9 * gain * left[x, y]")
    again = run(tmp_path, "imaging:pipeline", "--set", "mode=cont")
    before = {"ingest", "flag", "bandpass", "gain", "apply", "dirty", "continuum"}
    assert before <= again["counts"].keys()
    assert not ran(again) & before
    assert {"minor", "major", "restored", "summarize"} <= ran(again)
    assert "imaging.deconvolution.minor_cycle changed" in daskflow(tmp_path, "why", "last", "summarize")
