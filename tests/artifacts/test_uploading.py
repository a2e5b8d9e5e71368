"""What is brought into the store is read once, and not at all where that is known already."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.contents.digests import FileDigests, digest_bytes
from daskflow.artifacts.places.place import Progress
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.uploading import Upload
from daskflow.errors import ArgumentsInvalid, ArtifactDamaged, FileMissing, UsageError

DATA = b"visibilities" * 100
DIGEST = digest_bytes(DATA)


class Store(ObjectStore):
    """Counts how often it is handed a file."""

    files: list[tuple[str, str | None]]

    def put_file(self, path: Any, digest: str | None = None, progress: Progress | None = None) -> str:
        self.__dict__.setdefault("files", []).append((os.path.basename(path), digest))
        return super().put_file(path, digest, progress)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    then = time.time_ns() - 10_000_000_000
    os.utime(path, ns=(then, then))
    return path


def digests() -> FileDigests:
    known: dict[Any, str] = {}
    return FileDigests(lambda *key: known.get(key), lambda *item: known.update({item[:-1]: item[-1]}))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_go_as_they_are(store: Store, kind: Any) -> None:
    named = Upload(store, None)(kind(DATA), "map")
    assert named[:4] == ("map", DIGEST, len(DATA), "file")
    assert store.get(DIGEST) == DATA


def test_an_open_file_goes_from_where_it_is(store: Store, file: Path) -> None:
    with open(file, "rb") as opened:
        opened.seek(12)
        named = Upload(store, None)(opened, "map")
    assert (named.digest, named.size, named.source) == (digest_bytes(DATA[12:]), len(DATA) - 12, str(file))
    assert Upload(store, None)(io.BytesIO(b""), "empty").size == 0


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_goes_as_the_file_that_it_names(store: Store, file: Path, kind: Any) -> None:
    named = Upload(store, None)(kind(file), "map")
    assert named == ("map", DIGEST, len(DATA), "file", 0.0, str(file))


def test_a_file_is_read_once_and_then_known(store: Store, file: Path) -> None:
    upload = Upload(store, digests())
    for _ in range(2):
        assert upload(file, "map").digest == DIGEST
    assert store.files == [("file", None), ("file", DIGEST)]
    file.write_bytes(b"changed")
    assert upload(file, "map").digest == digest_bytes(b"changed")


def test_a_directory_is_a_tree(store: Store, file: Path) -> None:
    root = file.parent / "root"
    root.mkdir()
    file.rename(root / "file")
    told: list[int] = []
    named = Upload(store, digests(), told.append)(root, "map")
    assert (named.kind, named.size) == ("tree", len(DATA))
    assert sum(told) == len(DATA)


def test_a_file_that_changes_meanwhile_is_refused(store: Store, file: Path) -> None:
    def grow(done: int) -> None:
        with open(file, "ab") as more:
            more.write(b"more")

    with pytest.raises(ArtifactDamaged, match="changed while it was stored"):
        Upload(store, None, grow)(file, "map")


def test_what_cannot_be_uploaded_is_told(store: Store, file: Path, tmp_path: Path) -> None:
    upload: Any = Upload(store, None)
    with pytest.raises(FileMissing, match="Check the path"):
        upload(tmp_path / "nothing", "map")
    with open(file) as text, pytest.raises(ArgumentsInvalid, match="mode 'rb'"):
        upload(text, "map")
    with pytest.raises(ArgumentsInvalid, match="not a int"):
        upload(5, "map")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is no file"):
        upload(tmp_path / "pipe", "map")
