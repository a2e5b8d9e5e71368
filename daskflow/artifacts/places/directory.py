"""Objects as files below one directory."""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from daskflow.artifacts.contents.frames import Buffer
from daskflow.errors import ArtifactError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MAPPED = 1 << 20
"""Files from this size [bytes] on are mapped; small ones are read, for each mapping costs a descriptor."""
_ABANDONED = 7 * 86400.0
"""No write takes this long [s]: what is older in `incoming/` was left by a process that died."""


class Directory:
    """Objects as files: ``objects/<first 2 digits>/<digest>``, written in ``incoming/`` and then renamed.

    No obstore here: plain files need no client, open at once, and say by `errno` what is wrong.

    Parameters
    ----------
    root
        The directory; it is made when the first object is written.

    Notes
    -----
    Safe for threads and for processes on one or several nodes. A process killed at any instant leaves either
    no object or the whole one, and at worst a file in ``incoming/``. Files are not synced to disk: after a
    power failure an object may be cut short; the store sees that by its size and writes it anew.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    def path(self, digest: str) -> Path:
        """Where the object lies, or would."""
        return self.root / "objects" / digest[:2] / digest

    def size(self, digest: str) -> int | None:
        """Size of the object [bytes]; None where there is none."""
        with self._told("read"):
            try:
                return self.path(digest).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read(self, digest: str) -> memoryview:
        """The bytes of an object that is there, writable: a change stays private to this process.

        Raises
        ------
        FileNotFoundError
            The object is not there.
        """
        with open(self.path(digest), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size >= _MAPPED:
                with suppress(OSError):  # no descriptor is left, or the filesystem cannot map
                    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
            return memoryview(bytearray(file.read()))

    def write(self, digest: str, buffers: Iterable[Buffer]) -> None:
        """Write an object; nothing of it is visible before all of it is."""
        with self._told("written"), self.temporary() as path:
            with open(path, "wb", opener=_create) as file:
                for buffer in buffers:
                    file.write(buffer)
            self._publish(path, digest)

    def take(self, path: Path, digest: str) -> None:
        """Move a file made in `temporary` to its place."""
        with self._told("written"):
            path.chmod(0o444)
            self._publish(path, digest)

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A path for a new file beside the objects; what is there at the end of the block is removed."""
        incoming = self.root / "incoming"
        with self._told("written"):
            incoming.mkdir(parents=True, exist_ok=True)
        path = incoming / secrets.token_hex(16)
        try:
            yield path
        except OSError as error:
            # Libraries that write files themselves, such as HDF5, meet a full disk in this block.
            if error.errno in _FULL:
                raise self._error("written", error) from error
            raise
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def folder(self, name: str) -> Path:
        """A directory beside the objects; it is made where it is not there."""
        with self.written():
            (self.root / name).mkdir(parents=True, exist_ok=True)
        return self.root / name

    def written(self) -> AbstractContextManager[None]:
        """A block in which files are written; errors of the operating system say what to do."""
        return self._told("written")

    def remove(self, digest: str) -> None:
        """Remove an object; nothing happens where there is none. Who has it mapped keeps its bytes."""
        with self._told("written"):
            self.path(digest).unlink(missing_ok=True)

    def sweep(self, older: float = _ABANDONED) -> int:
        """Remove what was left in ``incoming/`` longer than `older` [s] ago; returns how much [bytes]."""
        freed, limit = 0, time.time() - older
        incoming = self.root / "incoming"
        for path in list(incoming.iterdir()) if incoming.is_dir() else []:
            with suppress(FileNotFoundError):
                status = path.stat()
                if status.st_mtime < limit:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                    freed += status.st_size
        return freed

    def _publish(self, path: Path, digest: str) -> None:
        target = self.path(digest)
        try:
            os.replace(path, target)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn an error of the operating system into one that says what to do."""
        try:
            yield
        except OSError as error:
            raise self._error(what, error) from error

    def _error(self, what: str, error: OSError) -> ArtifactError:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno in _FULL:
            return ArtifactError(f"No room is left in the artifact store {self.root} ({reason}). Free some space.")
        return ArtifactError(f"The artifact store {self.root} cannot be {what}: {reason}.")


def _create(path: str, flags: int) -> int:
    # Read-only from the start: an object's name promises its contents, to people with an editor too.
    return os.open(path, flags | os.O_EXCL, 0o444)
