"""Complex pairs, weights and averages."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from daskflow.examples.imaging import visibilities
from daskflow.examples.imaging.visibilities import (
    Baselines,
    average,
    complex_of,
    complex_pair,
    divide,
    replace,
    select,
    weights_of,
)


def test_a_complex_array_survives_its_pair_bit_by_bit() -> None:
    values = np.array([1 + 2j, -3j, np.pi])
    data = xr.Dataset(complex_pair("gain", ("antenna",), values, {"units": "1"}))
    assert (complex_of(data, "gain") == values).all()
    assert data["gain_imag"].attrs == {"units": "1"}


def test_a_dataset_is_the_same_after_a_valid_netcdf_file(observe: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    data = observe(noise=0.1)
    data.to_netcdf(tmp_path / "data.h5", engine="h5netcdf")
    assert xr.load_dataset(tmp_path / "data.h5", engine="h5netcdf").identical(data)


def test_flagged_data_have_no_weight(observe: Callable[..., xr.Dataset]) -> None:
    data = observe()
    data["flag"][1, 2, 3, 0] = True
    weights = weights_of(data)
    assert weights[1, 2, 3, 0] == 0
    assert (weights > 0).sum() == weights.size - 1


def test_selecting_a_polarization_keeps_the_dimension(observe: Callable[..., xr.Dataset]) -> None:
    one = select(observe(), "LL")
    assert tuple(one["flag"].dims) == visibilities.VISIBILITY_DIMS
    assert one["polarization"].values.tolist() == ["LL"]


def test_replaced_visibilities_without_weight_are_flagged_and_the_original_is_not_touched(
    observe: Callable[..., xr.Dataset],
) -> None:
    data = observe()
    weights = weights_of(data)
    weights[0] = 0
    changed = replace(data, 2 * complex_of(data, "visibility"), weights, units="K")
    assert changed["flag"].values[0].all()
    assert not changed["flag"].values[1:].any()
    assert changed["visibility_real"].attrs["units"] == "K"
    assert not data["flag"].values.any()
    assert data["visibility_real"].attrs["units"] == "Jy"


def test_an_average_weighs_and_is_zero_where_nothing_is_known() -> None:
    values = np.array([[1.0, 3.0], [5.0, 7.0]], complex)
    mean, total = average(values, np.array([[1.0, 3.0], [0.0, 0.0]]), 1)
    assert mean.tolist() == [2.5, 0]
    assert total.tolist() == [4, 0]


def test_dividing_by_zero_gives_zero() -> None:
    assert divide(np.array([1.0, 2.0]), np.array([0.0, 4.0])).tolist() == [0, 0.5]


def test_baselines_multiply_the_second_antenna_conjugated(observe: Callable[..., xr.Dataset]) -> None:
    baselines = Baselines.of(observe(antennas=3))
    gains = np.array([1, 2j, 3])
    assert baselines.product(gains).tolist() == [-2j, 3, 6j]


def test_baselines_touching_an_antenna(observe: Callable[..., xr.Dataset]) -> None:
    baselines = Baselines.of(observe(antennas=3))
    assert baselines.touching(np.array([False, False, True])).tolist() == [False, True, True]
