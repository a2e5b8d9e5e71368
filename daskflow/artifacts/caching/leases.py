"""Leases: while one is held, nothing removes what it stands for from the node cache.

A lease is a shared lock of the kernel on the cached file or directory itself, so it ends with the process that holds
it, however that ends. Whoever wants to remove an entry needs the lock for himself.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from daskflow.errors import ArtifactError

CURRENT_LEASES: ContextVar[list[Callable[[], None]] | None] = ContextVar("daskflow_leases", default=None)
"""What the attempt that is performed here has to call at its end; None outside of attempts."""
KEPT = 256
"""How many leases a process keeps outside of attempts: each holds a descriptor."""


class Lease:
    """A shared lock on an entry of the cache; a call ends it.

    Parameters
    ----------
    path
        The entry.
    descriptor
        The open entry, locked.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    def __call__(self) -> None:
        """End it; again is harmless."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def moved(self, path: Path) -> Lease:
        """The same lease, on an entry that was renamed meanwhile."""
        self.path = path
        return self

    @classmethod
    def take(cls, path: Path) -> Lease | None:
        """A lease on an entry; None where there is no entry, or somebody is removing it."""
        with suppress(FileNotFoundError, NotADirectoryError):
            descriptor = _opened(path)
            try:
                if locked(descriptor, fcntl.LOCK_SH) and is_at(descriptor, path):
                    return cls(path, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        return None


class KeptLeases:
    """The leases of a process outside of attempts; the one that was used longest ago makes room for the next.

    Notes
    -----
    Safe for threads. A forked child shares the locks with its parent, and both hold them.
    """

    def __init__(self, limit: int = KEPT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._leases: OrderedDict[Path, Lease] = OrderedDict()

    def has(self, path: Path) -> bool:
        """Whether an entry is kept; it then counts as used now."""
        with self._lock:
            if path not in self._leases:
                return False
            self._leases.move_to_end(path)
            return True

    def keep(self, lease: Lease) -> None:
        """Hold a lease from now on, in place of one on the same entry or of the oldest."""
        with self._lock:
            dropped = [self._leases.pop(lease.path, None)]
            self._leases[lease.path] = lease
            while len(self._leases) > self._limit:
                dropped.append(self._leases.popitem(last=False)[1])
        for old in dropped:
            if old is not None:
                old()

    def drop(self) -> None:
        """End them all."""
        with self._lock:
            leases, self._leases = self._leases, OrderedDict()
        for lease in leases.values():
            lease()


KEPT_LEASES = KeptLeases()
"""Those of this process."""


def held(path: Path) -> bool:
    """Whether the attempt that is performed here, or the process where there is none, has a lease on an entry."""
    leases = CURRENT_LEASES.get()
    if leases is None:
        return KEPT_LEASES.has(path)
    return any(isinstance(lease, Lease) and lease.path == path for lease in leases)


def hold(lease: Lease) -> None:
    """Hand a lease to the attempt that is performed here, or to the process where there is none."""
    leases = CURRENT_LEASES.get()
    if leases is None:
        KEPT_LEASES.keep(lease)
    else:
        leases.append(lease)


@contextmanager
def alone(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """A block in which nobody else has a lock on an entry; gives False where it is gone, or somebody has one.

    Parameters
    ----------
    wait
        Wait for those who have one.
    """
    try:
        descriptor = _opened(path)
    except (FileNotFoundError, NotADirectoryError):
        yield False
        return
    try:
        how = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
        yield locked(descriptor, how) and is_at(descriptor, path)
    finally:
        os.close(descriptor)


def locked(descriptor: int, how: int) -> bool:
    """Take a lock on an open file; False where that would mean to wait, and `how` says not to.

    Raises
    ------
    ArtifactError
        The filesystem has no locks.
    """
    try:
        fcntl.flock(descriptor, how)
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            return False
        raise ArtifactError(
            f"The filesystem of the node cache has no locks ({error.strerror}). "
            "Let `cache` in the configuration name a directory on the node's own disk."
        ) from error
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at that path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.EMFILE:
            raise ArtifactError(
                f"This process has too many files open to use another artifact ({path}). "
                "Raise the limit (`ulimit -n`), or use fewer at a time."
            ) from error
        raise
