"""Each picture is drawn, without warnings, to a picture."""

import io

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from daskflow.examples.imaging import pictures
from daskflow.examples.imaging.bandpass import bandpass
from daskflow.examples.imaging.clean import joined, minor, residual, restored
from daskflow.examples.imaging.gain import gain
from daskflow.examples.imaging.image import continuum, dirty
from daskflow.examples.imaging.selfcal import phases


def drawn(figure: Figure) -> int:
    """Draw a figure; the number of colours that differ from white."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="raw", dpi=40)
    return int(np.count_nonzero(np.frombuffer(buffer.getvalue(), np.uint8) != 255))


@pytest.fixture(scope="module")
def image(calibrated: list[xr.Dataset]) -> xr.Dataset:
    before = continuum.function([dirty.function(one, 64, 0.4) for one in calibrated])
    after = minor.function(before, 100, 0.1, 5.0)
    return restored.function(
        joined(after, [residual.function(one, after) for one in calibrated], niter=100, nsigma=5.0)
    )


def test_pictures_of_the_observation(windows: list[xr.Dataset], flagged: list[xr.Dataset]) -> None:
    assert drawn(pictures.uv_coverage(windows[0])) > 1000
    assert drawn(pictures.flag_waterfall(flagged)) > 1000


def test_pictures_of_the_calibration(flagged: list[xr.Dataset], calibrated: list[xr.Dataset]) -> None:
    shapes = [bandpass.function(flagged[1], name, 3, 1) for name in ("RR", "LL")]
    gains = [gain.function(flagged[1], shape, None, None) for shape in shapes]
    assert drawn(pictures.bandpasses(shapes)) > 1000
    assert drawn(pictures.gain_phases(gains)) > 1000
    assert drawn(pictures.amplitude_by_distance(calibrated)) > 1000


def test_pictures_of_the_images(calibrated: list[xr.Dataset], image: xr.Dataset) -> None:
    planes = [dirty.function(one, 64, 0.4) for one in calibrated]
    assert drawn(pictures.dirty_images(planes, image)) > 1000
    assert drawn(pictures.clean_images(image)) > 1000


def test_pictures_of_the_self_calibration(calibrated: list[xr.Dataset], image: xr.Dataset) -> None:
    assert drawn(pictures.selfcal([image, image], 1)) > 1000
    assert drawn(pictures.selfcal_phases([phases.function(calibrated, image, 10.0)])) > 1000
    assert drawn(pictures.selfcal_phases([])) > 0
