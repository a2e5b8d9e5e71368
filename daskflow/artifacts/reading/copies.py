"""The copy of an object that a node keeps, read by ranges."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.reading.ranges import ObjectRanges
from daskflow.artifacts.store import ObjectStore


class CopyRanges(ObjectRanges):
    """Ranges of one object, from a copy on whichever node they are read.

    Notes
    -----
    A path would be wrong on the next node; this pickles by the digest, and looks for a copy when it is first
    read. The file stays open: a cache that removes the copy meanwhile takes nothing away. Safe for threads.
    """

    def __init__(self, store: ObjectStore, digest: str, size: int) -> None:
        super().__init__(store, digest, size)
        self._descriptor: int | None = None

    def __call__(self, start: int, stop: int) -> Buffer:
        """The bytes from `start` up to and without `stop`, or to the end."""
        descriptor = self._descriptor if self._descriptor is not None else self._open()
        data = memoryview(bytearray(stop - start))
        count = 0
        while count < len(data) and (more := os.preadv(descriptor, [data[count:]], start + count)):
            count += more
        return data[:count]

    def _open(self) -> int:
        with _uncollected():
            path = self.store.local_path(self.digest, self.size)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # Two threads that come first both open it, and both files are closed in the end.
        weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor
        return descriptor


@contextmanager
def _uncollected() -> Iterator[None]:
    """A block in which no garbage is collected.

    HDF5 may be who reads, and holds a lock then that freeing its objects needs; a copy is had by several threads, and
    the one in which garbage were collected would never end (h5py issue 2019).
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
