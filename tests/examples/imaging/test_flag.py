"""The second stage's own decisions."""

import xarray as xr

from daskflow.examples.imaging.flag import flag


def test_one_job_flags_one_window(windows: list[xr.Dataset], flagged: list[xr.Dataset]) -> None:
    assert flag.function(windows[1], 3, 6.0).identical(flagged[1])
