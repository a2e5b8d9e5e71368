"""A node cache keeps its limit, and what was used longest ago goes first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from daskflow.artifacts.caching.entries import Entries, Entry, note_size
from daskflow.artifacts.caching.leases import KEPT_LEASES, Lease
from daskflow.artifacts.caching.quota import Quota
from daskflow.errors import CacheFull

LIMIT = 1000
NEW = "ff" * 16


class Cache:
    """A cache of objects of 200 bytes, used in the order in which they are named."""

    def __init__(self, root: Path, names: str) -> None:
        self.entries = Entries(root)
        self.entries.open()
        self.quota = Quota(self.entries, LIMIT)
        self._clock = 0
        for name in names:
            self.add(name, 200)

    def add(self, name: str, size: int) -> None:
        digest = name * 32
        self.reserve(digest, size)
        path = self.entries.object(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        self._clock += 1
        os.utime(path, ns=(self._clock, 0))
        shutil.rmtree(self.entries.incoming(digest))

    def reserve(self, digest: str, size: int) -> None:
        self.entries.incoming(digest).mkdir(exist_ok=True)
        self.quota.reserve(digest, size)

    def __contains__(self, name: str) -> bool:
        return self.entries.object(name * 32).exists()

    @property
    def names(self) -> str:
        return "".join(sorted(entry.path.name[0] for entry in self.entries.all()))

    def lease(self, name: str) -> Lease:
        lease = Lease.take(self.entries.object(name * 32))
        assert lease is not None
        return lease


def test_the_oldest_go_and_no_more_than_needed(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "abcde")
    assert cache.names == "abcde"
    cache.add("f", 150)
    assert cache.names == "bcdef"
    cache.add("0", 50)
    assert cache.names == "0bcdef"
    cache.add("1", 200)
    assert cache.names == "01def", "a little more goes, so that not each small object looks through the whole cache"


def test_what_is_used_stays_whatever_its_age(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "abcde")
    leases = [cache.lease("a"), cache.lease("b")]
    cache.add("f", 300)
    assert cache.names == "abef"
    for lease in leases:
        lease()


def test_where_all_is_used_nothing_more_fits(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "abcde")
    leases = [cache.lease(name) for name in "abcde"]
    with pytest.raises(CacheFull, match=r"jobs of this node use 1000 B .* run fewer jobs at a time"):
        cache.reserve(NEW, 1)
    for lease in leases:
        lease()
    cache.reserve(NEW, 1)


def test_leases_that_are_kept_in_case_make_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "abcde")
    for name in "abcde":
        KEPT_LEASES.keep(cache.lease(name))
    cache.add("f", 200)
    assert "f" in cache
    assert "e" in cache


def test_what_is_larger_than_the_cache_is_told_at_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "ab")
    with pytest.raises(CacheFull, match=r"1\.\d+ KiB do not fit .*open_dataset"):
        cache.reserve(NEW, 1100)
    assert cache.names == "ab"


def test_a_disk_that_is_full_makes_objects_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path, "abc")

    def free(path: object) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=400 - 100 * len(cache.names), f_frsize=1)

    monkeypatch.setattr(os, "statvfs", free)
    cache.reserve(NEW, 200)
    assert cache.names in ("bc", "c")
    with pytest.raises(CacheFull, match=r"its disk has 400 B left. Free some space"):
        cache.reserve("ee" * 16, 500)
    assert cache.names == ""


def test_what_came_of_a_download_needs_no_more_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path, "")
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=10, f_frsize=1))
    part = cache.entries.incoming(NEW) / "object"
    part.parent.mkdir()
    part.write_bytes(bytes(900))
    cache.reserve(NEW, 900)


def test_what_others_have_on_their_way_counts(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "a")
    coming = cache.entries.incoming(NEW)
    coming.mkdir()
    note_size(coming, 700)
    lease = Lease.take(coming)
    assert lease is not None
    (tmp_path / "total").unlink()
    with pytest.raises(CacheFull):
        cache.reserve("ee" * 16, 400)
    lease()
    # Nobody is at work on it now: what is left of it goes.
    cache.reserve("ee" * 16, 900)
    assert not coming.exists()


def test_room_that_was_reserved_counts_at_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "a")
    coming = cache.entries.incoming(NEW)
    coming.mkdir()
    lease = Lease.take(coming)
    cache.quota.reserve(NEW, 700)
    (tmp_path / "total").unlink()
    with pytest.raises(CacheFull):
        cache.reserve("ee" * 16, 400)
    assert lease is not None
    lease()


def test_what_arrives_while_somebody_counts_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path, "")
    coming, whole = cache.entries.incoming(NEW), cache.entries.object(NEW)
    coming.mkdir()
    cache.quota.reserve(NEW, 700)
    lease = Lease.take(coming)
    assert lease is not None
    (tmp_path / "total").unlink()
    all_entries = cache.entries.all
    arrived: list[Lease | None] = []

    def arriving() -> Iterator[Entry]:
        found = list(all_entries())
        if not arrived:
            whole.parent.mkdir(parents=True)
            whole.write_bytes(bytes(700))
            arrived.append(Lease.take(whole))
            shutil.rmtree(coming)
        return iter(found)

    monkeypatch.setattr(cache.entries, "all", arriving)
    with pytest.raises(CacheFull):
        cache.reserve("ee" * 16, 400)
    lease()
    assert arrived[0] is not None
    arrived[0]()


def test_what_did_not_come_is_given_back(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "abc")
    cache.reserve(NEW, 400)
    cache.quota.give_back(NEW, 400)
    cache.add("d", 200)
    cache.add("e", 200)
    assert cache.names == "abcde"


@pytest.mark.parametrize("text", ["", "12", "nonsense\n", "-5\n"])
def test_a_total_that_cannot_be_read_is_counted_anew(tmp_path: Path, text: str) -> None:
    cache = Cache(tmp_path, "abcde")
    (tmp_path / "total").write_text(text)
    cache.add("f", 200)
    assert len(cache.names) <= 5
    assert "f" in cache
