"""What lies where in a node cache: copies of objects, copies of trees, and what is on its way."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from daskflow.artifacts.caching.leases import alone
from daskflow.errors import ArtifactError

_OBJECTS, _TREES = "objects", "trees"
_INCOMING = "incoming"
_SIZE = "size"


class Entry(NamedTuple):
    """Something that may be removed to make room."""

    used: int
    """When it was used last [ns since epoch]."""
    size: int
    """What it counts [bytes]."""
    path: Path


class Entries:
    """The files of a node cache: ``objects/<first 2 digits>/<digest>``, ``trees/...``, ``incoming/<digest>/``.

    Parameters
    ----------
    root
        The directory of the cache.

    Notes
    -----
    An entry appears by a rename, when it is whole. What it was used for last stands in its time of access, which is
    set at each use and by nothing else that matters; its time of change tells whether anybody looked at it since
    this node was started.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def object(self, digest: str) -> Path:
        """Where the copy of an object lies, or would."""
        return self.root / _OBJECTS / digest[:2] / digest

    def tree(self, digest: str) -> Path:
        """Where the copy of a tree lies, or would: a directory with the tree, and the note of its size."""
        return self.root / _TREES / digest[:2] / digest

    def incoming(self, digest: str) -> Path:
        """The directory of what is on its way; who fills it has it locked."""
        return self.root / _INCOMING / digest

    def open(self) -> None:
        """See that the cache is there, and ours alone.

        Raises
        ------
        ArtifactError
            It belongs to somebody else, others may write to it, or it cannot be made.
        """
        if not self.root.is_absolute():
            raise ArtifactError(
                f"The node cache {self.root} has no place: the environment of this node lacks a variable. "
                "Let `cache` in the configuration name a directory that each node has."
            )
        with self._told():
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            status, link = self.root.stat(), self.root.lstat()
        if {status.st_uid, link.st_uid} != {os.geteuid()} or not self._shut(status):
            raise ArtifactError(
                f"The node cache {self.root} belongs to somebody else, or others may write to it: they could change "
                "what jobs read. Let `cache` in the configuration name another directory, or take their rights away."
            )
        with self._told():
            (self.root / _INCOMING).mkdir(mode=0o700, exist_ok=True)

    def _shut(self, status: os.stat_result) -> bool:
        """Whether only we may write to the cache; an empty directory is made so."""
        if status.st_mode & 0o022 and not any(self.root.iterdir()):
            # Somebody with a generous umask made it for us.
            self.root.chmod(0o700)
            return True
        return not status.st_mode & 0o022

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArtifactError(
                f"The node cache {self.root} cannot be made: {error.strerror}. "
                "Let `cache` in the configuration name a directory on the node's own disk."
            ) from error

    def all(self) -> Iterator[Entry]:
        """All whole entries, in no order."""
        for path in [path for kind in (_OBJECTS, _TREES) for path in self._below(kind)]:
            with suppress(FileNotFoundError):
                status = path.lstat()
                size = noted_size(path) if stat.S_ISDIR(status.st_mode) else status.st_size
                yield Entry(status.st_atime_ns, size, path)

    def on_their_way(self) -> Iterator[tuple[Path, bool]]:
        """The directories of what is on its way, and whether somebody is at work in them."""
        for path in sorted((self.root / _INCOMING).iterdir()):
            with alone(path) as mine:
                busy = not mine
            yield path, busy

    def remove(self, path: Path, *, wait: bool = False, used: bool = False) -> bool:
        """Remove an entry, or what was left on its way; False where there is none, or somebody uses it.

        Parameters
        ----------
        wait
            Wait for those who use it.
        used
            Remove it all the same.
        """
        with nullcontext(True) if used else alone(path, wait=wait) as mine:
            if not mine:
                return False
            if path.parent.name != _INCOMING:
                # While nobody can use it: who has it again makes the names again.
                delete(self.root / "named" / path.name)
            # Renamed first: a directory must never be seen half removed under its own name.
            doomed = self.root / _INCOMING / f"{secrets.token_hex(16)}.gone"
            try:
                os.rename(path, doomed)
            except FileNotFoundError:
                return False
        delete(doomed)
        return True

    def move(self, path: Path, target: Path) -> None:
        """Take an entry out of the cache, to where its maker goes on with it, unless something is there."""
        with alone(path, wait=True) as mine:
            if mine and not target.exists():
                os.rename(path, target)
        self.remove(path, wait=True)

    def _below(self, kind: str) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            for folder in (self.root / kind).iterdir():
                with suppress(FileNotFoundError, NotADirectoryError):
                    yield from list(folder.iterdir())


def note_size(path: Path, size: int) -> None:
    """Note in the directory of a tree, or of what is on its way, what it counts [bytes]."""
    (path / _SIZE).write_text(str(size))


def noted_size(path: Path) -> int:
    """What was noted there [bytes]; 0 where nothing can be read."""
    try:
        return int((path / _SIZE).read_text())
    except (OSError, ValueError):
        return 0


def weight(path: Path) -> int:
    """What a directory takes on the disk [bytes]."""
    found = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):
                found += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return found


def touch(path: Path) -> None:
    """Note that an entry is used now. The time of its contents stays, for programs that look at it."""
    with suppress(FileNotFoundError):
        os.utime(path, ns=(time.time_ns(), os.lstat(path).st_mtime_ns))


def seen_since_start(status: os.stat_result) -> bool:
    """Whether somebody made or used an entry since this node was started.

    Notes
    -----
    A process that is killed leaves whole entries or none. Only when the node itself stops can the bytes of an entry be
    lost that never reached its disk; then its time of change is before the start, for each use sets it.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return status.st_ctime > time.time() - time.clock_gettime(clock)


def delete(path: Path) -> None:
    """Remove a file or a directory that nobody else knows of."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    # Directories that a tree made read-only hold on to what is in them.
    for folder, _, _ in os.walk(path):
        with suppress(OSError):
            os.chmod(folder, 0o700)
    with suppress(FileNotFoundError):
        shutil.rmtree(path)
