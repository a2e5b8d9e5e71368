"""Objects that others bring into a bucket by themselves: they lie apart until their bytes are known to be right."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from blake3 import blake3

from daskflow.artifacts.contents.digests import DIGITS
from daskflow.artifacts.places.bucket import Bucket
from daskflow.artifacts.places.parts import Manifest, Part, in_parts, object_key, part_sizes
from daskflow.artifacts.places.place import Progress
from daskflow.artifacts.places.uploads import Sent
from daskflow.errors import ArtifactDamaged

_FOLDER = "incoming"
MOST = 1000
"""So many slots are opened at a time."""


class Slot(NamedTuple):
    """Where some bytes of an object are brought to."""

    start: int
    """Of the first one within the object [bytes]."""
    size: int
    """[bytes]"""
    url: str
    """Takes them by PUT, for a while."""


class Arrivals:
    """Brings objects into a bucket whose bytes others send there.

    Parameters
    ----------
    bucket
        Where objects lie.

    Notes
    -----
    An upload has an id, and for each part of the object a slot ``incoming/<id>/<number>``, for which a URL is signed.
    What came there is copied to where nobody else can write, and hashed there: whoever still has the URL changes
    nothing of what was verified. Only then it becomes an object. Nothing else is remembered of an upload.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def slots(self, upload: str, size: int, expires: float) -> list[Slot]:
        """The first slots that nothing of the right size has come to; their URLs are good for some time [s]."""
        came = self._came(upload)
        missing = ((n, at, length) for n, (at, length) in enumerate(spans(size)) if came.get(_word(n)) != length)
        return [
            Slot(at, length, self._bucket.sign(_key(upload, number), expires, "PUT"))
            for number, at, length in islice(missing, MOST)
        ]

    def accept(self, upload: str, digest: str, size: int, progress: Progress) -> Sent | None:
        """Verify what came, and keep it; what an object consists of that lies in parts, None for one in one piece.

        Raises
        ------
        FileNotFoundError
            Something has not come.
        ArtifactDamaged
            The bytes are not those of the digest, or more or fewer; the upload is forgotten.
        """
        try:
            found = self._accept(upload, digest, size, progress)
        except ArtifactDamaged:
            self.forget(upload)
            raise
        self.forget(upload)
        return found

    def _came(self, upload: str) -> dict[str, int]:
        """By the number of its slot: the size of what came [bytes]."""
        return {key.rpartition("/")[2]: found.size for key, found in self._bucket.list(f"{_FOLDER}/{upload}")}

    def _accept(self, upload: str, digest: str, size: int, progress: Progress) -> Sent | None:
        if in_parts(size):
            came = self._came(upload)
            if not all(_word(number) in came for number, _ in enumerate(spans(size))):
                # It is told at once, before all that did come is read.
                raise FileNotFoundError(upload)
        whole, parts = blake3(), []
        for number, (_, length) in enumerate(spans(size)):
            hidden = self._hidden(upload, number, length)
            part = blake3()
            for block in self._bucket.blocks(hidden):
                whole.update(block)
                part.update(block)
                progress(memoryview(block).nbytes)
            found = part.hexdigest(length=DIGITS // 2)
            if in_parts(size) or found == digest:
                self._bucket.copy(hidden, object_key(found))
            self._bucket.delete(hidden)
            parts.append(Part(found, length))
        if (found := whole.hexdigest(length=DIGITS // 2)) != digest:
            raise ArtifactDamaged(f"What came has the digest {found} instead of {digest}. Send it again.")
        return Sent(digest, Manifest(size, tuple(parts)), ()) if in_parts(size) else None

    def _hidden(self, upload: str, number: int, size: int) -> str:
        """A copy of what came to a slot, where nobody but us can write."""
        hidden = f"{_key(upload, number)}-{secrets.token_hex(16)}"
        self._bucket.copy(_key(upload, number), hidden)
        found = self._bucket.head(hidden)
        if found is None or found.size != size:
            there = "nothing" if found is None else f"{found.size} bytes"
            raise ArtifactDamaged(f"Of part {number + 1} {there} came instead of {size} bytes. Send it again.")
        return hidden

    def forget(self, upload: str) -> None:
        """Remove all that came by an upload."""
        for key, _ in list(self._bucket.list(f"{_FOLDER}/{upload}")):
            self._bucket.delete(key)

    def sweep(self, older: float) -> int:
        """Remove what came more than `older` [s] ago and was never made an object; returns how much [bytes]."""
        return self._bucket.sweep(_FOLDER, older)


def spans(size: int) -> Iterator[tuple[int, int]]:
    """Beginning and length of the pieces in which an object of a size lies [bytes].

    Examples
    --------
    >>> list(spans(5)), list(spans(33 << 20))
    ([(0, 5)], [(0, 16777216), (16777216, 16777216), (33554432, 1048576)])
    """
    if not in_parts(size):
        yield 0, size
        return
    at = 0
    for length in part_sizes():
        if at >= size:
            return
        yield at, min(length, size - at)
        at += length


def _key(upload: str, number: int) -> str:
    return f"{_FOLDER}/{upload}/{_word(number)}"


def _word(number: int) -> str:
    return f"{number:06d}"
