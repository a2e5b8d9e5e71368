"""Digests tell contents apart, and files are hashed again only when they changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.contents import digests
from daskflow.artifacts.contents.digests import (
    FileDigests,
    checked,
    digest_buffers,
    digest_bytes,
    digest_file,
    digest_path,
)
from daskflow.artifacts.contents.digests import digest_tree as tree
from daskflow.errors import ArtifactDamaged, FileMissing, UsageError

Tree = dict[str, "bytes | Tree"]


def plant(root: Path, contents: Tree) -> Path:
    root.mkdir()
    for name, content in contents.items():
        if isinstance(content, bytes):
            (root / name).write_bytes(content)
        else:
            plant(root / name, content)
    return root


def settle(path: Path) -> None:
    """As if the file had been written ten seconds ago."""
    then = time.time_ns() - 10_000_000_000
    os.utime(path, ns=(then, then))


class Cache:
    def __init__(self) -> None:
        self.known: dict[tuple[str, int, int, int], str] = {}
        self.digests = FileDigests(self.recall, self.remember)

    def recall(self, path: str, inode: int, size: int, mtime: int) -> str | None:
        return self.known.get((path, inode, size, mtime))

    def remember(self, path: str, inode: int, size: int, mtime: int, digest: str) -> None:
        self.known[path, inode, size, mtime] = digest


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_buffers_count_as_joined(parts: list[bytes]) -> None:
    joined = b"".join(parts)
    assert digest_buffers(parts) == digest_bytes(joined) == blake3(joined).hexdigest()[:32]


@pytest.mark.parametrize("size", [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 1 << 20])
def test_file(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(data)
    assert digest_file(path) == digest_path(path) == digest_bytes(data)


def test_missing_file_names_path_and_cure(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"nowhere.*is not there.*str\(path\)"):
        digest_file(tmp_path / "nowhere")
    with pytest.raises(FileMissing, match="nowhere"):
        FileDigests(lambda *_: None, lambda *_: None)(tmp_path / "nowhere")


def test_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe is not a file"):
        digest_file(tmp_path / "pipe")


def test_checked_raises_after_the_last_buffer() -> None:
    buffers = checked([b"a", b"b"], digest_bytes(b"ac"), "the file")
    assert [next(buffers), next(buffers)] == [b"a", b"b"]
    with pytest.raises(ArtifactDamaged, match="the file changed"):
        next(buffers)


def test_equal_trees(tmp_path: Path) -> None:
    contents: Tree = {"b": b"1", "a": {"x": b"2", "empty": {}}, "ü": b""}
    one = plant(tmp_path / "one", contents)
    two = plant(tmp_path / "two", dict(reversed(contents.items())))
    (two / "b").chmod(0o755)
    settle(two / "b")
    assert tree(one) == tree(two) == digest_path(one)


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"a": b"2"},
        {"b": b"1"},
        {"a": b"1", "b": b""},
        {"a": {}},
        {"a": {"1": b""}},
        {"a": b"1", "empty": {}},
        {"a": b"1\0"},
    ],
)
def test_unequal_trees(tmp_path: Path, other: Tree) -> None:
    assert tree(plant(tmp_path / "one", {"a": b"1"})) != tree(plant(tmp_path / "two", other))


def test_links_count_as_what_they_point_to(tmp_path: Path) -> None:
    one = plant(tmp_path / "one", {"file": b"1", "sub": {"x": b"2"}})
    two = plant(tmp_path / "two", {})
    (two / "file").symlink_to(one / "file")
    (two / "sub").symlink_to(one / "sub")
    assert tree(one) == tree(two)


def test_link_to_nothing(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {})
    (root / "link").symlink_to("nothing")
    with pytest.raises(FileMissing, match="symbolic link to nothing"):
        tree(root)


def test_loop_is_refused(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {"sub": {}})
    (root / "sub" / "up").symlink_to(root)
    with pytest.raises(UsageError, match=r"up leads back"):
        tree(root)


def test_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, path = Cache(), tmp_path / "file"
    path.write_bytes(b"1")
    settle(path)
    assert cache.digests(path) == digest_bytes(b"1")
    hashed = count(monkeypatch)
    assert cache.digests(path) == digest_bytes(b"1")
    assert hashed == []


def test_changed(tmp_path: Path) -> None:
    cache, path = Cache(), tmp_path / "file"
    for data in (b"1", b"22", b"33"):
        path.write_bytes(data)
        settle(path)
        assert cache.digests(path) == digest_bytes(data)
    assert len(cache.known) == 3


def test_young_file_is_not_remembered(tmp_path: Path) -> None:
    cache, path = Cache(), tmp_path / "file"
    path.write_bytes(b"1")
    assert cache.digests(path) == digest_bytes(b"1")
    assert cache.known == {}


def test_file_that_changes_meanwhile_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, path = Cache(), tmp_path / "file"
    path.write_bytes(b"1")
    settle(path)
    count(monkeypatch, lambda: path.write_bytes(b"2"))
    cache.digests(path)
    assert cache.known == {}


def test_files_of_a_tree_are_remembered(tmp_path: Path) -> None:
    cache, root = Cache(), plant(tmp_path / "root", {"a": b"1", "sub": {"b": b"2"}})
    settle(root / "a")
    settle(root / "sub" / "b")
    assert cache.digests(root) == tree(root)
    assert len(cache.known) == 2


def count(monkeypatch: pytest.MonkeyPatch, then: Callable[[], object] = lambda: None) -> list[object]:
    hashed: list[object] = []
    original = digests.digest_file

    def counted(path: str) -> str:
        hashed.append(path)
        digest = original(path)
        then()
        return digest

    monkeypatch.setattr(digests, "digest_file", counted)
    return hashed


def test_who_reads_a_file_anyway_gives_the_digest(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"bytes")
    settle(file)
    cache, read = Cache(), []

    def send(path: str) -> str:
        read.append(path)
        return digest_bytes(b"bytes")

    for _ in range(2):
        assert cache.digests.of(file, send) == digest_bytes(b"bytes")
    assert read == [str(file)]
