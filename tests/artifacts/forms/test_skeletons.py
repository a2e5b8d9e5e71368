"""The readable copy of attributes; test_netcdf.py and test_zarrs.py have the round trips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from daskflow.artifacts.forms.skeletons import ATTRIBUTE, is_lazy, is_xarray, put_together, take_apart


def test_round_trip_without_a_file() -> None:
    dataset = xr.Dataset({"a": ("x", [1.0, 2.0])}, {"x": [True, False]}, {"b": (1, None)})
    plain = take_apart(dataset)
    assert plain is not None
    xr.testing.assert_identical(put_together(plain), dataset)


@pytest.mark.parametrize(
    ("value", "readable"),
    [
        ("Jy", "Jy"),
        (True, 1),
        (3, 3),
        (1 << 70, None),
        (0.5, 0.5),
        (float("nan"), "nan"),
        ([1, 0.5], [1.0, 0.5]),
        ([], None),
        (["a"], None),
        ("a\0b", None),
        (None, None),
        ({}, None),
    ],
)
def test_readable_attributes(value: Any, readable: Any) -> None:
    plain = take_apart(xr.DataArray([1.0], dims="x", attrs={"a": value, "_FillValue": 3, 4: 5}))
    assert plain is not None
    [variable] = plain.data_vars.values()
    assert variable.attrs == ({} if readable is None else {"a": readable})
    assert list(plain.attrs) == [ATTRIBUTE]


def test_kinds() -> None:
    assert is_xarray(xr.Dataset())
    assert is_xarray(xr.DataArray(1))
    assert not is_xarray(xr.Variable((), 1))
    assert not is_xarray(np.zeros(1))
    assert is_lazy(xr.DataArray([1], dims="x").chunk())
    assert not is_lazy(xr.DataArray([1], dims="x"))
