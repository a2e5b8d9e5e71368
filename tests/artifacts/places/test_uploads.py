"""Uploads in parts: killed, gone on with, never sent twice."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.places import parts, uploads
from daskflow.artifacts.places.parts import manifest_key
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactError
from tests.artifacts.places.killed import PART, PARTS, SIZE, move
from tests.services.counting import Counting
from tests.services.s3 import S3


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_SIZE", PART)
    monkeypatch.setattr(parts, "PART_LIMIT", 2 * PART)


@pytest.mark.parametrize("number", [2, 11, PARTS])
def test_killed_upload_goes_on(s3: S3, prefix: str, counting: Counting, tmp_path: Path, number: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    through, store = s3.through(counting.endpoint), ObjectStore(s3.url(prefix), s3.options)
    move(through, prefix, "up", path, kill=(counting, "PUT", number))
    there = {digest for digest, _, _ in store.objects()}
    assert len(there) < PARTS
    assert not store.exists(digest_bytes(path.read_bytes())), "nothing is visible before all is there"
    counting.reset()
    digest = move(through, prefix, "up", path)
    sent = [asked.rpartition("/")[2] for asked in counting.paths("PUT") if "/objects/" in asked]
    # Fewer, where the server finished what it had got from the one that was killed.
    assert 0 < len(sent) == len(set(sent)) <= PARTS - len(there)
    assert not there.intersection(sent)
    assert counting.sent < SIZE * (PARTS - len(there)) // PARTS + 200_000
    assert store.get(digest, SIZE) == path.read_bytes()


def test_two_uploads_of_the_same(s3: S3, prefix: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(move(s3, prefix, "up", path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [digest_bytes(path.read_bytes())] * 2
    assert ObjectStore(s3.url(prefix), s3.options).get(digests[0], SIZE) == path.read_bytes()


def test_known_bytes_are_not_sent(s3: S3, prefix: str, counting: Counting, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    move(s3, prefix, "up", path)
    move(s3.through(counting.endpoint), prefix, "up", path)
    assert counting.count("PUT", "/objects/") == 0
    assert counting.sent < 100_000


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_SIZE", 1000)
    monkeypatch.setattr(parts, "PART_LIMIT", 2000)
    made: list[int] = []

    class Watched(bytearray):
        def __init__(self, size: int) -> None:
            made.append(size)
            super().__init__(size)

    monkeypatch.setattr(uploads, "bytearray", Watched, raising=False)
    store = ObjectStore("memory://bounded")
    digest, _ = store.put_stream(io.BytesIO(bytes(range(250)) * 400))
    assert len([size for size in made if size == 1000]) <= uploads.THREADS + 1
    assert store.get(digest) == bytes(range(250)) * 400


def test_failure_of_the_source_leaves_nothing_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_SIZE", 1000)
    monkeypatch.setattr(parts, "PART_LIMIT", 2000)

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= 5000:
                raise OSError(5, "worn out")
            return super().read(size)

    store = ObjectStore("memory://failing")
    with pytest.raises(ArtifactError, match="cannot be read: worn out"):
        store.put_stream(Failing(os.urandom(9000)))
    assert list(store.notes()) == []


def test_old_parts_are_sent_anew(s3: S3, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep might be about to remove parts that nobody wrote for long and no manifest names."""
    monkeypatch.setattr(parts, "PART_SIZE", 1000)
    monkeypatch.setattr(parts, "PART_LIMIT", 2000)
    path, store = tmp_path / "file", ObjectStore(s3.url(prefix), s3.options)
    path.write_bytes(os.urandom(5000))
    digest = store.put_file(path)
    place = store._place
    for fresh, expected in ((1e9, 0), (-10.0, 5)):
        for module in ("uploads", "cloud"):
            monkeypatch.setattr(f"daskflow.artifacts.places.{module}.FRESH", fresh)
        place._bucket.delete(manifest_key(digest))  # type: ignore[attr-defined]
        with Counting(s3.endpoint) as counting:
            ObjectStore(s3.url(prefix), s3.through(counting.endpoint).options).put_file(path)
            assert counting.count("PUT", "/objects/") == expected
        store.verify(digest)


@given(st.lists(st.binary(max_size=30), max_size=8), st.integers(1, 20))
def test_cut(pieces: list[bytes], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_SIZE", size)
        found = [bytes(part) for part in uploads.cut(pieces)]
    assert b"".join(found) == b"".join(pieces)
    assert all(len(part) == size for part in found[:-1])
    assert all(found)
