"""Results become records and records become results."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import INLINE_LIMIT, Values
from daskflow.errors import ArtifactDamaged, ArtifactError, ArtifactMissing, NotSerialisable
from daskflow.model.outcome import Stored

LARGE = INLINE_LIMIT


@pytest.fixture(params=["directory", "memory"])
def values(request: pytest.FixtureRequest, tmp_path: Path) -> Values:
    return Values(ObjectStore(tmp_path / "store" if request.param == "directory" else f"memory://{tmp_path}"))


SMALL = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary(),
    st.lists(st.integers()), st.dictionaries(st.text(), st.floats()),
)  # fmt: skip


@given(SMALL)
def test_small_values(value: Any) -> None:
    stored = Values(None).dump(value)
    assert stored.format == "pickle"
    assert stored.inline is not None
    assert stored.digest == digest_bytes(stored.inline)
    assert stored.size == len(stored.inline)
    again = Values(None).load(stored)
    assert pickle.dumps(again) == pickle.dumps(value) or again == value
    assert type(again) is type(value)


def test_equal_but_different() -> None:
    assert len({Values(None).dump(value).digest for value in (1, True, 1.0, 1 + 0j, "1", b"1")}) == 6
    assert len({Values(None).dump(value).digest for value in (0, False, 0.0, -0.0, None)}) == 5


def larges() -> list[tuple[str, Any]]:
    return [
        ("npy", np.arange(100_000.0)),
        ("npy", np.arange(1_000_000).reshape(1000, 1000).T),
        ("parquet", pd.DataFrame({"a": np.arange(100_000), "b": np.random.default_rng(1).random(100_000)})),
        ("netcdf", xr.Dataset({"a": (("x", "y"), np.ones((500, 500)))}, attrs={"unit": None})),
        ("zarr", xr.DataArray(np.ones((500, 500)), dims=("x", "y")).chunk(x=100)),
        ("pickle", "x" * LARGE),
        ("pickle", {"a": np.arange(100_000.0), "b": [1, 2]}),
        ("pickle", pd.DataFrame({"a": pd.Categorical(["x", "y"] * 50_000)})),
        ("cloudpickle", [lambda: 3, np.zeros(100_000)]),
    ]


@pytest.mark.parametrize("index", range(len(larges())))
def test_large_values(values: Values, index: int) -> None:
    name, value = larges()[index]
    stored = values.dump(value)
    assert stored.format == name
    assert stored.inline is None
    assert stored.size > LARGE
    assert values.store is not None
    assert values.store.size(stored.digest) == stored.size
    values.store.verify(stored.digest)
    assert_equal(values.load(stored), value)
    assert_equal(pickle.loads(pickle.dumps(values)).load(stored), value)


@pytest.mark.parametrize("index", range(len(larges()) - 1))
def test_equal_values_have_equal_digests(tmp_path: Path, index: int) -> None:
    one, two = (Values(ObjectStore(tmp_path / name)).dump(larges()[index][1]) for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("index", range(len(larges())))
def test_without_a_store_all_is_inline(index: int) -> None:
    name, value = larges()[index]
    stored = Values(None).dump(value)
    assert (stored.format, len(stored.inline or b"")) == (name, stored.size)
    assert stored.digest == digest_bytes(stored.inline or b"")
    assert_equal(Values(None).load(stored), value)


def test_limit(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    size = len(pickle.dumps(b"12345", 5))
    assert Values(store, size).dump(b"12345").inline is not None
    assert Values(store, size - 1).dump(b"12345").inline is None
    assert Values(store, 0).dump([]).inline is None


def test_arrays_may_be_changed_without_changing_the_store(values: Values) -> None:
    for count in (200_000, 1000):
        stored = values.dump(np.zeros(count))
        values.load(stored)[:] = 7
        assert (values.load(stored) == 0).all()
        stored = values.dump({"a": np.zeros(count), "b": pd.DataFrame({"c": np.zeros(count)})})
        loaded = values.load(stored)
        loaded["a"][:] = 7
        loaded["b"].loc[0, "c"] = 7
        again = values.load(stored)
        assert (again["a"] == 0).all()
        assert (again["b"]["c"] == 0).all()


def test_large_arrays_are_mapped(tmp_path: Path) -> None:
    values = Values(ObjectStore(tmp_path))
    array = values.load(values.dump(np.zeros(200_000)))
    assert "mmap" in type(bottom(array)).__name__


def test_many_results_at_once(tmp_path: Path) -> None:
    """More arrays than a process may open files."""
    values = Values(ObjectStore(tmp_path))
    stored = values.dump(np.zeros(10_000))
    assert len([values.load(stored) for _ in range(2000)]) == 2000


def test_not_serialisable(values: Values) -> None:
    with pytest.raises(NotSerialisable, match=r"_thread\.lock"):
        values.dump(threading.Lock())


def test_missing(values: Values) -> None:
    stored = values.dump(np.zeros(100_000))
    assert values.store is not None
    values.store.remove(stored.digest)
    with pytest.raises(ArtifactMissing, match=stored.digest):
        values.load(stored)
    with pytest.raises(ArtifactMissing, match=stored.digest):
        Values(None).load(stored)


@pytest.mark.parametrize("index", range(len(larges())))
def test_cut_object(tmp_path: Path, index: int) -> None:
    store = ObjectStore(tmp_path)
    stored = Values(store).dump(larges()[index][1])
    path = store.local_path(stored.digest)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtifactDamaged, match=stored.digest):
        Values(store).load(stored)


@pytest.mark.parametrize("name", ["npy", "parquet", "netcdf", "zarr", "pickle", "cloudpickle"])
def test_bytes_that_make_no_value(name: str) -> None:
    with pytest.raises(ArtifactError, match=f"format {name}.*cannot be loaded"):
        Values(None).load(Stored("0" * 32, 9, name, b"not bytes"))


def test_class_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("gone_module")
    exec("class Gone: pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "gone_module", module)
    stored = Values(None).dump(module.Gone())
    monkeypatch.delitem(sys.modules, "gone_module")
    with pytest.raises(ArtifactError, match=r"ModuleNotFoundError.*gone_module.*Install"):
        Values(None).load(stored)


def test_pickles_cheaply(tmp_path: Path) -> None:
    values = Values(ObjectStore(tmp_path), 100)
    data = pickle.dumps(values, 5)
    assert len(data) < 400
    assert pickle.loads(data).inline_limit == 100


def test_nothing_heavy_is_imported() -> None:
    code = """
import sys
from daskflow.artifacts.values import Values
values = Values(None)
for value in (None, 1, "a", [1.0, {"b": (2, b"c")}]):
    values.load(values.dump(value))
heavy = {"numpy", "pandas", "pyarrow", "xarray", "h5netcdf", "zarr", "obstore", "cloudpickle", "dask"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def bottom(array: Any) -> Any:
    base = array
    while not isinstance(base, memoryview) and getattr(base, "base", None) is not None:
        base = base.base
    return base.obj if isinstance(base, memoryview) else base


def assert_equal(one: Any, two: Any) -> None:
    assert type(one) is type(two)
    if isinstance(two, np.ndarray):
        np.testing.assert_array_equal(one, two)
    elif isinstance(two, pd.DataFrame):
        pd.testing.assert_frame_equal(one, two)
    elif isinstance(two, (xr.Dataset, xr.DataArray)):
        xr.testing.assert_identical(one, two)
    elif isinstance(two, dict):
        assert one.keys() == two.keys()
        for name in two:
            assert_equal(one[name], two[name])
    elif isinstance(two, list) and callable(two[0]):
        assert one[0]() == two[0]()
        assert_equal(one[1], two[1])
    else:
        assert one == two
