"""The contract of object stores, on each kind of place: a directory, memory, a real S3 server."""

from __future__ import annotations

import io
import os
import pickle
import threading
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.places import parts
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactDamaged, ArtifactError, ArtifactMissing, FileMissing, NameRefused, UsageError

PART = 1 << 18
"""Parts are small here [bytes], so that all is tried with few bytes."""
LARGE = 3 * PART + 1
SIZES = [0, 1, 100, 2 * PART, 2 * PART + 1, LARGE, (1 << 20) + 1]
ABSENT = "0" * 32


@pytest.fixture(params=["directory", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setattr(parts, "PART_SIZE", PART)
    monkeypatch.setattr(parts, "PART_LIMIT", 2 * PART)
    cache = NodeCache(tmp_path / "cache")
    if request.param == "directory":
        return ObjectStore(tmp_path / "a store", cache=cache)
    if request.param == "memory":
        return ObjectStore(f"memory://{uuid.uuid4()}", cache=cache)
    server = request.getfixturevalue("s3")
    return ObjectStore(server.url(request.getfixturevalue("prefix")), server.options, cache)


class Counted:
    """How far it is, as a progress bar would show it."""

    def __init__(self) -> None:
        self.done = 0
        self._lock = threading.Lock()

    def __call__(self, more: int) -> None:
        with self._lock:
            self.done += more


class TestStores:
    @pytest.mark.parametrize("size", SIZES)
    def test_round_trip(self, store: ObjectStore, size: int) -> None:
        data = os.urandom(size)
        digest = store.put(data)
        assert digest == digest_bytes(data)
        assert store.get(digest) == data
        assert store.get(digest, size) == data
        assert store.size(digest) == size
        assert store.exists(digest)
        assert store.exists(digest, size)
        assert not store.exists(digest, size + 1)
        many = [store.put(bytes([number])) for number in range(20)]
        assert store.missing([(digest, None), (digest, size)]) == set()
        absent = {(ABSENT, None), (digest, size + 1)}
        assert store.missing([*((one, 1) for one in many), *absent]) == absent
        store.verify(digest)

    def test_buffers_count_as_joined(self, store: ObjectStore) -> None:
        for pieces in ([], [b""], [b"a", b"", b"bc"], [os.urandom(PART - 1), b"ab", os.urandom(PART), b"c" * PART]):
            assert store.get(store.put([memoryview(piece) for piece in pieces])) == b"".join(pieces)

    @pytest.mark.parametrize("size", SIZES)
    def test_what_was_got_may_be_changed(self, store: ObjectStore, size: int) -> None:
        digest = store.put(bytes(size))
        data = store.get(digest)
        data[:] = b"x" * size
        assert bytes(store.get(digest)) == bytes(size)

    @pytest.mark.parametrize("size", [100, LARGE])
    def test_ranges(self, store: ObjectStore, size: int) -> None:
        data = os.urandom(size)
        digest = store.put(data)
        ranges = [(0, 1), (5, 90), (size - 1, size), (size - 1, size + 10), (size, size + 1), (size + 5, size + 9)]
        ranges += [(0, size), (3, 3), (9, 3), (PART - 1, PART + 1), (PART, 2 * PART)]
        for start, stop in ranges:
            assert store.read(digest, start, stop) == data[start:stop]
            assert store.read(digest, start, stop, size) == data[start:stop]

    def test_missing_object_is_named(self, store: ObjectStore, tmp_path: Path) -> None:
        def read(digest: str) -> object:
            return store.read(digest, 0, 1)

        def large(digest: str) -> object:
            return store.get(digest, LARGE)

        def download(digest: str) -> object:
            store.download(digest, tmp_path / "new")
            return None

        for ask in (store.get, store.size, store.verify, store.local_path, read, large, download):
            with pytest.raises(ArtifactMissing, match=rf"{ABSENT} is not in the artifact store {store.url}"):
                ask(ABSENT)
        assert not store.exists(ABSENT)
        assert not (tmp_path / "new").exists()

    def test_another_size_is_damage(self, store: ObjectStore, tmp_path: Path) -> None:
        digest = store.put(b"data")
        with pytest.raises(ArtifactDamaged, match="has 4 bytes instead of 5"):
            store.get(digest, 5)
        with pytest.raises(ArtifactDamaged):
            store.download(digest, tmp_path / "new", 5)
        assert os.listdir(tmp_path) in ([], ["a store"])

    @pytest.mark.parametrize("digest", ["", "..", "../../../etc/passwd", "0" * 31, "G" * 32, "A" * 32])
    def test_what_is_no_digest_is_refused(self, store: ObjectStore, digest: str) -> None:
        with pytest.raises(ArtifactError, match="is no digest"):
            store.get(digest)

    @pytest.mark.parametrize("size", SIZES)
    def test_files(self, store: ObjectStore, tmp_path: Path, size: int) -> None:
        path, new = tmp_path / "fi le\n", tmp_path / ("\N{TELESCOPE}" * 60 + "'")
        path.write_bytes(os.urandom(size))
        up, down = Counted(), Counted()
        digest = store.put_file(path, progress=up)
        assert digest == digest_bytes(path.read_bytes())
        store.download(digest, new, size, down)
        assert new.read_bytes() == path.read_bytes()
        assert up.done == down.done == size
        assert store.put_file(path, digest, up) == digest
        assert up.done == 2 * size
        store.download(digest, new)
        assert {each.name for each in tmp_path.iterdir()} <= {path.name, new.name, "a store"}

    @pytest.mark.parametrize("size", SIZES)
    def test_streams(self, store: ObjectStore, size: int) -> None:
        data, done = os.urandom(size), Counted()
        stream = io.BytesIO(b"before" + data)
        stream.seek(6)
        digest, found = store.put_stream(stream, done)
        assert (digest, found, done.done) == (digest_bytes(data), size, size)
        assert store.get(digest, size) == data

    @pytest.mark.parametrize("size", [10, LARGE])
    def test_file_with_another_digest_is_not_stored(self, store: ObjectStore, tmp_path: Path, size: int) -> None:
        path = tmp_path / "file"
        path.write_bytes(os.urandom(size))
        digest = digest_bytes(b"old contents")
        with pytest.raises(ArtifactDamaged, match="changed while it was stored"):
            store.put_file(path, digest)
        assert not store.exists(digest)

    def test_file_that_changes_while_it_is_read(self, store: ObjectStore, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"a" * LARGE)

        def change(done: int) -> None:
            path.write_bytes(b"b" * LARGE)
            os.utime(path, ns=(1, 1))

        with pytest.raises(ArtifactDamaged, match="changed while it was stored"):
            store.put_file(path, progress=change)
        assert not store.exists(digest_bytes(b"a" * LARGE))
        assert not store.exists(digest_bytes(b"b" * LARGE))

    def test_what_is_no_file(self, store: ObjectStore, tmp_path: Path) -> None:
        with pytest.raises(FileMissing, match="nowhere"):
            store.put_file(tmp_path / "nowhere")
        with pytest.raises(UsageError, match="is no file"):
            store.put_file(tmp_path)
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(UsageError, match="is no file"):
            store.put_file(tmp_path / "pipe")

    def test_no_directory_to_download_to(self, store: ObjectStore, tmp_path: Path) -> None:
        digest = store.put(b"data")
        with pytest.raises(ArtifactError, match="there is no directory"):
            store.download(digest, tmp_path / "none" / "new")

    @pytest.mark.parametrize("size", [10, LARGE])
    def test_local_path_is_a_read_only_file(self, store: ObjectStore, size: int) -> None:
        data = os.urandom(size)
        path = store.local_path(store.put(data))
        assert path.read_bytes() == data
        assert path.stat().st_mode & 0o222 == 0
        assert store.local_path(digest_bytes(data), size) == path

    def test_take(self, store: ObjectStore) -> None:
        with store.temporary() as path:
            path.write_bytes(b"made here")
            digest = store.take(path)
        assert bytes(store.get(digest)) == b"made here"
        assert not path.exists()

    def test_folder(self, store: ObjectStore, tmp_path: Path) -> None:
        made = store.folder("extra")
        assert made.is_dir()
        assert made == store.folder("extra")
        assert made.is_relative_to(tmp_path)
        with store.written():
            (made / "file").write_text("text")

    @pytest.mark.parametrize("size", [10, LARGE])
    def test_remove(self, store: ObjectStore, size: int) -> None:
        digest = store.put(bytes(size))
        store.remove(digest)
        store.remove(digest)
        assert not store.exists(digest)
        store.put(bytes(size))
        assert bytes(store.get(digest)) == bytes(size)

    def test_objects(self, store: ObjectStore) -> None:
        assert list(store.objects()) == []
        digests = {store.put(bytes([number])): 1 for number in range(1, 6)}
        assert {digest: size for digest, size, _ in store.objects()} == digests
        times = [time for _, _, time in store.objects()]
        assert max(times) - min(times) < 600
        large = store.put(bytes(LARGE))
        assert sum(size for _, size, _ in store.objects()) in (5 + LARGE, 5 + PART + 1), "equal parts are one"
        assert store.exists(large, LARGE)

    def test_discard_spares_what_is_young(self, store: ObjectStore) -> None:
        digest = store.put(b"data")
        [(_, _, time)] = store.objects()
        assert not store.discard(digest, time)
        assert store.exists(digest)
        assert store.discard(digest, time + 1.5)
        assert not store.exists(digest)
        assert not store.discard(digest, time + 1.5)

    def test_notes(self, store: ObjectStore) -> None:
        assert store.read_note("names/a") is None
        assert list(store.notes()) == []
        assert store.write_note("names/a", b"one")
        assert store.write_note("names/a", b"two")
        assert store.write_note("names/a/b", b"below"), "a note and notes below it are no file and directory"
        assert store.write_note("other", b"")
        assert store.read_note("names/a") == b"two"
        assert store.read_note("other") == b""
        assert sorted(path for path, _ in store.notes()) == ["names/a", "names/a/b", "other"]
        assert sorted(path for path, _ in store.notes("names")) == ["names/a", "names/a/b"]
        assert sorted(path for path, _ in store.notes("names/")) == ["names/a", "names/a/b"]
        assert list(store.notes("nam")) == []
        store.remove_note("names/a")
        store.remove_note("names/a")
        assert store.read_note("names/a") is None
        assert store.read_note("names/a/b") == b"below"

    def test_note_that_is_there_is_not_created(self, store: ObjectStore) -> None:
        assert store.write_note("pins/a", b"mine", create=True)
        assert not store.write_note("pins/a", b"yours", create=True)
        assert store.read_note("pins/a") == b"mine"

    def test_one_of_many_creates_a_note(self, store: ObjectStore) -> None:
        told: list[bool] = []

        def create(number: int) -> None:
            told.append(store.write_note("race", b"%d" % number, create=True))

        in_threads([partial(create, number) for number in range(8)])
        assert sorted(told) == [False] * 7 + [True]

    @pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/./b", "a b", "é", "a\n", "x" * 256])
    def test_paths_of_notes_are_plain(self, store: ObjectStore, path: str) -> None:
        with pytest.raises(NameRefused, match="no path of a note"):
            store.write_note(path, b"")

    def test_pickles(self, store: ObjectStore) -> None:
        digest = store.put(b"data")
        data = pickle.dumps(store)
        assert len(data) < 600
        assert bytes(pickle.loads(data).get(digest)) == b"data"

    def test_threads_share_a_store(self, store: ObjectStore) -> None:
        data = [bytes([number % 3]) * (LARGE if number % 2 else 10_000) for number in range(12)]
        in_threads([partial(store.put, part) for part in data])
        assert all(store.get(digest_bytes(part)) == part for part in data)

    def test_sweep_leaves_objects_alone(self, store: ObjectStore) -> None:
        digests = [store.put(b"data"), store.put(bytes(LARGE))]
        store.write_note("note", b"text")
        store.sweep(older=-10.0)
        for digest in digests:
            store.verify(digest)
        assert store.read_note("note") == b"text"


def in_threads(calls: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
