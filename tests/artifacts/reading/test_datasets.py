"""Files of every kind open as what they are, wherever they lie, and little more is moved than what is read."""

from __future__ import annotations

import importlib.util
import io
import pickle
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import dask.base
import h5py
import numpy as np
import pytest
import xarray as xr

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.places.bucket import Bucket
from daskflow.artifacts.reading import datasets
from daskflow.artifacts.reading.datasets import open_dataset, open_h5
from daskflow.artifacts.reading.ranges import RangeFile
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArgumentsInvalid, ArtifactError, ArtifactMissing, ExtraMissing

GIB = 1 << 30


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    url = tmp_path / "store" if request.param == "directory" else f"memory://{tmp_path.name}"
    return ObjectStore(url, cache=NodeCache(tmp_path / "cache", GIB))


@pytest.fixture
def cloud(tmp_path: Path) -> ObjectStore:
    """A store whose objects are no files."""
    return ObjectStore(f"memory://{tmp_path.name}", cache=NodeCache(tmp_path / "cache", GIB))


def kept(store: ObjectStore, source: Any) -> Artifact:
    made = Artifact("cube")
    made._url = store.url
    return made.upload(source)


def example() -> xr.Dataset:
    return xr.Dataset(
        {"flux": (("channel", "x"), np.arange(60.0).reshape(6, 10), {"units": "Jy"})},
        {"channel": np.arange(6) * 1e6},
        {"telescope": "VLA"},
    )


def written(path: Path, kind: str) -> Path:
    dataset = example()
    if kind == "netcdf4":
        dataset.to_netcdf(path, engine="h5netcdf")
    elif kind == "netcdf3":
        dataset.to_netcdf(path, engine="scipy")
    else:
        dataset.chunk(channel=2).to_zarr(path, zarr_format=2 if kind == "zarr2" else 3, consolidated=False)
    return path


@pytest.mark.parametrize("staged", [None, True])
@pytest.mark.parametrize("kind", ["netcdf4", "netcdf3", "zarr2", "zarr3"])
def test_each_kind(store: ObjectStore, tmp_path: Path, kind: str, staged: bool | None) -> None:
    artifact = kept(store, written(tmp_path / "anything", kind))
    with open_dataset(artifact, staged=staged) as dataset:
        assert dataset.chunks == {}
        assert not dataset["flux"].variable._in_memory
        xr.testing.assert_identical(dataset.load(), example())


@pytest.mark.parametrize("staged", [None, True, False])
@pytest.mark.parametrize("kind", ["netcdf4", "zarr3"])
def test_with_chunks_it_travels(store: ObjectStore, tmp_path: Path, kind: str, staged: bool | None) -> None:
    artifact = kept(store, written(tmp_path / "anything", kind))
    with open_dataset(artifact, staged=staged, chunks={"channel": 2}) as dataset:
        assert dataset.chunks["channel"] == (2, 2, 2)
        again = pickle.loads(pickle.dumps(dataset))
    with again:
        xr.testing.assert_identical(again.compute(scheduler="synchronous"), example())


@pytest.mark.parametrize("kind", ["netcdf4", "zarr3"])
def test_opened_twice_it_is_the_same_to_dask(store: ObjectStore, tmp_path: Path, kind: str) -> None:
    artifact = kept(store, written(tmp_path / "anything", kind))
    with open_dataset(artifact, chunks={}) as one, open_dataset(artifact, chunks={}) as two:
        assert dask.base.tokenize(one) == dask.base.tokenize(two)


@pytest.mark.parametrize(("limit", "by_ranges"), [(0, True), (GIB, False)])
def test_small_files_are_staged(
    cloud: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, by_ranges: bool
) -> None:
    monkeypatch.setattr(datasets, "STAGED", limit)
    artifact = kept(cloud, written(tmp_path / "anything", "netcdf4"))
    asked: list[str] = []
    monkeypatch.setattr(ObjectStore, "read", told(ObjectStore.read, asked))
    monkeypatch.setattr(ObjectStore, "local_path", told(ObjectStore.local_path, asked))
    for staged in (None, True, False):
        with open_dataset(artifact, staged=staged) as dataset:
            dataset.load()
    rule = {"read"} if by_ranges else {"local_path"}
    assert set(asked[: -asked[::-1].index("local_path")]) == rule | {"local_path"}
    assert asked[-1] == "read"


def told(method: Any, asked: list[str]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        asked.append(method.__name__)
        return method(*args, **kwargs)

    return call


def test_where_the_store_has_files_they_are_read_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ObjectStore(tmp_path / "store")
    artifact = kept(store, written(tmp_path / "anything", "netcdf4"))
    with open_dataset(artifact, staged=False) as dataset:
        assert dataset.encoding["source"] == str(store.local_path(artifact.digest))


def cube(path: Path, shape: tuple[int, int, int], chunks: tuple[int, int, int], **options: Any) -> Path:
    with h5py.File(path, "w", **options) as file:
        made = file.create_dataset("cube", shape, "f4", chunks=chunks)
        for channel in range(shape[0]):
            made[channel] = channel + np.linspace(0, 1, shape[2], dtype="f4")
        for number in range(20):
            file.create_dataset(f"auxiliary{number}", data=np.arange(10.0)).attrs["units"] = "s"
    return path


@pytest.mark.parametrize("options", [{}, {"libver": "latest"}, {"fs_strategy": "page", "fs_page_size": 65536}])
@pytest.mark.parametrize("chunks", [(1, 256, 256), (1, 64, 64), (2, 128, 32)])
def test_little_is_moved(cloud: ObjectStore, tmp_path: Path, chunks: Any, options: Any) -> None:
    artifact = kept(cloud, cube(tmp_path / "cube.h5", (160, 256, 256), chunks, **options))
    file = artifact.open()
    assert isinstance(file, RangeFile)
    with h5py.File(file, "r") as opened:
        found = opened["cube"][80:88]
    np.testing.assert_array_equal(found[:, 3, 0], np.arange(80, 88))
    assert file.moved <= 0.08 * file.size


def test_plain_hdf5(store: ObjectStore, tmp_path: Path) -> None:
    artifact = kept(store, cube(tmp_path / "cube.h5", (4, 8, 8), (1, 8, 8)))
    with open_h5(artifact) as file:
        assert file["cube"][2, 0, 0] == 2
        assert file.mode == "r"
    with open_dataset(artifact, staged=False) as dataset:
        assert dataset["cube"].shape == (4, 8, 8)
        assert float(dataset["cube"][3, 0, 0]) == 3


def test_group(store: ObjectStore, tmp_path: Path) -> None:
    example().to_netcdf(tmp_path / "file", engine="h5netcdf", group="night/1")
    artifact = kept(store, tmp_path / "file")
    with open_dataset(artifact, group="night/1") as dataset:
        xr.testing.assert_identical(dataset.load(), example())
    with pytest.raises(ArtifactError, match=r"The artifact cube cannot be read.*group not found"):
        open_dataset(artifact, group="night/2")


def test_hdf5_behind_a_text(cloud: ObjectStore, tmp_path: Path) -> None:
    artifact = kept(cloud, cube(tmp_path / "cube.mat", (4, 8, 8), (1, 8, 8), userblock_size=512))
    with open_h5(artifact, staged=False) as file:
        assert file["cube"][2, 0, 0] == 2
    with open_dataset(artifact) as dataset:
        assert float(dataset["cube"][3, 0, 0]) == 3
    with pytest.raises(ArgumentsInvalid, match="staged=False"):
        open_dataset(artifact, staged=False)


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a", "b")
    return made.getvalue()


@pytest.mark.parametrize(("data", "told"), [(zipped(), "a zip file"), (b"hello", "b'hello'"), (b"", "b''")])
@pytest.mark.parametrize("opens", [open_dataset, open_h5])
def test_other_files(store: ObjectStore, opens: Any, data: bytes, told: str) -> None:
    with pytest.raises(ArtifactError, match=rf"The artifact cube is neither NetCDF nor HDF5.*{told}.*open\(\)"):
        opens(kept(store, data))


def test_other_directories(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "table.dat").write_bytes(b"CASA")
    artifact = kept(store, tmp_path / "table")
    with pytest.raises(ArtifactError, match=r"directory cube is no Zarr store"):
        open_dataset(artifact)
    with pytest.raises(ArtifactError, match=r"cube is a directory"):
        open_h5(artifact)


def test_netcdf3_is_no_hdf5(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"open_dataset\(\)"):
        open_h5(kept(store, written(tmp_path / "file", "netcdf3")))


def test_netcdf3_without_scipy(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = kept(store, written(tmp_path / "file", "netcdf3"))
    find = importlib.util.find_spec
    monkeypatch.setattr(datasets, "find_spec", lambda name: None if name == "scipy" else find(name))
    with pytest.raises(ExtraMissing, match="pip install scipy"):
        open_dataset(artifact)


@pytest.mark.parametrize("opens", [open_dataset, open_h5])
@pytest.mark.parametrize("staged", [None, False])
def test_cut_short(store: ObjectStore, tmp_path: Path, opens: Any, staged: bool | None) -> None:
    data = cube(tmp_path / "cube.h5", (4, 64, 64), (1, 64, 64)).read_bytes()
    with pytest.raises(ArtifactError, match=r"The artifact cube cannot be read.*whole"):
        opens(kept(store, data[: len(data) // 2]), staged=staged)


def test_missing_object(store: ObjectStore, tmp_path: Path) -> None:
    artifact = kept(store, cube(tmp_path / "cube.h5", (4, 8, 8), (1, 8, 8)))
    store.remove(artifact.digest)
    with pytest.raises(ArtifactMissing):
        open_dataset(artifact)


def test_missing_chunk_tells_when_it_is_read(store: ObjectStore, tmp_path: Path) -> None:
    artifact = kept(store, written(tmp_path / "zarr", "zarr3"))
    with open_dataset(artifact) as dataset:
        store.remove(store.put_file(tmp_path / "zarr" / "flux" / "c" / "2" / "0"))
        with pytest.raises(ArtifactMissing):
            dataset["flux"].load()


def test_hdf5_waits_for_no_other_thread(cloud: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds a lock while it reads; a thread that collects garbage of HDF5 meanwhile could never end."""
    artifact = kept(cloud, cube(tmp_path / "cube.h5", (160, 256, 256), (1, 256, 256)))
    threads = set()
    get_range = Bucket.get_range

    def told(*args: Any) -> memoryview:
        threads.add(threading.get_ident())
        return get_range(*args)

    monkeypatch.setattr(Bucket, "get_range", told)
    with open_h5(artifact) as file:
        assert file["cube"][50:80].shape == (30, 256, 256)
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("opened", ["open_h5()", "open_dataset(chunks={})"])
def test_files_left_open_at_the_end_of_a_program(tmp_path: Path, opened: str) -> None:
    path = cube(tmp_path / "cube.h5", (4, 8, 8), (1, 8, 8))
    code = f"""
from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.store import ObjectStore

store = ObjectStore("memory://left")
artifact = Artifact("cube")
artifact._url = store.url
file = artifact.upload({str(path)!r}).{opened.replace("(", "(staged=False, ")}
print(float(file["cube"][2, 0, 0]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2.0\n", "")
