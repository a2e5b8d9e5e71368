"""Files of this node on their way into a store and out of it."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from daskflow.artifacts.contents.digests import PathLike
from daskflow.errors import ArtifactDamaged, ArtifactError, CacheFull, FileMissing, UsageError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""How systems say that no room is left."""


class Source:
    """A file that is read into a store, and must not change meanwhile.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    FileMissing
        No file is there.
    UsageError
        It is a directory, a pipe or another thing without fixed contents.
    ArtifactError
        The file cannot be read.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = os.fspath(path)
        with self._told():
            # Without O_NONBLOCK a pipe would be waited for.
            self._file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._status = os.fstat(self._file)
        self.size = self._status.st_size
        """[bytes]"""
        if not stat.S_ISREG(self._status.st_mode):
            self.close()
            raise UsageError(f"{self.path} is no file, so it cannot be stored as one. Name a file.")

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing more is read."""
        os.close(self._file)

    def read(self, buffer: memoryview, offset: int) -> None:
        """Fill a buffer with the bytes from `offset` on. Raises ArtifactDamaged where the file ends before."""
        done = 0
        while done < len(buffer):
            with self._told():
                count = os.preadv(self._file, [buffer[done:]], offset + done)
            if not count:
                raise self.changed()
            done += count

    def check(self, digest: str | None, found: str) -> None:
        """Raise ArtifactDamaged if what was read is not what should be there."""
        now = os.fstat(self._file)
        same = (now.st_size, now.st_mtime_ns) == (self._status.st_size, self._status.st_mtime_ns)
        if not same or digest not in (None, found):
            raise self.changed()

    def changed(self) -> ArtifactDamaged:
        """The error for a file that another program writes."""
        return ArtifactDamaged(f"{self.path} changed while it was stored. Run the flow again when it is complete.")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileMissing(
                f"The file {self.path} is not there. Check the path (relative to {Path.cwd()})."
            ) from error
        except OSError as error:
            raise ArtifactError(f"{self.path} cannot be read: {error.strerror}.") from error


def read_some(file: IO[bytes], size: int) -> bytes:
    """Some bytes of a file object, none at its end. Raises ArtifactError."""
    try:
        return file.read(size)
    except OSError as error:
        raise ArtifactError(f"What is to be stored cannot be read: {error.strerror or error}.") from error


@contextmanager
def arriving(path: Path) -> Iterator[IO[bytes]]:
    """A new file that appears at `path` when the block ends well, and not at all when it does not."""
    hidden = path.with_name(f".{secrets.token_hex(8)}.part")
    with landing(path):
        try:
            with open(hidden, "xb") as file:
                yield file
            os.replace(hidden, path)
        finally:
            with suppress(OSError):
                hidden.unlink(missing_ok=True)


@contextmanager
def landing(path: Path) -> Iterator[None]:
    """A block in which a file is written: errors of the operating system say what to do.

    Raises
    ------
    CacheFull
        No room is left.
    ArtifactError
        The directory is not there, or may not be written.
    """
    try:
        yield
    except FileNotFoundError:
        # The object is missing, or the directory.
        if path.parent.is_dir():
            raise
        raise ArtifactError(f"{path} cannot be written: there is no directory {path.parent}. Make it.") from None
    except OSError as error:
        if error.errno in FULL:
            raise CacheFull(
                f"No room is left for {path} ({os.strerror(error.errno or 0)}). Free some space."
            ) from error
        raise ArtifactError(f"{path} cannot be written: {error.strerror or error}.") from error
