"""The import of the calibrators, on the real observation."""

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.antennas import CORRECTIONS, extra_path, positions, without_path
from daskflow.examples.imaging.calibrators import SCANS, from_archive, is_out, join, online_flagged, prepare
from daskflow.examples.imaging.ingest import OBSERVATION
from daskflow.examples.imaging.visibilities import Baselines


@pytest.fixture(scope="module")
def scans() -> list[xr.Dataset]:
    """Both scans of the second spectral window."""
    return [from_archive.function(OBSERVATION, 1, scan, 0) for scan in SCANS.values()]


def test_the_scans_joined_are_the_observation(scans: list[xr.Dataset], windows: list[xr.Dataset]) -> None:
    assert [scan.sizes["time"] for scan in scans] == [5, 4]
    assert join.function(scans).identical(windows[1])


def test_the_log_flags_one_antenna_of_one_window(scans: list[xr.Dataset], windows: list[xr.Dataset]) -> None:
    off = Baselines.of(scans[0]).touching(scans[0]["antenna"].values == 7)
    flagged = online_flagged(scans[0])["flag"].values
    assert flagged[:, off].all()
    assert (flagged[:, ~off] == scans[0]["flag"].values[:, ~off]).all()
    assert online_flagged(windows[0]).identical(windows[0])


def test_positions_are_corrected_where_they_are_known(scans: list[xr.Dataset]) -> None:
    flagged = online_flagged(scans[0])
    path = extra_path(flagged, positions(OBSERVATION), CORRECTIONS)
    assert prepare.function(scans[0], OBSERVATION, CORRECTIONS).identical(without_path(flagged, path))
    assert np.abs(path).max() > 1e-4


def test_without_failures_nothing_is_out() -> None:
    assert not is_out(0)
