"""How much a node cache may hold, and who has to go when it is more."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daskflow.artifacts.caching.entries import Entries, Entry, note_size, noted_size, weight
from daskflow.artifacts.caching.leases import KEPT_LEASES, locked
from daskflow.errors import CacheFull
from daskflow.model.quantities import as_bytes

_SPARE = 0.05
"""When something has to go, so much more goes with it: else each small object would look through the whole cache."""


class Quota:
    """The limit of a node cache, which all processes of its user keep together.

    Parameters
    ----------
    entries
        What is in the cache.
    limit
        How much that may be [bytes].

    Notes
    -----
    Safe for processes: a running total stands in a file that is locked while room is made. A process that is killed
    may leave the total too large, never too small; what is there is counted anew before anything has to go. Whoever
    counts sees whole entries, and the note of each that has room reserved: so the limit is never exceeded.
    """

    def __init__(self, entries: Entries, limit: int) -> None:
        self._entries = entries
        self._limit = limit

    def reserve(self, digest: str, size: int) -> None:
        """Make room for what `digest` names, whose directory on its way the caller has locked.

        Raises
        ------
        CacheFull
            It does not fit, for what is there is in use, or the disk is full.
        """
        coming = self._entries.incoming(digest)
        here = weight(coming)
        if size > self._limit:
            raise CacheFull(self._too_large(size))
        with self._total() as total:
            if total[0] + size > self._limit or size - here > self._free():
                total[0] = self._make_room(coming, size, here)
            # While nobody else can count, who would miss what has no note yet.
            note_size(coming, size)
            total[0] += size

    def give_back(self, digest: str, size: int) -> None:
        """What was reserved did not come, or not all of it."""
        left = weight(self._entries.incoming(digest))
        with self._total() as total:
            total[0] = max(0, total[0] - size + left)

    @contextmanager
    def _total(self) -> Iterator[list[int]]:
        """How much the cache holds [bytes], in a list of one, which is written back."""
        descriptor = os.open(self._entries.root / "total", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            locked(descriptor, fcntl.LOCK_EX)
            text = os.read(descriptor, 32)
            # Nothing, or half a number of one who was killed: count.
            total = [int(text) if text.strip().isdigit() and text.endswith(b"\n") else self._limit]
            yield total
            # Always as long, so that nothing of the number before is left behind it.
            os.pwrite(descriptor, b"%020d\n" % total[0], 0)
        finally:
            os.close(descriptor)

    def _make_room(self, coming: Path, size: int, here: int) -> int:
        """Remove what was used longest ago; returns how much the cache holds then [bytes]."""
        used, left = 0, []
        # Before those that are whole: what arrives meanwhile is counted twice, not missed.
        for path, busy in self._entries.on_their_way():
            if path == coming:
                continue
            if busy:
                used += noted_size(path)
            else:
                # By one who was killed or failed: the first to go.
                left.append(Entry(0, weight(path), path))
        found = left + sorted(self._entries.all())
        used += sum(entry.size for entry in found)
        used = self._remove(found, used, size, here)
        if not self._fits(used, size, here):
            # Outside of attempts leases are kept in case they are of use: here they are in the way.
            KEPT_LEASES.drop()
            used = self._remove(sorted(self._entries.all()), used, size, here)
        if not self._fits(used, size, here):
            raise CacheFull(self._no_room(used, size, here))
        return used

    def _remove(self, found: list[Entry], used: int, size: int, here: int) -> int:
        goal = self._fits(used, size, here)
        for entry in found:
            if goal or self._fits(used + int(self._limit * _SPARE), size, here):
                break
            if self._entries.remove(entry.path):
                used -= entry.size
        return used

    def _fits(self, used: int, size: int, here: int) -> bool:
        return used + size <= self._limit and size - here <= self._free()

    def _free(self) -> int:
        status = os.statvfs(self._entries.root)
        return status.f_bavail * status.f_frsize

    def _too_large(self, size: int) -> str:
        return (
            f"{as_bytes(size)} do not fit into the node cache {self._entries.root}, whose limit is "
            f"{as_bytes(self._limit)}. Raise `cache_limit` in the configuration, or read parts of the artifact "
            "by `open()` or `open_dataset()`."
        )

    def _no_room(self, used: int, size: int, here: int) -> str:
        disk = size - here > self._free()
        why = (
            f"its disk has {as_bytes(self._free())} left"
            if disk
            else f"jobs of this node use {as_bytes(used)} of its {as_bytes(self._limit)}"
        )
        cure = "Free some space" if disk else "Raise `cache_limit` in the configuration, run fewer jobs at a time"
        return (
            f"No room for {as_bytes(size)} in the node cache {self._entries.root}: {why}. {cure}, "
            "or let `cache` name a directory on another disk."
        )
