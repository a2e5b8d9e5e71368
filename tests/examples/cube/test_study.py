"""The line is found where it was put, and each job reads its own channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daskflow import Artifact
from daskflow.artifacts.reading import datasets
from daskflow.artifacts.store import ObjectStore
from daskflow.examples.cube.simulation import PEAK, PLACE, REST, SIGMA, WIDTH, write_cube
from daskflow.examples.cube.study import Line, flux, moments
from tests.acceptance.shell import ran, run

TARGET = "daskflow.examples.cube:cube_study"


def test_each_job_reads_its_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ObjectStore(f"memory://{tmp_path.name}")
    monkeypatch.setattr(Artifact, "home", staticmethod(lambda: store))
    monkeypatch.setattr(datasets, "STAGED", 0)
    write_cube(tmp_path / "cube.h5", 100, 128)
    cube = Artifact("cube").upload(tmp_path / "cube.h5")
    moved: list[int] = []
    read = store.read

    def counted(digest: str, start: int, stop: int, size: int | None = None) -> memoryview:
        moved.append(stop - start)
        return read(digest, start, stop, size)

    monkeypatch.setattr(store, "read", counted)
    assert flux.function(int(100 * PLACE), cube) == pytest.approx(PEAK, abs=0.05)
    assert sum(moved) < 128 * 128 * 4 + 300_000 < 0.08 * cube.size


def test_line_is_found() -> None:
    channels = np.arange(200)
    noise = np.random.default_rng(1).normal(0, 0.02, 200)
    line = moments(PEAK * np.exp(-0.5 * ((channels - 60) / 8) ** 2) + noise)
    assert line.frequency == pytest.approx(REST + 60 * WIDTH, abs=0.5 * WIDTH)
    assert line.width == pytest.approx(8 * WIDTH, rel=0.15)
    assert line.peak == pytest.approx(PEAK, abs=0.1)
    assert line.snr > 50


@pytest.mark.acceptance
def test_study(tmp_path: Path) -> None:
    size = ("--set", "channels=40", "--set", "pixels=32")
    first = run(tmp_path, TARGET, *size)
    assert ran(first) == {"simulate", "flux", "find_line"}
    line = Line(**first["value"]) if isinstance(first["value"], dict) else Line(*first["value"])
    assert line.frequency == pytest.approx(REST + WIDTH * 40 * PLACE, abs=WIDTH)
    assert line.width == pytest.approx(WIDTH * 40 * SIGMA, rel=0.2)
    assert ran(run(tmp_path, TARGET, *size)) == set()
