"""Scratch directories: where attempts at command jobs run."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from daskflow.errors import CommandError, PathRefused, ScratchFull

FULL = {errno.ENOSPC, errno.EDQUOT}
"""What the operating system says when no room is left."""
_LOCK = ".daskflow-scratch"
_NAME = re.compile("[A-Za-z0-9-]+-[0-9a-f]{8}")
"""The names that scratch directories have; nothing else is ever swept."""
_NEW = 60.0
"""A directory this young may not have its lock yet [s]."""
_PROBE = 1 << 16
"""Where no room is left for that much, the disk is full [bytes]."""


class Scratch:
    """The scratch directory of one attempt at a command job; its end removes it.

    Parameters
    ----------
    root
        Where it is made; made itself where it is not there.
    label
        Begins its name, for people.
    keep
        Leave it there at the end.

    Raises
    ------
    ScratchFull
        No room is left.
    CommandError
        It cannot be made.

    Notes
    -----
    Nobody else may look into it (0700). As long as it is in use a lock is held, which the kernel drops when its
    process dies: by that `sweep` knows what is left over.
    """

    def __init__(self, root: str | os.PathLike[str], label: str = "", *, keep: bool = False) -> None:
        label = re.sub("[^A-Za-z0-9]+", "-", label)[:24].strip("-")
        self.path = Path(root).absolute() / f"{label or 'job'}-{secrets.token_hex(4)}"
        self.work = self.path / "work"
        """Where the commands run; all names of files are relative to it."""
        self.tmp = self.path / "tmp"
        """For their temporary files."""
        self.stdout = self.path / "stdout"
        """Standard output of the commands."""
        self.stderr = self.path / "stderr"
        """Standard error of the commands."""
        self.keep = keep
        """Whether it stays at the end."""
        self._lock = -1
        with self.written():
            self._make()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def inside(self, name: str | os.PathLike[str]) -> Path:
        """The path of a name below the working directory.

        Raises
        ------
        PathRefused
            It would lead out: an absolute path, one with `..`, or one that goes through a link to elsewhere.
        """
        path = self.work / checked_name(name)
        if not self.holds(path):
            raise PathRefused(f"{os.fspath(name)!r} leads out of the scratch directory through a link.")
        return path

    def holds(self, path: Path) -> bool:
        """Whether a path lies in the working directory, also when all links are followed."""
        real, work = os.path.realpath(path), os.path.realpath(self.work)
        return real == work or real.startswith(work + os.sep)

    def write(self, name: str, content: bytes, *, executable: bool = False) -> Path:
        """Write a file into the working directory; one of that name is replaced.

        Raises
        ------
        PathRefused
            The name leads out of the working directory.
        ScratchFull
            No room is left.
        """
        path = self.inside(name)
        with self.written():
            path.parent.mkdir(parents=True, exist_ok=True)
            # What is there may be a link to a copy that others share: it is never written to.
            with suppress(FileNotFoundError):
                path.unlink()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(path, flags, 0o755 if executable else 0o644), "wb") as file:
                file.write(content)
        return path

    def folder(self, name: str) -> Path:
        """A directory below the working directory; made where it is not there.

        Raises
        ------
        PathRefused
            The name leads out of the working directory.
        """
        if name in ("", "."):
            return self.work
        path = self.inside(name)
        with self.written():
            path.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def written(self) -> Iterator[None]:
        """A block in which files are written here; errors of the operating system say what to do."""
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise ScratchFull(
                    f"No room is left in the scratch directory {self.path} ({os.strerror(error.errno or 0)}). Free "
                    "some space, or name another directory by `scratch`."
                ) from error
            raise CommandError(f"{error.filename or self.path} cannot be written: {error.strerror}.") from error

    def full(self) -> bool:
        """Whether no room is left."""
        path = self.path / "probe"
        try:
            path.write_bytes(bytes(_PROBE))
        except OSError as error:
            return error.errno in FULL
        finally:
            with suppress(OSError):
                path.unlink()
        return False

    def close(self) -> None:
        """Remove the directory, unless it is to be kept."""
        if not self.keep:
            _clear(self.path)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
            _vanish(self.path)

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700)
        except FileNotFoundError:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700)
        if not self.keep:
            self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with suppress(OSError):  # a filesystem without locks: nobody sweeps there
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.work.mkdir()
        self.tmp.mkdir()


def checked_name(name: str | os.PathLike[str]) -> str:
    """A relative name that stays below its directory.

    Raises
    ------
    PathRefused
        It is empty or absolute, holds `..` or a NUL byte.

    Examples
    --------
    >>> checked_name("results//cube.h5")
    'results/cube.h5'
    """
    text = os.fspath(name)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or ".." in parts or "\0" in text or not parts:
        raise PathRefused(
            f"{text!r:.200} is no name of a file in the scratch directory: it has to be relative, without `..`."
        )
    return "/".join(parts)


def remove(path: Path) -> None:
    """Remove a file, or a directory with all in it, however deep and however protected; nothing happens without one."""
    with suppress(OSError, RecursionError):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if not os.path.lexists(path):
        return
    # Directories that may not be written to, and trees that are too deep for Python. The modes of files stay: they may
    # be links to copies that others share.
    open_up = ["find", str(path), "-type", "d", "!", "-perm", "-u=rwx", "-exec", "chmod", "u+rwx", "{}", ";"]
    for command in (open_up, ["rm", "-rf", str(path)]):
        with suppress(OSError):
            subprocess.run(command, check=False, capture_output=True)


def sweep(root: str | os.PathLike[str], *, new: float = _NEW) -> int:
    """Remove the scratch directories of processes that died; returns how many.

    Parameters
    ----------
    new
        What is younger is left alone: it may be about to be locked [s].
    """
    removed = 0
    with suppress(OSError):
        for entry in list(os.scandir(root)):
            removed += _sweep(Path(entry.path), time.time() - new)
    return removed


def _sweep(path: Path, before: float) -> bool:
    try:
        status = path.lstat()
        ours = _NAME.fullmatch(path.name) and stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
        if not ours or status.st_mtime > before:
            return False
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # no directory, one of somebody else, or one that is kept
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _clear(path)
    except OSError:  # somebody works in it
        return False
    finally:
        os.close(lock)
    _vanish(path)
    return True


def _clear(path: Path) -> None:
    """Remove all that is in a scratch directory but its lock, by which it is swept later if this process dies now."""
    with suppress(OSError):
        for entry in list(os.scandir(path)):
            if entry.name != _LOCK:
                _discard(entry)


def _vanish(path: Path) -> None:
    """Remove a scratch directory with nothing but its lock, which is closed: NFS keeps files that are open."""
    with suppress(OSError):
        (path / _LOCK).unlink()
        path.rmdir()


def _discard(entry: os.DirEntry[str]) -> None:
    try:
        (os.rmdir if entry.is_dir(follow_symlinks=False) else os.unlink)(entry.path)
    except OSError:
        remove(Path(entry.path))
