"""Puts a file of the store or of the node cache where somebody wants it, with as few bytes copied as can be."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_CLONE = 0x40049409
"""FICLONE of Linux: two files share their blocks until one of them is written."""
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.ENOTSUP, errno.EINVAL}
"""Another filesystem, one without hard links, too many links, or a file of somebody else."""


class Placing(NamedTuple):
    """How files may be placed."""

    writable: bool = False
    """Whoever finds it may write to it, so it must share nothing."""
    links: bool = True
    """It may be a symbolic link: where it is read, the place of the original is seen too."""


class Placed(NamedTuple):
    """A file that shares its bytes with the original; it must not be written to."""

    source: Path
    target: Path
    state: tuple[int, int, int]
    """Inode, size [bytes] and time of change [ns] of the original when it was placed."""

    def protect(self) -> None:
        """Take away the rights to write that somebody gave it: of a hard link they are those of the original."""
        with suppress(OSError):
            mode = stat.S_IMODE(self.source.stat().st_mode)
            if mode & 0o222:
                self.source.chmod(mode & ~0o222)

    @property
    def changed(self) -> Path | None:
        """Where the file is that somebody wrote to all the same; None where nobody did.

        Another job may have found out first, and have removed the original: what this one has read is in its own place.
        """
        for path in (self.source, self.target):
            with suppress(OSError):
                state = _state(path)
                if state[0] == self.state[0]:
                    return path if state != self.state else None
        return None


def place(source: Path, target: Path, how: Placing, *, executable: bool = False) -> Placed | None:
    """Let `target`, which is not there yet, have the bytes of `source`.

    Parameters
    ----------
    executable
        Whether it may be executed. Where the original is different in that, nothing is shared.

    Returns
    -------
    Placed or None
        What to look at afterwards; None where nothing is shared.

    Notes
    -----
    In this order: hard link; copy that shares blocks (reflink); symbolic link; copy. Where it may be written to only
    copies.
    """
    alone = how.writable or executable != bool(source.stat().st_mode & 0o100)
    state = _state(source)
    if not alone and _linked(source, target):
        return Placed(source, target, state)
    if not _cloned(source, target):
        if not alone and how.links:
            target.symlink_to(source.resolve())
            return Placed(source, target, state)
        shutil.copyfile(source, target)
    target.chmod((0o644 if how.writable else 0o444) | (0o111 if executable else 0))
    return None


def alias(folder: Path, target: Path, name: str) -> Path:
    """A symbolic link in a folder, which is made, by which a file or directory has a name of its own."""
    link = folder / name
    # Relative, so that it is still right when both were moved.
    text = os.path.relpath(target, folder)
    try:
        if os.readlink(link) == text:
            return link
    except OSError:
        folder.mkdir(parents=True, exist_ok=True)
    part = folder / secrets.token_hex(16)
    part.symlink_to(text)
    part.replace(link)
    return link


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True


def _cloned(source: Path, target: Path) -> bool:
    try:
        with open(source, "rb") as origin, open(target, "xb") as copy:
            fcntl.ioctl(copy.fileno(), _CLONE, origin.fileno())
    except FileExistsError:
        raise
    except OSError:  # a filesystem without it says so in many ways
        with suppress(FileNotFoundError):
            target.unlink()
        return False
    return True


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
