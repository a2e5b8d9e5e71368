"""Each picture of spectra and cubes is drawn and shows its data."""

import numpy as np
import xarray as xr

from daskflow.examples.imaging.charts import line, peaks, spectra
from daskflow.examples.imaging.line import Line
from daskflow.examples.imaging.spectral import CUBE

FOUND = Line(
    spw=0, channel=5.0, frequency=36.4, width=3.0, channels=3.0, offset=(0.4, -0.8), peak=2.0, flux=6.0, snr=20.0
)


def cube() -> xr.Dataset:
    sky = np.zeros((12, 16, 16))
    sky[5, 9, 6] = 2.0
    return xr.Dataset({"restored": (CUBE, sky)}, attrs={"cell": 0.4, "spw": 0})


def test_mean_spectra_are_drawn_with_their_lines() -> None:
    one = xr.Dataset(
        {"mean": ("channel", np.arange(8.0)), "continuum": ("channel", np.arange(8) != 3)}, attrs={"spw": 1}
    )
    figure = spectra([one, one])
    assert [axis.get_title() for axis in figure.axes] == ["spw 1", "spw 1"]
    assert np.array_equal(figure.axes[0].lines[0].get_ydata(), range(8))


def test_the_line_is_drawn_through_its_pixel() -> None:
    figure = line(cube(), FOUND)
    assert figure.axes[0].get_title() == "spw 0, channel 5 [Jy/beam]"
    spectrum, fitted = figure.axes[1].lines
    assert [np.asarray(one.get_ydata())[5] for one in (spectrum, fitted)] == [2.0, 2.0]


def test_the_highest_pixels_are_drawn() -> None:
    assert np.array_equal(peaks(cube()).axes[0].lines[0].get_ydata(), [0] * 5 + [2] + [0] * 6)
