"""Of a large file only what is needed comes from the object store: counted at a real server."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import dask.array
import h5netcdf
import numpy as np
import pytest
import xarray as xr

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.forms.zarrtrees import ZarrTree
from daskflow.artifacts.store import ObjectStore
from tests.services.counting import Counting
from tests.services.s3 import S3

pytestmark = [pytest.mark.acceptance, pytest.mark.integration]
CHANNELS, PIXELS = 1024, 512
MIB = 1 << 20
TILES = np.arange(PIXELS * PIXELS, dtype="f4").reshape(PIXELS, PIXELS)


@pytest.fixture
def store(s3: S3, counting: Counting, prefix: str, tmp_path: Path) -> ObjectStore:
    return ObjectStore(s3.url(prefix), s3.through(counting.endpoint).options, NodeCache(tmp_path / "cache", 64 * MIB))


@pytest.fixture
def cube(store: ObjectStore, tmp_path: Path) -> Iterator[Artifact]:
    """1 GiB, shape (frequency, y, x), in chunks of 256 KiB."""
    path = tmp_path / "cube.h5"
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"frequency": CHANNELS, "y": PIXELS, "x": PIXELS}
        flux = file.create_variable("flux", ("frequency", "y", "x"), "f4", chunks=(1, 256, 256))
        for channel in range(CHANNELS):
            flux[channel] = TILES + channel
    artifact = Artifact("cube.h5")
    artifact._url = store.url
    artifact.upload(path, progress=False)
    path.unlink()
    yield artifact
    for digest, _, _ in list(store.objects()):
        store.remove(digest)


def test_five_percent_of_a_gigabyte(cube: Artifact, counting: Counting) -> None:
    first, some = 300, CHANNELS // 20
    counting.reset()
    with cube.open_dataset() as dataset:
        found = dataset["flux"][first : first + some].values
    assert counting.received <= 0.08 * cube.size
    np.testing.assert_array_equal(found[:, 7, 9], TILES[7, 9] + np.arange(first, first + some))
    # A column of tiles through the whole band is no slab, but whole chunks too.
    counting.reset()
    with cube.open_dataset(chunks={"frequency": 64}) as dataset:
        tile = dataset["flux"][::5, :256, :256]
        again = pickle.loads(pickle.dumps(tile))
        mean = again.mean(("y", "x")).compute(scheduler="threads")
    assert counting.received <= 1.6 * tile.nbytes
    np.testing.assert_allclose(mean, TILES[:256, :256].mean() + np.arange(0, CHANNELS, 5), rtol=1e-4)


def test_dask_backed_results_go_chunk_by_chunk(store: ObjectStore, counting: Counting) -> None:
    lazy = dask.array.random.default_rng(5).normal(size=(32, 512, 512), chunks=(1, 512, 512))
    value = xr.DataArray(lazy, dims=("frequency", "y", "x"), attrs={"units": "Jy"})
    form = ZarrTree()
    found = form.dump_tree(value, store, 2)
    assert found is not None
    assert 64 * MIB <= counting.sent <= 66 * MIB
    counting.reset()
    again = form.load_tree(store, found[0])
    np.testing.assert_array_equal(again[7].values, lazy[7].compute())
    assert 2 * MIB <= counting.received <= 3 * MIB
    sent = counting.sent
    assert form.dump_tree(value, store) == found
    assert counting.sent - sent < MIB


def test_server_on_a_bad_day(store: ObjectStore, counting: Counting, tmp_path: Path) -> None:
    value = xr.Dataset({"flux": (("x", "y"), np.arange(1e5).reshape(100, 1000))})
    value.to_netcdf(tmp_path / "file", engine="h5netcdf")
    artifact = Artifact("file")
    artifact._url = store.url
    artifact.upload(tmp_path / "file", progress=False)
    counting.busy, counting.breaking = 3, 2
    with artifact.open_dataset(staged=False) as dataset:
        xr.testing.assert_identical(dataset.load(), value)
    assert (counting.busy, counting.breaking) == (0, 0)
