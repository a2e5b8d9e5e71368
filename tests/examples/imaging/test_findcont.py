"""The stage that finds the continuum: its own decisions; the search itself is tested with `continuum`."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from daskflow.examples.imaging.findcont import by_window, line_free


def test_polarizations_are_grouped_by_window() -> None:
    assert by_window(["0 RR", "0 LL", "1 RR", "1 LL"]) == [["0 RR", "0 LL"], ["1 RR", "1 LL"]]


def test_only_the_line_is_flagged(observe: Callable[..., xr.Dataset]) -> None:
    data = observe()
    data["flag"][0, 0, 9] = True
    spectrum = xr.Dataset({"continuum": ("channel", np.arange(16) != 5)})
    flag = line_free.function(data, spectrum)["flag"].values
    assert flag[:, :, 5].all()
    assert flag[0, 0, 9].all()
    assert flag.sum() == 2 * (4 * 28 + 1)
