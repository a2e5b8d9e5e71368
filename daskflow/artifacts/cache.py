"""The node cache: copies of objects on the node's own disk, had once however many processes ask."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daskflow.artifacts.caching.entries import Entries, delete, note_size, seen_since_start, touch
from daskflow.artifacts.caching.leases import CURRENT_LEASES, Lease, alone, held, hold
from daskflow.artifacts.caching.quota import Quota
from daskflow.artifacts.contents.digests import digest_file
from daskflow.errors import AccessRefused, ArtifactDamaged, ArtifactError, ArtifactMissing, CacheFull, StoreSilent

__all__ = ["CURRENT_LEASES", "LIMIT", "NodeCache", "default_root"]

LIMIT = 100 << 30
"""How much a cache holds unless the configuration says otherwise [bytes]."""
_FAILURE = "failure"
_SHARED = {kind.__name__: kind for kind in (AccessRefused, ArtifactDamaged, ArtifactMissing, StoreSilent)}
"""Failures that all have who wait for the same object."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


def default_root() -> Path:
    """Where the cache lies unless the configuration says otherwise: one directory per user, among temporary files."""
    return Path(tempfile.gettempdir(), f"daskflow-{os.geteuid()}")


class NodeCache:
    """Copies of objects and trees, shared by all processes of a user on one node.

    Parameters
    ----------
    root
        Its directory, on the node's own disk; by default one per user among the temporary files. It may hold
        variables of the node's environment, such as `$SLURM_TMPDIR/daskflow`.
    limit
        How much it may hold [bytes]. What was used longest ago goes first.

    Notes
    -----
    Safe for threads and processes. Whoever asks first has the object downloaded, the others wait for it. What is
    given stays where it is until the attempt that asked has ended; outside of attempts, until the process has ended or
    256 others were asked for, or its room is needed. A process that is killed at any instant leaves nothing wrong:
    what came so far is where the next one goes on.

    Pickles as its root and limit.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None, limit: int = LIMIT) -> None:
        # Variables of the environment and the default are those of the node, so they travel as they are.
        self._given = None if root is None else _absolute(os.fspath(root))
        self.root = default_root() if self._given is None else Path(os.path.expandvars(self._given))
        self.limit = limit
        self._entries = Entries(self.root)
        self._quota = Quota(self._entries, limit)
        self._open = False

    def __repr__(self) -> str:
        return f"NodeCache({str(self.root)!r}, {self.limit})"

    def __reduce__(self) -> tuple[type[NodeCache], tuple[str | None, int]]:
        return NodeCache, (self._given, self.limit)

    def path(self, digest: str, size: int, download: Callable[[Path], None]) -> Path:
        """The read-only copy of an object.

        Parameters
        ----------
        size
            That of the object [bytes].
        download
            Makes the file at a path, whole and verified, or raises. What it leaves beside it when it is killed is
            there when it is called for this object again.

        Raises
        ------
        CacheFull
            There is no room.
        ArtifactError
            The cache belongs to somebody else, or its filesystem has no locks.
        """
        found = self._entries.object(digest)

        def good() -> bool:
            # Hashing is for what nobody looked at since the node was started: see `seen_since_start`.
            status = found.stat()
            return status.st_size == size and (seen_since_start(status) or digest_file(found) == digest)

        def make(directory: Path) -> Path:
            download(directory / "object")
            return _finished(directory / "object", digest, size)

        return self._have(found, size, good, make)

    def tree(self, digest: str, size: int, build: Callable[[Path], None]) -> Path:
        """The directory that is the copy of a tree.

        Parameters
        ----------
        size
            What it counts [bytes].
        build
            Fills a directory, whole and verified, or raises. The directory may hold files of an earlier try already,
            or of one before the node was started, which are not to be believed.

        Raises
        ------
        CacheFull
            There is no room.
        ArtifactError
            The cache belongs to somebody else, or its filesystem has no locks.
        """
        found = self._entries.tree(digest)

        def make(directory: Path) -> Path:
            made = directory / "made"
            self._entries.move(found, made)
            (made / "tree").mkdir(parents=True, exist_ok=True)
            build(made / "tree")
            note_size(made, size)
            return made

        return self._have(found, size, lambda: seen_since_start(found.stat()), make) / "tree"

    def forget(self, digest: str) -> None:
        """Remove the copies of an object or tree, even those in use: their bytes are wrong."""
        for path in (self._entries.object(digest), self._entries.tree(digest)):
            self._entries.remove(path, used=True)

    def folder(self, name: str) -> Path:
        """A directory of the cache for what is no copy, and does not count; made where it is not there."""
        self._entries.open()
        with self._told():
            (self.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.root / name

    def _have(self, found: Path, size: int, good: Callable[[], bool], make: Callable[[Path], Path]) -> Path:
        if not self._open:
            self._entries.open()
            self._open = True
        if held(found) and os.path.lexists(found):
            touch(found)
            return found
        lease = self._lease(found, size)
        if lease is None:
            with self._turn(found.name) as directory:
                lease = Lease.take(found)
                if lease is not None and not good():
                    lease()
                    lease = None
                lease = lease or self._made(directory, found, size, make)
        hold(lease)
        touch(found)
        return found

    def _lease(self, found: Path, size: int) -> Lease | None:
        """A lease on an entry that is surely good; None where that is not sure."""
        try:
            status = found.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        sure = seen_since_start(status) and (status.st_size == size or stat.S_ISDIR(status.st_mode))
        return Lease.take(found) if sure else None

    def _made(self, directory: Path, found: Path, size: int, make: Callable[[Path], Path]) -> Lease:
        with self._told():
            self._quota.reserve(found.name, size)
            try:
                with _noted(directory):
                    made = make(directory)
                # Before it has its name, so that nobody can remove it meanwhile.
                lease = Lease.take(made)
                found.parent.mkdir(parents=True, exist_ok=True)
                os.rename(made, found)
            except BaseException:
                self._quota.give_back(found.name, size)
                raise
        assert lease is not None, "nobody else knows of it"
        return lease.moved(found)

    @contextmanager
    def _turn(self, digest: str) -> Iterator[Path]:
        """Wait until nobody else has an object on its way; gives the directory for it, which keeps others waiting."""
        directory = self._entries.incoming(digest)
        began = time.time_ns()
        while True:
            self._entries.open()
            with suppress(FileExistsError):
                directory.mkdir(mode=0o700)
            with alone(directory, wait=True) as mine:
                if not mine:  # whoever was before us removed it at his end
                    continue
                _raise_noted(directory, began)
                yield directory
                delete(directory)
                return

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn an error of the operating system into one that says what to do."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise CacheFull(
                    f"The disk of the node cache {self.root} is full ({error.strerror}). Free some space, "
                    "or let `cache` in the configuration name a directory on another disk."
                ) from error
            raise ArtifactError(f"The node cache {self.root} cannot be written: {error}.") from error


def _absolute(root: str) -> str:
    return root if root.startswith("$") else os.path.abspath(os.path.expanduser(root))


@contextmanager
def _noted(directory: Path) -> Iterator[None]:
    """Note why what is on its way did not come, for those who wait for it."""
    note = directory / _FAILURE
    note.unlink(missing_ok=True)
    try:
        yield
    except tuple(_SHARED.values()) as error:
        with suppress(OSError):
            note.write_text(f"{type(error).__name__}\n{error}")
        raise


def _raise_noted(directory: Path, began: int) -> None:
    """Fail as whoever was before us did, if that was while we waited.

    A store that is silent must not be asked by one after the other, each of whom waits long before he gives up.
    """
    note = directory / _FAILURE
    with suppress(OSError):
        if note.stat().st_mtime_ns > began:
            name, _, message = note.read_text().partition("\n")
            raise _SHARED[name](message)


def _finished(made: Path, digest: str, size: int) -> Path:
    found = made.stat().st_size
    if found != size:
        made.unlink()
        raise ArtifactDamaged(f"The object {digest} has {found} bytes instead of {size}. Run the flow again.")
    made.chmod(0o444)
    return made
