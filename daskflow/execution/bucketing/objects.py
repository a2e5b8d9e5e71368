"""Which objects of an artifact store go along with a parcel or an answer."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import NamedTuple

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Tree, is_tree

HEAD = 64
"""By so many of its bytes it is seen that an object is a directory."""


class Taken(NamedTuple):
    """Objects that go along."""

    objects: dict[str, bytes]
    """By digest."""
    absent: tuple[str, ...]
    """Digests of those for which there was no room."""
    size: int
    """Of all of them, and of those that are absent [bytes]."""
    served: tuple[str, ...] = ()
    """Digests of which a server has what did not go along: they, or what directories among them are made of."""


def take(store: ObjectStore, digests: Iterable[str], room: int, among: Container[str] | None = None) -> Taken:
    """Take objects of a store along, with all that directories among them are made of, as far as there is room.

    Parameters
    ----------
    room
        [bytes]
    among
        Only these are taken; None: all.

    Raises
    ------
    ArtifactMissing
        One is not there.
    ArtifactError
        The store cannot be read.
    """
    objects: dict[str, bytes] = {}
    absent: dict[str, None] = {}
    left, total = list(dict.fromkeys(digests)), 0
    while left:
        digest = left.pop(0)
        if digest in objects or digest in absent or (among is not None and digest not in among):
            continue
        size = store.size(digest)
        total += size
        if size > room:
            absent[digest] = None
            if is_tree(store.read(digest, 0, HEAD, size)):
                left += sorted(Tree.get(store, digest).digests)
            continue
        data = objects[digest] = bytes(store.get(digest, size))
        room -= size
        if is_tree(data):
            left += sorted(Tree.load(data).digests)
    return Taken(objects, tuple(absent), total)
