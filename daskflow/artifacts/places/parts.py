"""Large objects on a cloud lie in parts: which, how large, and the manifest that tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from daskflow.artifacts.contents.digests import DIGITS
from daskflow.errors import ArtifactDamaged

PART_LIMIT = 32 << 20
"""An object over this size [bytes] lies in parts. The size tells where an object lies, so stores that are in use would
lose objects if this changed."""
PART_SIZE = 16 << 20
"""Size of the first parts [bytes]."""
_GROWTH = 1000
"""After so many parts they are twice as large: 10,000 of them hold 1.7 TiB, and equal beginnings have equal parts."""
_LARGEST = 256 << 20
"""[bytes]; parts are held in memory while they travel."""


class Part(NamedTuple):
    """Some bytes of a large object, an object in its own right."""

    digest: str
    size: int
    """[bytes]"""


class Span(NamedTuple):
    """What a range of an object takes of one of its parts."""

    part: Part
    start: int
    stop: int
    """Within the part [bytes]."""
    offset: int
    """Of the first byte, within the range [bytes]."""


class Manifest(NamedTuple):
    """What a large object consists of."""

    size: int
    """Of the whole object [bytes]."""
    parts: tuple[Part, ...]

    def dump(self) -> bytes:
        """As it is stored."""
        return json.dumps({"size": self.size, "parts": self.parts}, separators=(",", ":")).encode()

    def spans(self, start: int, stop: int) -> Iterator[Span]:
        """What the range from `start` to `stop` takes of each part that it touches.

        Examples
        --------
        >>> manifest = Manifest(5, (Part("a", 3), Part("b", 2)))
        >>> [(span.part.digest, span.start, span.stop, span.offset) for span in manifest.spans(2, 9)]
        [('a', 2, 3, 0), ('b', 0, 2, 1)]
        """
        begin = 0
        for part in self.parts:
            low, high = max(start, begin), min(stop, begin + part.size)
            if low < high:
                yield Span(part, low - begin, high - begin, low - start)
            begin += part.size


def load_manifest(data: bytes, what: str) -> Manifest:
    """What `Manifest.dump` gave. Raises ArtifactDamaged."""
    try:
        found = json.loads(data)
        manifest = Manifest(int(found["size"]), tuple(Part(str(digest), int(size)) for digest, size in found["parts"]))
    except (ValueError, TypeError, KeyError):
        manifest = Manifest(-1, ())
    if manifest.size != sum(part.size for part in manifest.parts) or any(
        len(part.digest) != DIGITS or part.size <= 0 for part in manifest.parts
    ):
        raise ArtifactDamaged(f"The manifest of {what} is damaged. Remove the object, then run the flow again.")
    return manifest


def in_parts(size: int) -> bool:
    """Whether an object of this size [bytes] lies in parts."""
    return size > PART_LIMIT


def part_sizes() -> Iterator[int]:
    """Sizes of the parts of any object, one after the other [bytes]; the last is as small as it comes."""
    number, size = 0, PART_SIZE
    while True:
        yield size
        number += 1
        if number % _GROWTH == 0:
            size = min(2 * size, _LARGEST)


def object_key(digest: str) -> str:
    """Where an object in one piece, or a part, lies in a bucket."""
    return f"objects/{digest[:2]}/{digest}"


def note_key(path: str) -> str:
    """Where a note lies in a bucket."""
    return f"notes/{path}"


def manifest_key(digest: str) -> str:
    """Where the manifest of an object in parts lies in a bucket: it is a note."""
    return note_key(f"manifests/{digest[:2]}/{digest}")
