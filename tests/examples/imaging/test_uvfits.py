"""The real observation as it is read."""

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

from daskflow.examples.imaging.ingest import OBSERVATION
from daskflow.examples.imaging.uvfits import SPEED_OF_LIGHT, UnreadableObservation, read_uvfits
from daskflow.examples.imaging.visibilities import complex_of, weights_of


def test_the_observation_has_18_antennas_153_baselines_and_64_channels(windows: list[xr.Dataset]) -> None:
    for number, data in enumerate(windows):
        assert dict(data.sizes) == {
            "time": 9,
            "baseline": 153,
            "channel": 64,
            "polarization": 4,
            "axis": 3,
            "antenna": 18,
        }
        assert data.attrs["spw"] == number
        assert data["polarization"].values.tolist() == ["RR", "LL", "RL", "LR"]
        assert (data["antenna1"] < data["antenna2"]).all()


def test_frequencies_are_in_hertz(windows: list[xr.Dataset]) -> None:
    first, second = (window["frequency"].values for window in windows)
    assert first[32] == pytest.approx(36.391229e9, abs=1e3)
    assert np.diff(first) == pytest.approx(125e3)
    assert first - second == pytest.approx(82.687522e6, abs=1)


def test_uvw_is_in_metres(windows: list[xr.Dataset]) -> None:
    length = np.linalg.norm(windows[0]["uvw"].values, axis=-1)
    assert windows[0]["uvw"].attrs["units"] == "m"
    assert 1000 < length.max() < 1100
    assert length[length > 0].min() > 25  # a dish is 25 m wide


def test_uvw_is_the_first_antenna_less_the_second(windows: list[xr.Dataset]) -> None:
    """The geometry of the first integration, from the antenna table, to what precession leaves open."""
    data = windows[0]
    with fits.open(OBSERVATION) as hdus:
        table = hdus["AIPS AN"].data
        place = {int(row["NOSTA"]): np.asarray(row["STABXYZ"]) for row in table}
    position = np.stack([place[int(number)] for number in data["antenna"].values])
    expected = position[data["antenna1"].values] - position[data["antenna2"].values]
    length = np.linalg.norm(data["uvw"].values[1], axis=-1)
    assert length == pytest.approx(np.linalg.norm(expected, axis=-1), abs=0.2)
    right_ascension, declination = np.deg2rad(data.attrs["phase_centre_deg"])
    hour_angle = np.deg2rad(213.8870061 + 360.985609857 * (2455312.6403473 - 2455312.5)) - right_ascension
    u = np.sin(hour_angle) * expected[:, 0] + np.cos(hour_angle) * expected[:, 1]
    assert np.corrcoef(u, data["uvw"].values[1, :, 0])[0, 1] > 0.999
    assert np.cos(declination) > 0.99


def test_a_row_split_over_two_times_is_put_together(windows: list[xr.Dataset]) -> None:
    """Each spectral window finds its weights in one of the two rows that a lost half second makes."""
    for data in windows:
        held = np.asarray((weights_of(data) > 0).all(axis=(2, 3)))
        assert held.sum() == 1360
        assert held[1:].all()


def test_the_antenna_that_comes_late_has_no_first_integration(windows: list[xr.Dataset]) -> None:
    data = windows[0]
    missing = ~(weights_of(data)[0] > 0).any(axis=(1, 2))
    late = int(np.flatnonzero(data["antenna"].values == 9)[0])
    assert missing.sum() == 17
    assert ((data["antenna1"].values[missing] == late) | (data["antenna2"].values[missing] == late)).all()


def test_a_visibility_is_that_of_the_file(windows: list[xr.Dataset]) -> None:
    with fits.open(OBSERVATION, memmap=False) as hdus:
        groups = hdus[0].data
        row = 1000
        real, imaginary, weight = groups["DATA"][row, 0, 0, 1, 20, 1]
        code, u = int(groups.par("BASELINE")[row]), float(groups.par("UU")[row]) * SPEED_OF_LIGHT
        time = round(float(groups.par("DATE")[row] - groups.par("DATE").min()) * 8640)
    data = windows[1]
    first, second = (data["antenna"].values[data[name].values] for name in ("antenna1", "antenna2"))
    place = int(np.flatnonzero(256 * first + second == code)[0])
    assert complex_of(data, "visibility")[time, place, 20, 1] == complex(real, imaginary)
    assert data["weight"].values[time, place, 20, 1] == weight
    assert data["uvw"].values[time, place, 0] == u


def test_two_rows_in_one_place_are_an_error() -> None:
    with pytest.raises(UnreadableObservation, match="same time and baseline"):
        read_uvfits(OBSERVATION, 0, integration=20.0)
