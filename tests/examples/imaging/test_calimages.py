"""The images of the calibrators, on the real observation."""

import numpy as np
import pytest
import xarray as xr

from daskflow.examples.imaging.calibrators import SCANS
from daskflow.examples.imaging.calimages import calibrator_image


def test_each_calibrator_is_a_point_at_the_phase_centre(calibrated: list[xr.Dataset]) -> None:
    images = [calibrator_image.function(calibrated, name, 128, 0.4) for name in SCANS]
    for image in images:
        assert image.attrs["flux"] == pytest.approx(1, abs=0.05)
        assert np.hypot(*image.attrs["offset"]) < 0.5
        assert image.attrs["noise"] < 1.2 * image.attrs["thermal"]
    assert [image.attrs["label"] for image in images] == ["early", "late"]
    weights = [image.attrs["weight"] for image in images]
    # The first integration is short on many baselines: the earlier scan has five, but not five quarters of the weight.
    assert weights[1] < weights[0] < 1.25 * weights[1]
