"""What dask holds goes to the store chunk by chunk, as a tree, and comes back held by dask."""

from __future__ import annotations

import pickle
import threading
import weakref
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daskflow.artifacts.forms import zarrtrees
from daskflow.artifacts.forms.zarrtrees import ZarrTree
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Tree
from daskflow.artifacts.values import Values
from tests.artifacts.forms.test_netcdf import assert_same, datasets

FORM = ZarrTree()
da: Any = dask.array


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path if request.param == "directory" else f"memory://{tmp_path.name}")


def again(store: ObjectStore, value: Any, cores: int = 1) -> Any:
    found = FORM.dump_tree(value, store, cores)
    assert found is not None
    assert store.exists(*found)
    return FORM.load_tree(store, found[0])


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(dataset=datasets(), chunks=st.dictionaries(st.sampled_from(["time", "x"]), st.integers(1, 3)))
def test_bit_for_bit(tmp_path: Path, dataset: xr.Dataset, chunks: dict[str, int]) -> None:
    store = ObjectStore(tmp_path)
    found = FORM.dump_tree(dataset.chunk({dim: size for dim, size in chunks.items() if dim in dataset.dims}), store)
    if found is not None:
        assert_same(FORM.load_tree(store, found[0]).compute(), dataset)


def example() -> xr.Dataset:
    lazy = da.arange(40_000, chunks=10_000).reshape(4, 10_000)
    return xr.Dataset(
        {"flux": (("time", "x"), lazy, {"units": "Jy"}), "flag": (("x",), np.arange(10_000) % 2 == 0)},
        {"time": np.arange(4).astype("M8[ns]"), "name": ("time", list("abcd"))},
        {"telescope": "CHIME"},
    ).chunk(x=3000)


def test_chunks_come_back_as_they_were(store: ObjectStore) -> None:
    dataset = example()
    found = again(store, dataset)
    assert found["flux"].chunks == dataset["flux"].chunks
    assert found["time"].chunks is None
    assert_same(found.compute(), dataset.compute())


def test_data_array(store: ObjectStore) -> None:
    array = example()["flux"]
    array.encoding = {"scale_factor": 0.5}
    found = again(store, array)
    assert type(found) is xr.DataArray
    assert_same(found.compute(), array.compute())


def test_each_chunk_is_an_object(store: ObjectStore) -> None:
    digest, _ = FORM.dump_tree(example(), store) or ("", 0)
    sizes = [entry.size for path, entry in Tree.get(store, digest).files() if path.startswith("flux/c/")]
    assert sizes == [24_000] * 16


def test_loading_reads_what_is_asked_for(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    found = again(store, example())
    got: list[int] = []
    get = store.get

    def counted(digest: str, size: int | None = None) -> memoryview:
        got.append(size or 0)
        return get(digest, size)

    monkeypatch.setattr(store, "get", counted)
    np.testing.assert_array_equal(found["flux"][1, :10].values, np.arange(10_000, 10_010))
    assert sum(got) == 24_000


def test_digest_depends_on_neither_cores_nor_store(tmp_path: Path) -> None:
    stores = [ObjectStore(tmp_path), ObjectStore(f"memory://{tmp_path.name}")]
    assert len({FORM.dump_tree(example(), store, cores) for store in stores for cores in (1, 3)}) == 1


@pytest.mark.parametrize("cores", [1, 3])
def test_as_many_chunks_at_a_time_as_there_are_cores(tmp_path: Path, cores: int) -> None:
    now, most = set(), [0]
    arrived = threading.Barrier(cores)
    lock = threading.Lock()

    def block(block_id: Any = None) -> Any:
        with lock:
            now.add(block_id)
            most[0] = max(most[0], len(now))
        # Nobody goes on before as many as may are here, so more would be seen.
        arrived.wait(60)
        with lock:
            now.discard(block_id)
        return np.zeros((10, 1000))

    lazy = da.map_blocks(block, chunks=((10,) * 6, (1000,)), dtype=float, meta=np.zeros((0, 0)))
    with dask.config.set(scheduler="threads", num_workers=8):
        FORM.dump_tree(xr.DataArray(lazy, dims=("a", "b")), ObjectStore(tmp_path), cores)
    assert most == [cores]


def test_failing_chunk_leaves_no_tree(tmp_path: Path) -> None:
    def block(block_id: Any = None) -> Any:
        raise RuntimeError("no data")

    store = ObjectStore(tmp_path)
    lazy = da.map_blocks(block, chunks=((10_000,),), dtype=float, meta=np.zeros(0))
    with pytest.raises(RuntimeError, match="no data"):
        FORM.dump_tree(xr.DataArray(lazy, dims="a"), store)


def test_larger_than_what_is_kept(store: ObjectStore) -> None:
    alive, most = [0], [0]

    def gone() -> None:
        alive[0] -= 1

    def block(block_id: Any = None) -> Any:
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        made = np.full((100, 1000), float(block_id[0]))
        weakref.finalize(made, gone)
        return made

    lazy = da.map_blocks(block, chunks=((100,) * 30, (1000,)), dtype=float, meta=np.zeros((0, 0)))
    found = again(store, xr.DataArray(lazy, dims=("a", "b")))
    assert most[0] <= 6
    assert float(found[2950, 0]) == 29.0


def test_what_was_loaded_travels(store: ObjectStore) -> None:
    found = again(store, example())
    data = pickle.dumps(found)
    assert len(data) < 40_000
    assert_same(pickle.loads(data).compute(), example().compute())


def test_what_zarr_would_change_is_left_alone(tmp_path: Path) -> None:
    lazy = xr.DataArray(da.from_array(np.array([None] * 10_000), chunks=5000), dims="x")
    assert FORM.matches(lazy)
    assert FORM.dump_tree(lazy, ObjectStore(tmp_path)) is None


def test_matches_only_its_own() -> None:
    assert FORM.matches(example())
    assert not FORM.matches(example().compute())
    assert not FORM.matches(example().isel(x=slice(10)))
    assert not FORM.matches(da.zeros(zarrtrees.LARGE))


def test_values_tell_what_the_chunk_raised(tmp_path: Path) -> None:
    def block(block_id: Any = None) -> Any:
        raise ValueError("the archive is busy")

    lazy = da.map_blocks(block, chunks=((10_000,),), dtype=float, meta=np.zeros(0))
    with pytest.raises(ValueError, match="busy"):
        Values(ObjectStore(tmp_path)).dump(xr.DataArray(lazy, dims="a"))
