from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from daskflow.artifacts.store import ObjectStore, known
from daskflow.artifacts.values import Values
from daskflow.errors import ArtifactMissing
from daskflow.execution.bucketing.instead import Instead
from daskflow.stores.buckets.freight import Freight


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


@pytest.mark.parametrize(
    "ask",
    [
        lambda store, digest: bytes(store.get(digest, 1000)),
        lambda store, digest: bytes(store.read(digest, 0, 2000)),
        lambda store, digest: store.local_path(digest, 1000).read_bytes(),
    ],
)
def test_what_a_server_has_is_fetched_once(
    freight: Freight, inside: ObjectStore, tmp_path: Path, ask: Callable[[ObjectStore, str], bytes]
) -> None:
    digest, own = inside.put(b"x" * 1000), b"made here"
    store = Instead("file:///nowhere/at/all", tmp_path / "mine", freight)
    assert (store.size(digest), store.exists("0" * 32)) == (1000, False)
    assert ask(store, digest) == b"x" * 1000
    inside.remove(digest)
    assert ask(store, digest) == b"x" * 1000
    made = store.put(own)
    assert [found for found, _, _ in store.objects()] == [made], "what was fetched is none of it"
    store.put(b"x" * 1000)
    assert [found for found, _, _ in store.objects()] == [made]
    assert not inside.exists(made)


def test_a_copy_and_another_process_fetch_too(freight: Freight, inside: ObjectStore, tmp_path: Path) -> None:
    digest = inside.put(b"x" * 1000)
    store = pickle.loads(pickle.dumps(Instead("s3://bucket/prefix", tmp_path / "mine", freight)))
    store.download(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"x" * 1000
    store._freight._line.close()


def test_what_is_nowhere_says_what_would_help(freight: Freight, tmp_path: Path) -> None:
    far = Instead("file:///nowhere", tmp_path / "far")
    with pytest.raises(ArtifactMissing, match=r"too large for a work.*file:///nowhere cannot be reached from here"):
        far.get("0" * 32)
    served = Instead("file:///nowhere", tmp_path / "served", freight)
    for ask in (served.get, served.size, served.local_path):
        with pytest.raises(ArtifactMissing, match=r"not in the artifact store of the server http.*name the same store"):
            ask("0" * 32)
