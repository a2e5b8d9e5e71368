"""The files of a node cache are ours alone, and go only when nobody uses them."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from daskflow.artifacts.caching.entries import (
    Entries,
    Entry,
    delete,
    note_size,
    noted_size,
    seen_since_start,
    touch,
    weight,
)
from daskflow.artifacts.caching.leases import Lease
from daskflow.errors import ArtifactError

DIGEST = "ab" * 16


@pytest.fixture
def entries(tmp_path: Path) -> Entries:
    made = Entries(tmp_path / "above" / "cache")
    made.open()
    return made


def planted(path: Path, data: bytes = b"bytes") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_the_cache_is_made_for_us_alone(entries: Entries) -> None:
    assert stat.S_IMODE(entries.root.stat().st_mode) == 0o700
    entries.open()


def test_an_empty_directory_is_shut(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o775)
    Entries(tmp_path / "cache").open()
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700


def test_a_cache_to_which_others_may_write_is_refused(entries: Entries) -> None:
    entries.root.chmod(0o770)
    with pytest.raises(ArtifactError, match="could change what jobs read"):
        entries.open()
    assert stat.S_IMODE(entries.root.stat().st_mode) == 0o770


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("what", ["directory", "link"])
def test_a_cache_of_somebody_else_is_refused(tmp_path: Path, what: str) -> None:
    root = tmp_path / "cache"
    if what == "link":
        (tmp_path / "mine").mkdir(mode=0o700)
        root.symlink_to(tmp_path / "mine")
    else:
        root.mkdir(mode=0o700)
    os.chown(root, 65534, 65534, follow_symlinks=False)
    with pytest.raises(ArtifactError, match="belongs to somebody else"):
        Entries(root).open()
    assert list(root.iterdir()) == []


def test_a_cache_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="cannot be made"):
        Entries(tmp_path / "file" / "cache").open()


def test_entries_tell_what_they_count_and_when_they_were_used(entries: Entries) -> None:
    found = planted(entries.object(DIGEST))
    os.utime(found, ns=(1_000, 5_000))
    tree = entries.tree(DIGEST)
    planted(tree / "tree" / "file")
    note_size(tree, 1234)
    os.utime(tree, ns=(2_000, 5_000))
    assert sorted(entries.all()) == [Entry(1_000, 5, found), Entry(2_000, 1234, tree)]
    touch(found)
    assert found.stat().st_mtime_ns == 5_000
    assert time.time_ns() - found.stat().st_atime_ns < 60e9


def test_what_is_used_stays(entries: Entries) -> None:
    found = planted(entries.object(DIGEST))
    lease = Lease.take(found)
    assert lease is not None
    assert not entries.remove(found)
    lease()
    assert entries.remove(found)
    assert not entries.remove(found)
    assert list(entries.all()) == []


def test_what_is_wrong_goes_even_if_it_is_used(entries: Entries) -> None:
    found = planted(entries.object(DIGEST))
    lease = Lease.take(found)
    assert entries.remove(found, used=True)
    assert not found.exists()
    assert lease is not None
    lease()


def test_a_tree_goes_whole_with_its_names(entries: Entries) -> None:
    tree = entries.tree(DIGEST)
    planted(tree / "tree" / "folder" / "file")
    (tree / "tree" / "folder").chmod(0o555)
    name = planted(entries.root / "named" / DIGEST / "survey.zarr")
    left = planted(entries.incoming(DIGEST) / "object").parent
    assert entries.remove(left)
    assert name.exists()
    assert entries.remove(tree)
    assert not name.parent.exists()
    assert list((entries.root / "incoming").iterdir()) == []


def test_an_entry_moves_to_its_maker(entries: Entries) -> None:
    tree, made = entries.tree(DIGEST), entries.incoming(DIGEST) / "made"
    planted(tree / "tree" / "file")
    made.parent.mkdir()
    entries.move(tree, made)
    assert (made / "tree" / "file").read_bytes() == b"bytes"
    planted(tree / "tree" / "file", b"older")
    entries.move(tree, made)
    assert (made / "tree" / "file").read_bytes() == b"bytes"
    assert not tree.exists()


def test_what_is_on_its_way_tells_whether_somebody_is_at_work(entries: Entries) -> None:
    busy, left = entries.incoming("aa" * 16), entries.incoming("bb" * 16)
    busy.mkdir()
    planted(left / "object", bytes(8192))
    lease = Lease.take(busy)
    assert lease is not None
    assert dict(entries.on_their_way()) == {busy: True, left: False}
    lease()
    assert weight(left) >= 8192
    assert weight(busy) == noted_size(busy) == 0


def test_only_what_was_seen_since_the_start_of_the_node_is_sure(tmp_path: Path) -> None:
    made = planted(tmp_path / "file").stat()
    assert seen_since_start(made)
    before = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) - 10
    assert not seen_since_start(os.stat_result([*made[:9], before]))


def test_what_a_link_leads_to_stays(tmp_path: Path) -> None:
    kept = planted(tmp_path / "folder" / "file").parent
    kept.chmod(0o755)
    (tmp_path / "link").symlink_to(kept)
    delete(tmp_path / "link")
    delete(tmp_path / "nothing")
    assert os.listdir(tmp_path) == ["folder"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o755
