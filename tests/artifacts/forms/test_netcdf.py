"""Datasets come back from netCDF exactly, and other tools read them too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from daskflow.artifacts.forms import netcdf
from daskflow.artifacts.forms.netcdf import NetCDF

NETCDF = NetCDF()
SIZES = {"time": 3, "x": 2, "y": 1, "none": 0}


@pytest.fixture(autouse=True)
def _all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netcdf, "LARGE", 0)


def dumped(value: Any, path: Path) -> bytes:
    assert NETCDF.matches(value)
    assert NETCDF.dump_file(value, path)
    data = path.read_bytes()
    path.unlink()
    return data


def assert_same(one: Any, two: Any) -> None:
    """Identical to xarray, and in what xarray does not look at."""
    assert type(one) is type(two)
    xr.testing.assert_identical(one, two)
    assert one.encoding == two.encoding
    assert list(one.coords) == list(two.coords)
    assert list(one.xindexes) == list(two.xindexes)
    assert typed(one.attrs) == typed(two.attrs)
    if isinstance(two, xr.Dataset):
        assert list(one.variables) == list(two.variables)
        pairs = [(one[name], two[name]) for name in two.variables]
    else:
        pairs = [(one, two), *((one[name], two[name]) for name in two.coords)]
    for a, b in pairs:
        assert (a.dtype, a.dims, typed(a.attrs)) == (b.dtype, b.dims, typed(b.attrs))
        assert a.values.tobytes() == b.values.tobytes()
        assert a.encoding == b.encoding


def typed(attrs: Any) -> Any:
    return [(name, type(value), repr(value)) for name, value in attrs.items()]


NUMBERS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16", ">f4", ">i8", ">c16"]
TIMES = ["M8[s]", "M8[ms]", "M8[us]", "M8[ns]", "m8[s]", "m8[ns]"]
DTYPES = st.sampled_from([*NUMBERS, *TIMES, "U1", "U5", ">U3"])
MEANINGS = ["units", "long_name", "scale_factor", "_FillValue", "dtype", "calendar", "coordinates", "é", "a"]
ATTRS = st.dictionaries(
    st.sampled_from(MEANINGS),
    st.one_of(
        st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers()), st.binary(),
        st.sampled_from(["", "Jy", np.float32(3), np.int64(3), {"a": [1]}, np.arange(3), ("x", 1)]),
    ),
    max_size=3,
)  # fmt: skip
ENCODINGS = st.sampled_from(
    [{}, {"dtype": "i2", "scale_factor": 0.5, "_FillValue": -1}, {"zlib": True, "source": "/x"}]
)


def filled(dtype: str, shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    kind, width = np.dtype(dtype).kind, np.dtype(dtype).itemsize
    if kind in "U?b":
        return hnp.arrays(dtype, shape)
    return hnp.arrays("u1", (*shape, width)).map(lambda array: array.view(dtype).reshape(shape))


@st.composite
def variables(draw: st.DrawFn, dims: tuple[str, ...] | None = None) -> xr.Variable:
    if dims is None:
        dims = tuple(draw(st.permutations(draw(st.lists(st.sampled_from(list(SIZES)), max_size=3, unique=True)))))
    data = draw(filled(draw(DTYPES), tuple(SIZES[dim] for dim in dims)))
    return xr.Variable(dims, data, draw(ATTRS), dict(draw(ENCODINGS)))


@st.composite
def datasets(draw: st.DrawFn) -> xr.Dataset:
    coords: dict[str, Any] = {}
    for dim in draw(st.lists(st.sampled_from(["time", "x"]), unique=True)):
        dtype = draw(st.sampled_from(["i8", "f4", "f8", "u2", "M8[ns]", "M8[s]", "m8[ns]", "U3", "?"]))
        coords[dim] = xr.Variable((dim,), np.arange(SIZES[dim]).astype("i8").astype(dtype), draw(ATTRS))
    for name in draw(st.lists(st.sampled_from(["lon", "lat"]), unique=True)):
        coords[name] = draw(variables())
    data = {name: draw(variables()) for name in draw(st.lists(st.sampled_from("abc"), unique=True))}
    dataset = xr.Dataset(data, coords, draw(ATTRS))
    dataset.encoding = dict(draw(ENCODINGS))
    return dataset


SETTINGS = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SETTINGS
@given(dataset=datasets())
def test_datasets(tmp_path: Path, dataset: xr.Dataset) -> None:
    if not NETCDF.dump_file(dataset, tmp_path / "file"):
        return
    assert_same(NETCDF.load_file(tmp_path / "file"), dataset)
    assert_same(NETCDF.load(memoryview((tmp_path / "file").read_bytes())), dataset)


@SETTINGS
@given(dataset=datasets(), name=st.sampled_from([None, "a", "x", "lon", "two words", 3, ("t", 1)]))
def test_data_arrays(tmp_path: Path, dataset: xr.Dataset, name: Any) -> None:
    for array in dataset.data_vars.values():
        array.name = name
        if NETCDF.dump_file(array, tmp_path / "file"):
            assert_same(NETCDF.load_file(tmp_path / "file"), array)


def example() -> xr.Dataset:
    return xr.Dataset(
        {
            "vis": (("time", "x"), np.arange(6).reshape(3, 2) * (1 + 0.5j), {"units": "Jy"}),
            "flag": (("time", "x"), np.arange(6).reshape(3, 2) % 2 == 0),
            "flux": (("x",), np.array([np.nan, -0.0]), {"units": "Jy", "valid": True}),
        },
        {
            "time": np.array(["2020-01-01", "2021-01-01", "NaT"], "M8[ns]"),
            "x": ["left", "right"],
            "lon": ("x", [1.5, 2.5]),
            "beam": 3,
        },
        {"telescope": "CHIME", "history": ["a", 1], "nothing": None},
    )


def test_examples_are_all_kept(tmp_path: Path) -> None:
    dataset = example()
    for value in (dataset, dataset["vis"], dataset["time"], dataset["beam"], xr.Dataset(), xr.DataArray(3.0)):
        path = tmp_path / "file"
        dumped(value, path)
        NETCDF.dump_file(value, path)
        assert_same(NETCDF.load_file(path), value)
        path.unlink()


def test_other_tools_read_it(tmp_path: Path) -> None:
    dataset = example()
    NETCDF.dump_file(dataset, tmp_path / "file.nc")
    with xr.open_dataset(tmp_path / "file.nc", engine="h5netcdf") as read:
        assert read.attrs["telescope"] == "CHIME"
        assert read["flux"].attrs["units"] == "Jy"
        assert read["flag"].dtype == bool
        xr.testing.assert_equal(read.load(), dataset)


def test_equal_datasets_have_equal_bytes(tmp_path: Path) -> None:
    assert dumped(example(), tmp_path / "one") == dumped(example(), tmp_path / "two")


def test_encodings_do_not_change_the_data(tmp_path: Path) -> None:
    array = xr.DataArray([0.1, 0.2, 1e30], dims="x")
    array.encoding = {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -9999}
    NETCDF.dump_file(array, tmp_path / "file")
    assert_same(NETCDF.load_file(tmp_path / "file"), array)


def test_large_files_are_read_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = example()
    NETCDF.dump_file(dataset, tmp_path / "file")
    monkeypatch.setattr(netcdf, "LAZY", 0)
    lazy = NETCDF.load_file(tmp_path / "file")
    assert not lazy["vis"].variable._in_memory
    assert not lazy["flux"].variable._in_memory
    assert_same(lazy.load(), dataset)
    lazy.close()


def test_what_was_loaded_may_be_changed(tmp_path: Path) -> None:
    NETCDF.dump_file(example(), tmp_path / "file")
    dataset = NETCDF.load_file(tmp_path / "file")
    dataset["vis"][0, 0] = 5
    dataset["flag"][0, 0] = False
    (tmp_path / "file").unlink()
    assert dataset["vis"].values[0, 0] == 5


def multi_index() -> Any:
    return xr.Dataset({"a": (("x", "y"), np.zeros((2, 2)))}, {"x": [1, 2], "y": [1, 2]}).stack(z=["x", "y"])


@pytest.mark.parametrize(
    "make",
    [
        multi_index,
        lambda: xr.Dataset({3: ("x", [1, 2])}),
        lambda: xr.Dataset({"two words": ("x", [1, 2])}),
        lambda: xr.Dataset({"a/b": ("x", [1, 2])}),
        lambda: xr.Dataset({"a": (("x y",), [1, 2])}),
        lambda: xr.Dataset({"a": ("x", np.array([None, 2]))}),
        lambda: xr.Dataset({"a": ("x", np.array(["a", "b"], "S1"))}),
        lambda: xr.Dataset({"a": ("x", np.array([1], "f2"))}),
        lambda: xr.Dataset({"a": ("x", np.array(["a\0b"]))}),
        lambda: xr.Dataset({"a": ("x", np.array(["\ud800"]))}),
        lambda: xr.Dataset({"a": ("x", [1, 2])}, attrs={"large": "x" * 70_000}),
        lambda: xr.Dataset({"a": ("x", [1, 2])}, attrs={"open": (x for x in "a")}),
        lambda: xr.Dataset(coords={"x": [1, 2]}).drop_indexes("x"),
        lambda: xr.Dataset({"a": ("x", [1, 2])}, {"lon": ("x", [1, 2])}).set_xindex("lon"),
    ],
)  # fmt: skip
def test_what_netcdf_would_change_is_left_alone(make: Callable[[], Any], tmp_path: Path) -> None:
    assert not NETCDF.dump_file(make(), tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_matches_only_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not NETCDF.matches(example().chunk())
    assert not NETCDF.matches(np.zeros(3))
    assert not NETCDF.matches(example()["vis"].variable)
    monkeypatch.undo()
    assert not NETCDF.matches(example())
    assert NETCDF.matches(xr.DataArray(np.zeros(8192)))
