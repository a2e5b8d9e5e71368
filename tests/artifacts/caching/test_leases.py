"""Leases keep what is in use, and end with whoever holds them."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daskflow.artifacts.caching.leases import CURRENT_LEASES, KeptLeases, Lease, alone, held, hold, is_at
from daskflow.errors import ArtifactError
from tests.execution.patience import until

HOLDER = """
import sys, time
from pathlib import Path
from daskflow.artifacts.caching.leases import Lease
lease = Lease.take(Path(sys.argv[1]))
print(lease is not None, flush=True)
time.sleep(600)
"""


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    path = tmp_path / "entry"
    path.write_bytes(b"bytes")
    return path


def taken(path: Path) -> Lease:
    lease = Lease.take(path)
    assert lease is not None
    return lease


def is_free(path: Path) -> bool:
    with alone(path) as mine:
        return mine


def test_who_wants_an_entry_alone_waits_for_all_leases(entry: Path) -> None:
    first, second = taken(entry), taken(entry)
    first()
    first()
    assert not is_free(entry)
    second()
    assert is_free(entry)


def test_a_directory_has_leases_too(tmp_path: Path) -> None:
    lease = taken(tmp_path)
    assert not is_free(tmp_path)
    lease()
    assert is_free(tmp_path)


def test_a_lease_ends_with_its_process(entry: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(entry)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert not is_free(entry)
        os.kill(process.pid, signal.SIGKILL)
    until(lambda: is_free(entry))


def test_there_is_none_on_what_is_gone(entry: Path) -> None:
    entry.unlink()
    assert Lease.take(entry) is None
    assert not is_free(entry)
    assert Lease.take(entry / "below") is None


def test_a_lease_on_a_file_that_was_replaced_is_none(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(descriptor: int, how: int) -> None:
        # As if somebody had removed it, and another had brought it again, between opening and locking.
        (entry.parent / "new").write_bytes(b"bytes")
        (entry.parent / "new").replace(entry)

    monkeypatch.setattr(fcntl, "flock", late)
    assert Lease.take(entry) is None


def test_a_lease_moves_with_its_entry(entry: Path) -> None:
    target = entry.with_name("target")
    lease = taken(entry)
    entry.rename(target)
    assert lease.moved(target).path == target
    assert not is_free(target)
    lease()


def test_outside_of_attempts_the_process_keeps_the_latest(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.touch()
    kept = KeptLeases(limit=2)
    kept.keep(taken(paths[0]))
    kept.keep(taken(paths[1]))
    assert kept.has(paths[0])
    kept.keep(taken(paths[2]))
    assert [is_free(path) for path in paths] == [False, True, False]
    kept.keep(taken(paths[2]))
    kept.drop()
    assert all(is_free(path) for path in paths)
    assert not kept.has(paths[0])


def test_an_attempt_gets_what_ends_its_leases(entry: Path) -> None:
    closers: list[object] = []
    token = CURRENT_LEASES.set(closers)  # type: ignore[arg-type]
    try:
        assert not held(entry)
        hold(taken(entry))
        assert held(entry)
        assert not held(entry.with_name("other"))
    finally:
        CURRENT_LEASES.reset(token)
    (lease,) = closers
    assert not is_free(entry)
    lease()  # type: ignore[operator]
    assert is_free(entry)


def test_a_filesystem_without_locks_is_told(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(ArtifactError, match="the node's own disk"):
        Lease.take(entry)


def test_too_many_open_files_are_told(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*args: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", none_left)
    with pytest.raises(ArtifactError, match="ulimit -n"):
        Lease.take(entry)


def test_a_link_is_no_entry(entry: Path) -> None:
    link = entry.with_name("link")
    link.symlink_to(entry)
    with pytest.raises(OSError, match="symbolic links"):
        Lease.take(link)
    with open(entry, "rb") as file:
        assert is_at(file.fileno(), entry)
        assert not is_at(file.fileno(), link)
