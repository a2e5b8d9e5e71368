"""A copy is looked for on the node that reads."""

from __future__ import annotations

import gc
import os
import pickle
from contextlib import suppress
from pathlib import Path

import dask.base
import pytest

from daskflow.artifacts.reading.copies import CopyRanges
from daskflow.artifacts.store import ObjectStore

DATA = bytes(range(200))


def test_ranges(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    ranges = CopyRanges(store, store.put(DATA), len(DATA))
    assert bytes(ranges(3, 7)) == DATA[3:7]
    assert bytes(ranges(190, 300)) == DATA[190:]


def test_nothing_is_opened_before_it_is_read(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    digest = store.put(DATA)
    ranges = CopyRanges(ObjectStore(tmp_path / "moved"), digest, len(DATA))
    again = pickle.loads(pickle.dumps(ranges))
    ObjectStore(tmp_path / "moved").put(DATA)
    assert bytes(again(0, 3)) == DATA[:3]
    assert dask.base.tokenize(again) == dask.base.tokenize(CopyRanges(store, digest, len(DATA)))


def test_copy_that_is_removed_meanwhile(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    digest = store.put(DATA)
    ranges = CopyRanges(store, digest, len(DATA))
    ranges(0, 1)
    store.remove(digest)
    assert bytes(ranges(100, 200)) == DATA[100:]


def test_no_garbage_is_collected_while_a_copy_is_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ObjectStore(tmp_path)
    collecting: list[bool] = []
    local_path = store.local_path

    def told(digest: str, size: int | None = None) -> Path:
        collecting.append(gc.isenabled())
        return local_path(digest, size)

    monkeypatch.setattr(store, "local_path", told)
    CopyRanges(store, store.put(DATA), len(DATA))(0, 1)
    assert collecting == [False]
    assert gc.isenabled()


def opened(path: Path) -> int:
    """How often this process has a file open; other tests' threads open others meanwhile."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += os.readlink(descriptor) == str(path)
    return found


def test_files_are_closed(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    digest = store.put(DATA)
    path = store.local_path(digest)
    kept = CopyRanges(store, digest, len(DATA))
    for ranges in (kept, *[CopyRanges(store, digest, len(DATA)) for _ in range(5)]):
        ranges(0, 1)
    del ranges
    assert opened(path) == 1, "that of the one which is there"
