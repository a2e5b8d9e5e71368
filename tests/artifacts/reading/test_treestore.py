"""A tree is a Zarr store: written key by key, whole when it is committed, read by ranges."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Coroutine
from typing import Any, TypeVar

import dask.base
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import cpu
from zarr.core.buffer.core import default_buffer_prototype

from daskflow.artifacts.reading.treestore import TreeStore
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Entry, Tree
from daskflow.errors import ArtifactDamaged, ArtifactError, ArtifactMissing

T = TypeVar("T")


def run(made: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(made)


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> ObjectStore:
    return ObjectStore(tmp_path if request.param == "directory" else f"memory://{tmp_path.name}")


def filled(store: ObjectStore, keys: dict[str, bytes]) -> TreeStore:
    tree = TreeStore(store)
    for key, data in keys.items():
        run(tree.set(key, cpu.Buffer.from_bytes(data)))
    return tree


async def listed(found: Any) -> list[str]:
    return [key async for key in found]


def read(tree: TreeStore, key: str, wanted: Any = None) -> bytes | None:
    found = run(tree.get(key, default_buffer_prototype(), wanted))
    return None if found is None else found.to_bytes()


def test_keys(store: ObjectStore) -> None:
    keys = {"zarr.json": b"{}", "a/zarr.json": b"{ }", "a/c/0/0": b"chunk", "a/c/0/1": b"", "ab/c/0": b"other"}
    tree = filled(store, keys)
    for one in (tree, TreeStore(store, tree.commit())):
        assert {key: read(one, key) for key in keys} == keys
        assert run(listed(one.list())) == sorted(keys)
        assert run(listed(one.list_prefix("a/c"))) == ["a/c/0/0", "a/c/0/1"]
        assert run(listed(one.list_dir(""))) == ["a", "ab", "zarr.json"]
        assert run(listed(one.list_dir("a/"))) == ["c", "zarr.json"]
        assert run(one.exists("a/zarr.json"))
        assert not run(one.exists("a"))
        assert run(one.getsize("a/c/0/0")) == 5
        assert run(one.getsize_prefix("a/c")) == 5
        assert read(one, "nothing") is None
        with pytest.raises(FileNotFoundError):
            run(one.getsize("nothing"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(start=st.integers(0, 40), length=st.integers(0, 40))
def test_ranges(store: ObjectStore, start: int, length: int) -> None:
    data = bytes(range(30))
    tree = filled(store, {"chunk": data})
    assert read(tree, "chunk", RangeByteRequest(start, start + length)) == data[start : start + length]
    assert read(tree, "chunk", OffsetByteRequest(start)) == data[start:]
    assert read(tree, "chunk", SuffixByteRequest(length)) == data[len(data) - min(length, 30) :]


def test_partial_values(store: ObjectStore) -> None:
    tree = filled(store, {"a": b"0123", "b": b"4567"})
    wanted = [("b", RangeByteRequest(1, 3)), ("none", None), ("a", None)]
    found = run(tree.get_partial_values(default_buffer_prototype(), wanted))
    assert [None if one is None else one.to_bytes() for one in found] == [b"56", None, b"0123"]


def test_nothing_is_a_tree_before_commit(store: ObjectStore) -> None:
    tree = filled(store, {"a": b"0123"})
    assert tree.digest == ""
    digest = tree.commit()
    assert tree.digest == digest
    assert Tree.get(store, digest).entries == {"a": Entry("f", store.put(b"0123"), 4)}


def test_equal_keys_have_equal_digests(store: ObjectStore) -> None:
    one = filled(store, {"a": b"0", "b/c": b"1"})
    two = filled(store, {"b/c": b"2", "a": b"0"})
    run(two.set("b/c", cpu.Buffer.from_bytes(b"1")))
    assert one.commit() == two.commit()


def test_delete(store: ObjectStore) -> None:
    tree = filled(store, {"a": b"0", "b/c": b"1", "b/d": b"1"})
    run(tree.delete("a"))
    run(tree.delete("a"))
    run(tree.delete_dir("b"))
    assert run(tree.is_empty(""))


def test_read_only(store: ObjectStore) -> None:
    tree = TreeStore(store, filled(store, {"a": b"0"}).commit())
    assert tree.read_only
    with pytest.raises(ValueError, match="read-only"):
        run(tree.set("b", cpu.Buffer.from_bytes(b"1")))
    with pytest.raises(ValueError, match="read-only"):
        run(tree.delete("a"))


def test_changed_tree_is_another_one(store: ObjectStore) -> None:
    first = filled(store, {"a": b"0"}).commit()
    tree = TreeStore(store, first, read_only=False)
    run(tree.set("b", cpu.Buffer.from_bytes(b"1")))
    second = tree.commit()
    assert run(listed(TreeStore(store, first).list())) == ["a"]
    assert run(listed(TreeStore(store, second).list())) == ["a", "b"]


def test_pickles_by_its_digest(store: ObjectStore) -> None:
    tree = TreeStore(store, filled(store, {"a": b"0"}).commit())
    again = pickle.loads(pickle.dumps(tree))
    assert again == tree
    assert hash(again) == hash(tree)
    assert read(again, "a") == b"0"
    assert dask.base.tokenize(again) == dask.base.tokenize(tree)
    assert len(pickle.dumps(tree)) < 2000


def test_what_is_being_written_does_not_travel(store: ObjectStore) -> None:
    tree = TreeStore(store)
    with pytest.raises(ArtifactError, match="commit"):
        pickle.dumps(tree)
    assert tree != TreeStore(store)


def test_one_that_only_reads_sees_what_the_other_writes(store: ObjectStore) -> None:
    tree = TreeStore(store)
    reader = tree.with_read_only(True)
    run(tree.set("a", cpu.Buffer.from_bytes(b"0")))
    assert read(reader, "a") == b"0"


def test_missing_and_damaged(store: ObjectStore) -> None:
    tree = TreeStore(store, filled(store, {"a": b"0123"}).commit())
    store.remove(store.put(b"0123"))
    with pytest.raises(ArtifactMissing):
        read(tree, "a")
    with pytest.raises(ArtifactMissing):
        read(TreeStore(store, "0" * 32), "a")
    with pytest.raises(ArtifactDamaged):
        read(TreeStore(store, store.put(b"no manifest")), "a")


@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part:UserWarning")
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
def test_xarray_writes_and_reads(store: ObjectStore, version: Any, consolidated: bool) -> None:
    dataset = xr.Dataset({"flux": (("x", "y"), np.arange(12.0).reshape(3, 4), {"units": "Jy"})}, {"x": [1, 2, 3]})
    tree = TreeStore(store)
    dataset.chunk(x=2).to_zarr(tree, zarr_format=version, consolidated=consolidated)
    assert tree.is_zarr
    assert tree.consolidated is consolidated
    with xr.open_zarr(TreeStore(store, tree.commit()), consolidated=consolidated) as again:
        assert again.chunks["x"] == (2, 1)
        xr.testing.assert_identical(again.load(), dataset)


def test_shards_are_read_by_ranges(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = TreeStore(store)
    array = zarr.create_array(
        tree, shape=(100, 1000), shards=(50, 1000), chunks=(1, 1000), dtype="f8", compressors=None
    )
    array[:] = np.arange(1e5).reshape(100, 1000)
    moved: list[int] = []
    read = store.read

    def counted(digest: str, start: int, stop: int, size: int | None = None) -> memoryview:
        moved.append(stop - start)
        return read(digest, start, stop, size)

    monkeypatch.setattr(store, "read", counted)
    np.testing.assert_array_equal(zarr.open_array(TreeStore(store, tree.commit()), mode="r")[7], np.arange(7e3, 8e3))
    assert 8000 <= sum(moved) <= 12_000


def test_other_directories_are_no_zarr(store: ObjectStore) -> None:
    assert not filled(store, {"table.dat": b"CASA"}).is_zarr
