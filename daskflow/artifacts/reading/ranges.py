"""An object of the store as a file that is read by ranges."""

from __future__ import annotations

import atexit
import io
import os
import sys
import threading
from typing import Any

from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.reading.blocks import Blocks, Read
from daskflow.artifacts.store import ObjectStore, known


class ObjectRanges:
    """Ranges of one object, straight from its store.

    Notes
    -----
    Pickles as URL and digest, without credentials: pickles are stored, and read by others. Counts in keys by the
    digest. Safe for threads.
    """

    def __init__(self, store: ObjectStore, digest: str, size: int) -> None:
        self.store = store
        self.digest = digest
        self.size = size

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.store.url, self.digest, self.size)

    def __dask_tokenize__(self) -> tuple[str, str]:
        return "ObjectRanges", self.digest

    def __call__(self, start: int, stop: int) -> Buffer:
        """The bytes from `start` up to and without `stop`."""
        return self.store.read(self.digest, start, stop, self.size)


def store_at(url: str) -> ObjectStore:
    """The store of a URL: the one that this process has, else one with the credentials of the environment."""
    return known(url) or ObjectStore(url)


def _again(kind: type[ObjectRanges], url: str, digest: str, size: int) -> ObjectRanges:
    return kind(store_at(url), digest, size)


class RangeFile(io.BufferedIOBase):
    r"""A file for reading whose bytes come from the store when they are asked for.

    Parameters
    ----------
    read
        Gets the bytes from `start` up to and without `stop`.
    size
        Size of the file [bytes].

    Notes
    -----
    h5py, pandas, zipfile, astropy and others take it as an open file. Safe for threads: each read gets the bytes
    that follow those of the read before it; `read_at` needs no position at all. Pickles where `read` does; the
    copy starts at the beginning, with nothing kept.

    Examples
    --------
    >>> data = b"frequency,flux\n1.4,2.5\n"
    >>> file = RangeFile(lambda start, stop: data[start:stop], len(data))
    >>> file.seek(-8, 2), file.readline(), file.moved
    (15, b'1.4,2.5\n', 23)
    """

    def __init__(self, read: Read, size: int) -> None:
        self._source = read
        self._blocks = Blocks(read, size)
        self._position = 0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source, self.size)

    def __dask_tokenize__(self) -> tuple[str, Any, int]:
        from dask.base import normalize_token

        return "RangeFile", normalize_token(self._source), self.size

    def __repr__(self) -> str:
        return f"<RangeFile of {self.size} bytes>"

    @property
    def size(self) -> int:
        """Size of the file [bytes]."""
        return self._blocks.size

    @property
    def moved(self) -> int:
        """How much came from the store until now [bytes]."""
        return self._blocks.moved

    @property
    def requests(self) -> int:
        """How often the store was asked until now."""
        return self._blocks.requests

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next read starts [bytes]."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Let the next read start somewhere else; returns where [bytes]."""
        self._check_open()
        with self._lock:
            start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
            if start + offset < 0:
                raise ValueError(f"there is nothing before the start of a file ({start + offset})")
            self._position = start + offset
            return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes, all of them unless `size` is given."""
        return bytes(self._take(self.size if size is None or size < 0 else size))

    def read1(self, size: int = -1, /) -> bytes:
        """The next bytes, as many as come at once."""
        data = self._blocks.rest(self._position) if size < 0 else b""
        return self.read(len(data) if size < 0 else size)

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer with the next bytes; how many there were."""
        target = memoryview(buffer).cast("B")
        data = self._take(len(target))
        target[: len(data)] = data
        return len(data)

    def readinto1(self, buffer: Any, /) -> int:
        """What `readinto` does."""
        return self.readinto(buffer)

    def peek(self, size: int = 0, /) -> bytes:
        """Some of the next bytes; the next read starts where it would have. With it `readline` is quick."""
        self._check_open()
        return bytes(self._blocks.rest(self._position))

    def read_at(self, start: int, stop: int) -> Buffer:
        """The bytes from `start` up to and without `stop`; the position stays."""
        self._check_open()
        return self._blocks.read(start, stop)

    def _take(self, size: int) -> Buffer:
        self._check_open()
        with self._lock:
            start = self._position
            stop = self._position = max(start, min(start + size, self.size))
        return self._blocks.read(start, stop)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")


@atexit.register
def close_hdf5() -> None:
    """Close the HDF5 files that are read through Python; it is done when the interpreter ends.

    HDF5 closes what is open when the process ends, which is too late: it calls Python, and the process crashes.
    """
    h5py = sys.modules.get("h5py")
    if h5py is None:
        return
    for opened in h5py.h5f.get_obj_ids(types=h5py.h5f.OBJ_FILE):
        file = h5py.File(opened)
        if file.driver == "fileobj":
            file.close()
