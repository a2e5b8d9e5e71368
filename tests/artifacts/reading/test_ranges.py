"""A file of ranges is as good as an open file, to libraries too."""

from __future__ import annotations

import io
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import dask.base
import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.reading.copies import CopyRanges
from daskflow.artifacts.reading.ranges import ObjectRanges, RangeFile
from daskflow.artifacts.reading.treestore import TreeStore
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import StoreSilent

DATA = np.random.default_rng(1).bytes(300_000)


def opened(data: bytes = DATA) -> RangeFile:
    return RangeFile(lambda start, stop: data[start:stop], len(data))


STEPS = st.one_of(
    st.tuples(st.just("read"), st.integers(-1, 100_000)),
    st.tuples(st.just("read1"), st.integers(0, 1000)),
    st.tuples(st.just("readinto"), st.integers(0, 100_000)),
    st.tuples(st.just("readline"), st.just(-1)),
    st.tuples(st.just("seek"), st.tuples(st.integers(0, 400_000), st.just(0))),
    st.tuples(st.just("seek"), st.tuples(st.integers(0, 100), st.just(1))),
    st.tuples(st.just("seek"), st.tuples(st.integers(-300_000, 100), st.just(2))),
)


@given(st.lists(STEPS, max_size=10))
def test_behaves_like_bytes_in_memory(steps: list[Any]) -> None:
    ours, true = opened(), io.BytesIO(DATA)
    for name, argument in steps:
        if name == "readinto":
            one, two = bytearray(argument), bytearray(argument)
            assert ours.readinto(one) == true.readinto(two)
            assert one == two
        elif name == "seek":
            assert ours.seek(*argument) == true.seek(*argument)
        else:
            assert getattr(ours, name)(argument) == getattr(true, name)(argument)
        assert ours.tell() == true.tell()


def test_nothing_before_the_start() -> None:
    with pytest.raises(ValueError, match="before the start"):
        opened().seek(-1)


def test_closed() -> None:
    with opened() as file:
        pass
    for use in (file.read, file.tell, file.peek, lambda: file.seek(0), lambda: file.read_at(0, 1)):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_lines() -> None:
    text = b"".join(b"line %d\n" % number for number in range(20_000))
    file = opened(text)
    assert list(file) == text.splitlines(keepends=True)
    assert file.requests < 10
    assert io.TextIOWrapper(cast(io.BufferedReader, opened(text))).read() == text.decode()


def test_peek_and_read1() -> None:
    file = opened()
    assert DATA.startswith(file.peek())
    assert file.tell() == 0
    assert DATA.startswith(file.read1())
    assert file.requests == 1


def test_threads_read_without_a_position() -> None:
    file = opened()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda start: bytes(file.read_at(start, start + 50)), range(0, 250_000, 50)))
    assert b"".join(found) == DATA[:250_000]
    assert file.tell() == 0


def test_threads_share_the_position() -> None:
    file = opened()
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: file.read(100), range(3000)))
    assert found == {DATA[start : start + 100] for start in range(0, len(DATA), 100)}


def test_pickles_with_the_store() -> None:
    store = ObjectStore("memory://ranges")
    digest = store.put(DATA)
    file = RangeFile(ObjectRanges(store, digest, len(DATA)), len(DATA))
    file.seek(1000)
    again = pickle.loads(pickle.dumps(file))
    assert (again.tell(), again.moved, again.read()) == (0, 0, DATA)
    assert dask.base.tokenize(again) == dask.base.tokenize(file)


def test_pickles_hold_no_credentials() -> None:
    store = ObjectStore("s3://bucket/secrets", {"secret_access_key": "hunter2"})
    file = RangeFile(CopyRanges(store, "0" * 32, 3), 3)
    data = pickle.dumps([file, ObjectRanges(store, "0" * 32, 3), TreeStore(store, "0" * 32)])
    assert b"hunter2" not in data
    again, _, tree = pickle.loads(data)
    assert again._source.store is store
    assert type(again._source) is CopyRanges
    assert tree.store is store


def test_other_libraries() -> None:
    archive, cube = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("table.csv", "a,b\n1,2\n")
    with h5py.File(cube, "w") as made:
        made["cube"] = np.arange(100_000)
    with zipfile.ZipFile(opened(archive.getvalue())) as zipped, zipped.open("table.csv") as table:
        assert pd.read_csv(table).to_dict("list") == {"a": [1], "b": [2]}
    with h5py.File(opened(cube.getvalue()), "r") as file:
        np.testing.assert_array_equal(file["cube"][7::1000], np.arange(100_000)[7::1000])


def test_hdf5_passes_our_errors_on() -> None:
    def read(start: int, stop: int) -> bytes:
        raise StoreSilent

    with pytest.raises(StoreSilent):
        h5py.File(RangeFile(read, 1000), "r")
