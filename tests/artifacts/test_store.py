"""The contract of the object store, on each kind of place."""

from __future__ import annotations

import errno
import os
import pickle
import threading
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactDamaged, ArtifactError, ArtifactMissing, FileMissing, SettingsInvalid

SIZES = [0, 1, 100, (1 << 20) - 1, 1 << 20, (1 << 20) + 1]
ABSENT = "0" * 32


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "a store" if request.param == "directory" else f"memory://{uuid.uuid4()}")


@pytest.mark.parametrize("size", SIZES)
def test_round_trip(store: ObjectStore, size: int) -> None:
    data = os.urandom(size)
    digest = store.put(data)
    assert digest == digest_bytes(data)
    assert store.get(digest) == data
    assert store.get(digest, size) == data
    assert store.size(digest) == size
    assert store.exists(digest)
    assert store.exists(digest, size)
    assert not store.exists(digest, size + 1)
    store.verify(digest)


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_buffers_count_as_joined(parts: list[bytes]) -> None:
    store = ObjectStore("memory://test-buffers")
    assert store.get(store.put([memoryview(part) for part in parts])) == b"".join(parts)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_got_may_be_changed(store: ObjectStore, size: int) -> None:
    digest = store.put(bytes(size))
    data = store.get(digest)
    data[:] = b"x" * size
    assert bytes(store.get(digest)) == bytes(size)


def test_known_object_is_not_written_again(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    path = store.local_path(store.put(b"data"))
    assert path is not None
    before = path.stat().st_ino
    store.put(b"data")
    assert path.stat().st_ino == before


def test_cut_object_is_written_again(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    digest = store.put(b"data")
    damage(store, digest, b"da")
    with pytest.raises(ArtifactDamaged, match="has 2 bytes instead of 4"):
        store.get(digest, 4)
    with pytest.raises(ArtifactDamaged, match="has 2 bytes instead of 4"):
        store.local_path(digest, 4)
    store.put(b"data")
    assert bytes(store.get(digest, 4)) == b"data"


def test_damage_is_found(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    digest = store.put(b"data")
    damage(store, digest, b"date")
    with pytest.raises(ArtifactDamaged, match=digest):
        store.verify(digest)


def test_missing_object_is_named(store: ObjectStore) -> None:
    for ask in (store.get, store.size, store.verify):
        with pytest.raises(ArtifactMissing, match=rf"{ABSENT} is not in the artifact store {store.url}"):
            ask(ABSENT)
    assert not store.exists(ABSENT)


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match=ABSENT):
        ObjectStore(tmp_path).local_path(ABSENT)
    assert ObjectStore("memory://").local_path(ABSENT) is None


@pytest.mark.parametrize("digest", ["", "..", "../../../etc/passwd", "0" * 31, "G" * 32, "A" * 32])
def test_what_is_no_digest_is_refused(store: ObjectStore, digest: str) -> None:
    with pytest.raises(ArtifactError, match="is no digest"):
        store.get(digest)


def test_local_path_is_a_read_only_file(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    path = store.local_path(store.put(b"data"), 4)
    assert path is not None
    assert path.read_bytes() == b"data"
    assert path.stat().st_mode & 0o777 == 0o444


def test_put_file(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(600_000))
    digest = store.put_file(path)
    assert store.get(digest) == path.read_bytes()
    assert store.put_file(path, digest) == digest


def test_file_that_changed_is_not_stored(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"new contents")
    digest = digest_bytes(b"old contents")
    with pytest.raises(ArtifactDamaged, match="changed while it was stored"):
        store.put_file(path, digest)
    assert not store.exists(digest)


def test_put_of_missing_file(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="nowhere"):
        store.put_file(tmp_path / "nowhere")


def test_take(store: ObjectStore) -> None:
    with store.temporary() as path:
        path.write_bytes(b"made here")
        digest = store.take(path)
    assert bytes(store.get(digest)) == b"made here"
    assert not path.exists()


def test_remove(store: ObjectStore) -> None:
    digest = store.put(b"data")
    store.remove(digest)
    store.remove(digest)
    assert not store.exists(digest)


def test_pickles_as_url(store: ObjectStore) -> None:
    digest = store.put(b"data")
    data = pickle.dumps(store)
    assert len(data) < 300
    assert bytes(pickle.loads(data).get(digest)) == b"data"


def test_threads_share_a_store(store: ObjectStore) -> None:
    data = [bytes([i % 5]) * 10_000 for i in range(20)]
    threads = [threading.Thread(target=store.put, args=(part,)) for part in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(store.get(digest_bytes(part)) == part for part in data)


def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "a b%"
    digest = ObjectStore(place).put(b"data")
    for url in (str(place), "a b%", place.as_uri(), ObjectStore(place).url):
        assert bytes(ObjectStore(url).get(digest)) == b"data"
    assert repr(ObjectStore(place)) == f"ObjectStore('{place.as_uri()}')"


def test_url_is_kept_when_the_working_directory_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = ObjectStore("store")
    monkeypatch.chdir("/")
    assert store.url == (tmp_path / "store").as_uri()


@pytest.mark.parametrize("url", ["s3://bucket", "https://x.org/a", "file://otherhost/dir", "file://"])
def test_unknown_kind(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="of no known kind"):
        ObjectStore(url)


def test_nothing_is_made_before_the_first_put(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "store")
    assert not store.exists(ABSENT)
    assert store.sweep() == 0
    assert not (tmp_path / "store").exists()


def damage(store: ObjectStore, digest: str, data: bytes) -> None:
    path = store.local_path(digest)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_directory_beside_the_objects(tmp_path: Path) -> None:
    made = ObjectStore(tmp_path / "store").folder("extra")
    assert made == tmp_path / "store" / "extra"
    assert made.is_dir()


def test_a_full_disk_says_what_to_do_where_files_are_written(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Free some space"), ObjectStore(tmp_path).written():
        raise OSError(errno.ENOSPC, "no space")
