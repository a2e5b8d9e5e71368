"""Directories go into the store and come back as they were, whatever their files are called."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.planting import build, frame, plant, scan, seal
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Entry, Tree
from daskflow.errors import ArtifactError, FileMissing, UsageError

ODD = ["with space", "new\nline", "quote'\"", "Ω", "-rf", "\udcff", ".hidden"]


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    url = str(tmp_path / "store") if request.param == "directory" else f"memory://{tmp_path.name}"
    return ObjectStore(url, cache=NodeCache(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with all that a directory may hold."""
    made = tmp_path / "root"
    (made / "empty").mkdir(parents=True)
    (made / "sub" / "deep").mkdir(parents=True)
    for name in ODD:
        (made / "sub" / name).write_text(ascii(name))
    (made / "run.sh").write_text("#!/bin/sh\n")
    (made / "run.sh").chmod(0o755)
    (made / "sub" / "deep" / "up").symlink_to("../../run.sh")
    (made / "gone").symlink_to("sub/nothing")
    (made / "folder").symlink_to("sub")
    return made


def contents(root: Path) -> dict[str, object]:
    """All that is in a directory: texts of files, targets of links, None for directories, and what may be executed."""
    found: dict[str, object] = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_dir():
            found[name] = None
        else:
            found[name] = path.read_text(), bool(path.stat().st_mode & stat.S_IXUSR)
    return found


def planted(root: Path, store: ObjectStore) -> Tree:
    digest, tree = plant(scan(root), store, lambda path: store.put_file(root / path))
    assert Tree.get(store, digest) == tree
    return tree


def built(tree: Tree, store: ObjectStore, target: Path, *, share: bool = False) -> Path:
    target.mkdir(exist_ok=True)
    build(tree, store, target, lambda done: None, share=share)
    return target


def test_a_directory_comes_back_as_it_was(root: Path, store: ObjectStore, tmp_path: Path) -> None:
    tree = planted(root, store)
    assert contents(built(tree, store, tmp_path / "again")) == contents(root)
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert tree.size == sum(path.stat().st_size for path in files)


def test_equal_directories_are_one_object(root: Path, store: ObjectStore, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(root, other, symlinks=True)
    (other / "run.sh").chmod(0o711)
    assert planted(root, store).dump() == planted(other, store).dump()
    (other / "run.sh").chmod(0o644)
    assert planted(root, store).dump() != planted(other, store).dump()


def test_links_within_are_kept_however_they_are_written(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "file").touch()
    (root / "absolute").symlink_to(root / "a" / "file")
    (root / "a" / "b" / "winding").symlink_to("../../a/../a/file")
    entries = scan(root).entries
    assert entries["absolute"].target == "a/file"
    assert entries["a/b/winding"].target == "../file"


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "sub/../../outside", "."])
def test_a_link_that_leads_out_is_an_error(tmp_path: Path, target: str) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "link").symlink_to(target)
    if target == ".":
        assert scan(root).entries["link"].target == "."
        return
    with pytest.raises(UsageError, match=r"link leads out of the directory"):
        scan(root)


def test_a_directory_reached_by_a_link_counts_by_what_it_is(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    assert scan(link) == scan(root)


def test_what_cannot_be_stored_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="no directory"):
        scan(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="neither a file nor a directory"):
        scan(tmp_path)


def test_an_earlier_try_is_gone_on_with(root: Path, store: ObjectStore, tmp_path: Path) -> None:
    tree = planted(root, store)
    target = built(tree, store, tmp_path / "target")
    kept = target / "sub" / "Ω"
    before = kept.stat().st_ino
    seal(target)
    # What another try, or a power failure, may have left.
    for folder in (target, target / "sub"):
        folder.chmod(0o700)
    (target / "sub" / ".part").write_bytes(b"half")
    (target / "sub" / "-rf").chmod(0o644)
    (target / "sub" / "-rf").write_bytes(b"00000")
    (target / "run.sh").unlink()
    (target / "run.sh").mkdir()
    (target / "folder").unlink()
    (target / "folder").symlink_to("empty")
    built(tree, store, target)
    assert contents(target) == contents(root)
    assert kept.stat().st_ino == before, "what was right was not brought again"


def test_where_the_store_has_files_they_are_shared(root: Path, store: ObjectStore, tmp_path: Path) -> None:
    tree = planted(root, store)
    target = built(tree, store, tmp_path / "target", share=True)
    assert contents(target) == contents(root)
    entry = tree.entries["sub/Ω"]
    assert (target / "sub" / "Ω").samefile(store.local_path(entry.digest)) is store.local


def test_a_sealed_directory_cannot_be_written(root: Path, store: ObjectStore, tmp_path: Path) -> None:
    target = built(planted(root, store), store, tmp_path / "target")
    seal(target)
    modes = {str(path.relative_to(target)): stat.S_IMODE(path.lstat().st_mode) for path in target.rglob("*")}
    assert (modes["sub"], modes["sub/Ω"], modes["run.sh"]) == (0o555, 0o444, 0o555)
    assert stat.S_IMODE(target.stat().st_mode) == 0o555


def test_the_first_failure_ends_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for i in range(100):
        (root / str(i)).touch()
    times: list[str] = []
    never = threading.Event()

    def fail(path: str) -> str:
        times.append(path)
        never.wait(0.05)  # as long as a transfer may take
        raise ArtifactError("the store is full")

    with pytest.raises(ArtifactError, match="full"):
        plant(scan(root), ObjectStore("memory://full"), fail)
    assert len(times) < 100


def test_a_frame_has_directories_and_links(tmp_path: Path) -> None:
    tree = Tree({"a/b/file": Entry("f", "ab" * 16, 5), "a/link": Entry("l", target="b")})
    for _ in range(2):
        frame(tree, tmp_path)
    assert contents(tmp_path) == {"a": None, "a/b": None, "a/link": "b"}
