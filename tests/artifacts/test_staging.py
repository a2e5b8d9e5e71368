"""Artifacts come to where they are used, whole, and shared where that is safe."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.caching.leases import KEPT_LEASES, Lease
from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.names import Named
from daskflow.artifacts.placing import Placing
from daskflow.artifacts.staging import bring, copy_here, stage
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.uploading import Upload
from daskflow.errors import ArtifactDamaged, ArtifactError, ArtifactMissing

DATA = b"visibilities" * 100


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    url = str(tmp_path / "store") if request.param == "directory" else f"memory://{tmp_path.name}"
    yield ObjectStore(url, cache=NodeCache(tmp_path / "cache"))
    KEPT_LEASES.drop()


@pytest.fixture
def file(store: ObjectStore) -> Named:
    return Upload(store, None)(DATA, "raw/deep field.h5")


@pytest.fixture
def tree(store: ObjectStore, tmp_path: Path) -> Named:
    root = tmp_path / "survey"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "data").write_bytes(DATA)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("sub/data")
    return Upload(store, None)(root, "raw/survey.ms")


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


ALL = {"sub", "sub/data", "run.sh", "link"}


def test_a_file_comes_to_a_path_or_into_a_directory(store: ObjectStore, file: Named, tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "copy"
    assert bring(store, file, target) == target
    assert target.read_bytes() == DATA
    assert bring(store, file, tmp_path / "new").name == "deep field.h5"
    target.write_bytes(b"mine to change")
    assert bring(store, file, target).read_bytes() == DATA


def test_a_directory_comes_whole_and_replaces_none(store: ObjectStore, tree: Named, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    assert bring(store, tree, target) == target
    assert names(target) == ALL
    assert (target / "link").read_bytes() == DATA
    assert os.access(target / "run.sh", os.X_OK)
    (target / "sub" / "data").write_bytes(b"mine to change")
    assert bring(store, tree, target) == target / "survey.ms", "as into each directory that is there"
    with pytest.raises(ArtifactError, match="is there already"):
        bring(store, tree, target)
    assert list(tmp_path.rglob(".*")) == []


def test_two_who_bring_a_directory_to_one_path_make_one(store: ObjectStore, tree: Named, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    gate = threading.Barrier(4)
    ends: list[str] = []

    def run() -> None:
        gate.wait()
        try:
            ends.append(str(bring(store, tree, target)))
        except ArtifactError:
            ends.append("refused")

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 4
    assert ends.count(str(target)) == 1
    assert names(target) >= ALL


def test_a_missing_object_leaves_nothing(store: ObjectStore, file: Named, tmp_path: Path) -> None:
    gone = file._replace(digest="ab" * 16)
    with pytest.raises(ArtifactMissing):
        bring(store, gone, tmp_path / "copy")
    with pytest.raises(ArtifactMissing):
        copy_here(store, gone)
    assert not (tmp_path / "copy").exists()


def test_a_copy_here_has_its_name_and_cannot_be_written(store: ObjectStore, file: Named, tree: Named) -> None:
    path = copy_here(store, file)
    assert (path.name, path.read_bytes()) == ("deep field.h5", DATA)
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    root = copy_here(store, tree)
    assert (root.name, names(root)) == ("survey.ms", ALL)
    assert stat.S_IMODE((root / "sub").stat().st_mode) == 0o555
    assert copy_here(store, tree) == root


def test_objects_that_are_files_are_used_in_place(store: ObjectStore, file: Named, tree: Named) -> None:
    found = copy_here(store, file).resolve()
    data = (copy_here(store, tree) / "sub" / "data").stat()
    if store.local:
        assert found == store.local_path(file.digest)
        assert os.path.samestat(data, found.stat())
    else:
        assert found.is_relative_to(store.cache.root)


def test_a_long_name_is_cut_at_its_beginning(store: ObjectStore, file: Named) -> None:
    name = copy_here(store, file._replace(name="Ω" * 300 + ".h5")).name
    assert name.endswith("Ω.h5")
    assert 195 < len(name.encode()) <= 200


def test_a_store_that_may_only_be_read_gives_the_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ObjectStore(tmp_path)
    file = Upload(store, None)(DATA, "map")

    def refuse(name: str) -> Path:
        raise ArtifactError("read-only")

    monkeypatch.setattr(store, "folder", refuse)
    assert copy_here(store, file) == store.local_path(file.digest)


def test_staged_files_are_shared(store: ObjectStore, file: Named, tree: Named, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    sharing = stage(store, file, scratch / "in" / "data.h5", Placing())
    assert (scratch / "in" / "data.h5").samefile(store.local_path(file.digest))
    sharing.check()
    sharing = stage(store, tree, scratch / "survey", Placing())
    assert names(scratch / "survey") == ALL
    assert (scratch / "survey" / "sub" / "data").stat().st_nlink > 1
    (scratch / "survey" / "more").touch()
    sharing.check()
    assert os.access(scratch / "survey" / "run.sh", os.X_OK)


def test_what_may_be_written_is_a_copy(store: ObjectStore, tree: Named, tmp_path: Path) -> None:
    for target in (tmp_path / "first", tmp_path / "second"):
        sharing = stage(store, tree, target, Placing(writable=True))
        assert (target / "sub" / "data").read_bytes() == DATA
        (target / "sub" / "data").write_bytes(b"changed")
        sharing.check()


def test_who_writes_to_what_is_shared_is_told(store: ObjectStore, tree: Named, tmp_path: Path) -> None:
    target = tmp_path / "target"
    sharing = stage(store, tree, target, Placing())
    (target / "sub" / "data").chmod(0o644)
    (target / "sub" / "data").write_bytes(b"changed")
    with pytest.raises(ArtifactDamaged, match="wrote to its input 'target/sub/data'"):
        sharing.check()
    if store.local:
        assert not store.exists(digest_bytes(DATA))
    else:
        stage(store, tree, tmp_path / "again", Placing())
        assert (tmp_path / "again" / "sub" / "data").read_bytes() == DATA


def test_who_only_touches_what_is_shared_does_no_harm(store: ObjectStore, file: Named, tmp_path: Path) -> None:
    sharing = stage(store, file, tmp_path / "target", Placing())
    os.utime(tmp_path / "target", ns=(0, 0))
    sharing.check()
    assert store.exists(file.digest)


def test_nothing_that_is_there_is_replaced(store: ObjectStore, file: Named, tree: Named, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    for named in (file, tree):
        with pytest.raises(ArtifactError, match="something is there already"):
            stage(store, named, tmp_path / "target", Placing())


def test_a_tree_of_many_files_needs_one_lease(store: ObjectStore, tree: Named, tmp_path: Path) -> None:
    stage(store, tree, tmp_path / "target", Placing())
    entry = store.cache.root / "trees" / tree.digest[:2] / tree.digest
    assert entry.exists() is not store.local
    assert KEPT_LEASES.has(entry) is not store.local
    assert Lease.take(tmp_path / "target") is not None


def test_who_reads_what_another_has_written_hears_of_it(store: ObjectStore, tmp_path: Path) -> None:
    named = Upload(store, None, False)(b"good bytes", "shared")
    before = stage(store, named, tmp_path / "before", Placing())
    source = store.local_path(named.digest, named.size)
    source.chmod(0o644)
    source.write_bytes(b"BAD! bytes")
    with pytest.raises(ArtifactDamaged, match="somebody wrote to it"):
        stage(store, named, tmp_path / "after", Placing())
    source.unlink()
    with pytest.raises(ArtifactDamaged, match="wrote to its input"):
        before.check()
