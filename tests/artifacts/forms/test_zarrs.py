"""What dask holds is written chunk by chunk and comes back held by dask."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import pytest
import xarray as xr

from daskflow.artifacts.forms.zarrs import Zarr
from daskflow.artifacts.values import Values

ZARR = Zarr()
da: Any = dask.array


def example() -> xr.Dataset:
    return xr.Dataset(
        {
            "vis": (("time", "x"), np.arange(60).reshape(6, 10) * (1 + 0.5j), {"units": "Jy"}),
            "flag": (("time", "x"), np.arange(60).reshape(6, 10) % 2 == 0),
            "zero": (("x",), np.full(10, -0.0)),
            "nan": (("x",), np.full(10, np.nan)),
            "when": (("x",), np.arange(10).astype("M8[s]")),
        },
        {"time": np.arange(6).astype("M8[ns]"), "x": np.arange(10.0), "name": ("x", list("abcdefghij"))},
        {"telescope": "CHIME", "nothing": None, "many": (1, "a")},
    )


def written(value: Any, path: Path) -> Path:
    assert ZARR.matches(value)
    assert ZARR.dump_file(value, path)
    return path


def assert_same(one: Any, two: Any) -> None:
    xr.testing.assert_identical(one.compute(), two.compute())
    assert one.attrs == two.attrs
    for name in two.coords if isinstance(two, xr.DataArray) else two.variables:
        assert one[name].dtype == two[name].dtype
        assert one[name].encoding == two[name].encoding
        assert one[name].values.tobytes() == two[name].values.tobytes()


@pytest.mark.parametrize("chunks", [{}, {"x": 3}, {"x": 4, "time": 1}, {"x": (1, 2, 7)}])
def test_round_trip(tmp_path: Path, chunks: Any) -> None:
    dataset = example().chunk(chunks)
    path = written(dataset, tmp_path / "file")
    for again in (ZARR.load_file(path), ZARR.load(memoryview(path.read_bytes()))):
        assert_same(again, dataset)
        assert again["vis"].chunks is not None
        assert again["flag"].chunks is not None
        assert again["time"].chunks is None


def test_what_was_in_memory_comes_back_in_memory(tmp_path: Path) -> None:
    dataset = example().assign(flag=example()["flag"].chunk())
    again = ZARR.load_file(written(dataset, tmp_path / "file"))
    assert_same(again, dataset)
    assert [name for name, array in again.variables.items() if array.chunks is not None] == ["flag"]


def test_data_array(tmp_path: Path) -> None:
    array = example()["vis"].chunk(x=5)
    again = ZARR.load_file(written(array, tmp_path / "file"))
    assert type(again) is xr.DataArray
    assert_same(again, array)
    assert again.chunks == array.chunks


def test_equal_datasets_have_equal_bytes(tmp_path: Path) -> None:
    one, two = (written(example().chunk(x=3), tmp_path / name) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_one_chunk_after_the_other_in_this_thread(tmp_path: Path) -> None:
    threads = set()

    def block(block_id: Any = None) -> Any:
        threads.add(threading.get_ident())
        return np.zeros((10, 10))

    lazy = da.map_blocks(block, chunks=((10,) * 5, (10,)), dtype=float, meta=np.zeros((0, 0)))
    with dask.config.set(scheduler="threads"):
        written(xr.DataArray(lazy, dims=("a", "b")), tmp_path / "file")
    assert threads == {threading.get_ident()}


def test_only_the_file_is_left(tmp_path: Path) -> None:
    path = written(example().chunk(), tmp_path / "file")
    assert list(tmp_path.iterdir()) == [path]
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_failing_chunk_leaves_nothing(tmp_path: Path) -> None:
    def block(block_id: Any = None) -> Any:
        raise RuntimeError("no data")

    lazy = da.map_blocks(block, chunks=((10,),), dtype=float, meta=np.zeros(0))
    with pytest.raises(RuntimeError, match="no data"):
        ZARR.dump_file(xr.DataArray(lazy, dims="a"), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_what_zarr_would_change_is_left_alone(tmp_path: Path) -> None:
    lazy = xr.DataArray(da.from_array(np.array([None, 1]), chunks=1), dims="x")
    assert ZARR.matches(lazy)
    assert not ZARR.dump_file(lazy, tmp_path / "file")


def test_text_that_zarr_would_cut(tmp_path: Path) -> None:
    text = xr.DataArray(np.array(["a\0b"]), dims="x")
    assert not ZARR.dump_file(xr.Dataset({"a": text, "b": ("x", [1])}).chunk(), tmp_path / "file")
    assert not ZARR.dump_file(text.chunk(), tmp_path / "file")


def test_matches_only_its_own() -> None:
    assert not ZARR.matches(example())
    assert not ZARR.matches(da.zeros(3))


def test_small_ones_travel_in_the_record() -> None:
    dataset = example()[["zero"]].drop_vars("name").chunk()
    stored = Values(None).dump(dataset)
    assert stored.format == "zarr"
    assert_same(Values(None).load(stored), dataset)
