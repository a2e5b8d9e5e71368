"""The first stage's own decisions."""

import xarray as xr

from daskflow.examples.imaging.ingest import OBSERVATION, WINDOWS, ingest


def test_the_observation_lies_beside_its_provenance() -> None:
    assert OBSERVATION.stat().st_size == 8_766_720
    assert "pyuvdata" in (OBSERVATION.parent / "README.md").read_text()


def test_one_job_reads_one_window(windows: list[xr.Dataset]) -> None:
    for spw in WINDOWS:
        assert ingest.function(OBSERVATION, spw).identical(windows[spw])
