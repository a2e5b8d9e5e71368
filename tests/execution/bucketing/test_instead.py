from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from daskflow.artifacts.store import known
from daskflow.artifacts.values import Values
from daskflow.execution.bucketing.instead import Instead


@pytest.mark.parametrize("url", ["file:///nowhere/at/all", "s3://bucket/prefix", ""])
def test_a_directory_stands_for_a_store_that_is_out_of_reach(tmp_path: Path, url: str) -> None:
    store = Instead(url, tmp_path / "mine")
    assert known(store.url) is store
    assert store.local
    digest = store.put(b"x" * 100)
    assert bytes(store.get(digest)) == b"x" * 100
    assert (tmp_path / "mine" / "objects").is_dir()
    assert store.local_path(digest).is_file()
    again = pickle.loads(pickle.dumps(store))
    assert (again.url, bytes(again.get(digest))) == (store.url, b"x" * 100)


def test_what_names_the_url_means_the_directory(tmp_path: Path) -> None:
    there = Values(Instead("file:///nowhere/at/all", tmp_path / "a"), inline_limit=10, key=bytes(32))
    moved = pickle.loads(pickle.dumps(there))
    stored = moved.dump("a text that is longer than ten bytes")
    assert stored.inline is None
    assert there.load(stored) == "a text that is longer than ten bytes"
