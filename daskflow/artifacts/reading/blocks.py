"""Bytes of an object read by position: small reads through blocks that are kept, large ones as they are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

from daskflow.artifacts.contents.frames import Buffer
from daskflow.errors import ArtifactDamaged

Read: TypeAlias = Callable[[int, int], Buffer]
"""(start, stop) -> the bytes from `start` up to and without `stop`."""

BLOCK = 1 << 16
"""Small reads move whole blocks of this size [bytes]."""
KEPT = 32 << 20
"""Blocks of this size together [bytes] are kept for one object."""
AHEAD = 4 << 20
"""At most this much [bytes] is read ahead of who reads on and on."""
_SMALL = BLOCK // 4
_LARGE = 1 << 20
_RUNS = 8


class Blocks:
    """Reads one object by ranges, and moves little more than what is asked for.

    Parameters
    ----------
    read
        Gets a range from the store.
    size
        Size of the object [bytes].

    Notes
    -----
    HDF5 reads its metadata in hundreds of pieces of some bytes, and data in whole chunks. So small pieces come
    in blocks that are kept, the least recently used go first; pieces of a quarter of a block or more come
    exactly as they are. Who reads on where the last read ended is read ahead for, by a quarter of what was
    read so: a file read from its start to its end comes in pieces of megabytes, and a reader who stops moved
    no more than a quarter too much. For pieces of a block or more this begins after 1 MiB, so a slab of that size
    comes exactly; pieces of 1 MiB or more always do.

    Safe for threads. Two that miss the same small piece move it once; large pieces move side by side.

    Examples
    --------
    >>> data = b"0123456789"
    >>> blocks = Blocks(lambda start, stop: data[start:stop], len(data))
    >>> bytes(blocks.read(1, 3)), bytes(blocks.read(8, 30)), blocks.moved, blocks.requests
    (b'12', b'89', 10, 1)
    """

    def __init__(self, read: Read, size: int) -> None:
        self.size = size
        self.moved = 0
        """What came from the store [bytes]."""
        self.requests = 0
        """How often the store was asked."""
        self._read = read
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._runs: OrderedDict[int, int] = OrderedDict()
        self._lock = threading.Lock()
        self._counting = threading.Lock()

    def read(self, start: int, stop: int) -> Buffer:
        """The bytes from `start` up to and without `stop`, or to the end of the object.

        Raises
        ------
        ArtifactMissing
            The object is not in the store.
        ArtifactDamaged
            It is shorter than it should be.
        """
        stop = min(stop, self.size)
        if start >= stop:
            return b""
        with self._lock:
            run = self._run(start, stop)
            if self._kept(start, stop) or stop - start < _limit(run):
                return self._from_blocks(start, stop, run)
        return self._fetch(start, stop)

    def rest(self, start: int) -> Buffer:
        """What comes at once from `start` on: the rest of its block. It does not count as read."""
        stop = min(start - start % BLOCK + BLOCK, self.size)
        if start >= stop:
            return b""
        with self._lock:
            return self._from_blocks(start, stop, self._runs.get(start, 0))

    def _run(self, start: int, stop: int) -> int:
        """How much was read up to `start`, with small gaps at most; 0 where nobody read until there of late."""
        # Several, for HDF5 looks up where chunks are while it reads them; gaps, for that may stand between them.
        near = [end for end in self._runs if 0 <= start - end <= _SMALL]
        run = self._runs.pop(max(near, key=self._runs.__getitem__)) if near else 0
        self._runs[stop] = run + stop - start
        if len(self._runs) > _RUNS:
            self._runs.popitem(last=False)
        return run

    def _kept(self, start: int, stop: int) -> bool:
        return all(number in self._blocks for number in _numbers(start, stop))

    def _from_blocks(self, start: int, stop: int, run: int) -> Buffer:
        numbers = _numbers(start, stop)
        missing = [number for number in numbers if number not in self._blocks]
        if missing:
            self._fill(missing[0], missing[-1] + 1 + min(run // 4, AHEAD) // BLOCK)
        for number in numbers:
            self._blocks.move_to_end(number)
        found = [self._blocks[number] for number in numbers]
        self._forget()
        offset = numbers[0] * BLOCK
        data = found[0] if len(found) == 1 else b"".join(found)
        return memoryview(data)[start - offset : stop - offset]

    def _fill(self, first: int, last: int) -> None:
        begin, end = first * BLOCK, min(last * BLOCK, self.size)
        data = self._fetch(begin, end)
        for number in _numbers(begin, end):
            at = number * BLOCK - begin
            # A copy: a view would keep all that came with it.
            self._blocks[number] = bytes(data[at : at + BLOCK])

    def _forget(self) -> None:
        while len(self._blocks) > KEPT // BLOCK:
            self._blocks.popitem(last=False)

    def _fetch(self, start: int, stop: int) -> Buffer:
        data = self._read(start, stop)
        if len(data) != stop - start:
            raise ArtifactDamaged(
                f"An object ends after {start + len(data)} of its {self.size} bytes. "
                "Upload it again, or run the flow again that made it."
            )
        with self._counting:
            self.moved += stop - start
            self.requests += 1
        return data


def _numbers(start: int, stop: int) -> range:
    return range(start // BLOCK, (stop - 1) // BLOCK + 1)


def _limit(run: int) -> int:
    """From which size on a piece is asked for exactly [bytes], by how much was read up to it."""
    if run >= _LARGE:
        return _LARGE
    return BLOCK if run else _SMALL
