"""Whoever asks first downloads, the others wait, and a kill at any instant leaves nothing wrong."""

from __future__ import annotations

import errno
import os
import pickle
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from daskflow.artifacts import cache as caches
from daskflow.artifacts.cache import CURRENT_LEASES, NodeCache, default_root
from daskflow.artifacts.caching.leases import KEPT_LEASES
from daskflow.artifacts.contents.digests import digest_bytes, digest_file
from daskflow.errors import ArtifactDamaged, ArtifactError, CacheFull, StoreSilent
from tests.execution.patience import until

DATA = b"visibilities" * 1000
DIGEST = digest_bytes(DATA)
SIZE = len(DATA)

KILLED = """
import os, signal, sys
from pathlib import Path
from daskflow.artifacts.cache import NodeCache

def download(path):
    if path.is_dir():
        path = path / "file"
    path.with_name(".part").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

getattr(NodeCache(sys.argv[1]), sys.argv[2])(sys.argv[3], int(sys.argv[4]), download)
"""

CHURN = """
import os, random, sys
from pathlib import Path
from daskflow.artifacts.cache import CURRENT_LEASES, NodeCache
from daskflow.artifacts.contents.digests import digest_bytes, digest_file

cache = NodeCache(sys.argv[1], int(sys.argv[2]))
chance = random.Random(int(sys.argv[3]))
objects = {digest_bytes(data): data for data in (bytes([i]) * (1000 + 100 * i) for i in range(40))}
print("ready", flush=True)
while True:
    leases = []
    CURRENT_LEASES.set(leases)
    for digest in chance.sample(sorted(objects), 3):
        path = cache.path(digest, len(objects[digest]), lambda path: path.write_bytes(objects[digest]))
        assert digest_file(path) == digest
    for close in leases:
        close()
    os.write(1, b"x")
"""


class Downloads:
    """Writes what is asked for, and counts."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.paths: list[Path] = []

    def __call__(self, path: Path) -> None:
        self.paths.append(path)
        path.write_bytes(self.data)


@pytest.fixture
def cache(tmp_path: Path) -> NodeCache:
    return NodeCache(tmp_path / "cache", 1 << 20)


@pytest.fixture(autouse=True)
def _no_leases() -> Iterator[None]:
    yield
    KEPT_LEASES.drop()


def attempt(work: Callable[[], object]) -> list[Callable[[], None]]:
    """Do work as an attempt does it; gives what ends its leases."""
    closers: list[Callable[[], None]] = []
    token = CURRENT_LEASES.set(closers)
    try:
        work()
    finally:
        CURRENT_LEASES.reset(token)
    return closers


def test_an_object_is_downloaded_once(cache: NodeCache) -> None:
    downloads = Downloads()
    found = cache.path(DIGEST, SIZE, downloads)
    assert cache.path(DIGEST, SIZE, downloads) == found
    assert NodeCache(cache.root).path(DIGEST, SIZE, downloads) == found
    assert len(downloads.paths) == 1
    assert found.read_bytes() == DATA
    assert found == cache.root / "objects" / DIGEST[:2] / DIGEST
    assert stat.S_IMODE(found.stat().st_mode) == 0o444
    assert list((cache.root / "incoming").iterdir()) == []


def test_all_others_wait_for_the_first(cache: NodeCache) -> None:
    began, go = threading.Event(), threading.Event()
    downloads = Downloads()

    def slow(path: Path) -> None:
        began.set()
        assert go.wait(60)
        downloads(path)

    with ThreadPoolExecutor(16) as pool:
        found = [pool.submit(cache.path, DIGEST, SIZE, slow) for _ in range(16)]
        assert began.wait(60)
        other = b"another does not wait"
        cache.path(digest_bytes(other), len(other), Downloads(other))
        go.set()
        assert len({future.result().stat().st_ino for future in found}) == 1
    assert len(downloads.paths) == 1


def test_an_attempt_keeps_what_it_uses(cache: NodeCache) -> None:
    small = NodeCache(cache.root, SIZE + 100)
    other = bytes(SIZE)

    def both() -> None:
        small.path(DIGEST, SIZE, Downloads())
        small.path(DIGEST, SIZE, Downloads())
        with pytest.raises(CacheFull):
            small.path(digest_bytes(other), SIZE, Downloads(other))

    (close,) = attempt(both)
    close()
    small.path(digest_bytes(other), SIZE, Downloads(other))
    assert not (cache.root / "objects" / DIGEST[:2] / DIGEST).exists()


def test_each_use_makes_it_the_youngest(cache: NodeCache) -> None:
    found = cache.path(DIGEST, SIZE, Downloads())
    os.utime(found, ns=(1, 7))
    cache.path(DIGEST, SIZE, Downloads())
    assert found.stat().st_atime_ns > 1
    assert found.stat().st_mtime_ns == 7


def test_a_download_of_the_wrong_size_is_none(cache: NodeCache) -> None:
    with pytest.raises(ArtifactDamaged, match="5 bytes instead of 12000"):
        cache.path(DIGEST, SIZE, Downloads(b"short"))
    assert cache.path(DIGEST, SIZE, Downloads()).read_bytes() == DATA


def test_a_copy_of_the_wrong_size_is_had_again(cache: NodeCache) -> None:
    found = cache.path(DIGEST, SIZE, Downloads())
    KEPT_LEASES.drop()
    found.chmod(0o644)
    found.write_bytes(b"cut")
    assert cache.path(DIGEST, SIZE, Downloads()).read_bytes() == DATA


@pytest.mark.parametrize("damaged", [False, True])
def test_after_a_crash_of_the_node_a_copy_is_hashed_once(
    cache: NodeCache, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    found = cache.path(DIGEST, SIZE, Downloads())
    KEPT_LEASES.drop()
    if damaged:  # of the right size, but these blocks never reached the disk
        found.chmod(0o644)
        found.write_bytes(bytes(SIZE))
    crash = found.stat().st_ctime_ns
    monkeypatch.setattr(caches, "seen_since_start", lambda status: status.st_ctime_ns > crash)
    hashed: list[Path] = []

    def digest(path: Path) -> str:
        hashed.append(path)
        return digest_file(path)

    monkeypatch.setattr(caches, "digest_file", digest)
    downloads = Downloads()
    until(lambda: _ticked(cache.root, crash))
    for _ in range(3):
        assert cache.path(DIGEST, SIZE, downloads).read_bytes() == DATA
        KEPT_LEASES.drop()
    assert len(hashed) == 1
    assert len(downloads.paths) == damaged


def _ticked(folder: Path, time: int) -> bool:
    """Whether the clock of the filesystem has gone on, which it does some hundred times in a second."""
    probe = folder / "probe"
    probe.touch()
    ticked = probe.stat().st_ctime_ns > time
    probe.unlink()
    return ticked


@pytest.mark.parametrize("kind", ["path", "tree"])
def test_who_comes_after_a_killed_one_finds_what_he_left(cache: NodeCache, kind: str) -> None:
    command = [sys.executable, "-c", KILLED, str(cache.root), kind, DIGEST, str(SIZE)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    seen: list[bytes] = []

    def go_on(path: Path) -> None:
        file = path / "file" if path.is_dir() else path
        seen.append(file.with_name(".part").read_bytes())
        file.with_name(".part").unlink()
        file.write_bytes(DATA)

    found = getattr(cache, kind)(DIGEST, SIZE, go_on)
    assert seen == [b"half"]
    assert (found / "file" if found.is_dir() else found).read_bytes() == DATA
    assert list((cache.root / "incoming").iterdir()) == []


def test_processes_that_churn_and_are_killed_keep_limit_and_contents(cache: NodeCache) -> None:
    limit = 40_000
    chance = random.Random(20261121)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for round in range(8):
            command = [sys.executable, "-c", CHURN, str(cache.root), str(limit), str(round)]
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE))
            for process in running:
                assert process.stdout is not None
                assert process.stdout.read(chance.randrange(10, 30)), "it failed"
            if len(running) == 3:
                victim = running.pop(chance.randrange(3))
                victim.kill()
                victim.communicate()
    finally:
        for process in running:
            process.kill()
            process.communicate()
    found = list((cache.root / "objects").glob("*/*"))
    assert [path.name for path in found] == [digest_file(path) for path in found]
    assert 0 < sum(path.stat().st_size for path in found) <= limit
    # The next one cleans up after those that were killed.
    large = bytes(limit)
    NodeCache(cache.root, limit).path(digest_bytes(large), limit, Downloads(large))
    assert [path.name for path in (cache.root / "objects").glob("*/*")] == [digest_bytes(large)]
    assert list((cache.root / "incoming").iterdir()) == []


def test_who_waited_for_one_who_failed_fails_too(cache: NodeCache) -> None:
    asked, go = threading.Event(), threading.Event()
    times: list[int] = []

    def silent(path: Path) -> None:
        times.append(1)
        asked.set()
        assert go.wait(60)
        raise StoreSilent("nobody answers")

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(cache.path, DIGEST, SIZE, silent)
        assert asked.wait(60)
        others = [pool.submit(cache.path, DIGEST, SIZE, silent) for _ in range(7)]
        until(lambda: _waiting(cache.root / "incoming" / DIGEST) == 8)
        go.set()
        for future in [first, *others]:
            with pytest.raises(StoreSilent, match="nobody answers"):
                future.result()
    assert len(times) == 1
    assert cache.path(DIGEST, SIZE, Downloads()).read_bytes() == DATA


def _waiting(directory: Path) -> int:
    """How often this process has a directory open: once for each who has his turn or waits for it."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            count += os.readlink(descriptor) == str(directory)
    return count


def test_an_empty_object_has_a_copy(cache: NodeCache) -> None:
    assert cache.path(digest_bytes(b""), 0, Downloads(b"")).read_bytes() == b""


def test_a_full_disk_is_told(cache: NodeCache) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(CacheFull, match="Free some space"):
        cache.path(DIGEST, SIZE, full)
    cache.path(DIGEST, SIZE, Downloads())


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 1 MiB."""
    root = tmp_path / "disk"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(root)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield root
    subprocess.run(["umount", str(root)], check=True)


def test_what_the_disk_has_no_room_for_replaces_others(disk: Path) -> None:
    cache = NodeCache(disk / "cache")
    objects = [bytes([i]) * 400_000 for i in range(3)]
    for data in objects:
        attempt(lambda: cache.path(digest_bytes(data), len(data), Downloads(data)))[0]()  # noqa: B023
    assert len(list(cache.root.glob("objects/*/*"))) == 2
    with pytest.raises(CacheFull, match="its disk has"):
        cache.path(DIGEST, 2 << 20, Downloads())


def test_a_cache_that_somebody_removed_is_made_again(cache: NodeCache) -> None:
    cache.path(DIGEST, SIZE, Downloads())
    shutil.rmtree(cache.root)
    assert cache.path(DIGEST, SIZE, Downloads()).read_bytes() == DATA
    assert stat.S_IMODE(cache.root.stat().st_mode) == 0o700


def test_a_cache_of_others_is_not_read(cache: NodeCache) -> None:
    cache.path(DIGEST, SIZE, Downloads())
    cache.root.chmod(0o777)
    with pytest.raises(ArtifactError, match="belongs to somebody else"):
        NodeCache(cache.root).path(DIGEST, SIZE, Downloads())


def test_what_is_forgotten_is_had_again(cache: NodeCache) -> None:
    found = cache.path(DIGEST, SIZE, Downloads())
    cache.forget(DIGEST)
    assert not found.exists()
    downloads = Downloads()
    cache.path(DIGEST, SIZE, downloads)
    assert len(downloads.paths) == 1


def test_a_tree_is_built_once(cache: NodeCache) -> None:
    def build(target: Path) -> None:
        (target / "file").write_bytes(DATA)

    found = cache.tree(DIGEST, SIZE, build)
    assert (found / "file").read_bytes() == DATA
    assert cache.tree(DIGEST, SIZE, lambda target: pytest.fail("it is there")) == found


def test_after_a_crash_of_the_node_a_tree_is_looked_through(cache: NodeCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(target: Path) -> None:
        (target / "file").write_bytes(DATA)

    found = cache.tree(DIGEST, SIZE, build)
    KEPT_LEASES.drop()
    monkeypatch.setattr(caches, "seen_since_start", lambda status: False)
    again: list[list[str]] = []
    assert cache.tree(DIGEST, SIZE, lambda target: again.append(os.listdir(target))) == found
    assert again == [["file"]]


def test_it_pickles_as_root_and_limit(cache: NodeCache) -> None:
    again = pickle.loads(pickle.dumps(cache))
    assert (again.root, again.limit) == (cache.root, cache.limit)
    assert cache.folder("named").is_dir()


def test_each_node_says_itself_where_the_cache_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = pickle.dumps([NodeCache(), NodeCache("$OWN_DISK/cache"), NodeCache("cache")])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OWN_DISK", str(tmp_path / "own"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    default, variable, relative = pickle.loads(given)
    assert default.root == default_root() == tmp_path / f"daskflow-{os.geteuid()}"
    assert variable.root == tmp_path / "own" / "cache"
    assert not relative.root.is_relative_to(tmp_path), "a relative path is the driver's"
    monkeypatch.delenv("OWN_DISK")
    with pytest.raises(ArtifactError, match="lacks a variable"):
        NodeCache("$OWN_DISK/cache").path(DIGEST, SIZE, Downloads())
